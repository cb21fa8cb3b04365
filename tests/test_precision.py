"""What precision changes: by hand, on few images, and the page against the committed table."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest
import torch
from structure import ROOT

from analysis.precision import BUDGETS, REFERENCE, VARIANTS, Variant, precision
from analysis.precision import measure as measure_module
from analysis.precision.render import document, table
from analysis.precision.variants import Refused, kept, rounded
from mitheory import SELECTORS
from mitheory.errors import MissingInputError
from paper_figures import precision as figure

FEW = ("divprune", "similarity", "random")


@pytest.fixture(scope="module")
def measured() -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure_module, "runnable", lambda inputs: list(FEW))
        return precision(images=3)


def test_every_cell_is_there_once(measured):
    cells = measured[["method", "budget", "inputs", "arithmetic"]]
    assert not cells.duplicated().any()
    assert len(cells) == len(FEW) * len(BUDGETS) * len(VARIANTS)
    assert set(measured["questions"]) == {6}
    assert set(measured["images"]) == {3}


def test_shares_are_shares_within_their_intervals(measured):
    ok = measured[measured["status"] == "ok"]
    assert len(ok) >= len(measured) * 0.7
    assert ((ok["low"] <= ok["changed"]) & (ok["changed"] <= ok["high"])).all()
    assert ok["low"].min() >= 0
    assert ok["high"].max() <= 1
    assert (ok.loc[ok["identical"] == 1, "changed"] == 0).all()


def test_what_looks_at_no_number_never_changes(measured):
    assert (measured.loc[measured["method"] == "random", "changed"] == 0).all()


def test_half_precision_throughout_changes_what_rounding_the_inputs_does_not(measured):
    """Sums of 96 products in bfloat16 err far beyond the inputs' own rounding."""
    own = measured[(measured["method"] == "similarity") & (measured["inputs"] == "bfloat16")]
    share = own.groupby("arithmetic")["changed"].mean()
    assert share["bfloat16"] > share["float32"]


def test_the_reference_is_no_variant():
    assert REFERENCE not in VARIANTS
    assert len(set(VARIANTS)) == len(VARIANTS)


def test_rounding_by_hand():
    """1 + 2^-9 is between two bfloat16 numbers, and is a float16 number; booleans stay."""
    x = torch.tensor([1 + 2.0**-9])
    assert rounded(x, Variant("bfloat16", "float64")).tolist() == [1.0]
    assert rounded(x, Variant("float16", "float64")).tolist() == [1 + 2.0**-9]
    mask = torch.tensor([True])
    assert rounded(mask, VARIANTS[0]) is mask


def test_a_choice_that_rounding_turns():
    """The better of two tokens by 2^-9 of cosine is the first under bfloat16, where they tie."""
    visual = torch.tensor([[[1.0, 0.07, 0.0], [1.0, 0.0, 0.0]]])
    text = torch.tensor([[[1.0, 0.0, 0.0]]])

    def chosen(variant):
        given = {"visual": visual, "text": text}
        mask = kept("similarity", given, variant, budget=1, seeds=[0], grid=(1, 2))
        assert not isinstance(mask, Refused)
        return mask[0].tolist()

    assert chosen(REFERENCE) == chosen(Variant("bfloat16", "float32")) == [False, True]
    assert chosen(Variant("bfloat16", "bfloat16")) == [True, False]


def test_a_refusal_has_its_reason(monkeypatch):
    def refuses(visual, *, budget):
        raise RuntimeError("no kernel for this precision" + chr(10) + "at line 1")

    method = dataclasses.replace(SELECTORS["divprune"], fn=refuses)
    monkeypatch.setitem(SELECTORS, "divprune", method)
    found = kept(
        "divprune", {"visual": torch.ones(1, 4, 3)}, VARIANTS[3], budget=2, seeds=[0], grid=()
    )
    assert found == Refused("no kernel for this precision")


# --- the page and the figure ----------------------------------------------------------------------


def test_the_page_is_that_of_the_committed_table():
    written = (ROOT / "docs" / "precision.md").read_text(encoding="utf-8")
    assert written == document(table()), "run `python -m analysis.precision.render`"


def test_the_committed_table_is_of_several_hundred_images_and_of_methods_that_exist():
    rows = table()
    assert rows["images"].min() >= 200
    assert set(rows["method"]) <= set(SELECTORS)
    assert set(rows["budget"]) == set(BUDGETS)


def test_the_page_names_what_has_no_answer(measured):
    rows = measured.copy()
    rows.loc[0, ["status", "changed"]] = ["no such kernel", None]
    page = document(rows)
    assert "no such kernel" in page
    assert "| none |" in page


def test_the_figure_draws_the_middle_budget_and_what_changes(measured, tmp_path):
    measured.to_csv(tmp_path / "dtypes.csv", index=False)
    drawn = figure.data(tmp_path / "dtypes.csv")
    assert set(drawn["budget"]) == {16}
    assert "random" not in set(drawn["method"])
    figure.main([str(tmp_path / "dtypes.csv"), str(tmp_path / "p.png")])
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_the_figure_refuses_another_table(tmp_path):
    (tmp_path / "dtypes.csv").write_text("method\nrandom\n")
    with pytest.raises(MissingInputError, match="changed"):
        figure.data(tmp_path / "dtypes.csv")
