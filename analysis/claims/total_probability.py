"""Alg. 1, line 8 against Eq. (50): two marginals for one conditional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure

from analysis.style import BLUE, GRAY, PAGE, VERMILION, new_figure, theme
from mitheory.bundle import Sample
from mitheory.pmi import self_pmi
from mitheory.verdict import Kind, Verdict

from . import keeping
from .base import Claim, mean_effect
from .context import Context

NAME = "total_probability"
STATEMENT = (
    "The marginal p(v_j) = 1/N_V, with which Algorithm 1 computes the PMI of visual tokens with "
    "each other, is the one that the law of total probability gives for its conditional."
)
SOURCE = "Alg. 1, line 8, against Eq. (50), App. A.4"
KIND: Kind = "theorem"
SMALLEST_EFFECT = None  # a theorem: one counter-example decides
HOW = (
    "Eq. (50) with p(v_i) = 1/N_V gives p(v_j) as the mean of column j of the conditional "
    "p(v_j given v_i); line 8 sets 1/N_V. They agree if and only if every column sums to one. "
    "Three patches on an arc are worked by hand; on the bundle, the divergence KL between the two "
    "and the patches kept under either are compared, image by image, at the audited τ and λ. A "
    "tolerance of 1e-5 absorbs rounding."
)
MEANING = {
    "refuted": "The self-PMI of Algorithm 1 is not a pointwise mutual information: its conditional "
    "and its marginal belong to no common joint. Patches in dense neighborhoods are penalized "
    "beyond their information. The stationary prior or Sinkhorn scaling restores consistency; how "
    "many kept patches change is shown.",
    "verified": "On these embeddings the columns sum to one: the two marginals coincide.",
}
TOLERANCE = 1e-5
ARC = ((1.0, 0.0), (0.96, 0.28), (0.8432, 0.5376))  # unit vectors, the second between the others


def worked_example() -> dict[str, Any]:
    """Three unit vectors at τ = 0.1: cosines 0.96 between neighbors, 0.8432 between the ends."""
    conditional = self_pmi(
        torch.tensor(ARC, dtype=torch.float64)[None], temperature=0.1
    ).log_cond()[0]
    columns = conditional.exp().mean(0)  # (3,)
    return {
        "patches": [list(v) for v in ARC],
        "temperature": 0.1,
        "conditional_by_rows": [[round(p, 4) for p in row] for row in conditional.exp().tolist()],
        "line_8": [1 / 3] * 3,
        "eq_50": [round(p, 4) for p in columns.tolist()],
        "pmi_shift_of_the_middle_nats": round(float((3 * columns[1]).log()), 4),
    }


def marginals(sample: Sample, context: Context) -> tuple[float, float, float]:
    """KL(1/N to Eq. 50), the largest |log| ratio of the two (nats), and the largest column sum."""
    total = self_pmi(
        sample.visual.double()[None],
        temperature=context.temperature,
        self_marginal="total_probability",
        zero_norm="uninformative",
    ).log_marginal[0]
    ratio = total + float(np.log(sample.n_v))  # log of the column sums
    return float(-ratio.mean()), float(ratio.abs().max()), float(ratio.max().exp())


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample: how far the marginals are apart, and what is kept under either."""
    by_image = {s.image_id: s for s in sorted(samples, key=lambda s: s.sample_id)}
    gaps = {image: marginals(s, context) for image, s in by_image.items()}
    kept = {
        name: keeping.keep(samples, context, self_marginal=name)
        for name in ("uniform", "total_probability")
    }
    rows = []
    for i, sample in enumerate(samples):
        divergence, shift, column = gaps[sample.image_id]
        alg1, eq50 = kept["uniform"][i], kept["total_probability"][i]
        rows.append(
            {
                **keeping.identity(sample),
                "kl": divergence,
                "largest_shift": shift,
                "largest_column_sum": column,
                "jaccard": keeping.jaccard(alg1, eq50),
                "kept_line_8": keeping.share_kept(sample, alg1),
                "kept_eq_50": keeping.share_kept(sample, eq50),
            }
        )
    return pd.DataFrame(rows)


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """Refuted by three patches, and by the image with the largest gap where there is one."""
    images = table.drop_duplicates("image_id")
    worst = images.iloc[int(images["largest_shift"].to_numpy().argmax())]
    example = worked_example()
    apart = images["largest_shift"] > TOLERANCE
    if apart.any():
        example["on_this_bundle"] = {
            "image": str(worst["image_id"]),
            "largest_column_sum": float(worst["largest_column_sum"]),
            "largest_shift_nats": float(worst["largest_shift"]),
            "kl_nats": float(worst["kl"]),
        }
    diagnostics: dict[str, Any] = {
        "kept_set_jaccard": keeping.summary("jaccard", "ratio", table["jaccard"], table["image_id"])
        | {"ratio": keeping.main_ratio(context)},
        "share_of_images_that_disagree": float(apart.mean()),
    }
    known = table.dropna(subset=["kept_line_8"])
    if known["image_id"].nunique() > 1:
        difference = known["kept_eq_50"] - known["kept_line_8"]
        diagnostics["relevant_kept_eq_50_less_line_8"] = keeping.summary(
            "difference", "share", difference, known["image_id"]
        )
    return CLAIM.verdict(
        context,
        n=len(images),
        method="worked by hand on three patches; every image of the bundle",
        effect=mean_effect("KL(line 8 || Eq. 50)", "nats", images["kl"], images["image_id"]),
        checked=len(images),
        counter_example=example,
        caveats=(
            "The three patches refute the identity on any bundle; the divergence tells how much it "
            "matters on this one.",
            "Two patches never disagree: their kernel is symmetric with equal diagonal.",
        ),
        diagnostics=diagnostics,
    )


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """How far the marginals are apart by image, and how much the kept sets share."""
    images = table.drop_duplicates("image_id")
    with theme():
        figure = new_figure(PAGE, 2.3)
        left, right = figure.subplots(1, 2)
        sns.histplot(images["largest_shift"], ax=left, color=VERMILION, bins=24, linewidth=0.3)
        left.set_xlabel("largest shift of a column of PMI (nats)\nfrom line 8 to Eq. (50)")
        left.set_ylabel("images")
        sns.histplot(
            table["jaccard"], ax=right, color=BLUE, bins=np.linspace(0, 1, 21).tolist(),
            linewidth=0.3,
        )  # fmt: skip
        right.axvline(table["jaccard"].mean(), color=GRAY, linewidth=1, linestyle="--")
        right.set_xlabel(
            "overlap of the sets kept under line 8 and under\nEq. (50) (Jaccard; dashed: mean)"
        )
        right.set_ylabel("questions")
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
    min_images=2,
    max_images=512,
)
evaluate = CLAIM.evaluate
