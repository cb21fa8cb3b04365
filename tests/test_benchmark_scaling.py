"""Growth: exponents of known laws, what the pages state, and the page of speeds."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from structure import ROOT

from benchmarks import render, scaling
from mitheory import SELECTORS
from paper_figures import scaling as figure


def law(power: float, *, axis: str = "n_v", name: str = "law", noise: float = 0.0) -> pd.DataFrame:
    """Seconds that grow with a power of the size, five rounds each."""
    rng = np.random.default_rng(1)
    sizes = scaling.N_V if axis == "n_v" else scaling.BUDGETS
    rows = [
        (axis, name, size if axis == "n_v" else 2048, 32 if axis == "n_v" else size, i,
         1e-9 * size**power * float(np.exp(noise * rng.standard_normal())))
        for size in sizes
        for i in range(5)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(scaling.COLUMNS))


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_its_power(power):
    (found,) = scaling.exponents(law(power)).itertuples()
    assert (found.slope, found.low, found.high) == pytest.approx((power, power, power), abs=1e-9)


def test_noise_widens_the_interval_which_holds_the_truth():
    (found,) = scaling.exponents(law(1.0, noise=0.1)).itertuples()
    assert found.low < 1.0 < found.high
    assert 0.02 < found.high - found.low < 1.0


def test_a_fixed_cost_at_small_sizes_does_not_count():
    """Only the three largest sizes are fitted."""
    table = law(1.0)
    table.loc[table["n_v"] < scaling.N_V[-3], "seconds"] = 1.0
    assert scaling.exponents(table)["slope"].item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("order", "n_v", "k"),
    [
        (r"O(N_V)", 1, 0),
        (r"O(N_V \log N_V)", 1, 0),
        (r"O(N_V N_T d + N_V^2 d + N_V k)", 2, 1),
        (r"O(N_V k^2)", 1, 2),
        (r"O(H N_V + N_V \log N_V + N_V k_c d_k)", 1, 1),
        (r"O(k (N_T + N_V) N_V)", 2, 1),
        (r"O((N_V - k) k_c d_k^{2} + N_V^{2})", 2, 2),
    ],
)
def test_powers_are_read_off_an_order(order, n_v, k):
    assert scaling.powers(order) == {"n_v": n_v, "k": k}


def test_an_order_in_other_symbols_is_shown_and_not_read(tmp_path, monkeypatch):
    (tmp_path / "random.md").write_text("## Cost\n$O(|R|^2 d)$ time.\n")
    monkeypatch.setattr(render, "METHODS", tmp_path)
    assert render.stated("random") == ("O(|R|^2 d)",)
    assert render.most("random") is None


def test_every_method_is_measured_along_both_axes(monkeypatch):
    monkeypatch.setattr(scaling, "SHORTEST", 0.0)
    monkeypatch.setattr(scaling, "paths", lambda quick: {"n_v": [(24, 8)], "k": [(24, 8)]})
    table = scaling.measure(quick=True)
    pairs = set(zip(table["axis"], table["method"], strict=True))
    assert pairs == {(axis, name) for axis in ("n_v", "k") for name in SELECTORS}
    assert (table["seconds"] > 0).all()


def test_a_method_that_takes_too_long_gets_no_larger_size(monkeypatch):
    monkeypatch.setattr(scaling, "LONGEST", 0.0)
    monkeypatch.setattr(scaling, "SELECTORS", {"random": SELECTORS["random"]})
    table = scaling.measure(quick=True)
    assert set(table["n_v"]) == {256}
    assert len(table) == 2


# --- page and figure ------------------------------------------------------------------------------


def test_the_page_is_that_of_the_committed_results():
    written = render.PAGE.read_text(encoding="utf-8")
    assert written == render.document(), "run `python -m benchmarks.render`"


def test_the_page_follows_its_results(tmp_path):
    """Another number in a table is another number on the page; a suite that is not there is not."""
    results = tmp_path / "results"
    shutil.copytree(ROOT / "benchmarks" / "results", results)
    table = pd.read_csv(results / "mi" / "results.csv")
    table.loc[0, ["seconds", "seconds_low", "seconds_high"]] = [0.123, 0.122, 0.124]
    table.to_csv(results / "mi" / "results.csv", index=False)
    page = render.document(results)
    assert "123 (122–124)" in page
    assert render.SECTIONS["mi"] in page
    (results / "mi" / "results.csv").unlink()
    assert render.SECTIONS["mi"] not in render.document(results)


def test_the_figure_draws_a_curve_and_an_exponent_for_each_method(tmp_path):
    table = pd.concat(
        [law(p, axis=axis, name=name) for axis in ("n_v", "k")
         for name, p in (("random", 0.1), ("divprune", 1.0), ("facility_location", 2.0))]
    )  # fmt: skip
    slopes = scaling.exponents(table)
    assert figure.order(slopes) == ["random", "divprune", "facility_location"]
    drawn = figure.draw(table, slopes, {"divprune": {"n_v": 1, "k": 1}})
    curves = drawn.subfigs[0].axes[0]
    assert sum(len(line.get_xdata()) == len(scaling.N_V) for line in curves.lines) == 3
    figure.save(table, slopes, {}, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 20_000
