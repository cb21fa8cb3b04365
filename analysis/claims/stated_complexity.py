"""Sec. 3.3, Sec. 4.2, App. B.4: what scoring and selecting cost, counted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.style import BLUE, GRAY, GREEN, ORANGE, PAGE, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.verdict import Kind, Verdict

from .algorithm_1 import Size, literal_scoring, literal_selection
from .base import Claim
from .context import Context
from .orders import (
    FIXED,
    PAPER,
    RATIO,
    STATED,
    TOLERANCE,
    WEIGHTS,
    WORDS,
    Stated,
    at_paper,
    counted,
    order,
)
from .programs import HEAP, LITERAL, OURS
from .runs import NAME, TIMED, checked, moved, timed

STATEMENT = (
    "Scoring takes O(N_V max(N_T, N_keep)), or O(N_V N_T) at λ = 1; selecting takes "
    "O(N_V + N_keep log N_V); the whole is O(N_V)."
)
SOURCE = "Sec. 2.1; Sec. 3.3, footnote 2; Sec. 4.2; App. B.4"
KIND: Kind = "efficiency"
SMALLEST_EFFECT = None  # counts are exact: one order of growth that no program has decides
HOW = (
    "Similarities of two tokens while scoring and comparisons while selecting are counted, for "
    "Algorithm 1 line by line, for this library's, for a heap built once (λ = 1) and for a lazy "
    "heap at its worst (λ < 1). Each formula is checked against runs in which every number "
    "counts its own operations, or every PyTorch operation is watched. A stated order holds if "
    "the count of some program that makes Algorithm 1's choices outgrows it by a power of N_V "
    f"under {TOLERANCE} at a million tokens (a logarithm is under 0.1 there, the next order 1), "
    "with 64 tokens kept and with a ninth kept; O(N_V) for the whole, stated of "
    f"N_keep log N_V < N_V, with 64 alone. N_T is {WORDS}; d, a factor, is left out as in the "
    "paper. Times are shown and decide nothing."
)
MEANING = {
    "refuted": "At λ = 1 the cost is as stated. With the redundancy term the softmax between "
    "visual tokens needs every pair of them, which the stated orders leave out, and no heap "
    "built once serves a score that falls as tokens are kept. Next to the model both are small: "
    "choose λ for what it keeps, and look at cost with thousands of tokens only.",
    "verified": "Some program that makes Algorithm 1's choices is within each stated order.",
}
CAVEATS = (
    "Orders are of the best of these programs; that no faster one exists is not proved.",
    "The paper may mean its order of selection for λ = 1 alone; it does not say so.",
    "The lazy heap's worst case is a PMI table, not a bundle; see heap_is_exact for embeddings. "
    "Its evaluations stand for its comparisons, which are no fewer.",
    "Times are medians of three runs on this machine's CPU, of random tokens of 256 dimensions.",
)
PARAMETERS = 7e9
PRINTED = ((576, 128), (576, 64), (576, 32), (2048, 227), (2048, 114))  # Tabs. 1, 3, 4, 9


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Rows *counted* by formula, *checked* by a run, *moved* (bytes of ours) and *timed*."""
    return pd.DataFrame([*counted(), *checked(context), *moved(context), *timed(context)])


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Refuted by the stated order that every program outgrows most."""
    runs = table[table["row"] == "checked"]
    bound = runs["bound"].astype(bool)
    right = np.where(bound, runs["count"] <= runs["formula"], runs["count"] == runs["formula"])
    if not right.all():
        wrong = runs[~right].iloc[0]
        return CLAIM.unassessed(
            f"a formula is wrong: {wrong['operation']} of {wrong['program']} are "
            f"{wrong['count']:g}, not {wrong['formula']:g}",
            context,
        )
    orders = [order(table, stated) for stated in STATED]
    broken = [o for o in orders if not o["holds"]]
    worst = max(broken, key=lambda o: o["excess_power"]) if broken else None
    return CLAIM.verdict(
        context,
        n=len(runs),
        unit="counts",
        method="counted operations, as N_V grows",
        checked=len(runs),
        counter_example=worst and worst | {"at_576_tokens": at_paper(STATED[orders.index(worst)])},
        caveats=CAVEATS,
        diagnostics={
            "orders": orders,
            "at_576_tokens_keep_64": {
                f"λ {weight}": {n: vars(f(PAPER)) for n, f in family.items()}
                for weight, family in WEIGHTS.items()
            },
            "ours_at_576_tokens": {
                f"λ {row.weight}, {row.stage}": {"flops": row.flops, "bytes": row.bytes}
                for row in table[table["row"] == "moved"].itertuples()
            },
            "algorithm_1_at_576_tokens_keep_64": {
                "scoring": literal_scoring(PAPER),
                "selection": literal_selection(PAPER),
            },
            "keep_log2_tokens_over_tokens": {
                f"{kept} of {tokens}": heap_share(tokens, kept) for tokens, kept in PRINTED
            },
            "model_flops_at_576_tokens": model_flops(PAPER),
        },
    )  # fmt: skip


def heap_share(tokens: int, kept: int) -> float:
    """N_keep log₂ N_V / N_V, which Sec. 3.3 expects to be under 1 (it names no base).

    Examples
    --------
    >>> heap_share(256, 32), heap_share(256, 64)
    (1.0, 2.0)
    """
    return kept * math.log2(tokens) / tokens


def model_flops(size: Size) -> float:
    """Of reading the kept tokens and the prompt with 7e9 parameters, two for each of them.

    Examples
    --------
    >>> model_flops(PAPER)  # 96 tokens
    1344000000000.0
    """
    return 2 * PARAMETERS * (size.k + size.words)


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Counts of scoring and of selection against what is stated; times of every method."""
    with theme():
        figure = new_figure(PAGE, 3.0)
        scoring, selection, times = figure.subplots(1, 3, width_ratios=(1, 1, 1.05))
        _draw_counts(scoring, table, "scoring", "similarities", STATED[3])
        _draw_counts(selection, table, "selection", "comparisons", STATED[5])
        _draw_times(times, table[table["row"] == "timed"])
    return figure


