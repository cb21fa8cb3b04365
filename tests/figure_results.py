"""Results of a run that never was, with known true accuracies, to draw figures from.

Every question has a difficulty, shared in part by the questions of its scene; a setting of true
accuracy p answers it rightly iff its score, correlated over settings, falls under the p-quantile.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import figure_studies
import numpy as np
import pandas as pd
from scipy.stats import norm
from study_tables import TABLES

from paper_figures.labels import CLOSED_TYPES, FORM_OF, OPEN_TYPES
from paper_figures.results import Results, Scene

N_V, GRID = 144, (12, 12)
BUDGETS = (72, 36, 16, 8)
TYPES = (*OPEN_TYPES, *CLOSED_TYPES)
FULL = 0.93
# share of the way from all tokens down to the floor that is lost at 8 of 144 tokens
LOSS = {
    ("mi_pruner", None): 0.35, ("mi_attention", None): 0.42, ("similarity", "max"): 0.38,
    ("similarity", "mean"): 0.6, ("centered_similarity", None): 0.33, ("attention", None): 0.7,
    ("cls_attention", None): 0.66, ("divprune", None): 0.55, ("cdpruner", None): 0.3,
    ("oracle", None): 0.05, ("random", None): 0.8,
}  # fmt: skip
INSIDE_LOSS = {("fastv", "1"): 0.4, ("fastv", "2"): 0.2, ("sparsevlm", "1,2,3"): 0.3}
FLOOR = {"open": 0.2, "closed": 0.5}
AGGREGATION_LOSS = {
    "max": 0.35,
    "kl+global": 0.27,
    "kl": 0.3,
    "mean": 0.75,
    "lse": 0.36,
}
CONDITIONAL_LOSS = {"softmax": 0.35, "minmax": 0.5}


def true_accuracy(loss: float, budget: int, question_type: str) -> float:
    """All tokens, less `loss` of what can be lost, in proportion to log budget."""
    floor = FLOOR[FORM_OF[question_type]]
    return FULL - (FULL - floor) * loss * np.log(N_V / budget) / np.log(N_V / 8)


def relevance_weight_loss(lam: float, form: str) -> float:
    """Best at 0.5 for open-ended questions and at 1 for closed-form ones."""
    return 0.35 + 0.5 * abs(lam - (0.5 if form == "open" else 1.0))


def temperature_loss(tau: float) -> float:
    """Best at 0.1."""
    return 0.35 + 0.12 * abs(np.log10(tau / 0.1))


def samples(n_scenes: int, *, seed: int = 0) -> pd.DataFrame:
    """One question of each type about every scene, yes/no ones half present, half absent."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        [(f"s{i}-{t}", f"s{i}", t) for i in range(n_scenes) for t in TYPES],
        columns=["sample_id", "image_id", "question_type"],
    )
    is_yes_no = rows["question_type"] == "existence"
    kinds = np.array([None, None, None, "random", "popular", "adversarial"], dtype=object)
    negative = kinds[rng.integers(6, size=len(rows))]
    rows["negative"] = pd.Series(negative, dtype=object).where(is_yes_no, None)
    present = rows["negative"].isna()
    rows["answer"] = np.where(is_yes_no, np.where(present, "yes", "no"), "red")
    scene = np.repeat(rng.standard_normal(n_scenes), len(TYPES))
    rows["difficulty"] = 0.6 * scene + 0.5 * rng.standard_normal(len(rows))  # variance 0.61
    return rows


def _cell(
    questions: pd.DataFrame, accuracy: np.ndarray, rng: np.random.Generator, **fields: object
) -> pd.DataFrame:
    score = questions["difficulty"] + np.sqrt(0.39) * rng.standard_normal(len(questions))
    correct = score.to_numpy() < norm.ppf(accuracy)
    flipped = questions["answer"].map({"yes": "no", "no": "yes", "red": "blue"})
    empty = {
        "relevance_weight": np.nan, "temperature": np.nan, "aggregation": None,
        "conditional": None, "word_aggregation": None, "draw": 0,
    }  # fmt: skip
    return questions.drop(columns="difficulty").assign(
        prediction=questions["answer"].where(correct, flipped),
        correct=correct,
        log_prob=-score.to_numpy(),
        seconds=0.001,
        **(empty | fields),
    )


