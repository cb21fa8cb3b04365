"""Figures of a grid: what `mitheory evaluate` and `mitheory ablate` leave, from their files."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mitheory.errors import MissingInputError
from paper_figures import __main__ as command
from paper_figures import grid_budget, grid_differences
from paper_figures.registry import GRID, figures_of
from paper_figures.render import render_all
from paper_figures.results import Results, load

FULL = ("full", 1.0, {})
CELLS = (
    FULL, ("mi_pruner", 64.0, {}), ("mi_pruner", 32.0, {}), ("random", 64.0, {"draw": 0}),
    ("random", 64.0, {"draw": 1}),
)  # fmt: skip
N_V = 576


def cell_rows(method: str, budget: float, more: dict, scores: list[float]) -> pd.DataFrame:
    """Rows of a cell as the runner writes them: one for each question, two to an image."""
    n = len(scores)
    kept = N_V if method == "full" else int(budget)
    draw = more.get("draw", 0)
    options = {k: v for k, v in more.items() if k != "draw"}
    return pd.DataFrame(
        {
            "cell": "-".join(map(str, (method, budget, draw, *options.values()))),
            "sample_id": [f"q{i}" for i in range(n)],
            "image_id": [f"i{i // 2}" for i in range(n)],
            "n_v": N_V, "n_kept": kept, "method": method, "budget": budget, "draw": draw,
            "mode": "exact", "scope": "prompt", "positions": "kept", "order": "raster",
            "search": "eager", "score": scores,
            "error": [None if s == s else "RowError: lost" for s in scores],
            "correct": [s == 1 for s in scores],
        } | {f"option_{name}": value for name, value in options.items()}
    )  # fmt: skip


def rows_of(scores: dict[int, list[float]], cells=CELLS, **named: str) -> pd.DataFrame:
    """All cells; those that `scores` does not name, by place, are right on everything."""
    n = len(next(iter(scores.values())))
    parts = [cell_rows(*cell, scores.get(i, [1.0] * n)) for i, cell in enumerate(cells)]
    return pd.concat(parts, ignore_index=True).assign(
        **({"model": "a/m", "dataset": "pope"} | named)
    )


def results_of(rows: pd.DataFrame, folder=None) -> Results:
    from paper_figures.results import COLUMNS

    return Results(pd.DataFrame(columns=list(COLUMNS)), grid=rows, folder=folder)


NAN = float("nan")


# --- accuracy against budget ------------------------------------------------------------------


def test_points_are_the_mean_scores_over_draws_and_questions():
    """By hand: MI-Pruner (1 + 0 + 1 + .5)/4 at 64 of 576; Random the mean of two draws."""
    rows = rows_of({1: [1, 0, 1, 0.5], 2: [0, 0, 0, 1], 3: [1, 1, 0, 0], 4: [0, 0, 0, 0]})
    table = grid_budget.data(results_of(rows))
    own = table.set_index(["series", "budget"])
    assert own.loc[("mi_pruner", 64), "estimate"] == pytest.approx(0.625, abs=1e-3)
    assert own.loc[("mi_pruner", 32), "estimate"] == pytest.approx(0.25, abs=1e-3)
    assert own.loc[("random", 64), "estimate"] == pytest.approx(0.25, abs=1e-3)
    assert own.loc[("full", 1), "estimate"] == 1
    assert own.loc[("mi_pruner", 64), "ratio"] == pytest.approx(1 / 9)
    assert set(table.questions) == {4}
    assert set(table.scenes) == {2}  # images
    assert table.label.tolist() == ["All tokens", "MI-Pruner", "MI-Pruner", "Random"]


def test_curves_hold_the_same_questions_and_say_what_is_left_out():
    """q1 failed in one cell and is left out of all; a cell that failed throughout is named."""
    rows = rows_of({1: [1, NAN, 1, 0], 2: [NAN] * 4})
    table = grid_budget.data(results_of(rows))
    assert set(table.questions) == {3}
    assert set(table.left_out) == {1}
    own = table.set_index(["series", "budget"])
    assert ("mi_pruner", 32) not in own.index
    assert own.loc[("mi_pruner", 64), "estimate"] == pytest.approx(2 / 3, abs=1e-3)
    said = grid_budget.caption(table)
    assert "Questions left out, as some cell failed on them: 1." in said
    assert "Without any answer, and without a point: MI-Pruner (pope, m)" in said


def test_rows_without_scores_count_what_is_right():
    """`mitheory ablate` has no column of scores: an answer is right or wrong."""
    rows = rows_of({1: [1, 0, 0, 0]}).drop(columns="score")
    table = grid_budget.data(results_of(rows))
    assert table.set_index(["series", "budget"]).loc[("mi_pruner", 64), "estimate"] == 0.25


def test_variants_of_a_method_are_curves_of_their_own():
    """Two temperatures of one method: two series with labels and looks of their own."""
    cells = [FULL, *(("mi_pruner", 64.0, {"temperature": t}) for t in (0.1, 1.0))]
    table = grid_budget.data(results_of(rows_of({0: [1, 1, 0]}, cells)))
    labels = table.label.tolist()
    assert labels == ["All tokens", "MI-Pruner (τ = 0.1)", "MI-Pruner (τ = 1)"]
    looks = grid_budget.looks_of(sorted(set(table.series) - {"full"}))
    assert len({look.color for look in looks.values()}) == 2


def test_a_method_before_and_inside_the_decoder_is_two_curves():
    """Where a cell prunes is an axis like any other: never averaged over."""
    first, second = (
        rows_of({0: scores}, [("divprune", 64.0, {})]).assign(inside=where, cell=f"c{where}")
        for where, scores in (("", [1.0, 1, 0]), ("3+7", [0.0, 0, 1]))
    )
    table = grid_budget.data(results_of(pd.concat([first, second], ignore_index=True)))
    found = dict(zip(table.label, table.estimate.round(2), strict=True))
    assert found == {"DivPrune (before the decoder)": 0.67, "DivPrune (inside 3+7)": 0.33}


def test_sources_are_panels():
    """A panel for each model and data set, intervals made from its own questions."""
    rows = pd.concat([rows_of({1: [1, 0, 1]}), rows_of({1: [0, 0, 0, 1]}, dataset="gqa")])
    table = grid_budget.data(results_of(rows))
    assert dict(table.groupby("panel").questions.first()) == {"pope, m": 3, "gqa, m": 4}
    figure = grid_budget.draw(table)
    assert [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes] == [
        "pope, m",
        "gqa, m",
    ]


def test_without_a_question_that_all_answered_there_is_no_figure():
    rows = rows_of({1: [NAN, 1], 2: [1, NAN]})
    with pytest.raises(MissingInputError, match="no question was answered in every cell"):
        grid_budget.data(results_of(rows))


# --- differences ------------------------------------------------------------------------------


def compared(rows: pd.DataFrame) -> pd.DataFrame:
    """Comparisons of the cells of `rows` with MI-Pruner, as the runner writes them."""
    first = rows.drop_duplicates("cell")
    own = first[first.method != "mi_pruner"]
    table = own[["cell", "method", "budget", "draw", "model", "dataset"]].copy()
    table["difference"] = np.linspace(-0.1, 0.05, len(table))
    table = table.assign(
        low=table.difference - 0.03, high=table.difference + 0.03, p_holm=0.01, detectable=0.042,
        n=4, smallest=0.02, verdict=["worse", "undecided", "better"][: len(table)],
    )  # fmt: skip
    return table


def written(folder, rows: pd.DataFrame):
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(folder / "results.parquet")
    compared(rows).to_csv(folder / "compared.csv", index=False)
    said = {"run": {"reference": "method=mi_pruner"}, "provenance": {"created": "2026-01-01"}}
    (folder / "run.json").write_text(json.dumps(said))
    return folder


def test_comparisons_stand_under_their_budgets(tmp_path):
    """64 tokens above the line without pruning, Random's draws apart, every point at its height."""
    folder = written(tmp_path, rows_of({1: [1, 0, 1, 0]}))
    table = grid_differences.data(load(folder))
    lines = [text for text, _ in grid_differences.lines_of(table)]
    assert lines == ["64 tokens", "Random, draw 0", "Random, draw 1", "All tokens"]
    figure = grid_differences.draw(table)
    (ax,) = figure.axes
    drawn = {round(float(line.get_xdata()[0]), 1): float(line.get_ydata()[0])
             for line in ax.lines if line.get_marker() in ("v", "o", "^")}  # fmt: skip
    assert drawn == {-10.0: 3.0, -2.5: 1.0, 5.0: 2.0}
    said = grid_differences.caption(table)
    assert "(method=mi_pruner)" in said
    assert "Of 3 comparisons: 1 better, 1 worse, 1 undecided." in said
    assert "± 2 points" in said
    assert "4.2 points in the least certain row" in said


