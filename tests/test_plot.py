"""`mitheory.plot`: what is drawn where, by hand; and that nothing heavy is loaded for it."""

from __future__ import annotations

import subprocess
import sys
from inspect import signature

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from mitheory import plot
from mitheory.errors import (
    DTypeError,
    EmptyInputError,
    MissingInputError,
    NonFiniteError,
    ParameterError,
    ShapeError,
    UnknownNameError,
)
from mitheory.plot.views import View, views_of
from mitheory.selection import Selection
from mitheory.verdict import Effect, SmallestEffect, Verdict, unassessed


@pytest.fixture
def ax():
    return Figure().subplots()


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, size=(height, width, 3), dtype=np.uint8)


def shown(ax, i: int = 0) -> np.ndarray:
    return np.asarray(ax.images[i].get_array())


def untouched(drawn: np.ndarray, original: np.ndarray) -> np.ndarray:
    return (drawn == original).all(axis=2)


# --- light ------------------------------------------------------------------------------------


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_plot_is_imported_on_use():
    heavy = "[m for m in ('matplotlib', 'pandas', 'seaborn', 'torch') if m in sys.modules]"
    assert run(f"import sys, mitheory; mitheory.plot; print({heavy})") == "[]"


def test_no_function_needs_torch():
    code = (
        "import sys, matplotlib; matplotlib.use('Agg'); import numpy as np;"
        "from mitheory import plot;"
        "[getattr(plot, n) for n in plot.__all__];"
        "plot.kept_patches(np.zeros((4, 4, 3)), [0], grid=(2, 2)); print('torch' in sys.modules)"
    )
    assert run(code) == "False"


# --- manners ----------------------------------------------------------------------------------

CALLS = {
    "accuracy_budget": lambda **on: plot.accuracy_budget(curves(), **on),
    "agreement": lambda **on: plot.agreement(pd.DataFrame(np.eye(3)), **on),
    "agreement_tree": lambda **on: plot.agreement_tree(pd.DataFrame(np.eye(3)), **on),
    "kept_patches": lambda **on: plot.kept_patches(image(4, 4), [0], grid=(2, 2), **on),
    "pmi_matrix": lambda **on: plot.pmi_matrix(np.eye(3), **on),
    "score_map": lambda **on: plot.score_map(np.arange(4), grid=(2, 2), **on),
    "verdict_ledger": lambda **on: plot.verdict_ledger(verdicts(), **on),
}


def test_what_draws_takes_axes_and_the_rest_returns_something_else():
    """Who is forgotten in `CALLS` is found by its signature."""
    functions = {name: getattr(plot, name) for name in plot.__all__}
    signatures = {n: signature(f) for n, f in functions.items() if not isinstance(f, type)}
    drawing = {name for name, s in signatures.items() if "Axes" in str(s.return_annotation)}
    assert drawing == {name for name, s in signatures.items() if "ax" in s.parameters}
    assert drawing == set(CALLS)
    for name in drawing:
        asked = signatures[name].parameters["ax"]
        assert (asked.kind, asked.default) == (asked.KEYWORD_ONLY, None)


@pytest.mark.parametrize("name", plot.__all__)
def test_everything_on_offer_shows_how_it_is_called(name):
    assert ">>> " in (getattr(plot, name).__doc__ or "")


@pytest.mark.parametrize("name", CALLS)
def test_a_plot_is_drawn_on_the_axes_that_it_is_given_and_gives_them_back(name, ax):
    figure = ax.figure
    beside = figure.add_axes((0.9, 0.9, 0.1, 0.1))
    assert CALLS[name](ax=ax) is ax
    assert ax.has_data()
    assert not beside.has_data()
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", CALLS)
def test_without_axes_a_plot_is_drawn_on_the_current_ones(name):
    try:
        current = plt.figure().subplots()
        assert CALLS[name]() is current
        assert current.has_data()
    finally:
        plt.close("all")


# --- patches ----------------------------------------------------------------------------------


def test_kept_patches_on_a_grid_that_does_not_divide_the_image(ax):
    """Every pixel belongs to the cell it lies in: row y to y·rows // height."""
    pixels = image(7, 10)
    plot.kept_patches(pixels, [1, 5], grid=(2, 3), ax=ax)
    expected = np.zeros((7, 10), dtype=bool)
    expected[:4, 4:7] = True  # rows 0..3 of 7 in the first of 2, columns 4..6 of 10 in the second
    expected[4:, 7:] = True
    np.testing.assert_array_equal(untouched(shown(ax), pixels), expected)


