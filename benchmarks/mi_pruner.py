"""What one would write for MI-Pruner without this library, and the least that has to be computed.

All take V (n, d) and T (m, d) as tensors, λ, τ and a budget k, and keep what Algorithm 1 keeps.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

BLOCK = 512


def softmax(logits: np.ndarray) -> np.ndarray:
    """Eq. (16), along the second dimension."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def tables(visual: Tensor, text: Tensor, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """PMI of every token with every word and with every token, lines 4-8 of Algorithm 1."""
    v, t = visual.numpy(), text.numpy()
    v = v / np.linalg.norm(v, axis=1, keepdims=True)
    t = t / np.linalg.norm(t, axis=1, keepdims=True)
    cross, within = softmax(v @ t.T / temperature), softmax(v @ v.T / temperature)
    return np.log(cross / cross.mean(axis=0)), np.log(within * len(v))


def literal(visual: Tensor, text: Tensor, *, k: int, lam: float, temperature: float) -> list[int]:
    """Lines 4-21 of Algorithm 1, one statement each; the empty set has redundancy 0."""
    pmi_cross, pmi_self = tables(visual, text, temperature)
    selected: list[int] = []
    while len(selected) < k:
        scores = np.full(len(visual), -np.inf)
        for i in range(len(visual)):
            if i not in selected:
                relevance = pmi_cross[i].max()
                redundancy = pmi_self[i, selected].max() if selected else 0.0
                scores[i] = lam * relevance - (1 - lam) * redundancy
        selected.append(int(scores.argmax()))
    return selected


def vectorized(
    visual: Tensor, text: Tensor, *, k: int, lam: float, temperature: float
) -> list[int]:
    """The same without the loop over tokens: O(N k²), redundancy from the whole set every time."""
    pmi_cross, pmi_self = tables(visual, text, temperature)
    relevance = lam * pmi_cross.max(axis=1)
    selected: list[int] = []
    while len(selected) < k:
        scores = relevance.copy()
        if selected:
            scores -= (1 - lam) * pmi_self[:, selected].max(axis=1)
        scores[selected] = -np.inf
        selected.append(int(scores.argmax()))
    return selected


def plain_numpy(
    visual: Tensor, text: Tensor, *, k: int, lam: float, temperature: float
) -> list[int]:
    """A running maximum over columns of the matrix, in NumPy: O(N k) once the matrix is there."""
    pmi_cross, pmi_self = tables(visual, text, temperature)
    scores = lam * pmi_cross.max(axis=1)
    running = np.full(len(scores), -np.inf, dtype=scores.dtype)
    open_ = np.ones(len(scores), dtype=bool)
    selected = [int(scores.argmax())]
    while len(selected) < k:
        open_[selected[-1]] = False
        np.maximum(running, pmi_self[:, selected[-1]], out=running)
        current = np.where(open_, scores - (1 - lam) * running, -np.inf)
        selected.append(int(current.argmax()))
    return selected


def plain_torch(visual: Tensor, text: Tensor, *, k: int, lam: float, temperature: float) -> Tensor:
    """The same in PyTorch, as anyone would write it."""
    v = torch.nn.functional.normalize(visual, dim=-1)
    t = torch.nn.functional.normalize(text, dim=-1)
    cross = (v @ t.T / temperature).softmax(-1)
    pmi_cross = (cross / cross.mean(0)).log()
    pmi_self = (v @ v.T / temperature).log_softmax(-1) + np.log(len(v))
    relevance = lam * pmi_cross.amax(-1)
    selected = torch.empty(k, dtype=torch.int64)
    scores = relevance.clone()
    running = torch.full_like(scores, -torch.inf)
    closed = torch.zeros(len(v), dtype=torch.bool)
    for step in range(k):
        best = scores.argmax()
        selected[step] = best
        closed[best] = True
        running = torch.maximum(running, pmi_self[:, best])
        scores = (relevance - (1 - lam) * running).masked_fill(closed, -torch.inf)
    return selected


def relevance_only(
    visual: Tensor, text: Tensor, *, k: int, lam: float, temperature: float
) -> Tensor:
    """λ = 1 in PyTorch: one product, one softmax, one sort."""
    v = torch.nn.functional.normalize(visual, dim=-1)
    t = torch.nn.functional.normalize(text, dim=-1)
    cross = (v @ t.T / temperature).softmax(-1)
    return (cross / cross.mean(0)).log().amax(-1).topk(k).indices


def cross_floor(visual: Tensor, text: Tensor, *, temperature: float) -> Tensor:
    """The N_V x N_T product and its softmax, without which λ = 1 cannot be."""
    return (visual @ text.T / temperature).softmax(-1)


def gram_floor(visual: Tensor, *, temperature: float) -> Tensor:
    """One pass over half of the Gram matrix in blocks, and the log-sum-exp (n,) of its rows.

    exp((cos - 1)/τ) is symmetric: a block above the diagonal counts for its rows and its columns.
    """
    v = torch.nn.functional.normalize(visual, dim=-1)
    sums = torch.zeros(len(v), dtype=v.dtype)
    for start in range(0, len(v), BLOCK):
        rows = v[start : start + BLOCK]
        block = (rows @ v[start:].T).sub_(1).div_(temperature).exp_()
        sums[start : start + BLOCK] += block.sum(1)
        sums[start + BLOCK :] += block[:, len(rows) :].sum(0)
    return sums.log() + 1 / temperature