def make_table(
    n_scenes: int = 60,
    *,
    budgets: Iterable[int] = BUDGETS,
    families: Iterable[str] = (
        "method",
        "aggregation",
        "relevance_weight",
        "temperature",
        "conditional",
        "all_methods",
    ),
    seed: int = 0,
) -> pd.DataFrame:
    """A results table of the schema that the main job writes."""
    questions = samples(n_scenes, seed=seed)
    rng = np.random.default_rng(seed + 1)
    types = questions["question_type"]
    forms = types.map(FORM_OF)
    full = np.full(len(questions), FULL)
    cells = [
        _cell(questions, full, rng, setting="full", family="method", method="full", budget=N_V)
    ]

    def add(loss: object, budget: int, **fields: object) -> None:
        losses = np.broadcast_to(np.asarray(loss, dtype=float), len(questions))
        accuracy = np.array(
            [true_accuracy(x, budget, t) for x, t in zip(losses, types, strict=True)]
        )
        name = "/".join(f"{k}={v}" for k, v in fields.items() if k != "family")
        method = fields.pop("method", "mi_pruner")
        cells.append(
            _cell(questions, accuracy, rng, setting=name, method=method, budget=budget, **fields)
        )

    paper = {"relevance_weight": 0.5, "temperature": 0.1, "aggregation": "max"}
    for budget in budgets:
        if "method" in families:
            for (method, words), loss in LOSS.items():
                for draw in range(3 if method == "random" else 1):
                    more = paper if method.startswith("mi_") else {}
                    add(loss, budget, family="method", method=method, word_aggregation=words,
                        draw=draw, **more)  # fmt: skip
        if "aggregation" in families:
            for name, loss in AGGREGATION_LOSS.items():
                add(loss, budget, family="aggregation", aggregation=name)
        if "relevance_weight" in families:
            for lam in (0.0, 0.25, 0.5, 0.75, 1.0):
                loss = forms.map({f: relevance_weight_loss(lam, f) for f in FLOOR})
                add(loss, budget, family="relevance_weight", relevance_weight=lam)
        if "temperature" in families:
            for tau in (0.01, 0.03, 0.1, 0.2, 0.5, 1.0):
                add(temperature_loss(tau), budget, family="temperature", temperature=tau)
        if "conditional" in families:
            for name, loss in CONDITIONAL_LOSS.items():
                add(loss, budget, family="conditional", conditional=name)
    if "all_methods" in families:
        for (method, words), loss in LOSS.items():
            for budget in budgets:
                more = paper if method.startswith("mi_") else {}
                add(
                    loss,
                    budget,
                    family="all_methods",
                    method=method,
                    word_aggregation=words,
                    **more,
                )
        for (method, layers), loss in INSIDE_LOSS.items():
            for budget in budgets:
                add(loss, budget, family="all_methods", method=method, layers=layers)
    table = pd.concat(cells, ignore_index=True)
    return with_costs(table.assign(ratio=table["budget"] / N_V))


def with_costs(table: pd.DataFrame) -> pd.DataFrame:
    """What the main job writes of cost: 4 blocks, all tokens before the first that prunes; FLOPs
    as if they were in proportion to tokens."""
    layers = table.get("layers", pd.Series([""] * len(table), index=table.index, dtype=object))
    layers = layers.astype(object).where(layers.notna(), "")
    first = layers.map(lambda text: int(text.split(",")[0]) if text else 0)
    average = (first * N_V + (4 - first) * table["budget"]) / 4
    return table.assign(
        layers=layers,
        tokens_after=table["budget"],
        layer_average=average,
        flop_ratio=average / N_V,
    )


def make_kept(
    table: pd.DataFrame, *, budgets: Iterable[int] = (16,), seed: int = 0
) -> pd.DataFrame:
    """Random kept sets of the first scene's questions, one per method and budget."""
    rng = np.random.default_rng(seed)
    rows = table[(table["family"] == "method") & (table["method"] != "full")]
    rows = rows[rows["budget"].isin(list(budgets)) & (rows["draw"] == 0)]
    rows = rows[rows["image_id"] == "s0"][["setting", "sample_id", "budget"]]
    kept = [rng.choice(N_V, size=int(n), replace=False).tolist() for n in rows["budget"]]
    return rows.assign(kept=kept).reset_index(drop=True)


