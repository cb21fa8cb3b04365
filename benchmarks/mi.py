"""MI-Pruner against Algorithm 1 as written, plain programs, and the least there is to compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mitheory import select

from . import mi_pruner
from .contest import Call, Contest, Entrant, Inputs
from .tokens import visual_text

SUITE = "MI-Pruner"
TEMPERATURE = 0.1
N_T, D = 32, 256
LARGE = 10_000
SIZES = ((576, 64), (2048, 114), (LARGE, 500))
ROUNDING = 8  # units in the last place of 1 + 1/τ, below which two scores tie
TINY = {"n_v": 16, "k": 3}


def contests() -> list[Contest]:
    """λ < 1 and λ = 1 at the sizes of LLaVA-1.5, Qwen2.5-VL and a video."""
    return [
        Contest(
            SUITE,
            "relevance and redundancy" if weight < 1 else "relevance alone",
            {"n_v": n, "n_t": N_T, "d": D, "k": k, "relevance_weight": weight, "dtype": "float32"},
            visual_text,
            (
                Entrant("mitheory", ours, "ours"),
                *(_with_redundancy(n) if weight < 1 else _relevance_alone()),
            ),
            TINY,
            quick=n < 1000,
            is_greedy=is_greedy,
        )
        for weight in (0.5, 1.0)
        for n, k in SIZES
    ]


def _with_redundancy(n: int) -> tuple[Entrant, ...]:
    plain = 2.0 if n == LARGE else 1.5
    fast = 30.0 if n == LARGE else None
    return (
        Entrant("half Gram + log-sum-exp", gram_floor, "floor", target=1 / 1.5 if fast else None),
        Entrant("plain PyTorch", solver(mi_pruner.plain_torch), target=plain),
        Entrant("plain NumPy", solver(mi_pruner.plain_numpy)),
        Entrant("Algorithm 1, vectorized", solver(mi_pruner.vectorized), target=fast),
        Entrant("Algorithm 1, line by line", solver(mi_pruner.literal), slow=n > 1000, target=2.0),
    )


def _relevance_alone() -> tuple[Entrant, ...]:
    return (
        Entrant("product + softmax", cross_floor, "floor", target=1 / 1.2),
        Entrant("plain PyTorch", solver(mi_pruner.relevance_only)),
    )


def ours(inputs: Inputs) -> Tensor:
    """`select`."""
    return select(
        "mi_pruner",
        visual=inputs["visual"],
        text=inputs["text"],
        budget=inputs["k"],
        temperature=TEMPERATURE,
        relevance_weight=inputs["relevance_weight"],
    ).indices


def solver(program: Callable[..., Sequence[int] | Tensor]) -> Call:
    """One of `mi_pruner` as an entrant."""

    def call(inputs: Inputs) -> Any:
        return program(
            inputs["visual"],
            inputs["text"],
            k=inputs["k"],
            lam=inputs["relevance_weight"],
            temperature=TEMPERATURE,
        )

    return call


def gram_floor(inputs: Inputs) -> None:
    """The normalizer of every row."""
    mi_pruner.gram_floor(inputs["visual"], temperature=TEMPERATURE)


def cross_floor(inputs: Inputs) -> None:
    """What λ = 1 needs."""
    mi_pruner.cross_floor(inputs["visual"], inputs["text"], temperature=TEMPERATURE)


def is_greedy(inputs: Inputs, answer: Sequence[int]) -> bool:
    """Whether every choice is the best at its turn, in float64, to within float32's rounding."""
    lam = inputs["relevance_weight"]
    v, t = (torch.nn.functional.normalize(inputs[n].double(), dim=-1) for n in ("visual", "text"))
    cross = (v @ t.T / TEMPERATURE).softmax(-1)
    relevance = lam * (cross / cross.mean(0)).log().amax(-1)
    total = torch.empty(len(v), dtype=torch.float64)
    for start in range(0, len(v), mi_pruner.BLOCK):
        rows = slice(start, start + mi_pruner.BLOCK)
        total[rows] = (v[rows] @ v.T / TEMPERATURE).logsumexp(-1)
    slack = ROUNDING * torch.finfo(torch.float32).eps * (1 + 1 / TEMPERATURE)
    running = torch.full_like(total, -torch.inf)
    scores = relevance.clone()
    open_ = torch.ones(len(v), dtype=torch.bool)
    for j in answer:
        if not open_[j] or scores[j] < scores[open_].max() - slack:
            return False
        open_[j] = False
        running = running.maximum(v @ v[j] / TEMPERATURE - total)  # log N_V shifts all alike
        scores = relevance - (1 - lam) * running
    return True
