"""Aggregations and their bounds, as theorems."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import distributions, joints
from torch import Tensor

from mitheory.aggregation import (
    AGGREGATIONS,
    BOUNDS,
    joint,
    kl,
    lse,
    max_below_sum,
    maximum,
    mean,
    renyi,
    renyi_grows,
    resolve_aggregation,
)
from mitheory.errors import ParameterError, ShapeError, UnknownNameError
from mitheory.pmi import log_marginal, pmi

NAMES = [*AGGREGATIONS, "renyi:2"]
ORDERS = (1.0, 1.5, 2.0, 5.0, 50.0, math.inf)


def tables(joint_: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """PMI and log P of a conditional under a prior."""
    log_p, log_prior = joint_
    return pmi(log_p, log_marginal(log_p, log_prior)), log_p


def test_aggregations_by_hand() -> None:
    """P = (3/4, 1/4), q = (1/2, 1/2): PMI = (log 3/2, log 1/2)."""
    log_p = torch.tensor([[0.75, 0.25]], dtype=torch.float64).log()
    z = pmi(log_p, torch.tensor([0.5, 0.5], dtype=torch.float64).log())
    a, b = math.log(1.5), math.log(0.5)
    prior = torch.tensor([0.25], dtype=torch.float64).log()
    expected = {
        "max": a,
        "kl": 0.75 * a + 0.25 * b,
        "joint": 0.25 * (0.75 * a + 0.25 * b),
        "mean": (a + b) / 2,
        "lse": math.log(2.0),  # 3/2 + 1/2
    }
    for name, value in expected.items():
        assert AGGREGATIONS[name](z, log_p, log_prior=prior).item() == pytest.approx(value), name
    assert renyi(2.0)(z, log_p).item() == pytest.approx(math.log(0.75 * 1.5 + 0.25 * 0.5))


def test_bounds_carry_the_names_under_which_figures_and_reports_show_them() -> None:
    """Statement and source of every bound, and one value of each side for each token."""
    log_p = torch.tensor([[0.75, 0.25], [0.25, 0.75]], dtype=torch.float64).log()
    z = pmi(log_p, torch.tensor([0.5, 0.5], dtype=torch.float64).log())
    bounds = [*BOUNDS.values(), max_below_sum, lambda *a: renyi_grows(*a, low=1, high=2.5)]
    found = [bound(z, log_p) for bound in bounds]
    assert [(bound.name, bound.source) for bound in found] == [
        ("0 <= kl", "Eq. (55)"),
        ("max <= lse", "Eq. (42)"),
        ("lse <= max + log N", "Eq. (42)"),
        ("kl <= max", "Eqs. (19), (21)"),
        ("max <= sum", "Eq. (48)"),
        ("D_1 <= D_2.5", "vanerven2014renyi"),
    ]
    for bound in found:
        assert bound.lower.shape == bound.upper.shape == bound.gap().shape == (2,)
        assert bound.lower.dtype == bound.upper.dtype == torch.float64
        assert bound.gap()[0].item() == pytest.approx(bound.gap()[1].item())


@given(joints())
def test_renyi_chain(joint_: tuple[Tensor, Tensor]) -> None:
    """0 <= D_1 <= D_1.5 <= D_2 <= ... <= D_inf = max <= LSE <= D_inf + log N."""
    z, log_p = tables(joint_)
    chain = [renyi(a)(z, log_p) for a in ORDERS]
    assert (chain[0] >= -1e-12).all()
    for low, high in pairwise(chain):
        assert (low <= high + 1e-9).all()
    assert torch.equal(chain[-1], maximum(z, log_p))
    assert torch.equal(chain[0], kl(z, log_p))
    assert (chain[-1] <= lse(z, log_p) + 1e-12).all()
    assert (lse(z, log_p) <= chain[-1] + math.log(z.shape[1]) + 1e-12).all()


@pytest.mark.parametrize("name", BOUNDS)
@given(joint_=joints())
def test_bounds_hold(name: str, joint_: tuple[Tensor, Tensor]) -> None:
    """Every bound in the table holds on every conditional, with both sides as named."""
    bound = BOUNDS[name](*tables(joint_))
    assert (bound.gap() >= -1e-9).all()


@given(joints(), st.floats(1, 20), st.floats(1, 20))
def test_renyi_grows_between_any_orders(joint_: tuple[Tensor, Tensor], a: float, b: float) -> None:
    """D_α is non-decreasing in α."""
    low, high = sorted((a, b))
    assert (renyi_grows(*tables(joint_), low=low, high=high).gap() >= -1e-7).all()


@given(joints())
def test_renyi_is_continuous_at_its_ends(joint_: tuple[Tensor, Tensor]) -> None:
    """α -> 1 gives the KL divergence and α -> inf the maximum: one family holds both."""
    z, log_p = tables(joint_)
    for near in (1e-12, 1e-9, 1e-7):
        torch.testing.assert_close(
            renyi(1 + near)(z, log_p), kl(z, log_p), atol=1e-4 * z.abs().max().item(), rtol=1e-4
        )
    far = renyi(1e6)(z, log_p)
    torch.testing.assert_close(far, maximum(z, log_p), atol=1e-3, rtol=1e-3)


@given(joints())
def test_max_pmi_is_never_negative(joint_: tuple[Tensor, Tensor]) -> None:
    """Some word is at least as probable given the patch as without it."""
    z, log_p = tables(joint_)
    assert (maximum(z, log_p) >= -1e-12).all()


@given(st.integers(2, 6).flatmap(lambda n: st.tuples(distributions(n), distributions(n))))
def test_eq_48_is_refuted_for_uniform_q(pair: tuple[Tensor, Tensor]) -> None:
    """With uniform q, Σ_j PMI <= 0 <= max_j PMI: Eq. (48) holds only at P = q."""
    p, _ = pair
    q = torch.full_like(p, 1 / len(p))
    bound = max_below_sum((p / q).log()[None], p.log()[None])
    assert bound.upper <= 1e-9
    assert bound.lower >= -1e-9
    if (p - q).abs().max() > 1e-3:
        assert bound.gap() < 0


@given(st.integers(2, 6).flatmap(lambda n: st.tuples(distributions(n), distributions(n))))
def test_q_weighted_sum_is_never_positive(pair: tuple[Tensor, Tensor]) -> None:
    """Σ_j q_j PMI_ij = -KL(q || P_i) <= 0 for every q."""
    p, q = pair
    z = (p / q).log()
    assert (q * z).sum() <= 1e-12
    torch.testing.assert_close((q * z).sum(), -(q * (q / p).log()).sum())


def test_eq_48_can_hold_for_a_non_uniform_q() -> None:
    """q gives nine tenths to one word; a patch that prefers ten others satisfies Eq. (48)."""
    q = torch.tensor([0.9] + [0.01] * 10, dtype=torch.float64)
    p = torch.tensor([0.1] + [0.09] * 10, dtype=torch.float64)
    bound = max_below_sum((p / q).log()[None], p.log()[None])
    assert bound.gap() > 15  # 10 log 9 - log 9 - log 9


@given(joints())
def test_mean_prefers_patches_without_preference(joint_: tuple[Tensor, Tensor]) -> None:
    """The plain mean is -KL(u || P_i) plus a constant of q: highest for a uniform P_i."""
    z, log_p = tables(joint_)
    u = 1 / z.shape[1]
    divergence = (u * (math.log(u) - log_p)).sum(1)
    constant = mean(z, log_p) + divergence
    torch.testing.assert_close(constant, constant[:1].expand_as(constant))


@given(joints())
def test_joint_differs_from_kl_by_the_prior(joint_: tuple[Tensor, Tensor]) -> None:
    """Read literally, Eq. (21) has a factor p(v_i); a uniform prior keeps the ranking."""
    log_p, log_prior = joint_
    z, _ = tables(joint_)
    torch.testing.assert_close(joint(z, log_p, log_prior=log_prior), kl(z, log_p) * log_prior.exp())
    with pytest.raises(ParameterError, match="log_prior"):
        joint(z, log_p)


@pytest.mark.parametrize("name", NAMES)
@given(joint_=joints())
def test_padding_and_zeros(name: str, joint_: tuple[Tensor, Tensor]) -> None:
    """A padded word (-inf in PMI and in P) changes no aggregation; 0 · (-inf) is 0, never NaN."""
    log_p, log_prior = joint_
    z, _ = tables(joint_)
    pad = {"pad": (0, 2), "value": -math.inf}
    rule = resolve_aggregation(name)
    plain = rule(z, log_p, log_prior=log_prior)
    padded = rule(
        torch.nn.functional.pad(z, **pad),
        torch.nn.functional.pad(log_p, **pad),
        log_prior=log_prior,
    )
    torch.testing.assert_close(padded, plain)


def test_minmax_zeros_leave_sums_defined() -> None:
    """With an exact zero in a row, max, kl and Rényi are finite; the plain mean is -inf."""
    log_p = torch.tensor([[0.0, 0.25, 0.75], [0.5, 0.5, 0.0]], dtype=torch.float64).log()
    z = pmi(log_p, log_marginal(log_p, torch.full((2,), 0.5, dtype=torch.float64).log()))
    for name in ("max", "kl", "lse", "renyi:2"):
        assert torch.isfinite(resolve_aggregation(name)(z, log_p)).all(), name
    assert (mean(z, log_p) == -math.inf).all()


def test_orders_and_names_are_checked() -> None:
    """α below 1 breaks the chain and is refused; names are looked up."""
    for bad in (0.5, float("nan"), "2", True):
        with pytest.raises(ParameterError, match="alpha"):
            renyi(bad)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="renyi:<number"):
        resolve_aggregation("renyi:two")
    with pytest.raises(UnknownNameError, match="did you mean 'mean'"):
        resolve_aggregation("maen")
    assert resolve_aggregation("renyi:1") is kl


@pytest.mark.parametrize("name", NAMES)
@given(joint_=joints())
def test_a_mask_equals_leaving_words_out(name: str, joint_: tuple[Tensor, Tensor]) -> None:
    """Masked words may hold anything: the score is that of the real words alone."""
    log_p, log_prior = joint_
    z, _ = tables(joint_)
    rule = resolve_aggregation(name)
    n = z.shape[1]
    wide = [torch.cat([x, torch.full_like(x, 9.0)], 1) for x in (z, log_p)]
    masked = rule(*wide, log_prior=log_prior, mask=torch.arange(2 * n) < n)
    torch.testing.assert_close(masked, rule(z, log_p, log_prior=log_prior))


@pytest.mark.parametrize("name", NAMES)
@given(joint_=joints(), seed=st.integers(0, 100))
def test_order_of_words_and_patches(name: str, joint_: tuple[Tensor, Tensor], seed: int) -> None:
    """Words may be permuted; patches permute their scores."""
    log_p, log_prior = joint_
    z, _ = tables(joint_)
    rule = resolve_aggregation(name)
    rng = torch.Generator().manual_seed(seed)
    rows, columns = (torch.randperm(n, generator=rng) for n in z.shape)
    moved = rule(z[rows][:, columns], log_p[rows][:, columns], log_prior=log_prior[rows])
    torch.testing.assert_close(moved, rule(z, log_p, log_prior=log_prior)[rows])


@pytest.mark.parametrize("name", NAMES)
@given(joint_=joints())
def test_single_precision(name: str, joint_: tuple[Tensor, Tensor]) -> None:
    """float32 agrees with float64 to rounding of numbers of this size, and stays float32."""
    log_p, log_prior = joint_
    z, _ = tables(joint_)
    rule = resolve_aggregation(name)
    single = rule(z.float(), log_p.float(), log_prior=log_prior.float())
    assert single.dtype == torch.float32
    exact = rule(z, log_p, log_prior=log_prior)
    size = z.abs().max().item() + log_p.abs().max().item()
    torch.testing.assert_close(single.double(), exact, atol=2e-6 * (1 + size), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_one_word_ties_every_patch(name: str) -> None:
    """PMI of a single word is 0, and so is every aggregation of it: nothing to choose by."""
    log_p, prior = torch.zeros(5, 1), torch.full((5,), 0.2).log()
    z = pmi(log_p, log_marginal(log_p, prior))
    scores = resolve_aggregation(name)(z, log_p, log_prior=prior)
    torch.testing.assert_close(scores, torch.zeros(5), atol=1e-6, rtol=0)


def test_an_impossible_word_and_the_plain_mean() -> None:
    """A real word of probability 0 everywhere makes the mean -inf; unmasked it reads as padding."""
    z = torch.tensor([[0.5, -math.inf], [-0.5, -math.inf]])
    log_p = torch.tensor([[0.0, -math.inf], [0.0, -math.inf]])
    assert (mean(z, log_p, mask=torch.tensor([True, True])) == -math.inf).all()
    torch.testing.assert_close(mean(z, log_p), torch.tensor([0.5, -0.5]))


def test_shapes_are_checked() -> None:
    """PMI and its weights are of one shape; a mask has one entry per word."""
    for rule in (kl, renyi(2.0)):
        with pytest.raises(ShapeError, match="one shape"):
            rule(torch.zeros(2, 3), torch.zeros(1, 3))
    with pytest.raises(ShapeError, match="last axis of 3"):
        maximum(torch.zeros(2, 3), torch.zeros(2, 3), mask=torch.tensor([True, False]))


def test_bounds_name_their_sides() -> None:
    """`lower` and `upper` are the two aggregations that the name says, not only in order."""
    log_p = torch.tensor([[0.75, 0.25]], dtype=torch.float64).log()
    z = pmi(log_p, torch.tensor([0.5, 0.5], dtype=torch.float64).log())
    top, both, divergence = math.log(1.5), math.log(2.0), 0.75 * math.log(1.5) - 0.25 * math.log(2)
    expected = {
        "kl_not_negative": (0.0, divergence),
        "max_below_lse": (top, both),
        "lse_below_max_plus_log": (both, top + math.log(2)),
        "global_below_max": (divergence, top),
    }
    assert set(expected) == set(BOUNDS)
    for name, sides in expected.items():
        bound = BOUNDS[name](z, log_p)
        assert (bound.lower.item(), bound.upper.item()) == pytest.approx(sides), name
    wrong = max_below_sum(z, log_p)
    assert (wrong.lower.item(), wrong.upper.item()) == pytest.approx((top, math.log(0.75)))
