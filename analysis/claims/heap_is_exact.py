"""Sec. 3.3: a heap, built once, gives what greedy search gives."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from analysis.style import BLUE, GRAY, GREEN, PAGE, SKY, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.checks import check_budget
from mitheory.scores import MIScore, mi_score
from mitheory.selection.search import greedy, top_k
from mitheory.verdict import Kind, Verdict

from .base import Claim, mean_effect, one_per_image
from .context import Context
from .greedy_score import jaccard, parts, rule
from .searches import EAGER, PROVED_EXACT, SEARCHES, STATIC, Trusted

NAME = "heap_is_exact"
STATEMENT = (
    "Building a heap of all scores once and taking its largest element N_keep times gives the "
    "greedy selection, in O(N_V + N_keep log N_V)."
)
SOURCE = "Sec. 3.3, footnote 2; Eq. (24)"
KIND: Kind = "theorem"
SMALLEST_EFFECT = None  # a theorem: one counter-example decides
HOW = (
    "Greedy search with every score computed afresh (eager) against: a heap built once and never "
    "refreshed (static); lazy heaps, filled after the first choice, or before it with the empty "
    "set worth the lowest PMI, or worth 0; and greedy over random samples (stochastic), at every "
    "budget; at λ = 1 a sort. An order of choice other than the eager one refutes the static heap. "
    "The first two lazy heaps must never differ: the scores that they hold only fall. At most 64 "
    "images, one question each."
)
MEANING = {
    "refuted": "With a redundancy term a heap built once is not greedy search, and the stated "
    "complexity buys λ = 1 only. A lazy heap is exact if it is filled after the first choice, at "
    "the price of refreshing scores.",
    "verified": "On these embeddings the heap built once kept what greedy search keeps.",
}
MARKERS = "o^svD"
SORTED = f"{STATIC}, λ = 1"


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample, ratio and search: overlap with eager greedy, evaluations, seconds."""
    rows = []
    for sample in one_per_image(samples):
        found = parts(sample, context)
        for ratio in context.ratios:
            budget = check_budget(ratio, sample.n_v)
            seed = context.seed_of(NAME, sample.sample_id, budget)
            rows += _compare(sample, rule(found, context), ratio, budget, seed)
        alone = rule(found, context, relevance_weight=1.0)
        rows += _at_one(sample, alone, check_budget(context.ratios[-1], sample.n_v), context)
    return pd.DataFrame(rows)


