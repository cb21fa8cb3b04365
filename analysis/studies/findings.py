"""What the paper finds (Sec. 4, App. B), each finding restated as predictions that can fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from analysis.ablation import Configuration, expand
from analysis.ablation.configuration import FULL
from analysis.ablation.grids import CDPRUNER, MAIN

Questions = Literal["all", "open", "closed", "existence", "adversarial"]
Outcome = Literal["accuracy", "balance"]

PRUNED = (1 / 4, 1 / 9, 1 / 18)
"""Shares of tokens at which methods are compared: 144, 64 and 32 of 576."""
ABLATED = (1 / 9, 1 / 18)
"""Shares at which the paper prints its ablations: 64 and 32 of 576 (Tabs. 5, 6)."""
LIGHT = (1 / 2, 1 / 4, 1 / 9)
"""Shares at which pruning might raise accuracy: where the paper says it did."""


@dataclass(frozen=True)
class Prediction:
    """One comparison that a finding of the paper predicts to come out above zero.

    Parameters
    ----------
    finding : its name; the predictions of one finding are a family of tests
    statement : the finding, in a line
    source : where the paper says so
    first, second : names of what it favors and of the reference
    favored, reference : axes of their cells, without the budget
    questions : of which kind: "all" or "open" of the general sample; "closed", "existence" or
        "adversarial" (adversarial absent things against present ones) of the closed-form sample
    budgets : shares of tokens
    outcome : "accuracy", or "balance": how much nearer to one half the share of yes is, where half
        of the things asked about are there
    """

    finding: str
    statement: str
    source: str
    first: str
    second: str
    favored: Mapping[str, Any]
    reference: Mapping[str, Any]
    questions: Questions
    budgets: tuple[float, ...] = PRUNED
    outcome: Outcome = "accuracy"

    @property
    def dataset(self) -> str:
        """Sample that its questions are of."""
        return "fruitfly" if self.questions in ("all", "open") else "fruitfly-closed"

    def cells(self, budget: float) -> tuple[list[Configuration], list[Configuration]]:
        """Cells of both sides at a budget; draws of a random one are averaged."""
        first, second = (
            expand({**side, **({} if side["method"] == FULL else {"budget": budget})})
            for side in (self.favored, self.reference)
        )
        return first, second


MI = ("MI-Pruner", MAIN)
PEERS: dict[str, dict[str, Any]] = {
    "Random": {"method": "random", "draw": [0, 1, 2]},
    "Similarity (max)": {"method": "similarity", "word_aggregation": "max"},
    "Similarity (mean)": {"method": "similarity", "word_aggregation": "mean"},
    "Attention": {"method": "attention"},
    "[CLS] attention": {"method": "cls_attention"},
    "DivPrune": {"method": "divprune"},
    "CDPruner": CDPRUNER,
}


def _over(
    finding: str, statement: str, source: str, peers: tuple[str, ...], questions: Questions,
    budgets: tuple[float, ...] = PRUNED, outcome: Outcome = "accuracy",
) -> list[Prediction]:  # fmt: skip
    """MI-Pruner against each of some peers."""
    return [
        Prediction(
            finding, statement, source, MI[0], peer, MI[1], PEERS[peer], questions, budgets, outcome
        )
        for peer in peers
    ]


def _within(
    finding: str, statement: str, source: str, first: tuple[str, dict[str, Any]],
    others: Mapping[str, dict[str, Any]], questions: tuple[Questions, ...],
) -> list[Prediction]:  # fmt: skip
    """One setting of MI-Pruner against others, on each kind of question."""
    return [
        Prediction(
            finding, statement, source, first[0], second, MAIN | first[1], MAIN | changes, kind,
            ABLATED,
        )
        for kind in questions
        for second, changes in others.items()
    ]  # fmt: skip


def _weight(finding: str, statement: str, best: float, other: float, kind: Questions) -> Prediction:
    return Prediction(
        finding, statement, "Sec. 4.4, Fig. 6b", f"λ = {best:g}", f"λ = {other:g}",
        MAIN | {"relevance_weight": best}, MAIN | {"relevance_weight": other}, kind, ABLATED,
    )  # fmt: skip


SIMILARITIES = ("Similarity (max)", "Similarity (mean)")
YES_NO = ("Random", *SIMILARITIES, "[CLS] attention")

PREDICTIONS: tuple[Prediction, ...] = (
    *_over("random", "MI-Pruner beats Random", "Tabs. 1, 2, 7", ("Random",), "all"),
    *_over("similarity", "MI-Pruner beats Similarity", "Tabs. 1, 2, 7", SIMILARITIES, "all"),
    *_over(
        "attention", "MI-Pruner beats Attention", "Sec. 4.2, Tabs. 1, 2",
        ("Attention", "[CLS] attention"), "all",
    ),
    *_over(
        "diversity", "MI-Pruner beats diversity-based pruning", "Sec. 4.2, Fig. 4",
        ("DivPrune", "CDPruner"), "all",
    ),
    *_over(
        "balance", "MI-Pruner says yes nearer to half of the time", "Sec. 4.2, Tabs. 1, 10",
        YES_NO, "existence", ABLATED, "balance",
    ),
    *_over(
        "adversarial", "MI-Pruner resists adversarial absences better", "App. B.1, Tabs. 10, 11",
        YES_NO, "adversarial", ABLATED,
    ),
    *_within(
        "aggregation", "Max beats average and global aggregation", "Sec. 4.4, Fig. 6a",
        ("max", {"aggregation": "max"}),
        {
            "mean": {"aggregation": "mean"},
            "global (Eq. 21)": {"aggregation": "kl", "redundancy_aggregation": "global"},
        },
        ("open", "closed"),
    ),
    _weight("weight_closed", "λ = 1 is best for closed-form questions", 1.0, 0.5, "closed"),
    _weight("weight_open", "λ < 1 is best for open-ended questions", 0.5, 1.0, "open"),
    *_within(
        "temperature", "τ = 0.1 is best", "Sec. 4.4, Tab. 5", ("τ = 0.1", {"temperature": 0.1}),
        {f"τ = {t:g}": {"temperature": t} for t in (0.01, 0.5)}, ("open", "closed"),
    ),
    *_within(
        "normalization", "Softmax beats MinMax", "App. B.2, Tab. 6",
        ("softmax", {"conditional": "softmax"}), {"MinMax": {"conditional": "minmax"}},
        ("open", "closed"),
    ),
    Prediction(
        "rising", "Pruning raises accuracy over all tokens", "App. C.5, Tabs. 1, 2, 11",
        MI[0], "all tokens", MI[1], {"method": FULL}, "closed", LIGHT,
    ),
)  # fmt: skip
