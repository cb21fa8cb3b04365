"""The steps of the peers' public codes on projector outputs, one by one and as slow as they are.

Each returns indices in order of choice, from tensors of one sample, in the dtype that comes in.
Nothing is excluded, guarded or reused that the original does not exclude, guard or reuse.
"""

from __future__ import annotations

import torch
from torch import Tensor


def unit(x: Tensor) -> Tensor:
    """Rows over their norms; a zero row is 0/0."""
    return x / x.norm(dim=-1, keepdim=True)


def divprune(visual: Tensor, budget: int) -> list[int]:
    """The second-smallest entry of every column first, then the minimum over all chosen rows, from
    scratch for every choice; chosen tokens stay in the race."""
    v = unit(visual)
    distance = 1 - v @ v.T
    kept = torch.empty(budget, dtype=torch.int64)
    for t in range(budget):
        if t == 0:
            scores = distance.topk(2, dim=0, largest=False).values[1]
        else:
            scores = distance.index_select(0, kept[:t]).amin(0)
        kept[t] = scores.argmax()
    return kept.tolist()


def max_min(visual: Tensor, budget: int) -> list[int]:
    """The farthest pair of the whole matrix, then the farthest from what is chosen, recomputed."""
    v = unit(visual)
    distance = 1 - v @ v.T
    n = len(v)
    distance.fill_diagonal_(0)
    pair = int((distance + distance.T).argmax())
    kept = [pair // n, pair % n][:budget]
    while len(kept) < budget:
        scores = distance[kept].amin(0)
        scores[kept] = -torch.inf
        kept.append(int(scores.argmax()))
    return kept


def cdpruner_relevance(image: Tensor, words: Tensor, sign: float = -1.0) -> Tensor:
    """Mean cosine with the text segments, negated, and min-max over the tensor."""
    q = sign * (unit(image) @ unit(words).T).mean(1)
    return (q - q.min() + 1e-6) / (q.max() - q.min())


def cdpruner(
    visual: Tensor, image: Tensor, words: Tensor, budget: int, sign: float = -1.0
) -> list[int]:
    """The conditional kernel as a matrix, and the Cholesky recursion on it."""
    v = unit(visual)
    r = cdpruner_relevance(image, words, sign)
    kernel = r[:, None] * (v @ v.T) * r[None, :]
    c = torch.zeros(budget, len(v), dtype=visual.dtype)
    d = kernel.diagonal().clone()
    kept = torch.empty(budget, dtype=torch.int64)
    for t in range(budget):
        j = d.argmax()
        kept[t] = j
        e = (kernel[j] - torch.einsum("t,tn->n", c[:t, j], c[:t])) / d[j].sqrt()
        c[t] = e
        d -= e.square()
        d[j] = -torch.inf
    return kept.tolist()


def mmtok_weights(
    visual: Tensor,
    text: Tensor,
    features: Tensor,
    *,
    text_temperature: float = 0.02,
    visual_temperature: float = 0.2,
    visual_weight: float = 0.5,
) -> Tensor:
    """[P; α Q], softmax over vision in both."""
    p = (unit(text) @ unit(visual).T / text_temperature).softmax(1) / len(text)
    e = unit(features)
    q = (e @ e.T / visual_temperature).softmax(1) / len(e)
    return torch.cat([p, visual_weight * q])


def mmtok(
    visual: Tensor, text: Tensor, features: Tensor, budget: int, **options: float
) -> list[int]:
    """Every gain of every column for every choice."""
    m = mmtok_weights(visual, text, features, **options)
    best = torch.zeros(len(m), dtype=m.dtype)
    chosen = torch.zeros(m.shape[1], dtype=torch.bool)
    kept = torch.empty(budget, dtype=torch.int64)
    for t in range(budget):
        gains = (m - best[:, None]).clamp(min=0).sum(0).masked_fill(chosen, -torch.inf)
        j = gains.argmax()
        kept[t] = j
        chosen[j] = True
        best = best.maximum(m[:, j])
    return kept.tolist()


def trimtokenator_alignment(visual: Tensor, text: Tensor) -> Tensor:
    """Minus the mean squared distance to the text tokens, pair by pair."""
    return -(visual[:, None] - text[None]).square().sum(-1).mean(1)


def trimtokenator(visual: Tensor, text: Tensor, budget: int, first_ratio: float = 0.8) -> list[int]:
    """The best int(ρ₁ N) by alignment; then the least similar on average, RepMax."""
    size = int(first_ratio * len(visual))
    places = trimtokenator_alignment(visual, text).topk(size).indices.sort().values
    v = unit(visual[places])
    cosine = v @ v.T
    kept = [int(cosine.mean(1).argmin())]
    total = cosine[:, kept[0]].clone()
    while len(kept) < budget:
        mean = total / len(kept)
        mean[kept] = torch.inf
        kept.append(int(mean.argmin()))
        total += cosine[:, kept[-1]]
    return places[kept].tolist()


def similarity(visual: Tensor, text: Tensor, budget: int, words: str = "max") -> list[int]:
    """Cosine with every word, aggregated, and the largest of it."""
    cosine = unit(visual) @ unit(text).T
    scores = cosine.amax(1) if words == "max" else cosine.mean(1)
    return scores.topk(budget).indices.tolist()


def centered_similarity(visual: Tensor, text: Tensor, budget: int) -> list[int]:
    """The means of rows and columns removed, then the largest entry of a row."""
    cosine = unit(visual) @ unit(text).T
    centered = cosine - cosine.mean(0) - cosine.mean(1, keepdim=True) + cosine.mean()
    return centered.amax(1).topk(budget).indices.tolist()
