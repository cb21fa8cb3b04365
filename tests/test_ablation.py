"""The grid: identities, scopes, searches, one answer per kept set, failures, being killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from typer.testing import CliRunner

from analysis.ablation import (
    Configuration,
    Source,
    ablate,
    expand,
    job_of,
    load_grid,
    prepared,
    read_results,
)
from analysis.ablation.answering import unanswered
from analysis.ablation.configuration import FULL
from analysis.ablation.grids import GRIDS, PAPER_RATIOS, parse_axes
from analysis.ablation.scopes import INSTRUCTION, SCOPES, text_of
from analysis.ablation.searching import SEARCHERS, searched
from analysis.ablation.selecting import kept_sets, sample_seed, set_hash
from analysis.ablation.statistics import compared, detectable, judged, summary
from analysis.cli import app
from analysis.datasets import DATASETS
from analysis.extraction import extract
from mitheory import select
from mitheory.bundle import Bundle
from mitheory.checks import check_budget
from mitheory.errors import ParameterError, UnknownNameError
from mitheory.models.base import Stage
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.models.fruitfly.questions import CLOSED_TYPES
from mitheory.models.resolving import load_adapter, register_adapter
from mitheory.provenance import collect
from mitheory.selection import SELECTORS
from mitheory.statistics import cluster_bootstrap

GRID = [
    Configuration(FULL),
    Configuration("mi_pruner", 16, {"relevance_weight": "paper"}),
    Configuration("mi_pruner", 16, {"relevance_weight": "paper"}, positions="compacted"),
    Configuration("mi_pruner", 16, {"relevance_weight": "paper"}, order="pick"),
    Configuration("random", 1 / 18, draw=1),
    Configuration("similarity", 16),
    Configuration("mi_pruner", 16, {"relevance_weight": 0.5}, search="lazy"),
    Configuration("mi_pruner", 16, {"relevance_weight": 0.5}, scope="content"),
]


@pytest.fixture(scope="module")
def fly() -> FruitFlyAdapter:
    return FruitFlyAdapter()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, fly: FruitFlyAdapter) -> Path:
    path = tmp_path_factory.mktemp("ablation") / "bundle"
    origin = collect("test", seed=0, model="fruitfly", dtype=torch.float32)
    extract(fly, examples("test", limit=24), path, origin, limit=24, dtype="float32")
    return path


# --- configurations ---------------------------------------------------------------------------


def test_equal_meanings_have_one_identity_and_different_ones_another() -> None:
    """Written-out defaults and the order of options change nothing; every field does."""
    one = Configuration("mi_pruner", 0.25, {"temperature": 0.2, "aggregation": "kl"})
    same = Configuration(
        "mi_pruner", 0.25, {"aggregation": "kl", "temperature": 0.2, "conditional": "softmax"}
    )
    assert one.identity == same.identity
    others = [
        Configuration("mi_attention", 0.25, one.options),
        Configuration("mi_pruner", 0.5, one.options),
        Configuration("mi_pruner", 0.25, {**one.options, "temperature": 0.1}),
        Configuration("mi_pruner", 0.25, one.options, scope="content"),
        Configuration("mi_pruner", 0.25, one.options, mode="faithful"),
        Configuration("mi_pruner", 0.25, one.options, search="lazy"),
        Configuration("mi_pruner", 0.25, one.options, draw=1),
        Configuration("mi_pruner", 0.25, one.options, positions="compacted"),
        Configuration("mi_pruner", 0.25, one.options, order="pick"),
    ]
    assert len({c.identity for c in [one, *others]}) == 10
    shown = others[-2:]
    assert {c.selection_identity for c in [one, *shown]} == {one.selection_identity}
    assert len({c.selection_identity for c in [one, *others]}) == 8
    places = [Configuration("fastv", 16, inside=inside) for inside in ("", "published", "2", "1+2")]
    assert len({c.identity for c in places}) == len({c.selection_identity for c in places}) == 4
    assert Configuration.from_dict({"method": "fastv", "budget": 16, "inside": 2}) == places[2]
    assert [c.layers for c in places] == [(), (), (2,), (1, 2)]


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"method": "mi_prune"}, UnknownNameError, "did you mean 'mi_pruner'"),
        ({"method": "random", "temperature": 1}, ParameterError, "no .'temperature'"),
        ({"method": "random", "search": "lazy"}, ParameterError, "score of mi_pruner"),
        ({"method": "full", "temperature": 1}, ParameterError, "no options"),
        ({"method": "random", "scope": "words"}, UnknownNameError, "scope"),
        ({"method": "random", "order": "sorted"}, UnknownNameError, "order"),
        ({"budget": 3}, ParameterError, "method: expected one"),
        ({"method": "full", "budget": 0.5}, ParameterError, "keeps everything"),
        ({"method": "random", "budget": "64 of 576"}, ParameterError, "such as 64/576"),
        ({"method": "random", "budget": "1/0"}, ParameterError, "such as 64/576"),
        ({"method": "random", "draw": -1}, ParameterError, "draw: expected 0 or more"),
        ({"method": "full", "inside": 2}, ParameterError, "inside: expected none for full"),
        ({"method": "random", "inside": "published"}, ParameterError, "'dart', 'fastv'"),
        ({"method": "random", "inside": "2+1"}, ParameterError, "ascending numbers"),
        ({"method": "random", "inside": 2, "order": "pick"}, ParameterError, "order: expected"),
        ({"method": "random", "inside": 2, "scope": "content"}, ParameterError, "scope: expected"),
        (
            {"method": "random", "inside": 2, "positions": "compacted"},
            ParameterError,
            "positions: expected 'kept' inside the decoder",
        ),
    ],
)
def test_bad_cells_are_refused(fields: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Configuration.from_dict(fields)


@pytest.mark.parametrize("name", GRIDS)
def test_the_named_grids_hold_every_cell_once(name: str) -> None:
    cells = load_grid(name)
    assert len({c.identity for c in cells}) == len(cells) > 30
    assert set(GRIDS) == {"paper", "full"}
    assert {c.identity for c in load_grid("paper")} <= {c.identity for c in load_grid("full")}


def test_a_grid_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "- {method: mi_pruner, budget: [8, 0.25], temperature: [0.1, 0.2]}\n- {method: full}\n"
    )
    cells = load_grid(str(file))
    assert [(c.method, c.budget) for c in cells] == [("mi_pruner", 8)] * 2 + [
        ("mi_pruner", 0.25)
    ] * 2 + [("full", 1.0)]
    file.write_text("- {method: mi_pruner, temprature: 0.1}\n")
    with pytest.raises(ParameterError, match=r"grid.yaml: entry 1: .*temprature"):
        load_grid(str(file))
    file.write_text("just words")
    with pytest.raises(ParameterError, match="list of mappings"):
        load_grid(str(file))
    with pytest.raises(ParameterError, match="not there"):
        load_grid(str(tmp_path / "none.yaml"))
    with pytest.raises(UnknownNameError, match="grid"):
        load_grid("papers")


def test_the_papers_budgets_are_ratios_and_fractions_say_the_same() -> None:
    """128, 64 and 32 of 576 are 32, 16 and 8 of the 144 tokens here."""
    cells = load_grid("", {"method": "random", "budget": ["128/576", "64/576", "32/576"]})
    assert [check_budget(c.budget, 144) for c in cells] == [32, 16, 8]
    assert [c.budget for c in cells] == PAPER_RATIOS
    assert {c.budget for c in load_grid("full")} >= set(PAPER_RATIOS)


def test_axes_of_the_command_line_replace_those_of_every_entry(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "- {method: full}\n- {method: mi_pruner, budget: 8}\n- {method: random, draw: [0, 1]}\n"
    )
    cells = load_grid(str(file), parse_axes(["budget=16,1/18"]))
    assert [(c.method, c.budget, c.draw) for c in cells] == [
        (FULL, 1.0, 0), ("mi_pruner", 16, 0), ("mi_pruner", 1 / 18, 0),
        ("random", 16, 0), ("random", 1 / 18, 0), ("random", 16, 1), ("random", 1 / 18, 1),
    ]  # fmt: skip
    with pytest.raises(ParameterError, match=r"grid.yaml: entry 3: .*temperature"):
        load_grid(str(file), parse_axes(["temperature=0.2"]))
    with pytest.raises(ParameterError, match=r"entry 1: .*did you mean 'divprune'"):
        load_grid("", parse_axes(["method=divprun"]))


@pytest.mark.parametrize("text", ["budget", "=3", "budget=", "method=random"])
def test_axes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="axis=value,value, each axis once"):
        parse_axes(["method=full", text])


AXES = {
    "method": "mi_pruner", "budget": "64/576", "relevance_weight": 0.5, "temperature": 0.2,
    "aggregation": "renyi:2", "conditional": "sinkhorn", "prior": "stationary",
    "self_loop": False, "empty_redundancy": -5.0, "scope": "question", "positions": "compacted",
    "order": "pick", "search": "lazy", "draw": 1, "mode": "exact",
}  # fmt: skip


def test_every_axis_combines_with_every_other(bundle: Path, fly: FruitFlyAdapter) -> None:
    """A cell at no default anywhere selects, from text on the command line as from Python."""
    texts = [f"{name}={str(value).lower()}" for name, value in AXES.items()]
    (cell,) = load_grid("", parse_axes(texts))
    assert cell.identity == Configuration.from_dict(AXES).identity
    table = kept_sets(cell, list(Bundle.open(bundle))[:4], fly, seed=0)
    assert table.error.isna().all(), table.error.tolist()
    assert table.kept.map(lambda kept: len(set(kept))).tolist() == [16] * 4


@pytest.mark.parametrize("search", SEARCHERS)
@pytest.mark.parametrize(
    "options",
    [
        {"prior": "stationary"},
        {"prior": "center_biased"},
        {"conditional": "joint"},
        {"conditional": "minmax", "self_marginal": "total_probability"},
        {"aggregation": "joint", "self_loop": False},
        {"self_temperature": 0.3},
    ],
    ids=str,
)
def test_every_search_takes_every_option(bundle: Path, search: str, options: dict) -> None:
    """In eager order the general search keeps what the method keeps; the others run."""
    sample = Bundle.open(bundle)[0]
    v, t = sample.visual.double(), sample.text.double()
    own = SELECTORS["mi_pruner"].defaults | {"relevance_weight": 0.5} | options
    found = searched(search, v, t, own, 12, 0, sample.grid).indices
    assert len(found.unique()) == 12
    if search in ("eager", "lazy"):
        given = {"budget": 12, "grid": sample.grid, "relevance_weight": 0.5, **options}
        expected = select("mi_pruner", visual=v, text=t, **given)
        assert found.tolist() == expected.indices.tolist()


def test_datasets_of_one_form_hold_that_form_of_more_scenes() -> None:
    closed = list(DATASETS["fruitfly-closed"]("validation", limit=12, seed=3))
    everything = list(examples("validation", limit=96, seed=3))
    assert [e.sample_id for e in closed] == [
        e.sample_id for e in everything if e.question_type in CLOSED_TYPES
    ][:12]
    with pytest.raises(ParameterError, match="limit"):
        DATASETS["fruitfly-open"]("test", limit=0)


# --- models -----------------------------------------------------------------------------------


class Blind(FruitFlyAdapter):
    """An adapter of somebody else's: it answers, but sees the first kept token only."""

    revision = "blind"

    def __init__(self, *, device: str = "cpu") -> None:
        super().__init__(device=device)
        self.name, self.revision = "blind", "blind"

    def answer(self, samples, keep=None, **shown):  # type: ignore[no-untyped-def]
        return super().answer(samples, [k[:1] for k in keep], **shown)


