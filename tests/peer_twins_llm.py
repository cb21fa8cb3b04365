"""The methods inside the decoder step by step, as their public codes do them: slow and obvious."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np


def descending(values: list[float] | list[Decimal] | np.ndarray) -> list[int]:
    return sorted(range(len(values)), key=lambda i: -values[i])


# --- FastV ------------------------------------------------------------------------------------


def fastv(attention: np.ndarray, rows: str = "last") -> tuple[list[int], np.ndarray]:
    """All tokens in order, and their scores; attention (heads, n_t, n_v)."""
    heads, n_t, n = attention.shape
    scores = []
    for i in range(n):
        seen = [
            sum(attention[h, row, i] for h in range(heads)) / heads
            for row in (range(n_t) if rows == "all" else [n_t - 1])
        ]
        scores.append(sum(seen) / len(seen))
    return descending(scores), np.array(scores)


# --- SparseVLM --------------------------------------------------------------------------------


def sparsevlm_raters(visual: np.ndarray, text: np.ndarray) -> list[int]:
    n, n_t = len(visual), len(text)
    shares = np.zeros(n_t)
    for v in visual:
        logits = [float(v @ t) for t in text]
        weights = [math.exp(x - max(logits)) for x in logits]
        for j in range(n_t):
            shares[j] += weights[j] / sum(weights) / n
    return [j for j in range(n_t) if shares[j] > sum(shares) / n_t]


def sparsevlm_scores(
    attention: np.ndarray, raters: list[int], heads: int | None = None
) -> np.ndarray:
    """attention (heads, n_t, n_v); of all heads, or of those with the largest mass."""
    chosen = range(len(attention))
    if heads is not None:
        mass = [attention[h].sum() for h in chosen]
        chosen = descending(mass)[:heads]
    mean = sum(attention[h] for h in chosen) / len(chosen)
    return np.array([sum(mean[j, i] for j in raters) / len(raters) for i in range(mean.shape[1])])


def sparsevlm_clusters(states: np.ndarray, count: int) -> tuple[list[int], list[int]]:
    """Density peaks: centers, best first, and for every row the center that it joins.

    Of two rows of equal density the first is taken as the denser: noise that tends to 0. In decimal
    numbers, which do not underflow.
    """
    m, d = states.shape
    distance = [[math.dist(x, y) / math.sqrt(d) for y in states] for x in states]
    density = []
    for i in range(m):
        nearest = sorted(distance[i])[:count]
        density.append(Decimal(-sum(x * x for x in nearest) / count).exp())
    largest = max(max(row) for row in distance)
    score, close = [], Decimal("1e-9")
    for i in range(m):
        denser = [
            j for j in range(m)
            if density[j] > density[i] * (1 + close)
            or (abs(density[j] - density[i]) <= close * density[i] and j < i)
        ]  # fmt: skip
        reach = min((distance[i][j] for j in denser), default=largest)
        score.append(density[i] * Decimal(reach))
    centers = descending(score)[:count]
    joins = [min(centers, key=lambda c: distance[i][c]) for i in range(m)]
    for c in centers:
        joins[c] = c
    return centers, joins


def sparsevlm_stage(
    scores: np.ndarray, states: np.ndarray, kept: int
) -> tuple[list[int], list[list[int]]]:
    """What a stage of version 1.x keeps, and the groups that it averages, each center first."""
    order = descending(scores)
    dropped = order[kept:]
    taken = dropped[: int(len(dropped) * 0.3) + 1]
    count = int(len(taken) / 10) + 1
    centers, joins = sparsevlm_clusters(states[taken], count)
    groups = []
    for c in centers:
        others = [taken[i] for i in range(len(taken)) if joins[i] == c and i != c]
        groups.append([taken[c], *others])
    return order[:kept], groups


# --- DART -------------------------------------------------------------------------------------


def dart(
    states: np.ndarray,
    keys: np.ndarray,
    text_states: np.ndarray,
    text_keys: np.ndarray,
    budget: int,
    *,
    visit: str = "norm",
    start: int = 35,
) -> list[int]:
    """States (n, d), keys (heads, n, d_key): 4 + 8 ⌊budget / 8⌋ tokens, in order of choice."""
    n = len(states)
    visual_norm = [np.abs(keys[:, i]).sum() for i in range(n)]
    text_norm = [np.abs(text_keys[:, j]).sum() for j in range(len(text_states))]
    pivots = descending(visual_norm)[:4]
    positions = [start + i for i in pivots]
    positions += [start + n + j for j in descending(text_norm)[:4]]
    if len(positions) < 8:
        raise RuntimeError("selected index k out of range")
    taken = list(pivots)
    for position in set(positions) if visit == "set" else positions:
        place = position - start
        pivot = states[place] if place < n else text_states[place - n]
        rest = [i for i in range(n) if i not in taken]
        cosine = [
            float(states[i] @ pivot / (np.linalg.norm(states[i]) * np.linalg.norm(pivot)))
            for i in rest
        ]
        if len(rest) < budget // 8:
            raise RuntimeError("selected index k out of range")
        lowest = sorted(range(len(rest)), key=lambda place: cosine[place])[: budget // 8]
        taken += [rest[place] for place in lowest]
    return taken


# --- AutoPrune --------------------------------------------------------------------------------


def autoprune_information(attention: np.ndarray) -> float:
    """attention (heads, n_t, n_v)."""
    total = 0.0
    for head in attention:
        n_x = len(head)
        p_xy = head / n_x
        p_y = p_xy.sum(0)
        for x in range(n_x):
            for y in range(head.shape[1]):
                ratio = max(p_xy[x, y] / (p_y[y] / n_x + 1e-6), 1e-6)
                total += p_xy[x, y] * math.log2(ratio)
    return total


def mutual_information(joint: np.ndarray) -> float:
    """Of a table that sums to one, in nats."""
    p_x, p_y = joint.sum(1), joint.sum(0)
    return sum(
        joint[x, y] * math.log(joint[x, y] / (p_x[x] * p_y[y]))
        for x in range(len(p_x))
        for y in range(len(p_y))
        if joint[x, y] > 0
    )


def autoprune_curve(information: float, target: float, n: int) -> list[int]:
    """Tokens by layer of 32, scaled by a bisection that walks up to its sum."""
    k = max(0.4 - 0.2 * information, 0)
    first = min(int(2.5 * target), n)
    raw = [0.75 / (1 + math.exp(k * (layer - (14.9 + k)))) for layer in range(1, 32)]
    low, high = 0.0, 1e6
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        if first + sum((first - 1) * min(middle * p, 1) for p in raw) < 32 * target:
            low = middle
        else:
            high = middle
    return [first] + [math.ceil((first - 1) * min(high * p, 1) - 1e-6) for p in raw]
