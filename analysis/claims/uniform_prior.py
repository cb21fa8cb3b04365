"""App. A.4: whether relevant patches lie uniformly over the grid, as p(v) = 1/N_V has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mitheory.bundle import Sample
from mitheory.pmi import cross_pmi, self_pmi
from mitheory.priors import PRIORS
from mitheory.verdict import Effect, Kind, SmallestEffect, Verdict

from . import keeping
from .base import Claim
from .context import Context, fold
from .positions import Cells, Floats, Integers, jackknifed, moved
from .positions import deficit as deficit_of
from .positions_drawn import draw
from .source import SAMPLES_PER_CHUNK

NAME = "uniform_prior"
STATEMENT = "Relevant patches are equally probable at every position of the grid."
SOURCE = "Eq. (51), App. A.4; Sec. 3.1 (marginal distribution)"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.1,
    "nats",
    "at_most",
    "what a uniform distribution over nine tenths of the grid lacks (log 10/9 = 0.105); a prior "
    "that knows no more moves the PMI of the patches that matter by less than 0.1 nats on average",
)
ROTATIONS = 200
HOW = (
    "Each image's relevant patches, averaged over its questions, give a distribution over "
    "positions; where a bundle has no masks, the patches of largest max PMI at the audited budget "
    "nearest to a ninth stand in for them. The effect is the entropy deficit log N - H of the mean "
    f"over images, less its mean over {ROTATIONS} remade data sets in which every image's patches "
    "are moved together by a random shift on the torus: there positions are uniform by "
    "construction and just as clustered, so that what remains is not the bias of few images. The "
    "error is from leaving out one image at a time. Grids of more than 12 patches along a side are "
    "pooled. Beside it: the entropy deficit of every non-uniform prior, its log score on the "
    "relevant patches, and what changes in the kept set under the positions found in the other "
    "half of the images."
)
MEANING = {
    "holds": "Position tells less than 0.1 nats about relevance: the uniform prior loses nothing "
    "that a prior of position could give.",
    "violated": "Relevant patches prefer some positions: a prior of position, from a validation "
    "split, carries information that the uniform one gives away.",
    "inconclusive": "Too few images to tell whether positions are uniform to 0.1 nats.",
}
LEARNED = "positions of the other half"


@dataclass(frozen=True)
class Prepared:
    """Cells, and per half the probability of each cell, found in the other half (smoothed)."""

    cells: Cells
    learned: tuple[tuple[float, ...], tuple[float, ...]]

    def prior(self, sample: Sample) -> Tensor:
        """(n_v,) probabilities that the other half's images give the sample's patches."""
        at = self.cells.of(np.arange(sample.n_v), sample.grid or ())
        weight = np.asarray(self.learned[fold(sample.image_id)])[at]
        weight = weight / self.cells.everywhere(sample.grid or ())[at]
        return torch.from_numpy(weight / weight.sum()).to(sample.visual.dtype)


def relevant_patches(samples: Sequence[Sample], context: Context) -> list[Integers]:
    """Raster indices of each sample's relevant patches, or of those of largest max PMI."""
    if "relevant" in context.facts.fields:
        masks = [keeping.relevant_mask(s) for s in samples]
        return [np.flatnonzero(m) for m in masks if m is not None]
    return [np.flatnonzero(k) for k in keeping.keep(samples, context, relevance_weight=1.0)]


