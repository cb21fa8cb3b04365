"""How much memory the weights of a model take, counted on its architecture before any is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from .loading import EXTRACTION, architecture_of
from .requirements import transformers


@dataclass(frozen=True)
class Footprint:
    """Numbers of weights of a model, by what needs them.

    Attributes
    ----------
    encoder : int
        Of the vision encoders and the projector.
    embedding : int
        Of the words.
    decoder : int
        Of the language model's layers.
    head : int
        Over the vocabulary; 0 where it shares the embedding's.
    cached_per_token : int
        Numbers in the cache of keys and values for one token.
    """

    encoder: int
    embedding: int
    decoder: int
    head: int
    cached_per_token: int

    @property
    def extraction(self) -> int:
        """Weights that V and T need."""
        return self.encoder + self.embedding

    @property
    def total(self) -> int:
        """All weights."""
        return self.extraction + self.decoder + self.head

    def gibibytes(self, count: int, dtype: torch.dtype = torch.bfloat16) -> float:
        """Memory of so many numbers, GiB.

        Examples
        --------
        >>> Footprint(0, 0, 0, 0, 0).gibibytes(2**29)
        1.0
        """
        return count * dtype.itemsize / 2**30


def footprint(config: Any) -> Footprint:
    """Weights of the model of a configuration, counted on the meta device: none is made.

    Parameters
    ----------
    config : of `transformers`, with its ``architectures``

    Raises
    ------
    UnknownNameError
        If it is of no known class.
    """
    cls = getattr(transformers(), architecture_of(config.to_dict()))
    with torch.device("meta"):
        model = cls(config)
    counts = dict.fromkeys(("encoder", "embedding", "decoder", "head"), 0)
    for name, weight in model.named_parameters():  # a shared one once
        counts[_part(name)] += weight.numel()
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Footprint(**counts, cached_per_token=2 * text.num_hidden_layers * heads * width)


def _part(name: str) -> str:
    if "embed_tokens" in name:
        return "embedding"
    if "lm_head" in name:
        return "head"
    return "encoder" if EXTRACTION.search(name) else "decoder"
