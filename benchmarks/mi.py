"""MI-Pruner against Algorithm 1 as it is written."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mitheory import select

from .contest import Contest, Entrant, Inputs
from .tokens import visual_text

SUITE = "MI-Pruner"
TEMPERATURE = 0.1
N_T, D = 32, 256
CASES = ((576, 64, 0.5), (2048, 114, 0.5), (10_000, 500, 0.5), (576, 64, 1.0), (10_000, 500, 1.0))
TINY = {"n_v": 16, "k": 3}


def contests() -> list[Contest]:
    """λ < 1 and λ = 1 at the sizes of LLaVA-1.5, Qwen2.5-VL and a video."""
    return [
        Contest(
            SUITE,
            "redundancy weighed in" if weight < 1 else "relevance alone",
            {"n_v": n, "n_t": N_T, "d": D, "k": k, "relevance_weight": weight, "dtype": "float32"},
            visual_text,
            (
                Entrant("mitheory", ours, "ours"),
                Entrant(
                    "Algorithm 1, line by line",
                    algorithm_1,
                    slow=n > 1000,
                    target=2.0,
                ),
            ),
            TINY,
            quick=n < 1000,
        )
        for n, k, weight in CASES
    ]


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


def softmax(logits: np.ndarray) -> np.ndarray:
    """Eq. (16), along the second dimension."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def algorithm_1(inputs: Inputs) -> list[int]:
    """Lines 4-21 of Algorithm 1, one statement each; the empty set has redundancy 0."""
    lam = inputs["relevance_weight"]
    visual, text = inputs["visual"].numpy(), inputs["text"].numpy()
    v = visual / np.linalg.norm(visual, axis=1, keepdims=True)
    t = text / np.linalg.norm(text, axis=1, keepdims=True)
    cross, self_ = softmax(v @ t.T / TEMPERATURE), softmax(v @ v.T / TEMPERATURE)
    pmi_cross = np.log(cross / cross.mean(axis=0))
    pmi_self = np.log(self_ * len(v))
    selected: list[int] = []
    while len(selected) < inputs["k"]:
        scores = np.full(len(v), -np.inf)
        for i in range(len(v)):
            if i not in selected:
                relevance = pmi_cross[i].max()
                redundancy = pmi_self[i, selected].max() if selected else 0.0
                scores[i] = lam * relevance - (1 - lam) * redundancy
        selected.append(int(scores.argmax()))
    return selected
