"""Tab. 5: whether τ = 0.1 is the best temperature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.style import BLUE, GRAY, GREEN, ORANGE, PAGE, new_figure, theme
from mitheory.bundle import Sample
from mitheory.verdict import Kind, SmallestEffect, Verdict

from . import keeping
from .base import Claim, mean_effect
from .context import Context

NAME = "temperature"
STATEMENT = "A temperature of 0.1 gives the best performance; no other does better."
SOURCE = "Sec. 4.3, Tab. 5"
KIND: Kind = "ablation"
SMALLEST_EFFECT = SmallestEffect(
    0.01,
    "share",
    "at_most",
    "one point: the paper's own gaps between temperatures are 0.2 to 3.6 points",
)
PAPER = 0.1
SHARED = (0.01, 0.05, 0.1, 0.2, 0.5)  # 0.01, 0.1 and 0.5 are the paper's
SEPARATE = (0.01, 0.5)
HOW = (
    f"MI-Pruner at τ = {', '.join(map(str, SHARED))}, shared by the cross and the self "
    "conditional, at the audited λ and the budget nearest to a ninth of all tokens. Kept sets are "
    "gauged by correct answers where the bundle's own model is in the loop, else by the share of "
    "relevant patches kept. The effect is the paired gain over τ = 0.1 of the other temperature "
    "that is best on the other half of the images; the claim is that it is under a point. Beside "
    "it, each temperature is moved alone, the other staying at 0.1, and MinMax is run at two "
    "temperatures: it cannot depend on τ, so that its ablation over τ would be vacuous."
)
MEANING = {
    "holds": "No other temperature of the grid gains a point over 0.1: keep it.",
    "violated": "Another temperature is better by more than a point on these embeddings: tune τ on "
    "a validation split, the cross and the self temperature apart.",
    "inconclusive": "Too few questions to tell τ = 0.1 from the best of the others.",
}


def _settings() -> dict[str, dict[str, Any]]:
    """Options of every column that is gauged."""
    shared = {f"shared {tau:g}": {"temperature": tau} for tau in SHARED}
    cross = {f"cross {t:g}": {"temperature": t, "self_temperature": PAPER} for t in SEPARATE}
    own = {f"self {t:g}": {"temperature": PAPER, "self_temperature": t} for t in SEPARATE}
    return shared | cross | own


SETTINGS = _settings()
REFERENCE = f"shared {PAPER:g}"
OTHERS = [f"shared {tau:g}" for tau in SHARED if tau != PAPER]


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample: the gauge at every temperature, and whether MinMax kept other tokens at another.

    Both gauges where both can be had; `patches: ` before those of relevant patches.
    """
    gauge = keeping.gauge_of(context)
    columns: dict[str, list[float]] = {}
    for name, options in SETTINGS.items():
        kept = keeping.keep(samples, context, **options)
        columns[name] = keeping.gauged(gauge, samples, kept, context)
        columns[f"patches: {name}"] = keeping.gauged("patches", samples, kept, context)
    exact = [replace(s, visual=s.visual.double(), text=s.text.double()) for s in samples]
    minmax = [  # in float32, what counts as a tie depends on τ
        keeping.keep(exact, context, temperature=tau, conditional="minmax")
        for tau in (SHARED[0], SHARED[-1])
    ]
    columns["minmax moved"] = [float((a != b).any()) for a, b in zip(*minmax, strict=True)]
    return pd.DataFrame([keeping.identity(s) for s in samples]).assign(**columns)


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """The interval of the gain of the best other temperature."""
    gauge = keeping.gauge_of(context)
    if gauge is None:
        return CLAIM.unassessed(keeping.NO_GAUGE, context)
    known = table.dropna(subset=[REFERENCE]).reset_index(drop=True)
    if known["image_id"].nunique() < CLAIM.min_images:
        return CLAIM.unassessed(keeping.NOTHING_RELEVANT, context)
    choice = keeping.choose_on_other_half(known, OTHERS)
    if choice is None:
        return CLAIM.unassessed("needs images in both halves", context)
    images = known["image_id"]
    gain = keeping.values_of(known, choice) - known[REFERENCE]
    return CLAIM.verdict(
        context,
        n=images.nunique(),
        method=f"paired over questions, {keeping.GAUGES[gauge]}; rival chosen on the other half",
        effect=mean_effect(
            f"{keeping.GAUGES[gauge]}: best other τ less τ = 0.1",
            "share",
            gain,
            images,
            span=2.0,
        ),
        caveats=(
            "The best of this grid only; the budget and λ are those audited.",
            "Answers and relevant patches kept need not peak at one temperature: both are shown.",
            f"{len(table) - len(known)} questions without a relevant patch are left out.",
        ),
        diagnostics={
            "gauge": keeping.GAUGES[gauge],
            "by_temperature": _curve(known, list(SETTINGS)),
            "relevant_kept_by_temperature": _relevant(table),
            "chosen": sorted(set(choice)),
            "minmax_kept_sets_that_depend_on_temperature": float(table["minmax moved"].mean()),
            "ratio": keeping.main_ratio(context),
        },
    )


def _curve(rows: pd.DataFrame, names: Sequence[str], prefix: str = "") -> dict[str, Any]:
    return {
        name: keeping.summary(name, "share", rows[prefix + name], rows["image_id"])
        for name in names
    }


def _relevant(table: pd.DataFrame) -> dict[str, Any]:
    known = table.dropna(subset=[f"patches: {REFERENCE}"])
    if known["image_id"].nunique() < 2:
        return {}
    return _curve(known, list(SETTINGS), "patches: ")


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """The gauge over τ: shared, and each of the two moved alone."""
    panels = [
        (verdict.diagnostics.get("gauge", ""), verdict.diagnostics.get("by_temperature", {})),
        (keeping.GAUGES["patches"], verdict.diagnostics.get("relevant_kept_by_temperature", {})),
    ]
    panels = panels[: 1 + (panels[0][0] != panels[1][0])]
    with theme():
        figure = new_figure(PAGE * (0.55, 1.0)[len(panels) - 1], 2.4)
        for axes, (label, found) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            for kind, color in (("shared", BLUE), ("cross", ORANGE), ("self", GREEN)):
                levels = SHARED if kind == "shared" else sorted((*SEPARATE, PAPER))
                names = {t: f"{kind} {t:g}" if t != PAPER else REFERENCE for t in levels}
                points = [(t, found[name]) for t, name in names.items() if name in found]
                if points:
                    at, mean = [t for t, _ in points], [p["value"] for _, p in points]
                    reach = [
                        [p["value"] - p["low"] for _, p in points],
                        [p["high"] - p["value"] for _, p in points],
                    ]
                    axes.errorbar(
                        at, mean, yerr=reach if kind == "shared" else None, color=color,
                        marker="o", capsize=2, label=LABELS[kind],
                        linestyle="-" if kind == "shared" else ":",
                    )  # fmt: skip
            axes.axvline(PAPER, color=GRAY, linewidth=0.7, linestyle="--")
            axes.set_xscale("log")
            axes.set_xticks(SHARED, [f"{tau:g}" for tau in SHARED])
            axes.minorticks_off()
            axes.set_xlabel("temperature τ (dashed: the paper's)")
            axes.set_ylabel(label)
        axes.legend(title="moved")
    return figure


LABELS = {"shared": "both", "cross": "cross alone", "self": "self alone"}

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
    max_images=256,
)
evaluate = CLAIM.evaluate
