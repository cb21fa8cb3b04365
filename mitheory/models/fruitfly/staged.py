"""Pruning inside the fruit-fly's decoder: before some of its blocks, tokens are dropped or merged.

The samples of a batch may keep different tokens, and different numbers of them; what is left of
each is moved together and padded, and a kept token stays at its position id. So dropping tokens
before a block is the same as hiding them from that block on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from ...bundle import Sample
from ...errors import ShapeError
from ...selection import SELECTORS, Selection, select_batch
from ...selection.inputs import SHAPES
from ..base import Stage
from ..staging import FINAL_NORM, OBSERVED
from .network import Block, Decoder, rotary_angles, visible
from .vocabulary import encode

BY_TOKEN = (
    "cls_attention", "patch_attention", "encoder_features", "encoder_keys", "clip_visual",
    "clip_text", "relevant",
)  # fmt: skip
"""What samples hold besides V and T that a stage may ask for."""


@dataclass(frozen=True)
class State:
    """A batch in front of a block.

    visual (b, n, d) and text (b, n_t, d) are the residual stream; `embedded` (b, n, d) what the
    projector gave for the visual tokens, merged as they were; there (b, n) says which are real,
    places (b, n) where among the projector's they stood; start is the position id of the text.
    """

    visual: Tensor
    text: Tensor
    embedded: Tensor
    there: Tensor
    places: Tensor
    start: int

    @property
    def residual(self) -> Tensor:
        """(b, n + n_t, d)."""
        return torch.cat([self.visual, self.text], 1)

    @property
    def mask(self) -> Tensor:
        """What may look at what, (b or 1, 1, T, T)."""
        padded = None if bool(self.there.all()) else self.there
        n, n_t = self.visual.shape[1], self.text.shape[1]
        return visible(n, 1, n_t, self.visual.device, padded)

    def angles(self, rotary: int) -> tuple[Tensor, Tensor]:
        """Rotary angles of all tokens, visual ones at the places they had from the start."""
        words = self.start + torch.arange(self.text.shape[1], device=self.text.device)
        ids = torch.cat([self.places, words.expand(len(self.text), -1)], 1)
        return rotary_angles(ids, rotary)


@dataclass(frozen=True)
class Outcome:
    """log_p (b, vocabulary) after the question; by stage and sample the places kept; by block and
    sample the visual tokens that went in."""

    log_p: Tensor
    kept: list[list[Tensor]]
    counts: list[list[int]]


def begin(decoder: Decoder, samples: Sequence[Sample], device: torch.device) -> State:
    """The batch in front of the first block, all visual tokens there."""
    sizes = {len(s.visual) for s in samples}
    if len(sizes) != 1:
        raise ShapeError(f"visual: expected as many tokens in every sample, got {sorted(sizes)}")
    visual = torch.stack([s.visual.float() for s in samples]).to(device)
    tokens = torch.zeros(len(samples), max(s.n_t for s in samples), dtype=torch.long)
    for i, sample in enumerate(samples):
        tokens[i, : sample.n_t] = torch.tensor(encode(sample.tokens))
    b, n, _ = visual.shape
    places = torch.arange(n, device=device).expand(b, n)
    text = decoder.words(tokens.to(device))
    return State(visual, text, visual, torch.ones_like(places, dtype=torch.bool), places, n)


def forward(block: Block, state: State, rotary: int) -> State:
    """The batch behind a block."""
    x = block(state.residual, state.mask, state.angles(rotary))
    n = state.visual.shape[1]
    return replace(state, visual=x[:, :n], text=x[:, n:])


def observed(
    decoder: Decoder, block: Block, before: State, after: State, *, final_norm: bool
) -> dict[str, Tensor]:
    """What a selector may ask of the decoder behind `block`, by the names of `select`, batched.

    The attention (b, heads, n_t, n) of the words on the visual tokens, whose rows have what they
    give to words left out; keys (b, heads, n or n_t, d_head) after rotary angles; the states that
    the block gives, behind the final norm if `final_norm`.
    """
    n, angles = before.visual.shape[1], before.angles(decoder.rotary)
    attention = block.attention(before.residual, before.mask, angles)
    keys = block.keys(before.residual, angles)
    states = decoder.norm(after.residual) if final_norm else after.residual
    found = (attention[:, :, n:, :n], states[:, :n], states[:, n:], keys[:, :, :n], keys[:, :, n:])
    return dict(zip(OBSERVED, found, strict=True))


def run(
    decoder: Decoder,
    samples: Sequence[Sample],
    stages: Sequence[Stage],
    budgets: Sequence[Sequence[int | float]],
    seeds: Sequence[int],
    device: torch.device,
) -> Outcome:
    """The decoder with its stages; `budgets` are by stage and sample."""
    state = begin(decoder, samples, device)
    by_layer = {stage.layer: (stage, own) for stage, own in zip(stages, budgets, strict=True)}
    kept: list[list[Tensor]] = []
    counts: list[list[int]] = []
    before = None
    for layer, module in enumerate(decoder.blocks):
        if layer in by_layer:
            stage, own = by_layer[layer]
            seen = _seen(decoder, layer, before, state, stage.method)
            inputs = given(state, samples, stage.method) | seen
            state = prune(state, choose(stage, own, inputs, samples, state, seeds))
            kept.append([p[t].cpu() for p, t in zip(state.places, state.there, strict=True)])
        counts.append(state.there.sum(1).tolist())
        before, state = state, forward(cast(Block, module), state, decoder.rotary)
    last = torch.tensor([s.n_t - 1 for s in samples], device=device)
    end = state.text[torch.arange(len(samples), device=device), last]
    return Outcome(decoder.head(decoder.norm(end)).cpu().log_softmax(-1), kept, counts)


def _seen(
    decoder: Decoder, layer: int, before: State | None, state: State, method: str
) -> dict[str, Tensor]:
    """What the method may ask of the block before; nothing if there is none, or it does not."""
    if before is None or not set(OBSERVED) & set(SELECTORS[method].inputs):
        return {}
    block = cast(Block, decoder.blocks[layer - 1])
    return observed(decoder, block, before, state, final_norm=method in FINAL_NORM)


def given(state: State, samples: Sequence[Sample], method: str) -> dict[str, Tensor]:
    """What the method looks at of the samples themselves, of the tokens still there, batched.

    A merged token has the embedding merged alike, and all else of its center.
    """
    device = state.visual.device
    found: dict[str, Tensor] = {"visual": state.embedded}
    for name in (n for n in BY_TOKEN if n in SELECTORS[method].inputs):
        own = [getattr(s, name) for s in samples]
        if any(x is None for x in own):
            continue  # missed by the front door, if it is needed
        x = torch.stack(own).to(device)
        for axis, of in enumerate(SHAPES[name], start=1):
            if of == "n_v":
                index = state.places.reshape(
                    len(x), *[1] * (axis - 1), -1, *[1] * (x.ndim - axis - 1)
                )
                shape = (*x.shape[:axis], state.places.shape[1], *x.shape[axis + 1 :])
                x = x.gather(axis, index.expand(shape))
        found[name] = x
    return found


def choose(
    stage: Stage,
    budgets: Sequence[int | float],
    inputs: Mapping[str, Tensor],
    samples: Sequence[Sample],
    state: State,
    seeds: Sequence[int],
) -> list[Selection]:
    """The selection of every sample among the tokens still there; those of one budget together."""
    device = state.visual.device
    n_t = torch.tensor([s.n_t for s in samples], device=device)
    words = torch.arange(int(n_t.max()), device=device) < n_t[:, None]
    text = torch.nn.utils.rnn.pad_sequence([s.text.float() for s in samples], batch_first=True)
    everything = {**inputs, "text": text.to(device)}
    options = dict(stage.options)
    chosen: dict[int, Selection] = {}
    for budget in dict.fromkeys(budgets):
        rows = [i for i, b in enumerate(budgets) if b == budget]
        at = torch.tensor(rows, device=device)
        own: dict[str, Any] = {name: x[at] for name, x in everything.items()}
        found = select_batch(
            stage.method,
            budget=budget,
            seed=[seeds[i] for i in rows],
            mode=stage.mode,
            visual_mask=state.there[at],
            text_mask=words[at],
            **(own | options),
        )
        chosen.update(zip(rows, found, strict=True))
    return [chosen[i] for i in range(len(samples))]


def prune(state: State, selections: Sequence[Selection]) -> State:
    """What is left, moved together in raster order; merged tokens stand at their centers."""
    device = state.visual.device
    b, n, _ = state.visual.shape
    left = [s.sorted if s.merge is None else s.merge.centers for s in selections]
    visual, embedded = state.visual, state.embedded
    merges = [s.merge for s in selections]
    if any(m is not None for m in merges):
        own = torch.arange(n, device=device)
        into = torch.stack([own if m is None else m.into.to(device) for m in merges])
        (rule,) = {m.rule for m in merges if m is not None}
        visual, embedded = merged(visual, into, rule), merged(embedded, into, rule)
    size = max(len(index) for index in left)
    index = torch.zeros(b, size, dtype=torch.long, device=device)
    there = torch.zeros(b, size, dtype=torch.bool, device=device)
    for row, own_left in enumerate(left):
        index[row, : len(own_left)] = own_left.to(device)
        there[row, : len(own_left)] = True
    at = index[..., None].expand(-1, -1, visual.shape[2])
    return replace(
        state,
        visual=visual.gather(1, at),
        embedded=embedded.gather(1, at),
        there=there,
        places=state.places.gather(1, index),
    )


def merged(tokens: Tensor, into: Tensor, rule: str) -> Tensor:
    """Tokens (b, n, d) with the others of its group merged into every center; as `Merge.apply`.

    Only the rows of centers mean anything.
    """
    own = torch.arange(tokens.shape[1], device=tokens.device)
    joins = ((into >= 0) & (into != own)).to(tokens)[..., None]
    target = into.clamp(min=0)[..., None]
    total = torch.zeros_like(tokens).scatter_add_(1, target.expand_as(tokens), tokens * joins)
    count = torch.zeros_like(joins).scatter_add_(1, target, joins)
    if rule == "add_mean":
        return tokens + total / count.clamp(min=1)
    return (tokens + total) / (count + 1)
