"""The main job: settings, cells, resumption, and the command as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from analysis import evaluation, reproduction
from analysis.claims import CLAIMS
from analysis.cli import app
from analysis.evaluation import cell, kept_sets, staged_answers
from analysis.extraction import chunks, extract
from analysis.reproduction import Run, reproduce
from analysis.settings import PAPER, PAPER_CLOSED, Setting, all_methods, methods, paper_settings
from mitheory import provenance
from mitheory.bundle import Bundle, Sample
from mitheory.errors import BundleError, ParameterError
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.selection import SELECTORS
from mitheory.selection.autoprune import attention_information
from mitheory.selection.retention_curve import retention_curve

UNEVEN = ("autoprune",)  # how many tokens are left depends on the sample
FEW = [
    Setting("method", "mi_pruner", PAPER, PAPER_CLOSED),
    Setting("method", "random"),
    Setting("relevance_weight", "mi_pruner", {"relevance_weight": 1.0}),
]


@pytest.fixture(scope="module")
def fly() -> FruitFlyAdapter:
    return FruitFlyAdapter()


@pytest.fixture(scope="module")
def samples(fly: FruitFlyAdapter) -> list[Sample]:
    return fly.encode(list(examples("test", limit=24)))


def test_settings_are_distinct_and_known() -> None:
    """Within a family no two curves share a name; every method exists; options survive JSON."""
    settings = paper_settings()
    names = [(s.family, s.name) for s in settings]
    assert len(names) == len(set(names))
    for setting in settings:
        assert setting.method in SELECTORS
        assert json.loads(json.dumps(setting.options)) == setting.options
    assert {s.family for s in paper_settings(quick=True)} == {s.family for s in settings}
    assert len(paper_settings(quick=True)) < len(settings)


def test_same_selection_is_computed_once() -> None:
    """The paper's default written out, in any family, is the same cell as without its options."""
    default = Setting("method", "mi_pruner", PAPER, PAPER_CLOSED)
    spelled = Setting("aggregation", "mi_pruner", PAPER | {"aggregation": "max"}, PAPER_CLOSED)
    other = Setting("aggregation", "mi_pruner", PAPER | {"aggregation": "kl"}, PAPER_CLOSED)
    assert default.selection_id == spelled.selection_id != other.selection_id


def test_the_papers_weight_depends_on_the_kind_of_question() -> None:
    """λ = 0.5 on open-ended, 1 on closed-form questions (Sec. 4.1)."""
    default = methods()[0]
    assert default.options_for("relation") == {"relevance_weight": 0.5}
    assert default.options_for("existence") == {"relevance_weight": 1.0}


BEFORE = [s for s in paper_settings(quick=True) if not s.layers]
INSIDE = [s for s in paper_settings(quick=True) if s.layers]