class Closed:
    """An adapter that answers, and whose decoder is closed."""

    name, revision, batch_size, n_layers = "closed", "closed", 8, 4

    def __init__(self, *, device: str = "cpu") -> None:
        self.answer = FruitFlyAdapter(device=device).answer


def test_an_adapter_of_ones_own_runs_through_the_grid(bundle: Path, tmp_path: Path) -> None:
    """Named "module:factory" it is imported, answers, and its answers are its own."""
    cells = [Configuration("similarity", 16)]
    name = f"{__name__}:Blind"
    ablate(cells, job_of(bundle, tmp_path, name, seed=0))
    own = read_results(tmp_path)
    ablate(cells, job_of(bundle, tmp_path, "fruitfly", seed=0))
    ours = read_results(tmp_path)
    assert own.shown.tolist() == ours.shown.tolist()
    assert not np.allclose(own.log_prob.astype(float), ours.log_prob.astype(float), atol=1e-3)


def test_names_of_models_are_resolved_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitheory.models.resolving.ADAPTERS", {})
    register_adapter("blind", Blind)
    assert load_adapter("blind").revision == "blind"
    assert load_adapter("fruitfly-contrastive").name == "fruitfly-contrastive"
    for name in ("blind", "fruitfly", "a:b"):
        with pytest.raises(ParameterError, match="free one"):
            register_adapter(name, Blind)
    for name in ("mitheory.models.fruitfly:None_", "no_such_module:x", ":x"):
        with pytest.raises(ParameterError, match="importable module:factory"):
            load_adapter(name)
    with pytest.raises(ParameterError, match=r"'blind'.*a checkpoint file.*got 'fly'"):
        load_adapter("fly")


