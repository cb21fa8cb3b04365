"""Small models whose information is exact: some independent given the prompt, some not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mitheory.properties import subsets
from mitheory.setfunctions import DiscreteMI, GaussianMI, SetFunction
from mitheory.setfunctions.discrete import is_conditionally_independent

DISCRETE, GAUSSIAN = "discrete", "Gaussian"


def conditionally_independent_table(rng: np.random.Generator) -> Tensor:
    """p(t) Π p(v_i given t) of four variables of 2 or 3 letters and a prompt of 2 to 4."""
    n_t = int(rng.integers(2, 5))
    table = torch.from_numpy(rng.dirichlet(np.ones(n_t)))
    for axis in range(4):
        given = torch.from_numpy(rng.dirichlet(np.ones(rng.integers(2, 4)), size=n_t))  # (n_t, k)
        shape = [1] * axis + [given.shape[1], n_t]
        table = table.unsqueeze(-2) * given.T.reshape(shape)
    return table


def any_table(rng: np.random.Generator) -> Tensor:
    """A random joint of three fair-sized letters and a prompt: no independence."""
    return torch.from_numpy(rng.dirichlet(np.full(24, 0.5)).reshape(2, 2, 2, 3))


def conditionally_independent_gaussian(rng: np.random.Generator) -> Tensor:
    """Covariance of V = A T + noise of its own, five patches and a prompt in two dimensions."""
    a = rng.standard_normal((5, 2))
    v = a @ a.T + np.diag(rng.uniform(0.1, 2.0, size=5))
    return torch.from_numpy(np.block([[v, a], [a.T, np.eye(2)]]))


def any_gaussian(rng: np.random.Generator) -> Tensor:
    """A random covariance of five patches and two prompt dimensions: no independence."""
    root = rng.standard_normal((7, 9))
    return torch.from_numpy(root @ root.T)


def logic(rule: np.ufunc) -> Tensor:
    """Joint of two fair bits and what `rule` makes of them."""
    table = torch.zeros(2, 2, 2, dtype=torch.float64)
    for a in range(2):
        for b in range(2):
            table[a, b, int(rule(a, b))] = 0.25
    return table


def copied() -> Tensor:
    """A bit, its copy, and a prompt equal to it 8 times in 10: dependent, yet submodular."""
    table = torch.zeros(2, 2, 2, dtype=torch.float64)
    for a in range(2):
        for t in range(2):
            table[a, a, t] = 0.4 if a == t else 0.1
    return table


def worst_gains(f: SetFunction) -> dict[str, object]:
    """The element whose gain falls least, or grows most, when another is added before it.

    Over all sets S and pairs i, j; pairs suffice, since a larger set is reached one element at a
    time. `slack` is f(S+i) - f(S) - f(S+j+i) + f(S+j), negative where a gain grows; `least_gain`
    is negative where f is not monotone.
    """
    value = {s: f.value(s) for s in subsets(f.n)}

    def with_(s: tuple[int, ...], *more: int) -> tuple[int, ...]:
        return tuple(sorted((*s, *more)))

    found = []
    for s in subsets(f.n, largest=f.n - 2):
        left = [i for i in range(f.n) if i not in s]
        for i in left:
            for j in (k for k in left if k != i):
                first = value[with_(s, i)] - value[s]
                later = value[with_(s, i, j)] - value[with_(s, j)]
                found.append((first - later, s, i, j, first, later))
    slack, s, i, j, first, later = min(found)
    return {
        "slack": slack,
        "least_gain": min(min(row[4:]) for row in found),
        "set": str(s),
        "element": i,
        "added": j,
        "gain_before": first,
        "gain_after": later,
    }


def models(rng: np.random.Generator, number: int) -> Iterator[tuple[str, str, SetFunction]]:
    """Kind, name and function: `number` random ones of each family, and three by name."""
    for _ in range(number):
        yield DISCRETE, "random", DiscreteMI(conditionally_independent_table(rng))
        yield GAUSSIAN, "random", GaussianMI(conditionally_independent_gaussian(rng), 5)
        yield DISCRETE, "random", DiscreteMI(any_table(rng))
        yield GAUSSIAN, "random", GaussianMI(any_gaussian(rng), 5)
    yield DISCRETE, "exclusive or", DiscreteMI(logic(np.bitwise_xor))
    yield DISCRETE, "conjunction", DiscreteMI(logic(np.bitwise_and))
    yield DISCRETE, "copy", DiscreteMI(copied())


def assumption_holds(f: SetFunction) -> bool:
    """Whether the model's own joint is conditionally independent given the prompt."""
    if isinstance(f, GaussianMI):
        return f.is_conditionally_independent
    return isinstance(f, DiscreteMI) and is_conditionally_independent(f.table)
