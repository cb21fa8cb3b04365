"""The one front door: a method by name, tensors by keyword, a `Selection` back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

from torch import Tensor

from .inputs import as_batch
from .record import Mode, Selection
from .running import run


class Options(TypedDict, total=False):
    """Every option of every method; each method's own docstring says what its options mean."""

    temperature: float
    self_temperature: float | None
    relevance_weight: float
    aggregation: str
    redundancy_aggregation: str
    conditional: str
    self_conditional: str | None
    prior: str | Tensor
    self_loop: bool
    self_marginal: str
    empty_redundancy: float
    attention_ratio: float
    rounds: str
    include_diagonal: bool
    word_aggregation: str
    relevance_source: str
    contextual: int | float
    important_ratio: float
    importance: str
    merge_size: int
    patch_order: str
    relevance: str
    ridge: float
    query_weight: float
    kernel: str
    concave: str
    rows: str
    image_pivots: int
    text_pivots: int
    visit: str
    image_start: int
    version: str
    recycle: bool | None
    noise: bool
    rating: str
    sign: float
    coverage_source: str
    text_temperature: float
    visual_temperature: float
    visual_weight: float
    rarity: float
    attention_power: float
    floor: float
    first_ratio: float
    heads: int | None
    layer: int | None
    rank_scale: float
    rank_bias: float
    layer_target: float | None
    n_layers: int


def select(
    method: str,
    *,
    visual: Tensor | None = None,
    text: Tensor | None = None,
    budget: int | float,
    seed: int = 0,
    grid: tuple[int, ...] | None = None,
    zero_norm: str = "error",
    mode: Mode = "exact",
    cls_attention: Tensor | None = None,
    patch_attention: Tensor | None = None,
    received_attention: Tensor | None = None,
    encoder_features: Tensor | None = None,
    encoder_keys: Tensor | None = None,
    clip_visual: Tensor | None = None,
    clip_text: Tensor | None = None,
    text_attention: Tensor | None = None,
    llm_visual_states: Tensor | None = None,
    llm_text_states: Tensor | None = None,
    llm_visual_keys: Tensor | None = None,
    llm_text_keys: Tensor | None = None,
    relevant: Tensor | None = None,
    **options: Unpack[Options],
) -> Selection:
    """Choose `budget` visual tokens of one sample.

    Computed in the precision of the input, float32 or float64; half precision is raised to float32.
    Scores that differ by rounding error only are ties, and ties go to the lowest index.

    Source: Eqs. (14), (24); Algorithm 1.

    Parameters
    ----------
    method : a name of `SELECTORS`
    visual, text : (n_v, d), (n_t, d), where the method needs them
    budget : an int, or a ratio in (0, 1] of n_v, rounded half up to at least one token; 1 is one
        token, 1.0 is all of them
    seed : of the methods that draw
    grid : (rows, cols[, frames]), for the priors of position
    zero_norm : "error", or "uninformative": cosine 0 with everything
    mode : "exact" keeps exactly `budget` distinct tokens, or refuses; "faithful" does what the
        method's public code does, quirks included (`Selection.departures` says which)
    cls_attention : (heads, n_v)
    patch_attention : (heads, n_v, n_v), row attends to column; before a merger of
        ``merge_size`` × ``merge_size`` patches, that many squared times n_v
    received_attention : (n_v,), what every token receives of attention, mean over heads: does where
        a method reads no more of `patch_attention` than its column sums without the diagonal
    encoder_features, encoder_keys : (n_v, d_encoder), (n_v, d_key) mean over heads
    clip_visual, clip_text : (n_v, d_clip), (n_segments, d_clip)
    text_attention : (llm_heads, n_t, n_v), rows of the text queries on the image columns
    llm_visual_states, llm_text_states : (n_v, d_llm), (n_t, d_llm), inside the language model
    llm_visual_keys, llm_text_keys : (llm_heads, n_v, d_llm_key), (llm_heads, n_t, d_llm_key)
    relevant : (n_v,) bool, what the oracle knows
    options : those of the method; inputs that a method does not use are not looked at, but an
        option that it does not have is an error

    Returns
    -------
    Selection

    Raises
    ------
    UnknownNameError
        For a name in no table.
    MissingInputError
        If the method needs an input that is not given.
    ParameterError
        For an option that the method does not have, or a value outside its range.
    BudgetError, DTypeError, ShapeError, NonFiniteError, ZeroNormError, EmptyInputError

    Examples
    --------
    >>> import torch
    >>> v = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    >>> kept = select("similarity", visual=v, text=torch.tensor([[0.0, 1.0]]), budget=2)
    >>> kept.indices, kept.guarantee
    (tensor([1, 2]), 'exact')
    """
    if "prior" in options and isinstance(options["prior"], Tensor):
        options["prior"] = options["prior"][None]
    inputs = as_batch(
        _given(
            visual=visual,
            text=text,
            cls_attention=cls_attention,
            patch_attention=patch_attention,
            received_attention=received_attention,
            encoder_features=encoder_features,
            encoder_keys=encoder_keys,
            clip_visual=clip_visual,
            clip_text=clip_text,
            text_attention=text_attention,
            llm_visual_states=llm_visual_states,
            llm_text_states=llm_text_states,
            llm_visual_keys=llm_visual_keys,
            llm_text_keys=llm_text_keys,
            relevant=relevant,
        )
    )
    (selection,) = run(
        method,
        inputs,
        {},
        options,
        budget=budget,
        seed=seed,
        grid=grid,
        zero_norm=zero_norm,
        mode=mode,
    )
    return selection


