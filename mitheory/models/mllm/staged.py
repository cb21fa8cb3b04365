"""Pruning inside a stock decoder: before some of its layers, visual tokens are dropped or merged.

The model runs as it is, on the full prompt. Hooks before its layers gather what is left: hidden
states where a stage prunes, and at every later layer the rotary angles, position ids and columns of
the mask that belong to it. So no layer from there on computes, caches or looks at a dropped token,
and what is kept stays at its position id. In decoding steps a later layer, whose cache is shorter,
is given the columns of the mask that it has cached.

The choice is made once, when the prompt passes for the first time, from what the layer before has
computed: rows of its attention, its keys, and the states that it gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from ...errors import MissingInputError, ParameterError
from ...names import lookup
from ...selection import SELECTORS, Merge, Selection, select
from ...selection.inputs import SHAPES
from ..base import Stage
from ..staging import FINAL_NORM, OBSERVED, check_stages, reads_decoder
from .base import Family
from .cutting import kept_columns, shown
from .reading import attention_rows, reading
from .records import Encoded
from .selecting import OF_ENCODER, OFFERED, looks_at_attention, of_encoder
from .sequences import Cut, Joined, Pass, cut_of, extended_there, placed, trimmed

IMPLEMENTATIONS = ("sdpa", "eager")
"""Attention functions whose masks are known here."""

Hook = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]


class Staged:
    """A batch that is pruned inside the decoder of its model.

    Parameters
    ----------
    family : the model
    encoded : of `Family.encode`, with attention if a method looks at the encoder's
    stages : in the order of their layers, 1 and up; budgets for all samples, or for each
    seeds : one per sample
    columns : by sample, of the tokens that are T; for methods that read the text but not the
        decoder. Those that read the decoder are given every token after the last image, as in
        their public codes

    Attributes
    ----------
    selections : list of lists
        By stage and sample; None for prompts without an image. Filled by the first pass.
    kept : list of lists of (k,) int64
        By stage and sample, the places left among those of the projector, in raster order.

    Raises
    ------
    ParameterError
        If a layer is none of the decoder's or does not ascend, or the attention of the decoder is
        computed by a function whose masks are not known here.
    MissingInputError
        If a method needs what is there neither before the decoder nor inside.
    """

    def __init__(
        self,
        family: Family,
        encoded: Encoded,
        stages: Sequence[Stage],
        *,
        seeds: Sequence[int],
        columns: Sequence[Tensor] | None = None,
    ) -> None:
        self.family, self.encoded, self.stages = family, encoded, list(stages)
        self.decoder = family.model.model.language_model
        self.budgets = check_stages(stages, len(encoded), len(self.decoder.layers), first=1)
        for stage in stages:
            check_stage(stage)
        check_decoder(self.decoder)
        self.seeds, self.columns = list(seeds), columns
        self.selections: list[list[Selection | None]] = []
        self.kept: list[list[Tensor]] = []
        everything = kept_columns(encoded, shown(encoded, None))
        self._cuts = [cut_of(0, everything, everything, everything, ())]
        self._left = [torch.arange(len(encoded.columns(i))) for i in range(len(encoded))]
        self._embedded = [encoded.visual(i).float() for i in range(len(encoded))]
        self._read: dict[int, tuple[Tensor, Tensor, float]] = {}
        self._pass = Pass(False, 0)

    @property
    def tokens_per_layer(self) -> list[tuple[int, ...]]:
        """By sample, the visual tokens that went into every layer; rows that no method scores, such
        as newlines, are not counted."""
        n_layers = len(self.decoder.layers)
        by_layer = {s.layer: kept for s, kept in zip(self.stages, self.kept, strict=True)}
        found = []
        for i in range(len(self.encoded)):
            counts = [len(self.encoded.columns(i))]
            for layer in range(n_layers):
                counts.append(len(by_layer[layer][i]) if layer in by_layer else counts[-1])
            found.append(tuple(counts[1:]))
        return found

    @contextmanager
    def running(self) -> Iterator[Staged]:
        """Inside the block, calls of the model with this batch's prompts are pruned.

        The prompts are those of ``family.prune(encoded, positions="kept")``, of one batch, behind
        which tokens may stand; calls that go on with the cache of such a call are too. Undone at
        the end of the block, also after an error.
        """
        with ExitStack() as stack:
            for stage in self.stages:
                if stage.layer and reads_decoder(stage.method):
                    module = self.decoder.layers[stage.layer - 1].self_attn
                    stack.enter_context(reading(module, self._listener(stage.layer)))
            hooks = [self.decoder.register_forward_pre_hook(self._began, with_kwargs=True)]
            for i, layer in enumerate(self.decoder.layers):
                hooks.append(layer.register_forward_pre_hook(self._entering(i), with_kwargs=True))
                hooks.append(layer.register_forward_hook(self._leaving(i)))
            for hook in hooks:
                stack.callback(hook.remove)
            yield self

    # --- hooks ----------------------------------------------------------------------------------

    def _began(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Before the decoder: what kind of call this is."""
        embeds, cache = kwargs["inputs_embeds"], kwargs.get("past_key_values")
        width, length = self._cuts[0].width, embeds.shape[1]
        seen = 0 if cache is None else int(cache.get_seq_length())
        check_cache(cache)
        if 0 < seen < width or (not seen and length < width):
            raise ParameterError(
                f"prompts: expected all {width} columns in one call, got {length} behind {seen}; "
                "pruning inside the decoder takes no prompts in chunks"
            )
        if len(embeds) % len(self.encoded):
            raise ParameterError(
                f"batch: expected the {len(self.encoded)} prompts that were encoded, "
                f"got {len(embeds)}"
            )
        self._pass = Pass(not seen, len(embeds))
        deep, at = kwargs.get("deepstack_visual_embeds"), kwargs.get("visual_pos_masks")
        if deep is not None and at is not None:
            for rows in deep:
                dense = torch.zeros_like(embeds)
                dense[at.to(embeds.device)] = rows.to(dense)
                self._pass.deep.append(dense)
            kwargs = {**kwargs, "deepstack_visual_embeds": None, "visual_pos_masks": None}
        return args, kwargs

    def _listener(self, layer: int) -> Callable[[Tensor, Tensor, float], None]:
        def told(query: Tensor, key: Tensor, scaling: float) -> None:
            if self._pass.is_full and self._is_open(layer):
                self._read[layer] = query, key, scaling

        return told

    def _entering(self, layer: int) -> Hook:
        def entering(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            stage = next((i for i, s in enumerate(self.stages) if s.layer == layer), None)
            if stage is not None and self._pass.is_full:
                (hidden,) = args
                if self._is_open(layer):
                    self._cuts.append(self._chosen(stage, hidden))
                before, cut = self._cuts[stage], self._cuts[stage + 1]
                args = (cut.carried(hidden, before.width),)
            cut = self._cut_at(layer)
            if not cut.layer:
                return args, kwargs
            if cut.layer not in self._pass.trimmed:
                self._pass.trimmed[cut.layer] = trimmed(
                    cut, kwargs, self._pass, self._cuts[0].width
                )
            return args, kwargs | self._pass.trimmed[cut.layer]

        return entering

    def _leaving(self, layer: int) -> Callable[[Any, Any, Tensor], Tensor]:
        def leaving(module: Any, args: Any, out: Tensor) -> Tensor:
            """Deepstack: what is added behind the first layers, cut and merged as the tokens."""
            if layer >= len(self._pass.deep):
                return out
            own = self._pass.deep[layer].to(out)
            for before, cut in zip(self._cuts, self._cuts[1:], strict=False):
                if cut.layer <= layer:
                    own = cut.carried(own, before.width)
            return out + own

        return leaving

    def _is_open(self, layer: int) -> bool:
        """Whether the stage before a layer has not chosen yet."""
        return all(cut.layer != layer for cut in self._cuts)

    def _cut_at(self, layer: int) -> Cut:
        return next(cut for cut in reversed(self._cuts) if cut.layer <= layer)

    # --- choosing -------------------------------------------------------------------------------

    def _chosen(self, number: int, hidden: Tensor) -> Cut:
        """What a stage leaves, from the states (rows, t, d) in front of it."""
        stage, before = self.stages[number], self._cuts[number]
        repeats = len(hidden) // len(self.encoded)
        where = before.where
        members: list[Tensor] = []
        selections: list[Selection | None] = []
        for i, left in enumerate(self._left):
            members.append(where[i, self.encoded.columns(i)[left]])
            selections.append(
                self._selected(number, i, members[i], where[i], hidden[i * repeats], i * repeats)
                if len(left)
                else None
            )
        self._read.pop(stage.layer, None)
        for i, chosen in enumerate(selections):
            if chosen is not None:
                merge = chosen.merge
                index = (chosen.sorted if merge is None else merge.centers).cpu()
                own = self._embedded[i]
                self._left[i] = self._left[i][index]
                self._embedded[i] = (
                    own[index.to(own.device)]
                    if merge is None
                    else Merge(merge.into.to(own.device), merge.rule).apply(own)
                )
        self.selections.append(selections)
        self.kept.append(list(self._left))
        columns = kept_columns(self.encoded, shown(self.encoded, self._left))
        full = self._cuts[0].columns
        behind = placed(columns)
        joined = tuple(
            None
            if chosen is None or chosen.merge is None
            else Joined(at, chosen.merge, behind[i, self.encoded.columns(i)[self._left[i]]])
            for i, (at, chosen) in enumerate(zip(members, selections, strict=True))
        )
        return cut_of(stage.layer, columns & full, full, before.columns, joined)

    def _selected(
        self, number: int, i: int, members: Tensor, where: Tensor, hidden: Tensor, row: int
    ) -> Selection:
        """The choice of one sample, computed in float32.

        Parameters
        ----------
        members : (n,) places of its visual tokens in the sequence
        where : (s,) places of its columns in the sequence
        hidden : (t, d), in front of the stage
        row : of the batch, the first of this sample's
        """
        stage = self.stages[number]
        wanted = set(SELECTORS[stage.method].inputs)
        text = self._text_columns(i, stage.method)
        given: dict[str, Any] = {"visual": self._embedded[i]}
        if "text" in wanted and text is not None:
            given["text"] = self.family.text(self.encoded, i, text).float()
        if wanted & set(OBSERVED) and text is not None:
            words = where[text]
            given |= self._observed(number, i, members, words, hidden, row)
        read = of_encoder(self.family, self.encoded, i) if wanted & set(OF_ENCODER) else {}
        for name, x in read.items():
            for axis, of in enumerate(SHAPES[name]):
                if of == "n_v":
                    x = x.index_select(axis, self._left[i].to(x.device))
            given[name] = x
        device = hidden.device
        return select(
            stage.method,
            budget=self.budgets[number][i],
            seed=self.seeds[i],
            mode=stage.mode,
            **{n: x.to(device) for n, x in given.items() if n in wanted or n == "visual"},
            **dict(stage.options),
        )

    def _text_columns(self, i: int, method: str) -> Tensor | None:
        """Columns of T; of methods that read the decoder, every token after the last image."""
        if not reads_decoder(method):
            return None if self.columns is None else self.columns[i].cpu()
        there = self.encoded.attention_mask[i].bool().cpu().clone()
        last = max(int(block.columns.max()) for block in self.encoded.blocks[i])
        there[: last + 1] = False
        if not bool(there.any()):
            raise MissingInputError(
                f"{method}: expected words after the image in prompt {i}, got none"
            )
        return there.nonzero()[:, 0]

    def _observed(
        self, number: int, i: int, members: Tensor, words: Tensor, hidden: Tensor, row: int
    ) -> dict[str, Tensor]:
        """What a method may ask of the layer before, by the names of `select`, float32."""
        stage, before = self.stages[number], self._cuts[number]
        query, key, scaling = self._read[stage.layer]
        device = hidden.device
        members, words = members.to(device), words.to(device)
        states = self.decoder.norm(hidden) if stage.method in FINAL_NORM else hidden
        keys = key[row].to(device).float()
        found = {
            "llm_visual_states": states[members].float(),
            "llm_text_states": states[words].float(),
            "llm_visual_keys": keys[:, members],
            "llm_text_keys": keys[:, words],
        }
        if "text_attention" in SELECTORS[stage.method].inputs:
            there = extended_there(before.there[i : i + 1], 1, hidden.shape[0] - before.width)[0]
            found["text_attention"] = attention_rows(
                query[row].to(device),
                key[row].to(device),
                scaling,
                rows=words,
                there=there.to(device),
                columns=members,
            )
        return found


# --- what is refused ----------------------------------------------------------------------------


def check_stage(stage: Stage) -> None:
    """Refuse a method that needs what is there neither before the decoder nor inside.

    Raises
    ------
    UnknownNameError
        If there is no such method.
    MissingInputError
    """
    entry = lookup(stage.method, SELECTORS, "method")
    offered = (*OFFERED, *OBSERVED)
    needed = entry.required(stage.options, stage.mode, given=offered)
    lacking = [name for name in needed if name not in offered]
    if lacking:
        raise MissingInputError(
            f"{stage.method}: needs {', '.join(lacking)}; inside the decoder there are "
            f"{', '.join(offered)}"
        )


def encoder_is_read(stages: Sequence[Stage]) -> bool:
    """Whether a method of these looks at the attention of the vision encoder."""
    return any(looks_at_attention(SELECTORS[stage.method].inputs) for stage in stages)


def check_decoder(decoder: Any) -> None:
    """Refuse attention whose masks are not known here.

    Raises
    ------
    ParameterError
        For flash attention, and for layers that look at a window only.
    """
    implementation = decoder.config._attn_implementation
    if implementation not in IMPLEMENTATIONS:
        raise ParameterError(
            f"attn_implementation: expected one of {list(IMPLEMENTATIONS)} to prune inside the "
            f"decoder, got {implementation!r}"
        )
    kinds = set(getattr(decoder.config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        raise ParameterError(
            f"decoder: expected full attention in every layer, got {sorted(kinds)}"
        )


def check_cache(cache: Any) -> None:
    """Refuse caches whose layers have one length.

    Raises
    ------
    ParameterError
    """
    from transformers.cache_utils import DynamicLayer

    strange = {type(layer).__name__ for layer in getattr(cache, "layers", ())
               if type(layer) is not DynamicLayer}  # fmt: skip
    if strange:
        raise ParameterError(
            "cache: expected one that grows with every layer's own tokens (DynamicCache) to prune "
            f"inside the decoder, got {', '.join(sorted(strange))}"
        )
