"""Every check quotes the argument, what was expected and what came."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mitheory import errors
from mitheory.checks import (
    check_budget,
    check_finite,
    check_log_distribution,
    check_mask,
    check_matrix,
    check_nonzero_rows,
    check_relevance_weight,
    check_temperature,
    lookup,
)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ([[1.0]], errors.DTypeError, "got list"),
        (torch.ones(2, 2, dtype=torch.int64), errors.DTypeError, "torch.int64"),
        (torch.ones(2), errors.ShapeError, r"\(2,\)"),
        (torch.ones(0, 2), errors.EmptyInputError, r"\(0, 2\)"),
    ],
)
def test_matrix(value: object, error: type[Exception], words: str) -> None:
    """Type before shape before emptiness."""
    with pytest.raises(error, match=f"visual.*{words}"):
        check_matrix("visual", value)


def test_finite_names_the_first_place() -> None:
    """The first NaN is pointed at, so that it can be found in a file of millions."""
    x = torch.zeros(3, 2)
    x[1, 1] = torch.nan
    x[2, 0] = torch.inf
    with pytest.raises(errors.NonFiniteError, match=r"2 that are not, the first at \(1, 1\)"):
        check_finite("text", x)


def test_zero_rows_count_only_where_real() -> None:
    """A zero row is an error unless it is padding."""
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(errors.ZeroNormError, match=r"1 zero rows, the first at \(1,\)"):
        check_nonzero_rows("visual", x)
    assert check_nonzero_rows("visual", x, mask=torch.tensor([True, False])) is x


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "0.1", True, None])
def test_temperature_refuses(value: object) -> None:
    """τ is a positive finite number."""
    with pytest.raises(errors.ParameterError, match="temperature"):
        check_temperature(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), "1", False])
def test_relevance_weight_refuses(value: object) -> None:
    """λ lies in [0, 1]; its ends are allowed."""
    with pytest.raises(errors.ParameterError, match="relevance_weight"):
        check_relevance_weight(value)  # type: ignore[arg-type]
    assert (check_relevance_weight(0), check_relevance_weight(1.0)) == (0.0, 1.0)


@pytest.mark.parametrize("budget", [0, -1, 11, 0.0, 1.01, -0.5, float("nan"), True, "5", None])
def test_budget_refuses(budget: object) -> None:
    """Neither zero nor more tokens than there are, nor a ratio outside of (0, 1]."""
    with pytest.raises(errors.BudgetError, match="budget"):
        check_budget(budget, 10)  # type: ignore[arg-type]


@given(st.integers(1, 1000), st.floats(0, 1, exclude_min=True))
def test_budget_of_a_ratio(n: int, ratio: float) -> None:
    """A ratio is rounded half up, to one token at least and all at most."""
    k = check_budget(ratio, n)
    assert 1 <= k <= n
    assert abs(k - ratio * n) <= 0.5 or k == 1


def test_log_distribution() -> None:
    """Rows log-sum-exp to 0; NaN is none."""
    good = torch.tensor([[0.25, 0.75], [1.0, 0.0]], dtype=torch.float64).log()
    assert check_log_distribution("log_cond", good) is good
    for bad in (good - 0.1, good * torch.nan):
        with pytest.raises(errors.DistributionError, match="log_cond"):
            check_log_distribution("log_cond", bad)


def test_lookup_lists_the_known_and_the_near() -> None:
    """A typo is answered with what was meant."""
    with pytest.raises(errors.UnknownNameError) as caught:
        lookup("sofmax", {"softmax": 1, "minmax": 2}, "conditional")
    assert "did you mean 'softmax'" in str(caught.value)
    assert "minmax" in str(caught.value)
    assert isinstance(caught.value, KeyError)


def test_every_error_is_ours_and_a_builtin() -> None:
    """One except clause catches all, and so does the builtin that a caller would expect."""
    kinds = [
        getattr(errors, n) for n in vars(errors) if n.endswith("Error") and n != "MitheoryError"
    ]
    assert len(kinds) >= 14
    for kind in kinds:
        assert issubclass(kind, errors.MitheoryError)
        assert issubclass(
            kind, (ValueError, TypeError, KeyError, ImportError, RuntimeError, OSError)
        )


def test_masks() -> None:
    """Boolean, of the tensor's shape, and something real in every sample."""
    mask = torch.tensor([[True, False], [True, True]])
    assert check_mask("visual_mask", mask, (2, 2)) is mask
    assert check_mask("visual_mask", None, (2, 2)) is None
    with pytest.raises(errors.DTypeError, match=r"visual_mask: .*torch\.int64"):
        check_mask("visual_mask", mask.long(), (2, 2))
    with pytest.raises(errors.DTypeError, match="list"):
        check_mask("visual_mask", [True], (1,))  # type: ignore[arg-type]
    with pytest.raises(errors.ShapeError, match=r"\(2, 3\), got \(2, 2\)"):
        check_mask("visual_mask", mask, (2, 3))
    with pytest.raises(errors.EmptyInputError, match=r"row \(1,\)"):
        check_mask("text_mask", torch.tensor([[True], [False]]), (2, 1))
    with pytest.raises(errors.EmptyInputError, match="text_mask"):
        check_mask("text_mask", torch.tensor([False]), (1,))


def test_numpy_numbers_are_numbers() -> None:
    """A budget or a weight may come out of an array."""
    assert check_budget(np.int64(3), 10) == 3
    assert check_budget(np.float32(0.5), 10) == 5
    assert check_temperature(np.float32(0.5)) == 0.5
    assert check_relevance_weight(np.int64(1)) == 1.0
    with pytest.raises(errors.BudgetError):
        check_budget(np.int64(11), 10)


@pytest.mark.parametrize(("ratio", "n", "kept"), [(0.25, 10, 3), (0.05, 10, 1), (0.01, 10, 1)])
def test_ratios_round_half_up(ratio: float, n: int, kept: int) -> None:
    """2.5 is 3 and 0.5 is 1, where rounding to even would say 2 and 0."""
    assert check_budget(ratio, n) == kept


def test_lookup_of_something_that_is_no_name() -> None:
    """An unhashable name is unknown, not a crash."""
    with pytest.raises(errors.UnknownNameError, match="Known: a"):
        lookup(["a"], {"a": 1}, "prior")  # type: ignore[arg-type]