@given(
    sides=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    scale=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    data=st.data(),
)
def test_faded_is_the_mask_blown_up(sides, scale, data):
    """On sides that are multiples of the grid, faded is `repeat` of the mask along both axes."""
    n = sides[0] * sides[1]
    kept = data.draw(st.lists(st.integers(0, n - 1), unique=True))
    pixels = image(sides[0] * scale[0], sides[1] * scale[1])
    mask = np.isin(np.arange(n), kept).reshape(sides)
    blown = mask.repeat(scale[0], axis=0).repeat(scale[1], axis=1)
    np.testing.assert_array_equal(untouched(plot.faded(pixels, kept, sides), pixels), blown)


@pytest.mark.parametrize(
    "kept",
    [
        [3, 0],
        np.array([True, False, False, True]),
        torch.tensor([3, 0]),
        Selection(torch.tensor([3, 0]), torch.zeros(2), "random", 2, 4),
    ],
    ids=["list", "mask", "tensor", "selection"],
)
def test_a_kept_set_in_any_form_draws_the_same(ax, kept):
    pixels = image(4, 4)
    plot.kept_patches(torch.from_numpy(pixels), kept, grid=(2, 2), ax=ax)
    same = untouched(shown(ax), pixels)
    assert same[:2, :2].all()
    assert same[2:, 2:].all()
    assert same.sum() == 8


def test_order_writes_the_step_in_the_middle_of_its_patch(ax):
    plot.kept_patches(image(4, 8), [3, 0], grid=(2, 2), order=True, ax=ax)
    written = {t.get_text(): t.get_position() for t in ax.texts}
    assert written == {"1": (5.5, 2.5), "2": (1.5, 0.5)}


def test_frames_stand_on_a_contact_sheet_in_their_order(ax):
    video = np.stack([np.full((2, 2, 3), 10 * i, dtype=np.uint8) for i in range(4)])
    plot.kept_patches(video, [0, 7], grid=(1, 2, 4), columns=2, ax=ax)
    assert [t.get_text() for t in ax.texts] == [f"frame {i}" for i in (1, 2, 3, 4)]
    assert untouched(shown(ax, 0), video[0])[:, 0].all()
    assert not untouched(shown(ax, 1), video[1]).any()
    assert untouched(shown(ax, 3), video[3])[:, 1].all()
    lefts, tops = zip(*[(i.get_extent()[0], i.get_extent()[3]) for i in ax.images], strict=True)
    assert lefts[0] == lefts[2] < lefts[1] == lefts[3]
    assert tops[0] == tops[1] < tops[2] == tops[3]


def test_a_grid_with_fewer_frames_shows_the_first_of_each_run(ax):
    video = np.stack([np.full((1, 1, 3), i, dtype=np.uint8) for i in range(6)])
    plot.kept_patches(video, [0, 1, 2], grid=(1, 1, 3), ax=ax)
    assert [int(shown(ax, i)[0, 0, 0]) for i in range(3)] == [0, 2, 4]
    with pytest.raises(ParameterError, match="multiple of the grid's 4 frames"):
        plot.kept_patches(video, [0], grid=(1, 1, 4), ax=ax)


def test_views_cut_the_picture_and_skip_cells_without_token(ax):
    """Any-resolution: the whole image on 1 × 2, its right half on 2 × 1, token 4 a line's end."""
    pixels = image(4, 4)
    views = [
        View(np.array([[0, 1]]), label="whole"),
        View(np.array([[2], [-1]]), box=(0.5, 0.0, 1.0, 1.0), label="right"),
    ]
    kept = np.array([False, True, True, False, True])
    plot.kept_patches(pixels, kept, views=views, ax=ax)
    np.testing.assert_array_equal(
        untouched(shown(ax, 0), pixels), np.tile([False, False, True, True], (4, 1))
    )
    part = pixels[:, 2:]
    np.testing.assert_array_equal(
        untouched(shown(ax, 1), part), np.repeat([[True], [False]], 2, axis=0).repeat(2, axis=1)
    )


