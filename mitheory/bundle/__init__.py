"""Bundles of embeddings: samples on disk as safetensors shards and a JSON index, never a pickle.

A bundle is a folder (``index.json``, ``images-*.safetensors``, ``samples-*.safetensors``) or one
``.safetensors`` file with the index in its header. What belongs to an image is stored once and
shared by the questions about it.
"""

from __future__ import annotations

from .inspection import inspect
from .reader import Bundle
from .sample import Sample
from .writer import BundleWriter

__all__ = ["Bundle", "BundleWriter", "Sample", "inspect"]
