"""Methods step by step, as their public codes do them: PyTorch, nothing made faster.

The projector-side ones are `tests/peer_twins_projector.py`, which is as direct.
"""

from __future__ import annotations

import torch
from torch import Tensor


def unit(x: Tensor) -> Tensor:
    """Rows over their norms."""
    return x / x.norm(dim=-1, keepdim=True)


def cls_attention(attention: Tensor, budget: int) -> Tensor:
    """FasterVLM: mean over heads, top k."""
    return attention.mean(0).topk(budget).indices


def attention(received: Tensor, budget: int) -> Tensor:
    """Column sums of the mean over heads, without the diagonal of Eq. (5), top k."""
    mean = received.mean(0)
    return (mean.sum(0) - mean.diagonal()).topk(budget).indices


def visionzip(attention: Tensor, keys: Tensor, budget: int, contextual: int) -> list[int]:
    """Dominant patches by attention, evenly spaced targets, and the assignment of the others.

    `budget` counts the class token, which is kept too; the indices are of patches.
    """
    dominant = attention.sum(0).topk(budget - contextual - 1).indices
    rest = [i for i in range(attention.shape[1]) if i not in set(dominant.tolist())]
    step = max(1, len(rest) // contextual)
    targets = rest[::step][:contextual]
    others = [i for i in rest if i not in set(targets)]
    metric = unit(keys)
    assigned = (metric[others] @ metric[targets].T).argmax(1)
    one_hot = keys.new_zeros(len(others), contextual)
    one_hot.scatter_(1, assigned[:, None], 1)
    one_hot.sum(0).clamp(min=1)  # how many tokens each target is to be averaged with
    return [*dominant.tolist(), *targets]


def vispruner(attention: Tensor, features: Tensor, budget: int, ratio: float = 0.5) -> list[int]:
    """Important patches, then rounds that drop eight duplicates each; the order is not kept."""
    order = attention.mean(0).argsort(descending=True)
    important = int(budget * ratio)
    residual = order[important:]
    diverse = budget - important
    while len(residual) > diverse:
        drop = min(8, len(residual) - diverse)
        a, b = residual[::2], residual[1::2]
        similarity = (unit(features[a]) @ unit(features[b]).T).amax(1)
        by_similarity = a[similarity.argsort(descending=True)]
        residual = order.new_tensor([*by_similarity[drop:].tolist(), *b.tolist()])
    return [*order[:important].tolist(), *residual.tolist()]


def fastv(attention: Tensor, budget: int) -> Tensor:
    """Mean over heads of the last word's row, top k."""
    return attention.mean(0)[-1].topk(budget).indices


def dart(states: Tensor, words: Tensor, keys: Tensor, word_keys: Tensor, budget: int) -> list[int]:
    """Four and four pivots by the L1 norm of their keys, and for each its least similar tokens."""
    image = keys.transpose(0, 1).flatten(1).abs().sum(1).topk(4).indices
    text = word_keys.transpose(0, 1).flatten(1).abs().sum(1).topk(4).indices
    pivots = [*(states[i] for i in image), *(words[j] for j in text)]
    kept = image.tolist()
    for pivot in pivots:
        taken = set(kept)
        pool = [i for i in range(len(states)) if i not in taken]
        cosine = unit(states[pool]) @ unit(pivot)
        lowest = cosine.topk(budget // 8, largest=False).indices
        kept += [pool[i] for i in lowest.tolist()]
    return kept


def sparsevlm(
    visual: Tensor, text: Tensor, attention: Tensor, states: Tensor, budget: int
) -> list[int]:
    """Version 1.5 at one layer: raters, the mean of their rows, and groups of the next best."""
    shares = (visual @ text.T).softmax(1).mean(0)
    rows = attention.mean(0)[shares > shares.mean()]
    return _with_groups(rows.mean(0).argsort(descending=True), states, budget)


def autoprune(attention: Tensor, states: Tensor, budget: int) -> list[int]:
    """The information that shapes the schedule; at one layer, the mean of all rows and groups."""
    n_x = attention.shape[1]
    joint = attention / n_x
    token = joint.sum(1, keepdim=True)
    ratio = (joint / (token / n_x + 1e-6)).clamp(min=1e-6)
    float((joint * ratio.log2()).sum())  # the slope of the curve follows from it
    return _with_groups(attention.mean((0, 1)).argsort(descending=True), states, budget)


def _with_groups(order: Tensor, states: Tensor, budget: int) -> list[int]:
    """The best tokens, and of a share of the others the density peaks that the rest of it joins."""
    rest = order[budget:]
    loose = rest[: int(len(rest) * 0.3) + 1]
    count = int(len(loose) / 10) + 1
    x = states[loose]
    distance = torch.cdist(x, x) / x.shape[1] ** 0.5
    density = (-distance.topk(count, largest=False).values.square().mean(1)).exp()
    denser = density[None, :] > density[:, None]
    reach = torch.where(denser, distance, distance.max()).amin(1)
    centers = (density * reach).argsort(descending=True, stable=True)[:count]
    joins = distance[centers].argmin(0)
    joins[centers] = torch.arange(count)
    groups = x.new_zeros(count, x.shape[1]).index_add_(0, joins, x)
    groups /= joins.bincount(minlength=count)[:, None]  # what takes the place of their members
    return [*order[:budget].tolist(), *loose[centers].tolist()]
