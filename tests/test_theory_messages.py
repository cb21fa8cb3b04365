"""What the typed errors of the theory say, word for word: what was expected, and what came."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from mitheory.aggregation import AGGREGATIONS, joint, resolve_aggregation
from mitheory.distributions import cosine_similarity, similarity
from mitheory.errors import (
    DistributionError,
    DTypeError,
    MissingInputError,
    MitheoryError,
    NonFiniteError,
    ParameterError,
    ShapeError,
    UnknownNameError,
    ZeroNormError,
)
from mitheory.pmi import cross_pmi, log_marginal, pmi, self_pmi
from mitheory.priors import PriorContext, count_positions, empirical, resolve_prior
from mitheory.properties import curvature
from mitheory.scores import mi_score
from mitheory.setfunctions import (
    COM,
    FLMI,
    FLQMI,
    GCMI,
    ChowLiuMI,
    Coverage,
    DiscreteMI,
    FacilityLocation,
    GaussianMI,
    LogDet,
    LogDetMI,
    LogMass,
    Modular,
)

EYE, ones = torch.eye(2), torch.ones
ZERO_ROW = (
    ": expected rows of positive norm, got 1 zero rows, the first at (0,); "
    "zero_norm='uninformative' gives them cosine 0 with everything"
)
REFUSED: list[tuple[Callable[[], object], type[MitheoryError], str]] = [
    (lambda: Modular(ones(2, 2)), ShapeError, "weights: expected 1 axis, got shape (2, 2)"),
    (
        lambda: FacilityLocation(ones(2)),
        ShapeError,
        "similarity: expected 2 axes, got shape (2,)",
    ),
    (
        lambda: FacilityLocation(torch.tensor([[1.0, -0.5]])),
        ParameterError,
        "similarity: expected entries in [0.0, inf], got [-0.5, 1.0]",
    ),
    (
        lambda: Coverage(ones(2), ones(2)),
        ShapeError,
        "probability: expected 2 axes, got shape (2,)",
    ),
    (
        lambda: Coverage(torch.tensor([[1.5, 0.0]]), ones(1)),
        ParameterError,
        "probability: expected entries in [0.0, 1.0], got [0.0, 1.5]",
    ),
    (
        lambda: Coverage(ones(2, 2), ones(2, 1)),
        ShapeError,
        "weights: expected 1 axis, got shape (2, 1)",
    ),
    (
        lambda: Coverage(ones(2, 2), torch.tensor([1.0, -1.0])),
        ParameterError,
        "weights: expected entries in [0.0, inf], got [-1.0, 1.0]",
    ),
    (
        lambda: Coverage(ones(2, 2), ones(3)),
        ShapeError,
        "weights: expected (2,), got (3,)",
    ),
    (
        lambda: GaussianMI(torch.tensor([[1.0, 0.5], [0.0, 1.0]]), 1),
        ParameterError,
        "covariance: expected a symmetric matrix, got one that is not",
    ),
    (
        lambda: GaussianMI(ones(2, 3), 1),
        ShapeError,
        "covariance: expected (2, 2), got (2, 3)",
    ),
    (lambda: GaussianMI(EYE, 0), ParameterError, "n_v: expected 1..1, got 0"),
    (lambda: GaussianMI(EYE, 2), ParameterError, "n_v: expected 1..1, got 2"),
    (
        lambda: GaussianMI(ones(2, 2), 1),
        ParameterError,
        "covariance: expected a positive definite matrix, got one not so",
    ),
    (
        lambda: LogDet(ones(2, 1), EYE),
        ShapeError,
        "relevance: expected 1 axis, got shape (2, 1)",
    ),
    (lambda: LogDet(ones(3), EYE), ShapeError, "correlation: expected (3, 3), got (2, 2)"),
    (
        lambda: LogDet(ones(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]])),
        ParameterError,
        "correlation: expected positive semidefinite, got eigenvalue -1",
    ),
    (
        lambda: LogDet(ones(2), EYE, ridge=-0.5),
        ParameterError,
        "ridge: expected entries in [0.0, inf], got [-0.5, -0.5]",
    ),
    (
        lambda: ChowLiuMI(ones(2, 1), EYE),
        ShapeError,
        "relevance: expected 1 axis, got shape (2, 1)",
    ),
    (lambda: ChowLiuMI(ones(3), EYE), ShapeError, "redundancy: expected (3, 3), got (2, 2)"),
    (
        lambda: ChowLiuMI(ones(2), -EYE),
        ParameterError,
        "redundancy: expected entries in [0.0, inf], got [-1.0, -0.0]",
    ),
    (
        lambda: DiscreteMI(ones(2) / 2),
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
    *(
        case
        for kind in (COM, FLQMI, GCMI)
        for case in (
            (
                lambda kind=kind: kind(ones(2)),
                ShapeError,
                "query: expected 2 axes, got shape (2,)",
            ),
            (
                lambda kind=kind: kind(torch.tensor([[1.0, -0.5]])),
                ParameterError,
                "query: expected entries in [0.0, inf], got [-0.5, 1.0]",
            ),
        )
    ),
    *(
        (
            lambda make=make: make(-0.5),
            ParameterError,
            "eta: expected entries in [0.0, inf], got [-0.5, -0.5]",
        )
        for make in (
            lambda eta: COM(EYE, eta=eta),
            lambda eta: FLQMI(EYE, eta=eta),
            lambda eta: FLMI(EYE, EYE, eta=eta),
        )
    ),
    (
        lambda: GCMI(EYE, weight=-0.5),
        ParameterError,
        "weight: expected entries in [0.0, inf], got [-0.5, -0.5]",
    ),
    (
        lambda: COM(EYE, concave="cube"),
        UnknownNameError,
        "unknown concave function 'cube'. Known: log1p, sqrt",
    ),
    (
        lambda: LogMass(ones(2), ones(2)),
        ShapeError,
        "probability: expected 2 axes, got shape (2,)",
    ),
    (
        lambda: LogMass(torch.tensor([[1.5, 0.0]]), ones(1)),
        ParameterError,
        "probability: expected entries in [0.0, 1.0], got [0.0, 1.5]",
    ),
    (
        lambda: LogMass(ones(2, 2), ones(2, 1)),
        ShapeError,
        "weights: expected 1 axis, got shape (2, 1)",
    ),
    (
        lambda: LogMass(ones(2, 2), torch.tensor([1.0, -1.0])),
        ParameterError,
        "weights: expected entries in [0.0, inf], got [-1.0, 1.0]",
    ),
    (lambda: LogMass(ones(2, 2), ones(3)), ShapeError, "weights: expected (2,), got (3,)"),
    *(
        (
            lambda floor=floor: LogMass(EYE, ones(2), floor=floor),
            ParameterError,
            f"floor: expected a positive number, got {floor!r}",
        )
        for floor in (0.0, math.inf)
    ),
    (
        lambda: FLMI(ones(2), EYE),
        ShapeError,
        "similarity: expected 2 axes, got shape (2,)",
    ),
    (
        lambda: FLMI(-EYE, EYE),
        ParameterError,
        "similarity: expected entries in [0.0, inf], got [-1.0, -0.0]",
    ),
    (lambda: FLMI(EYE, ones(2)), ShapeError, "query: expected 2 axes, got shape (2,)"),
    (
        lambda: FLMI(EYE, -EYE),
        ParameterError,
        "query: expected entries in [0.0, inf], got [-1.0, -0.0]",
    ),
    (lambda: FLMI(EYE, ones(3, 1)), ShapeError, "query: expected (2, q), got (3, 1)"),
    (
        lambda: LogDetMI(ones(2, 3), ones(2, 1), ones(1, 1)),
        ShapeError,
        "kernel: expected (2, 2), got (2, 3)",
    ),
    (
        lambda: LogDetMI(EYE, ones(2), ones(1, 1)),
        ShapeError,
        "query: expected 2 axes, got shape (2,)",
    ),
    (
        lambda: LogDetMI(EYE, ones(2, 1), EYE),
        ShapeError,
        "query_kernel: expected (1, 1), got (2, 2)",
    ),
    (
        lambda: LogDetMI(EYE, 0.1 * ones(2, 1), ones(1, 1), eta=1.5),
        ParameterError,
        "eta: expected entries in [0.0, 1.0], got [1.5, 1.5]",
    ),
    (
        lambda: LogDetMI(EYE, ones(3, 1), ones(1, 1)),
        ShapeError,
        "query: expected (2, q), got (3, 1)",
    ),
    (
        lambda: LogDetMI(EYE, ones(2, 1), ones(1, 1)),
        ParameterError,
        "kernel: expected a positive definite joint matrix, got one not so",
    ),
    (
        lambda: curvature(lambda s: 0.0, 2),
        ParameterError,
        "curvature needs an element of positive value, got none",
    ),
    (lambda: mi_score(ones(3), EYE), ShapeError, "self_pmi: expected (3, 3), got (2, 2)"),
    (
        lambda: mi_score(ones(2), EYE, log_cond=ones(3, 3)),
        ShapeError,
        "log_cond: expected (2, 2), got (3, 3)",
    ),
    (
        lambda: mi_score(ones(2), EYE, aggregation="sum"),
        UnknownNameError,
        "unknown redundancy aggregation 'sum'. Known: global, max",
    ),
    (
        lambda: mi_score(ones(2), EYE, aggregation="global"),
        ParameterError,
        'aggregation: "global" weighs with p(v_j | v_i); give log_cond',
    ),
    (
        lambda: mi_score(ones(2), torch.full((2, 2), -math.inf), empty_redundancy="lowest"),
        ParameterError,
        'empty_redundancy: "lowest" is -inf for this PMI; give a number',
    ),
    (
        lambda: mi_score(ones(2), EYE, empty_redundancy="least"),
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
        lambda: count_positions(ones(2), 3),
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
        lambda: joint(ones(2, 2), ones(2, 2)),
        ParameterError,
        "log_prior: aggregation 'joint' weighs by p(v), which was not given",
    ),
    (
        lambda: AGGREGATIONS["mean"](ones(4, 2), ones(4, 2), mask=ones(3, dtype=torch.bool)),
        ShapeError,
        "mask: expected a last axis of 2, got (3,)",
    ),
    (
        lambda: cross_pmi(ones(2, 3), ones(2, 3), temperature=1.0, conditional="soft"),
        UnknownNameError,
        "unknown conditional 'soft'; did you mean 'softmax'? Known: joint, minmax, sinkhorn, "
        "softmax, softmax_over_vision",
    ),
    (
        lambda: cross_pmi(
            ones(2, 3), ones(2, 3), temperature=1.0, visual_mask=ones(3, dtype=torch.bool)
        ),
        ShapeError,
        "visual_mask: expected shape (2,), got (3,)",
    ),
    (
        lambda: cross_pmi(
            ones(2, 3), ones(2, 3), temperature=1.0, text_mask=ones(3, dtype=torch.bool)
        ),
        ShapeError,
        "text_mask: expected shape (2,), got (3,)",
    ),
    (
        lambda: cross_pmi(
            ones(2, 3), ones(2, 3), temperature=1.0, conditional="joint", prior="stationary"
        ),
        ParameterError,
        "prior: conditional 'joint' has its own, 'energy'; got 'stationary'",
    ),
    (
        lambda: cross_pmi(
            ones(2, 3), ones(2, 3), temperature=1.0, conditional="joint", prior=ones(2) / 2
        ),
        ParameterError,
        "prior: conditional 'joint' has its own, 'energy'; got a tensor",
    ),
    (
        lambda: self_pmi(ones(3), temperature=1.0),
        ShapeError,
        "visual: expected 2 axes or more, got shape (3,)",
    ),
    (
        lambda: self_pmi(ones(2, 3), temperature=1.0, visual_mask=ones(3, dtype=torch.bool)),
        ShapeError,
        "visual_mask: expected shape (2,), got (3,)",
    ),
    (
        lambda: self_pmi(ones(2, 3), temperature=1.0, conditional="minmax", prior="stationary"),
        MissingInputError,
        "prior 'stationary' needs 'log_degree', which was not given",
    ),
    (
        lambda: pmi(ones(2, 3), ones(2)),
        ShapeError,
        "log_cond and log_marginal: expected one number of columns, got 3 and 2",
    ),
    (
        lambda: log_marginal(ones(2, 3).log_softmax(-1), ones(2)),
        DistributionError,
        "log_prior: expected rows that log-sum-exp to 0 within 0.0001, got 1.69315",
    ),
    (
        lambda: cosine_similarity(torch.zeros(1, 2), ones(1, 2)),
        ZeroNormError,
        f"x{ZERO_ROW}",
    ),
    (
        lambda: cosine_similarity(ones(1, 2), torch.zeros(1, 2)),
        ZeroNormError,
        f"y{ZERO_ROW}",
    ),
    (
        lambda: similarity(ones(1, 2), torch.zeros(1, 2), temperature=1.0),
        ZeroNormError,
        f"y{ZERO_ROW}",
    ),
    (
        lambda: resolve_aggregation("least"),
        UnknownNameError,
        "unknown aggregation 'least'. Known: joint, kl, lse, max, mean, renyi:<alpha>",
    ),
    (
        lambda: resolve_aggregation("renyi:x"),
        ParameterError,
        "aggregation: expected renyi:<number >= 1>, got 'renyi:x'",
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
