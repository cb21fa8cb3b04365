"""Numbers of `mitheory evaluate --table` beside the printed ones."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.evaluate.running import COLUMNS
from paper_figures import printed_tables, tab10
from paper_figures.results import Results

RESULTS = pd.DataFrame(columns=[
    "setting", "family", "method", "budget", "ratio", "relevance_weight", "temperature",
    "aggregation", "conditional", "word_aggregation", "draw", "sample_id", "image_id",
    "question_type", "negative", "answer", "prediction", "correct",
])  # fmt: skip


@pytest.fixture
def table(tmp_path):
    """Two measured cells of Tab. 10, and one that the paper does not print."""
    common = {"table": 10, "model": "LLaVA1.5-7B", "n": 9, "failed": 0, "draws": 1}
    rows = [
        {**common, "keep": "64", "method": "MI-Pruner", "metric": "POPE_average_acc",
         "value": 81.234, "low": 80.0, "high": 82.5},
        {**common, "keep": "full", "method": "Full", "metric": "POPE_average_yes",
         "value": 0.4567, "low": 0.44, "high": 0.47},
        {**common, "keep": "17", "method": "MI-Pruner", "metric": "POPE_average_acc",
         "value": 1.0, "low": 0.0, "high": 2.0},
    ]  # fmt: skip
    (tmp_path / "evaluate").mkdir()
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame.to_csv(tmp_path / "evaluate" / "tab10.csv", index=False)
    return tab10.data(Results(RESULTS, folder=tmp_path))


def test_measured_cells_stand_beside_the_printed_ones(table):
    """In the row and the unit of the paper, with as many digits; every printed cell is there."""
    ours = table[table.side == "ours"].set_index("column")
    assert list(ours.index) == ["mean acc here", "mean yes here"]
    assert ours.text.tolist() == ["81.23", "0.46"]
    assert (ours.low.tolist(), ours.high.tolist()) == ([80.0, 0.44], [82.5, 0.47])
    assert ours.method.tolist() == ["MI-Pruner", "Full"]
    assert (table.side == "printed").sum() == 156


def test_the_right_side_says_whose_numbers_they_are(table):
    caption = tab10.FIGURE.caption(table)
    assert "2 of its cells measured again" in caption
    assert "fruit-fly" not in caption
    for text in (printed_tables.html(table), printed_tables.latex(table)):
        assert printed_tables.AGAIN_HEADING in text
        assert printed_tables.OURS_HEADING not in text
