"""The greedy search of MI-Pruner on a CPU: a running maximum of cosines, looked at lazily.

With softmax between visual tokens and p(v_j) the prior, self-PMI is ``cos_ij / τ - lse_i - log
p_j``. In units of (1 - λ) / τ, the score of Eqs. (20)-(22) is therefore

    s_i(S) = a_i - max_{j in S} (cos_ij - τ log p_j),    a_i = τ (λ / (1 - λ) R_i + lse_i),

which only falls as S grows. A score that has not seen the latest choices is an upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]
CANDIDATES = 512  # tokens whose scores are kept up to date between looks at all of them
PENDING = 64  # choices that one look at all tokens takes at a time


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample of the search, in units of (1 - λ) / τ; arrays are views of CPU tensors.

    benefit : (n,) scores before the first choice, what is known without redundancy
    base : (n,) a_i
    offset : (n,) -τ log p_j
    unit : (n, d) unit rows
    cosine : (n, n) where it is kept, on and above the diagonal, else None
    slack : scores closer than this are ties
    """

    benefit: Array
    base: Array
    offset: Array
    unit: Tensor
    cosine: Array | None
    slack: float


@dataclass
class Found:
    """What was chosen, with its scores in units of (1 - λ) / τ, and how many scores it took."""

    indices: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    evaluations: int = 0

    def take(self, index: int, score: float) -> None:
        """One more token."""
        self.indices.append(index)
        self.scores.append(score)


def search(sample: Sample, budget: int, first: list[int]) -> Found:
    """The choices that fill the budget behind `first`, as greedy on all scores makes them.

    Ties within the slack go to the lowest index.

    Source: Eqs. (20)-(24); minoux1978 for stale scores as bounds.
    """
    found = Found()
    todo = budget - len(first)
    if not todo:
        return found
    open_ = np.ones(len(sample.base), dtype=bool)
    open_[first] = False
    start = list(first)
    if not first:
        chosen = _lowest(np.where(open_, sample.benefit, -np.inf), open_, sample.slack)
        found.take(chosen, float(sample.benefit[chosen]))
        found.evaluations += len(open_)
        open_[chosen] = False
        start = [chosen]
    base = np.where(open_, sample.base, -np.inf).astype(sample.base.dtype)
    rest = todo - len(found.indices)
    if rest:
        walk = _dense if sample.cosine is not None else _lazy
        walk(sample, base, open_, start, rest, found)
    return found


def _lowest(scores: Array, open_: Array, slack: float) -> int:
    """Lowest index within the slack of the best score; closed tokens have -inf."""
    limit = scores[scores.argmax()] - slack
    if limit == -np.inf:
        return int(open_.argmax())
    return int((scores >= limit).argmax())


def _dense(
    sample: Sample, base: Array, open_: Array, start: list[int], rest: int, found: Found
) -> None:
    """All scores at every choice: O(N) each, from a row of the cosines that are kept."""
    assert sample.cosine is not None
    cosine, offset, slack = sample.cosine, sample.offset, sample.slack
    constant = float(offset[0]) if bool((offset == offset[0]).all()) else None
    if constant is not None:  # one number in all penalties: from the base, once
        base = base - offset[0]
    row, tied = np.empty_like(base), np.empty_like(open_)
    scores = np.full_like(base, np.inf)

    def lower(j: int) -> None:
        """Scores to where this choice leaves them; those of closed tokens are -inf."""
        row[:j], row[j:] = cosine[:j, j], cosine[j, j:]
        if constant is None:
            np.add(row, offset[j], out=row)
        np.subtract(base, row, out=row)
        np.minimum(scores, row, out=scores)

    for j in start:
        lower(j)
    indices, gains = found.indices, found.scores
    for _ in range(rest):
        limit = scores[scores.argmax()] - slack
        np.greater_equal(scores, limit, out=tied)
        chosen = int(tied.argmax()) if limit > -np.inf else int(open_.argmax())
        indices.append(chosen)
        gains.append(float(scores[chosen]))
        scores[chosen], open_[chosen] = -np.inf, False
        lower(chosen)
    opened = int(open_.sum())
    found.evaluations += sum(opened + t + 1 for t in range(rest))


