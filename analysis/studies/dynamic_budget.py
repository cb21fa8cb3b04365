"""Dynamic budgets: stop when little is left to gain, against fixed budgets of the same average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from analysis.settings import BUDGETS
from mitheory import SELECTORS, select_batch
from mitheory.bundle import Bundle, Sample
from mitheory.models.fruitfly.questions import CLOSED_TYPES
from mitheory.selection import Selection, calibrated_level, certified_curve_of, gain_curve, stop
from mitheory.selection.facility_location import token_weights
from mitheory.selection.stopping import CURVES
from mitheory.setfunctions import FacilityLocation

from .asking import asked
from .base import Context, Study
from .summaries import differences, means

QUICK_BUDGETS = (16,)
QUESTIONS, QUICK_QUESTIONS = 500, 40
CALIBRATING, QUICK_CALIBRATING = 240, 24  # of the validation split, on which levels are set
HORIZON = 72  # "no set of half of the tokens is worth much more"
BATCH = 128
HOW = ("dynamic", "fixed", "shuffled")


@dataclass(frozen=True)
class Line:
    """A method with the rule that stops it; `closed` are options of closed-form questions."""

    method: str
    rule: str
    options: Mapping[str, Any] = field(default_factory=dict)
    closed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique among `LINES`."""
        return f"{self.method}:{self.rule}"


LINES = (
    Line("mi_pruner", "gain", {"relevance_weight": 0.5}, {"relevance_weight": 1.0}),
    Line("similarity", "gain"),
    Line("attention", "certified_modular"),
    Line("facility_location", "gain"),
    Line("facility_location", "certified"),
)
"""Scores without a guarantee stop at a score; the others by what is certified to be left."""


def run(context: Context) -> Mapping[str, pd.DataFrame]:
    """Accuracy against average tokens, paired differences, and where the tokens go."""
    targets = QUICK_BUDGETS if context.quick else BUDGETS
    held_out = context.bundle("validation", QUICK_CALIBRATING if context.quick else CALIBRATING)
    bundle = context.bundle("test", QUICK_QUESTIONS if context.quick else QUESTIONS)
    parts = []
    for line in LINES:
        levels = calibrated(line, orders(line, held_out), targets)
        parts.append(sets_of(line, orders(line, bundle), levels, seed=context.seed))
    rows = asked(context, bundle, pd.concat(parts, ignore_index=True))
    tidy = mixed(rows)
    return {
        "dynamic_budget": accuracies(tidy),
        "dynamic_budget_differences": compared(tidy),
        "dynamic_budget_kept": spent(tidy),
    }


@dataclass(frozen=True)
class Ordered:
    """One question: its tokens in order of choice, and the curve that a rule looks at."""

    sample_id: str
    form: str
    order: list[int]
    curve: Tensor


def orders(line: Line, bundle: Path) -> list[Ordered]:
    """Every token of every question in order of choice, with the curve of the rule.

    What does not depend on the question is done once for an image.
    """
    samples = list(Bundle.open(bundle))
    found: dict[str, Ordered] = {}
    for form, options in (("open", line.options), ("closed", {**line.options, **line.closed})):
        own = [s for s in samples if (s.question_type in CLOSED_TYPES) == (form == "closed")]
        asks = "text" in SELECTORS[line.method].requires
        first = {s.sample_id if asks else s.image_id: s for s in reversed(own)}
        chosen = _selected(line.method, list(first.values()), options)
        curves = {
            key: (c, _curve(line, c, s))
            for (key, s), c in zip(first.items(), chosen, strict=True)
        }  # fmt: skip
        for s in own:
            selection, curve = curves[s.sample_id if asks else s.image_id]
            found[s.sample_id] = Ordered(s.sample_id, form, selection.indices.tolist(), curve)
    return [found[s.sample_id] for s in samples]


def _selected(
    method: str, samples: Sequence[Sample], options: Mapping[str, Any]
) -> list[Selection]:
    found: list[Selection] = []
    for start in range(0, len(samples), BATCH):
        part = samples[start : start + BATCH]
        needed = SELECTORS[method].required(options, given=part[0].tensors())
        given: dict[str, Any] = {
            n: torch.stack([getattr(s, n) for s in part]) for n in needed if n != "text"
        }
        if "text" in needed:
            lengths = torch.tensor([s.n_t for s in part])
            given["text"] = pad_sequence([s.text for s in part], batch_first=True)
            given["text_mask"] = torch.arange(int(lengths.max())) < lengths[:, None]
        found += select_batch(method, budget=part[0].n_v, **given, **options)
    return found


def _curve(line: Line, selection: Selection, sample: Sample) -> Tensor:
    """What the rule looks at; of facility location all gains that are left are at hand."""
    if line.method == "facility_location" and line.rule == "certified":
        defaults = SELECTORS[line.method].defaults
        weights = token_weights(
            sample.visual[None].double(), defaults["kernel"], defaults["temperature"], "error"
        )
        function = FacilityLocation(weights[0])
        return certified_curve_of(function, selection.indices.tolist(), HORIZON)
    if line.rule == "gain":
        return gain_curve(selection.gains)
    return CURVES[line.rule](selection.gains, HORIZON)


