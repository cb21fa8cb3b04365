"""What a model must offer to be pruned: encode once, answer with any kept set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..budgets import Decoder
from ..bundle import Sample
from ..selection import Mode

PositionIds = Literal["kept", "compacted"]
Order = Literal["raster", "pick"]


@dataclass(frozen=True)
class Example:
    """One question about one image, before any model saw it.

    image : (H, W, 3) uint8. `relevant` : (n_v,) bool, the patches of the things asked about, where
    the dataset knows them. `image_id` is the unit of resampling of every interval.
    """

    sample_id: str
    image_id: str
    image: NDArray[np.uint8]
    question: str
    answer: str
    question_type: str
    negative: str | None = None
    options: tuple[str, ...] = ()
    relevant: NDArray[np.bool_] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A model's answer: its text, its log-probability, and that of the true answer (nats).

    `log_prob_truth` is NaN where the sample has no known answer.
    """

    text: str
    log_prob: float
    log_prob_truth: float


@dataclass(frozen=True)
class Stage:
    """One pruning inside the decoder, right before the block `layer` (counted from 0).

    The method sees the visual tokens that are still there. What it reads of the decoder is of the
    block before, whose attention and keys are at hand at this place. Before block 0 there is none,
    so a stage there is pruning before the decoder.

    Parameters
    ----------
    layer : block before which it prunes
    method : a name of `SELECTORS`
    budget : tokens to keep (a ratio is one of the tokens there), or one for each sample
    options : of the method
    mode : "exact" or "faithful"
    """

    layer: int
    method: str
    budget: int | float | tuple[int | float, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    mode: Mode = "exact"


@dataclass(frozen=True)
class StagedAnswer:
    """An answer under pruning inside the decoder.

    Parameters
    ----------
    answer : Answer
    kept : by stage, the places (k,) of the tokens left, among those of the projector, in raster
        order; a merged token stands at its center's place
    tokens_per_layer : visual tokens that went into every block
    """

    answer: Answer
    kept: tuple[Tensor, ...]
    tokens_per_layer: tuple[int, ...]


class ModelAdapter(Protocol):
    """A multimodal model cut between projector and decoder."""

    name: str

    def encode(self, examples: Sequence[Example]) -> list[Sample]:
        """Visual and text embeddings of each example, with what selectors may ask for."""
        ...

    def answer(
        self,
        samples: Sequence[Sample],
        keep: Sequence[Tensor] | None = None,
        *,
        words: Sequence[Tensor] | None = None,
        positions: PositionIds = "kept",
        order: Order = "raster",
    ) -> list[Answer]:
        """Answers when only the visual tokens `keep` (indices, one tensor per sample) are shown.

        Kept tokens are fed in raster order, or in the order given (``order="pick"``).
        ``positions="kept"`` leaves every token the position id it had in the full sequence;
        ``"compacted"`` numbers them without gaps in the order in which they are fed. ``words``
        are the places of the words of the prompt that are shown; all without.
        """
        ...


@runtime_checkable
class StagedAdapter(ModelAdapter, Protocol):
    """A model that can also be pruned inside its decoder.

    `n_layers` and `decoder` are the number and the sizes of the decoder's layers.
    """

    n_layers: int
    decoder: Decoder

    def answer_staged(
        self, samples: Sequence[Sample], stages: Sequence[Stage], *, seed: int | Sequence[int] = 0
    ) -> list[StagedAnswer]:
        """Answers when visual tokens are dropped, or merged, at several places in the decoder."""
        ...


@runtime_checkable
class OpenAdapter(StagedAdapter, Protocol):
    """A model that can also be looked into; pruning before its decoder needs none of it."""

    def attention(self, samples: Sequence[Sample]) -> list[Tensor]:
        """What every word looks at among all visual tokens: (layers, heads, n_t, n_v) each."""
        ...

    def stages(self, samples: Sequence[Sample]) -> list[dict[str, Tensor]]:
        """Visual tokens (n_v, d) by stage on the way to the decoder, in the order of the chain."""
        ...

    def internals(
        self, samples: Sequence[Sample], layer: int, *, final_norm: bool = False
    ) -> list[dict[str, Tensor]]:
        """What a selector may ask of the decoder right before block `layer`, by the names of
        `select`: the attention of the block before, its keys, and the states it gives."""
        ...
