"""The one front door: a method by name, tensors by keyword, a `Selection` back."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from torch import Tensor

from ..checks import check_budget, lookup
from ..distributions import ZERO_NORM
from ..errors import DTypeError, MissingInputError, ParameterError, ShapeError
from .engine import WHOLE, Picks
from .inputs import SHAPES, Group, as_batch, check_mask, check_values, checked, groups
from .record import Selection
from .registry import SELECTORS, Method

CHUNK = 2**21  # pairs of tokens at a time, about what a cache holds


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
    include_diagonal: bool
    word_aggregation: str
    relevance_source: str
    relevance_sign: float


def select(
    method: str,
    *,
    visual: Tensor,
    text: Tensor | None = None,
    budget: int | float,
    seed: int = 0,
    grid: tuple[int, ...] | None = None,
    zero_norm: str = "error",
    cls_attention: Tensor | None = None,
    patch_attention: Tensor | None = None,
    encoder_features: Tensor | None = None,
    clip_visual: Tensor | None = None,
    clip_text: Tensor | None = None,
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
    visual, text : (n_v, d), (n_t, d)
    budget : an int, or a ratio in (0, 1] of n_v, rounded half up to at least one token; 1 is one
        token, 1.0 is all of them
    seed : of the methods that draw
    grid : (rows, cols[, frames]), for the priors of position
    zero_norm : "error", or "uninformative": cosine 0 with everything
    cls_attention : (heads, n_v)
    patch_attention : (heads, n_v, n_v), row attends to column
    encoder_features : (n_v, d_encoder)
    clip_visual, clip_text : (n_v, d_clip), (n_segments, d_clip)
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
            encoder_features=encoder_features,
            clip_visual=clip_visual,
            clip_text=clip_text,
            relevant=relevant,
        )
    )
    (selection,) = _run(
        method, inputs, {}, options, budget=budget, seed=seed, grid=grid, zero_norm=zero_norm
    )
    return selection


def select_batch(
    method: str,
    *,
    visual: Tensor,
    text: Tensor | None = None,
    visual_mask: Tensor | None = None,
    text_mask: Tensor | None = None,
    budget: int | float,
    seed: int | Sequence[int] = 0,
    grid: tuple[int, ...] | None = None,
    zero_norm: str = "error",
    cls_attention: Tensor | None = None,
    patch_attention: Tensor | None = None,
    encoder_features: Tensor | None = None,
    clip_visual: Tensor | None = None,
    clip_text: Tensor | None = None,
    relevant: Tensor | None = None,
    **options: Unpack[Options],
) -> tuple[Selection, ...]:
    """`select` for every sample of a batch, together: the same answers, sooner.

    Every input has a leading batch axis. Ragged batches are padded; the masks say what is real, and
    indices count padded places.

    Source: Eqs. (14), (24); Algorithm 1.

    Parameters
    ----------
    method, budget, grid, zero_norm, options : as for `select`
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
        encoder_features=encoder_features,
        clip_visual=clip_visual,
        clip_text=clip_text,
        relevant=relevant,
    )
    masks = {"n_v": visual_mask, "n_t": text_mask}
    return _run(
        method, inputs, masks, options, budget=budget, seed=seed, grid=grid, zero_norm=zero_norm
    )


def _given(**inputs: Tensor | None) -> dict[str, Tensor]:
    return {name: x for name, x in inputs.items() if x is not None}


