"""Tiny random models of the real classes, so that all of `models.mllm` runs without weights.

They are saved as real checkpoints are: shards of safetensors with an index, the configuration, a
small tokenizer and, where it can be built, the processor.
"""

from .checkpoints import TINY, save_tiny, tiny_model
from .inputs import tiny_inputs

__all__ = ["TINY", "save_tiny", "tiny_inputs", "tiny_model"]
