"""What the typed errors of the theory say, word for word: what was expected, and what came."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from mitheory.aggregation import AGGREGATIONS, joint
from mitheory.errors import (
    DistributionError,
    DTypeError,
    MissingInputError,
    MitheoryError,
    NonFiniteError,
    ParameterError,
    ShapeError,
    UnknownNameError,
)
from mitheory.priors import PriorContext, count_positions, empirical, resolve_prior
from mitheory.properties import curvature
from mitheory.scores import mi_score
from mitheory.setfunctions import (
    ChowLiuMI,
    Coverage,
    DiscreteMI,
    FacilityLocation,
    GaussianMI,
    LogDet,
    Modular,
)

EYE = torch.eye(2)
REFUSED: list[tuple[Callable[[], object], type[MitheoryError], str]] = [
    (lambda: Modular(torch.ones(2, 2)), ShapeError, "weights: expected 1 axis, got shape (2, 2)"),
    (
        lambda: FacilityLocation(torch.ones(2)),
        ShapeError,
        "similarity: expected 2 axes, got shape (2,)",
    ),
    (
        lambda: FacilityLocation(torch.tensor([[1.0, -0.5]])),
        ParameterError,
        "similarity: expected entries in [0.0, inf], got [-0.5, 1.0]",
    ),
    (
        lambda: Coverage(torch.ones(2), torch.ones(2)),
        ShapeError,
        "probability: expected 2 axes, got shape (2,)",
    ),
    (
        lambda: Coverage(torch.tensor([[1.5, 0.0]]), torch.ones(1)),
        ParameterError,
        "probability: expected entries in [0.0, 1.0], got [0.0, 1.5]",
    ),
    (
        lambda: Coverage(torch.ones(2, 2), torch.ones(2, 1)),
        ShapeError,
        "weights: expected 1 axis, got shape (2, 1)",
    ),
    (
        lambda: Coverage(torch.ones(2, 2), torch.tensor([1.0, -1.0])),
        ParameterError,
        "weights: expected entries in [0.0, inf], got [-1.0, 1.0]",
    ),
    (
        lambda: Coverage(torch.ones(2, 2), torch.ones(3)),
        ShapeError,
        "weights: expected (2,), got (3,)",
    ),
    (
        lambda: GaussianMI(torch.tensor([[1.0, 0.5], [0.0, 1.0]]), 1),
        ParameterError,
        "covariance: expected a symmetric matrix, got one that is not",
    ),
    (
        lambda: GaussianMI(torch.ones(2, 3), 1),
        ShapeError,
        "covariance: expected (2, 2), got (2, 3)",
    ),
    (lambda: GaussianMI(EYE, 0), ParameterError, "n_v: expected 1..1, got 0"),
    (lambda: GaussianMI(EYE, 2), ParameterError, "n_v: expected 1..1, got 2"),
    (
        lambda: GaussianMI(torch.ones(2, 2), 1),
        ParameterError,
        "covariance: expected a positive definite matrix, got one not so",
    ),
    (
        lambda: LogDet(torch.ones(2, 1), EYE),
        ShapeError,
        "relevance: expected 1 axis, got shape (2, 1)",
    ),
    (lambda: LogDet(torch.ones(3), EYE), ShapeError, "correlation: expected (3, 3), got (2, 2)"),
    (
        lambda: LogDet(torch.ones(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]])),
        ParameterError,
        "correlation: expected positive semidefinite, got eigenvalue -1",
    ),
    (
        lambda: LogDet(torch.ones(2), EYE, ridge=-0.5),
        ParameterError,
        "ridge: expected entries in [0.0, inf], got [-0.5, -0.5]",
    ),
    (
        lambda: ChowLiuMI(torch.ones(2, 1), EYE),
        ShapeError,
        "relevance: expected 1 axis, got shape (2, 1)",
    ),
    (lambda: ChowLiuMI(torch.ones(3), EYE), ShapeError, "redundancy: expected (3, 3), got (2, 2)"),
    (
        lambda: ChowLiuMI(torch.ones(2), -EYE),
        ParameterError,
        "redundancy: expected entries in [0.0, inf], got [-1.0, -0.0]",
    ),
    (
        lambda: DiscreteMI(torch.ones(2) / 2),
        ShapeError,
        "table: expected a table over V_1..V_n and T, got (2,)",
    ),
    (
        lambda: DiscreteMI([[0.5, 0.5]]),
        ShapeError,
        "table: expected a table over V_1..V_n and T, got list",
    ),
    (
        lambda: DiscreteMI(EYE),
        DistributionError,
        "table: expected probabilities summing to 1, got sum 2 and smallest 0",
    ),
    (
        lambda: DiscreteMI(torch.tensor([[1.5, -0.5]])),
        DistributionError,
        "table: expected probabilities summing to 1, got sum 1 and smallest -0.5",
    ),
    (
        lambda: DiscreteMI(torch.tensor([[math.nan, 0.5]])),
        NonFiniteError,
        "table: expected finite values, got 1 that are not, the first at (0, 0): nan",
    ),
    (
        lambda: curvature(lambda s: 0.0, 2),
        ParameterError,
        "curvature needs an element of positive value, got none",
    ),
    (lambda: mi_score(torch.ones(3), EYE), ShapeError, "self_pmi: expected (3, 3), got (2, 2)"),
    (
        lambda: mi_score(torch.ones(2), EYE, log_cond=torch.ones(3, 3)),
        ShapeError,
        "log_cond: expected (2, 2), got (3, 3)",
    ),
    (
        lambda: mi_score(torch.ones(2), EYE, aggregation="sum"),
        UnknownNameError,
        "unknown redundancy aggregation 'sum'. Known: global, max",
    ),
    (
        lambda: mi_score(torch.ones(2), EYE, aggregation="global"),
        ParameterError,
        'aggregation: "global" weighs with p(v_j | v_i); give log_cond',
    ),
    (
        lambda: mi_score(torch.ones(2), torch.full((2, 2), -math.inf), empty_redundancy="lowest"),
        ParameterError,
        'empty_redundancy: "lowest" is -inf for this PMI; give a number',
    ),
    (
        lambda: mi_score(torch.ones(2), EYE, empty_redundancy="least"),
        ParameterError,
        "empty_redundancy: expected a number or \"lowest\", got 'least'",
    ),
    (
        lambda: resolve_prior("stationary", PriorContext(n_v=2)),
        MissingInputError,
        "prior 'stationary' needs 'log_degree', which was not given",
    ),
    (
        lambda: resolve_prior(
            "stationary", PriorContext(n_v=2, log_degree=torch.full((2,), -math.inf))
        ),
        DistributionError,
        "log_degree: expected a token of positive degree, got none",
    ),
    (
        lambda: resolve_prior("energy", PriorContext(n_v=2)),
        MissingInputError,
        "prior 'energy' needs 'cross', which was not given",
    ),
    (
        lambda: resolve_prior("center_biased", PriorContext(n_v=2)),
        MissingInputError,
        "prior 'center_biased' needs 'grid', which was not given",
    ),
    (
        lambda: resolve_prior("rule_of_thirds", PriorContext(n_v=2)),
        MissingInputError,
        "prior 'rule_of_thirds' needs 'grid', which was not given",
    ),
    (
        lambda: resolve_prior("golden_ratio", PriorContext(n_v=2)),
        MissingInputError,
        "prior 'golden_ratio' needs 'grid', which was not given",
    ),
    (
        lambda: resolve_prior("golden_ratio", PriorContext(n_v=2, grid=(2,))),
        ShapeError,
        "grid: expected (rows, cols[, frames]), got (2,)",
    ),
    (
        lambda: resolve_prior("golden_ratio", PriorContext(n_v=2, grid=(2, 2))),
        ShapeError,
        "grid: expected a product of n_v = 2, got (2, 2)",
    ),
    (
        lambda: count_positions(torch.ones(2), 3),
        DTypeError,
        "positions: expected an int64 tensor, got torch.float32",
    ),
    (lambda: count_positions([1], 3), DTypeError, "positions: expected an int64 tensor, got list"),
    (
        lambda: empirical(torch.tensor([-1.0, 1.0])),
        DistributionError,
        "counts: expected non-negative counts, not all zero after smoothing",
    ),
    (
        lambda: empirical(torch.zeros(2), smoothing=0.0),
        DistributionError,
        "counts: expected non-negative counts, not all zero after smoothing",
    ),
    (
        lambda: joint(torch.ones(2, 2), torch.ones(2, 2)),
        ParameterError,
        "log_prior: aggregation 'joint' weighs by p(v), which was not given",
    ),
    (
        lambda: AGGREGATIONS["mean"](
            torch.ones(4, 2), torch.ones(4, 2), mask=torch.ones(3, dtype=torch.bool)
        ),
        ShapeError,
        "mask: expected a last axis of 2, got (3,)",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[m for _, _, m in REFUSED])
def test_a_refusal_says_what_was_expected_and_what_came(
    call: Callable[[], object], error: type[MitheoryError], message: str
) -> None:
    with pytest.raises(error) as refused:
        call()
    assert type(refused.value) is error
    assert str(refused.value) == message
