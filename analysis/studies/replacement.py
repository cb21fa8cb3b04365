"""What should replace MI-Pruner: every method, tuned alike, on test questions it never saw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.ablation import Configuration
from analysis.ablation.statistics import LEVEL, RESAMPLES, detectable
from mitheory.statistics import cluster_bootstrap_table, holm, paired_permutation

from .base import Context, Study
from .tuning import budgets, chosen, tuned

QUESTIONS, QUICK_QUESTIONS = 300, 64
SCENE_SEEDS, QUICK_SCENE_SEEDS = 3, 1
"""Independent draws of test scenes, so many questions each; methods that draw are seeded anew."""
DRAWS = 3  # of random selection, averaged question by question
NEW = "log_mass"
OLD = "mi_pruner"
CEILING = "oracle"
"""Told which patches matter; shown for comparison, neither tuned nor in any family of tests."""
PERMUTATIONS = 10_000
ALL = "all"


def run(context: Context) -> dict[str, pd.DataFrame]:
    """What was tried on the validation split, and how the chosen ones do on the test split."""
    tried = tuned(context)
    tables, by_draw = [], []
    for model in context.alignments:
        cells = chosen(tried, model, DRAWS)
        cells += [Configuration(CEILING, budget) for budget in budgets(context)]
        rows = named(answered(context, cells, model), cells)
        tables.append(compared_with(rows, (NEW, OLD)).assign(model=model))
        by_draw.append(each_draw(rows).assign(model=model))
    return {
        "tuning": tried,
        "replacement": corrected(pd.concat(tables, ignore_index=True)),
        "replacement_draws": pd.concat(by_draw, ignore_index=True),
    }


def answered(context: Context, cells: Sequence[Configuration], model: str) -> pd.DataFrame:
    """Rows of the cells on every draw of test scenes, whose seed is in the column ``scene_seed``.

    No scene is of two draws: ids hold the seed.
    """
    limit = QUICK_QUESTIONS if context.quick else QUESTIONS
    seeds = range(
        context.seed, context.seed + (QUICK_SCENE_SEEDS if context.quick else SCENE_SEEDS)
    )
    return pd.concat(
        [
            replace(context, seed=s)
            .answered(cells, "test", limit, model=model)
            .assign(scene_seed=s)
            for s in seeds
        ],
        ignore_index=True,
    )


def each_draw(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of every method and budget by draw of scenes, and by how much log mass is ahead.

    Columns: scene_seed, method, budget, accuracy, log_mass_minus, n.
    """
    own = rows.assign(correct=rows.correct.astype(float)).groupby(
        ["scene_seed", "budget", "method"], sort=False
    )
    table = own.agg(accuracy=("correct", "mean"), n=("sample_id", "nunique")).reset_index()
    new = table[table.method == NEW].set_index(["scene_seed", "budget"]).accuracy
    ahead = new.loc[list(zip(table.scene_seed, table.budget, strict=True))].to_numpy()
    return table.assign(**{f"{NEW}_minus": ahead - table.accuracy})


def named(rows: pd.DataFrame, cells: Sequence[Configuration]) -> pd.DataFrame:
    """Rows of the cells with their method, budget and options (JSON)."""
    of = {
        c.identity: (c.method, c.budget, json.dumps(dict(c.options), sort_keys=True)) for c in cells
    }
    names = pd.DataFrame([of[cell] for cell in rows.cell], columns=["method", "budget", "options"])
    return pd.concat([rows.reset_index(drop=True), names], axis=1)


def compared_with(rows: pd.DataFrame, references: Sequence[str]) -> pd.DataFrame:
    """Accuracy of every method and budget, and its paired difference to each reference.

    Draws of one method are averaged question by question. Intervals are of the cluster bootstrap
    over scenes, all of one budget from the same resamples. The difference is the *reference less
    the method*, so that more than 0 is in favor of the reference; its p-value is of exchanging the
    two scene by scene, its `detectable` the smallest that a 5% test finds with 80% power.

    Parameters
    ----------
    rows : sample_id, image_id, question_type, method, budget, options, correct
    references : methods among them

    Returns
    -------
    DataFrame
        method, budget, options, question_type ("all" or a type), accuracy, low, high, n,
        n_clusters, and for each reference r: r_minus, r_low, r_high and, over all types,
        r_p_value and r_detectable.
    """
    images = rows.drop_duplicates("sample_id").set_index("sample_id").image_id
    types = rows.drop_duplicates("sample_id").set_index("sample_id").question_type
    found = []
    for budget, part in rows.groupby("budget", sort=False):
        options = part.drop_duplicates("method").set_index("method").options
        means = part.assign(correct=part.correct.astype(float)).pivot_table(
            index="sample_id", columns="method", values="correct", aggfunc="mean", sort=False
        )
        for kind in (ALL, *dict.fromkeys(types)):
            wide = means if kind == ALL else means[types.loc[means.index] == kind]
            clusters = images.loc[wide.index].to_numpy(str)
            table = _intervals(wide, clusters, references)
            if kind == ALL:
                table = table.assign(**_tests(wide, clusters, references))
            found.append(
                table.assign(
                    budget=budget, question_type=kind, options=options.loc[table.method].to_numpy()
                )
            )
    return pd.concat(found, ignore_index=True)


def _intervals(wide: pd.DataFrame, clusters: np.ndarray, references: Sequence[str]) -> pd.DataFrame:
    values = wide.to_numpy(float)
    columns = [values, *(wide[[r]].to_numpy(float) - values for r in references)]
    every = cluster_bootstrap_table(
        np.concatenate(columns, 1),
        clusters,
        level=LEVEL,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    m = values.shape[1]
    table = pd.DataFrame({"method": list(wide.columns), "n": len(wide)})
    table["n_clusters"] = every[0].n_clusters
    for i, (name, low, high) in enumerate(
        [("accuracy", "low", "high")]
        + [(f"{r}_minus", f"{r}_low", f"{r}_high") for r in references]
    ):
        own = every[i * m : (i + 1) * m]
        table[name] = [x.estimate for x in own]
        table[low], table[high] = [x.low for x in own], [x.high for x in own]
    return table


def _tests(
    wide: pd.DataFrame, clusters: np.ndarray, references: Sequence[str]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for r in references:
        first = wide[r].to_numpy(float)
        others = [wide[m].to_numpy(float) for m in wide.columns]
        found[f"{r}_p_value"] = [
            paired_permutation(
                first, x, clusters, n_permutations=PERMUTATIONS, rng=np.random.default_rng(0)
            ).p_value
            for x in others
        ]
        found[f"{r}_detectable"] = [detectable(first - x, clusters) for x in others]
    return found


def corrected(table: pd.DataFrame, references: Sequence[str] = (NEW, OLD)) -> pd.DataFrame:
    """The table with Holm's correction: one family for each reference, of all models and budgets.

    Against itself, and against the ceiling, nothing is tested: p is NaN.
    """
    out = table.copy()
    for r in references:
        counts = (out.question_type == ALL) & ~out.method.isin([r, CEILING])
        out[f"{r}_p_value"] = out[f"{r}_p_value"].where(counts)
        out.loc[counts, f"{r}_p_holm"] = holm(out.loc[counts, f"{r}_p_value"].to_numpy(float))
    return out


STUDY = Study(
    "replacement",
    "What should replace MI-Pruner: every method, tuned alike on the validation split",
    ("tuning", "replacement", "replacement_draws"),
    run,
)