def calibrated(
    line: Line, held_out: Sequence[Ordered], targets: Sequence[int]
) -> dict[tuple[str, int], float]:
    """The level of every form and target: its average on validation is the target."""
    found = {}
    for form in ("open", "closed"):
        curves = [o.curve for o in held_out if o.form == form]
        for target in targets:
            found[form, target] = calibrated_level(curves, target)
    return found


def sets_of(
    line: Line, test: Sequence[Ordered], levels: Mapping[tuple[str, int], float], *, seed: int
) -> pd.DataFrame:
    """Kept sets of every question: at its own place to stop, at another's, and at fixed ones.

    ``how`` is "dynamic"; "shuffled", the same numbers of tokens dealt out at random within a form;
    "floor" and "ceil", the whole numbers about the average of the dynamic ones of that form, and
    ``weight`` is how much of "fixed" each of these is.
    """
    rows: list[dict[str, Any]] = []
    for (form, target), level in levels.items():
        own = [o for o in test if o.form == form]
        counts = np.array([stop(o.curve, level) for o in own])
        rng = np.random.default_rng([seed, target])
        average = counts.mean()
        low, high = int(np.floor(average)), int(np.ceil(average))
        plans = {
            "dynamic": (counts, 1.0),
            "shuffled": (rng.permutation(counts), 1.0),
            "floor": (np.full(len(own), low), 1.0 - (average - low)),
            "ceil": (np.full(len(own), high), average - low),
        }
        for how, (numbers, weight) in plans.items():
            for o, n in zip(own, numbers, strict=True):
                rows.append(
                    {"line": line.name, "method": line.method, "rule": line.rule,
                     "target": target, "how": how, "weight": weight, "level": level,
                     "sample_id": o.sample_id, "kept": o.order[: int(n)]}
                )  # fmt: skip
    return pd.DataFrame(rows)


def mixed(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with "floor" and "ceil" joined to "fixed", in expectation over a draw of the two.

    A fixed budget then has exactly the average number of tokens of the dynamic one.
    """
    fixed = rows["how"].isin(["floor", "ceil"])
    key = ["line", "method", "rule", "target", "sample_id", "image_id", "question_type", "form"]
    weighed = rows.assign(
        how=rows["how"].where(~fixed, "fixed"),
        correct=rows["correct"] * rows["weight"],
        tokens=rows["n_kept"] * rows["weight"],
    )
    return weighed.groupby([*key, "how"], sort=False)[["correct", "tokens"]].sum().reset_index()


def _by_form(tidy: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [("all", tidy), *((f, tidy[tidy["form"] == f]) for f in ("open", "closed"))]


def accuracies(tidy: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and average tokens: one row per line, target, form and `HOW`.

    Columns ``line``, ``method``, ``rule``, ``target``, ``how``, ``form``, ``tokens``,
    ``estimate``, ``low``, ``high``, ``questions``, ``scenes``.
    """
    by = ["line", "method", "rule", "target", "how"]
    parts = []
    for form, rows in _by_form(tidy):
        tokens = rows.groupby(by, sort=False)["tokens"].mean().reset_index()
        parts.append(means(rows, by).merge(tokens, on=by).assign(form=form))
    return pd.concat(parts, ignore_index=True)


def compared(tidy: pd.DataFrame) -> pd.DataFrame:
    """Dynamic minus fixed, and dynamic minus shuffled, question by question.

    One row per line, target, form and ``against``; Holm's correction within one form.
    """
    parts = []
    for form, rows in _by_form(tidy):
        cells = rows[["line", "target"]].drop_duplicates().itertuples(index=False, name=None)
        named = [(line, target, other) for line, target in cells for other in HOW[1:]]
        pairs = [((ln, t, "dynamic"), (ln, t, other)) for ln, t, other in named]
        table = differences(rows, ["line", "target", "how"], pairs)
        labels = pd.DataFrame(named, columns=["line", "target", "against"]).assign(form=form)
        parts.append(pd.concat([labels, table], axis=1))
    return pd.concat(parts, ignore_index=True)


def spent(tidy: pd.DataFrame) -> pd.DataFrame:
    """Tokens by type of question: mean, and the 5% and 95% quantiles over questions."""
    rows = tidy[tidy["how"] == "dynamic"]
    grouped = rows.groupby(["line", "target", "question_type"], sort=False)["tokens"]
    return grouped.agg(
        mean="mean", q05=lambda x: x.quantile(0.05), q95=lambda x: x.quantile(0.95)
    ).reset_index()


STUDY = Study(
    "dynamic_budget",
    "Dynamic budgets: does stopping where little is left to gain beat a fixed number of tokens?",
    ("dynamic_budget", "dynamic_budget_differences", "dynamic_budget_kept"),
    run,
)
