"""Yes/no questions by the kind of absent thing (Tab. 10): accuracy, F1 and yes-rate."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import reference
from mitheory.errors import MissingInputError, ParameterError
from mitheory.statistics import cluster_bootstrap_ratio

from . import labels, panels, style
from .claims import Comparison, compare
from .intervals import SEED, STATED
from .results import Results, Scene
from .spec import FigureSpec

METRICS = {"acc": "accuracy", "f1": "F1", "yes": "yes-rate"}
NEGATIVES = tuple(style.NEGATIVES)
PRINTED_RATIO = 64 / 576


def data(results: Results) -> pd.DataFrame:
    """Accuracy, F1 and yes-rate of each method and budget by kind of absent thing.

    As in POPE each kind stands against the present things, one to one: a row of an absent thing
    weighs as much as makes the two sides equal. Weights come from the whole sample and stay fixed
    in the resamples.

    Raises
    ------
    MissingInputError
        If the run holds no yes/no questions of the family "method", or not both answers.
    ParameterError
        If a truth is neither yes nor no.
    """
    rows = results.family("method")
    rows = rows[rows["question_type"] == "existence"]
    if not (rows["method"] != "full").any():
        raise MissingInputError("family 'method' holds no pruned question of type 'existence'")
    if other := sorted(set(rows["answer"]) - {"yes", "no"}):
        raise ParameterError(f"existence questions are answered yes or no; got {other}")
    found = []
    for (key, budget, ratio), cell in rows.groupby(["series", "budget", "ratio"], sort=False):
        for negative in NEGATIVES:
            absent = cell[cell["negative"] == negative]
            present = cell[cell["answer"] == "yes"]
            if not absent.empty and not present.empty:
                cells = _metrics(present, absent)
                where = {"series": key, "budget": budget, "ratio": ratio, "negative": negative}
                found += [where | metric for metric in cells]
    if not found:
        raise MissingInputError("existence questions need present things and named absent ones")
    table = pd.DataFrame(found)
    table.insert(1, "label", [labels.series_label(key) for key in table["series"]])
    return table


def _metrics(present: pd.DataFrame, absent: pd.DataFrame) -> list[dict[str, object]]:
    """The three metrics of one balanced set."""
    both = pd.concat([present, absent])
    truth = (both["answer"] == "yes").to_numpy(float)
    said = (both["prediction"] == "yes").to_numpy(float)
    correct = both["correct"].to_numpy(float)
    weight = np.where(truth == 1, 0.5 / len(present), 0.5 / len(absent))
    ratios = {
        "acc": (weight * correct, weight),
        "f1": (2 * weight * truth * said, weight * (truth + said)),
        "yes": (weight * said, weight),
    }
    clusters = both["image_id"].to_numpy(dtype=str)
    found = []
    for name, (numerator, denominator) in ratios.items():
        part = cluster_bootstrap_ratio(
            numerator, denominator, clusters, estimand=METRICS[name],
            rng=np.random.default_rng(SEED),
        )  # fmt: skip
        found.append(
            {
                "metric": name, "estimate": part.estimate, "low": part.low, "high": part.high,
                "questions": both["sample_id"].nunique(), "scenes": part.n_clusters,
            }
        )  # fmt: skip
    return found


def shown_budget(table: pd.DataFrame) -> int:
    """The pruned budget whose share is nearest, in ratio, to the printed 64 of 576."""
    pruned = table.loc[table["series"] != "full", ["budget", "ratio"]]
    rows = (pruned if len(pruned) else table[["budget", "ratio"]]).drop_duplicates()
    distance = np.abs(np.log(rows["ratio"].to_numpy(float) / PRINTED_RATIO))
    return int(rows["budget"].to_numpy()[distance.argmin()])


def printed_table() -> pd.DataFrame:
    """Tab. 10 at 64 of 576 tokens: ``series``, ``negative``, ``metric``, ``value`` in [0, 1]."""
    rows = reference.printed(10)
    rows = rows[(rows["tokens"] == 64) | (rows["method"] == "Full")]
    parts = rows["metric"].str.extract(r"POPE_(?P<negative>\w+?)_(?P<metric>acc|f1|yes)$")
    table = parts.assign(
        series=rows["method"].map(reference.METHODS),
        value=np.where(parts["metric"] == "acc", rows["value"] / 100, rows["value"]),
    )
    return table[table["negative"].isin(NEGATIVES)]


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Methods as rows, metrics as columns; ours above, the printed numbers below."""
    budget = shown_budget(table)
    ours = table[(table["budget"] == budget) | (table["series"] == "full")]
    printed = printed_table().assign(low=np.nan, high=np.nan)
    printed = printed.rename(columns={"value": "estimate"})
    sizes = [ours["series"].nunique(), printed["series"].nunique()]
    figure = style.new_figure(style.PAGE, 1.2 + 0.21 * sum(sizes))
    axes = figure.subplots(2, 3, sharey="row", sharex="col", height_ratios=[s + 1 for s in sizes])
    share = labels.percent(float(ours.loc[ours["budget"] == budget, "ratio"].iloc[0]))
    for column, (metric, label) in enumerate(METRICS.items()):
        _dots(axes[0, column], ours[ours["metric"] == metric])
        _dots(axes[1, column], printed[printed["metric"] == metric])
        axes[0, column].set_title(label if metric == "f1" else f"{label} (%)")
        if metric == "yes":
            for ax in axes[:, column]:
                ax.axvline(50, color=style.GRAY, linestyle=":", linewidth=1, zorder=1)
    axes[0, 0].set_ylabel(f"ours, {budget} tokens ({share}%)")
    axes[1, 0].set_ylabel(f"printed, 64\nof 576 ({labels.percent(PRINTED_RATIO)}%)")
    handles = [
        panels.handle(style.Look(look.color, look.marker, ""), f"absent thing: {name}")
        for name, look in style.NEGATIVES.items()
    ]
    panels.legend_below(figure, handles, columns=3)
    return figure


