"""Priors p(v) over the patches: where they look, and what each does to the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure, SubFigure

from . import labels, panels, style
from .intervals import STATED
from .results import Results, Scene
from .spec import FigureSpec

LABELS = {
    "uniform": "uniform",
    "stationary": "stationary",
    "energy": "energy",
    "center_biased": "center-biased",
    "rule_of_thirds": "rule of thirds",
    "golden_ratio": "golden ratio",
    "histogram": "histogram",
    "logistic": "logistic",
    "boosting": "boosting",
    "head_max": "trained (max)",
    "head_joint": "trained (joint)",
    "oracle": "oracle",
}
GROUPS = {"given": "not fitted", "learned": "learned", "shuffled": "null", "oracle": "oracle"}
USES = {
    "marginal": "in the marginals (Alg. 1)",
    "joint": "in p(v, x) too (Eq. 21)",
}
MAPPED = (
    "stationary", "center_biased", "rule_of_thirds", "histogram", "logistic", "boosting",
    "head_max", "head_joint",
)  # fmt: skip
DRAWN = tuple(name for name in LABELS if name not in ("uniform", "golden_ratio"))
WIDEST = 4.0  # times uniform, the end of the color scale


def data(results: Results) -> pd.DataFrame:
    """Paired differences from the uniform prior over all questions, and mean priors by position.

    Rows of ``quantity`` "difference" have ``estimate``, ``low``, ``high`` by model, use, prior and
    budget; those of "map" have ``row``, ``col`` and ``times_uniform``.

    Raises
    ------
    MissingInputError
        If the run lacks the study "learned_priors".
    """
    rows = results.study("learned_priors")
    rows = rows[rows["question_type"] == "all"].rename(columns={"difference": "estimate"})
    kept = ["model", "use", "prior", "group", "budget", "ratio", "estimate", "low", "high",
            "p_holm", "detectable", "n", "n_clusters"]  # fmt: skip
    maps = results.study("prior_maps")
    return pd.concat(
        [rows[kept].assign(quantity="difference"), maps.assign(quantity="map")], ignore_index=True
    )


def label(prior: str) -> str:
    """A prior in words.

    Examples
    --------
    >>> label("boosting, shuffled"), label("rule_of_thirds")
    ('boosting, shuffled', 'rule of thirds')
    """
    name, comma, null = prior.partition(",")
    return LABELS.get(name, name) + comma + null


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Maps of the first model above; differences by budget below, a column per model and use."""
    models = list(dict.fromkeys(table["model"]))
    figure = style.new_figure(style.PAGE, 5.6)
    halves = figure.subfigures(2, 1, height_ratios=(1, 3.4), squeeze=False)
    top, bottom = halves[:, 0]
    maps = table[(table["quantity"] == "map") & (table["model"] == models[0])]
    _maps(top, maps)
    rows = table[table["quantity"] == "difference"]
    names = [n for n in DRAWN if n in set(rows["prior"])]
    nulls = sorted({p for p in rows["prior"] if p.endswith("shuffled")}, key=_rank)
    columns = [(model, use) for model in models for use in USES]
    axes = bottom.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    budgets = sorted(set(rows["budget"]), reverse=True)
    looks = style.budget_looks([int(b) for b in budgets])
    order = [*(n for n in names if n != "oracle"), *nulls, *(n for n in names if n == "oracle")]
    for ax, (model, use) in zip(axes, columns, strict=True):
        here = rows[(rows["model"] == model) & (rows["use"] == use)]
        _differences(ax, here, order, looks)
        ax.set_title(f"{model}\n{USES[use]}", fontsize=6.0, fontweight="normal")
        ax.set_xlabel("points over uniform")
    axes[0].set_yticks(range(len(order)), [label(n) for n in order])
    axes[0].set_ylim(len(order) - 0.5, -0.5)
    ratio = rows.drop_duplicates("budget").set_index("budget")["ratio"]
    handles = [
        panels.handle(looks[int(b)], f"{int(b)} tokens ({labels.percent(ratio[b])}%)")
        for b in budgets
    ]
    bottom.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _rank(prior: str) -> int:
    return list(LABELS).index(prior.partition(",")[0])