@pytest.mark.parametrize("setting", BEFORE, ids=lambda s: f"{s.family}-{s.name}")
def test_kept_sets_do_not_depend_on_batch_neighbors(
    setting: Setting, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same kept sets one sample at a time as in one batch, of exactly the budget."""
    together, _ = kept_sets(setting, samples[:6], 9, seed=0)
    monkeypatch.setattr(evaluation, "BATCH", 1)
    alone, _ = kept_sets(setting, samples[:6], 9, seed=0)
    for a, b in zip(together, alone, strict=True):
        assert a.tolist() == b.tolist()
        assert len(set(a.tolist())) == 9


@pytest.mark.parametrize("setting", INSIDE, ids=lambda s: f"{s.family}-{s.name}")
def test_cells_inside_the_decoder_say_what_was_kept(
    setting: Setting, fly: FruitFlyAdapter, samples: list[Sample]
) -> None:
    """Nothing is dropped before the first of its blocks; the budget is left at the end, and the
    layer average is by hand; one sample alone gives the same."""
    table = cell(setting, fly, samples[:4], 9, seed=0)
    alone = pd.concat([cell(setting, fly, [s], 9, seed=0) for s in samples[:4]])
    assert table.kept.tolist() == alone.kept.tolist()
    assert table.prediction.tolist() == alone.prediction.tolist()
    if setting.method in UNEVEN:
        assert (table.layer_average <= 144).all()
        return
    assert [len(set(k)) for k in table.kept] == [9] * 4
    assert table.tokens_after.tolist() == [9] * 4
    if len(setting.layers) == 1:
        (layer,) = setting.layers
        assert table.layer_average.tolist() == [(layer * 144 + (4 - layer) * 9) / 4] * 4
    assert table.seconds.isna().all()


def test_autoprune_follows_the_curve_of_each_sample(
    fly: FruitFlyAdapter, samples: list[Sample]
) -> None:
    """Tokens by block are the sample's own curve, from its attention in block 0 alone."""
    (setting,) = (s for s in all_methods() if s.method == "autoprune")
    found = staged_answers(setting, fly, samples, 16, seed=0)
    for inside, answer in zip(fly.internals(samples, 1), found, strict=True):
        bits = float(attention_information(inside["text_attention"][None]))
        curve = retention_curve(bits, 16, 144, n_layers=4)
        assert answer.tokens_per_layer == (144, *curve[:3])
        assert curve[0] == 40  # 2.5 times 16


def test_every_method_is_in_the_table_of_all() -> None:
    """A method of the front door that the table lacks would be left out in silence."""
    assert {s.method for s in all_methods()} == set(SELECTORS)
    names = [s.name for s in all_methods()]
    assert len(names) == len(set(names))


def test_the_table_of_all_shares_cells(small_run: Path) -> None:
    """A setting of two families is computed once, at the larger number of questions; the smaller
    family reads the first of them, and a larger limit is another cell."""
    few = [FEW[1], replace(FEW[1], family="all_methods", limit=10)]
    assert reproduction._largest(few) == reproduction._largest(few[::-1]) == [FEW[1]]
    cells = reproduction.run_cells(
        Run(limit=24, budgets=(12,)), few, small_run, jobs=1, device="cpu"
    )
    table = reproduction.collect(few, cells)
    counts = table.groupby("family").size()
    assert (counts["method"], counts["all_methods"]) == (48, 10)
    whole = table[(table.family == "method") & (table.method == "random")]
    part = table[table.family == "all_methods"]
    assert part.sample_id.tolist() == whole.sample_id.tolist()[:10]
    assert part.prediction.tolist() == whole.prediction.tolist()[:10]
    ids = {reproduction._cell_id(Run(), "x", 8, limit, "f") for limit in (0, 10, 20)}
    assert len(ids) == 3


def test_seed_and_draw_are_honored(samples: list[Sample]) -> None:
    """Random: same seed, same sets; another seed or draw, others."""
    first, again, seeded = (
        kept_sets(Setting("m", "random"), samples, 9, seed=s)[0] for s in (0, 0, 1)
    )
    drawn, _ = kept_sets(Setting("m", "random", draw=1), samples, 9, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, seeded, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, drawn, strict=True))


def test_cell_says_what_the_model_said(fly: FruitFlyAdapter, samples: list[Sample]) -> None:
    """Rows hold the adapter's answers to the kept sets, sample by sample."""
    table = cell(Setting("method", "similarity"), fly, samples, 12, seed=0)
    keep = [torch.tensor(k) for k in table.kept]
    for row, answer in zip(table.itertuples(), fly.answer(samples, keep), strict=True):
        assert row.prediction == answer.text
        assert row.correct == (answer.text == row.answer)
        assert row.log_prob == pytest.approx(answer.log_prob_truth, abs=1e-5)


def test_chunks_never_split_an_image() -> None:
    """Questions about one image stay together, so that it is encoded once."""
    stream = list(examples("test", limit=50))
    parts = list(chunks(stream, 10))
    assert [e.sample_id for part in parts for e in part] == [e.sample_id for e in stream]
    images = [{e.image_id for e in part} for part in parts]
    assert len(parts) > 2
    assert all(not a & b for a, b in pairwise(images))


