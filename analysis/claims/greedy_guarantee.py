"""Sec. 2.3: greedy selection is within 1 - 1/e of the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.style import COLORS, GRAY, PAGE, new_figure, theme
from mitheory.bundle import Sample
from mitheory.checks import check_budget
from mitheory.distributions import unit_rows
from mitheory.properties import curvature, sample_submodular, submodularity_ratio
from mitheory.scores import mi_score
from mitheory.selection.search import exhaustive, greedy
from mitheory.setfunctions import Coverage, FacilityLocation, LogDet, SetFunction
from mitheory.verdict import Kind, Verdict

from .base import Claim, mean_effect, one_per_image
from .context import Context
from .greedy_score import Parts, parts, rule, total

NAME = "greedy_guarantee"
STATEMENT = "Greedy selection by the score reaches at least 1 - 1/e of the best total."
SOURCE = "Sec. 2.3, Eqs. (14), (24); App. A.1"
KIND: Kind = "theorem"
SMALLEST_EFFECT = None  # a theorem: one counter-example decides
PATCHES, KEPT = 10, 3  # 720 orders, 120 sets: the optimum by enumeration
BOUND = 1 - 1 / math.e
RIDGE = 1e-3
TRIALS = 64
HOW = (
    f"On {PATCHES} random patches of each image the best {KEPT} are found by trying all, in all "
    "orders for the paper's score (whose total depends on it) and as sets for objectives with a "
    "value: facility location and coverage (normalized, monotone, submodular: 1 - 1/e is proved) "
    "and the log-determinant (submodular, not monotone: it is not). A total of greedy below 1 - "
    "1/e of a positive best refutes. Curvature, submodularity ratio and the rate at which "
    "diminishing returns fail are measured too, and for facility location at the real budgets the "
    "certificate f(S) / (f(S) + the k largest gains left), which bounds what any set could reach."
)
MEANING = {
    "refuted": "No constant is guaranteed for the paper's score. How good greedy is on real "
    "embeddings is a measurement (below), not a theorem; facility location has the theorem.",
    "verified": "At λ = 1 the score is modular and greedy is exact.",
}
SCORE = "score"
NAMES = {
    SCORE: "the paper's score",
    "log_det": "log-determinant",
    "facility_location": "facility location",
    "coverage": "coverage",
}


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per image and objective: greedy against the optimum on a few patches."""
    rows: list[dict[str, object]] = []
    for sample in one_per_image(samples):
        if sample.n_v >= PATCHES:
            rows += _rows(sample, context)
    return pd.DataFrame(rows, columns=list(_EMPTY))


_EMPTY = dict.fromkeys(
    ("image_id", "sample_id", "objective", "greedy", "best", "worst", "ratio_of_submodularity",
     "curvature", "violations", *(f"certificate_{i}" for i in range(4)))
)  # fmt: skip


def _rows(sample: Sample, context: Context) -> list[dict[str, object]]:
    rng = context.rng(NAME, sample.sample_id)
    chosen = torch.from_numpy(np.sort(rng.choice(sample.n_v, PATCHES, replace=False)))
    whole = parts(sample, context)
    small = Parts(whole.relevance[chosen], whole.pmi[chosen][:, chosen])
    score = rule(small, context)
    orders = np.array(list(permutations(range(PATCHES), KEPT)))
    totals = totals_of(small, orders, score.relevance_weight)
    words = {"image_id": sample.image_id, "sample_id": sample.sample_id}
    rows: list[dict[str, object]] = [
        {
            **_EMPTY,
            **words,
            "objective": SCORE,
            "greedy": total(score, greedy(score, KEPT).indices.tolist()),
            "best": float(totals.max()),
            "worst": float(totals.min()),
        }
    ]
    for name, function in objectives(sample, chosen, small).items():
        best = exhaustive(function, KEPT).indices.tolist()
        check = sample_submodular(function.value, PATCHES, trials=TRIALS, rng=rng)
        monotone = name in ("facility_location", "coverage")
        few = 6  # the ratio looks at all pairs of sets
        sub = restricted(function, few)
        rows.append(
            {
                **_EMPTY,
                **words,
                "objective": name,
                "greedy": function.value(greedy(function, KEPT).indices.tolist()),
                "best": function.value(best),
                "worst": np.nan,
                "ratio_of_submodularity": submodularity_ratio(sub, few) if monotone else np.nan,
                "curvature": curvature(function.value, PATCHES) if monotone else np.nan,
                "violations": check.rate,
                **(_certificates(sample, context) if name == "facility_location" else {}),
            }
        )
    return rows


