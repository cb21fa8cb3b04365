"""The methods inside the language model step by step, as their public codes do them: slow."""

from __future__ import annotations

import numpy as np


def descending(values: np.ndarray) -> list[int]:
    return sorted(range(len(values)), key=lambda i: -values[i])


def fastv(attention: np.ndarray, budget: int, rows: str = "last") -> list[int]:
    """attention (heads, n_t, n_v)."""
    heads, n_t, n = attention.shape
    scores = []
    for i in range(n):
        seen = [
            sum(attention[h, r, i] for h in range(heads)) / heads
            for r in (range(n_t) if rows == "all" else [n_t - 1])
        ]
        scores.append(sum(seen) / len(seen))
    return descending(np.array(scores))[:budget]


def raters(visual: np.ndarray, text: np.ndarray) -> list[int]:
    """Words above the mean of the softmax over words, averaged over patches."""
    logits = visual @ text.T
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    m = p.mean(0)
    return [j for j in range(len(m)) if m[j] > m.mean()]


def sparsevlm(
    visual: np.ndarray, text: np.ndarray, attention: np.ndarray, kept: int, heads: int | None = None
) -> tuple[list[int], np.ndarray]:
    """The best tokens, and the scores of all; `heads` of largest mass, or all."""
    rating = raters(visual, text)
    chosen = range(len(attention))
    if heads is not None:
        chosen = descending(attention.sum((1, 2)))[:heads]
    mean = np.mean([attention[h] for h in chosen], axis=0)
    scores = np.mean([mean[j] for j in rating], axis=0)
    return descending(scores)[:kept], scores


def density_peaks(points: np.ndarray, groups: int) -> tuple[list[int], list[int]]:
    """Centers, and for every point the place of its center among them; no two densities equal."""
    m, d = points.shape
    distance = np.array([[np.sqrt(((a - b) ** 2).sum() / d) for b in points] for a in points])
    density = np.array([np.exp(-np.mean(np.sort(row)[:groups] ** 2)) for row in distance])
    score = []
    for i in range(m):
        above = [distance[i, j] for j in range(m) if density[j] > density[i]]
        score.append(density[i] * (min(above) if above else distance.max()))
    centers = descending(np.array(score))[:groups]
    joined = [
        centers.index(i) if i in centers else int(np.argmin([distance[i, c] for c in centers]))
        for i in range(m)
    ]
    return centers, joined


def dart(
    states: np.ndarray,
    words: np.ndarray,
    keys: np.ndarray,
    word_keys: np.ndarray,
    budget: int,
) -> list[int]:
    """4 + 8 ⌊budget / 8⌋ tokens; keys (heads, n, d)."""

    def norm(k: np.ndarray) -> np.ndarray:
        flat = np.concatenate(list(k), axis=1)
        return np.abs(flat).sum(1)

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    image = descending(norm(keys))[:4]
    pivots = [states[i] for i in image] + [words[j] for j in descending(norm(word_keys))[:4]]
    kept = list(image)
    for pivot in pivots:
        pool = [i for i in range(len(states)) if i not in kept]
        pool.sort(key=lambda i: cosine(states[i], pivot))
        kept += pool[: budget // 8]
    return kept


def information(attention: np.ndarray) -> float:
    """AutoPrune's, in bits, over heads."""
    total = 0.0
    for head in attention:
        p_xy = head / len(head)
        p_y = p_xy.sum(0)
        for x in range(len(head)):
            for y in range(head.shape[1]):
                ratio = p_xy[x, y] / (p_y[y] / len(head) + 1e-6)
                total += p_xy[x, y] * np.log2(max(ratio, 1e-6))
    return total
