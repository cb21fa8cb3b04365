"""Priors: they are distributions, sit where they should, and the stationary one is."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import embeddings, pairs
from torch import Tensor

from mitheory.distributions import joint_softmax, similarity, sinkhorn, softmax
from mitheory.errors import (
    DistributionError,
    DTypeError,
    MissingInputError,
    ShapeError,
    UnknownNameError,
)
from mitheory.pmi import log_marginal, pmi
from mitheory.priors import (
    PRIORS,
    PriorContext,
    count_positions,
    empirical,
    resolve_prior,
    stationary,
)


def context(visual: Tensor, text: Tensor, grid: tuple[int, ...]) -> PriorContext:
    """Everything any prior asks for."""
    degree = similarity(visual, visual, temperature=0.1).logsumexp(-1)
    cross = similarity(visual, text, temperature=0.1)
    return PriorContext(len(visual), degree, cross, grid, dtype=visual.dtype)


@pytest.mark.parametrize("name", PRIORS)
@given(pair=pairs(visual=(6, 6)))
def test_priors_sum_to_one(name: str, pair: tuple[Tensor, Tensor]) -> None:
    """Every prior is a distribution over the tokens."""
    log_prior = PRIORS[name](context(*pair, grid=(2, 3)))
    assert log_prior.shape == (6,)
    torch.testing.assert_close(log_prior.exp().sum(), torch.ones((), dtype=torch.float64))


@pytest.mark.parametrize("name", PRIORS)
@given(pair=pairs(visual=(6, 6)))
def test_priors_of_padded_batches(name: str, pair: tuple[Tensor, Tensor]) -> None:
    """Padding has probability 0 and does not move the rest."""
    if name in ("center_biased", "rule_of_thirds", "golden_ratio"):
        return  # a grid fixes n_v: there is no padding
    visual, text = pair
    alone = PRIORS[name](context(visual, text, (2, 3)))
    full = context(torch.cat([visual, torch.ones(2, visual.shape[1])]), text, (2, 4))
    mask = torch.arange(8) < 6
    degree = similarity(visual, visual, temperature=0.1).logsumexp(-1)
    padded = PriorContext(
        8,
        torch.cat([degree, torch.zeros(2)]),
        full.cross,
        visual_mask=mask,
        dtype=torch.float64,
    )
    torch.testing.assert_close(PRIORS[name](padded)[:6], alone)
    assert (PRIORS[name](padded)[6:] == -torch.inf).all()


def test_positions_by_hand() -> None:
    """On a 9 x 9 grid: the center peaks in the middle, the thirds at four symmetric crossings."""
    at = {n: PRIORS[n](PriorContext(81, grid=(9, 9))).view(9, 9) for n in PRIORS if "_" in n}
    assert at["center_biased"].argmax() == 40
    thirds = at["rule_of_thirds"]
    assert thirds[2, 2] > thirds[4, 4]
    for name, prior in at.items():
        torch.testing.assert_close(prior, prior.flip(0), msg=name)
        torch.testing.assert_close(prior, prior.flip(1), msg=name)
    assert (at["golden_ratio"] - thirds).abs().max() > 0.1


def test_bumps_have_a_twelfth_of_the_side_as_standard_deviation() -> None:
    """Centers of 3 columns lie at 1/6, 1/2, 5/6: a distance of 1/3 is four deviations, e⁻⁸."""
    center = PRIORS["center_biased"](PriorContext(3, grid=(1, 3), dtype=torch.float64)).exp()
    weight = torch.tensor([math.exp(-8), 1.0, math.exp(-8)], dtype=torch.float64)
    torch.testing.assert_close(center, weight / weight.sum())
    thirds = PRIORS["rule_of_thirds"](PriorContext(3, grid=(3, 1), dtype=torch.float64)).exp()
    near, far = math.exp(-0.5 * 2**2), math.exp(-0.5 * 6**2)  # 1/6 and 1/2 away
    weight = torch.tensor([near + far, 2 * near, near + far], dtype=torch.float64)
    torch.testing.assert_close(thirds, weight / weight.sum())


def test_positions_of_padding_have_no_weight() -> None:
    """Masked tokens get 0 and the others share 1."""
    mask = torch.tensor([[True, True, False], [True, True, True]])
    found = PRIORS["center_biased"](PriorContext(3, grid=(1, 3), visual_mask=mask)).exp()
    assert found[0, 2] == 0
    torch.testing.assert_close(found.sum(-1), torch.ones(2))
    assert found[1, 2] > 0


def test_positions_on_a_picture_that_is_not_square() -> None:
    """Rows come first: the center of 5 x 15 patches is row 2, column 7."""
    center = PRIORS["center_biased"](PriorContext(75, grid=(5, 15))).view(5, 15)
    assert center.argmax() == 2 * 15 + 7
    torch.testing.assert_close(center, center.flip(0).flip(1))


@pytest.mark.parametrize(("name", "low"), [("rule_of_thirds", 33), ("golden_ratio", 38)])
def test_crossings_are_where_photographers_put_them(name: str, low: int) -> None:
    """Of 100 rows the peaks are at 1/3 and 2/3, or at 0.382 and 0.618."""
    column = PRIORS[name](PriorContext(100, grid=(100, 1), dtype=torch.float64))
    half = column[:50]
    assert abs(int(half.argmax()) - low) <= 1


def test_frames_share_one_picture() -> None:
    """A video repeats the prior of a frame, frames outermost."""
    film = PRIORS["center_biased"](PriorContext(18, grid=(3, 3, 2))).exp()
    frame = PRIORS["center_biased"](PriorContext(9, grid=(3, 3))).exp()
    torch.testing.assert_close(film, torch.cat([frame, frame]) / 2)


@given(embeddings(rows=(2, 7)))
def test_stationary_prior_is_stationary_and_makes_pmi_symmetric(visual: Tensor) -> None:
    """π P = π for P = D⁻¹K, and PMI(i; j) = PMI(j; i) under it."""
    rho = similarity(visual, visual, temperature=0.5)
    log_p = softmax(rho)
    log_pi = stationary(PriorContext(len(visual), rho.logsumexp(-1), dtype=rho.dtype))
    torch.testing.assert_close(log_marginal(log_p, log_pi), log_pi)
    values = pmi(log_p, log_pi)
    torch.testing.assert_close(values, values.T, atol=1e-9, rtol=0)


def test_uniform_prior_gives_asymmetric_pmi() -> None:
    """Otherwise not: three tokens in a fan, PMI(1; 2) and PMI(2; 1) differ."""
    visual = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    log_p = softmax(similarity(visual, visual, temperature=0.5))
    values = pmi(log_p, torch.full((3,), 1 / 3, dtype=torch.float64).log())
    assert abs(float(values[0, 1] - values[1, 0])) > 0.05


@given(embeddings(rows=(2, 7)))
def test_line_8_and_total_probability_agree_when_doubly_stochastic(visual: Tensor) -> None:
    """With Sinkhorn scaling the uniform p(v_j) of Alg. 1 line 8 is what Eq. (50) gives."""
    n = len(visual)
    uniform = torch.full((n,), 1 / n, dtype=torch.float64).log()
    log_p = sinkhorn(similarity(visual, visual, temperature=0.5), tolerance=1e-12)
    torch.testing.assert_close(log_marginal(log_p, uniform), uniform, atol=1e-8, rtol=0)


def test_line_8_and_total_probability_disagree_in_general() -> None:
    """The paper's two marginals of one conditional are different numbers."""
    visual = torch.tensor([[1.0, 0.0], [1.0, 0.5], [0.0, 1.0]], dtype=torch.float64)
    log_p = softmax(similarity(visual, visual, temperature=0.5))
    uniform = torch.full((3,), 1 / 3, dtype=torch.float64).log()
    assert (log_marginal(log_p, uniform) - uniform).abs().max() > 0.01
    assert (log_p.exp().sum(0) - 1).abs().max() > 0.01  # and indeed not doubly stochastic


