"""What the studies behind Figs. 3 and Tabs. 3, 9 measure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom

from analysis.studies import cost, scene_matrices
from mitheory import select
from mitheory.models.fruitfly import FruitFlyAdapter, examples


@pytest.fixture(scope="module")
def adapter() -> FruitFlyAdapter:
    return FruitFlyAdapter()


@pytest.fixture(scope="module")
def sample(adapter):
    return next(
        s for s in adapter.encode(list(examples("test", limit=8))) if s.question_type == "color"
    )


# --- matrices ---------------------------------------------------------------------------------


def wide(tables: dict[str, pd.DataFrame], name: str) -> np.ndarray:
    cells = tables["scene_matrices"].query("matrix == @name")
    return cells.pivot(index="row", columns="column", values="value").to_numpy(float)


def test_matrices_are_those_of_the_equations_written_out(sample):
    """Eqs. (15)-(18) in NumPy, from V and T alone."""
    tables = scene_matrices.tables(sample)
    v, t = (x.double().numpy() for x in (sample.visual, sample.text))
    v, t = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (v, t))
    for side, other in (("cross", t), ("self", v)):
        rho = v @ other.T / 0.1
        np.testing.assert_allclose(wide(tables, f"{side}_similarity"), rho, atol=1e-5)
        p = np.exp(rho) / np.exp(rho).sum(1, keepdims=True)
        np.testing.assert_allclose(wide(tables, f"{side}_conditional"), p, atol=1e-6)
        marginal = p.mean(0) if side == "cross" else np.full(len(v), 1 / len(v))
        np.testing.assert_allclose(wide(tables, f"{side}_pmi"), np.log(p / marginal), atol=1e-4)
    np.testing.assert_allclose(wide(tables, "text_marginal")[0].sum(), 1, atol=1e-6)


def test_choices_are_those_of_the_method(sample):
    picks = scene_matrices.tables(sample)["scene_picks"]
    kept = select(
        "mi_pruner", visual=sample.visual, text=sample.text, budget=16, relevance_weight=0.5
    )
    assert picks["index"].tolist() == kept.indices.tolist()
    np.testing.assert_allclose(
        0.5 * picks["relevance"] - 0.5 * picks["redundancy"], picks["score"], atol=1e-12
    )


# --- cost -------------------------------------------------------------------------------------


def test_the_peak_is_what_is_held_at_once():
    """Two tensors of 8 kB: 16 kB held together, 8 kB one after the other."""

    def together() -> None:
        a, b = (torch.empty(1000, dtype=torch.float64) for _ in range(2))
        del a, b

    def in_turn() -> None:
        for _ in range(2):
            torch.empty(1000, dtype=torch.float64)

    found = cost.torch_peaks({"together": together, "in_turn": in_turn, "nothing": lambda: None})
    assert found == {"together": 16000, "in_turn": 8000, "nothing": 0}
    arrays = cost.python_peak(lambda: np.empty(100_000))
    assert 800_000 <= arrays < 810_000


@pytest.mark.parametrize("n", [9, 20, 41])
def test_the_interval_of_the_median_covers_as_often_as_it_says(n):
    """The next narrower pair of order statistics would cover the median less than 95%."""
    _, low, high = cost.median_interval(np.arange(1.0, n + 1))
    first = int(low)
    assert high == n + 1 - first

    def coverage(k: int) -> float:  # of the k-th smallest to the k-th largest
        return float(1 - 2 * binom.cdf(k - 1, n, 0.5))

    assert coverage(first) >= 0.95 > coverage(first + 1)


def test_each_entrant_answers_and_its_parts_add_up(adapter):
    [example] = examples("test", limit=1)
    clocks = [
        cost.clocked(adapter, example, setting, 16) | {"key": key}
        for key, setting in cost.ENTRANTS.items()
    ]
    for clock in clocks:
        selection = clock["selection"]
        assert np.isnan(selection) == ("@" in clock["key"])
        parts = clock["encoding"] + np.nan_to_num(selection) + clock["answer"]
        assert parts == pytest.approx(clock["total"])


def test_the_table_holds_a_row_of_every_entrant_and_budget(adapter):
    clocks = cost.measured(adapter, list(examples("test", limit=1)), seed=0)
    table = cost.summary(clocks)
    assert len(table) == 3 * (len(cost.ENTRANTS) - 1) + 1
    assert (table["total_low"] <= table["total_ms"]).all()
    assert (table["total_ms"] <= table["total_high"]).all()
