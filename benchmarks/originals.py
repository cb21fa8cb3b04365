"""Methods step by step, as their public codes do them: PyTorch, nothing made faster.

The projector-side ones are `tests/peer_twins_projector.py`, which is as direct.
"""

from __future__ import annotations

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
