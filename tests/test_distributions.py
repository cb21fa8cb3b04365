"""Conditionals: numbers by hand, normalization, limits, masks."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import embeddings, pairs, similarities, temperatures
from torch import Tensor

from mitheory.distributions import (
    CONDITIONALS,
    cosine_similarity,
    joint_softmax,
    minmax,
    similarity,
    sinkhorn,
    softmax,
    softmax_over_vision,
    unit_rows,
)
from mitheory.errors import (
    DistributionError,
    DTypeError,
    EmptyInputError,
    ParameterError,
    ShapeError,
    ZeroNormError,
)


def test_similarity_by_hand() -> None:
    """(3, 4) and (1, 0): cosine 3/5, over τ = 0.1 that is 6."""
    value = similarity(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]]), temperature=0.1)
    torch.testing.assert_close(value, torch.tensor([[6.0]]))


@given(pairs())
def test_cosine_is_the_definition(pair: tuple[Tensor, Tensor]) -> None:
    """x·y / (|x| |y|), entry by entry."""
    x, y = pair
    slow = torch.stack([torch.stack([a @ b / (a.norm() * b.norm()) for b in y]) for a in x])
    torch.testing.assert_close(cosine_similarity(x, y), slow)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_unit_rows_survive_extreme_norms(scale: float) -> None:
    """Squares of 1e30 overflow float32 and those of 1e-30 vanish: rows are scaled first."""
    x = scale * torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(unit_rows("x", x), torch.tensor([[0.6, 0.8]]))


def test_zero_rows() -> None:
    """An error by default; cosine 0 with everything when declared uninformative."""
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    with pytest.raises(ZeroNormError, match="uninformative"):
        cosine_similarity(x, x)
    value = cosine_similarity(x, x, zero_norm="uninformative")
    torch.testing.assert_close(value, torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
    with pytest.raises(ParameterError, match="'drop'"):
        cosine_similarity(x, x, zero_norm="drop")
    with pytest.raises(ShapeError, match="2 and 3"):
        cosine_similarity(x, torch.ones(1, 3))


@pytest.mark.parametrize("name", CONDITIONALS)
@given(rho=similarities())
def test_conditionals_are_normalized(name: str, rho: Tensor) -> None:
    """Rows of p(x given v), or columns of p(v given x), log-sum-exp to 0."""
    rule = CONDITIONALS[name]
    axis = -1 if rule.given == "vision" else -2
    total = rule.log_prob(rho / rho.abs().max()).logsumexp(axis)
    torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", CONDITIONALS)
@given(rho=similarities())
def test_padding_changes_nothing(name: str, rho: Tensor) -> None:
    """Real entries are the same with and without padded rows and columns of garbage around them."""
    rho = rho / rho.abs().max()
    n, m = rho.shape
    padded = torch.full((n + 2, m + 3), 7.0, dtype=rho.dtype)
    padded[:n, :m] = rho
    masks = {"row_mask": torch.arange(n + 2) < n, "column_mask": torch.arange(m + 3) < m}
    log_prob = CONDITIONALS[name].log_prob
    torch.testing.assert_close(log_prob(padded, **masks)[:n, :m], log_prob(rho), atol=1e-6, rtol=0)
    if CONDITIONALS[name].given == "vision":
        assert (log_prob(padded, **masks)[:n, m:] == -math.inf).all()


@given(similarities())
def test_minmax_is_invariant_to_temperature(rho: Tensor) -> None:
    """Dividing all logits by τ leaves MinMax as it was: an ablation of τ is vacuous."""
    torch.testing.assert_close(minmax(rho / 0.01).exp(), minmax(rho).exp())


@given(similarities())
def test_minmax_has_a_zero_in_every_row(rho: Tensor) -> None:
    """The smallest entry of a row has probability exactly 0, and PMI -inf there."""
    assert (minmax(rho).amin(-1) == -math.inf).all()


@given(similarities(columns=(2, 2)))
def test_minmax_of_two_words_is_zero_or_one(rho: Tensor) -> None:
    """With two words all probability goes to the better one."""
    assert set(minmax(rho).exp().flatten().tolist()) == {0.0, 1.0}


def test_minmax_where_the_formula_is_undefined() -> None:
    """0/0 of a constant row, or of one column, is taken as uniform: documented, not NaN."""
    torch.testing.assert_close(minmax(torch.full((1, 4), 3.0)).exp(), torch.full((1, 4), 0.25))
    torch.testing.assert_close(minmax(torch.tensor([[2.0], [5.0]])), torch.zeros(2, 1))


@given(similarities())
def test_joint_softmax_is_conditional_times_energy(rho: Tensor) -> None:
    """p(v, x) = p(v) p(x given v) with p(v) ∝ Σ_j exp ρ: its conditional is the softmax."""
    joint = joint_softmax(rho)
    torch.testing.assert_close(joint - joint.logsumexp(-1, keepdim=True), softmax(rho))
    torch.testing.assert_close(joint.logsumexp(-1), rho.logsumexp(-1).log_softmax(-1))


@given(similarities())
def test_joint_softmax_leaves_padding_out(rho: Tensor) -> None:
    """Padded pairs have probability 0 and the real ones the joint they have alone."""
    n, m = rho.shape
    padded = torch.nn.functional.pad(rho, (0, 2, 0, 1), value=3.0)
    masks = {"row_mask": torch.arange(n + 1) < n, "column_mask": torch.arange(m + 2) < m}
    joint = joint_softmax(padded, **masks)
    torch.testing.assert_close(joint[:n, :m], joint_softmax(rho))
    assert (joint[n:] == -math.inf).all()
    assert (joint[:, m:] == -math.inf).all()


@given(similarities())
def test_softmax_over_vision_is_the_softmax_of_the_transpose(rho: Tensor) -> None:
    """The other conditioning is the same formula on the other axis."""
    torch.testing.assert_close(softmax_over_vision(rho), softmax(rho.T).T)


@given(embeddings(rows=(2, 7)))
def test_sinkhorn_of_a_kernel_is_doubly_stochastic_and_symmetric(x: Tensor) -> None:
    """Uniform row and column marginals; a symmetric kernel stays symmetric."""
    p = sinkhorn(similarity(x, x, temperature=0.5), tolerance=1e-10).exp()
    torch.testing.assert_close(p.sum(0), torch.ones_like(p[0]), atol=1e-8, rtol=0)
    torch.testing.assert_close(p, p.T, atol=1e-7, rtol=0)


def test_sinkhorn_says_when_it_has_not_converged() -> None:
    """No silent half-converged scaling."""
    with pytest.raises(DistributionError, match="after 1 iterations"):
        sinkhorn(torch.tensor([[9.0, 0.0], [0.0, 0.0]]), iterations=1)


@given(pairs(), temperatures)
def test_float32_agrees_with_float64(pair: tuple[Tensor, Tensor], temperature: float) -> None:
    """Log-probabilities agree to 1e-4 of the size of the logits."""
    x, y = pair
    exact = softmax(similarity(x, y, temperature=temperature))
    single = softmax(similarity(x.float(), y.float(), temperature=temperature))
    torch.testing.assert_close(single.double(), exact, atol=1e-5 / temperature, rtol=1e-4)
    assert single.dtype == torch.float32


@pytest.mark.parametrize("name", CONDITIONALS)
@given(rho=similarities())
def test_padding_may_be_nan(name: str, rho: Tensor) -> None:
    """NaN in padded rows and columns reaches no real entry."""
    rho = rho / rho.abs().max()
    n, m = rho.shape
    padded = torch.full((n + 1, m + 1), math.nan, dtype=rho.dtype)
    padded[:n, :m] = rho
    masks = {"row_mask": torch.arange(n + 1) < n, "column_mask": torch.arange(m + 1) < m}
    log_prob = CONDITIONALS[name].log_prob
    torch.testing.assert_close(log_prob(padded, **masks)[:n, :m], log_prob(rho), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", CONDITIONALS)
@given(first=similarities(), second=similarities())
def test_a_batch_is_a_loop(name: str, first: Tensor, second: Tensor) -> None:
    """Samples of a ragged batch are as they are alone."""
    n = max(len(first), len(second))
    m = max(first.shape[1], second.shape[1])
    padded, rows, columns = [], [], []
    samples = [x / x.abs().max() for x in (first, second)]
    for x in samples:
        pad = torch.full((n, m), 3.0, dtype=x.dtype)
        pad[: len(x), : x.shape[1]] = x
        padded.append(pad)
        rows.append(torch.arange(n) < len(x))
        columns.append(torch.arange(m) < x.shape[1])
    log_prob = CONDITIONALS[name].log_prob
    both = log_prob(
        torch.stack(padded), row_mask=torch.stack(rows), column_mask=torch.stack(columns)
    )
    for x, together in zip(samples, both, strict=True):
        alone = log_prob(x)
        torch.testing.assert_close(together[: len(x), : x.shape[1]], alone, atol=1e-9, rtol=1e-9)


def test_sinkhorn_does_not_depend_on_batch_neighbors() -> None:
    """A sample that converges at once is left alone while its slow neighbor goes on, to the bit."""
    easy = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    hard = torch.diag(torch.tensor([9.0, 0.0, 0.0, 0.0])) + easy
    alone = sinkhorn(easy[None])[0]
    assert torch.equal(sinkhorn(torch.stack([easy, hard]))[0], alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(x=embeddings(rows=(2, 7)), temperature=st.sampled_from([0.5, 1.0, 5.0]))
def test_sinkhorn_converges_at_its_default(
    dtype: torch.dtype, x: Tensor, temperature: float
) -> None:
    """The default tolerance is within reach of either dtype."""
    p = sinkhorn(similarity(x, x, temperature=temperature).to(dtype)).exp()
    torch.testing.assert_close(p.sum(0), torch.ones_like(p[0]), atol=1e-4, rtol=0)


def test_minmax_of_a_row_constant_up_to_rounding() -> None:
    """Equal words whose products round differently are equal: uniform, not 0 and 1."""
    row = torch.tensor([[0.3, 0.3 + 3e-8, 0.3]])
    assert row[0, 0] != row[0, 1]
    torch.testing.assert_close(minmax(row).exp(), torch.full((1, 3), 1 / 3))
    near_minimum = torch.tensor([[0.3, 0.3 + 3e-8, 0.9]])
    assert minmax(near_minimum).tolist() == [[-math.inf, -math.inf, 0.0]]


def test_types_come_before_shapes() -> None:
    """Lists, mixed dtypes, vectors and empty sets are refused by name."""
    x = torch.ones(2, 3)
    with pytest.raises(DTypeError, match=r"y: expected a torch\.Tensor, got list"):
        cosine_similarity(x, [[1.0]])  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match=r"one dtype, got torch\.float32 and torch\.float64"):
        cosine_similarity(x, x.double())
    with pytest.raises(ShapeError, match=r"x: expected 2 axes or more, got shape \(3,\)"):
        cosine_similarity(x[0], x)
    with pytest.raises(EmptyInputError, match="y"):
        cosine_similarity(x, x[:0])
    for tau in (0.0, -1.0, math.nan):
        with pytest.raises(ParameterError, match="temperature"):
            similarity(x, x, temperature=tau)