def test_views_at_coordinates_number_pictures_and_leave_out_line_ends():
    """Two images, the second of two frames; a line's end in the first; nothing in a corner."""
    coords = [
        [0, 0, 0, 0, 0], [0, 0, 0, 0, -1], [0, 1, 0, 1, 1],
        [1, 0, 0, 0, 0], [1, 0, 1, 0, 0],
    ]  # fmt: skip
    found = plot.views_at(coords)
    assert [view.tokens.tolist() for view in found] == [[[0]], [[-1, -1], [-1, 2]], [[3]], [[4]]]
    assert [view.frame for view in found] == [0, 0, 1, 2]
    assert [view.label for view in found][1:3] == [
        "image 1, view 2, frame 1", "image 2, view 1, frame 1",
    ]  # fmt: skip
    with pytest.raises(ShapeError, match="two in view"):
        plot.views_at([[0, 0, 0, 0, 0]] * 2)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: plot.kept_patches(image(4, 4), [4], grid=(2, 2)), ShapeError),
        (lambda: plot.kept_patches(image(4, 4), [0.5], grid=(2, 2)), DTypeError),
        (lambda: plot.kept_patches(image(4, 4), [0]), ParameterError),
        (lambda: plot.kept_patches(image(4, 4), np.ones(5, bool), grid=(2, 2)), ShapeError),
        (lambda: plot.kept_patches(image(4, 4)[..., 0], [0], grid=(2, 2)), ShapeError),
        (lambda: plot.kept_patches(image(4, 4).astype(int), [0], grid=(2, 2)), DTypeError),
        (lambda: plot.kept_patches(image(4, 4) * 2.0, [0], grid=(2, 2)), ParameterError),
        (lambda: plot.kept_patches(image(4, 4), [0], grid=(4,)), ShapeError),
        (lambda: plot.kept_patches(image(4, 4), [0], grid=(2, 0)), DTypeError),
        (lambda: View(np.array([[0, 0]])), ShapeError),
        (lambda: View(np.array([[0]]), box=(0.5, 0, 0.5, 1)), ParameterError),
        (lambda: views_of((1, 1, 2), seconds=[0.0]), ShapeError),
        (lambda: plot.score_map([1.0, 2.0], grid=(2, 2)), ShapeError),
        (lambda: plot.score_map([np.nan, 2.0], grid=(1, 2)), NonFiniteError),
        (lambda: plot.pmi_matrix([[1.0]], words=["a", "b"]), ShapeError),
        (lambda: plot.pmi_matrix([[np.inf]]), NonFiniteError),
        (lambda: plot.kept_overlap({"a": [[0]], "b": [[0], [1]]}, n=2), ShapeError),
        (lambda: plot.kept_overlap({"a": [[]], "b": [[]]}, n=2), EmptyInputError),
        (lambda: plot.kept_overlap({"a": [[0]]}), MissingInputError),
        (lambda: plot.verdict_ledger([]), MissingInputError),
    ],
)
def test_what_does_not_belong_together_is_refused(call, error):
    with pytest.raises(error):
        call()


# --- matrices and maps ------------------------------------------------------------------------


def test_a_score_map_stands_on_its_grid_with_the_image_below(ax):
    plot.score_map(torch.tensor([0.0, 1.0, -torch.inf, 3.0]), grid=(2, 2), image=image(6, 4), ax=ax)
    below, heat = ax.images
    assert list(below.get_extent()) == list(heat.get_extent()) == [-0.5, 3.5, 5.5, -0.5]
    assert heat.get_array().tolist() == [[0.0, 1.0], [None, 3.0]]  # −inf: no color
    assert heat.get_clim() == (0.0, 3.0)


def test_colors_of_pmi_saturate_at_one_in_a_hundred(ax):
    values = np.concatenate([np.linspace(-1, 1, 99), [50.0]])[:, None]
    plot.pmi_matrix(values, kept=[0], ax=ax)
    low, high = ax.images[0].get_clim()
    assert low == -high
    assert 1 <= high < 2


# --- agreement --------------------------------------------------------------------------------


def test_overlap_by_hand():
    """{0,1} and {1,2} share one of three; {0,1} and {2,3} none: mean 1/6."""
    kept = {"a": [[0, 1], [0, 1]], "b": [[1, 2], [2, 3]]}
    table = plot.kept_overlap(kept, n=4)
    np.testing.assert_allclose(table.to_numpy(), [[1, 1 / 6], [1 / 6, 1]])


def test_agreement_of_a_long_table_is_that_of_the_square_one(ax):
    square = pd.DataFrame(
        [[1.0, 0.1, 0.9], [0.1, 1.0, 0.2], [0.9, 0.2, 1.0]], index=list("abc"), columns=list("abc")
    )
    long = pd.DataFrame(
        [("b", "a", 0.1), ("c", "a", 0.9), ("b", "c", 0.2)], columns=["first", "second", "estimate"]
    )
    names = []
    for data in (square, long):
        ax = plot.agreement(data, ax=Figure().subplots())
        order = [t.get_text() for t in ax.get_yticklabels()]
        values = pd.DataFrame(shown(ax), index=order, columns=order)
        np.testing.assert_allclose(values.loc[list("abc"), list("abc")], square)
        names.append(order)
        assert abs(order.index("a") - order.index("c")) == 1  # who agrees stands together
    with pytest.raises(MissingInputError, match="1 are missing"):
        plot.agreement(long.iloc[:2], ax=ax)


