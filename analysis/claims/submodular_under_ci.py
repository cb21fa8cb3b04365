"""Sec. 2.3: information on the prompt is submodular if patches are independent given it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.style import BLUE, PAGE, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.verdict import Kind, Verdict

from .base import Claim
from .context import Context
from .toy_models import DISCRETE, GAUSSIAN, assumption_holds, models, worst_gains

NAME = "submodular_under_ci"
STATEMENT = (
    "If patches are conditionally independent given the prompt, the information that a set of "
    "patches has on the prompt is a monotone submodular function of the set."
)
SOURCE = "Eqs. (9)-(14), Sec. 2.3; Eqs. (31)-(32), App. A.2"
KIND: Kind = "theorem"
SMALLEST_EFFECT = None  # a theorem: one counter-example would decide
MODELS = 60  # of each family
TOLERANCE = 1e-9  # nats; rounding of some ten entropies
HOW = (
    f"{MODELS} random discrete tables and {MODELS} random Gaussians in which the assumption holds "
    "by construction: every gain against every larger set, exactly. The theorem is the conditional "
    "statement, and that is what the verdict judges. Beside it, what happens without the "
    "assumption: exclusive or, a conjunction (a thing that needs its left and its right part), a "
    "copied patch, and random models without it."
)
MEANING = {
    "verified": "The theorem is right, and all of it is in its premise. Whether real patches are "
    "independent given the prompt is another claim (conditional_independence); where they are not, "
    "gains may grow, and greedy selection by this objective has no 1 - 1/e to lean on.",
    "refuted": "Even under its own assumption the objective is not submodular.",
}


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per model: whether the assumption holds, and its smallest slack; no samples are looked at."""
    rows = []
    for number, (kind, name, f) in enumerate(models(context.rng(NAME), MODELS)):
        words = {"model": number, "kind": kind, "name": name, "assumption": assumption_holds(f)}
        rows.append({**words, **worst_gains(f)})
    return pd.DataFrame(rows)


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Refuted by a model in which the assumption holds and a gain grows or is negative."""
    judged, others = table[table["assumption"]], table[~table["assumption"]]
    worst = judged.iloc[int(judged[["slack", "least_gain"]].min(axis=1).to_numpy().argmin())]
    broken = min(worst["slack"], worst["least_gain"]) < -TOLERANCE
    by_name = {str(r["name"]): r for _, r in others.iterrows() if r["name"] != "random"}
    random = others[others["name"] == "random"]
    return CLAIM.verdict(
        context,
        n=len(judged),
        unit="models",
        method="every gain against every larger set, exactly",
        checked=len(judged),
        counter_example=_worked(worst) if broken else None,
        caveats=(
            "Judged: 'conditional independence implies submodularity'. Not judged: that mutual "
            "information is submodular without it, which exclusive or refutes.",
            "Sufficient, not necessary: a copied patch is dependent given the prompt, and its "
            "gains diminish all the same.",
        ),
        diagnostics={
            "least_slack_under_assumption": float(judged["slack"].min()),
            "without_assumption": {name: _worked(r) for name, r in sorted(by_name.items())},
            "random_models_without_assumption": len(random),
            "of_them_not_submodular": int((random["slack"] < -TOLERANCE).sum()),
        },
    )


def _worked(row: pd.Series) -> dict[str, object]:
    """A model's worst pair of gains as JSON values."""
    return {
        "model": f"{row['kind']} {row['name']}",
        "set": str(row["set"]),
        "element": int(row["element"]),
        "element_added_before": int(row["added"]),
        "gain_before_nats": float(row["gain_before"]),
        "gain_after_nats": float(row["gain_after"]),
    }


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Smallest fall of a gain per model, with and without the assumption."""
    rng = np.random.default_rng(0)  # jitter only
    groups = [(kind, held) for kind in (DISCRETE, GAUSSIAN) for held in (True, False)]
    with theme():
        figure = new_figure(PAGE * 0.8, 2.4)
        axes = figure.subplots()
        for height, (kind, held) in enumerate(groups):
            slack = table.loc[(table["kind"] == kind) & (table["assumption"] == held), "slack"]
            jitter = height + rng.uniform(-0.22, 0.22, size=len(slack))
            axes.scatter(slack, jitter, s=7, alpha=0.6, color=BLUE if held else VERMILION)
        axes.axvline(0.0, color="black", linewidth=0.8)
        axes.set_xscale("symlog", linthresh=1e-3)
        for _, row in table[table["name"] != "random"].iterrows():
            axes.annotate(
                row["name"], (row["slack"], 1.0), xytext=(row["slack"], 1.5), va="center",
                ha="left" if row["name"] == "conjunction" else "right",
                fontsize=6.5, arrowprops={"arrowstyle": "-", "lw": 0.5},
            )  # fmt: skip
        axes.set_yticks(
            range(len(groups)),
            [f"{kind}, {'' if held else 'not '}independent" for kind, held in groups],
        )
        axes.invert_yaxis()
        axes.set_xlabel("smallest fall of a gain when the set grows (nats); negative: it grew")
        axes.set_title("patches independent given the prompt, or not")
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
    needs_bundle=False,
)
evaluate = CLAIM.evaluate
