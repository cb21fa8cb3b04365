r"""Dynamic budgets: how many tokens to keep of an order of choice, told by its gains.

Greedy choices are nested: what it keeps at a budget is the beginning of what it keeps at a larger
one. One long selection therefore holds every shorter one, and a dynamic budget is a place to stop.
A rule is a curve that never rises, :math:`c_t` before choice :math:`t + 1`, and a level: choices go
on while :math:`c_t` is at least the level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..checks import check_share, lookup
from ..errors import EmptyInputError, NonFiniteError, ParameterError, PropertyError, ShapeError
from ..properties import MONOTONE, SUBMODULAR
from ..setfunctions import SetFunction
from .record import Selection

NESTED = frozenset(
    "mi_pruner similarity centered_similarity attention cls_attention divprune facility_location "
    "log_det max_coverage flmi flqmi gcmi com log_det_mi cdpruner mmtok oracle random "
    "greedy lazy_greedy top_k".split()
)
"""Methods and searches whose choices at a budget are the first of those at a larger one."""


def prefix(selection: Selection, budget: int) -> Selection:
    """The selection of a smaller budget, without selecting again.

    Source: nemhauser1978 (greedy sets are nested).

    Parameters
    ----------
    selection : of a method in `NESTED`, mode "exact"
    budget : from 1 to the number of tokens in it

    Raises
    ------
    PropertyError
        If the method does not choose the same tokens first at every budget.
    ParameterError
        If the budget is none of those.

    Examples
    --------
    >>> kept = Selection(torch.tensor([2, 0, 1]), torch.tensor([3.0, 2.0, 1.0]), "greedy", 3, 4)
    >>> prefix(kept, 2).indices
    tensor([2, 0])
    """
    if selection.method not in NESTED or selection.mode != "exact":
        raise PropertyError(
            f"prefix: expected an exact selection by one of {sorted(NESTED)}, got "
            f"{selection.method!r}, mode {selection.mode!r}"
        )
    if not 1 <= budget <= len(selection.indices):
        raise ParameterError(f"budget: expected within 1..{len(selection.indices)}, got {budget!r}")
    return Selection(
        indices=selection.indices[:budget],
        gains=selection.gains[:budget],
        method=selection.method,
        budget=budget,
        n_v=selection.n_v,
        guarantee=selection.guarantee,
        evaluations=selection.evaluations,
        params=selection.params,
    )


def gain_curve(gains: Tensor) -> Tensor:
    """The lowest gain so far, (k,): stops before the first choice of a gain under the level.

    For scores without a guarantee: the level has the unit of the score, and what it should be is a
    matter of calibration.

    Source: docs/theory.md (the greedy score only falls after the first choice).

    Raises
    ------
    NonFiniteError
        If a gain is NaN, as of tokens that were chosen by other means.

    Examples
    --------
    >>> gain_curve(torch.tensor([0.5, 0.9, 0.2]))
    tensor([0.5000, 0.5000, 0.2000])
    """
    _check_gains(gains)
    return gains.cummin(0).values


def certified_curve(gains: Tensor, horizon: int, *, modular: bool = False) -> Tensor:
    r"""How far greedy sets are from the best of `horizon` tokens at most, from their gains alone.

    With F_t the sum of the first t gains, g the greedy gain that follows and K the horizon,

    .. math:: c_t = 1 - F_t / \min_{s \le t} (F_s + K g_{s+1})
        \ge 1 - f(S_t) / \max_{|O| \le K} f(O)

    for a normalized, monotone, submodular f, as the greedy gain is the largest that is left. If the
    function is modular the gains left are the next ones themselves, and so is their sum.

    Source: leskovec2007; nemhauser1978.

    Parameters
    ----------
    gains : (k,) of greedy choices, in order, nonnegative
    horizon : size of the sets that are compared with
    modular : whether gains do not depend on what is chosen

    Returns
    -------
    (k,) float64 in [0, 1], never rising; entry t is of the first t choices

    Raises
    ------
    NonFiniteError
        If a gain is NaN.
    ParameterError
        If gains are negative or rise, which those of such a function do not, or the horizon is no
        positive integer.

    Examples
    --------
    Nothing is chosen yet; then 3 of at most 3 + 2 · 1; then 4 of at most 4 + 2 · 0.

    >>> certified_curve(torch.tensor([3.0, 1.0, 0.0]), 2)
    tensor([1.0000, 0.4000, 0.0000], dtype=torch.float64)
    """
    _check_gains(gains)
    _check_horizon(horizon)
    own = gains.double()
    slack = 64 * torch.finfo(gains.dtype).eps * float(own.abs().max())
    if float(own.min()) < -slack or bool((own.diff() > slack).any()):
        raise ParameterError(
            "gains: expected nonnegative ones that never rise, as greedy has of a monotone "
            f"submodular function, got {gains.tolist()}"
        )
    own = own.clamp(min=0)
    before = torch.cat([own.new_zeros(1), own.cumsum(0)])  # F_0 .. F_k
    left = horizon * own
    if modular:
        ends = (torch.arange(len(own)) + horizon).clamp(max=len(own))
        left = before[ends] - before[:-1]
    return _missing(before[:-1], left)


def certified_curve_of(function: SetFunction, order: Sequence[int], horizon: int) -> Tensor:
    """`certified_curve` from all gains that are left, which is sharper, and for any order.

    .. math:: \\max_{|O| \\le K} f(O) \\le \\min_{s \\le t} \\bigl(f(S_s)
        + \\textstyle\\sum_{i \\in \\mathrm{top}_K} f(i \\mid S_s)\\bigr)

    Source: leskovec2007.

    Parameters
    ----------
    function : normalized, MONOTONE and SUBMODULAR
    order : distinct elements
    horizon : size of the sets that are compared with

    Returns
    -------
    (k,) float64 in [0, 1], never rising

    Raises
    ------
    PropertyError
        If the function does not declare MONOTONE and SUBMODULAR.
    ParameterError
        If an element stands twice, or the horizon is no positive integer.

    Examples
    --------
    >>> from mitheory.setfunctions import FacilityLocation
    >>> covers = FacilityLocation(torch.tensor([[0.2, 0.9, 0.8], [0.8, 0.1, 0.2]]))
    >>> certified_curve_of(covers, [0, 1], 2)  # nothing, then 1 of at most 2
    tensor([1.0000, 0.5000], dtype=torch.float64)
    """
    if not {MONOTONE, SUBMODULAR} <= function.properties:
        raise PropertyError(
            f"certified_curve_of: expected a function that declares MONOTONE and SUBMODULAR, got "
            f"{type(function).__name__} with {sorted(p.value for p in function.properties)}"
        )
    _check_horizon(horizon)
    if not len(order):
        raise EmptyInputError("order: expected at least one element, got none")
    if len(set(order)) < len(order):
        raise ParameterError(f"order: expected distinct elements, got {list(order)}")
    state, values, left = function.start(), [0.0], []
    open_ = torch.ones(function.n, dtype=torch.bool)
    for i in order:
        gains = function.gains(state).double().clamp(min=0)
        own = gains[open_]
        left.append(own.topk(min(horizon, len(own))).values.sum())
        values.append(values[-1] + float(gains[i]))
        open_[i] = False
        state = function.extend(state, i)
    return _missing(torch.tensor(values[:-1], dtype=torch.float64), torch.stack(left))


def stop(curve: Tensor, level: float, *, smallest: int = 1) -> int:
    """How many tokens are kept: choices go on while the curve is at least the level.

    Source: App. C.5 ("dynamic budget").

    Parameters
    ----------
    curve : (k,), never rising
    level : ε of a certified curve, or a score
    smallest : kept in any case

    Raises
    ------
    ParameterError
        If the curve rises, the level is NaN, or `smallest` is not within 1..k.

    Examples
    --------
    >>> stop(torch.tensor([1.0, 0.4, 0.1, 0.0]), 0.2)
    2
    """
    _check_curve(curve)
    if math.isnan(level):
        raise ParameterError(f"level: expected a number, got {level}")
    if not 1 <= smallest <= len(curve):
        raise ParameterError(f"smallest: expected within 1..{len(curve)}, got {smallest!r}")
    return max(smallest, int((curve >= level).sum()))


def calibrated_level(curves: Sequence[Tensor], average: float, *, smallest: int = 1) -> float:
    """The level whose average number of kept tokens is `average`, or just above it where it jumps.

    Curves of held-out samples; no answer is looked at. Source: App. C.5 ("dynamic budget").

    Parameters
    ----------
    curves : one (k,) per sample, never rising
    average : wanted mean of `stop`, from `smallest` to the mean length of the curves
    smallest : as in `stop`

    Raises
    ------
    EmptyInputError
        If there is no curve.
    ParameterError
        If no level keeps so many on average.

    Examples
    --------
    >>> curves = [torch.tensor([1.0, 0.5, 0.1]), torch.tensor([1.0, 0.9, 0.8])]
    >>> level = calibrated_level(curves, 2.0)
    >>> level, [stop(c, level) for c in curves]
    (0.8, [1, 3])
    """
    if not len(curves):
        raise EmptyInputError("curves: expected at least one, got none")
    for curve in curves:
        _check_curve(curve)
    longest = sum(len(c) for c in curves) / len(curves)
    if not smallest <= average <= longest:
        raise ParameterError(f"average: expected within {smallest}..{longest:g}, got {average!r}")
    extra = torch.cat([curve[smallest:].double() for curve in curves])  # what a level decides
    wanted = math.ceil(round((average - smallest) * len(curves), 9))
    if wanted <= 0:
        return math.inf
    return float(extra.sort(descending=True).values[wanted - 1])


CURVES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "gain": lambda gains, horizon: gain_curve(gains),
    "certified": lambda gains, horizon: certified_curve(gains, horizon),
    "certified_modular": lambda gains, horizon: certified_curve(gains, horizon, modular=True),
}
"""Rules by name, from gains and a horizon, which "gain" does not look at."""


def stopped(
    selection: Selection, level: float, *, rule: str = "gain", horizon: int | None = None
) -> Selection:
    """The part of a selection that a rule keeps.

    Source: App. C.5 ("dynamic budget").

    Parameters
    ----------
    selection : of a method in `NESTED`, long enough to stop in
    level : as in `stop`; of the certified rules ε in [0, 1]
    rule : a name of `CURVES`. The certified ones are for methods with the guarantee "1-1/e", and
        the modular one for "exact" ones
    horizon : of the certified rules; as many tokens as were selected, unless given

    Raises
    ------
    PropertyError
        If the rule needs a guarantee that the selection does not have, or as `prefix`.
    UnknownNameError, ParameterError, NonFiniteError

    Examples
    --------
    >>> kept = Selection(
    ...     torch.tensor([2, 0, 1]), torch.tensor([3.0, 2.0, 0.1]), "greedy", 3, 4, "1-1/e"
    ... )
    >>> stopped(kept, 0.5).indices, stopped(kept, 0.1, rule="certified").indices
    (tensor([2, 0]), tensor([2, 0]))
    """
    curve = lookup(rule, CURVES, "rule")
    needed = {"certified": ("1-1/e", "exact"), "certified_modular": ("exact",)}.get(rule)
    if needed is not None:
        check_share("level", level)
        if selection.guarantee not in needed:
            raise PropertyError(
                f"rule {rule!r}: expected a guarantee among {list(needed)}, got "
                f"{selection.guarantee!r} of {selection.method!r}; use 'gain'"
            )
    size = len(selection.indices) if horizon is None else horizon
    return prefix(selection, stop(curve(selection.gains, size), level))


def _missing(values: Tensor, left: Tensor) -> Tensor:
    """1 − value / bound, each bound holding from its place on; 0 where the bound is 0."""
    bound = (values + left).cummin(0).values
    share = torch.where(bound > 0, 1 - values / bound.clamp(min=torch.finfo(bound.dtype).tiny), 0.0)
    return share.clamp(min=0).cummin(0).values  # below 0 by rounding only


def _check_gains(gains: Tensor) -> None:
    if gains.ndim != 1:
        raise ShapeError(f"gains: expected (k,), got {tuple(gains.shape)}")
    if not len(gains):
        raise EmptyInputError("gains: expected at least one, got none")
    if bool(gains.isnan().any()):
        raise NonFiniteError("gains: expected numbers, got NaN, as of tokens chosen by other means")


def _check_horizon(horizon: int) -> None:
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
        raise ParameterError(f"horizon: expected a positive integer, got {horizon!r}")


def _check_curve(curve: Tensor) -> None:
    if curve.ndim != 1 or not len(curve):
        raise ShapeError(f"curve: expected (k,) of at least one, got {tuple(curve.shape)}")
    if bool((curve.diff() > 0).any()) or bool(curve.isnan().any()):
        raise ParameterError(f"curve: expected one that never rises, got {curve.tolist()}")