def _draw_counts(axes: Axes, table: pd.DataFrame, stage: str, unit: str, stated: Stated) -> None:
    """Each program with a ninth kept (selection) or 64 kept (scoring), where orders part most."""
    path = RATIO if stage == "selection" else FIXED
    rows = table[(table["row"] == "counted") & (table["stage"] == stage) & (table["path"] == path)]
    drawn = {
        "scoring": (("λ = 1", "1", OURS, BLUE), ("λ < 1", "< 1", LITERAL, VERMILION)),
        "selection": (
            ("Algorithm 1", "< 1", LITERAL, VERMILION),
            ("running maximum", "< 1", OURS, ORANGE),
            ("heap, λ = 1", "1", HEAP, BLUE),
        ),
    }[stage]
    for label, weight, program, color in drawn:
        own = rows[(rows["weight"] == weight) & (rows["program"] == program)].sort_values("n")
        axes.plot(own["n"], own["count"], color=color, label=label)
        sizes = [Size(int(n), int(k), WORDS) for n, k in zip(own["n"], own["k"], strict=True)]
    axes.plot(own["n"], [stated.formula(s) for s in sizes], color=GRAY, ls="--",
              label="stated, λ < 1")  # fmt: skip
    axes.axvline(PAPER.n, color=GRAY, lw=0.6, ls=":")
    axes.annotate(f"{PAPER.n}", (PAPER.n, 0), xycoords=("data", "axes fraction"), fontsize=7,
                  color=GRAY, xytext=(2, 2), textcoords="offset points")  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="visual tokens N_V", ylabel=unit)
    axes.set_title(f"{stage}, {path}")
    axes.set_ylim(top=axes.get_ylim()[1] * 10**4)  # room for the legend
    axes.legend(loc="upper left")


def _draw_times(axes: Axes, rows: pd.DataFrame) -> None:
    """One row per method, its times at three sizes."""
    last = rows[rows["n"] == TIMED[-1]].sort_values("milliseconds")
    names = last["program"].tolist()
    for n, color in zip(TIMED, (GREEN, BLUE, VERMILION), strict=True):
        own = rows[rows["n"] == n].set_index("program").loc[names]
        axes.plot(own["milliseconds"], range(len(names)), "o", color=color, label=f"{n:,}")
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set(xscale="log", xlabel="milliseconds (CPU), a ninth kept")
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3, columnspacing=0.8,
                handletextpad=0.1, title="visual tokens")  # fmt: skip


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