@given(pairs())
def test_energy_is_the_row_marginal_of_the_joint(pair: tuple[Tensor, Tensor]) -> None:
    """p(v_i) ∝ Σ_j exp ρ_ij is what the joint softmax has for its own prior."""
    rho = similarity(*pair, temperature=0.1)
    energy = PRIORS["energy"](PriorContext(len(rho), cross=rho, dtype=rho.dtype))
    torch.testing.assert_close(energy, joint_softmax(rho).logsumexp(-1))


def test_empirical_by_hand() -> None:
    """Counts (3, 0) with one added to each: 4/5 and 1/5; without smoothing 1 and 0."""
    torch.testing.assert_close(empirical(torch.tensor([3.0, 0.0])), torch.tensor([0.8, 0.2]))
    assert empirical(torch.tensor([3.0, 0.0]), smoothing=0.0).tolist() == [1.0, 0.0]
    for counts in (torch.zeros(2), torch.tensor([2.0, -1.0]), torch.tensor([torch.nan, 1.0])):
        with pytest.raises(DistributionError, match="counts"):
            empirical(counts, smoothing=0.0)


@given(st.lists(st.integers(0, 5), max_size=30))
def test_empirical_counts_positions(positions: list[int]) -> None:
    """Laplace's rule from raster indices, and usable as an explicit prior."""
    counts = count_positions(torch.tensor(positions, dtype=torch.int64), 6)
    slow = [(positions.count(i) + 1) / (len(positions) + 6) for i in range(6)]
    prior = empirical(counts)
    torch.testing.assert_close(prior, torch.tensor(slow, dtype=torch.float64))
    resolved = resolve_prior(prior, PriorContext(6, dtype=torch.float64))
    torch.testing.assert_close(resolved.exp(), prior)


