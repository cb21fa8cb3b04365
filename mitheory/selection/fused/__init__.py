"""Greedy loops on a GPU in one launch, or in one a pick: optional, for float32, with Triton."""

from .greedy import Loop, available, fused_greedy
from .rules import fused_distances, fused_mi

__all__ = ["Loop", "available", "fused_distances", "fused_greedy", "fused_mi"]
