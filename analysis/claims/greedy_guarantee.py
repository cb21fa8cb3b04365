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

from analysis.style import COLORS, GRAY, PAGE, new_figure, theme
from mitheory.bundle import Sample
from mitheory.checks import check_budget
from mitheory.distributions import unit_rows
from mitheory.properties import curvature, sample_submodular, submodularity_ratio
from mitheory.scores import mi_score
from mitheory.selection.search import exhaustive, greedy
from mitheory.setfunctions import certificate
from mitheory.verdict import Kind, Verdict

from .base import Claim, mean_effect, one_per_image
from .context import Context
from .greedy_score import Parts, parts, rule, total
from .small_instances import PROVED, objectives, proved, restricted, totals_of

NAME = "greedy_guarantee"
STATEMENT = "Greedy selection by the score reaches at least 1 - 1/e of the best total."
SOURCE = "Sec. 2.3, Eqs. (14), (24); App. A.1"
KIND: Kind = "theorem"
SMALLEST_EFFECT = None  # a theorem: one counter-example decides
PATCHES, KEPT, FEW = (
    10,
    3,
    6,
)  # 720 orders, 120 sets: the optimum by enumeration; FEW: all pairs of sets
BOUND = 1 - 1 / math.e
TRIALS = 64
EXACT = 1 - 1e-9
LOWEST_DRAWN = 0.5
NEGLIGIBLE = 1e-6  # joint gains so small are rounding, and so are their ratios
HOW = (
    f"On {PATCHES} random patches of each image the best {KEPT} are found by trying all, in all "
    "orders for the paper's score (whose total depends on it) and as sets for objectives with a "
    "value: facility location and coverage (normalized, monotone, submodular: 1 - 1/e is proved) "
    "and the log-determinant (submodular, not monotone: it is not). A total of greedy below 1 - "
    "1/e of a positive best refutes. Curvature, submodularity ratio and the rate at which "
    "diminishing returns fail are measured too, and for the two with a proof, at the real budgets, "
    "the certificate f(S) / (f(S) + the k largest gains left): the share of the best that greedy "
    "is certain to reach. At most 64 images, one question each."
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
    """Per image and objective: greedy against the optimum on a few patches, and certificates."""
    columns = ["image_id", "sample_id", "objective", "greedy", "best", "ratio_of_submodularity",
               "curvature", "violations", *(certificate_at(r) for r in context.ratios)]  # fmt: skip
    rows: list[dict[str, object]] = []
    for sample in one_per_image(samples):
        if sample.n_v >= PATCHES:
            words = {"image_id": sample.image_id, "sample_id": sample.sample_id}
            rows += [words | row for row in _rows(sample, context)]
    return pd.DataFrame(rows, columns=columns)


def certificate_at(ratio: float) -> str:
    """Name of the column with the certificate at this share of tokens."""
    return f"certificate_{ratio:.4f}"


def _rows(sample: Sample, context: Context) -> list[dict[str, object]]:
    rng = context.rng(NAME, sample.sample_id)
    chosen = torch.from_numpy(np.sort(rng.choice(sample.n_v, PATCHES, replace=False)))
    whole = parts(sample, context)
    small = Parts(whole.relevance[chosen], whole.pmi[chosen][:, chosen])
    score = rule(small, context)
    orders = np.array(list(permutations(range(PATCHES), KEPT)))
    rows: list[dict[str, object]] = [
        {
            "objective": SCORE,
            "greedy": total(score, greedy(score, KEPT).indices.tolist()),
            "best": float(totals_of(small, orders, score.relevance_weight).max()),
        }
    ]
    certified = _certificates(sample, context)
    for name, function in objectives(sample, chosen, small.relevance).items():
        row: dict[str, object] = {
            "objective": name,
            "greedy": function.value(greedy(function, KEPT).indices.tolist()),
            "best": function.value(exhaustive(function, KEPT).indices.tolist()),
            "violations": sample_submodular(function.value, PATCHES, trials=TRIALS, rng=rng).rate,
        }
        if name in PROVED:  # both are defined for monotone functions
            few = restricted(function, FEW)
            row["ratio_of_submodularity"] = submodularity_ratio(few, FEW, tolerance=NEGLIGIBLE)
            row["curvature"] = curvature(function.value, PATCHES)
        rows.append(row | certified.get(name, {}))
    return rows


def _certificates(sample: Sample, context: Context) -> dict[str, dict[str, object]]:
    """By objective and budget: share of the best that greedy is certain to reach."""
    unit = unit_rows("visual", sample.visual.double())
    sizes = {ratio: check_budget(float(ratio), sample.n_v) for ratio in context.ratios}
    found: dict[str, dict[str, object]] = {}
    for name, function in proved(unit, torch.arange(sample.n_v)).items():
        # greedy's choice at a smaller budget is a beginning of that at the largest
        order = greedy(function, max(sizes.values())).indices.tolist()
        found[name] = {
            certificate_at(ratio): certificate(function, order[:size], size).share
            for ratio, size in sizes.items()
        }
    return found


def worked_example(relevance_weight: float) -> dict[str, Any] | None:
    """Three tokens where greedy's first choice spoils the rest; None at λ = 1, where none can.

    The PMI is scaled by λ / (1 - λ), so that one example does for every λ but 0.

    Examples
    --------
    >>> example = worked_example(0.5)
    >>> example["greedy_total"], example["best_total"]
    (0.5, 0.9)
    >>> worked_example(0.9)["greedy_over_best"], worked_example(0.0)["greedy_over_best"]
    (0.556, 0.0)
    >>> worked_example(1.0) is None
    True
    """
    if relevance_weight == 1:
        return None
    relevance = torch.tensor([1.0, 0.9, 0.9], dtype=torch.float64)
    pmi = torch.tensor([[1.0, 0.9, 0.9], [0.9, 1.0, 0.0], [0.9, 0.0, 1.0]], dtype=torch.float64)
    if relevance_weight == 0:  # redundancy alone, which leaves the first choice to the tie rule
        pmi = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, -1.0], [0.0, -1.0, 1.0]]).double()
    else:
        pmi = pmi * relevance_weight / (1 - relevance_weight)
    score = mi_score(relevance, pmi, relevance_weight=relevance_weight)
    kept = greedy(score, 2).indices.tolist()
    best = max(permutations(range(3), 2), key=lambda order: total(score, order))
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
    if table.empty:
        return CLAIM.unassessed(f"needs {PATCHES} patches in an image; no image has them", context)
    positive = _positive(table)
    by = positive.groupby("objective")["ratio"]
    own = positive[positive["objective"] == SCORE]
    effect = None
    if own["image_id"].nunique() > 1:
        effect = mean_effect(
            "greedy's total over the best, pooled, of the paper's score",
            "share",
            own["ratio"],
            own["image_id"],
            weights=own["best"],  # a mean of ratios would hang on those with a best near 0
        )
    example = worked_example(context.relevance_weight)
    if example is None and len(own) and float(own["ratio"].min()) < BOUND:
        worst = own.iloc[int(own["ratio"].to_numpy().argmin())]
        example = {
            "sample": str(worst["sample_id"]),
            "greedy_total": float(worst["greedy"]),
            "best_total": float(worst["best"]),
        }
    others = table[table["objective"] != SCORE].groupby("objective")
    proofs = table[table["objective"].isin(PROVED)].groupby("objective")
    return CLAIM.verdict(
        context,
        n=table["image_id"].nunique(),
        method=f"greedy against enumeration, {KEPT} of {PATCHES} patches",
        effect=effect,
        checked=len(table),
        counter_example=example,
        diagnostics={
            "median_greedy_over_best": _numbers(by.median()),
            "worst_greedy_over_best": _numbers(by.min()),
            "share_below_1_minus_1_over_e": _numbers(by.agg(lambda ratio: (ratio < BOUND).mean())),
            "share_where_greedy_is_best": _numbers(by.agg(lambda ratio: (ratio > EXACT).mean())),
            "instances_with_best_not_positive": int((table["best"] <= 0).sum()),
            "violations_of_diminishing_returns": _numbers(others["violations"].mean()),
            "submodularity_ratio": _numbers(proofs["ratio_of_submodularity"].min()),
            "curvature": _numbers(proofs["curvature"].mean()),
            "certificate": {
                f"{ratio:.1%}": _numbers(proofs[certificate_at(ratio)].mean())
                for ratio in context.ratios
            },
        },
        caveats=(
            f"Ratios are of {KEPT} of {PATCHES} patches. At real sizes the optimum is unknown; "
            "certificates bound it, for the objectives with a proof and not for the paper's score.",
            "Facility location and coverage count how well kept patches stand for all others; "
            "they do not know the question.",
        ),
    )


