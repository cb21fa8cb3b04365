"""App. A.3: max aggregation is a robust proxy of the relevance to the whole prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.stats import kendalltau
from torch import Tensor

from analysis.style import BLUE, GRAY, GREEN, ORANGE, PAGE, new_figure, theme
from mitheory.aggregation import global_below_max, resolve_aggregation
from mitheory.bundle import Sample
from mitheory.checks import check_budget
from mitheory.pmi import CrossPMI, cross_pmi
from mitheory.verdict import Kind, SmallestEffect, Verdict

from .base import Claim, mean_effect
from .context import Context
from .greedy_score import jaccard

NAME = "max_tracks_global"
STATEMENT = (
    "The maximum over words is a robust proxy of a patch's relevance to the whole prompt: it "
    "ranks patches as global aggregation (Eq. 21) does."
)
SOURCE = "Sec. 3.2, App. A.3, Eqs. (19), (21)"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.5,
    "tau",
    "at_least",
    "Kendall's tau of 0.5 is three pairs of patches ordered alike for each ordered differently; "
    "with fewer, which aggregation is used decides most of what is kept",
)
OTHERS = {"kl": "global (KL, D₁)", "lse": "LogSumExp", "mean": "mean over words"}
HOW = (
    "The patches of every sample are ranked by the maximum of PMI over words (D_∞) and by global "
    "aggregation, the divergence KL(p(t | v) ‖ p(t)) (D_1); prompts of one word, where all agree, "
    "are left out. The effect is Kendall's tau between the two. Beside it: LogSumExp and the mean "
    "over words, and the overlap (Jaccard) of what each would keep at λ = 1. That D_1 <= D_∞ holds "
    "at every patch is checked: the maximum is an upper bound of the global score, not a lower."
)
MEANING = {
    "holds": "By rank, the maximum says what the global score says; the cheaper may be used. The "
    "overlap of kept sets says how far that carries at a given budget.",
    "violated": "The maximum ranks patches otherwise than the global score it is a proxy for: its "
    "merits have to be shown by answers, not by that argument.",
    "inconclusive": "Too few images to tell whether both aggregations rank alike.",
}


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample of two words or more: tau and Jaccard of max with each other aggregation."""
    columns = ["image_id", "sample_id", "gap", *(f"tau_{name}" for name in OTHERS)]
    columns += [f"jaccard_{name}_{r:.4f}" for name in OTHERS for r in context.ratios]
    rows = [_row(sample, context) for sample in samples if sample.n_t > 1 and sample.n_v > 1]
    return pd.DataFrame(rows, columns=columns)


def _row(sample: Sample, context: Context) -> dict[str, object]:
    cross = cross_pmi(sample.visual.double(), sample.text.double(), temperature=context.temperature)
    best = _scores("max", cross)
    row: dict[str, object] = {
        "image_id": sample.image_id,
        "sample_id": sample.sample_id,
        "gap": float(global_below_max(cross.pmi, cross.log_cond).gap().min()),
    }
    for name in OTHERS:
        other = _scores(name, cross)
        # a constant score ranks nothing: no agreement, rather than none defined
        tau = kendalltau(best.numpy(), other.numpy()).statistic
        row[f"tau_{name}"] = float(tau) if np.isfinite(tau) else 0.0
        for ratio in context.ratios:
            kept = check_budget(ratio, sample.n_v)
            row[f"jaccard_{name}_{ratio:.4f}"] = jaccard(top(best, kept), top(other, kept))
    return row


def _scores(name: str, cross: CrossPMI) -> Tensor:
    return resolve_aggregation(name)(cross.pmi, cross.log_cond)


def top(scores: Tensor, budget: int) -> list[int]:
    """The `budget` best, ties to the lower index.

    Examples
    --------
    >>> top(torch.tensor([1.0, 3.0, 3.0, 0.0]), 3)
    [1, 2, 0]
    """
    return torch.sort(scores, descending=True, stable=True).indices[:budget].tolist()


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Mean tau of the maximum with the global score."""
    images = table["image_id"].nunique()
    if images < CLAIM.min_images:
        needed = f"prompts of two words or more in {CLAIM.min_images} images"
        return CLAIM.unassessed(f"needs {needed}; this bundle has them in {images}", context)
    overlap = {
        name: {f"{r:.1%}": float(table[f"jaccard_{name}_{r:.4f}"].mean()) for r in context.ratios}
        for name in OTHERS
    }
    return CLAIM.verdict(
        context,
        n=images,
        method="Kendall's tau over the patches of a sample, mean over samples",
        effect=mean_effect(
            "tau of max with global aggregation", "tau", table["tau_kl"], table["image_id"]
        ),
        diagnostics={
            "tau_with": {name: float(table[f"tau_{name}"].mean()) for name in OTHERS},
            "jaccard_with_at": overlap,
            "smallest_max_minus_global_nats": float(table["gap"].min()),
        },
        caveats=(
            "Agreement of ranks is no merit of either: both may keep the wrong patches.",
            "At λ < 1 redundancy decides too, and kept sets overlap otherwise than here.",
        ),
    )


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Tau over samples, and overlap of kept sets by budget."""
    colors = dict(zip(OTHERS, (BLUE, GREEN, ORANGE), strict=True))
    names = [str(c) for c in table if str(c).startswith("jaccard_")]
    ratios = sorted({float(name.rsplit("_", 1)[1]) for name in names})
    with theme():
        figure = new_figure(PAGE, 2.5)
        left, right = figure.subplots(1, 2)
        bins = np.linspace(-1, 1, 61)
        for name, label in OTHERS.items():
            left.hist(
                table[f"tau_{name}"], bins=bins, density=True, histtype="stepfilled", alpha=0.35,
                color=colors[name], edgecolor=colors[name], label=label,
            )  # fmt: skip
            right.plot(
                [100 * r for r in ratios],
                [table[f"jaccard_{name}_{r:.4f}"].mean() for r in ratios],
                "o-",
                color=colors[name],
                label=label,
            )
        left.axvline(0.5, color=GRAY, ls="--", lw=1)
        left.set(xlabel="Kendall's tau with max, within a sample", ylabel="density over samples")
        left.legend(loc="upper left")
        right.set(xlabel="tokens kept (%)", ylabel="overlap with max (Jaccard)", ylim=(0, 1.02))
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
)
evaluate = CLAIM.evaluate