def test_the_tree_joins_at_the_mean_agreement(ax):
    """a and c at 0.9; b with both at the mean of 0.1 and 0.2."""
    square = pd.DataFrame(
        [[1.0, 0.1, 0.9], [0.1, 1.0, 0.2], [0.9, 0.2, 1.0]], index=list("abc"), columns=list("abc")
    )
    plot.agreement_tree(square, ax=ax)
    joined = sorted(min(line.get_ydata()) for line in ax.lines)
    np.testing.assert_allclose(joined, [15.0, 90.0])


# --- curves -----------------------------------------------------------------------------------


def curves() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("full", 1.0, 0.9, 0.88, 0.92),
            ("mi_pruner", 0.5, 0.8, 0.7, 0.85),
            ("mi_pruner", 0.1, 0.6, 0.5, 0.75),
            ("random", 0.5, 0.7, 0.6, 0.8),
        ],
        columns=["series", "ratio", "estimate", "low", "high"],
    )


def test_curves_are_drawn_in_per_cent_with_bands(ax):
    plot.accuracy_budget(curves(), errors="band", ax=ax)
    first = ax.lines[0]
    np.testing.assert_allclose(first.get_xdata(), [0.1, 0.5])
    np.testing.assert_allclose(first.get_ydata(), [60, 80])
    vertices = ax.collections[0].get_paths()[0].vertices
    assert {50.0, 75.0, 70.0, 85.0} <= set(np.round(vertices[:, 1], 9))
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "MI-Pruner", "Random", "All tokens",
    ]  # fmt: skip


def test_curves_without_intervals_say_what_is_missing(ax):
    bare = curves().drop(columns=["low", "high"])
    with pytest.raises(MissingInputError, match="low"):
        plot.accuracy_budget(bare, ax=ax)
    plot.accuracy_budget(bare, errors="none", hue_order=["random"], legend=False, ax=ax)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [70])
    with pytest.raises(UnknownNameError):
        plot.accuracy_budget(bare, errors="bar", ax=ax)
    twice = pd.concat([curves(), curves().iloc[[3]]])
    with pytest.raises(ParameterError, match="1 stand twice"):
        plot.accuracy_budget(twice, ax=ax)


def test_accuracy_averages_draws_before_questions():
    """Two draws of one question and one of another, in another image: (1/2 + 1) / 2."""
    rows = pd.DataFrame(
        {
            "sample_id": ["a", "a", "b"],
            "image_id": ["1", "1", "2"],
            "ratio": 0.5,
            "correct": [True, False, True],
        }
    )
    (found,) = plot.accuracy_table(rows, ["ratio"]).to_dict("records")
    assert (found["estimate"], found["questions"], found["scenes"]) == (0.75, 2, 2)
    assert (found["low"], found["high"]) == (0.5, 1.0)


# --- ledger -----------------------------------------------------------------------------------


def verdicts() -> list[Verdict]:
    smallest = SmallestEffect(0.1, "nats", "at_least", "an example")
    graded = {"n": 25, "unit": "images", "seed": 0, "smallest_effect": smallest}
    return [
        Verdict(
            "it_grows", "empirical", "m", effect=Effect("gain", "nats", 0.5, 0.05, 24), **graded
        ),
        Verdict(
            "far_out", "empirical", "m", effect=Effect("gain", "nats", -9.0, 0.05, 24), **graded
        ),
        Verdict("proved", "theorem", "m", n=3, unit="instances", seed=0, checked=3),
        unassessed("not_run", "empirical", "no data", seed=0),
    ]


def test_the_ledger_has_a_line_for_each_verdict(ax):
    table = plot.verdict_table(verdicts())
    np.testing.assert_allclose(table["estimate"], [5.0, -90.0, np.nan, np.nan])
    plot.verdict_ledger(table, ax=ax)
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "it grows", "far out", "proved", "not run",
    ]  # fmt: skip
    (right,) = ax.child_axes
    written = " ".join(t.get_text() for t in right.get_yticklabels())
    for text in ("✓ holds", "✗ violated", "✓ verified", "– unassessed", "0.5 nats", "3 instances"):
        assert text in written
    assert written.endswith("– unassessed"), "no count of what was not run"
    markers = [line.get_marker() for line in ax.lines if len(line.get_xdata()) == 1]
    assert markers == ["o", "<"]  # beyond the axis: an arrow
