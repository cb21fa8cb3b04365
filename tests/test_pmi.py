"""PMI: by hand, against slow twins, symmetric and limiting cases."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import embeddings, joints, pairs, similarities, temperatures
from torch import Tensor

from mitheory.distributions import CONDITIONALS, cosine_similarity, minmax, similarity, softmax
from mitheory.errors import (
    DistributionError,
    DTypeError,
    EmptyInputError,
    ParameterError,
    ShapeError,
    UnknownNameError,
    ZeroNormError,
)
from mitheory.pmi import (
    SELF_CONDITIONALS,
    SELF_MARGINALS,
    centered_similarity,
    cross_pmi,
    joint_pmi,
    largest_pmi_of_rows,
    log_marginal,
    pmi,
    self_pmi,
)
from mitheory.priors import PriorContext, stationary


def test_pmi_by_hand() -> None:
    """Two patches, two words: P = (3/4, 1/4), (1/4, 3/4), q = (1/2, 1/2): log 3/2, log 1/2."""
    log_p = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).log()
    q = log_marginal(log_p, torch.full((2,), 0.5).log())
    expected = torch.tensor([[math.log(1.5), -math.log(2)], [-math.log(2), math.log(1.5)]])
    torch.testing.assert_close(pmi(log_p, q), expected)


@given(joints())
def test_expected_pmi_is_mutual_information(joint: tuple[Tensor, Tensor]) -> None:
    """Σ p(v, x) PMI = H(X) - H(X given V) >= 0, Eqs. (7), (8)."""
    log_p, log_prior = joint
    q = log_marginal(log_p, log_prior)
    weight = (log_p + log_prior[:, None]).exp()
    information = (weight * pmi(log_p, q)).sum()
    entropies = -(q.exp() * q).sum() + (weight * log_p).sum()
    torch.testing.assert_close(information, entropies, atol=1e-9, rtol=1e-9)
    assert information >= -1e-12


@given(similarities())
def test_marginal_is_the_slow_sum(rho: Tensor) -> None:
    """The log domain agrees with the plain sum of Eq. (17)."""
    p = softmax(rho).exp()
    prior = torch.full((len(rho),), 1 / len(rho), dtype=rho.dtype)
    slow = torch.stack([sum(prior[i] * p[i, j] for i in range(len(p))) for j in range(p.shape[1])])
    torch.testing.assert_close(log_marginal(p.log(), prior.log()).exp(), slow)


def test_zero_probability_is_minus_infinity_never_nan() -> None:
    """MinMax zeros: PMI is -inf, also where a word has probability 0 for every patch."""
    log_p = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]).log()
    values = pmi(log_p, log_marginal(log_p, torch.full((2,), 0.5).log()))
    assert not torch.isnan(values).any()
    assert (values[:, 2] == -math.inf).all()
    assert values[0, 1] == -math.inf


@given(pairs(text=(1, 1)), temperatures)
def test_one_word_gives_zero_pmi(pair: tuple[Tensor, Tensor], temperature: float) -> None:
    """A softmax over one word is 1 for every patch, so PMI is 0 and all patches tie."""
    values = cross_pmi(*pair, temperature=temperature).pmi
    torch.testing.assert_close(values, torch.zeros_like(values))


@given(pairs())
def test_warm_limit_is_double_centered_similarity(pair: tuple[Tensor, Tensor]) -> None:
    """τ PMI_ij -> s_ij - s̄_i. - s̄_.j + s̄.. as τ grows, with an error of order 1/τ."""
    centered = centered_similarity(cosine_similarity(*pair))
    errors = [
        (tau * cross_pmi(*pair, temperature=tau).pmi - centered).abs().max() for tau in (1e2, 1e4)
    ]
    assert errors[0] < 4e-2
    assert errors[1] < 4e-4


@given(similarities())
def test_centered_similarity_centers(rho: Tensor) -> None:
    """Rows and columns average to zero, centering twice is centering once, padding is left out."""
    once = centered_similarity(rho)
    for axis in (0, 1):
        torch.testing.assert_close(once.mean(axis), torch.zeros_like(once.mean(axis)))
    torch.testing.assert_close(centered_similarity(once), once)
    padded = torch.nn.functional.pad(rho, (0, 1, 0, 1), value=5.0)
    n, m = rho.shape
    masks = {"row_mask": torch.arange(n + 1) < n, "column_mask": torch.arange(m + 1) < m}
    torch.testing.assert_close(centered_similarity(padded, **masks)[:n, :m], once)


@pytest.mark.parametrize("conditional", CONDITIONALS)
@given(pair=pairs())
def test_padding_changes_no_real_pmi(conditional: str, pair: tuple[Tensor, Tensor]) -> None:
    """A sample beside longer ones in a batch has the PMI it has alone; padding is -inf."""
    visual, text = pair
    n, m = len(visual), len(text)
    alone = cross_pmi(visual, text, temperature=0.5, conditional=conditional)
    padded = cross_pmi(
        torch.cat([visual, torch.ones(2, visual.shape[1])]),
        torch.cat([text, -torch.ones(3, text.shape[1])]),
        temperature=0.5,
        conditional=conditional,
        visual_mask=torch.arange(n + 2) < n,
        text_mask=torch.arange(m + 3) < m,
    )
    torch.testing.assert_close(padded.pmi[:n, :m], alone.pmi, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(padded.log_cond[:n, :m], alone.log_cond, atol=1e-5, rtol=1e-5)
    assert (padded.pmi[n:] == -math.inf).all()
    assert (padded.pmi[:, m:] == -math.inf).all()


@pytest.mark.parametrize("conditional", CONDITIONALS)
@given(pair=pairs(), seed=st.integers(0, 100))
def test_permuting_patches_permutes_rows(
    conditional: str, pair: tuple[Tensor, Tensor], seed: int
) -> None:
    """PMI is equivariant in the patches and in the words."""
    visual, text = pair
    order = torch.randperm(len(visual), generator=torch.Generator().manual_seed(seed))
    a = cross_pmi(visual, text, temperature=0.5, conditional=conditional).pmi
    b = cross_pmi(visual[order], text.flip(0), temperature=0.5, conditional=conditional).pmi
    torch.testing.assert_close(b, a[order].flip(1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("conditional", CONDITIONALS)
@given(pair=pairs())
def test_weights_are_a_distribution_over_words(
    conditional: str, pair: tuple[Tensor, Tensor]
) -> None:
    """Whatever the conditioning, log_cond is p(t given v): the weights of Eq. (21)."""
    total = cross_pmi(*pair, temperature=0.5, conditional=conditional).log_cond.logsumexp(-1)
    torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-9, rtol=0)


@given(pairs())
def test_joint_is_softmax_under_the_energy_prior(pair: tuple[Tensor, Tensor]) -> None:
    """log p(v, x) / p(v) p(x) of the joint softmax, by its definition."""
    fast = cross_pmi(*pair, temperature=0.3, conditional="joint")
    torch.testing.assert_close(fast.pmi, joint_pmi(similarity(*pair, temperature=0.3)))
    other = cross_pmi(*pair, temperature=0.3, prior="energy")
    torch.testing.assert_close(fast.pmi, other.pmi)


@given(pairs())
def test_over_vision_is_the_ratio_to_the_prior(pair: tuple[Tensor, Tensor]) -> None:
    """log p(v given t) + log n_v: a patch that matches two words is not penalized by either."""
    rho = similarity(*pair, temperature=0.3)
    slow = (rho.exp() / rho.exp().sum(0)).log() + math.log(len(rho))
    fast = cross_pmi(*pair, temperature=0.3, conditional="softmax_over_vision").pmi
    torch.testing.assert_close(fast, slow)


@pytest.mark.parametrize("conditional", SELF_CONDITIONALS)
@pytest.mark.parametrize("self_marginal", SELF_MARGINALS)
@pytest.mark.parametrize("self_loop", [True, False])
@given(visual=embeddings(rows=(3, 7)))
def test_streamed_columns_equal_the_matrix_by_definition(
    conditional: str, self_marginal: str, self_loop: bool, visual: Tensor
) -> None:
    """cos_ij / τ - lse_i - log p(v_j), column by column, against the paper's full matrix."""
    n = len(visual)
    cosine = cosine_similarity(visual, visual)
    keep = torch.ones(n, n, dtype=torch.bool) if self_loop else ~torch.eye(n, dtype=torch.bool)
    rows = []
    for i in range(n):  # one row at a time: the columns that are there
        row = torch.full((n,), -math.inf, dtype=torch.float64)
        rule = softmax if conditional == "softmax" else minmax
        row[keep[i]] = rule(cosine[i, keep[i]][None] / 0.2)[0]
        rows.append(row)
    log_p = torch.stack(rows)
    log_q = torch.full((n,), -math.log(n), dtype=torch.float64)
    if self_marginal == "total_probability":
        log_q = log_marginal(log_p, log_q)
    slow = pmi(log_p, log_q)
    fast = self_pmi(
        visual[None],
        temperature=0.2,
        conditional=conditional,
        self_loop=self_loop,
        self_marginal=self_marginal,
    )
    columns = torch.stack([fast.column(torch.tensor([j]))[0] for j in range(n)], 1)
    # near a MinMax zero the log is as uncertain as rounding makes it: compare probabilities there
    torch.testing.assert_close(columns.exp(), slow.exp(), atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(fast.matrix()[0].exp(), slow.exp(), atol=1e-9, rtol=1e-7)


@given(embeddings(rows=(3, 7)))
def test_self_pmi_is_symmetric_under_the_stationary_prior(visual: Tensor) -> None:
    """Through the streamed record as well: PMI(i; j) = PMI(j; i) with π ∝ the row sums."""
    values = self_pmi(visual[None], temperature=0.3, prior="stationary").matrix()[0]
    torch.testing.assert_close(values, values.T, atol=1e-8, rtol=0)
    degree = self_pmi(visual[None], temperature=0.3).log_degree()[0]
    slow = similarity(visual, visual, temperature=0.3).logsumexp(-1)
    torch.testing.assert_close(degree, slow)
    prior = stationary(PriorContext(len(visual), degree, dtype=torch.float64))
    torch.testing.assert_close(prior.exp().sum(), torch.ones((), dtype=torch.float64))


def test_self_pmi_may_be_negative() -> None:
    """Orthogonal tokens tell less of each other than chance: redundancy can be negative."""
    values = self_pmi(torch.eye(4)[None].double(), temperature=0.5).matrix()[0]
    assert (values[~torch.eye(4, dtype=torch.bool)] < 0).all()


@pytest.mark.parametrize("self_loop", [True, False])
def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch, self_loop: bool) -> None:
    """Row sums computed three rows at a time, or 14 entries of 7 columns, are the row sums."""
    visual = torch.randn(1, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def matrix() -> Tensor:
        return self_pmi(
            visual, temperature=0.1, self_loop=self_loop, self_marginal="total_probability"
        ).matrix()

    whole = matrix()
    for limit, value in (("BLOCK", 3), ("AREA", 14)):
        monkeypatch.setattr(f"mitheory.pmi.within.{limit}", value)
        torch.testing.assert_close(matrix(), whole)


def test_bad_input_is_named() -> None:
    """Shapes, zero rows, unknown names and impossible combinations."""
    x = torch.eye(3)
    with pytest.raises(ShapeError, match="columns"):
        pmi(torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(ShapeError, match="last axis of 2"):
        log_marginal(torch.zeros(2, 3), torch.zeros(3))
    with pytest.raises(ZeroNormError, match="text"):
        cross_pmi(x, torch.zeros(1, 3), temperature=0.1)
    with pytest.raises(UnknownNameError, match="softmax"):
        cross_pmi(x, x, temperature=0.1, conditional="softmx")
    with pytest.raises(ParameterError, match="has its own"):
        cross_pmi(x, x, temperature=0.1, conditional="joint", prior="stationary")
    with pytest.raises(ParameterError, match="between visual tokens"):
        self_pmi(x, temperature=0.1, conditional="sinkhorn")
    with pytest.raises(ParameterError, match="self_marginal"):
        self_pmi(x, temperature=0.1, self_marginal="prior")
    with pytest.raises(ParameterError, match="softmax conditional only"):
        self_pmi(x, temperature=0.1, conditional="minmax").log_degree()
    with pytest.raises(ParameterError, match="temperature"):
        self_pmi(x, temperature=0.0)


@pytest.mark.parametrize("conditional", CONDITIONALS)
@given(pair=pairs())
def test_padding_may_be_nan(conditional: str, pair: tuple[Tensor, Tensor]) -> None:
    """Whatever stands in padding, NaN included, reaches no real entry."""
    visual, text = pair
    masks = [torch.arange(len(x) + 1) < len(x) for x in pair]
    wide = [torch.cat([x, torch.full_like(x[:1], math.nan)]) for x in pair]
    padded = cross_pmi(
        *wide,
        temperature=0.5,
        conditional=conditional,
        visual_mask=masks[0],
        text_mask=masks[1],
    )
    alone = cross_pmi(visual, text, temperature=0.5, conditional=conditional)
    torch.testing.assert_close(padded.pmi[:-1, :-1], alone.pmi, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(padded.log_prior[:-1], alone.log_prior)


@pytest.mark.parametrize("self_marginal", SELF_MARGINALS)
@pytest.mark.parametrize("conditional", SELF_CONDITIONALS)
@given(first=embeddings(rows=(3, 6), dimension=4), second=embeddings(rows=(3, 6), dimension=4))
def test_self_pmi_of_a_ragged_batch_is_a_loop(
    conditional: str, self_marginal: str, first: Tensor, second: Tensor
) -> None:
    """Padded samples have the columns they have alone, and -inf in padding."""
    n = max(len(first), len(second))
    wide = [
        torch.cat([x, torch.full((n - len(x), 4), math.nan, dtype=x.dtype)])
        for x in (first, second)
    ]
    lengths = torch.tensor([len(first), len(second)])
    options = {"temperature": 0.5, "conditional": conditional, "self_marginal": self_marginal}
    both = self_pmi(torch.stack(wide), visual_mask=torch.arange(n) < lengths[:, None], **options)
    for k, x in enumerate((first, second)):
        alone = self_pmi(x[None], **options)
        for j in range(len(x)):
            together = both.column(torch.tensor([j, j]).clamp(max=lengths - 1))[k]
            expected = alone.column(torch.tensor([j]))[0]
            torch.testing.assert_close(
                together[: len(x)].exp(), expected.exp(), atol=1e-9, rtol=1e-7
            )
            assert (together[len(x) :] == -math.inf).all()


@given(pairs(), st.sampled_from([0.1, 0.5, 5.0]))
def test_single_precision(pair: tuple[Tensor, Tensor], temperature: float) -> None:
    """float32 agrees with float64 to rounding of logits of size 1/τ, between and within."""
    visual, text = pair
    exact = cross_pmi(visual, text, temperature=temperature).pmi
    single = cross_pmi(visual.float(), text.float(), temperature=temperature).pmi
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, atol=1e-5 / temperature, rtol=1e-4)
    exact = self_pmi(visual, temperature=temperature).matrix()
    single = self_pmi(visual.float(), temperature=temperature).matrix()
    torch.testing.assert_close(single.double(), exact, atol=1e-5 / temperature, rtol=1e-4)


def test_probabilities_are_no_log_prior() -> None:
    """A prior given as probabilities where logarithms are due is named, not used."""
    with pytest.raises(DistributionError, match="log_prior"):
        log_marginal(torch.zeros(2, 1), torch.tensor([0.5, 0.5]))


def test_a_prior_of_zero_may_leave_a_word_without_probability() -> None:
    """A word that only excluded patches have: PMI +inf there, -inf elsewhere, never NaN."""
    log_p = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).log()
    values = pmi(log_p, log_marginal(log_p, torch.tensor([1.0, 0.0]).log()))
    assert values[:, 1].tolist() == [-math.inf, math.inf]


def test_self_loops_are_left_out_on_request() -> None:
    """Without its diagonal, a token's probability goes to the others and none to itself."""
    visual = torch.eye(3).double()
    values = self_pmi(visual[None], temperature=0.1, self_loop=False).matrix()[0]
    off = ~torch.eye(3, dtype=torch.bool)
    torch.testing.assert_close(values[off].exp(), torch.full((6,), 1.5, dtype=torch.float64))
    assert (values.diagonal() == -math.inf).all()


def test_masks_and_types_are_checked() -> None:
    """A mask that hides a whole sample, mixed dtypes, and vectors of different dimensions."""
    x = torch.eye(3)
    with pytest.raises(EmptyInputError, match="text_mask"):
        cross_pmi(x, x, temperature=0.1, text_mask=torch.zeros(3, dtype=torch.bool))
    with pytest.raises(ShapeError, match="visual_mask"):
        self_pmi(x, temperature=0.1, visual_mask=torch.ones(2, dtype=torch.bool))
    with pytest.raises(DTypeError, match="visual and text"):
        cross_pmi(x, x.double(), temperature=0.1)
    with pytest.raises(ShapeError, match="got 3 and 2"):
        cross_pmi(x, torch.ones(1, 2), temperature=0.1)


def test_what_has_no_prior_has_no_say() -> None:
    """A row of prior 0 adds nothing to the marginal, even if it is undefined."""
    log_p = torch.tensor([[0.25, 0.75], [math.nan, math.nan]]).log()
    log_q = log_marginal(log_p, torch.tensor([1.0, 0.0]).log())
    torch.testing.assert_close(log_q.exp(), torch.tensor([0.25, 0.75]))


def test_streamed_minmax_keeps_its_zeros() -> None:
    """Columns round otherwise than blocks do; each row still has its exact zero, in float32."""
    rng = torch.Generator().manual_seed(0)
    visual = torch.randn(1, 60, 96, generator=rng)
    record = self_pmi(visual, temperature=0.1, conditional="minmax")
    columns = torch.stack([record.column(torch.tensor([j]))[0] for j in range(60)], 1)
    assert (columns == -math.inf).any(1).all()
    assert torch.equal(columns == -math.inf, record.matrix()[0] == -math.inf)


@given(
    embeddings(rows=(1, 9), dimension=4),
    st.sampled_from([0.003, 0.02, 0.1, 2.0]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_the_largest_pmi_is_the_maximum_of_the_matrix(x: Tensor, tau: float, dtype: Any) -> None:
    """Of rows as they are with their norms, of unit rows, and where powers of two underflow."""
    x = x.to(dtype)
    words = x.flip(-1)[:3] + 0.25
    norm = x.norm(dim=-1)
    assume(bool((norm > 1e-2).all()) and bool((words.norm(dim=-1) > 1e-2).all()))
    expected = cross_pmi(x, words, temperature=tau).pmi.amax(-1)
    unit, t = x / norm[:, None], words / words.norm(dim=-1, keepdim=True)
    allowed = {"rtol": 0.0, "atol": 64 * torch.finfo(dtype).eps * (1 + 1 / tau)}
    for rows, divisor in ((x, norm[None]), (unit, None)):
        found = largest_pmi_of_rows(rows[None], t[None], tau, norm=divisor)
        torch.testing.assert_close(found[0], expected, **allowed)
        both = None if divisor is None else divisor.expand(2, -1)
        twice = largest_pmi_of_rows(rows.expand(2, -1, -1), t.expand(2, -1, -1), tau, norm=both)
        assert torch.equal(twice, found.expand(2, -1))


def test_the_largest_pmi_has_a_gradient() -> None:
    x, t = torch.eye(3, dtype=torch.float64)[None].requires_grad_(), torch.eye(3).double()[None]
    largest_pmi_of_rows(x, t, 1.0).sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
