"""Behind the front door: checks, groups of one shape, chunks of bounded size, records."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..checks import check_budget, lookup
from ..distributions import ZERO_NORM
from ..errors import DTypeError, MissingInputError, ParameterError, ShapeError
from .engine import WHOLE, Picks
from .inputs import Group, Shapes, check_mask, check_values, checked, groups, sizes_of
from .merging import Merge
from .record import Mode, Selection
from .registry import SELECTORS, Method

MODES = {"exact": "exact", "faithful": "faithful"}
ZERO_NORMS = dict.fromkeys(ZERO_NORM)
CHUNK = 2**21  # pairs of tokens at a time, about what a cache holds
CHUNK_GPU = 2**27  # likewise on a GPU: half a GiB a matrix, and every launch serves many samples


def run(
    name: str,
    inputs: Mapping[str, Tensor],
    masks: Mapping[str, Tensor | None],
    options: Mapping[str, Any],
    *,
    budget: int | float,
    seed: int | Sequence[int],
    grid: tuple[int, ...] | None,
    zero_norm: str,
    mode: Mode,
) -> tuple[Selection, ...]:
    """Checks, groups of one shape, chunks of bounded size, records."""
    method = lookup(name, SELECTORS, "method")
    _check_options(method, options)
    lookup(zero_norm, ZERO_NORMS, "zero_norm")
    lookup(mode, MODES, "mode")
    axes = method.shapes(options)
    used = checked(_needed(method, inputs, options, axes, mode), axes)
    sizes = sizes_of(used, axes)
    size = sizes["batch"]
    masks = _masks(sizes, masks)
    seeds = _seeds(seed, size)
    given: dict[str, Any] = dict(options)
    if isinstance(given.get("prior"), Tensor):  # travels with the tokens it weighs
        axes = {**axes, "prior": ("n_v",)}
        used["prior"] = _prior(given.pop("prior"), used["visual"])
    params = _params(method, options)
    results: list[Selection | None] = [None] * size
    for group in groups(used, axes, masks, sizes["n_v"]):
        k = check_budget(budget, group.n_v)
        found = check_values(
            group.inputs,
            directions=method.directions,
            refused=zero_norm == "error",
            summed=method.summed,
        )
        for part, known in group.parts(_chunk(group), found):
            own = [seeds[r] for r in part.members]
            context = {
                "budget": k,
                "seeds": own,
                "grid": grid,
                "zero_norm": "uninformative",  # zero rows are refused by now, or welcome
                "mode": mode,
                "norms": known.norms,
                "sums": known.sums,
            }
            picks = method.fn(
                **{n: x for n, x in part.inputs.items() if n in method.inputs or n == "prior"},
                **{n: context[n] for n in method.context},
                **given,
            )
            records = _records(method, picks, part, own, params, sizes["n_v"], k, mode)
            for row, selection in zip(part.members, records, strict=True):
                results[row] = selection
    return tuple(s for s in results if s is not None)


def _chunk(group: Group) -> int:
    """Samples at a time; one by one where rows are streamed on a CPU: its products of a batch of
    matrices with one vector each are slower than those of one matrix."""
    first = next(iter(group.inputs.values()))
    if group.n_v > WHOLE and first.is_cpu:
        return 1
    pairs = CHUNK_GPU if first.is_cuda else CHUNK
    return max(1, pairs // group.n_v**2)


def _params(method: Method, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options, written or not, JSON-able."""
    params: dict[str, Any] = method.defaults | dict(options)
    if isinstance(params.get("prior"), Tensor):
        params["prior"] = "explicit"
    return params


def _records(
    method: Method,
    picks: Picks,
    part: Group,
    seeds: Sequence[int],
    params: Mapping[str, Any],
    n_v: int,
    budget: int,
    mode: Mode,
) -> list[Selection]:
    """One `Selection` per sample of a chunk, indices in padded places."""
    indices, into = picks.indices, picks.into
    if part.places is not None:
        indices = part.places.gather(1, indices)
        if into is not None:
            moved = torch.where(into < 0, -1, part.places.gather(1, into.clamp(min=0)))
            into = moved.new_full((len(moved), n_v), -1).scatter_(1, part.places, moved)
    size = len(part.members)
    chosen, gains = list(indices.unbind()), list(picks.gains.unbind())
    if picks.counts is not None:
        counts = picks.counts.tolist()
        chosen = [x[:k] for x, k in zip(chosen, counts, strict=True)]
        gains = [x[:k] for x, k in zip(gains, counts, strict=True)]
    notes = picks.departures
    each = notes if isinstance(notes, list) else [notes] * size
    evaluations = picks.spent or (picks.evaluations,) * size
    seeded = "seeds" in method.context
    return [
        Selection(
            indices=chosen[row],
            gains=gains[row],
            method=method.name,
            budget=budget,
            n_v=n_v,
            guarantee=picks.guarantee,
            evaluations=evaluations[row],
            params={**params, "seed": seeds[row]} if seeded else dict(params),
            mode=mode,
            departures=each[row],
            merge=None if into is None else Merge(into[row], picks.merge_rule),
            info={} if picks.info is None else picks.info[row],
        )
        for row in range(size)
    ]


def _check_options(method: Method, options: Mapping[str, Any]) -> None:
    known = method.defaults
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            has = ", ".join(known) or "none"
            raise ParameterError(f"{method.name} has no option {name!r}{hint} It has: {has}")


def _needed(
    method: Method,
    inputs: Mapping[str, Tensor],
    options: Mapping[str, Any],
    axes: Shapes,
    mode: Mode,
) -> dict[str, Tensor]:
    """`visual`, whose mask says which tokens are real, and what the method looks at."""
    needed = method.required(options, mode, given=inputs)
    missing = [name for name in needed if name not in inputs]
    if missing:
        name = missing[0]
        shape = ", ".join(axes[name])
        raise MissingInputError(f"{method.name} needs {name!r} ({shape}), which was not given")
    return {n: x for n, x in inputs.items() if n == "visual" or n in method.inputs}


def _masks(
    sizes: Mapping[str, int], masks: Mapping[str, Tensor | None]
) -> dict[str, Tensor | None]:
    """The masks of the axes in use, checked.

    Raises
    ------
    ParameterError
        If tokens are padded and attention is between patches that are not yet tokens.
    """
    out: dict[str, Tensor | None] = {}
    for axis, name in (("n_v", "visual"), ("n_t", "text")):
        if axis in sizes:
            shape = (sizes["batch"], sizes[axis])
            out[axis] = check_mask(f"{name}_mask", masks.get(axis), shape)
    if "n_p" in sizes and out.get("n_v") is not None:
        raise ParameterError(
            "visual_mask: expected no padding with merge_size above 1, got some; which of the "
            "unmerged patches are padding is not known, so take such samples one by one"
        )
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
