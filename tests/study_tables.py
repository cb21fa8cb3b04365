"""Tables of studies that never ran, of the form that `analysis.studies` writes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

N_V = 144
BUDGETS = (72, 36, 16, 8)
MODELS = ("fruitfly", "fruitfly-contrastive")
WEIGHT = "relevance_weight"
FORMS = ("open", "closed")


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


def measured(table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """The table with an estimate and an interval about it in each row."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(0.3, 0.9, len(table))
    width = rng.uniform(0.01, 0.04, len(table))
    return table.assign(
        estimate=middle, low=middle - width, high=middle + 0.9 * width, questions=400, scenes=50
    )


def renyi() -> pd.DataFrame:
    """`analysis.studies.renyi`."""
    models = ("fruitfly", "fruitfly-contrastive")
    orders = (1.0, 1.5, 2.0, 5.0, math.inf)
    axes = {"model": models, "budget": BUDGETS, "form": FORMS}
    table = pd.concat(
        [
            crossed({"alpha": orders, WEIGHT: (1.0, 0.5), **axes, "redundancy": ("max",)}),
            crossed({"alpha": (1.0,), WEIGHT: (0.5,), **axes, "redundancy": ("global",)}),
        ],
        ignore_index=True,
    )  # fmt: skip
    return measured(table.assign(ratio=table["budget"] / N_V))


def mi_attention_split() -> pd.DataFrame:
    """`analysis.studies.mi_attention_split`."""
    table = crossed(
        {
            "rounds": ("fill", "fill_blind", "filter"),
            "attention_ratio": (0.0, 0.25, 0.5, 0.75, 1.0),
            "budget": BUDGETS,
            "form": FORMS,
        }
    )
    return measured(table.assign(ratio=table["budget"] / N_V), seed=1)


LINES = ("mi_pruner:gain", "attention:certified_modular", "facility_location:certified")


def dynamic_budget() -> pd.DataFrame:
    """`analysis.studies.dynamic_budget`."""
    axes = {"line": LINES, "target": BUDGETS, "form": ("all", *FORMS)}
    table = crossed({**axes, "how": ("dynamic", "fixed", "shuffled")})
    return measured(table.assign(tokens=table["target"] * 1.03), seed=2)


def dynamic_budget_differences() -> pd.DataFrame:
    """Its paired differences."""
    axes = {"line": LINES, "target": BUDGETS, "form": ("all", *FORMS)}
    table = measured(crossed({**axes, "against": ("fixed", "shuffled")}), seed=3)
    moved = {c: table[c] - 0.6 for c in ("estimate", "low", "high")}
    return table.assign(**moved).rename(columns={"estimate": "difference"})


def text_pruning() -> pd.DataFrame:
    """`analysis.studies.text_pruning`."""
    orders = ("mi", "mi:kl", "random", "fillers", "similarity")
    axes = {"budget": (144, 36), "form": ("all", *FORMS), "positions": ("kept", "compacted")}
    table = pd.concat(
        [
            crossed({"order": orders, "share": (0.75, 0.5, 0.25), **axes}),
            crossed({"order": ("all",), "share": (1.0,), **axes, "positions": ("kept",)}),
        ],
        ignore_index=True,
    )
    return measured(table, seed=4)


COMPARED = ("log_mass", "log_mass_attention", "mi_pruner", "random", "divprune", "oracle")


def replacement() -> pd.DataFrame:
    """`analysis.studies.replacement`."""
    axes = {"model": MODELS, "budget": BUDGETS, "question_type": ("all", "color")}
    table = crossed({**axes, "method": COMPARED})
    rng = np.random.default_rng(4)
    middle = rng.uniform(-0.1, 0.3, len(table))
    accuracy = rng.uniform(0.5, 0.9, len(table))
    return table.assign(
        options="{}", accuracy=accuracy, low=accuracy - 0.02, high=accuracy + 0.02, n=400,
        n_clusters=50, log_mass_minus=middle, log_mass_low=middle - 0.03,
        log_mass_high=middle + 0.04, log_mass_p_holm=np.where(abs(middle) > 0.05, 0.01, 0.9),
    )  # fmt: skip


def replacement_draws() -> pd.DataFrame:
    """Its differences by draw of scenes: the mean, less and more three points."""
    own = replacement().query("question_type == 'all'")
    parts = [
        own.assign(scene_seed=seed, log_mass_minus=own.log_mass_minus + 0.03 * (seed - 1), n=133)
        for seed in range(3)
    ]
    columns = ["scene_seed", "method", "budget", "accuracy", "log_mass_minus", "n", "model"]
    return pd.concat(parts, ignore_index=True)[columns]


def oracle_gap() -> pd.DataFrame:
    """`analysis.studies.oracle_gap`."""
    table = pd.DataFrame({"method": ("search", *COMPARED), "n": 160, "n_clusters": 20})
    rng = np.random.default_rng(5)
    for name in ("log_prob", "accuracy", "log_prob_gap", "accuracy_gap", "overlap"):
        middle = rng.uniform(0.2, 0.8, len(table))
        table[name], table[f"{name}_low"], table[f"{name}_high"] = (
            middle, middle - 0.05, middle + 0.06,
        )  # fmt: skip
    return table.assign(p_value=0.01, p_holm=0.05)


TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    "replacement": replacement,
    "replacement_draws": replacement_draws,
    "oracle_gap": oracle_gap,
    "learned_priors": learned_priors,
    "prior_maps": prior_maps,
    "predictions": predictions,
    "dynamic_budget": dynamic_budget,
    "dynamic_budget_differences": dynamic_budget_differences,
    "text_pruning": text_pruning,
    "renyi": renyi,
    "mi_attention_split": mi_attention_split,
}
