"""The benchmark of real models, on tiny ones."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from figure_results import make_results

pytest.importorskip("transformers")

from benchmarks import mllm
from mitheory.errors import ParameterError
from paper_figures import printed_tables, tab3, tab9
from paper_figures.results import Results

CPU = torch.device("cpu")
KINDS = [("mi_pruner", {"relevance_weight": 0.5}), ("vispruner", {}), ("random", {})]


@pytest.mark.parametrize("name", list(mllm.MODELS))
def test_every_stage_of_every_setting_is_measured(name):
    """All tokens in three stages, methods before the decoder in four; a class token that is not
    there leaves a row that says so, and no number."""
    table = mllm.measured(name, tiny=True, device=CPU, warm_ups=0, runs=2, methods=KINDS)
    budgets = len(mllm.MODELS[name][2])
    assert table[table.method == "full"].stage.tolist() == ["encode", "prefill", "whole"]
    own = table[table.method == "mi_pruner"]
    assert own.stage.tolist() == ["encode", "select", "prefill", "whole"] * budgets
    refused = table[table.stage == ""]
    is_qwen = "qwen" in name
    assert set(refused.method) == ({"vispruner"} if is_qwen else set())
    assert refused.note.str.contains("class token").all()
    assert refused[["mean_ms", "peak_gib"]].isna().all(axis=None)
    timed = table[table.stage != ""]
    assert (timed.low_ms <= timed.median_ms).all()
    assert (timed.low_ms <= timed.high_ms).all()
    assert (timed.median_ms > 0).all()
    assert (timed.peak_gib > timed.held_gib).all()
    assert timed.held_gib.nunique() == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", list(mllm.MODELS))
def test_every_method_is_measured_or_says_why_not(name):
    table = mllm.measured(name, tiny=True, device=CPU, warm_ups=0, runs=2)
    asked = {(m, o.get("relevance_weight")) for m, o in mllm.METHODS} | {("full", None)}
    weight = [None if pd.isna(w) else w for w in table.relevance_weight]
    assert set(zip(table.method, weight, strict=True)) == asked
    refused = table[table.stage == ""]
    assert (refused.note != "").all()
    assert "mi_pruner" not in set(refused.method)


def test_the_printed_rows_are_all_asked_for():
    """Methods and budgets of Tabs. 3 and 9, and no other name."""
    asked = {(m, o.get("relevance_weight")) for m, o in mllm.METHODS}
    assert set(mllm.PRINTED_METHODS) <= asked
    printed = {
        (key.table, key.keep, key.method)
        for key in printed_tables.printed_cells()
        if key.table in mllm.TABLES
    }
    names = set(mllm.PRINTED_METHODS.values())
    assert {method for _, _, method in printed} == names
    assert {(number, keep) for number, keep, _ in printed} == {
        (number, str(budget)) for number, budgets in mllm.TABLES.items() for budget in budgets
    }
    assert set(mllm.MODELS["llava-1.5-7b"][2]) == {b for own in mllm.TABLES.values() for b in own}


# --- clocks and memory ------------------------------------------------------------------------


def test_full_size_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParameterError, match="needs a CUDA device"):
        mllm.main([])


def test_warm_ups_are_not_counted():
    """Of three calls one is a warm-up: two times."""
    calls = []
    found = mllm.times_of(lambda: calls.append(1), CPU, 1, 2)
    assert (len(calls), len(found)) == (3, 2)


def test_memory_on_a_cpu_is_what_a_call_holds_above_the_weights():
    """A linear layer of 100 x 10 and 10 numbers, float32; a call that holds 2 MiB at once."""
    model = torch.nn.Linear(100, 10)

    def call():
        first = torch.empty(2**18)
        second = torch.empty(2**18)
        del first, second
        torch.empty(2**10)

    peak = mllm.peaks_of({"call": call}, model, CPU)["call"]
    assert peak.held == 4 * 1010
    assert peak.most - peak.held == 2 * 4 * 2**18


def test_memory_on_a_gpu_is_the_allocators_peak_of_that_call_alone(monkeypatch):
    """Against a made-up allocator: what an earlier call held at most is forgotten, and the device
    has finished before either number is read."""
    log: list[str] = []
    state = {"now": 100, "most": 900}

    def reset(device):
        log.append("reset")
        state["most"] = state["now"]

    fakes = {
        "synchronize": lambda device: log.append("wait"),
        "memory_allocated": lambda device: state["now"],
        "reset_peak_memory_stats": reset,
        "max_memory_allocated": lambda device: log.append("read") or state["most"],
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)

    def call(more):
        log.append("call")
        state["most"] = max(state["most"], state["now"] + more)

    calls = {"large": lambda: call(50), "small": lambda: call(5)}
    found = mllm.peaks_of(calls, None, torch.device("cuda"))
    assert found == {"large": mllm.Peak(100, 150), "small": mllm.Peak(100, 105)}
    assert log == ["wait", "reset", "call", "wait", "read"] * 2
    log.clear()
    mllm.times_of(lambda: log.append("call"), torch.device("cuda"), 1, 1)
    assert log == ["wait", "call", "wait"] * 2


# --- beside the paper -------------------------------------------------------------------------


def timed() -> pd.DataFrame:
    """Two methods at two budgets, as `measured` has them, and a stage that is not the whole."""
    rows = [
        {"model": "llava-1.5-7b", "method": method, "relevance_weight": weight, "budget": budget,
         "stage": stage, "mean_ms": 80.0, "se_ms": 0.5, "peak_gib": 13.5}
        for method, weight in (("mi_pruner", 0.5), ("cdpruner", None), ("random", None))
        for budget in (64, 32) for stage in ("encode", "whole")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_tables_3_and_9_by_hand():
    """The whole alone, at the table's budgets, under the printed names; ± 1.96 standard errors."""
    found = mllm.beside(timed(), 3)
    assert found[["keep", "method"]].drop_duplicates().values.tolist() == [
        ["64", "MI-Pruner(lambda=0.5)"], ["64", "CDPruner"],
    ]  # fmt: skip
    latency = found[found.metric == "latency_ms"].iloc[0]
    assert (latency.value, latency.low, latency.high) == pytest.approx((80, 79.02, 80.98))
    assert found[found.metric == "memory_gb"].value.tolist() == [13.5, 13.5]
    assert set(mllm.beside(timed(), 9).keep) == {"32"}


def test_the_figures_read_them(tmp_path):
    """In place of the fruit-fly, with the machine's name and without its caption."""
    folder = tmp_path / "benchmarks" / "mllm"
    folder.mkdir(parents=True)
    for number in mllm.TABLES:
        mllm.beside(timed(), number).to_csv(folder / f"tab{number}.csv", index=False)
    said = {"device_name": "a large GPU", "runs": 30, "warm_ups": 10}
    (folder / "provenance.json").write_text(json.dumps(said))
    empty = make_results(4, families=("method",), budgets=(36,)).table.iloc[:0]
    for module, cells in ((tab3, 4), (tab9, 4)):
        table = module.FIGURE.data(Results(empty.drop(columns=["series", "form"]), folder=tmp_path))
        ours = table[table.side == "ours"]
        assert len(ours) == cells
        assert set(ours.text) == {"13.50", "80.00"}
        caption = module.FIGURE.caption(table)
        assert "random weights" in caption
        assert "a large GPU, 30 runs after 10 warm-ups" in caption
        assert "fruit-fly" not in caption
        assert printed_tables.TIMED_HEADING in printed_tables.html(table)