def test_positions_are_checked() -> None:
    """Whole numbers within the picture, in one axis."""
    with pytest.raises(DTypeError, match="float"):
        count_positions(torch.tensor([1.0]), 4)
    for bad in (torch.tensor([4]), torch.tensor([-1]), torch.tensor([[0, 1]])):
        with pytest.raises(ShapeError, match=r"0 \.\. 3"):
            count_positions(bad, 4)


def test_an_explicit_prior_counts_only_real_tokens() -> None:
    """What stands in padding is no probability; what is missing from real tokens is an error."""
    mask = torch.tensor([True, True, False])
    prior = torch.tensor([0.25, 0.75, torch.nan])
    resolved = resolve_prior(prior, PriorContext(3, visual_mask=mask))
    torch.testing.assert_close(resolved.exp(), torch.tensor([0.25, 0.75, 0.0]))
    with pytest.raises(DistributionError, match=r"off by 0\.5"):
        resolve_prior(torch.tensor([0.25, 0.25, 0.5]), PriorContext(3, visual_mask=mask))


def test_a_kernel_without_neighbors_has_no_stationary_prior() -> None:
    """0/0 of a single token without self-loop is an error, not NaN."""
    with pytest.raises(DistributionError, match="log_degree"):
        stationary(PriorContext(1, log_degree=torch.tensor([-torch.inf])))


@given(embeddings(rows=(2, 5)))
def test_line_8_agrees_only_if_doubly_stochastic(visual: Tensor) -> None:
    """Eq. (50) over line 8's uniform p(v_j) is the column sum of P: equal iff it is 1."""
    n = len(visual)
    uniform = torch.full((n,), 1 / n, dtype=torch.float64).log()
    log_p = softmax(similarity(visual, visual, temperature=0.5))
    gap = log_marginal(log_p, uniform) - uniform
    torch.testing.assert_close(gap.exp(), log_p.exp().sum(0))


def test_bad_priors_are_named() -> None:
    """A prior that is none, of the wrong length, unknown, or that lacks what it needs."""
    plain = PriorContext(4)
    with pytest.raises(DistributionError, match="sum off by 1"):
        resolve_prior(torch.full((4,), 0.5), plain)
    with pytest.raises(DistributionError, match=r"minimum of -0\.5"):
        resolve_prior(torch.tensor([1.5, -0.5, 0.0, 0.0]), plain)
    with pytest.raises(ShapeError, match="last axis of 4"):
        resolve_prior(torch.ones(1), plain)
    with pytest.raises(UnknownNameError, match="did you mean 'uniform'"):
        resolve_prior("unifrm", plain)
    for name, field in {
        "stationary": "log_degree",
        "energy": "cross",
        "golden_ratio": "grid",
    }.items():
        with pytest.raises(MissingInputError, match=field):
            resolve_prior(name, plain)
    with pytest.raises(ShapeError, match="n_v = 4"):
        resolve_prior("center_biased", PriorContext(4, grid=(3, 3)))
    with pytest.raises(ShapeError, match=r"rows, cols"):
        resolve_prior("center_biased", PriorContext(4, grid=(4,)))
