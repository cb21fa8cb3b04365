"""Bundles of embeddings: samples on disk as safetensors shards and a JSON index, never a pickle.

What belongs to an image is stored once and shared by the questions about it.

Layout
------
A folder: ``images-00000.safetensors``, ... hold tensors ``image.00000007.visual``;
``samples-00000.safetensors``, ... hold tensors ``sample.00000042.text``; ``index.json`` holds

- ``format``, ``schema_version``, ``dtype`` (of the floats on disk), ``provenance``,
- ``shards``: size and sha256 of each file,
- ``images``: id, key, shard, grid; dtype, shape and sha256 of each tensor,
- ``samples``: id, image id, key, shard, tokens, question, answer, question type, negative, options,
  metadata; dtype, shape and sha256 of each tensor,
- ``checksum``: sha256 of the index without it, as JSON with sorted keys and no white space.

One file: the same tensors in one ``.safetensors`` file, the index as JSON under ``mitheory`` in
its header, with no shards listed. Which tensors there can be: `mitheory.bundle.fields.FIELDS`.
"""

from __future__ import annotations

from .inspection import inspect
from .reader import Bundle
from .sample import Sample
from .writer import BundleWriter

__all__ = ["Bundle", "BundleWriter", "Sample", "inspect"]
