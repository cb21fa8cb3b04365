"""Greedy facility location of one sample on a CPU, its gains kept up to date.

A choice changes the gains of others only through the rows that it serves better than before, about
one in t at step t, and of such a row only through the columns that would still improve it. Once few
would, they alone are kept. Greedy then costs O(m n log t) while rows are whole and next to nothing
afterwards, where lazy evaluation computes every column near the best again, m weights each.

What is kept collects rounding. A bound of that is kept as well, and gains that it leaves in doubt
are computed anew before a choice is made.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

BLOCK = 32  # rows at a time, so that the intermediate results stay in cache
SPARSE_BELOW = 1 / 16  # share of weights that still matter, below which they alone are kept
SHRINK_BELOW = 1 / 2  # share of the kept ones that still matter, below which they are sifted
ALL_FROM = 1 / 16  # share of all gains in doubt at a choice from which on they are all computed
EPS = float(np.finfo(np.float64).eps)  # kept gains are in double precision


def updated_facility(
    weights: Array, bonus: Array, budget: int, unit: float, *, symmetric: bool = False
) -> tuple[list[int], list[float], int]:
    """Greedy choices, their gains, and how many gains were computed from all their weights.

    Source: nemhauser1978; minoux1978.

    Parameters
    ----------
    weights : (m, n) contiguous, nonnegative: candidate i serves row r with weights[r, i]
    bonus : (n,) what each candidate adds besides
    budget : number of candidates
    unit : gains closer than `unit` times the weights they are made of are ties
    symmetric : whether column i is row i, which is faster to read

    Examples
    --------
    >>> weights = np.array([[0.2, 0.9, 0.8], [0.8, 0.1, 0.2]])
    >>> updated_facility(weights, np.zeros(3), 2, 1e-15)[0]  # all tie
    [0, 1]
    """
    m, n = weights.shape
    columns = weights if symmetric else np.ascontiguousarray(weights.T)
    served = np.zeros(m, dtype=weights.dtype)
    whole = _Dense(weights)
    live: _Dense | _Sparse = whole
    gains = whole.total() + bonus
    fresh = np.zeros(n, dtype=bool)  # computed from all weights, and unchanged since
    highest = float(gains.max())
    exact, coarse = m * EPS, (BLOCK + 4) * float(np.finfo(weights.dtype).eps)
    doubt = exact * highest  # of gains that are not fresh; more with every step
    evaluations = n
    chosen: list[int] = []
    gained: list[float] = []
    for step in range(budget):
        if step > 1 and step & (step - 1) == 0:
            live = live.sifted(served)
        j, computed = _best(gains, fresh, doubt, columns, served, bonus, unit)
        evaluations += computed
        if computed > ALL_FROM * n:  # too much is in doubt, for good: begin again
            rest = (~fresh & (gains > -np.inf)).nonzero()[0]
            gains[rest] = _from_all(columns, rest, served) + bonus[rest]
            fresh[rest], doubt = True, 0.0
            evaluations += len(rest)
        chosen.append(j)
        gained.append(float(gains[j]))
        gains[j], fresh[j] = -np.inf, False
        column = columns[j]
        better = (column > served).nonzero()[0]
        if len(better):
            old, new = served[better], column[better]
            lost = live.lost(better, old, new, np.float64 if step == 0 else weights.dtype)
            gains -= lost
            fresh &= lost == 0
            served[better] = new
        # no gain and no loss is larger than this; the first is the largest by far, and exact
        doubt += (exact + coarse * (step > 0)) * gained[-1] + EPS * highest
    return chosen, gained, evaluations


def _best(
    gains: Array,
    fresh: Mask,
    doubt: float,
    columns: Array,
    served: Array,
    bonus: Array,
    unit: float,
) -> tuple[int, int]:
    """Lowest index whose gain is the best but for rounding, and how many gains were computed.

    Gains that are in doubt are computed, in place, from the highest on.
    """
    computed = 0
    while True:
        top = int(gains.argmax())
        best = float(gains[top])
        if fresh[top]:
            column = columns[top]
            limit = best - unit * (float(column @ (column > served)) + abs(float(bonus[top])))
            near = (gains >= limit - doubt).nonzero()[0]
            level, known = gains[near], fresh[near]
            first = int(near[level - doubt * ~known >= limit][0])  # of those above for sure
            due = near[~known & ((near < first) | (level >= best - doubt))]
            if not len(due):
                if fresh[first]:
                    return first, computed
                due = np.array([first])
        else:
            due = ((gains >= best - 2 * doubt) & ~fresh).nonzero()[0]
        gains[due] = _from_all(columns, due, served) + bonus[due]
        fresh[due] = True
        computed += len(due)


def _from_all(columns: Array, which: Index, served: Array) -> Array:
    """Σ_r max(w_ri − served_r, 0) of each of these candidates."""
    out = np.empty(len(which))
    above = np.empty((min(BLOCK, len(which)), len(served)), dtype=columns.dtype)
    for start in range(0, len(which), BLOCK):
        some = which[start : start + BLOCK]
        part = above[: len(some)]
        np.maximum(columns[some], served, out=part)
        part -= served
        part.sum(1, dtype=np.float64, out=out[start : start + len(some)])
    return out


class _Dense:
    """Whole rows."""

    def __init__(self, rows: Array) -> None:
        self.rows = rows
        self.wide = rows.shape[1] >= np.getbufsize()  # NumPy copies the bounds of shorter ones
        self.buffer = np.empty((BLOCK, rows.shape[1]), dtype=rows.dtype)

    def total(self) -> Array:
        """Σ_r w_ri of every candidate."""
        out = np.zeros(self.rows.shape[1])
        for start in range(0, len(self.rows), BLOCK):
            out += self.rows[start : start + BLOCK].sum(0, dtype=np.float64)
        return out

    def lost(self, which: Index, old: Array, new: Array, dtype: npt.DTypeLike) -> Array:
        """What every candidate loses when these rows are served with `new` in place of `old`, sums
        of 32 in this precision."""
        out = np.zeros(self.rows.shape[1])
        for start in range(0, len(which), BLOCK):
            part = slice(start, min(start + BLOCK, len(which)))
            between = self.buffer[: part.stop - start]
            self.rows.take(which[part], axis=0, out=between, mode="clip")
            if self.wide:
                np.clip(between, old[part, None], new[part, None], out=between)
            else:
                np.maximum(between, old[part, None], out=between)
                np.minimum(between, new[part, None], out=between)
            between -= old[part, None]  # small numbers, whose sums are rounded little
            out += between.sum(0, dtype=dtype)
        return out

    def sifted(self, served: Array) -> _Dense | _Sparse:
        m, n = self.rows.shape
        sample = slice(None, None, max(1, m // 64))
        mattering = np.count_nonzero(self.rows[sample] > served[sample, None])
        if mattering > SPARSE_BELOW * self.rows[sample].size:
            return self
        values, places, sizes = [], [], []
        for start in range(0, m, BLOCK):
            block = self.rows[start : start + BLOCK]
            flat = np.flatnonzero(block > served[start : start + BLOCK, None])
            size = np.diff(np.searchsorted(flat, np.arange(len(block) + 1) * n))
            values.append(block.ravel()[flat])
            places.append(flat - np.repeat(np.arange(len(block)) * n, size))
            sizes.append(size)
        return _Sparse(np.concatenate(values), np.concatenate(places), np.concatenate(sizes), n)


class _Sparse:
    """The weights that still exceeded the service of their rows when they were sifted."""

    def __init__(self, values: Array, places: Index, sizes: Index, n: int) -> None:
        self.values, self.places, self.sizes, self.n = values, places, sizes, n
        self.starts = np.cumsum(sizes) - sizes

    def lost(self, which: Index, old: Array, new: Array, dtype: npt.DTypeLike) -> Array:
        """As of whole rows, sums in double precision."""
        sizes = self.sizes[which]
        shift = self.starts[which] - (np.cumsum(sizes) - sizes)
        kept = np.arange(sizes.sum()) + np.repeat(shift, sizes)
        falls = np.minimum(self.values[kept], np.repeat(new, sizes)) - np.repeat(old, sizes)
        np.maximum(falls, 0, out=falls)
        places = self.places[kept]
        out: Array = np.bincount(places, falls, minlength=self.n).astype(float, copy=False)
        return out

    def sifted(self, served: Array) -> _Sparse:
        matters = self.values > np.repeat(served, self.sizes)
        if np.count_nonzero(matters) > SHRINK_BELOW * len(matters):
            return self
        edges = np.searchsorted(np.flatnonzero(matters), np.append(self.starts, len(matters)))
        return _Sparse(self.values[matters], self.places[matters], np.diff(edges), self.n)
