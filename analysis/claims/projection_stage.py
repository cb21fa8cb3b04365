"""Eq. (1), Sec. 3: pruning in the projection space, with what the encoder knew still there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.style import BLUE, GRAY, ORANGE, PAGE, new_figure, theme
from mitheory.bundle import Sample
from mitheory.models.fruitfly.vocabulary import COLORS, DIGITS
from mitheory.verdict import Kind, SmallestEffect, Verdict

from .base import Claim, mean_effect, one_per_image
from .context import Context, fold
from .keeping import summary
from .linear import Affine, principal
from .things import things_of

Floats = NDArray[np.float64]
NAME = "projection_stage"
STATEMENT = (
    "The projection space is the place to prune: projected tokens carry what the encoder knew of "
    "the things that a prompt may ask about."
)
SOURCE = "Eqs. (1), (25); Sec. 1, Sec. 3.1; App. C.3"
KIND: Kind = "empirical"
SMALLEST_EFFECT = SmallestEffect(
    0.1,
    "nats",
    "at_most",
    "a twentieth of what the target holds (log 11 is 2.4 nats): less is not worth another stage",
)
STAGES = {
    "before_last_layer": "before the\nencoder's last layer",
    "encoder": "encoder",
    "projected": "projector",
}
TARGETS = {"digit": len(DIGITS), "color": len(COLORS)}
RANK = 24
FIT_IMAGES = 256
HOW = (
    "The target is the digit, or none, under a patch: the patches at the centers of all things and "
    f"as many of the background. At each stage patches are reduced to {RANK} principal components "
    "and a shrunken linear discriminant is fitted on one half of the images; on the other half the "
    "mean log-probability that it gives the truth, plus the target's entropy, is a lower bound on "
    "the information that cannot be biased upward. The effect is the bound at the encoder's output "
    "less that after the projector. Data processing says that information can only fall; a bound "
    "may rise where a linear reader finds it more easily. Targets shuffled among patches say what "
    "the bound is where there is nothing. The color of a thing is measured too."
)
MEANING = {
    "holds": "Nothing that a linear reader finds is lost by pruning after the projector.",
    "violated": "The projector loses what patches say of the things: scores from encoder features "
    "have more to go by.",
    "inconclusive": "Too few images to tell whether the projector loses information.",
}


@dataclass(frozen=True, eq=False)
class Prepared:
    """By half and stage: principal components fitted on that half, and their share."""

    reduce: Mapping[tuple[int, str], Affine]
    variance: Mapping[str, float]


def views(samples: Sequence[Sample], context: Context) -> list[dict[str, Floats]]:
    """(n_v, d) at every stage there is; before the last layer only with the model."""
    if context.model:
        found = context.adapter().stages(samples)
        return [{k: v.double().numpy() for k, v in view.items()} for view in found]
    return [
        {"encoder": _encoder(s).double().numpy(), "projected": s.visual.double().numpy()}
        for s in samples
    ]


def _encoder(sample: Sample) -> Any:
    if sample.encoder_features is None:
        raise RuntimeError("a claim that needs encoder_features must list them in `needs`")
    return sample.encoder_features


def chosen(sample: Sample, context: Context) -> pd.DataFrame:
    """Patches with their targets: every thing's center, and as many without any; -1 is none."""
    things = things_of(sample)
    columns = ["patch", "digit", "color"]
    rows = [(t.thing.center(), t.thing.digit, t.thing.color) for t in things]
    rows = [row for row in rows if sum(t.mask[row[0]] for t in things) == 1]  # under one thing
    covered = np.any([t.mask for t in things], axis=0) if things else np.zeros(0, bool)
    free = np.flatnonzero(~covered)
    count = min(len(rows), len(free))
    drawn = context.rng(NAME, sample.image_id).permutation(free)[:count]
    return pd.DataFrame(rows + [(int(i), -1, -1) for i in drawn], columns=columns)


def prepare(samples: Iterator[Sample], context: Context) -> Prepared | None:
    """Principal components at each stage, of either half's patches."""
    seen: dict[tuple[int, str], list[Floats]] = {}
    known: set[str] = set()
    for sample in samples:
        if sample.image_id in known:
            continue
        known.add(sample.image_id)
        patches = chosen(sample, context)["patch"].to_numpy(np.int64)
        if not len(patches):
            continue
        (view,) = views([sample], context)
        for stage, tokens in view.items():
            seen.setdefault((fold(sample.image_id), stage), []).append(tokens[patches])
    if {half for half, _ in seen} != {0, 1}:
        return None
    fitted = {key: principal(np.concatenate(rows), RANK) for key, rows in seen.items()}
    return Prepared(
        {key: affine for key, (affine, _) in fitted.items()},
        {stage: float(np.mean([fitted[h, stage][1] for h in (0, 1)])) for _, stage in seen},
    )


def measure(samples: Sequence[Sample], context: Context) -> pd.DataFrame:
    """Per patch: its target, and its components at every stage in either half's basis."""
    prepared: Prepared | None = context.prepared[NAME]
    tables = [pd.DataFrame(columns=["image_id", "sample_id", "digit", "color"])]
    if prepared is None:
        return tables[0]
    with_things = [s for s in one_per_image(samples) if things_of(s)]
    for sample, view in zip(with_things, views(with_things, context), strict=True):
        table = chosen(sample, context)
        patches = table.pop("patch").to_numpy(np.int64)
        for stage, tokens in view.items():
            for half in (0, 1):
                reduced = prepared.reduce[half, stage](tokens[patches])
                names = [f"{stage} {half} {i}" for i in range(reduced.shape[1])]
                table = pd.concat([table, pd.DataFrame(reduced, columns=names)], axis=1)
        tables.append(table.assign(image_id=sample.image_id, sample_id=sample.sample_id))
    return pd.concat([t for t in tables if len(t)] or tables, ignore_index=True)


