"""Inputs for the tests of selection, and the literal twins of every fast path."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from hypothesis import assume
from torch import Tensor

from mitheory import setfunctions
from mitheory.setfunctions import SetFunction


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64).to(dtype)


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator(seed), dtype=torch.float64)


def inputs(
    seed: int,
    *,
    b: int = 3,
    n_v: int = 14,
    n_t: int = 4,
    d: int = 6,
    dtype: torch.dtype = torch.float64,
) -> dict[str, Tensor]:
    """Every input that a method of the front door may ask for."""
    attention = normal(seed + 4, b, 2, n_v, n_v).softmax(-1)
    return {
        "visual": normal(seed, b, n_v, d).to(dtype),
        "text": normal(seed + 1, b, n_t, d).to(dtype),
        "cls_attention": normal(seed + 2, b, 2, n_v).softmax(-1).to(dtype),
        "patch_attention": attention.to(dtype),
        "received_attention": (attention.sum(2) - attention.diagonal(dim1=2, dim2=3))
        .mean(1)
        .to(dtype),
        "encoder_features": normal(seed + 5, b, n_v, 5).to(dtype),
        "encoder_keys": normal(seed + 9, b, n_v, 5).to(dtype),
        "text_attention": normal(seed + 10, b, 2, n_t, n_v).softmax(-1).to(dtype),
        "llm_visual_states": normal(seed + 11, b, n_v, 8).to(dtype),
        "llm_text_states": normal(seed + 12, b, n_t, 8).to(dtype),
        "llm_visual_keys": normal(seed + 13, b, 2, n_v, 4).to(dtype),
        "llm_text_keys": normal(seed + 14, b, 2, n_t, 4).to(dtype),
        "clip_visual": normal(seed + 6, b, n_v, 7).to(dtype),
        "clip_text": normal(seed + 7, b, 2, 7).to(dtype),
        "relevant": uniform(seed + 8, b, n_v) < 0.3,
    }


# --- set functions --------------------------------------------------------------------------


def correlation(seed: int, n: int) -> Tensor:
    """A correlation matrix with eigenvalues well above 0."""
    factor = normal(seed, n, n + 2)
    covariance = factor @ factor.T + 0.1 * torch.eye(n, dtype=torch.float64)
    scale = covariance.diagonal().rsqrt()
    return scale[:, None] * covariance * scale


def conditionally_independent_table(seed: int, n: int, *, k: int = 2, k_t: int = 3) -> Tensor:
    """p(t) Π p(v_i | t), T last."""
    p_t = uniform(seed, k_t) + 0.1
    table = p_t / p_t.sum()
    for i in range(n):
        given = uniform(seed + i + 1, k, k_t) + 0.05
        given = given / given.sum(0)
        table = table.unsqueeze(i) * given.reshape([1] * i + [k, k_t])
    return table


def conditionally_independent_covariance(seed: int, n: int, m: int = 2) -> Tensor:
    """Of V = A T + independent noise, and T."""
    a, noise = normal(seed, n, m), uniform(seed + 1, n) + 0.2
    t = correlation(seed + 2, m)
    vt = a @ t
    return torch.cat([torch.cat([vt @ a.T + noise.diag(), vt], 1), torch.cat([vt.T, t], 1)])


def example(name: str, seed: int, n: int = 4) -> SetFunction:
    """A random member of `SETFUNCTIONS` on n elements; even seeds are conditionally independent."""
    if name == "modular":
        return setfunctions.Modular(normal(seed, n))
    if name == "discrete_mi":
        table = conditionally_independent_table(seed, n)
        if seed % 2:
            table = uniform(seed, *table.shape)
        return setfunctions.DiscreteMI(table / table.sum())
    if name == "gaussian_mi":
        free = correlation(seed, n + 2)
        covariance = free if seed % 2 else conditionally_independent_covariance(seed, n)
        return setfunctions.GaussianMI(covariance, n)
    if name == "log_det":
        return setfunctions.LogDet(
            normal(seed, n), correlation(seed + 1, n), ridge=0.1 * (seed % 2)
        )
    if name == "chow_liu_mi":
        pairs = uniform(seed + 1, n, n)
        return setfunctions.ChowLiuMI(normal(seed, n), pairs + pairs.T)
    if name == "facility_location":
        return setfunctions.FacilityLocation(uniform(seed, 5, n))
    if name == "coverage":
        return setfunctions.Coverage(uniform(seed, 5, n), uniform(seed + 1, 5))
    if name == "log_mass":
        return setfunctions.LogMass(uniform(seed, 5, n), uniform(seed + 1, 5), floor=0.1)
    if name == "flmi":
        return setfunctions.FLMI(uniform(seed, 5, n), uniform(seed + 1, 5, 3), eta=0.7)
    if name == "flqmi":
        return setfunctions.FLQMI(uniform(seed, 3, n), eta=0.4)
    if name == "gcmi":
        return setfunctions.GCMI(uniform(seed, 3, n), weight=0.3)
    if name == "com":
        concave = "log1p" if seed % 2 else "sqrt"
        return setfunctions.COM(uniform(seed, 3, n), eta=0.4, concave=concave)
    if name == "log_det_mi":
        joint = correlation(seed, n + 2)
        return setfunctions.LogDetMI(
            joint[:n, :n], joint[:n, n:], joint[n:, n:], eta=0.5 + 0.5 * (seed % 2)
        )
    raise AssertionError(f"no example of {name}: write one")


# --- twins ----------------------------------------------------------------------------------


def _unit(x: Tensor) -> np.ndarray:
    a = x.double().numpy()
    return a / np.linalg.norm(a, axis=1, keepdims=True)


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _minmax(x: np.ndarray) -> np.ndarray:
    e = (x - x.min(1, keepdims=True)) / (x.max(1, keepdims=True) - x.min(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def algorithm_1(
    visual: Tensor,
    text: Tensor,
    budget: int,
    *,
    temperature: float = 0.1,
    self_temperature: float | None = None,
    relevance_weight: float = 0.5,
    aggregation: str = "max",
    redundancy_aggregation: str = "max",
    conditional: str = "softmax",
    self_loop: bool = True,
    self_marginal: str = "uniform",
    empty_redundancy: float = 0.0,
    first: tuple[int, ...] = (),
) -> tuple[list[int], list[float]]:
    """Lines 4-21 of Algorithm 1, one number at a time; chosen tokens and their scores.

    For use under `given`: draws with a choice decided by rounding are left out.
    """
    v, t, lam = _unit(visual), _unit(text), relevance_weight
    n, n_t = len(v), len(t)
    normalize = {"softmax": _softmax, "minmax": _minmax}[conditional]
    rho_self = v @ v.T / (self_temperature or temperature)
    p_cross = normalize(v @ t.T / temperature)
    if self_loop:
        p_self = normalize(rho_self)
    else:
        p_self = np.zeros((n, n))
        for i in range(n):
            others = [j for j in range(n) if j != i]
            p_self[i, others] = normalize(rho_self[i : i + 1, others])[0]
    p_t = p_cross.mean(0)
    p_v = np.full(n, 1 / n) if self_marginal == "uniform" else p_self.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        cross, within = np.log(p_cross / p_t), np.log(p_self / p_v)

    def relevance(i: int) -> float:
        if aggregation == "max":
            return max(cross[i, j] for j in range(n_t))
        if aggregation == "mean":
            return sum(cross[i, j] for j in range(n_t)) / n_t
        weight = 1 / n if aggregation == "joint" else 1.0
        return sum(weight * p_cross[i, j] * cross[i, j] for j in range(n_t) if p_cross[i, j] > 0)

    def redundancy(i: int, kept: list[int]) -> float:
        if not kept:
            return empty_redundancy
        if redundancy_aggregation == "max":
            return max(within[i, j] for j in kept)
        return sum(p_self[i, j] * within[i, j] for j in kept if p_self[i, j] > 0)

    kept, scores = list(first), []
    while len(kept) < budget:
        found: dict[int, float] = {}
        for i in range(n):
            if i in kept:
                continue
            score = 0.0
            score += lam * relevance(i) if lam > 0 else 0.0
            score -= (1 - lam) * redundancy(i, kept) if lam < 1 else 0.0
            found[i] = score
        best = max(found, key=lambda i: (found[i], -i))
        # a lead of rounding size is a tie or not as the sums happen to be ordered: not an example
        others = [score for score in found.values() if score != found[best]]
        assume(all(found[best] - score >= 1e-9 for score in others))
        kept.append(best)
        scores.append(found[best])
    return kept, scores


def max_min(visual: Tensor, budget: int) -> list[int]:
    """Greedy max-min dispersion by its definition."""
    v = _unit(visual)
    distance = 1 - v @ v.T
    n = len(v)

    def first(j: int) -> float:
        return sorted(distance[i, j] for i in range(n) if i != j)[0]

    kept = [_largest(range(n), first)]
    while len(kept) < budget:
        rest = [j for j in range(n) if j not in kept]
        kept.append(_largest(rest, lambda j: min(distance[i, j] for i in kept)))
    return kept


def max_determinant(visual: Tensor, quality: np.ndarray, budget: int) -> list[int]:
    """Greedy determinant, every one computed from scratch."""
    v = _unit(visual)
    kernel = quality[:, None] * (v @ v.T) * quality
    kept: list[int] = []
    while len(kept) < budget:
        rest = [j for j in range(len(v)) if j not in kept]
        kept.append(_largest(rest, lambda j: np.linalg.slogdet(_sub(kernel, [*kept, j]))[1]))
    return kept


def _largest(candidates: Iterable[int], key: Callable[[int], float]) -> int:
    """The first whose key no later one exceeds by more than rounding."""
    best, best_value = -1, -math.inf
    for j in candidates:
        value = key(j)
        if best < 0 or value > best_value + 1e-11:
            best, best_value = j, value
    return best


def _sub(matrix: np.ndarray, s: list[int]) -> np.ndarray:
    return matrix[np.ix_(s, s)]


def spanning_tree_weight(pairs: Tensor, chosen: list[int]) -> float:
    """Heaviest of all spanning trees, by enumeration."""
    if len(chosen) < 2:
        return 0.0
    best = -math.inf
    edges = list(itertools.combinations(chosen, 2))
    for tree in itertools.combinations(edges, len(chosen) - 1):
        reached = {chosen[0]}
        for _ in chosen:
            reached |= {x for edge in tree if reached & set(edge) for x in edge}
        if len(reached) == len(chosen):
            best = max(best, sum(float(pairs[i, j]) for i, j in tree))
    return best
