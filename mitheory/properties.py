"""Properties that objectives declare and algorithms require; checks that find counter-examples.

The exhaustive checks are exponential in the size of the ground set: they are for small ones, where
they are proofs. The sampled one is for large ones, where it counts violations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import combinations, permutations

import numpy as np
import torch

from .errors import ParameterError

Value = Callable[[Sequence[int]], float]
"""A set function: from distinct elements, in any order, to a number."""

Scores = Callable[[Sequence[int]], torch.Tensor]
"""A score rule: from the elements selected so far, in order, to the score (n,) of every element."""


class Property(Enum):
    """What may be said of an objective; each is checked by the function of that name."""

    NORMALIZED = "normalized"
    MONOTONE = "monotone"
    SUBMODULAR = "submodular"
    MODULAR = "modular"
    ANTITONE = "antitone"
    ANTITONE_AFTER_FIRST = "antitone_after_first"
    PATH_INDEPENDENT = "path_independent"


NORMALIZED = Property.NORMALIZED
MONOTONE = Property.MONOTONE
SUBMODULAR = Property.SUBMODULAR
MODULAR = Property.MODULAR
ANTITONE = Property.ANTITONE
ANTITONE_AFTER_FIRST = Property.ANTITONE_AFTER_FIRST
PATH_INDEPENDENT = Property.PATH_INDEPENDENT


@dataclass(frozen=True)
class Counterexample:
    """Two numbers that a property orders, in the wrong order.

    `left` should have been at least `right` (equal to it, for equalities); `smaller` and `larger`
    are the sets, or the orders of selection, at which they arise.
    """

    name: Property
    smaller: tuple[int, ...]
    larger: tuple[int, ...]
    element: int | None
    left: float
    right: float

    @property
    def violation(self) -> float:
        """By how much the claim fails, in the units of the objective."""
        return abs(self.right - self.left)


def subsets(n: int, *, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """All subsets of range(n), small ones first.

    >>> list(subsets(2))
    [(), (0,), (1,), (0, 1)]
    """
    for size in range((n if largest is None else largest) + 1):
        yield from combinations(range(n), size)


def check_normalized(f: Value, n: int, *, tolerance: float = 1e-9) -> Counterexample | None:
    """Whether f(∅) = 0; the counter-example otherwise.

    >>> check_normalized(lambda s: float(len(s)), 3) is None
    True
    """
    value = f(())
    if abs(value) <= tolerance:
        return None
    return Counterexample(NORMALIZED, (), (), None, value, 0.0)


def check_monotone(f: Value, n: int, *, tolerance: float = 1e-9) -> Counterexample | None:
    """Whether no element ever lowers the value, over all sets.

    Source: nemhauser1978.

    Examples
    --------
    >>> check_monotone(lambda s: float(len(s) == 1), 2)  # of two elements, the second costs
    Counterexample(name=<Property.MONOTONE: 'monotone'>, smaller=(0,), larger=(0, 1),
                   element=1, left=0.0, right=1.0)
    """
    values = _all_values(f, n)
    for small in subsets(n, largest=n - 1):
        for i in set(range(n)) - set(small):
            large = _with(small, i)
            if values[large] < values[small] - tolerance:
                return Counterexample(MONOTONE, small, large, i, values[large], values[small])
    return None


def check_submodular(f: Value, n: int, *, tolerance: float = 1e-9) -> Counterexample | None:
    """Whether gains diminish: f(S+i) + f(S+j) ≥ f(S+i+j) + f(S) over all S, i, j.

    Pairs suffice: a larger set is reached one element at a time.

    Source: Eq. (10).

    Examples
    --------
    >>> check_submodular(lambda s: float(len(s) == 2), 2)  # exclusive or: gains 0, then 1
    Counterexample(name=<Property.SUBMODULAR: 'submodular'>, smaller=(), larger=(1,),
                   element=0, left=0.0, right=1.0)
    """
    for small, large, i, first, later in _gain_pairs(f, n):
        if first < later - tolerance:
            return Counterexample(SUBMODULAR, small, large, i, first, later)
    return None


def check_modular(f: Value, n: int, *, tolerance: float = 1e-9) -> Counterexample | None:
    """Whether the gain of an element is the same whatever the set.

    Source: nemhauser1978.

    Examples
    --------
    >>> check_modular(lambda s: float(len(s)), 3) is None
    True
    >>> check_modular(lambda s: float(len(s) > 0), 2)  # either element is enough: gains 1, then 0
    Counterexample(name=<Property.MODULAR: 'modular'>, smaller=(), larger=(1,),
                   element=0, left=1.0, right=0.0)
    """
    for small, large, i, first, later in _gain_pairs(f, n):
        if abs(first - later) > tolerance:
            return Counterexample(MODULAR, small, large, i, first, later)
    return None


def check_antitone(
    scores: Scores, n: int, *, after_first: bool = False, tolerance: float = 1e-9
) -> Counterexample | None:
    """Whether a score never rises while the selection grows, over all orders of selection.

    This, and not submodularity, is what a heap of stale scores needs. `after_first` starts with
    one element selected.

    Source: minoux1978.

    Examples
    --------
    >>> check_antitone(lambda path: torch.full((3,), -float(len(path))), 3) is None
    True
    >>> check_antitone(lambda path: torch.full((2,), float(len(path))), 2)
    Counterexample(name=<Property.ANTITONE: 'antitone'>, smaller=(), larger=(0,),
                   element=1, left=0.0, right=1.0)
    """
    name = ANTITONE_AFTER_FIRST if after_first else ANTITONE
    for path in _paths(n, shortest=int(after_first), longest=n - 2):
        before = scores(path)
        for j in set(range(n)) - set(path):
            longer = (*path, j)
            after = scores(longer)
            for i in set(range(n)) - set(longer):
                if float(after[i]) > float(before[i]) + tolerance:
                    left, right = float(before[i]), float(after[i])
                    return Counterexample(name, path, longer, i, left, right)
    return None


def check_path_independent(
    scores: Scores, n: int, *, tolerance: float = 1e-9
) -> Counterexample | None:
    """Whether the running total of scores depends on the set alone; two orders otherwise.

    Only a path-independent rule is the marginal gain of a set function.

    Source: Eq. (9).

    Examples
    --------
    The first element costs nothing, so that it matters which one comes first.

    >>> check_path_independent(lambda path: torch.tensor([1.0, 2.0]) * len(path), 2)
    Counterexample(name=<Property.PATH_INDEPENDENT: 'path_independent'>, smaller=(0, 1),
                   larger=(1, 0), element=None, left=2.0, right=1.0)
    """
    totals: dict[tuple[int, ...], float] = {(): 0.0}
    first: dict[tuple[int, ...], tuple[int, ...]] = {(): ()}
    for path in _paths(n, shortest=1, longest=n):
        total = totals[path[:-1]] + float(scores(path[:-1])[path[-1]])
        totals[path] = total
        other = first.setdefault(tuple(sorted(path)), path)
        if abs(total - totals[other]) > tolerance:
            return Counterexample(PATH_INDEPENDENT, other, path, None, totals[other], total)
    return None


@dataclass(frozen=True)
class SampledCheck:
    """How often diminishing returns failed among random quadruples, and the worst failure."""

    violations: int
    trials: int
    worst: Counterexample | None

    @property
    def rate(self) -> float:
        """Share of the quadruples that violate."""
        return self.violations / self.trials


def sample_submodular(
    f: Value, n: int, *, trials: int, rng: np.random.Generator, tolerance: float = 1e-9
) -> SampledCheck:
    """Count violations of diminishing returns over random S, i, j; |S| is uniform on 0..n-2.

    Source: Eq. (10).

    Raises
    ------
    ParameterError
        If there are fewer than two elements or no trials.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sample_submodular(lambda s: float(len(s) == 2), 2, trials=10, rng=rng).rate  # exclusive or
    1.0
    """
    if n < 2 or trials < 1:
        raise ParameterError(f"sampling needs n >= 2 and trials >= 1, got n={n}, trials={trials}")
    violations, worst = 0, None
    for _ in range(trials):
        i, j, *rest = rng.permutation(n)[: 2 + int(rng.integers(n - 1))].tolist()
        small = tuple(sorted(rest))
        first = f(_with(small, i)) - f(small)
        later = f(_with(_with(small, j), i)) - f(_with(small, j))
        if first < later - tolerance:
            violations += 1
            found = Counterexample(SUBMODULAR, small, _with(small, j), i, first, later)
            worst = found if worst is None or found.violation > worst.violation else worst
    return SampledCheck(violations, trials, worst)


def curvature(f: Value, n: int) -> float:
    """How much of an element's value the others can take away: 0 modular, 1 all of it.

    .. math:: c = 1 - \\min_i \\frac{f(V) - f(V \\setminus i)}{f(\\{i\\})}

    Elements with f({i}) = 0 are left out. Source: conforti1984.

    Raises
    ------
    ParameterError
        If no element has positive value: the ratio is undefined.

    Examples
    --------
    >>> curvature(lambda s: float(len(s)), 3)
    0.0
    """
    whole = f(range(n))
    alone = [(i, f((i,))) for i in range(n)]
    ratios = [(whole - f([j for j in range(n) if j != i])) / v for i, v in alone if v > 0]
    if not ratios:
        raise ParameterError("curvature needs an element of positive value, got none")
    return 1.0 - min(ratios)


def submodularity_ratio(f: Value, n: int, *, tolerance: float = 1e-12) -> float:
    """Smallest ratio of summed single gains to the joint gain; at least 1 iff submodular.

    .. math:: \\gamma = \\min_{L, S} \\frac{\\sum_{i \\in S} f(i \\mid L)}{f(S \\mid L)}

    over disjoint L, S with |S| ≥ 2 and f(S | L) > 0; infinite if there is none.
    For monotone functions. Source: das2011.

    Examples
    --------
    >>> submodularity_ratio(lambda s: float(len(s) ** 2), 2)  # gains 1 and 1, together 4
    0.5
    """
    values = _all_values(f, n)
    ratio = float("inf")
    for base in subsets(n):
        rest = [i for i in range(n) if i not in base]
        for size in range(2, len(rest) + 1):
            for added in combinations(rest, size):
                joint = values[tuple(sorted(base + added))] - values[base]
                if joint > tolerance:
                    single = sum(values[_with(base, i)] - values[base] for i in added)
                    ratio = min(ratio, single / joint)
    return ratio


def _with(small: tuple[int, ...], i: int) -> tuple[int, ...]:
    return tuple(sorted((*small, i)))


def _all_values(f: Value, n: int) -> dict[tuple[int, ...], float]:
    return {s: f(s) for s in subsets(n)}


def _gain_pairs(
    f: Value, n: int
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], int, float, float]]:
    """(S, S+j, i, f(i | S), f(i | S+j)) for all S and i ≠ j outside it."""
    values = _all_values(f, n)
    for small in subsets(n, largest=n - 2):
        for i, j in permutations([k for k in range(n) if k not in small], 2):
            large = _with(small, j)
            first = values[_with(small, i)] - values[small]
            yield small, large, i, first, values[_with(large, i)] - values[large]


def _paths(n: int, *, shortest: int, longest: int) -> Iterator[tuple[int, ...]]:
    """All orders of selection, short ones first."""
    for length in range(shortest, longest + 1):
        yield from permutations(range(n), length)


CHECKS: dict[Property, Callable[[Value, int], Counterexample | None]] = {
    NORMALIZED: check_normalized,
    MONOTONE: check_monotone,
    SUBMODULAR: check_submodular,
    MODULAR: check_modular,
}
"""The exhaustive check of each property of a set function."""
