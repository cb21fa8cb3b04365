"""Lazy greedy facility location of one sample on a CPU: NumPy views, rows read whole.

A gain never grows, so one that was computed earlier bounds it from above, and only columns whose
bound reaches the best gain of a step are computed again, many at a time. A weight matters only
while it exceeds what its row is already served with; when few still do, they alone are kept.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Index = npt.NDArray[np.intp]

BLOCK = 32  # candidates at a time, so that the intermediate results stay in cache
LONG = 4096  # weights of a candidate from which on its row is read in place
SPARSE_BELOW = 1 / 8  # share of weights that still matter, from which on they alone are kept
SHRINK_BELOW = 1 / 4  # share of the kept ones that still matter, from which on they are sifted
MARGIN = 16.0  # roundings by which a stale bound may fall short of the gain it bounds


def lazy_facility(
    rows: Array, bonus: Array, budget: int, unit: float
) -> tuple[list[int], list[float], int]:
    """Greedy choices, their gains, and how many gains were computed.

    Source: minoux1978.

    Parameters
    ----------
    rows : (n, m) contiguous, nonnegative: candidate i serves row r with rows[i, r]
    bonus : (n,) what each candidate adds besides
    budget : number of candidates
    unit : gains closer than `unit` times the weights they are made of are ties
    """
    n, m = rows.shape
    served = np.zeros(m, dtype=rows.dtype)
    live: _Dense | _Sparse = _Dense(rows)
    keys = rows.sum(1) + bonus
    seen = np.zeros(n, dtype=np.intp)  # step at which the key was computed
    evaluations, batch = n, n
    chosen: list[int] = []
    gains: list[float] = []
    for step in range(budget):
        if step > 1 and (step & (step - 1) == 0 or 4 * batch > n):  # powers of 2, or much to do
            live = live.sifted(served)
        best, slack = -np.inf, 0.0
        if step == 0:
            first = int(keys.argmax())
            best, slack = keys[first], _slack(live, first, served, bonus, unit)
        refreshed = 0
        while True:
            stale = np.flatnonzero((keys >= best - MARGIN * slack) & (seen != step))
            stale = stale[keys[stale] > -np.inf]
            if not len(stale):
                break
            if 2 * len(stale) > n and (2 * batch > n or best > -np.inf):
                stale = np.flatnonzero(keys > -np.inf)
                values = live.all(served)[stale] + bonus[stale]
            else:
                if len(stale) > batch:
                    stale = stale[np.argpartition(keys[stale], -batch)[-batch:]]
                values = live.some(stale, served) + bonus[stale]
            keys[stale], seen[stale] = values, step
            refreshed += len(stale)
            top = int(values.argmax())
            if values[top] > best:
                best = values[top]
                slack = _slack(live, int(stale[top]), served, bonus, unit)
        evaluations += refreshed
        batch = min(max(refreshed // 2, 8), n)
        j = int(np.flatnonzero((keys >= best - slack) & (seen == step))[0])
        chosen.append(j)
        gains.append(float(keys[j]))
        keys[j] = -np.inf
        np.maximum(served, rows[j], out=served)
    return chosen, gains, evaluations


def _slack(live: _Dense | _Sparse, i: int, served: Array, bonus: Array, unit: float) -> float:
    """Rounding of the gain of candidate i: of the weights that it is made of."""
    return unit * (live.mass(i, served) + abs(float(bonus[i])))


class _Dense:
    """Gains from whole rows."""

    def __init__(self, rows: Array) -> None:
        self.rows = rows
        self.buffer = np.empty((BLOCK, rows.shape[1]), dtype=rows.dtype)

    def _sums(self, count: int, block: Callable[[slice], Array], served: Array) -> Array:
        out = np.empty(count, dtype=self.rows.dtype)
        for start in range(0, count, BLOCK):
            part = slice(start, min(start + BLOCK, count))
            above = self.buffer[: part.stop - start]
            np.maximum(block(part), served, out=above)
            above -= served
            above.sum(1, out=out[part])
        return out

    def all(self, served: Array) -> Array:
        return self._sums(len(self.rows), lambda part: self.rows[part], served)

    def some(self, which: Index, served: Array) -> Array:
        if self.rows.shape[1] < LONG:
            return self._sums(len(which), lambda part: self.rows[which[part]], served)
        out = np.empty(len(which), dtype=self.rows.dtype)
        for k, i in enumerate(which.tolist()):  # a copy of long rows costs more than a call
            above = np.maximum(self.rows[i], served, out=self.buffer[0])
            above -= served
            out[k] = above.sum()
        return out

    def mass(self, i: int, served: Array) -> float:
        row = self.rows[i]
        return float(row @ (row > served).astype(row.dtype))

    def sifted(self, served: Array) -> _Dense | _Sparse:
        n = len(self.rows)
        sample = self.rows[:: max(1, n // 64)]
        if np.count_nonzero(sample > served) > SPARSE_BELOW * sample.size:
            return self
        m = self.rows.shape[1]
        values, places, sizes = [], [], []
        for start in range(0, n, BLOCK):
            block = self.rows[start : start + BLOCK]
            flat = np.flatnonzero(block > served)
            edges = np.searchsorted(flat, np.arange(len(block) + 1) * m)
            size = np.diff(edges)
            values.append(block.ravel()[flat])
            places.append(flat - np.repeat(np.arange(len(block)) * m, size))
            sizes.append(size)
        return _Sparse(np.concatenate(values), np.concatenate(places), np.concatenate(sizes))


class _Sparse:
    """Gains from the weights that still exceeded the service when they were sifted."""

    def __init__(self, values: Array, places: Index, sizes: Index) -> None:
        self.values, self.places, self.sizes = values, places, sizes
        self.stops = np.cumsum(sizes)
        self.starts = self.stops - sizes

    @staticmethod
    def _sums(values: Array, places: Index, sizes: Index, served: Array) -> Array:
        out = np.zeros(len(sizes), dtype=values.dtype)
        some = np.flatnonzero(sizes)  # a reduction over nothing would not be 0
        if len(some):
            now = served.take(places)
            above = np.maximum(values, now)
            above -= now
            stops = np.cumsum(sizes[some])
            out[some] = np.add.reduceat(above, stops - sizes[some])
        return out

    def all(self, served: Array) -> Array:
        return self._sums(self.values, self.places, self.sizes, served)

    def some(self, which: Index, served: Array) -> Array:
        pieces = [
            slice(a, b)
            for a, b in zip(self.starts[which].tolist(), self.stops[which].tolist(), strict=True)
        ]
        values = np.concatenate([self.values[p] for p in pieces])
        places = np.concatenate([self.places[p] for p in pieces])
        return self._sums(values, places, self.sizes[which], served)

    def mass(self, i: int, served: Array) -> float:
        part = slice(self.starts[i], self.stops[i])
        values = self.values[part]
        return float(values @ (values > served[self.places[part]]).astype(values.dtype))

    def sifted(self, served: Array) -> _Sparse:
        step = max(1, len(self.values) // 2**16)
        alive = np.count_nonzero(self.values[::step] > served[self.places[::step]])
        if alive * step > SHRINK_BELOW * len(self.values):
            return self
        kept = np.flatnonzero(self.values > served.take(self.places))
        edges = np.searchsorted(kept, np.append(self.starts, len(self.values)))
        return _Sparse(self.values[kept], self.places[kept], np.diff(edges))
