"""Asking the model in a study: cells with names for their axes, or any kept sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.ablation import Configuration
from analysis.ablation.answering import SHOWN, Question, answers_to
from analysis.ablation.job import job_of
from analysis.ablation.selecting import set_hash
from mitheory.bundle import Bundle
from mitheory.errors import ParameterError

from .base import Context
from .summaries import with_form

Described = Sequence[tuple[Configuration, Mapping[str, Any]]]
"""Cells, each with the columns that describe it."""


def answered(
    context: Context, cells: Described, split: str, limit: int, *, model: str = ""
) -> pd.DataFrame:
    """Tidy rows of the cells, with their descriptions and the form of each question as columns."""
    described = {cell.identity: dict(axes) for cell, axes in cells}
    rows = context.answered([cell for cell, _ in cells], split, limit, model=model)
    return with_form(rows.join(pd.DataFrame.from_dict(described, orient="index"), on="cell"))


def asked(context: Context, bundle: Path, sets: pd.DataFrame) -> pd.DataFrame:
    """The model's answers to samples of a bundle of which any tokens are kept.

    Parameters
    ----------
    context : of the study
    bundle : of `Context.bundle`
    sets : columns ``sample_id`` and ``kept`` (indices), and any others, which stay

    Returns
    -------
    DataFrame
        The rows of `sets` with ``n_kept``, ``image_id``, ``question_type``, ``form``,
        ``prediction`` and ``correct``.

    Raises
    ------
    ParameterError
        If a question has no answer.
    """
    job = job_of(bundle, bundle.parent, context.model, seed=context.seed, device=context.device)
    kept = [tuple(map(int, k)) for k in sets["kept"]]
    table = sets.assign(
        n_kept=[len(k) for k in kept],
        positions="kept",
        order="raster",
        shown=[set_hash(k, "raster") for k in kept],
    )
    keys = table[SHOWN].itertuples(index=False, name=None)
    questions: list[Question] = [(*key, k) for key, k in zip(keys, kept, strict=True)]
    answers = answers_to(questions, job, jobs=context.jobs)
    samples = {s.sample_id: s for s in Bundle.open(bundle)}
    table = table.merge(answers, on=SHOWN, how="left", validate="many_to_one")
    if failed := int(table["prediction"].isna().sum()):
        raise ParameterError(f"asked: expected an answer to every question, {failed} have none")
    own = [samples[name] for name in table["sample_id"]]
    table = table.assign(
        image_id=[s.image_id for s in own],
        question_type=[s.question_type for s in own],
        correct=[p == s.answer for p, s in zip(table["prediction"], own, strict=True)],
    )
    return with_form(table.drop(columns=["positions", "order", "shown", "answer_error"]))