def select_batch(
    method: str,
    *,
    visual: Tensor | None = None,
    text: Tensor | None = None,
    visual_mask: Tensor | None = None,
    text_mask: Tensor | None = None,
    budget: int | float,
    seed: int | Sequence[int] = 0,
    grid: tuple[int, ...] | None = None,
    zero_norm: str = "error",
    mode: Mode = "exact",
    cls_attention: Tensor | None = None,
    patch_attention: Tensor | None = None,
    received_attention: Tensor | None = None,
    encoder_features: Tensor | None = None,
    encoder_keys: Tensor | None = None,
    clip_visual: Tensor | None = None,
    clip_text: Tensor | None = None,
    text_attention: Tensor | None = None,
    llm_visual_states: Tensor | None = None,
    llm_text_states: Tensor | None = None,
    llm_visual_keys: Tensor | None = None,
    llm_text_keys: Tensor | None = None,
    relevant: Tensor | None = None,
    **options: Unpack[Options],
) -> tuple[Selection, ...]:
    """`select` for every sample of a batch, together: the same answers, sooner.

    Every input has a leading batch axis. Ragged batches are padded; the masks say what is real, and
    indices count padded places.

    Source: Eqs. (14), (24); Algorithm 1.

    Parameters
    ----------
    method, budget, grid, zero_norm, mode, options : as for `select`
    visual, text, ... : as for `select`, with a leading batch axis
    visual_mask, text_mask : (b, n_v), (b, n_t) bool, True where real
    seed : one for all, each sample drawing as if it were alone, or one per sample

    Returns
    -------
    tuple of Selection, one per sample

    Raises
    ------
    MitheoryError
        As `select`.

    Examples
    --------
    >>> import torch
    >>> v = torch.eye(3).expand(2, 3, 3)
    >>> words = torch.tensor([[[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]])
    >>> [s.indices.tolist() for s in select_batch("similarity", visual=v, text=words, budget=1)]
    [[2], [1]]
    """
    inputs = _given(
        visual=visual,
        text=text,
        cls_attention=cls_attention,
        patch_attention=patch_attention,
        received_attention=received_attention,
        encoder_features=encoder_features,
        encoder_keys=encoder_keys,
        clip_visual=clip_visual,
        clip_text=clip_text,
        text_attention=text_attention,
        llm_visual_states=llm_visual_states,
        llm_text_states=llm_text_states,
        llm_visual_keys=llm_visual_keys,
        llm_text_keys=llm_text_keys,
        relevant=relevant,
    )
    masks = {"n_v": visual_mask, "n_t": text_mask}
    return run(
        method,
        inputs,
        masks,
        options,
        budget=budget,
        seed=seed,
        grid=grid,
        zero_norm=zero_norm,
        mode=mode,
    )


def _given(**inputs: Tensor | None) -> dict[str, Tensor]:
    return {name: x for name, x in inputs.items() if x is not None}
