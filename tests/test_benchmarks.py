"""The benchmarks: answers are compared before speed is, absent packages are rows, times add up."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pandas as pd
import pytest
import torch
from structure import ROOT

from benchmarks import clock, memory, mi, tables
from benchmarks.contest import Contest, Entrant
from benchmarks.run import compared, run
from benchmarks.suites import SUITES, all_contests

CONTESTS = all_contests()


def contest(*others: Entrant) -> Contest:
    ours = Entrant("ours", lambda inputs: [2, 0], "ours")
    return Contest("test", "sort", {"n_v": 4, "k": 2}, dict, (ours, *others), quick=True)


def rows(*others: Entrant, **options) -> pd.DataFrame:
    silent = {"quick": True, "threads": 1, "with_memory": False, "say": lambda line: None}
    return run([contest(*others)], **{**silent, **options}).set_index("entrant")


def test_another_answer_has_no_ratio():
    found = rows(Entrant("same", lambda inputs: [2, 0]), Entrant("other", lambda inputs: [0, 2]))
    assert found["answer"].to_dict() == {"ours": "same", "same": "same", "other": "differs"}
    assert found["ratio"].notna().to_dict() == {"ours": True, "same": True, "other": False}
    assert found.loc["ours", "ratio"] == 1


def test_an_order_is_compared_where_there_is_one():
    found = rows(Entrant("set", lambda inputs: [0, 2], is_ordered=False))
    assert found.loc["set", "answer"] == "same"
    other = rows(Entrant("set", lambda inputs: [0, 1], is_ordered=False))
    assert other.loc["set", "answer"] == "differs"


def test_near_ties_make_no_difference_and_a_worse_choice_does():
    """Two greedy runs may part at a tie; a run that leaves a better token is none."""
    one = dataclasses.replace(mi.contests()[0], sizes={**mi.contests()[0].sizes, **mi.TINY})
    inputs = dict(one.inputs())
    best = mi.ours(inputs).tolist()
    assert mi.is_greedy(inputs, best)
    assert not mi.is_greedy(inputs, best[::-1])
    assert not mi.is_greedy(inputs, [best[0]] * 3)
    half = inputs["visual"][:8]
    inputs["visual"] = torch.cat([half, half * (1 + 1e-6)])
    best = mi.ours(inputs).tolist()
    twin = (best[0] + 8) % 16
    for answer in ([best[0]], [twin]):
        assert mi.is_greedy(inputs, answer)
    peer = Entrant("peer", lambda inputs: [])
    assert compared(one, peer, inputs, [twin], [best[0]]) == "tied"
    assert compared(one, peer, inputs, [best[0]] * 2, [best[0]]) == "differs"


def test_a_floor_has_no_answer_to_compare():
    found = rows(Entrant("floor", lambda inputs: None, "floor"))
    assert pd.isna(found.loc["floor", "answer"])
    assert found.loc["floor", "ratio"] > 0


def test_an_absent_package_is_a_row_that_says_so():
    found = rows(Entrant("peer", lambda inputs: 1 / 0, needs="no_such_package"))
    assert found.loc["peer", "status"] == "no_such_package is not installed"
    assert pd.isna(found.loc["peer", "seconds"])


def test_a_slow_entrant_is_left_out_of_quick_runs():
    slow = Entrant("slow", lambda inputs: [2, 0], slow=True)
    assert rows(slow).loc["slow", "status"] == "left out of quick runs"
    assert rows(slow, quick=False).loc["slow", "status"] == "ok"


def test_ours_comes_first_and_names_are_unique():
    with pytest.raises(ValueError, match="ours comes first"):
        Contest("test", "sort", {}, dict, (Entrant("rival", lambda inputs: []),))
    with pytest.raises(ValueError, match="two entrants of one name"):
        contest(Entrant("ours", lambda inputs: []))


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_has_a_quick_contest(suite):
    names = [c.name for c in SUITES[suite]()]
    assert len(set(names)) == len(names)
    assert any(c.quick for c in SUITES[suite]())


@pytest.mark.parametrize("one", CONTESTS, ids=lambda c: c.name)
def test_every_entrant_gives_our_answer_on_a_small_problem(one):
    """What is not installed aside; of every contest, a few tokens. Floors run."""
    small = dataclasses.replace(one, sizes={**one.sizes, **one.tiny})
    inputs = small.inputs()
    ours = small.entrants[0].call(inputs)
    for entrant in small.entrants[1:]:
        theirs = entrant.call(inputs) if entrant.is_installed else None
        if entrant.is_installed and entrant.role == "rival" and entrant.is_answer:
            assert compared(small, entrant, inputs, theirs, ours) == "same", entrant.name


# --- the clock ------------------------------------------------------------------------------------


def test_calls_take_turns_and_the_first_is_not_measured():
    order: list[str] = []
    calls = {name: (lambda name=name: order.append(name)) for name in "ab"}
    times, _ = clock.race(calls, rounds=(2, 2), seconds=1e-9)
    assert order[:2] == ["a", "b"]
    assert {name: len(t.seconds) for name, t in times.items()} == {"a": 2, "b": 2}
    measured = order[2:]
    turns = [n for i, n in enumerate(measured) if i == 0 or measured[i - 1] != n]
    assert turns == ["a", "b", "a"]  # a b, then b a: the first to go changes


def test_a_long_call_is_measured_once(monkeypatch):
    monkeypatch.setattr(clock, "LONG", 0.0)
    calls: list[int] = []
    times, _ = clock.race({"long": lambda: calls.append(1)})
    assert len(calls) == 1
    assert len(times["long"].seconds) == times["long"].calls == 1


def test_a_ratio_lies_in_its_interval_which_grows_with_the_spread():
    narrow = clock.ratio([2.0, 2.1, 1.9, 2.0, 2.05], [1.0, 1.01, 0.99, 1.0, 1.0])
    wide = clock.ratio([1.0, 3.0, 2.0, 4.0, 1.5], [1.0, 1.01, 0.99, 1.0, 1.0])
    assert narrow.low <= narrow.value <= narrow.high
    assert narrow.high - narrow.low < wide.high - wide.low


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_of_a_literal_program_holds_its_matrix():
    """Algorithm 1 builds two N × N matrices of float32; the process also frees what it used."""
    name = next(
        c.name
        for c in CONTESTS
        if "MI-Pruner" in c.name and "n_v=576/" in c.name and "0.5" in c.name
    )
    one_matrix = 576**2 * 4
    assert one_matrix < memory.peak(name, "Algorithm 1, line by line") < 20 * one_matrix


def test_a_failed_process_is_not_a_measurement():
    with pytest.raises(memory.NotMeasured, match="exit status 1"):
        memory.peak("no such contest", "nobody")


# --- tables and the command -----------------------------------------------------------------------


def test_the_table_says_what_is_missing_and_whether_a_target_is_reached():
    found = rows(
        Entrant("slower", lambda inputs: sorted([0, 2], reverse=True), target=1e-9),
        Entrant("peer", lambda inputs: [], needs="no_such_package", target=3.0),
        Entrant("wrong", lambda inputs: [1, 3], target=1.0),
    )
    lines = tables.contests(found.reset_index()).splitlines()
    assert len({line.count("|") for line in lines[2:]}) == 1
    text = {line.split(" | ")[1]: line for line in lines[4:]}
    assert "no_such_package is not installed" in text["peer"]
    assert text["peer"].count("≥ 3.00") == 1
    assert "**differs**" in text["wrong"]
    assert "reached" not in text["wrong"]


def test_the_command_writes_a_table_and_where_it_comes_from(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--only", "mi", "--no-memory",
         "--match", "relevance alone", "--out", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "all answers agree" in done.stdout
    written = {p.name for p in (tmp_path / "mi").iterdir()}
    assert written == {"results.csv", "results.parquet", "results.md", "provenance.json"}
    assert set(pd.read_csv(tmp_path / "mi" / "results.csv")["answer"].dropna()) == {"same"}