def _lazy(
    sample: Sample, base: Array, open_: Array, start: list[int], rest: int, found: Found
) -> None:
    """A look at all tokens now and then, with the choices since the last one in one product; in
    between, only the best `CANDIDATES`, as long as the best of them beats every other's bound.

    A tie may lie among the others unless their highest bound is below the best by more than the
    slack; then all are looked at. Work: a product of N, d and k in all, as one matrix product per
    look, and O(N) per look; at worst a look per choice.
    """
    rows = Rows(sample)
    peak = np.full_like(base, -np.inf)
    pending = list(start)
    while rest:
        rows.raise_(peak, pending)
        scores = base - peak
        found.evaluations += int(open_.sum())
        chosen = _lowest(scores, open_, sample.slack)
        found.take(chosen, float(scores[chosen]))
        base[chosen] = scores[chosen] = -np.inf
        open_[chosen] = False
        pending = [chosen]
        rest -= 1
        if rest:
            near = _Candidates(rows, scores, base, peak)
            near.see(chosen)
            while rest:
                best = near.best(sample.slack)
                if best is None:
                    break
                place, score = best
                chosen = near.close(place)
                found.take(chosen, score)
                found.evaluations += near.size
                base[chosen] = -np.inf
                open_[chosen] = False
                pending.append(chosen)
                near.see(chosen)
                rest -= 1


class Rows:
    """Penalties cos_ij - τ log p_j of chosen tokens j, for all tokens or for some."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    def raise_(self, peak: Array, chosen: list[int]) -> None:
        """Raise the running maximum of all tokens to these choices, in place."""
        unit, offset = self.sample.unit, torch.from_numpy(self.sample.offset)
        whole = torch.from_numpy(peak)
        for start in range(0, len(chosen), PENDING):
            j = torch.tensor(chosen[start : start + PENDING])
            block = torch.mm(unit[j], unit.T)  # (choices, n)
            block += offset[j, None]
            torch.maximum(whole, block.amax(0), out=whole)

    def some(self, unit: Tensor, chosen: int, out: Tensor) -> None:
        """Penalties that one choice puts on the tokens with these unit rows (m, d)."""
        torch.mv(unit, self.sample.unit[chosen], out=out)
        out += float(self.sample.offset[chosen])


class _Candidates:
    """The tokens with the best scores, in the order of their indices, kept up to date."""

    def __init__(self, rows: Rows, scores: Array, base: Array, peak: Array) -> None:
        n = len(scores)
        self.rows = rows
        self.size = min(n, CANDIDATES)
        self.bound = -np.inf  # of all others
        if self.size < n:
            order = np.argpartition(scores, n - self.size - 1)
            self.bound = scores[order[n - self.size - 1]]
            self.places = np.sort(order[n - self.size :])
        else:
            self.places = np.arange(n)
        self.unit = rows.sample.unit[torch.from_numpy(self.places)]
        self.base, self.peak = base[self.places], peak[self.places]
        self.scores = np.empty_like(self.base)
        self.out = self.unit.new_empty(self.size)
        self.new = self.out.numpy()

    def see(self, chosen: int) -> None:
        """Raise their running maximum to one more choice."""
        self.rows.some(self.unit, chosen, self.out)
        np.maximum(self.peak, self.new, out=self.peak)
        np.subtract(self.base, self.peak, out=self.scores)

    def best(self, slack: float) -> tuple[int, float] | None:
        """Place and score of the choice; None if one of the others might tie with it."""
        limit = self.scores[self.scores.argmax()] - slack
        if not limit > self.bound:
            return None
        place = int((self.scores >= limit).argmax())
        return place, float(self.scores[place])

    def close(self, place: int) -> int:
        """Take one of them out; returns its index."""
        self.base[place] = -np.inf
        return int(self.places[place])
