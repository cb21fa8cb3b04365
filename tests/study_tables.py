"""Tables of studies that never ran, of the form that `analysis.studies` writes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

N_V = 144
BUDGETS = (72, 36, 16, 8)
MODELS = ("fruitfly", "fruitfly-contrastive")


def crossed(axes: Mapping[str, tuple]) -> pd.DataFrame:
    """Every combination of the axes' values."""
    return pd.DataFrame(list(itertools.product(*axes.values())), columns=list(axes))


PRIORS = {
    "stationary": "given", "center_biased": "given", "histogram": "learned",
    "boosting": "learned", "boosting, shuffled": "shuffled", "oracle": "oracle",
}  # fmt: skip


def learned_priors() -> pd.DataFrame:
    """`analysis.studies.learned_priors`."""
    axes = {"model": MODELS, "use": ("marginal", "joint"), "prior": tuple(PRIORS)}
    table = crossed({**axes, "budget": BUDGETS, "question_type": ("all", "color", "existence")})
    rng = np.random.default_rng(2)
    middle = rng.uniform(-0.2, 0.2, len(table))
    return table.assign(
        group=table["prior"].map(PRIORS), ratio=table["budget"] / N_V, difference=middle,
        low=middle - 0.03, high=middle + 0.02, p_holm=0.5, detectable=0.04, n=400, n_clusters=50,
    )  # fmt: skip


def prior_maps() -> pd.DataFrame:
    """The map of every prior, over 4 x 4 positions."""
    side = tuple(range(4))
    table = crossed({"model": MODELS, "prior": tuple(PRIORS), "row": side, "col": side})
    values = np.random.default_rng(3).uniform(0, 2, len(table))
    return table.assign(group=table["prior"].map(PRIORS), times_uniform=values)


def predictions() -> pd.DataFrame:
    """`analysis.studies.predictions`: invented differences, judged as ours."""
    from analysis.studies.findings import PREDICTIONS  # with torch, which figures do without
    from analysis.studies.predictions import judged

    rng = np.random.default_rng(0)
    rows = [
        {
            "model": model, "finding": p.finding, "statement": p.statement, "source": p.source,
            "first": p.first, "second": p.second, "questions": p.questions, "outcome": p.outcome,
            "budget": round(N_V * ratio), "ratio": ratio, "se": 0.01, "df": 400.0, "n": 3200,
            "n_clusters": 401, "estimate": rng.normal(0.02, 0.06),
        }
        for model in MODELS
        for p in PREDICTIONS
        for ratio in p.budgets
    ]  # fmt: skip
    return judged(pd.DataFrame(rows))


TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    "learned_priors": learned_priors,
    "prior_maps": prior_maps,
    "predictions": predictions,
}