def bounds(table: pd.DataFrame, target: str, labels: NDArray[np.int64]) -> pd.DataFrame:
    """Per patch and stage: log q(label | patch) less log of the label's frequency, nats.

    q and the basis that it reads are fitted on the other half; the frequency is that of the
    patch's own half, so that the mean is at most the entropy there. Patches whose label the other
    half lacks are left out.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    half = np.array([fold(str(image)) for image in table["image_id"]])
    found = pd.DataFrame(index=table.index, columns=list(STAGES), dtype=float)
    for own in (0, 1):
        train, test = half != own, half == own
        classes = np.unique(labels[train])
        usable = test & np.isin(labels, classes)
        if len(classes) < 2 or not usable.any():
            continue
        place = np.searchsorted(classes, labels[usable])
        frequency = np.log(np.bincount(place)[place] / len(place))
        for stage in STAGES:
            names = [c for c in table if str(c).startswith(f"{stage} {1 - own} ")]
            x = table[names].dropna(axis=1).to_numpy(np.float64)
            if not x.shape[1]:
                continue
            reader = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
            reader.fit(x[train], labels[train])
            log_q = reader.predict_log_proba(x[usable])[np.arange(len(place)), place]
            found.loc[usable, stage] = log_q - frequency
    return found


def judge(table: pd.DataFrame, context: Context) -> Verdict:
    """What the bound loses between encoder and projector."""
    prepared: Prepared | None = context.prepared[NAME]
    if prepared is None or table["image_id"].nunique() < CLAIM.min_images:
        return CLAIM.unassessed(
            f"needs the things under the patches (metadata) in {CLAIM.min_images} images", context
        )
    rng = context.rng(NAME)
    read = {}
    for target in TARGETS:
        rows = table if target == "digit" else table[table[target] >= 0]
        labels = rows[target].to_numpy(np.int64)
        read[target] = bounds(rows, target, labels)
        if target == "digit":
            nothing = bounds(rows, target, rng.permutation(labels))
    lead = read["digit"].dropna(subset=["encoder", "projected"])
    images = table.loc[lead.index, "image_id"]
    if images.nunique() < CLAIM.min_images:
        return CLAIM.unassessed("needs targets that both halves of the images hold", context)
    loss = lead["encoder"] - lead["projected"]
    return CLAIM.verdict(
        context,
        n=images.nunique(),
        method="held-out lower bounds by linear discriminants, cross-fitted",
        effect=mean_effect("bound at the encoder less that after the projector", "nats", loss,
                           images),
        diagnostics={
            "bound_nats": {t: _by_stage(read[t], table) for t in TARGETS},
            "bound_with_targets_shuffled": _by_stage(nothing, table),
            "entropy_of_target_nats": {
                "digit": _entropy(table["digit"]),
                "color": _entropy(table.loc[table["color"] >= 0, "color"]),
            },
            "variance_in_components": dict(prepared.variance),
            "patches": len(lead),
            "patches_left_out": int(read["digit"]["projected"].isna().sum()),
        },
        caveats=(
            f"Of {RANK} components and a linear reader: what neither sees is in no number here.",
            "Patches at the centers of things and of the background, not all patches.",
        ),
    )  # fmt: skip


def _by_stage(read: pd.DataFrame, table: pd.DataFrame) -> dict[str, dict[str, float]]:
    found = {}
    for stage in STAGES:
        values = read[stage].dropna()
        images = table.loc[values.index, "image_id"]
        if images.nunique() > 1:
            found[stage] = summary(stage, "nats", values, images)
    return found


def _entropy(labels: pd.Series) -> float:
    p = labels.value_counts(normalize=True).to_numpy()
    return float(-(p * np.log(p)).sum())


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """The bound along the stages for both targets, under their entropies."""
    with theme():
        figure = new_figure(PAGE * 0.75, 2.4)
        axes = figure.subplots()
        for (target, found), color in zip(
            verdict.diagnostics["bound_nats"].items(), (BLUE, ORANGE), strict=True
        ):
            stages = [s for s in STAGES if s in found]
            places = [list(STAGES).index(s) for s in stages]
            value = np.array([found[s]["value"] for s in stages])
            ends = np.array([[found[s]["low"], found[s]["high"]] for s in stages]).T
            axes.errorbar(
                places, value, yerr=np.abs(ends - value), fmt="o-", color=color, capsize=2,
                label=target,
            )  # fmt: skip
            entropy = verdict.diagnostics["entropy_of_target_nats"][target]
            axes.axhline(entropy, color=color, ls=":", lw=1)
        axes.axhline(0, color=GRAY, lw=0.8)
        axes.set_xticks(range(len(STAGES)), list(STAGES.values()))
        axes.set(xlabel="stage", ylabel="information about the target\n(lower bound, nats)")
        axes.legend(title="target (dotted: entropy)", loc="lower right")
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
    needs=("encoder_features",),
    prepare=prepare,
    prepare_images=FIT_IMAGES,
)
evaluate = CLAIM.evaluate