def _dots(ax: Axes, rows: pd.DataFrame) -> None:
    keys = sorted(set(rows["series"]), key=labels.series_rank)
    scale = 1 if (rows["metric"] == "f1").all() else 100
    for i, (negative, look) in enumerate(style.NEGATIVES.items()):
        cells = rows[rows["negative"] == negative].set_index("series").reindex(keys)
        y = np.arange(len(keys)) + 0.22 * (i - 1)
        middle, low, high = (scale * cells[c].to_numpy(float) for c in ("estimate", "low", "high"))
        is_printed = bool(np.isnan(low).all())
        if not is_printed:
            ax.hlines(y, low, high, color=look.color, linewidth=1)
        ax.plot(
            middle, y, look.marker, color=look.color, markersize=3.6, markeredgewidth=0.9,
            markerfacecolor="white" if is_printed else look.color,
        )  # fmt: skip
    ax.set_yticks(range(len(keys)), [labels.series_label(k) for k in keys])
    ax.set_ylim(len(keys) - 0.4, -0.6)


def caption(table: pd.DataFrame) -> str:
    """Yes-rates of all tokens and of MI-Pruner."""
    budget = shown_budget(table)
    text = (
        "Yes/no questions about a thing that is there or not; absent things are chosen at random, "
        "among popular ones, or adversarially (sharing digit or color with what is there). Each "
        f"kind is weighted one to one against present things. Bars are {STATED}."
    )
    rows = table[(table["metric"] == "yes") & (table["negative"] == "adversarial")]
    for key, tokens in (("full", None), ("mi_pruner", budget)):
        here = rows[rows["series"] == key]
        row = panels.first_row(here if tokens is None else here[here["budget"] == tokens])
        if row is not None:
            text += (
                f" Adversarial yes-rate, {row['label']} ({int(row['budget'])} tokens): "
                f"{labels.points(row['estimate'])}% {labels.interval(row['low'], row['high'])}."
            )
    return text


def claims(results: Results) -> list[Comparison]:
    """MI-Pruner against the others on present things, where every lost yes is an error.

    The paper reads a higher yes-rate as queried things preserved; but a yes about an absent thing
    raises the rate too, so the share of present things that are found is compared instead.
    """
    rows = results.family("method")
    rows = rows[(rows["question_type"] == "existence") & (rows["answer"] == "yes")]
    claim = "other pruning loses queried things that are there, MI-Pruner fewer (share found)"
    found = []
    for key in ("random", "similarity:max", "similarity:mean", "attention"):
        found += compare(
            results,
            claim=claim,
            source="Sec. 4.2, Tabs. 1, 10",
            scope="present things",
            first=(labels.series_label("mi_pruner"), rows[rows["series"] == "mi_pruner"]),
            second=(labels.series_label(key), rows[rows["series"] == key]),
        )
    return found


FIGURE = FigureSpec(
    name="pope",
    title="Is it there? Yes/no questions",
    source="Tab. 10",
    data=data,
    draw=draw,
    caption=caption,
    printed=(
        "Lower panels: the paper's Tab. 10 (LLaVA-1.5-7B, POPE, 64 of 576 tokens), printed without "
        f"intervals. {reference.wrong_averages_note()} They are not among the panels here."
    ),
    claims=claims,
)