# --- scopes and searches ----------------------------------------------------------------------


def test_scopes_choose_the_words_that_they_say(bundle: Path, fly: FruitFlyAdapter) -> None:
    for sample in Bundle.open(bundle):
        whole = text_of(sample, "prompt", fly)
        assert torch.equal(whole, sample.text)
        longer = text_of(sample, "prompt+instruction", fly)
        assert torch.equal(longer[: sample.n_t], sample.text)
        assert torch.equal(longer[sample.n_t :], fly.embed(INSTRUCTION))
        question = text_of(sample, "question", fly)
        assert torch.equal(question, sample.text[: len(question)])
        if sample.options:
            assert sample.tokens[len(question)] == "(a)"
        places = SCOPES["content"](sample)  # type: ignore[misc]
        words = [sample.tokens[i] for i in places]
        assert words
        assert not {"the", "?", "is"} & set(words)
        assert torch.equal(text_of(sample, "content", fly), sample.text[places])


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_lazy_search_keeps_what_the_method_keeps(bundle: Path, weight: float) -> None:
    options = SELECTORS["mi_pruner"].defaults | {"relevance_weight": weight}
    for sample in Bundle.open(bundle).select(Bundle.open(bundle).sample_ids[:4]):
        v, t = sample.visual.double(), sample.text.double()
        expected = select("mi_pruner", visual=v, text=t, budget=12, relevance_weight=weight)
        for search in ("lazy", "eager"):
            found = searched(search, v, t, options, 12, 0)
            assert found.indices.tolist() == expected.indices.tolist()