def _compare(
    sample: Sample, score: MIScore, ratio: float, budget: int, seed: int
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    eager: list[int] = []
    for name, search in SEARCHES.items():
        clock = time.perf_counter()
        result = search(score, budget, seed)
        seconds = time.perf_counter() - clock
        kept = result.indices.tolist()
        eager = kept if name == EAGER else eager
        rows.append(
            {
                "image_id": sample.image_id,
                "sample_id": sample.sample_id,
                "search": name,
                "ratio": ratio,
                "budget": budget,
                "same": kept == eager,
                "same_set": set(kept) == set(eager),
                "jaccard": jaccard(kept, eager),
                "evaluations": result.evaluations,
                "all_evaluations": sum(sample.n_v - t for t in range(budget)),
                "seconds": seconds,
            }
        )
    return rows


def _at_one(
    sample: Sample, score: MIScore, budget: int, context: Context
) -> list[dict[str, object]]:
    """At λ = 1 a sort is greedy search."""
    rows = _compare(sample, score, context.ratios[-1], budget, 0)
    row = next(r for r in rows if r["search"] == STATIC)
    return [row | {"search": SORTED}]


def worked_example(relevance_weight: float) -> dict[str, Any]:
    """Three tokens, the first two alike: the static heap keeps both, greedy does not; for λ < 1.

    The PMI is scaled by λ / (1 - λ), so that one example does for every λ but 0.

    Examples
    --------
    >>> example = worked_example(0.5)
    >>> example["greedy_keeps"], example["static_heap_keeps"]
    ([0, 2], [0, 1])
    """
    relevance = torch.tensor([3.0, 2.9, 1.0], dtype=torch.float64)
    pmi = torch.tensor([[2.0, 2.0, -1.0], [2.0, 2.0, -1.0], [-1.0, -1.0, 2.0]]).double()
    pmi = pmi * (relevance_weight or 0.5) / (1 - (relevance_weight or 0.5))
    score = mi_score(relevance, pmi, relevance_weight=relevance_weight)
    return {
        "relevance": relevance.tolist(),
        "pmi": pmi.tolist(),
        "lambda": relevance_weight,
        "scores_at_first": score.scores([]).tolist(),
        "scores_once_0_is_kept": score.scores([0]).tolist(),
        "greedy_keeps": greedy(score, 2).indices.tolist(),
        "static_heap_keeps": top_k(Trusted(score), 2).indices.tolist(),
    }


def _counter_example(static: pd.DataFrame, relevance_weight: float) -> dict[str, Any] | None:
    """Whatever has a redundancy term has one; at λ = 1 the bundle alone could give one."""
    if relevance_weight < 1:
        return worked_example(relevance_weight)
    broken = static[~static["same"].astype(bool)]
    if broken.empty:
        return None
    first = broken.iloc[0]
    return {
        "sample": str(first["sample_id"]),
        "lambda": relevance_weight,
        "budget": int(first["budget"]),
        "overlap": float(first["jaccard"]),
    }


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Refuted where the static heap differs from greedy."""
    static = table[table["search"] == STATIC]
    must = table[table["search"].isin([*PROVED_EXACT, SORTED])]
    by = table.groupby("search")
    effect = None
    if static["image_id"].nunique() > 1:
        effect = mean_effect(
            "overlap of the static heap with greedy (Jaccard)",
            "share",
            static["jaccard"],
            static["image_id"],
            span=1.0,
        )
    work = by["evaluations"].sum() / by["all_evaluations"].sum()
    by_ratio = static.groupby("ratio")["jaccard"].mean()
    return CLAIM.verdict(
        context,
        n=table["image_id"].nunique(),
        method="kept sets of each search against eager greedy",
        effect=effect,
        checked=len(must),
        counter_example=_counter_example(static, context.relevance_weight),
        diagnostics={
            "share_of_runs_same_order_as_eager": _numbers(by["same"].mean()),
            "share_of_runs_same_set_as_eager": _numbers(by["same_set"].mean()),
            "overlap_with_eager": _numbers(by["jaccard"].mean()),
            "runs_of_what_is_proved_exact_that_differ": int((~must["same"]).sum()),
            "static_heap_overlap_by_ratio": {f"{k:.1%}": float(v) for k, v in by_ratio.items()},
            "score_evaluations_of_eager": _numbers(work),
        },
        caveats=(
            "Times are those of Python; evaluations are counted and do not depend on a machine.",
            "One question per image is searched.",
        ),
    )


def _numbers(values: pd.Series) -> dict[str, float]:
    return {str(k): float(v) for k, v in values.items()}


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Overlap with eager greedy by budget; evaluations and time as shares of eager's."""
    names = [name for name in SEARCHES if name != EAGER]
    colors = dict(zip(names, (BLUE, GREEN, SKY, VERMILION, GRAY), strict=True))
    with theme():
        figure = new_figure(PAGE, 2.8)
        left, right = figure.subplots(1, 2)
        for name, marker in zip(names, MARKERS, strict=True):
            mean = table[table["search"] == name].groupby("ratio")["jaccard"].mean()
            left.plot(100 * mean.index, mean, marker=marker, color=colors[name], label=name)
        left.set(xlabel="tokens kept (%)", ylabel="overlap with eager (Jaccard)", ylim=(0, 1.04))
        left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        eager = table[table["search"] == EAGER].groupby("ratio")[["evaluations", "seconds"]].mean()
        for name, marker in zip(names, MARKERS, strict=True):
            own = table[table["search"] == name].groupby("ratio")[["evaluations", "seconds"]].mean()
            share = own / eager
            right.plot(100 * share.index, share["evaluations"], marker=marker, color=colors[name])
            right.plot(
                100 * share.index, share["seconds"], marker=marker, color=colors[name], ls=":",
                mfc="none",
            )  # fmt: skip
        right.axhline(1, color=GRAY, lw=0.8, ls="--")
        right.set(
            xlabel="tokens kept (%)",
            ylabel="of eager's: evaluations (—), time (···)",
            yscale="log",
        )
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
