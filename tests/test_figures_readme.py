"""The pictures of the README: the ledger line by line, and one command for all of them."""

from __future__ import annotations

import re
import shutil

import pytest
from matplotlib.image import imread
from structure import ROOT
from test_plot import verdicts

from mitheory.errors import MissingInputError
from mitheory.plot import style, verdict_table
from paper_figures import readme

RESULTS = ROOT / "docs" / "results"


def test_a_line_says_what_is_measured_and_the_verdict():
    """Of a claim with an effect two lines, the claim above the middle of its row; of others one."""
    (ax,) = readme.draw(verdict_table(verdicts())).axes
    above = {t.get_text(): y for t, y in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}
    below = ax.get_yticklabels(minor=True), ax.get_yticks(minor=True)
    assert [t.get_text() for t in below[0]] == ["gain", "gain"]
    assert below[1].tolist() == [readme.HALF, 1 + readme.HALF]
    assert above == {
        "it grows": -readme.HALF, "far out": 1 - readme.HALF, "proved": 2, "not run": 3,
    }  # fmt: skip
    (right,) = ax.child_axes
    assert [t.get_text() for t in right.get_yticklabels()] == [
        "✓ holds  0.5 nats [0.397, 0.603]",
        "✗ violated  −9 nats [−9.1, −8.9]",
        "✓ verified  3 instances",
        "– unassessed",
    ]


def test_every_picture_of_a_run_is_drawn_beside_it(tmp_path, monkeypatch):
    """As wide as the others, and nothing is written into the run."""
    monkeypatch.setattr(readme, "FIGURES", ("accuracy_budget",))
    before = sorted(p.name for p in RESULTS.rglob("*"))
    assert readme.main([str(RESULTS), str(tmp_path / "images")]) == 0
    assert sorted(p.name for p in RESULTS.rglob("*")) == before
    widths = {p.name: imread(p).shape[1] for p in (tmp_path / "images").iterdir()}
    wide = round(style.PAGE * style.DPI)
    assert widths == {"accuracy_budget.png": wide, "verdicts.png": wide}


@pytest.mark.parametrize("lacking", ["audit/verdicts.json", "studies/predictions.parquet"])
def test_a_run_that_lacks_something_leaves_the_pictures_alone(
    tmp_path, monkeypatch, capsys, lacking
):
    monkeypatch.setattr(readme, "FIGURES", ("predictions",))
    shutil.copytree(RESULTS, tmp_path / "run")
    (tmp_path / "run" / lacking).unlink()
    assert readme.main([str(tmp_path / "run"), str(tmp_path / "images")]) == 2
    assert not (tmp_path / "images").exists()
    assert "error: " in capsys.readouterr().err
    with pytest.raises(MissingInputError):
        readme.write(tmp_path / "run", tmp_path / "images")


def test_the_pictures_of_the_readme_are_those_that_the_command_draws():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"docs/images/(\w+)\.png", text))
    assert shown <= {*readme.FIGURES, readme.LEDGER}
    assert all((ROOT / "docs" / "images" / f"{name}.png").is_file() for name in shown)