def test_extract_reuses_and_refuses(tmp_path: Path, fly: FruitFlyAdapter) -> None:
    """The same job is not done twice; another job's bundle is replaced only when told so."""
    job = provenance.collect("x", seed=0, model="fruitfly", dtype="float32")
    out = tmp_path / "bundle"

    def run(limit: int, **options: bool) -> Bundle:
        return extract(fly, examples("test", limit=limit), out, job, limit=limit, **options)

    first = run(16)
    written = (out / "index.json").stat().st_mtime_ns
    assert len(run(16)) == len(first) == 16
    assert (out / "index.json").stat().st_mtime_ns == written
    with pytest.raises(BundleError):
        run(20)
    retrained = replace(job, revision="other weights under the same name")
    with pytest.raises(BundleError):
        extract(fly, examples("test", limit=16), out, retrained, limit=16)
    assert len(run(20, overwrite=True)) == 20
    sample, fresh = Bundle.open(out)[3], fly.encode(list(examples("test", limit=4)))[3]
    assert sample.question == fresh.question
    torch.testing.assert_close(sample.visual, fresh.visual, atol=1e-2, rtol=1e-2)  # float16


def test_a_bundle_may_hold_what_the_decoder_does(tmp_path: Path, fly: FruitFlyAdapter) -> None:
    """`extract --internals` stores what `internals` gives; such a bundle is not taken for another
    job's, and methods that read the decoder can be tried on its samples by name."""
    job = provenance.collect("x", seed=0, model="fruitfly", dtype="float32")
    out = tmp_path / "bundle"

    def run(internals: int, **options: bool) -> Bundle:
        stream = examples("test", limit=5)
        return extract(
            fly, stream, out, job, limit=5, dtype="float32", internals=internals, **options
        )

    samples = list(run(2))
    plain = fly.encode(list(examples("test", limit=5)))
    for sample, inside in zip(samples, fly.internals(plain, 2, final_norm=True), strict=True):
        for name, tensor in inside.items():
            torch.testing.assert_close(getattr(sample, name), tensor, atol=1e-5, rtol=1e-5)
    kept, _ = kept_sets(Setting("m", "attention"), samples, 9, seed=0)
    assert [len(k) for k in kept] == [9] * 5
    with pytest.raises(BundleError):
        run(0)
    assert run(0, overwrite=True)[0].text_attention is None
    with pytest.raises(ParameterError, match="layer"):
        run(9, overwrite=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_bundle_agrees_with_cpu(samples: list[Sample]) -> None:
    """V and attention of a GPU agree with the CPU's to 1e-3 of their largest entry."""
    there = FruitFlyAdapter(device="cuda").encode(list(examples("test", limit=24)))
    for a, b in zip(samples, there, strict=True):
        for name in ("visual", "encoder_features", "cls_attention", "patch_attention"):
            x, y = getattr(a, name), getattr(b, name)
            assert (x - y).abs().max() <= 1e-3 * x.abs().max(), name


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A main job of three settings on 24 questions."""
    out = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reproduction, "paper_settings", lambda quick: FEW)
        reproduce(Run(limit=24, budgets=(12, 4)), out, jobs=1)
    return out


def test_results_are_tidy(small_run: Path) -> None:
    """One row per setting, budget and sample, and the full-token rows once."""
    table = pd.read_parquet(small_run / "results.parquet")
    assert not table.duplicated(["family", "setting", "budget", "sample_id"]).any()
    counts = table.groupby(["family", "method", "budget"]).size()
    assert (counts == 24).all()
    assert len(counts) == 2 * len(FEW) + 1
    assert set(table[table.method == "full"].budget) == {144}
    paper = table[(table.method == "mi_pruner") & (table.family == "method")]
    closed = paper.question_type.isin(["existence", "multiple_choice"])
    assert (paper.relevance_weight[closed] == 1.0).all()
    assert (paper.relevance_weight[~closed] == 0.5).all()
    assert table.log_prob.le(0).all()


def test_drawn_samples_are_the_first_of_their_kind(small_run: Path) -> None:
    """Nobody picks the pictures: first question of each kind, another scene each, all methods."""
    kept = pd.read_parquet(small_run / "kept.parquet")
    drawn = kept.drop_duplicates("sample_id")
    assert drawn.question_type.is_unique
    assert drawn.image_id.is_unique
    assert (kept.groupby("sample_id").method.nunique() == 2).all()
    assert set(kept.budget) == {12, 4}
    assert drawn.iloc[0].sample_id == "test-0-00000-color"


def test_interrupted_run_repeats_nothing_and_ends_the_same(
    small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost cell is computed again, the others are not, and the table is the same; two workers
    give what one gives."""
    monkeypatch.setattr(reproduction, "paper_settings", lambda quick: FEW)
    before = pd.read_parquet(small_run / "results.parquet")
    paths = sorted((small_run / "cells").iterdir())
    stamps = {path: path.stat().st_mtime_ns for path in paths[1:]}
    paths[0].unlink()
    reproduce(Run(limit=24, budgets=(12, 4)), small_run, jobs=2)
    assert {path: path.stat().st_mtime_ns for path in paths[1:]} == stamps
    assert paths[0].exists()
    after = pd.read_parquet(small_run / "results.parquet")
    pd.testing.assert_frame_equal(before.drop(columns="seconds"), after.drop(columns="seconds"))


def test_help_teaches() -> None:
    """Every command has an example in its help."""
    runner = CliRunner()
    for command in app.registered_commands:
        name = command.name or command.callback.__name__  # type: ignore[union-attr]
        result = runner.invoke(app, [name, "--help"])
        assert result.exit_code == 0
        assert "Example" in result.output, name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["extract", "--out", "x", "--split", "tset"], "'tset'"),
        (["extract", "--out", "x", "--dataset", "fruitfyl"], "did you mean 'fruitfly'"),
        (["extract", "--out", "x", "--model", "llava"], "fruitfly-contrastive"),
        (["inspect", "no-such-bundle"], "no-such-bundle"),
    ],
)
def test_known_errors_are_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    """Exit status 2 and what was expected, never a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "analysis.cli", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_extract_and_inspect_commands(tmp_path: Path) -> None:
    """`mitheory extract` writes what `mitheory inspect` reads."""
    runner = CliRunner()
    out = str(tmp_path / "fly")
    done = runner.invoke(app, ["extract", "--limit", "9", "--out", out, "--no-attention"])
    assert done.exit_code == 0, done.output
    bundle = Bundle.open(out)
    assert len(bundle) == 9
    assert bundle[0].patch_attention is None
    assert bundle.provenance.model == "fruitfly"
    assert runner.invoke(app, ["inspect", out]).exit_code == 0


def test_reproduce_quick(tmp_path: Path) -> None:
    """The main job as CI runs it: tables, every figure in three formats, and the page."""
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "analysis.cli", "reproduce", "--quick", "--out", str(out)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for suffix in ("png", "pdf", "csv"):
        assert len(list((out / "figures").glob(f"*.{suffix}"))) >= 7, suffix
    page = (out / "index.html").read_text()
    assert "MI-Pruner" in page
    verdicts = json.loads((out / "audit" / "verdicts.json").read_text())["verdicts"]
    assert [v["claim"] for v in verdicts] == list(CLAIMS)
    assert {v["claim"]: v["error"] for v in verdicts if v["error"]} == {}
    report = (out / "audit" / "index.html").read_text()
    for name in CLAIMS:  # every line of the page leads to its section of the report
        assert f'href="audit/index.html#claim-{name}"' in page
        assert f'id="claim-{name}"' in report
    table = pd.read_parquet(out / "results.parquet")
    accuracy = table.groupby("method").correct.mean()
    assert accuracy["full"] > 0.8
    assert accuracy["full"] > accuracy["mi_pruner"] > accuracy["random"]
