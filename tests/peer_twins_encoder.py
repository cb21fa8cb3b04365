"""The encoder-side methods step by step, as their public codes do them: slow and obvious."""

from __future__ import annotations

import numpy as np


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    return float(x @ y / (np.sqrt(x @ x) * np.sqrt(y @ y)))


def descending(values: np.ndarray) -> list[int]:
    return sorted(range(len(values)), key=lambda i: -values[i])


def visionzip(
    attention: np.ndarray, keys: np.ndarray, dominant: int, contextual: int
) -> tuple[list[int], list[int], dict[int, int]]:
    """Dominant patches by attention, contextual ones in raster order, and who joins which.

    attention (heads, n), keys (n, d); `dominant` counts patches only.
    """
    scores = [sum(head[i] for head in attention) for i in range(attention.shape[1])]
    first = descending(np.array(scores))[:dominant]
    rest = [i for i in range(len(scores)) if i not in first]
    step = max(1, len(rest) // contextual)
    targets = rest[::step][:contextual]
    joins = {}
    for i in rest:
        if i not in targets:
            similar = [cosine(keys[i], keys[t]) for t in targets]
            joins[i] = targets[int(np.argmax(similar))]
    return first, targets, joins


def visionzip_tokens(
    hidden: np.ndarray, first: list[int], targets: list[int], joins: dict[int, int]
) -> dict[int, np.ndarray]:
    """The token that each kept place holds at the end."""
    out = {i: hidden[i] for i in first}
    for target in targets:
        own = [hidden[i] for i, t in joins.items() if t == target]
        out[target] = hidden[target] + (np.mean(own, axis=0) if own else 0)
    return out


def vispruner(
    scores: np.ndarray, features: np.ndarray, budget: int, ratio: float, *, repair: bool = False
) -> set[int]:
    """Important patches, and what is left of the others after rounds of duplicate removal.

    scores (n,). Fails as the public code does, or goes on under `repair`: A is then one longer
    than B, or loses all it has; a single token goes if it must.
    """
    important = int(budget * ratio)
    diverse = budget - important
    order = descending(scores)
    kept, residual = order[:important], order[important:]
    while len(residual) > diverse:
        drop = min(8, len(residual) - diverse)
        if not repair and len(residual) % 2:
            raise IndexError("odd residual")
        if not repair and len(residual) // 2 < drop:
            raise RuntimeError("negative size")
        a, b = residual[0::2], residual[1::2]
        if not b:
            residual = []
            continue
        similar = np.array([max(cosine(features[i], features[j]) for j in b) for i in a])
        by_similarity = [a[p] for p in descending(similar)]
        residual = by_similarity[drop:] + b
    return {*kept, *residual}


def received(attention: np.ndarray, *, diagonal: bool) -> np.ndarray:
    """Attention that every patch receives, mean over heads; (heads, n, n)."""
    heads, n, _ = attention.shape
    out = np.zeros(n)
    for i in range(n):
        for j in range(n):
            if diagonal or i != j:
                out[i] += sum(attention[h, j, i] for h in range(heads)) / heads
    return out


def merged(scores: np.ndarray, rows: int, cols: int, m: int) -> np.ndarray:
    """Mean over the m × m patches of every token; patches in raster order."""
    out = np.zeros(rows * cols)
    for r in range(rows):
        for c in range(cols):
            own = [scores[(r * m + y) * cols * m + c * m + x] for y in range(m) for x in range(m)]
            out[r * cols + c] = np.mean(own)
    return out