def _run(
    name: str,
    inputs: Mapping[str, Tensor],
    masks: Mapping[str, Tensor | None],
    options: Options,
    *,
    budget: int | float,
    seed: int | Sequence[int],
    grid: tuple[int, ...] | None,
    zero_norm: str,
) -> tuple[Selection, ...]:
    """Checks, groups of one shape, chunks of bounded size, records."""
    method = lookup(name, SELECTORS, "method")
    _check_options(method, options)
    lookup(zero_norm, {z: z for z in ZERO_NORM}, "zero_norm")
    used = checked(_needed(method, inputs))
    size = len(used["visual"])
    masks = _masks(used, masks)
    seeds = _seeds(seed, size)
    axes = dict(SHAPES)
    given: dict[str, Any] = dict(options)
    if isinstance(given.get("prior"), Tensor):  # travels with the tokens it weighs
        axes["prior"] = ("n_v",)
        used["prior"] = _prior(given.pop("prior"), used["visual"])
    results: list[Selection | None] = [None] * size
    for group in groups(used, axes, masks):
        k = check_budget(budget, group.n_v)
        check_values(group.inputs, nonzero="zero_norm" in method.context and zero_norm == "error")
        step = _chunk(group)
        for start in range(0, len(group.members), step):
            part = slice(start, start + step)
            rows = group.members[part].tolist()
            own = [seeds[r] for r in rows]
            context = {"budget": k, "seeds": own, "grid": grid, "zero_norm": zero_norm}
            picks = method.fn(
                **{n: x[part] for n, x in group.inputs.items() if n in (*method.inputs, "prior")},
                **{n: context[n] for n in method.context},
                **given,
            )
            for row, selection in zip(
                rows, _records(method, picks, group, part, own, options, used), strict=True
            ):
                results[row] = selection
    return tuple(s for s in results if s is not None)


def _chunk(group: Group) -> int:
    """Samples at a time; one by one where rows are streamed on a CPU: its products of a batch of
    matrices with one vector each are slower than those of one matrix."""
    if group.n_v > WHOLE and group.inputs["visual"].is_cpu:
        return 1
    return max(1, CHUNK // group.n_v**2)


def _records(
    method: Method,
    picks: Picks,
    group: Group,
    part: slice,
    seeds: Sequence[int],
    options: Options,
    used: Mapping[str, Tensor],
) -> list[Selection]:
    """One `Selection` per sample of a chunk, indices in padded places."""
    indices = picks.indices
    if group.places is not None:
        indices = group.places[part].gather(1, indices)
    params: dict[str, Any] = method.defaults | dict(options)
    if isinstance(params.get("prior"), Tensor):
        params["prior"] = "explicit"
    seeded = "seeds" in method.context
    return [
        Selection(
            indices=indices[row],
            gains=picks.gains[row],
            method=method.name,
            budget=indices.shape[1],
            n_v=used["visual"].shape[1],
            guarantee=picks.guarantee,
            evaluations=picks.evaluations,
            params=params | ({"seed": seeds[row]} if seeded else {}),
        )
        for row in range(len(indices))
    ]


def _check_options(method: Method, options: Options) -> None:
    known = method.defaults
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            has = ", ".join(known) or "none"
            raise ParameterError(f"{method.name} has no option {name!r}{hint} It has: {has}")


def _needed(method: Method, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`visual`, which says how many tokens there are, and what the method looks at."""
    missing = [name for name in method.requires if name not in inputs]
    if missing:
        name = missing[0]
        shape = ", ".join(SHAPES[name])
        raise MissingInputError(f"{method.name} needs {name!r} ({shape}), which was not given")
    return {n: x for n, x in inputs.items() if n == "visual" or n in method.inputs}


def _masks(
    used: Mapping[str, Tensor], masks: Mapping[str, Tensor | None]
) -> dict[str, Tensor | None]:
    """The masks of the inputs in use, checked."""
    out: dict[str, Tensor | None] = {}
    for axis, name in (("n_v", "visual"), ("n_t", "text")):
        if name in used:
            shape = (used[name].shape[0], used[name].shape[1])
            out[axis] = check_mask(f"{name}_mask", masks.get(axis), shape)
    return out


def _seeds(seed: int | Sequence[int], size: int) -> list[int]:
    seeds = list(seed) if isinstance(seed, Sequence) else [seed] * size
    if any(isinstance(s, bool) or not isinstance(s, int) for s in seeds):
        raise DTypeError(f"seed: expected an int, or one per sample, got {seed!r}")
    if len(seeds) != size:
        raise ShapeError(f"seed: expected one or {size} of them, got {len(seeds)}")
    return seeds


def _prior(prior: Tensor, visual: Tensor) -> Tensor:
    """An explicit prior for every sample (b, n_v)."""
    b, n, _ = visual.shape
    if prior.shape not in ((n,), (1, n), (b, n)):
        raise ShapeError(f"prior: expected ({n},) or ({b}, {n}), got {tuple(prior.shape)}")
    return prior.to(visual).expand(b, n)