def _positive(table: pd.DataFrame) -> pd.DataFrame:
    """Instances whose best is positive, where a share of it means something."""
    return table[table["best"] > 0].assign(ratio=lambda t: t["greedy"] / t["best"])


def _numbers(values: pd.Series) -> dict[str, float]:
    return {str(k): float(v) for k, v in values.items()}


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Greedy over the best, objective by objective, and what is certain at real budgets."""
    positive = _positive(table).assign(name=lambda t: t["objective"].map(NAMES))
    order = [n for n in NAMES.values() if (positive["name"] == n).any()]
    colors = dict(zip(NAMES.values(), COLORS, strict=False))
    with theme():
        figure = new_figure(PAGE, 2.5)
        left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
        shown = positive.assign(ratio=positive["ratio"].clip(lower=LOWEST_DRAWN))
        sns.stripplot(
            shown, x="ratio", y="name", order=order, hue="name", palette=colors, ax=left, size=2.5,
            alpha=0.6, jitter=0.3, legend=False, rasterized=True,
        )  # fmt: skip
        left.set(xlabel=f"greedy over the best ({KEPT} of {PATCHES} patches)", ylabel="")
        left.set_xlim(LOWEST_DRAWN - 0.02, 1.02)
        if beyond := int((positive["ratio"] < LOWEST_DRAWN).sum()):
            words = f"{beyond} drawn at the edge; the worst is {positive['ratio'].min():.2g}"
            left.set_title(words, fontsize=7, fontweight="normal")
        ratios = sorted(float(c.split("_")[1]) for c in map(str, table) if "certificate_" in c)
        for name in PROVED:
            rows = table[table["objective"] == name]
            means = [rows[certificate_at(r)].astype(float).mean() for r in ratios]
            right.plot([100 * r for r in ratios], means, "o-", color=colors[NAMES[name]],
                       label=NAMES[name])  # fmt: skip
        right.axhline(BOUND, color=GRAY, ls="--", lw=1)
        left.axvline(BOUND, color=GRAY, ls="--", lw=1)
        for axes, at in ((left, (BOUND, 0.5)), (right, (0.97, BOUND))):
            axes.annotate(
                "1 − 1/e", at, fontsize=7, ha="right", va="bottom", xytext=(-3, 2),
                textcoords="offset points", xycoords=("data", "axes fraction")
                if axes is left
                else ("axes fraction", "data"),
            )  # fmt: skip
        right.set(
            xlabel="tokens kept (%)", ylabel="certainly reached, of the best", ylim=(0.5, 1.01)
        )
        right.legend(loc="center right")
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