def totals_of(found: Parts, orders: NDArray[np.int64], relevance_weight: float) -> NDArray[Any]:
    """Total score of every order (m, k) of choice: the vectorized twin of `total`."""
    relevance, pmi = found.relevance.numpy(), found.pmi.numpy()
    summed = relevance_weight * relevance[orders].sum(1)
    for step in range(1, orders.shape[1]):
        against = pmi[orders[:, step, None], orders[:, :step]]  # (m, step)
        summed = summed - (1 - relevance_weight) * against.max(1)
    return np.asarray(summed)


def objectives(sample: Sample, chosen: torch.Tensor, found: Parts) -> dict[str, SetFunction]:
    """Objectives with a value, over these patches."""
    unit = unit_rows("visual", sample.visual.double())
    cosine = unit @ unit[chosen].T  # (n_v, few)
    own = unit[chosen] @ unit[chosen].T
    own = (own + own.T) / 2
    near = ((1 + cosine) / 2).clamp(0, 1)
    weights = torch.full((len(near),), 1 / len(near), dtype=torch.float64)
    return {
        "log_det": LogDet(found.relevance, own, RIDGE),
        "facility_location": FacilityLocation(near),
        "coverage": Coverage(near**4, weights),
    }


def restricted(function: SetFunction, n: int) -> Any:
    """The value on the first n elements."""
    return lambda chosen: function.value([i for i in chosen if i < n])


def _certificates(sample: Sample, context: Context) -> dict[str, float]:
    """f(S) over the bound on any set's value, for facility location at the real budgets."""
    unit = unit_rows("visual", sample.visual.double())
    function = FacilityLocation(((1 + unit @ unit.T) / 2).clamp(0, 1))
    found = {}
    for i, ratio in enumerate(context.ratios[:4]):
        budget = check_budget(ratio, sample.n_v)
        kept = greedy(function, budget).indices.tolist()
        state = function.start()
        for j in kept:
            state = function.extend(state, j)
        left = function.gains(state).clone()
        left[kept] = 0.0
        value = function.value(kept)
        found[f"certificate_{i}"] = value / (value + float(left.topk(budget).values.sum()))
    return found


