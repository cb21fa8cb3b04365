"""Estimators of mutual information and conditional mutual information from samples, in nats.

`mi` and `cmi` take an estimator's name; `MI` and `CMI` list them. No estimate is clipped at zero.
"""

from __future__ import annotations

from .front import CMI, MI, cmi, mi
from .records import Estimate

__all__ = ["CMI", "MI", "Estimate", "cmi", "mi"]