def test_nothing_compared_is_no_figure(tmp_path):
    rows = rows_of({1: [1, 0]})
    with pytest.raises(MissingInputError, match=r"no compared\.csv"):
        grid_differences.data(results_of(rows, tmp_path))


# --- the folder -------------------------------------------------------------------------------


def test_a_folder_of_a_grid_is_drawn_and_so_are_its_tables(tmp_path):
    """Two pictures, the measured table beside the printed one, and a page that has nothing else;
    a second time nothing is drawn."""
    folder = written(tmp_path / "evaluated", rows_of({1: [1, 0, 1, 0]}))
    row = {"table": 10, "model": "LLaVA1.5-7B", "keep": "64", "method": "MI-Pruner",
           "metric": "POPE_average_acc", "value": 81.234, "low": 80.0, "high": 82.5}  # fmt: skip
    pd.DataFrame([row]).to_csv(folder / "tab10.csv", index=False)
    assert set(figures_of(load(folder))) == {*GRID, "tab10"}
    drawn = render_all(folder)
    assert [f.reason for f in drawn] == ["", "", ""]
    page = (folder / "index.html").read_text()
    for name in (*GRID, "tab10"):
        assert f'id="{name}"' in page
        assert (folder / "figures" / f"{name}.png").stat().st_size > 10_000
    assert "81.23" in page
    assert "fruit-fly" not in page
    assert "scenes" not in page.partition("tab10")[0]
    assert {f.state for f in render_all(folder)} == {"fresh"}
    assert command.main(["grid_budget", "--results", str(folder)]) == 0


def test_a_grid_without_its_comparisons_still_has_its_curves(tmp_path):
    folder = written(tmp_path, rows_of({1: [1, 0, 1]}))
    (folder / "compared.csv").unlink()
    reasons = {f.spec.name: f.reason for f in render_all(folder)}
    assert reasons["grid_budget"] == ""
    assert "no compared.csv" in reasons["grid_differences"]


def test_many_sources_make_many_panels():
    """Seven data sets of two models, six curves: as many axes, none over another."""
    cells = [FULL, *((m, b, {}) for m in ("mi_pruner", "similarity", "random", "divprune")
                     for b in (64.0, 32.0))]  # fmt: skip
    rng = np.random.default_rng(0)
    parts = [
        rows_of({i: list(rng.integers(0, 2, 12).astype(float)) for i in range(9)}, cells,
                model=f"x/{model}", dataset=data)
        for model in ("one-7b", "two-13b") for data in ("gqa", "pope", "mme", "mmvet")
    ]  # fmt: skip
    table = grid_budget.data(results_of(pd.concat(parts, ignore_index=True)))
    figure = grid_budget.draw(table)
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 8
