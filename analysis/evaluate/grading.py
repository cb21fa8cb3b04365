"""Answers of a grid as the field grades them: a score for each row, metrics for each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.datasets.answers import Answered
from analysis.datasets.base import Benchmark, Record
from analysis.datasets.judging import Judge
from analysis.datasets.scoring import score
from analysis.extraction.failures import Failure
from mitheory.errors import DatasetError


@dataclass(frozen=True)
class Judging:
    """Who grades free answers, with which prompt; what it says is remembered by `evaluate`."""

    judge: Judge | None = None
    prompt: Path | None = None


def graded(
    results: pd.DataFrame,
    benchmark: Benchmark,
    records: Sequence[Record],
    failures: Sequence[Failure] = (),
    *,
    split: str = "",
    convention: str = "",
    judging: Judging | None = None,
    judgements: Path | None = None,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows with their scores, and the metrics of every cell.

    Parameters
    ----------
    results : of `analysis.ablation.read_results`
    benchmark, records : what was asked
    failures : questions that were not even encoded; they count as failed in every cell
    split, convention : of the benchmark
    judging : where the convention needs a judge
    judgements : file that remembers what a judge said
    seed : of the intervals

    Returns
    -------
    rows : `results` with `score` in [0, 1] (NaN where the row failed) and what the answer was
        taken for (`parsed`); `correct` is whether the score is 1
    scores : of `scoring.Scores.table` with the cell; a cell without a usable answer has no row
    """
    judging = judging or Judging()
    unread = {f.sample_id: f"{f.error}: {f.message}" for f in failures}
    tables, metrics = [], []
    for cell, rows in results.groupby("cell", sort=False):
        answers = {r.sample_id: Answered("", unread.get(r.sample_id, "no answer")) for r in records}
        answers |= _answers(rows)
        try:
            found = score(
                benchmark, records, answers, split=split, convention=convention,
                judge=judging.judge, judge_prompt=judging.prompt, judgements=judgements, seed=seed,
            )  # fmt: skip
        except DatasetError as error:
            if not all(answer.error for answer in answers.values()):
                raise
            tables.append(rows.assign(score=float("nan"), parsed=None, note=str(error)))
            continue
        metrics.append(found.table.assign(cell=cell))
        own = found.samples.set_index("sample_id")
        kept = rows.assign(
            score=rows.sample_id.map(own.score).astype(float),
            parsed=rows.sample_id.map(own.parsed),
            error=rows.sample_id.map(own.error),
        )
        tables.append(kept)
    rows = pd.concat(tables, ignore_index=True)
    right = (rows.score == 1).where(rows.score.notna())
    scores = pd.concat(metrics, ignore_index=True) if metrics else pd.DataFrame({"cell": []})
    return rows.assign(correct=right.astype("boolean")), scores


def _answers(rows: pd.DataFrame) -> Mapping[str, Answered]:
    """Answers of a cell by sample id."""
    return {
        name: Answered("", str(error)) if pd.notna(error) else Answered(str(text))
        for name, text, error in zip(rows.sample_id, rows.prediction, rows.error, strict=True)
    }