def make_scenes(kept: pd.DataFrame, *, seed: int = 0) -> dict[str, Scene]:
    """A noisy picture with two colored squares for every kept sample."""
    rng = np.random.default_rng(seed)
    image = (90 + 40 * rng.random((48, 48, 3))).astype(np.uint8)
    image[8:16, 12:20] = (230, 40, 30)
    image[28:36, 30:38] = (40, 80, 240)
    question = "which color is the seven in the image ?"
    return {name: Scene(question, image, GRID) for name in kept["sample_id"]}


def cost_table() -> pd.DataFrame:
    """What the study of cost writes, with times that grow from method to method."""
    keys = ("mi_pruner:1", "mi_pruner:0.5", "mi_attention", "cdpruner", "vispruner", "dart@2",
            "sparsevlm@1,2,3")  # fmt: skip
    rows = []
    for i, key in enumerate(keys):
        for budget in (36, 16, 8):
            alone = float("nan") if "@" in key else 1.0 + i
            row = {"key": key, "budget": budget, "ratio": budget / N_V, "repetitions": 9}
            for part, middle in (("selection", alone), ("total", 20.0 + i)):
                row |= {f"{part}_ms": middle, f"{part}_low": middle - 0.5}
                row |= {f"{part}_high": middle + 0.5, f"{part}_bytes": middle * 1e6}
            rows.append(row | {"machine": "an abacus", "threads": 1})
    return pd.DataFrame(rows)


def scene_tables(sample: str) -> dict[str, pd.DataFrame]:
    """What the study of one scene writes, of random numbers."""
    rng = np.random.default_rng(0)
    shapes = {
        "V": (N_V, 6), "T": (3, 6), "cross_similarity": (N_V, 3), "cross_conditional": (N_V, 3),
        "text_marginal": (1, 3), "cross_pmi": (N_V, 3), "self_similarity": (N_V, N_V),
        "self_conditional": (N_V, N_V), "self_pmi": (N_V, N_V),
    }  # fmt: skip
    parts = []
    for name, shape in shapes.items():
        rows, columns = np.indices(shape)
        parts.append(
            pd.DataFrame(
                {"matrix": name, "row": rows.ravel(), "column": columns.ravel(),
                 "value": rng.standard_normal(shape).ravel()}
            )
        )  # fmt: skip
    picks = pd.DataFrame({"step": range(4), "index": [7, 3, 100, 9]})
    return {
        "scene_matrices": pd.concat(parts, ignore_index=True),
        "scene_words": pd.DataFrame(
            {"column": range(3), "word": ["which", "color", "?"], "sample_id": sample}
        ),
        "scene_picks": picks.assign(
            relevance=[3.0, 2.0, 1.5, 1.0],
            redundancy=[0.0, 0.5, 0.6, 0.75],
            score=[1.5, 0.75, 0.45, 0.125],
        ),
    }


def make_results(n_scenes: int = 60, **options: object) -> Results:
    """The tables of such a run, in memory."""
    table = make_table(n_scenes, **options)  # type: ignore[arg-type]
    budgets = [b for b in sorted(set(table["budget"])) if b != N_V]
    kept = make_kept(table, budgets=budgets)
    run = {
        "run": {"model": "synthetic", "split": "test", "quick": False, "seed": 0},
        "provenance": {"created": "2026-01-01T00:00:00+00:00", "command": "none", "seed": 0},
    }
    studies = {name: make() for name, make in TABLES.items()} | {"cost": cost_table()}
    scenes = make_scenes(kept)
    if scenes:
        studies |= scene_tables(next(iter(scenes)))
    folder = figure_studies.shared_folder()
    return Results(table=table, kept=kept, scenes=scenes, run=run, folder=folder, studies=studies)


def write_run(folder: Path, results: Results) -> Path:
    """The files of a run, as the main job leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    results.table.drop(columns=["series", "form"]).to_parquet(folder / "results.parquet")
    (folder / "run.json").write_text(json.dumps(results.run), encoding="utf-8")
    if results.kept is None:
        return folder
    figure_studies.write(folder)
    for name, study in results.studies.items():
        study.to_parquet(folder / "studies" / f"{name}.parquet")
    results.kept.to_parquet(folder / "kept.parquet")
    pd.DataFrame(
        [
            {
                "sample_id": name, "question": scene.question, "rows": scene.grid[0],
                "columns": scene.grid[1], "height": scene.image.shape[0],
                "width": scene.image.shape[1], "pixels": scene.image.tobytes(),
            }
            for name, scene in results.scenes.items()
        ]
    ).to_parquet(folder / "scenes.parquet")  # fmt: skip
    return folder