@pytest.mark.parametrize("weight", [0.2, 0.7, 1.0])
def test_a_heap_built_once_keeps_what_sorting_keeps(bundle: Path, weight: float) -> None:
    """Before the first choice redundancy is one constant, which orders nothing; greedy search
    keeps the same at λ = 1 only."""
    options = SELECTORS["mi_pruner"].defaults | {"relevance_weight": weight}
    found: dict[str, list[list[int]]] = {}
    for sample in Bundle.open(bundle).select(Bundle.open(bundle).sample_ids[:4]):
        v, t = sample.visual.double(), sample.text.double()
        for search in ("static_heap", "top_k", "eager"):
            kept = searched(search, v, t, options, 12, 0).indices.tolist()
            found.setdefault(search, []).append(kept)
    assert found["static_heap"] == found["top_k"]
    assert (found["top_k"] == found["eager"]) == (weight == 1.0)


def test_draws_are_nested_over_budgets_and_new_over_draws(
    bundle: Path, fly: FruitFlyAdapter
) -> None:
    samples = list(Bundle.open(bundle))
    small, large, other = (
        kept_sets(Configuration("random", k, draw=d), samples, fly, seed=0).kept
        for k, d in ((8, 0), (16, 0), (8, 1))
    )
    assert all(set(s) < set(x) for s, x in zip(small, large, strict=True))
    shared = np.mean([len(set(s) & set(x)) for s, x in zip(small, other, strict=True)])
    assert shared < 1.5  # 8·8/144 = 0.44 by chance, with 24 samples


def test_what_a_method_would_average_is_said_to_be_left_out(
    bundle: Path, fly: FruitFlyAdapter
) -> None:
    samples = list(Bundle.open(bundle))[:4]
    merging, plain = (
        kept_sets(Configuration(name, 16), samples, fly, seed=0)
        for name in ("visionzip", "cls_attention")
    )
    assert merging.unmerged.all()
    assert not plain.unmerged.any()


# --- running ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    out = tmp_path_factory.mktemp("grid")
    ablate(GRID, job_of(bundle, out, "fruitfly", seed=0))
    return out, read_results(out)


def test_rows_are_what_the_model_answers_to_what_is_kept(
    finished: tuple[Path, pd.DataFrame], bundle: Path, fly: FruitFlyAdapter
) -> None:
    """Every cell, against select and answer called by hand."""
    _, table = finished
    samples = list(Bundle.open(bundle))
    assert len(table) == len(GRID) * len(samples)
    for cell in GRID:
        rows = table[table.cell == cell.identity].set_index("sample_id")
        kept = kept_sets(cell, samples, fly, seed=0).set_index("sample_id").kept
        keep = [torch.tensor(kept[s.sample_id]) for s in samples]
        answers = fly.answer(samples, keep, positions=cell.positions, order=cell.order)  # type: ignore[arg-type]
        for sample, answer, k in zip(samples, answers, keep, strict=True):
            row = rows.loc[sample.sample_id]
            assert (row.prediction, row.correct) == (answer.text, answer.text == sample.answer)
            assert row.log_prob == pytest.approx(answer.log_prob_truth, abs=1e-4)
            assert row.shown == set_hash(k.tolist(), cell.order)
            assert row.n_kept == len(k)


