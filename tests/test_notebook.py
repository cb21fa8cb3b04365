"""Records as data frames and as HTML: complete, escaped, and without reading what they need not."""

from __future__ import annotations

import inspect
from importlib import import_module
from xml.etree import ElementTree

import pytest
import torch
from bundle_samples import PROVENANCE
from hypothesis import given
from hypothesis import strategies as st

from analysis.dialogue import about_scene, ask
from mitheory import notebook, select
from mitheory.bundle import Bundle, BundleWriter
from mitheory.errors import ShapeError
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.selection import Selection
from mitheory.verdict import Effect, SmallestEffect, Verdict


def parsed(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{page}</div>")


def text_of(page: ElementTree.Element) -> str:
    return " ".join(page.itertext()).replace(" : ", ": ")


@given(
    title=st.text(st.characters(exclude_categories=["Cc", "Cs"])),
    text=st.text("<>&\"'ab", min_size=1),
)
def test_whatever_a_record_holds_is_text_of_the_page(title, text):
    """Of any title and text, the page parses, and gives both back as text."""
    page = parsed(notebook.table(title, "said", [("name", text)]))
    assert page.findtext(".//caption/b", default="") == title
    assert page.findtext(".//td") == text


@given(st.sets(st.integers(0, 30)))
def test_the_strip_has_a_mark_for_each_kept_token(chosen):
    """The x of the marks are the kept tokens."""
    page = parsed(notebook.strip(chosen, 31))
    assert [int(mark.get("x")) for mark in page.findall(".//g/rect")] == sorted(chosen)


def test_a_selection_shows_what_is_known_of_it():
    v = torch.eye(12)
    kept = select("similarity", visual=v, text=v[:2] + 0.1, budget=10)
    page = parsed(kept._repr_html_())
    said = text_of(page)
    assert "similarity: 10 of 12 tokens" in said
    assert "… 2 more" in said
    assert "exact" in said
    assert len(page.findall(".//g/rect")) == 10


def test_a_selection_as_a_frame_of_a_video():
    """Token 17 of 2 × 3 × 4: frame 2, row 1, column 2."""
    kept = Selection(torch.tensor([17, 0]), torch.tensor([2.0, 1.0]), "random", 2, 24)
    frame = kept.to_frame(grid=(2, 3, 4))
    assert frame.iloc[0].to_dict() == {
        "step": 1, "index": 17, "gain": 2.0, "row": 1, "column": 2, "frame": 2,
    }  # fmt: skip
    assert list(kept.to_frame().columns) == ["step", "index", "gain"]
    with pytest.raises(ShapeError, match="24 cells"):
        kept.to_frame(grid=(2, 3))


def test_a_verdict_shows_its_decision_and_interval():
    verdict = Verdict(
        "a<b", "empirical", "mean", n=25, unit="images", seed=0,
        effect=Effect("excess", "nats", 0.5, se=0.1, df=24),
        smallest_effect=SmallestEffect(0.1, "nats", "negligible", "an example"),
    )  # fmt: skip
    said = text_of(parsed(verdict._repr_html_()))
    for text in ("a<b: violated", "0.5 nats", "[0.294, 0.706]", "negligible 0.1 nats", "25 images"):
        assert text in said


def test_a_bundle_shows_what_is_in_it(tmp_path):
    samples = FruitFlyAdapter().encode(list(examples("test", limit=12)))
    with BundleWriter(tmp_path / "b", PROVENANCE) as writer:
        for sample in samples:
            writer.add(sample)
    with Bundle.open(tmp_path / "b") as bundle:
        frame = bundle.to_frame()
        said = text_of(parsed(bundle._repr_html_()))
    assert frame["question"].tolist() == [s.question for s in samples]
    assert frame["n_t"].tolist() == [s.n_t for s in samples]
    assert set(frame["n_v"]) == {144}
    assert set(frame["grid"]) == {(12, 12)}
    images = len({s.image_id for s in samples})
    for text in ("b: 12 samples", f"images {images}", "12×12", "visual", samples[0].question):
        assert text in said


# --- tables -----------------------------------------------------------------------------------

OFFERED = (
    "analysis", "analysis.ablation", "analysis.auditing", "analysis.calibration",
    "analysis.datasets", "analysis.dialogue", "analysis.evaluate", "analysis.extraction",
    "analysis.precision", "analysis.priors", "analysis.studies",
)  # fmt: skip
PLACES = {"extract_part", "part_of", "prepared", "save"}  # what writes a file or bundle says where
TABLES = {
    "analysis": ("ablate", "audit", "calibrate", "run_studies"),
    "analysis.evaluate": ("evaluate",),
    "analysis.precision": ("precision",),
    "analysis.reproduction": ("reproduce",),
    "analysis.datasets.listing": ("score_file",),
    "benchmarks.run": ("run",),
}


@pytest.mark.parametrize("module", TABLES)
def test_what_makes_tables_gives_data_frames(module):
    for name in TABLES[module]:
        gives = inspect.signature(getattr(import_module(module), name)).return_annotation
        kinds = ("pd.DataFrame", "pd.DataFrame | None", "dict[str, pd.DataFrame]")
        assert gives in kinds, name


@pytest.mark.parametrize("package", OFFERED)
def test_no_function_on_offer_gives_paths_of_results(package):
    """Whoever computes from Python is to have the results, and not to read files for them."""
    module = import_module(package)
    offered = {n: getattr(module, n) for n in module.__all__}
    gives = {
        name: str(inspect.signature(each).return_annotation)
        for name, each in offered.items()
        if inspect.isfunction(each)
    }
    assert [name for name in gives if "Path" in gives[name] and name not in PLACES] == []


def test_a_question_as_a_frame():
    """Two rows: with all tokens, and with what is kept."""
    asked = ask(FruitFlyAdapter(), about_scene(7), "mi_pruner", budget=16)
    full, pruned = asked.to_frame().to_dict("records")
    assert full == {
        "method": "full", "tokens": 144, "answer": asked.full.text,
        "log_prob": asked.full.log_prob, "log_prob_truth": asked.full.log_prob_truth,
        "seconds": asked.seconds["full"],
    }  # fmt: skip
    assert (pruned["method"], pruned["tokens"]) == ("mi_pruner", 16)
    assert pruned["log_prob"] == asked.pruned.log_prob != full["log_prob"]