def prepare(samples: Iterator[Sample], context: Context) -> Prepared | None:
    """Positions by half; None where a sample has no grid."""
    if "grid" not in context.facts.fields:
        return None
    found: list[tuple[int, tuple[int, ...], Integers]] = []
    while part := list(islice(samples, SAMPLES_PER_CHUNK)):
        for sample, patches in zip(part, relevant_patches(part, context), strict=True):
            found.append((fold(sample.image_id), sample.grid or (), patches))
    cells = Cells.for_grids([grid for _, grid, _ in found])
    counts = np.ones((2, cells.size))
    for half, grid, patches in found:
        counts[1 - half] += np.bincount(cells.of(patches, grid), minlength=cells.size)
    learned = counts / counts.sum(1, keepdims=True)
    return Prepared(cells, (tuple(learned[0].tolist()), tuple(learned[1].tolist())))


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per sample: relevant patches, grid; per prior its deficit and log score; kept-set change."""
    prepared: Prepared = context.prepared[NAME]
    uniform = keeping.keep(samples, context)
    learned = keeping.keep(samples, context, prior=prepared.prior)
    rows: list[dict[str, Any]] = []
    for i, (s, patches) in enumerate(zip(samples, relevant_patches(samples, context), strict=True)):
        row = keeping.identity(s) | {
            "patches": patches.tolist(),
            "rows": (s.grid or ())[0],
            "cols": (s.grid or ())[1],
            "overlap": keeping.jaccard(uniform[i], learned[i]),
            "kept_uniform": keeping.share_kept(s, uniform[i]),
            "kept_learned": keeping.share_kept(s, learned[i]),
        }
        for name, log_prior in log_priors(s, context, prepared).items():
            p = log_prior.double()
            row[f"deficit: {name}"] = float(np.log(s.n_v) + torch.xlogy(p.exp(), p.exp()).sum())
            score = p[torch.from_numpy(patches)].mean() + np.log(s.n_v)
            row[f"score: {name}"] = float(score) if len(patches) else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def log_priors(sample: Sample, context: Context, prepared: Prepared) -> dict[str, Tensor]:
    """Log of every non-uniform prior (n_v,)."""
    visual, text = sample.visual.double(), sample.text.double()
    tau = context.temperature
    within = self_pmi(visual, temperature=tau, prior="stationary", zero_norm="uninformative")
    found = {"stationary": within.log_marginal, LEARNED: prepared.prior(sample).double().log()}
    for name in PRIORS:
        if name not in ("uniform", "stationary"):
            found[name] = cross_pmi(
                visual, text, temperature=tau, prior=name, grid=sample.grid,
                zero_norm="uninformative",
            ).log_prior  # fmt: skip
    return found


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """The interval of the entropy deficit, less that of rotated data."""
    known = table[[len(p) > 0 for p in table["patches"]]]
    n = known["image_id"].nunique()
    if n < CLAIM.min_images:
        return CLAIM.unassessed(
            f"needs {CLAIM.min_images} images with relevant patches; this bundle has {n}", context
        )
    cells = context.prepared[NAME].cells
    observed, reference, remade = distributions(known, cells, context)
    value, se = jackknifed(observed, reference)
    null = deficit_of(remade, reference.mean(0))  # (rotations,)
    noise = float(null.std(ddof=1)) / np.sqrt(len(null))
    stand_in = "relevant" not in context.facts.fields
    return CLAIM.verdict(
        context,
        n=n,
        method=f"entropy deficit over {cells.rows} x {cells.cols} cells, less that of rotated data",
        effect=Effect(
            "log N - H of positions, less its bias",
            "nats",
            value - float(null.mean()),
            float(np.hypot(se, noise)),
            n - 1,
        ),
        caveats=(
            *(("No masks: patches of largest max PMI stand in for relevant ones.",) * stand_in),
            "Where things cannot stick out of the picture, patches at its rim are covered less: "
            "that is a preference too.",
            "What the learned positions change in the kept set need not be knowledge of places: "
            "see the moved priors of prior_choice.",
            f"{len(table) - len(known)} questions without a relevant patch are left out.",
        ),
        diagnostics={
            "deficit_before_correction": value,
            "deficit_of_rotated_data": float(null.mean()),
            "rotated_data_with_as_large_a_deficit": float((null >= value).mean()),
            "cells": [cells.rows, cells.cols],
            "patches": "largest max PMI" if stand_in else "relevant",
            "priors": _priors(known),
            "kept_set_jaccard_with_learned_positions": float(table["overlap"].mean()),
            "relevant_kept_learned_less_uniform": _gain(table),
        },
    )


def distributions(
    known: pd.DataFrame, cells: Cells, context: Context
) -> tuple[Floats, Floats, Floats]:
    """Of images (images, cells), of all their patches (images, cells), of rotations (n, cells)."""
    observed, reference = [], []
    remade = np.zeros((ROTATIONS, cells.size))
    groups = known.groupby("image_id")
    for image, rows in groups:
        by = context.rng(NAME, str(image)).random((ROTATIONS, 2))
        each = np.zeros(cells.size)
        everywhere = np.zeros(cells.size)
        for patches, *grid in zip(rows["patches"], rows["rows"], rows["cols"], strict=True):
            at = np.asarray(patches, dtype=np.int64)
            each += cells.share(at, grid)
            everywhere += cells.everywhere(grid)
            turned = cells.of(moved(at, grid, (by * grid).astype(np.int64)), grid)
            flat = turned + cells.size * np.arange(ROTATIONS)[:, None]
            counts = np.bincount(flat.ravel(), minlength=remade.size).reshape(remade.shape)
            remade += counts / (len(at) * len(rows) * len(groups))
        observed.append(each / len(rows))
        reference.append(everywhere / len(rows))
    return np.array(observed), np.array(reference), remade


def _priors(known: pd.DataFrame) -> dict[str, Any]:
    """Deficit of every prior, and its mean log score over the uniform one at relevant patches."""
    names = [str(c)[len("score: ") :] for c in known if str(c).startswith("score: ")]
    return {
        name: {
            "entropy_deficit_nats": float(known[f"deficit: {name}"].mean()),
            "log_score_nats": keeping.summary(
                name, "nats", known[f"score: {name}"], known["image_id"]
            ),
        }
        for name in names
    }


def _gain(table: pd.DataFrame) -> dict[str, float] | None:
    known = table.dropna(subset=["kept_uniform"])
    if known["image_id"].nunique() < 2:
        return None
    gain = known["kept_learned"] - known["kept_uniform"]
    return keeping.summary("gain", "share", gain, known["image_id"])


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
    needs=("grid",),
    max_images=384,
    prepare=prepare,
    prepare_images=384,
)
evaluate = CLAIM.evaluate