def test_pick_order_shows_the_same_tokens_in_another_order(
    finished: tuple[Path, pd.DataFrame],
) -> None:
    """The kept sets agree, and the answers' probabilities do not all."""
    _, table = finished
    raster, pick = (table[table.cell == GRID[i].identity].reset_index() for i in (1, 3))
    assert (raster.n_kept == pick.n_kept).all()
    assert not (raster.log_prob == pick.log_prob).all()


def test_one_distinct_kept_set_is_answered_once(
    finished: tuple[Path, pd.DataFrame], bundle: Path
) -> None:
    """Cells that keep the same tokens share the answer; nothing is left to ask."""
    out, table = finished
    job = job_of(bundle, out, "fruitfly", seed=0)
    files = list((out / "answers").rglob("*.parquet"))
    answered = pd.concat([pd.read_parquet(f) for f in files])
    shown = ["sample_id", "positions", "order", "shown"]
    assert not answered.duplicated(shown).any()
    assert len(answered) == len(table[shown].drop_duplicates()) < len(table)
    assert unanswered(GRID, job) == []


def test_a_second_run_computes_nothing(
    finished: tuple[Path, pd.DataFrame], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, table = finished
    monkeypatch.setattr("analysis.ablation.running.kept_sets", None)
    monkeypatch.setattr("analysis.ablation.answering._answered", None)
    ablate(GRID, job_of(bundle, out, "fruitfly", seed=0))
    pd.testing.assert_frame_equal(read_results(out), table)


def test_a_longer_grid_and_another_seed_reuse_what_they_can(
    finished: tuple[Path, pd.DataFrame], bundle: Path
) -> None:
    out, table = finished
    before = set((out / "kept").iterdir())
    more = [*GRID, Configuration("divprune", 16)]
    ablate(more, job_of(bundle, out, "fruitfly", seed=0))
    assert len(set((out / "kept").iterdir()) - before) == 1
    again = read_results(out)
    pd.testing.assert_frame_equal(again.head(len(table))[list(table)], table)
    other = job_of(bundle, out, "fruitfly", seed=1)
    assert not other.kept(GRID[0]).exists()
    ablate(GRID, job_of(bundle, out, "fruitfly", seed=0))


def test_failures_are_rows_and_cost_nobody_else(bundle: Path, tmp_path: Path) -> None:
    """A method without its input, and a budget above the number of tokens: typed errors, row by
    row, while the rest of the grid is answered."""
    cells = [
        Configuration("cdpruner", 16, {"relevance_source": "clip"}),
        Configuration("similarity", 500),
        Configuration("similarity", 16),
    ]
    ablate(cells, job_of(bundle, tmp_path, "fruitfly", seed=0))
    table = read_results(tmp_path)
    failed, large, good = (table[table.cell == c.identity] for c in cells)
    assert failed.error.str.startswith("MissingInputError: ").all()
    assert large.error.str.startswith("BudgetError: ").all()
    assert good.error.isna().all()
    assert failed.correct.isna().all()
    assert good.correct.notna().all()


INSIDE = [
    Configuration("fastv", 16, inside="published"),
    Configuration("mi_pruner", 0.25, {"relevance_weight": "paper"}, inside="1+2"),
    Configuration("random", 16, inside="1", draw=2),
    Configuration("random", 16, draw=2),
]


def test_cells_inside_the_decoder_are_its_own_staged_answers(
    bundle: Path, tmp_path: Path, fly: FruitFlyAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Question by question, λ of each, beside a cell that prunes before the decoder; and what is
    done is not done again."""
    ablate(INSIDE, job_of(bundle, tmp_path, "fruitfly", seed=0))
    table = read_results(tmp_path)
    assert table.error.isna().all()
    weights = set()
    for cell in INSIDE[:3]:
        rows = table[table.cell == cell.identity].set_index("sample_id")
        for sample in Bundle.open(bundle):
            budget = {"fastv": [(2, 16)], "mi_pruner": [(1, 72), (2, 36)], "random": [(1, 16)]}
            options = {}
            if cell.method == "mi_pruner":
                options["relevance_weight"] = float(sample.question_type in CLOSED_TYPES) / 2 + 0.5
                weights.add(options["relevance_weight"])
            stages = [Stage(layer, cell.method, k, options) for layer, k in budget[cell.method]]
            seed = sample_seed(sample.sample_id, 0, cell.draw)
            (found,) = fly.answer_staged([sample], stages, seed=seed)
            row = rows.loc[sample.sample_id]
            assert (row.prediction, row.n_kept) == (found.answer.text, len(found.kept[-1]))
            assert row.log_prob == pytest.approx(found.answer.log_prob_truth, abs=1e-4)
            assert row.layer_average == sum(found.tokens_per_layer) / 4
            assert row.correct == (row.prediction == sample.answer)
    assert weights == {0.5, 1.0}
    before = table[table.cell == INSIDE[3].identity]
    assert (before.layer_average == before.n_kept).all()
    monkeypatch.setattr("analysis.ablation.answering._answered", None)
    ablate(INSIDE, job_of(bundle, tmp_path, "fruitfly", seed=0))
    pd.testing.assert_frame_equal(read_results(tmp_path), table)


def test_what_fails_inside_the_decoder_is_a_row(bundle: Path, tmp_path: Path) -> None:
    cell = Configuration("fastv", 500, inside="1")
    ablate([cell], job_of(bundle, tmp_path, "fruitfly", seed=0))
    table = read_results(tmp_path)
    assert table.error.str.startswith("BudgetError: ").all()
    assert (table.n_kept == 0).all()
    assert table.layer_average.isna().all()


def test_layers_that_a_model_does_not_have_are_refused_before_the_work(
    bundle: Path, tmp_path: Path
) -> None:
    job = job_of(bundle, tmp_path, "fruitfly", seed=0)
    for method, inside in (("sparsevlm", "published"), ("fastv", "4"), ("fastv", "0")):
        with pytest.raises(ParameterError, match=r"fruitfly has layers 1\.\.3 to prune before"):
            ablate([Configuration(method, 16, inside=inside)], job)
    other = job_of(bundle, tmp_path, f"{__name__}:Closed", seed=0)
    with pytest.raises(ParameterError, match="Closed does not prune inside its decoder"):
        ablate([Configuration("fastv", 16, inside="1")], other)


def test_results_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="finished grid"):
        read_results(tmp_path)


def test_expand_makes_every_combination_once() -> None:
    cells = expand({"method": "mi_pruner", "budget": [8, 16], "aggregation": ["max", "kl", "max"]})
    assert [(c.budget, c.options["aggregation"]) for c in cells] == [
        (8, "max"), (8, "kl"), (16, "max"), (16, "kl"),
    ]  # fmt: skip


KILLED = """
import sys
from pathlib import Path
from analysis.ablation import Configuration, ablate, job_of
cells = [
    Configuration("mi_pruner", k, {"relevance_weight": w})
    for k in (4, 8, 16, 32) for w in (0.3, 0.6)
]
ablate(cells, job_of(Path(sys.argv[1]), Path(sys.argv[2]), "fruitfly", seed=0))
"""


@pytest.mark.slow
def test_killed_twenty_times_it_ends_with_the_same_table(bundle: Path, tmp_path: Path) -> None:
    """SIGKILL at the next file, or up to a fifth of a second after it: no file that exists is ever
    rewritten, every run gets on, and the table is that of an undisturbed run but for seconds."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    command = [sys.executable, "-c", KILLED, str(bundle)]
    subprocess.run([*command, str(whole)], check=True)
    rng = np.random.default_rng(0)
    seen: dict[Path, int] = {}
    found = [0]
    for i in range(20):
        process = subprocess.Popen([*command, str(broken)], start_new_session=True)
        while process.poll() is None and len(list(broken.rglob("*.parquet"))) <= len(seen):
            time.sleep(0.001)
        time.sleep(0.2 * rng.random() * (i % 2))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for file in broken.rglob("*.parquet"):
            pd.read_parquet(file)  # whole, however it ended
            written = file.stat().st_mtime_ns
            assert seen.setdefault(file, written) == written
        found.append(len(seen))
    assert len(set(found)) > 4, f"killed too late to be killed in the midst: {found}"
    subprocess.run([*command, str(broken)], check=True)
    for file, written in seen.items():
        assert file.stat().st_mtime_ns == written
    first, second = (read_results(out).drop(columns="seconds") for out in (whole, broken))
    pd.testing.assert_frame_equal(first, second)


def test_all_cores_extract_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In as many parts as there are cores, here one; -1 is no number of parts."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    path = prepared(tmp_path, Source(limit=8), seed=0, device="cpu", jobs=-1)
    assert path is not None
    assert len(Bundle.open(path)) == 8


def test_no_workers_at_all_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"jobs: expected 1 or more, .* got 0"):
        prepared(tmp_path, Source(limit=8), seed=0, device="cpu", jobs=0)
    with pytest.raises(ParameterError, match=r"jobs: expected 1 or more, .* got 0"):
        ablate(GRID, job_of(bundle, tmp_path, "fruitfly", seed=0), jobs=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask's own, on closing
def test_a_cluster_by_address_gives_the_same_table(
    finished: tuple[Path, pd.DataFrame], bundle: Path, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    _, here = finished
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        job = job_of(bundle, tmp_path, "fruitfly", seed=0)
        ablate(GRID, job, scheduler=cluster.scheduler_address)
    there = read_results(tmp_path)
    pd.testing.assert_frame_equal(
        here.drop(columns=["seconds", "log_prob"]), there.drop(columns=["seconds", "log_prob"])
    )
    np.testing.assert_allclose(here.log_prob, there.log_prob, atol=1e-4)


# --- statistics -------------------------------------------------------------------------------


def rows_of(cells: dict[str, list[int]], scenes: int = 100) -> pd.DataFrame:
    """Results as `read_results` has them: two questions a scene, right or wrong as given."""
    tables = [
        pd.DataFrame(
            {
                "cell": name,
                "sample_id": [f"q{i}" for i in range(len(right))],
                "image_id": [f"s{i % scenes}" for i in range(len(right))],
                "correct": pd.array(right, dtype="boolean"),
                "error": None,
            }
        )
        for name, right in cells.items()
    ]
    return pd.concat(tables, ignore_index=True)


def test_differences_are_paired_and_failures_are_left_out_and_counted() -> None:
    """By hand: of 4 questions the second cell answers one more; a failed row counts for neither."""
    results = rows_of({"a": [1, 0, 0, 1], "b": [1, 1, 0, 1]}, scenes=4)
    results.loc[(results.cell == "b") & (results.sample_id == "q2"), ["correct", "error"]] = [
        pd.NA,
        "BudgetError: x",
    ]
    (a, b) = summary(results).to_dict("records")
    assert (a["accuracy"], a["n"], a["failed"]) == (0.5, 4, 0)
    assert (b["accuracy"], b["n"], b["failed"]) == (1.0, 3, 1)
    (row,) = compared(results, "a").to_dict("records")
    assert row["difference"] == pytest.approx(1 / 3)
    assert (row["cell"], row["n"], row["p_mcnemar"]) == ("b", 3, 1.0)
    with pytest.raises(ParameterError, match="reference"):
        compared(results, "c")
    results.loc[results.cell == "b", "error"] = "BudgetError: x"
    assert len(compared(results, "a", ["b"])) == 0  # nothing to compare with


def clustered_pairs(
    shift: float, rng: np.random.Generator, scenes: int = 150, per: int = 6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers of two settings: right or wrong by a difficulty that half a scene shares, the first
    right more often by `shift`; and the scenes."""
    hard = np.repeat(rng.random(scenes), per)
    own = rng.random(scenes * per)
    difficulty = np.where(np.repeat(rng.random(scenes) < 0.5, per), hard, own)
    swap = np.repeat(rng.random(scenes) < 0.5, per)  # whole scenes that suit the other setting
    easier = np.where(swap, 0.15, -0.15)
    first = difficulty < 0.6 + shift + easier
    return first, difficulty < 0.6 - easier, np.repeat(np.arange(scenes), per)


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    """Calibration: pairs whose true difference is what `detectable` says; the interval excludes 0
    in 80% of draws, in 5% under no difference, and half the difference is found much more rarely.
    The formula without clusters promises a difference that is found in under 60%."""
    rng = np.random.default_rng(0)

    def apart(shift: float) -> tuple[np.ndarray, np.ndarray]:
        first, second, scenes = clustered_pairs(shift, rng)
        return first.astype(float) - second, scenes

    needed = np.median([detectable(*apart(0.0)) for _ in range(50)])
    naive = np.median([detectable(x, np.arange(len(x))) for x, _ in [apart(0.0)] * 50])
    assert naive < 0.75 * needed

    def found(shift: float) -> float:
        hits = 0
        for _ in range(400):
            x, scenes = apart(shift)
            interval = cluster_bootstrap(x, scenes, n_resamples=300, rng=rng)
            hits += interval.low > 0 or interval.high < 0
        return hits / 400

    assert 0.74 < found(needed) < 0.86
    assert found(0.0) < 0.09
    assert found(needed / 2) < 0.45
    assert found(naive) < 0.6


def test_holm_is_over_the_family_and_not_over_more() -> None:
    rng = np.random.default_rng(1)
    cells = {name: rng.integers(0, 2, 200).tolist() for name in "abcd"}
    cells["b"] = [1] * 200
    table = compared(rows_of(cells), "a")
    alone = compared(rows_of(cells), "a", ["b"])
    assert alone.p_holm[0] == alone.p_value[0]
    first = table[table.cell == "b"].iloc[0]
    assert first.p_holm == pytest.approx(3 * first.p_value)
    assert (table.p_holm >= table.p_value).all()


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, "better"),
        (-0.2, -0.01, "worse"),
        (-0.01, 0.01, "no difference that matters"),
        (-0.05, 0.01, "undecided"),
    ],
)
def test_no_difference_is_not_too_few_samples(low: float, high: float, verdict: str) -> None:
    assert judged(pd.Series({"low": low, "high": high}), 0.02) == verdict


def test_a_difference_of_many_is_one_only_after_correction() -> None:
    row = {"low": 0.01, "high": 0.2}
    assert judged(pd.Series(row | {"p_holm": 0.04}), 0.02) == "better"
    assert judged(pd.Series(row | {"p_holm": 0.06}), 0.02) == "undecided"


def test_the_command_runs_over_models_and_splits(tmp_path: Path) -> None:
    """Each source in a folder of its own, all rows in one table; told what was found and what
    could have been."""
    arguments = ["ablate", "--out", str(tmp_path), "--limit", "16", "--jobs", "1"]
    arguments += ["--set", "method=similarity,random", "--set", "budget=64/576"]
    arguments += ["--model", "fruitfly, fruitfly-contrastive", "--split", "validation,test"]
    result = CliRunner().invoke(app, [*arguments, "--reference", "method=similarity"])
    assert result.exit_code == 0, result.output
    table = pd.read_parquet(tmp_path / "results.parquet")
    assert table.groupby(["model", "split", "cell"]).size().tolist() == [16] * 8
    assert table.groupby("split").sample_id.nunique().tolist() == [16, 16]
    assert set(table.image_id.str.partition("-")[0]) == {"validation", "test"}
    compared_ = pd.read_csv(tmp_path / "compared.csv")
    assert len(compared_) == 4
    assert "detectable" in result.output


def test_the_command_writes_rows_and_a_summary(bundle: Path, tmp_path: Path) -> None:
    """`mitheory ablate` on a file: the table of the library, a summary, and the reference named."""
    grid, out = tmp_path / "grid.yaml", tmp_path / "out"
    grid.write_text("- {method: full}\n- {method: [similarity, random], budget: 16}\n")
    arguments = ["ablate", "--grid", str(grid), "--out", str(out), "--limit", "12", "--jobs", "1"]
    result = CliRunner().invoke(app, [*arguments, "--reference", "method=similarity"])
    assert result.exit_code == 0, result.output
    table = pd.read_parquet(out / "results.parquet")
    assert len(table) == 36
    compared_ = pd.read_csv(out / "compared.csv")
    assert set(compared_.method) == {"full", "random"}
    assert {"difference", "low", "high", "detectable", "p_holm"} <= set(compared_)
    assert set(pd.read_csv(out / "summary.csv").method) == {"full", "similarity", "random"}
    bad = CliRunner().invoke(app, [*arguments, "--reference", "method=divprune"])
    assert bad.exit_code != 0
    assert "no cell of the grid" in str(bad.exception)


# --- the page ---------------------------------------------------------------------------------


PAGE = (Path(__file__).parent.parent / "docs" / "ablation.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_grid_of_the_page_is_one(tmp_path: Path, bundle: Path, fly: FruitFlyAdapter) -> None:
    """Its cells are those that the page says, and every one selects."""
    (text,) = blocks("yaml")
    (tmp_path / "page.yaml").write_text(text)
    cells = load_grid(str(tmp_path / "page.yaml"))
    assert len(cells) == 1 + 6 + 4 + 9
    for cell in cells:
        table = kept_sets(cell, list(Bundle.open(bundle))[:2], fly, seed=0)
        assert table.error.isna().all(), (cell, table.error.tolist())


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    names: dict = {}
    exec(compile(code, "ablation.md", "exec"), names)
    pd.testing.assert_frame_equal(names["table"], read_results(tmp_path / "ablation"))
    assert len(names["table"]) == 2 * 64


def test_the_commands_of_the_page_are_read(tmp_path: Path) -> None:
    """Every option in them exists, and their axes make a grid."""
    (text,) = blocks("console")
    commands = text.replace("\\\n", " ").strip().splitlines()
    known = {o for p in typer.main.get_command(app).commands["ablate"].params for o in p.opts}  # type: ignore[attr-defined]
    for command in commands:
        words = command.split()
        assert {w for w in words if w.startswith("--")} <= known
        given = [words[i + 1] for i, w in enumerate(words) if w == "--set"]
        grid = words[words.index("--grid") + 1] if "--grid" in words else ""
        if not grid.endswith(".yaml"):
            assert load_grid(grid, parse_axes(given))
