"""Evaluation: a benchmark through a grid, graded as the field does, and the paper's tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import dataset_samples as files
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from seeing import Seeing
from typer.testing import CliRunner

from analysis.ablation import running
from analysis.ablation.job import samples_of
from analysis.ablation.selecting import options_of, sample_seed
from analysis.ablation.statistics import compared
from analysis.cli import app
from analysis.datasets import benchmark
from analysis.datasets.answers import Answered
from analysis.datasets.scoring import score
from analysis.evaluate import (
    TABLES,
    Judging,
    evaluate,
    read_table,
    runs_of,
    single_runs,
)
from analysis.evaluate.plan import Place, Run, cells_of, printed_places
from analysis.evaluate.running import beside
from analysis.evaluate.tables import parsed
from analysis.extraction import Extraction, Worker
from analysis.extraction.items import of_records
from mitheory import select
from mitheory.errors import ParameterError

MODEL = "seeing:Seeing"
SHADES = {0: (200, 60, 60, 60), 1: (150, 150, 150, 150), 2: (60, 60, 60, 60)}


def quarters(path: Path, reds: Sequence[int]) -> None:
    """An image whose quarters have these reds, and greens and blues of their own."""
    image = np.zeros((8, 8, 3), np.uint8)
    for i, red in enumerate(reds):
        top, left = 4 * (i // 2), 4 * (i % 2)
        image[top : top + 4, left : left + 4] = (red, 40 * i, 250 - 60 * i)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.fixture
def pope(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    files.pope(root, images=3)
    for i, reds in SHADES.items():
        quarters(root / "val2014" / f"COCO_val2014_{i:012d}.jpg", reds)
    return root


def run_on(root: Path, methods: Sequence[str] = ("mi_pruner", "random"), **options) -> list[Run]:
    cells = cells_of(methods, "1,2", options.pop("axes", {}))
    return single_runs(cells, [MODEL], ["pope"], root, **options)


# --- one benchmark --------------------------------------------------------------------------


def test_scores_are_those_of_the_answers_called_by_hand(pope, tmp_path):
    """Every metric of every cell, against select, answer and score without the runner."""
    runs = run_on(pope)
    found = evaluate(runs, tmp_path / "out")
    chosen = benchmark("pope")
    records = chosen.records(pope)
    fake = Seeing()
    samples = {s.sample_id: s for item in of_records(records, "closed")
               for s in fake.encode([item.load()])}  # fmt: skip
    for cell in runs[0].cells:
        options = cell.options_for("closed", ("closed",))
        answers = {}
        for name, sample in samples.items():
            if cell.method == "full":
                kept = torch.arange(4)
            else:
                seed = sample_seed(name, 0, cell.draw)
                kept = select(
                    cell.method, visual=sample.visual, text=sample.text, budget=cell.budget,
                    grid=sample.grid, seed=seed, **options,
                ).indices  # fmt: skip
            answers[name] = Answered(fake.answer([sample], [kept])[0].text)
        expected = score(chosen, records, answers).table
        own = found[found.cell == cell.identity]
        assert (own.group + own.metric).tolist() == (expected.group + expected.metric).tolist()
        for column in ("value", "low", "high", "n", "failed"):
            assert own[column].tolist() == pytest.approx(expected[column].tolist(), nan_ok=True)


def test_all_tokens_by_hand(pope, tmp_path):
    """Mean reds are 95, 150 and 60: yes to the second image alone, each asked once yes, once no."""
    found = evaluate(run_on(pope, []), tmp_path / "out")
    average = found[found.group == "average"].set_index("metric").value
    assert average["accuracy"] == pytest.approx(0.5)
    assert average["yes_rate"] == pytest.approx(1 / 3)
    assert average["precision"] == pytest.approx(0.5)
    assert average["recall"] == pytest.approx(1 / 3)


def test_rows_have_scores_and_what_the_answers_were_taken_for(pope, tmp_path):
    """Also where an option is a word in one cell and a number in another."""
    weights = {"relevance_weight": ["paper", 1.0, 0.5]}
    evaluate(run_on(pope, ["mi_pruner"], axes=weights), tmp_path / "out")
    rows = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert len(rows) == 18 * 7
    assert (rows.correct == (rows.score == 1)).all()
    assert set(rows.parsed) == {"yes", "no"}
    assert set(rows.option_relevance_weight.dropna()) == {"paper", "1.0", "0.5"}


@pytest.mark.parametrize(
    ("dataset", "weight"),
    [("gqa", 0.5), ("mmvet", 0.5), ("scienceqa", 1), ("textvqa", 1), ("mme", 1), ("pope", 1)],
)
def test_the_paper_weight_is_by_the_benchmark(tmp_path, dataset, weight):
    """λ = 1/2 on open-ended benchmarks and 1 on closed-form ones (Sec. 4.1)."""
    files.WRITERS[dataset](tmp_path)
    items = Extraction(MODEL, dataset, root=tmp_path).items()
    sample = Seeing().encode([items[0].load()])[0]
    cell = cells_of(["mi_pruner"], "2", {})[1]
    assert options_of(cell, sample)["relevance_weight"] == weight


def test_a_second_run_computes_nothing(pope, tmp_path, monkeypatch):
    first = evaluate(run_on(pope), tmp_path / "out")
    monkeypatch.setattr(running, "kept_sets", None)
    monkeypatch.setattr("analysis.ablation.answering._answered", None)
    monkeypatch.setattr(Seeing, "encode", None)
    again = evaluate(run_on(pope), tmp_path / "out")
    pd.testing.assert_frame_equal(first, again)


def test_large_bundles_stay_on_disk_and_change_nothing(pope, tmp_path, monkeypatch):
    held = evaluate(run_on(pope), tmp_path / "held")
    monkeypatch.setattr("analysis.ablation.job.IN_MEMORY", 0)
    monkeypatch.setattr("analysis.ablation.job.AT_A_TIME", 5)
    samples_of.cache_clear()
    read = evaluate(run_on(pope), tmp_path / "read")
    samples_of.cache_clear()
    pd.testing.assert_frame_equal(held, read)


def test_what_was_not_encoded_has_failed_in_every_cell(pope, tmp_path):
    """Six questions are about the broken image: left out of the metrics and counted."""
    (pope / "val2014" / f"COCO_val2014_{1:012d}.jpg").write_bytes(b"no image")
    found = evaluate(run_on(pope), tmp_path / "out")
    average = found[(found.group == "average") & (found.metric == "accuracy")]
    assert average.failed.tolist() == [6] * 5
    assert average.n.tolist() == [12] * 5


def test_workers_of_a_launcher_end_with_the_same_tables(pope, tmp_path, monkeypatch):
    """Each answers its share, in whatever order they are started; the last to finish writes."""
    alone = evaluate(run_on(pope), tmp_path / "alone")
    found, turns = None, []
    for rank in (1, 0, 1, 0):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        found = evaluate(run_on(pope), tmp_path / "out")
        turns.append(found is None)
        if found is not None:
            break
    assert turns == [True, True, False]
    pd.testing.assert_frame_equal(found, alone)


def test_the_share_of_a_question_does_not_depend_on_when_it_is_asked():
    """Workers that start late see fewer open questions; a share by place would lose some."""
    questions = [(f"q{i}", "kept", "raster", "x", (i,)) for i in range(200)]
    shares = [[q for q in questions if running._belongs(q, Worker(r, 3))] for r in range(3)]
    assert sorted(q for share in shares for q in share) == sorted(questions)
    later = questions[50:]
    for rank, share in enumerate(shares):
        again = [q for q in later if running._belongs(q, Worker(rank, 3))]
        assert again == [q for q in share if q in later]


# --- judges and soft scores -----------------------------------------------------------------


class Says:
    """A judge that gives every answer one score."""

    name = "says"

    def __init__(self, reply: str) -> None:
        self.reply, self.asked = reply, 0

    def __call__(self, messages, *, temperature=None, max_tokens=None) -> str:
        self.asked += 1
        return self.reply


def test_a_judge_is_needed_before_the_work(tmp_path):
    files.mmvet(tmp_path / "data")
    runs = single_runs(cells_of([], "2", {}), [MODEL], ["mmvet"], tmp_path / "data")
    with pytest.raises(ParameterError, match="mmvet: needs a judge"):
        evaluate(runs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_soft_scores_are_compared_as_they_are():
    """By hand: three differences of -0.2, 0 and -0.2; McNemar is not for shares of an answer."""
    rows = pd.DataFrame(
        {
            "cell": ["a"] * 3 + ["b"] * 3, "sample_id": ["1", "2", "3"] * 2, "error": None,
            "image_id": ["x", "y", "z"] * 2, "score": [0.3, 1, 0.6, 0.1, 1, 0.4],
            "correct": [False, True, False] * 2,
        }
    )  # fmt: skip
    (row,) = compared(rows, "a").to_dict("records")
    assert row["difference"] == pytest.approx((-0.2 + 0 - 0.2) / 3)
    assert np.isnan(row["p_mcnemar"])


# --- the paper's tables ---------------------------------------------------------------------


@pytest.mark.parametrize("number", TABLES)
def test_every_printed_number_is_a_cell(number):
    """Rows times columns of the runs are the printed cells, and no more."""
    table = read_table(number)
    covered: dict[Place, set[str]] = {}
    for run in runs_of(table, Path("data")):
        assert set(run.places) == {cell.identity for cell in run.cells}
        for place in set(run.places.values()):
            covered.setdefault(place, set()).update(run.wanted)
    assert covered == printed_places(number)


@pytest.mark.parametrize("number", TABLES)
def test_budgets_are_the_printed_ones(number):
    """ "64" is 64 tokens and "50%" one half."""
    for model in read_table(number).models.values():
        for text, budget in model.keep.items():
            assert budget == (float(text[:-1]) / 100 if text.endswith("%") else int(text))


def test_wanted_metrics_exist():
    """Each printed column is a row that scoring makes, of the convention that the table asks by."""
    assert {w.dataset for n in TABLES for w in read_table(n).metrics.values()} == {
        "gqa", "scienceqa", "textvqa_ocr", "mmvet", "mme", "pope", "tgif", "msvd", "msrvtt",
    }  # fmt: skip
    conventions = {
        (run.source.dataset, run.source.convention)
        for n in TABLES
        for run in runs_of(read_table(n), Path("data"))
    }
    assert ("mme", "official") in conventions
    assert ("mme", "lmms-eval") in conventions
    for dataset, convention in conventions:
        assert convention in benchmark(dataset).conventions


def test_a_table_from_files_to_numbers(pope, tmp_path):
    """Tab. 10 on three images: its file has a row for every printed number of the rows asked for,
    and Random is the mean of its three draws."""
    table = read_table(10)
    small = parsed(
        {
            "table": 10, "convention": "llava",
            "models": {"LLaVA1.5-7B": {"model": MODEL}}, "keep": {"64": 2},
            "metrics": {k: vars(w) for k, w in table.metrics.items()},
            "methods": {k: dict(v) for k, v in table.methods.items() if k != "MI-Attention"},
        },
        "small",
    )  # fmt: skip
    runs = runs_of(small, pope)
    scores = evaluate(runs, tmp_path / "out", table=10)
    found = pd.read_csv(tmp_path / "out" / "tab10.csv")
    assert len(found) == 12 * 4
    assert set(zip(found.keep, found.method, strict=True)) == {
        ("full", "Full"), ("64", "Random"), ("64", "Similarity"), ("64", "MI-Pruner"),
    }  # fmt: skip
    own = found.set_index(["method", "metric"])
    assert own.loc[("Full", "POPE_average_acc"), "value"] == pytest.approx(50)
    assert own.loc[("Full", "POPE_average_yes"), "value"] == pytest.approx(1 / 3)
    draws = scores[(scores.method == "random") & (scores.group == "average")]
    draws = draws[draws.metric == "accuracy"]
    assert len(draws) == 3
    random = own.loc[("Random", "POPE_average_acc")]
    assert random.value == pytest.approx(100 * draws.value.mean())
    assert (random.draws, np.isnan(random.low)) == (3, True)
    assert own.loc[("Full", "POPE_average_acc"), ["low", "high"]].notna().all()


def test_failed_cells_leave_no_number(pope):
    """A method whose input the model lacks has rows that say so, and no row beside the paper."""
    run = run_on(pope)[0]
    empty = pd.DataFrame(columns=["model", "dataset", "cell", "metric", "group"])
    assert beside(10, [run], empty).empty


BAD_TABLES: list[tuple[Mapping[str, object], str]] = [
    ({"colour": 1}, "colour"),
    ({"metrics": {"A": {"dataset": "popes", "metric": "accuracy"}}}, "did you mean 'pope'"),
    ({"models": {"m": {"model": "x", "keep": {}}}}, "has no budgets"),
    ({"models": {"m": {"model": "x", "metrics": ["B"]}}}, r"metrics \['B'\]"),
    ({"models": {"m": {"modl": "x"}}}, "modl"),
]


@pytest.mark.parametrize(("change", "message"), BAD_TABLES)
def test_bad_configurations_are_told(change, message):
    good = {
        "table": 1, "models": {"m": {"model": "x"}}, "keep": {"64": 64},
        "metrics": {"A": {"dataset": "pope", "metric": "accuracy"}}, "methods": {},
    }  # fmt: skip
    parsed(good, "good")
    with pytest.raises(ParameterError, match=message):
        parsed({**good, **change}, "bad.yaml")


# --- the command ----------------------------------------------------------------------------


def test_the_command_from_files_to_tables(pope, tmp_path):
    out = tmp_path / "out"
    arguments = ["evaluate", "--model", MODEL, "--dataset", "pope", "--root", str(pope)]
    arguments += ["--method", "mi_pruner, similarity", "--budget", "1,0.5", "--out", str(out)]
    done = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    scores = pd.read_csv(out / "scores.csv")
    assert len(scores) == 5 * 20  # cells times rates of the average and of three strategies
    compared_ = pd.read_csv(out / "compared.csv")
    assert set(compared_.method) == {"similarity"}  # MI-Pruner is what it is compared with
    assert {"summary.csv", "results.parquet"} <= {p.name for p in out.iterdir()}


def test_a_dry_run_lists_cells_and_files_and_writes_nothing(pope, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["evaluate", "--table", "1", "--root", "data", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "ready: 18 questions about 3 images" in done.output
    assert "data/pid_splits.json" in done.output  # ScienceQA is not there
    assert done.output.count("mi_pruner, keep 64") == 6  # once for each benchmark
    inside = "sparsevlm, keep 32, before layers 3, 7, 16 of the decoder"
    assert done.output.count(inside) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "3"], "one of"),
        (["--table", "1", "--dataset", "pope"], "fixes datasets"),
        (["--table", "1", "--rows", "GPT", "--root", "x"], "LLaVA1.5-7B"),
        (["--model", "fruitfly"], "--model and --dataset"),
        (["--model", "fruitfly", "--dataset", "fruitfly", "--root", "x"], "mitheory ablate"),
        (["--model", MODEL, "--dataset", "pope"], "expected a folder"),
    ],
)
def test_what_cannot_be_run_is_refused(arguments, message, tmp_path):
    done = CliRunner().invoke(app, ["evaluate", *arguments, "--out", str(tmp_path / "out")])
    assert done.exit_code != 0
    assert message in f"{done.exception} {done.output}"


def test_judgements_are_asked_once(tmp_path):
    """Three questions, and cells whose answers are alike: a reply is never paid for twice."""
    files.mmvet(tmp_path / "data")
    runs = single_runs(cells_of(["random"], "1,2,3", {}), [MODEL], ["mmvet"], tmp_path / "data")
    judge = Says("0.5")
    found = evaluate(runs, tmp_path / "out", judging=Judging(judge))
    assert found[(found.group == "all")].value.tolist() == [0.5] * 8
    asked = judge.asked
    assert asked <= 6
    evaluate(runs, tmp_path / "out", judging=Judging(judge))
    assert judge.asked == asked
    lines = (tmp_path / "out" / runs[0].source.name / "judgements.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == asked