def _maps(figure: SubFigure, table: pd.DataFrame) -> None:
    names = [n for n in MAPPED if n in set(table["prior"])]
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    norm = TwoSlopeNorm(1.0, 0.0, WIDEST)
    image = None
    for ax, name in zip(axes, names, strict=True):
        own = table[table["prior"] == name]
        square = own.pivot(index="row", columns="col", values="times_uniform").to_numpy(float)
        image = ax.imshow(square, cmap="PuOr_r", norm=norm)
        ax.set_title(label(name), fontsize=5.8, fontweight="normal")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(visible=False)
    if image is not None:
        bar = figure.colorbar(image, ax=list(axes), shrink=0.8, aspect=12, extend="max")
        bar.set_label("times\nuniform", fontsize=6.5)


def _differences(
    ax: Axes, table: pd.DataFrame, order: Sequence[str], looks: Mapping[int, style.Look]
) -> None:
    ax.axvline(0, color="black", linewidth=0.7)
    for i, name in enumerate(order):
        if i % 2:
            ax.axhspan(i - 0.5, i + 0.5, color=style.GRAY, alpha=0.08, linewidth=0)
        own = table[table["prior"] == name]
        for k, (budget, look) in enumerate(looks.items()):
            cell = own[own["budget"] == budget]
            if cell.empty:
                continue
            y = i + 0.62 * ((k + 0.5) / len(looks) - 0.5)
            low, middle, high = (100 * float(cell[c].iloc[0]) for c in ("low", "estimate", "high"))
            ax.plot([low, high], [y, y], color=look.color, linewidth=1.1)
            ax.plot(middle, y, marker=look.marker, color=look.color, markersize=3.2)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)


def caption(table: pd.DataFrame) -> str:
    """The best and the worst prior of each panel at the budget nearest to a ninth."""
    rows = table[table["quantity"] == "difference"]
    budget = min(rows["budget"], key=lambda b: abs(b - 16))
    here = rows[(rows["budget"] == budget) & rows["group"].isin(("given", "learned", "oracle"))]
    found = []
    for (model, use), own in here.groupby(["model", "use"], sort=False):
        priors = own[own["group"] != "oracle"].sort_values("estimate")
        ends = [priors.iloc[-1], priors.iloc[0], *(r for _, r in own.iterrows() if _told(r))]
        words = [
            f"{label(r['prior'])} {labels.points(r['estimate'], sign=True)} "
            f"{labels.interval(r['low'], r['high'], sign=True)}"
            for r in ends
        ]
        found.append(f"{model}, {USES[str(use)]}: {'; '.join(words)}")
    most = int(rows["n"].max()), int(rows["n_clusters"].max())
    scale = f"{float(np.nanmax(table['times_uniform'])):.0f}"
    return (
        "Above: mean prior by position over test scenes, in multiples of the uniform one (colors "
        f"end at {WIDEST:g}, the largest is {scale}); one of content differs from image to image. "
        "Below: accuracy less that under the uniform prior, paired, in points. "
        "Learned priors are fitted on validation scenes to the patches that questions are about; "
        "“shuffled” are the same fits on permuted labels, and the oracle is told the patches in "
        f"question. Bars are {STATED}, {most[0]} questions about {most[1]} scenes. At "
        f"{int(budget)} tokens, best, worst and oracle: {'. '.join(found)}."
    )


def _told(row: pd.Series) -> bool:
    return bool(row["group"] == "oracle")


FIGURE = FigureSpec(
    name="prior_comparison",
    title="Priors, given and learned",
    source="Sec. 6, App. A.4",
    data=data,
    draw=draw,
    caption=caption,
    printed="The paper names such priors as future work and prints no number of them.",
)