def worked_example(relevance_weight: float) -> dict[str, Any] | None:
    """Three tokens of which greedy takes the best first and must pay for it; None if it need not.

    Examples
    --------
    >>> example = worked_example(0.5)
    >>> example["greedy_total"], example["best_total"]
    (0.5, 0.9)
    >>> worked_example(1.0) is None
    True
    """
    relevance = torch.tensor([1.0, 0.9, 0.9], dtype=torch.float64)
    pmi = torch.tensor([[1.0, 0.9, 0.9], [0.9, 1.0, 0.0], [0.9, 0.0, 1.0]], dtype=torch.float64)
    score = mi_score(relevance, pmi, relevance_weight=relevance_weight)
    kept = greedy(score, 2).indices.tolist()
    orders = list(permutations(range(3), 2))
    best = max(orders, key=lambda order: total(score, order))
    if total(score, kept) >= BOUND * total(score, best):
        return None
    return {
        "relevance": relevance.tolist(),
        "pmi": pmi.tolist(),
        "lambda": relevance_weight,
        "greedy_keeps": kept,
        "greedy_total": total(score, kept),
        "best_order": list(best),
        "best_total": total(score, best),
        "greedy_over_best": total(score, kept) / total(score, best),
        "1 - 1/e": BOUND,
    }


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Refuted by the worked example; the bundle says how often and how far greedy falls short."""
    positive = table[table["best"] > 0].assign(ratio=lambda t: t["greedy"] / t["best"])
    by = positive.groupby("objective")["ratio"]
    short = positive.assign(short=positive["ratio"] < BOUND).groupby("objective")["short"].mean()
    own = positive[positive["objective"] == SCORE]
    effect = None
    if own["image_id"].nunique() > 1:
        effect = mean_effect(
            "greedy's total over the best, the paper's score", "share", own["ratio"],
            own["image_id"],
        )  # fmt: skip
    others = table[table["objective"] != SCORE].groupby("objective")
    certificates = {
        f"{ratio:.1%}": float(table[f"certificate_{i}"].astype(float).mean())
        for i, ratio in enumerate(context.ratios[:4])
    }
    example = worked_example(context.relevance_weight)
    if example is None and len(own) and float(own["ratio"].min()) < BOUND:
        worst = own.iloc[int(own["ratio"].to_numpy().argmin())]
        example = {
            "sample": str(worst["sample_id"]),
            "greedy_total": float(worst["greedy"]),
            "best_total": float(worst["best"]),
        }
    return CLAIM.verdict(
        context,
        n=table["image_id"].nunique(),
        method=f"greedy against enumeration, {KEPT} of {PATCHES} patches",
        effect=effect,
        checked=len(table),
        counter_example=example,
        diagnostics={
            "greedy_over_best": {str(k): float(v) for k, v in by.mean().items()},
            "worst_greedy_over_best": {str(k): float(v) for k, v in by.min().items()},
            "share_below_1_minus_1_over_e": {str(k): float(v) for k, v in short.items()},
            "instances_with_best_not_positive": int((table["best"] <= 0).sum()),
            "violations_of_diminishing_returns": _means(others["violations"].mean()),
            "submodularity_ratio": _means(others["ratio_of_submodularity"].min()),
            "curvature": _means(others["curvature"].mean()),
            "certificate_of_facility_location": _clean(certificates),
        },
        caveats=(
            f"Ratios are of {KEPT} of {PATCHES} patches; at real sizes the optimum is unknown and "
            "the certificate bounds it, for facility location alone.",
        ),
    )


def _means(values: pd.Series) -> dict[str, float]:
    return {str(k): float(v) for k, v in values.items() if np.isfinite(float(v))}


def _clean(values: dict[str, float]) -> dict[str, float]:
    return {k: v for k, v in values.items() if np.isfinite(v)}


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Greedy over the best, objective by objective, against 1 - 1/e."""
    positive = table[table["best"] > 0].assign(
        ratio=lambda t: t["greedy"] / t["best"], name=lambda t: t["objective"].map(NAMES)
    )
    with theme():
        figure = new_figure(PAGE * 0.85, 2.4)
        axes = figure.subplots()
        order = [n for n in NAMES.values() if (positive["name"] == n).any()]
        sns.stripplot(
            positive, x="ratio", y="name", order=order, hue="name", hue_order=order,
            palette=list(COLORS[: len(order)]), ax=axes, size=2.5, alpha=0.6, jitter=0.3,
            legend=False, rasterized=True,
        )  # fmt: skip
        axes.axvline(BOUND, color=GRAY, ls="--", lw=1)
        axes.annotate(
            "1 − 1/e", (BOUND, 0.99), xycoords=("data", "axes fraction"), ha="right", va="top",
            fontsize=7, xytext=(-3, 0), textcoords="offset points",
        )  # fmt: skip
        axes.set(xlabel=f"greedy over the best ({KEPT} of {PATCHES} patches)", ylabel="")
        left = max(0.0, float(positive["ratio"].min()) - 0.05)
        axes.set_xlim(left, 1.03)
        if beyond := int((positive["ratio"] < left).sum()):
            words = f"{beyond} further left, the worst at {positive['ratio'].min():.2g}"
            axes.set_title(words, fontsize=7, fontweight="normal")
    return figure


CLAIM = Claim(
    name=NAME,
    statement=STATEMENT,
    source=SOURCE,
    kind=KIND,
    smallest_effect=SMALLEST_EFFECT,
    how=HOW,
    meaning=MEANING,
    measure=measure,
    judge=judge,
    draw=draw,
    max_images=64,
)
evaluate = CLAIM.evaluate
