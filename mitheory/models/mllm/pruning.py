"""A stock model, pruned for the length of a `with` block: three lines to try a method."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from ...checks import check_count
from ...errors import BudgetError, ParameterError
from ...names import lookup
from ...selection import SELECTORS, Selection
from ..base import Stage
from ..staging import OBSERVED, PUBLISHED, check_stages, reads_decoder, stages_of
from .answering import refuse_flash_chunks
from .base import COMMON, IGNORED, Family
from .options import Options
from .records import Encoded
from .registry import family_of
from .selecting import check_method, chosen, looks_at_attention, nothing
from .staged import Staged, check_decoder, check_stage

REFUSED = ("inputs_embeds", "past_key_values", "position_ids", "mm_encoder_outputs", "labels")
"""What speaks of the full prompt, or of features that are encoded already."""

UNTRIED = ("assistant_model", "prompt_lookup_num_tokens", "custom_generate")
"""Ways of decoding that run the model on prompts of their own."""


class Pruner:
    """A model's `generate` and `forward`, with fewer visual tokens.

    Attributes
    ----------
    selections : list
        Of the last call, one per prompt; None for prompts without an image. Inside the decoder
        those of the last stage, whose places are among the tokens that were there.
    kept : list of (k,) int64
        Of the last call: places among the visual tokens of each prompt.
    encoded : Encoded or None
        Of the last call; `encoded.coords` says where the tokens stand in the image.
    staged : Staged or None
        Of the last call, if it was pruned inside the decoder: all stages, and
        `tokens_per_layer`.
    """

    def __init__(
        self,
        family: Family,
        tokenizer: Any,
        method: str,
        budget: int | float,
        *,
        seed: int = 0,
        columns: Callable[[Tensor, Tensor], Tensor] | None = None,
        options: Mapping[str, Any] | None = None,
        layers: Sequence[int] | None = None,
    ) -> None:
        self.family, self.tokenizer, self.method, self.budget = family, tokenizer, method, budget
        self.seed, self.options = seed, dict(options or {})
        self.layers = inside(family, method, self.options, layers)
        self.wanted = check_method(method, self.options) if self.layers is None else ()
        self.staged: Staged | None = None
        self.is_running = False
        self._columns = columns or self._question
        self.selections: list[Selection | None] = []
        self.kept: list[Tensor] = []
        self.encoded: Encoded | None = None

    @property
    def names(self) -> set[str]:
        """Inputs that are the encoder's; the rest are those of `generate` or `forward`."""
        family = self.family
        return {
            *COMMON, *IGNORED, *family.pixels.values(), *family.renamed, *family.further
        }  # fmt: skip

    def has_pixels(self, inputs: Mapping[str, Any]) -> bool:
        """Whether there is anything to prune."""
        own = {self.family.renamed.get(k, k) for k, v in inputs.items() if v is not None}
        return bool(own & set(self.family.pixels.values()))

    def prune(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs of the processor, and whatever else, with the visual tokens that the method keeps.

        Raises
        ------
        ParameterError
            If there is an input that speaks of the full prompt.
        BudgetError
            If a sample has fewer visual tokens than the budget.
        """
        refused = [name for name in REFUSED if inputs.get(name) is not None]
        if refused:
            raise ParameterError(f"a pruned model takes no {', '.join(refused)} beside pixels")
        own = {name: value for name, value in inputs.items() if name in self.names}
        rest = {name: value for name, value in inputs.items() if name not in self.names}
        if self.layers is not None:
            return {**self._staged(own, self.layers), **rest}
        encoded = self.family.encode(own, attention=looks_at_attention(self.wanted))
        self.selections = [self._chosen(encoded, sample) for sample in range(len(encoded))]
        self.kept = [nothing() if s is None else s.indices.cpu() for s in self.selections]
        self.encoded = encoded
        merges = [None if s is None else s.merge for s in self.selections]
        return {**self.family.prune(encoded, self.kept, merges=merges), **rest}

    def _staged(self, inputs: Mapping[str, Any], layers: Sequence[int]) -> dict[str, Any]:
        """Full prompts, and in `staged` what is to happen to them inside the decoder."""
        entry = SELECTORS[self.method]
        encoded = self.family.encode(inputs, attention=looks_at_attention(entry.inputs))
        sizes = [self._total(encoded, sample) for sample in range(len(encoded))]
        stages = stages_of(
            self.method,
            self.budget,
            [size or max(sizes) for size in sizes],  # of prompts without an image nothing is asked
            layers=layers,
            options=self.options,
        )
        columns = None
        if "text" in entry.inputs and not reads_decoder(self.method):
            rows = zip(encoded.input_ids, encoded.attention_mask, sizes, strict=True)
            columns = [self._columns(ids, mask) if n else nothing() for ids, mask, n in rows]
        seeds = [self.seed] * len(encoded)
        self.staged = Staged(self.family, encoded, stages, seeds=seeds, columns=columns)
        self.encoded = encoded
        return self.family.prune(encoded, positions="kept")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around a call of the model with what `prune` gave."""
        if self.staged is None:
            yield
            return
        self.is_running = True
        try:
            with self.staged.running():
                yield
            self.kept = list(self.staged.kept[-1])
            self.selections = list(self.staged.selections[-1])
        finally:
            self.is_running = False

    def _total(self, encoded: Encoded, sample: int) -> int:
        """Visual tokens of a prompt.

        Raises
        ------
        BudgetError
            If there are some, but fewer than the budget.
        """
        total = len(encoded.columns(sample))
        if total and isinstance(self.budget, int) and self.budget > total:
            raise BudgetError(
                f"budget: prompt {sample} has {total} visual tokens, fewer than {self.budget}; "
                f"a ratio, such as 0.25, fits every size"
            )
        return total

    def _chosen(self, encoded: Encoded, sample: int) -> Selection | None:
        if not self._total(encoded, sample):
            return None
        columns = None
        if "text" in self.wanted:
            columns = self._columns(encoded.input_ids[sample], encoded.attention_mask[sample])
        return chosen(
            self.family,
            encoded,
            sample,
            self.method,
            budget=self.budget,
            columns=columns,
            seed=self.seed,
            options=self.options,
        )

    def _question(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Columns of T by the option `text_scope`, from the ids alone."""
        from .spans import by_ids

        tokens = (self.family.placeholder(modality) for modality in ("image", "video"))
        return by_ids(
            ids,
            self.tokenizer,
            placeholders={token for token in tokens if token is not None},
            scope=self.family.options.text_scope,
            attention_mask=mask,
        )


def inside(
    family: Family, method: str, options: Mapping[str, Any], layers: Sequence[int] | None
) -> tuple[int, ...] | None:
    """Before which layers of the decoder is pruned: () where the method's public code does, None
    before the decoder.

    Raises
    ------
    UnknownNameError
        If there is no such method.
    ParameterError
        If a layer is none of the decoder's, or none are known, or the decoder is one that cannot be
        pruned inside.
    MissingInputError
        If the method needs what is not there.
    """
    reads = set(OBSERVED) & set(lookup(method, SELECTORS, "method").required(options))
    if layers is None and not reads:
        return None
    if layers is not None and not len(layers):
        raise ParameterError("layers: expected at least one, or None, got none")
    if layers is None and method not in PUBLISHED:
        raise ParameterError(
            f"{method}: reads the decoder, so that it needs layers=, before which it prunes; those "
            f"of {sorted(PUBLISHED)} are published"
        )
    if family.options.positions != "kept":
        raise ParameterError(
            f"positions: expected 'kept' inside the decoder, got {family.options.positions!r}"
        )
    wanted = PUBLISHED[method].layers if layers is None else tuple(layers)
    decoder = family.model.model.language_model
    stages = [Stage(layer, method, 1, options) for layer in wanted]
    check_stages(stages, 1, len(decoder.layers), first=1)
    check_stage(stages[0])
    check_decoder(decoder)
    return () if layers is None else wanted


@contextmanager
def prune(
    model: Any,
    processor: Any,
    *,
    method: str = "mi_pruner",
    budget: int | float = 64,
    pruning: Options | None = None,
    columns: Callable[[Tensor, Tensor], Tensor] | None = None,
    seed: int = 0,
    layers: Sequence[int] | None = None,
    **options: Any,
) -> Iterator[Pruner]:
    """Inside the block, the model is shown only the visual tokens that a method keeps.

    ``generate`` gives back the full prompt and the new tokens, as without pruning, so that what
    cuts the prompt off by its length goes on working; ``forward`` gives logits of the pruned
    prompt. Calls without images pass. Undone at the end of the block, also after an error.

    Where a method averages dropped tokens into kept ones (VisionZip), the decoder is shown these
    averages (`Clip.averaged`), and `Selection.merge` says of what.

    Parameters
    ----------
    model : of `transformers`, of a class in `FAMILIES`
    processor : its processor, or its tokenizer
    method : a name of `SELECTORS`; FastV, SparseVLM and DART, which read the decoder, prune inside
        it, where their public codes do
    budget : visual tokens to keep, or a ratio in (0, 1]
    pruning : positions, scope of T, newline and class rows, attention layer
    columns : from the ids (s,) and mask (s,) of a prompt to the columns that are T; without, the
        question is looked for by the markers of the chat template
    seed : of methods that draw
    layers : of the decoder, counted from 0: prune right before these, every stage keeping the same
        share, so that the budget is left at the end; without, before the decoder, or where the
        public code of the method does
    options : of the method

    Yields
    ------
    Pruner
        `kept` and `selections` of the last call.

    Raises
    ------
    UnknownNameError
        If the model's class, or the method, is not known.
    MissingInputError
        If the method needs what is not there, or there is no question.
    ParameterError
        For an option or an input that would be wrong, or a model that is being pruned already.

    Examples
    --------
    >>> from mitheory.testing import tiny_inputs, tiny_model
    >>> model = tiny_model("LlavaForConditionalGeneration")
    >>> inputs = tiny_inputs(model, [[4, "image", 6]])
    >>> with prune(model, None, method="divprune", budget=5) as pruner:
    ...     said = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    >>> said.shape[1] - inputs["input_ids"].shape[1], len(pruner.kept[0])
    (3, 5)
    """
    if isinstance(budget, int):
        check_count("budget", budget, least=1)
    if any(name in vars(model) and hasattr(vars(model)[name], "pruner") for name in PATCHED):
        raise ParameterError("model: expected one that is not being pruned already")
    tokenizer = getattr(processor, "tokenizer", processor)
    pruner = Pruner(
        family_of(model, pruning),
        tokenizer,
        method,
        budget,
        seed=seed,
        columns=columns,
        options=options,
        layers=layers,
    )
    before = {name: vars(model)[name] for name in PATCHED if name in vars(model)}
    try:
        for name, patched in PATCHED.items():
            setattr(model, name, patched(pruner, getattr(model, name)))
        yield pruner
    finally:
        for name in PATCHED:
            vars(model).pop(name, None)
        vars(model).update(before)


def pruned_generate(pruner: Pruner, original: Callable[..., Any]) -> Callable[..., Any]:
    """A model's `generate` whose prompts are pruned first."""

    @functools.wraps(original)
    def generate(inputs: Tensor | None = None, generation_config: Any = None, **kwargs: Any) -> Any:
        if inputs is not None:
            if kwargs.get("input_ids") is not None:
                raise ParameterError("generate: inputs and input_ids are one, got both")
            kwargs["input_ids"] = inputs
        if not pruner.has_pixels(kwargs):
            return original(generation_config=generation_config, **kwargs)
        untried = [name for name in UNTRIED if kwargs.get(name) is not None]
        if untried:
            raise ParameterError(f"generate: a pruned model decodes without {', '.join(untried)}")
        if pruner.layers is None:
            _refuse_no_cache(pruner.family, generation_config, kwargs)
        full = kwargs["input_ids"]
        pruned = pruner.prune(kwargs)
        chunk = kwargs.get("prefill_chunk_size")
        refuse_flash_chunks(
            pruner.family.model,
            pruned,
            getattr(generation_config, "prefill_chunk_size", None) if chunk is None else chunk,
        )
        dropped = full.shape[1] - pruned["input_ids"].shape[1]
        for limit in ("max_length", "min_length"):
            if kwargs.get(limit) is not None:  # both count the prompt
                pruned[limit] = kwargs[limit] - dropped
        with pruner.running():
            found = original(generation_config=generation_config, **pruned)
        return _behind_full_prompts(found, full, pruned["input_ids"].shape[1])

    generate.pruner = pruner  # type: ignore[attr-defined]
    return generate


def pruned_forward(pruner: Pruner, original: Callable[..., Any]) -> Callable[..., Any]:
    """A model's `forward` whose prompts are pruned first, if they come with pixels."""
    signature = inspect.signature(original)

    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind_partial(*args, **kwargs).arguments
        given = {**bound, **bound.pop("kwargs", {})}
        if not pruner.has_pixels(given):
            _refuse_alone(pruner, given.get("past_key_values"))
            return original(*args, **kwargs)
        pruned = pruner.prune(given)
        with pruner.running():
            return original(**pruned)

    forward.pruner = pruner  # type: ignore[attr-defined]
    return forward


PATCHED = {"generate": pruned_generate, "forward": pruned_forward}


def _refuse_alone(pruner: Pruner, cache: Any) -> None:
    """Going on by hand with a cache whose layers have unequal lengths: masks would be too long."""
    lengths = {layer.get_seq_length() for layer in getattr(cache, "layers", ())}
    if len(lengths) > 1 and not pruner.is_running:
        raise ParameterError(
            "past_key_values: expected none; a model that is pruned inside its decoder goes on "
            "with generate() only"
        )


def _refuse_no_cache(family: Family, config: Any, kwargs: Mapping[str, Any]) -> None:
    """Without a cache `generate` drops a mask of ones, and the model then takes the gaps that
    pruning leaves in the positions for borders between prompts: another answer, silently."""
    if family.options.positions == "compacted":
        return
    used = kwargs.get("use_cache")
    for source in (config, family.model.generation_config):
        used = getattr(source, "use_cache", None) if used is None else used
    if used is False:
        raise ParameterError(
            "use_cache: expected True with positions='kept', got False, with which the model would "
            "take the gaps in the positions for borders between prompts"
        )


def _behind_full_prompts(found: Any, full: Tensor, pruned_length: int) -> Any:
    """New tokens behind the prompts as they were given, one for each sequence."""
    from torch import cat

    is_record = not isinstance(found, Tensor)
    sequences = found.sequences if is_record else found
    prompts = full.to(sequences.device).repeat_interleave(len(sequences) // len(full), dim=0)
    whole = cat([prompts, sequences[:, pruned_length:]], dim=1)
    if not is_record:
        return whole
    found.sequences = whole
    return found
