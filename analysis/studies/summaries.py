"""Accuracies and paired differences of tidy rows, with intervals over scenes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from analysis.ablation.statistics import LEVEL, RESAMPLES, paired
from mitheory.errors import ParameterError
from mitheory.models.fruitfly.questions import CLOSED_TYPES
from mitheory.statistics import cluster_bootstrap_table, holm

Cell = tuple[Hashable, ...]


def with_form(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a column ``form``: "closed" for yes/no and multiple choice, else "open"."""
    closed = rows["question_type"].isin(CLOSED_TYPES)
    return rows.assign(form=np.where(closed, "closed", "open"))


def wide(rows: pd.DataFrame, by: Sequence[str], value: str = "correct") -> pd.DataFrame:
    """One row per question and one column per cell; draws of one cell are averaged.

    Raises
    ------
    ParameterError
        If a cell lacks a question that another has: they could not be compared.
    """
    flat = rows[["sample_id", *by]].assign(value=pd.to_numeric(rows[value]).astype(float))
    table = flat.groupby(["sample_id", *by], sort=False)["value"].mean().unstack(list(by))
    if len(by) == 1:
        table.columns = pd.MultiIndex.from_tuples([(c,) for c in table.columns], names=list(by))
    if gaps := int(table.isna().sum().sum()):
        raise ParameterError(
            f"each cell of {list(by)} must hold the same {len(table)} questions; {gaps} are missing"
        )
    return table


def scenes_of(rows: pd.DataFrame, sample_ids: pd.Index) -> np.ndarray:
    """The scene of each question."""
    scene = rows.drop_duplicates("sample_id").set_index("sample_id")["image_id"]
    return scene.loc[sample_ids].to_numpy(dtype=str)


def means(
    rows: pd.DataFrame, by: Sequence[str], *, value: str = "correct", seed: int = 0
) -> pd.DataFrame:
    """Mean of a column in each cell with its interval; all cells share their resamples.

    Returns
    -------
    DataFrame
        Columns `by`, ``estimate``, ``low``, ``high``, ``questions``, ``scenes``.
    """
    table = wide(rows, by, value)
    found = cluster_bootstrap_table(
        table.to_numpy(float),
        scenes_of(rows, table.index),
        level=LEVEL,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(seed),
    )
    return pd.DataFrame(
        [
            dict(zip(by, cell, strict=True))
            | {"estimate": i.estimate, "low": i.low, "high": i.high}
            | {"questions": i.n, "scenes": i.n_clusters}
            for cell, i in zip(table.columns, found, strict=True)
        ]
    )


def means_within(
    rows: pd.DataFrame, within: str, by: Sequence[str], *, value: str = "correct", seed: int = 0
) -> pd.DataFrame:
    """`means` separately for each value of a column, such as the form of question."""
    parts = [
        means(own, by, value=value, seed=seed).assign(**{within: key})
        for key, own in rows.groupby(within, sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


def differences(
    rows: pd.DataFrame,
    by: Sequence[str],
    pairs: Sequence[tuple[Cell, Cell]],
    *,
    value: str = "correct",
    seed: int = 0,
) -> pd.DataFrame:
    """Paired differences of cells, one row per pair; Holm's correction is over the pairs.

    Returns
    -------
    DataFrame
        Columns ``difference``, ``low``, ``high`` (cluster bootstrap), ``p_value`` (permutation of
        the pairs, scene by scene), ``p_holm``, ``detectable`` (the smallest difference found with
        80% power), ``questions``, ``scenes``, in the order of `pairs`.

    Raises
    ------
    ParameterError
        If two cells hold different questions.
    """
    table = wide(rows, by, value)
    clusters = scenes_of(rows, table.index)
    found = [
        paired(table[first].to_numpy(), table[second].to_numpy(), clusters, seed=seed)
        for first, second in pairs
    ]
    out = pd.DataFrame(found).rename(columns={"n": "questions", "n_clusters": "scenes"})
    if len(out):
        out.insert(4, "p_holm", holm(out.p_value.to_numpy()))
    return out


def chosen_on_validation(
    validation: pd.DataFrame,
    test: pd.DataFrame,
    within: Sequence[str],
    axis: Sequence[str],
    against: Sequence[Cell],
) -> pd.DataFrame:
    """The value of an axis that is best on validation, against named values on test.

    One row per cell of `within` and value in `against`: the columns of `within`; those of `axis`,
    the choice (of equals the first in sorted order); ``against``, the value it is compared with in
    words; and those of `differences`, Holm's correction over all rows.

    Parameters
    ----------
    validation, test : tidy rows with the columns of `within` and `axis`
    against : values of `axis`
    """
    score = validation.assign(value=pd.to_numeric(validation["correct"]).astype(float))
    mean = score.groupby([*within, *axis])["value"].mean().reset_index()
    labels, pairs = [], []
    for cell, rows in mean.groupby(list(within)):
        best = rows[list(axis)].iloc[int(rows["value"].to_numpy().argmax())].tolist()
        for other in against:
            labels.append(
                dict(zip(within, cell, strict=True))
                | dict(zip(axis, best, strict=True))
                | {"against": ", ".join(map(str, other))}
            )
            pairs.append(((*cell, *best), (*cell, *other)))
    found = differences(test, [*within, *axis], pairs)
    return pd.concat([pd.DataFrame(labels), found], axis=1)
