"""Scores of a model on a benchmark, with intervals: tables that are tidy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mitheory.errors import DatasetError, JudgeError, NonFiniteError, ParameterError
from mitheory.statistics.inputs import Floats, Integers
from mitheory.statistics.resampling import Statistic, intervals, mean

from .answers import Answered, Missing, matched
from .base import Benchmark, Grade, Graded, Metric, Record
from .judging import Judge, judged
from .rubrics import with_template

LEVEL, RESAMPLES = 0.95, 2000
UNDEFINED = "undefined: its denominator is 0"
NO_INTERVAL = "no interval: undefined in some resamples"
ONE_CLUSTER = "no interval: a single image"


@dataclass(frozen=True)
class Scores:
    """What an answer file is worth.

    Parameters
    ----------
    table : a row per metric and group: dataset, split, convention, questions (that were asked),
        official (how many the official release has; 0 where that is not fixed), judge, group,
        metric, value, low, high, level, unit, n (rows, which are images for MME), n_clusters,
        resampled (what is drawn anew as a whole), failed (questions without a usable answer, left
        out), note
    samples : a row per question: sample_id, image_id, group, answer, parsed (what the answer was
        taken for), score, error, and further numbers of the benchmark
    """

    table: pd.DataFrame
    samples: pd.DataFrame


def score(
    benchmark: Benchmark,
    records: Sequence[Record],
    answers: Mapping[str, Answered],
    *,
    split: str = "",
    convention: str = "",
    judge: Judge | None = None,
    judge_prompt: str | Path | None = None,
    judgements: Path | None = None,
    missing: Missing = "refuse",
    level: float = LEVEL,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> Scores:
    """Grade the answers to `records` and make the benchmark's metrics of them.

    Parameters
    ----------
    benchmark : what defines grades and metrics
    records : its questions; they fix which answers are wanted
    answers : by sample id, of `read_answers`
    split : for the table alone
    convention : the default one without
    judge : needed where the convention has a rubric
    judge_prompt : file with the judge's prompt (`rubrics.with_template`); ours without
    judgements : file that remembers the judge's replies
    missing : "refuse" questions without an answer, or count them as "wrong"
    level, n_resamples, seed : of the percentile intervals, which resample whole images

    Returns
    -------
    Scores

    Raises
    ------
    DatasetError
        If answers and questions do not match, or no question has a usable answer.
    UnknownNameError
        If there is no such convention.
    MissingInputError
        If a judge is needed and none was given.
    """
    name = convention or next(iter(benchmark.conventions))
    chosen = benchmark.convention(name)
    rubric = chosen.rubric
    if rubric is None and (judge is not None or judge_prompt is not None):
        raise ParameterError(f"{benchmark.name}: the convention {name!r} asks no judge")
    pairs = matched(records, answers, missing)
    good = [(record, said.text.strip()) for record, said in pairs if not said.error]
    grades: list[Grade | JudgeError]
    if rubric is not None:
        asked = with_template(rubric, Path(judge_prompt)) if judge_prompt is not None else rubric
        grades = judged(good, asked, judge, path=judgements)
    elif chosen.grade is not None:
        grades = [chosen.grade(record, text) for record, text in good]
    else:
        raise ParameterError(f"{benchmark.name}: the convention {name!r} has no grade")
    by_id = {r.sample_id: g for (r, _), g in zip(good, grades, strict=True)}
    graded = [
        Graded(record, text, grade)
        for (record, text), grade in zip(good, grades, strict=True)
        if isinstance(grade, Grade)
    ]
    if not graded:
        raise DatasetError(f"{benchmark.name}: none of {len(pairs)} questions has a usable answer")
    failed = [r for r, _ in pairs if not isinstance(by_id.get(r.sample_id), Grade)]
    rng = np.random.default_rng(seed)
    rows = [
        {
            "dataset": benchmark.name,
            "split": split or next(iter(benchmark.splits)),
            "convention": name,
            "questions": len(records),
            "official": benchmark.splits.get(split or next(iter(benchmark.splits)), 0),
            "judge": "" if judge is None else f"{judge.name}, {_wording(judge_prompt)} prompt",
            **_row(metric, failed, level, n_resamples, rng.spawn(1)[0]),
        }
        for metric in benchmark.metrics(graded, name)
    ]
    if not rows:
        raise DatasetError(f"{benchmark.name}: the answers make no metric: every pair lacks one")
    samples = pd.DataFrame([_sample(r, said, by_id.get(r.sample_id)) for r, said in pairs])
    return Scores(pd.DataFrame(rows), samples)


def _wording(path: str | Path | None) -> str:
    return "our" if path is None else Path(path).name


def _row(
    metric: Metric, failed: Sequence[Record], level: float, n: int, rng: np.random.Generator
) -> dict[str, object]:
    value, low, high, note = estimate(metric, level, n, rng)
    out = sum(metric.part(record) for record in failed)
    return {
        "group": metric.group,
        "metric": metric.name,
        "value": value,
        "low": low,
        "high": high,
        "level": level,
        "unit": metric.unit,
        "n": len(metric.columns),
        "n_clusters": len(np.unique(metric.clusters)),
        "resampled": metric.resampled,
        "failed": out + metric.left_out,
        "note": "; ".join(filter(None, (note, metric.note))),
    }


def estimate(
    metric: Metric, level: float, n_resamples: int, rng: np.random.Generator
) -> tuple[float, float, float, str]:
    """Value, both ends of its interval, and why one of them is missing (NaN), if so."""
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(metric.statistic(metric.columns.mean(axis=0, keepdims=True))[0])
        if not math.isfinite(value):
            return math.nan, math.nan, math.nan, UNDEFINED
        if len(np.unique(metric.clusters)) < 2:
            return value, math.nan, math.nan, ONE_CLUSTER
        try:
            (interval,) = intervals(
                _of_means(metric), metric.columns, metric.clusters, metric.name, level,
                n_resamples, rng,
            )  # fmt: skip
        except NonFiniteError:
            return value, math.nan, math.nan, NO_INTERVAL
    return value, interval.low, interval.high, ""


def _of_means(metric: Metric) -> Statistic:
    """The metric as a statistic of resampled clusters."""

    def compute(table: Floats, codes: Integers, counts: Integers) -> Floats:
        return metric.statistic(mean(table, codes, counts))[:, None]

    return compute


def _sample(record: Record, said: Answered, grade: Grade | JudgeError | None) -> dict[str, object]:
    row: dict[str, object] = {
        "sample_id": record.sample_id,
        "image_id": record.image_id,
        "group": str(record.metadata.get("group", "")),
        "answer": said.text,
        "parsed": None,
        "score": math.nan,
        "error": said.error or None,
    }
    if isinstance(grade, Grade):
        return row | {"parsed": grade.parsed, "score": grade.score, **grade.extra}
    return row | {"error": said.error or str(grade)}
