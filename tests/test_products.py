"""Products, Gram matrices and sums of columns: blocks, halves and NumPy change no number."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mitheory import select, select_batch
from mitheory.distributions import gram_of, products, row_products, upper_products
from mitheory.errors import NonFiniteError
from mitheory.pmi.largest import largest_pmi, largest_pmi_of_rows
from mitheory.selection import attention, inputs
from mitheory.selection.autoprune import attention_information, log2_of, mutual_information
from mitheory.selection.columns import ROWS, columns_of
from mitheory.selection.engine import rounding_slack

KINDS = (torch.float32, torch.float64)


def numbers(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(found, expected, dtype):
    """To rounding of sums of a few hundred products."""
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


@given(
    b=st.integers(1, 3), n=st.integers(1, 200), m=st.integers(1, 40), d=st.integers(1, 70),
    dtype=st.sampled_from(KINDS), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_blocks_of_rows_are_the_product(b, n, m, d, dtype, seed):
    """x yᵀ, sample by sample, whatever the number of rows in the last block."""
    x, y = numbers(b, n, d, seed=seed, dtype=dtype), numbers(b, m, d, seed=seed + 1, dtype=dtype)
    close(row_products(x, y), torch.einsum("bnd,bmd->bnm", x.double(), y.double()), dtype)


def test_a_block_is_as_long_as_its_kernel_takes():
    """800,000 multiplications, a multiple of 8 rows, 192 at most; fewer than 16 are no block."""

    def rows(d, m):
        return products._rows_of_block(torch.ones(1, 500, d), torch.ones(1, m, d))

    assert (rows(256, 32), rows(1024, 32), rows(8, 4), rows(4096, 32)) == (96, 24, 192, 0)


@pytest.mark.parametrize("dtype", KINDS)
def test_rows_that_do_not_lie_in_order(dtype):
    """Strided, transposed and expanded factors."""
    x, y = numbers(40, 2, 30, dtype=dtype), numbers(7, 60, dtype=dtype)
    x, y = x.transpose(0, 1), y[:, ::2].expand(2, 7, 30)
    close(row_products(x, y), torch.einsum("bnd,bmd->bnm", x.double(), y.double()), dtype)


def test_a_sample_does_not_depend_on_its_neighbors():
    """To the last bit."""
    x, y = numbers(3, 101, 24, dtype=torch.float32), numbers(3, 9, 24, seed=1, dtype=torch.float32)
    for product in (lambda x, y: row_products(x, y), lambda x, y: gram_of(x)):
        together = product(x, y)
        alone = torch.cat([product(x[s : s + 1], y[s : s + 1]) for s in range(3)])
        assert torch.equal(together, alone)


def test_gradients_and_half_precision_go_through_torch():
    x, y = numbers(1, 30, 8).requires_grad_(), numbers(1, 4, 8, seed=1)
    row_products(x, y).sum().backward()
    torch.testing.assert_close(x.grad, y.sum(1, keepdim=True).expand_as(x))
    half = x.detach().bfloat16()
    assert row_products(half, half).dtype == gram_of(half).dtype == torch.bfloat16
    assert gram_of(x).requires_grad


@given(n=st.integers(1, 150), d=st.integers(1, 30), dtype=st.sampled_from(KINDS))
def test_a_gram_matrix_is_exactly_symmetric(n, d, dtype):
    """The half that is computed, and its mirror image across blocks of 64."""
    x = numbers(2, n, d, dtype=dtype)
    gram = gram_of(x)
    assert torch.equal(gram, gram.mT)
    close(gram, x.double() @ x.double().mT, dtype)


@pytest.mark.parametrize("dtype", [*KINDS, torch.bfloat16])
def test_what_stands_below_the_diagonal_stays(dtype):
    x, out = numbers(70, 5).to(dtype), torch.full((70, 70), 7.0, dtype=dtype)
    upper_products(x, out)
    assert (out.tril(-1) == torch.full_like(out, 7.0).tril(-1)).all()
    torch.testing.assert_close(out.triu(), (x @ x.T).triu(), rtol=1e-4, atol=1e-4)


@given(m=st.integers(1, 3 * ROWS), n=st.integers(1, 9), dtype=st.sampled_from(KINDS))
def test_sums_of_columns(m, n, dtype):
    """Whole blocks of rows and what is left."""
    x = numbers(2, 3, m, n, dtype=dtype)
    close(columns_of(x), x.double().sum(-2), dtype)


def test_many_small_numbers_are_not_lost_in_their_sum():
    """One after the other, 4,096 additions of single precision drift by more than ties allow."""
    x = torch.full((2**12, 2), 0.1)
    exact, tie = 2**12 * float(torch.tensor(0.1)), rounding_slack(x)
    assert float((columns_of(x) / exact - 1).abs().max()) < tie
    assert abs(float(np.add.accumulate(x.numpy()[:, 0])[-1]) / exact - 1) > tie


def test_attention_is_read_once(monkeypatch):
    """The sums that show every number to be finite are the score, of each sample its own."""
    seen = []
    monkeypatch.setattr(inputs, "columns_of", lambda x: seen.append(x.shape) or x.sum(-2))
    monkeypatch.setattr(attention, "columns_of", lambda x: pytest.fail("summed again"))
    maps = numbers(5, 2, 12, 12).softmax(-1)
    found = select_batch("attention", patch_attention=maps, budget=3)
    assert seen == [(5, 2, 12, 12)]
    expected = maps.sum(2).mean(1) - maps.diagonal(dim1=2, dim2=3).mean(1)
    assert [s.indices.tolist() for s in found] == expected.topk(3).indices.tolist()


def test_sums_reach_every_part_of_a_large_batch(monkeypatch):
    """Samples are taken a few at a time; each part gets its own sums."""
    from mitheory.selection import running

    monkeypatch.setattr(running, "CHUNK", 2 * 12**2)
    maps = numbers(5, 2, 12, 12).softmax(-1)
    found = select_batch("attention", patch_attention=maps, budget=3)
    for own, sample in zip(found, maps, strict=True):
        assert torch.equal(
            own.indices, select("attention", patch_attention=sample, budget=3).indices
        )


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_sums_hide_nothing_that_is_not_finite(bad):
    maps = torch.full((2, 6, 6), 1 / 6)
    maps[1, 2, 3] = bad
    maps[0, 2, 3] = -bad
    with pytest.raises(NonFiniteError, match=r"patch_attention.*\(0, 0, 2, 3\)"):
        select("attention", patch_attention=maps, budget=2)


def test_sums_that_overflow_are_no_fault():
    maps = torch.full((1, 4, 4), 3e38)
    maps[:, :, 2] = 1.0
    kept = select("attention", patch_attention=maps, budget=2, include_diagonal=True)
    assert kept.indices.tolist() == [0, 1]


def test_logarithms_are_shared():
    """Both kinds of information, with logarithms that are known and without; 0 log 0 is 0."""
    seen = numbers(2, 3, 5, 7).softmax(-1) * (numbers(2, 3, 5, 7, seed=1) > 0)
    logs = log2_of(seen)
    torch.testing.assert_close(logs[seen > 0], seen[seen > 0].log2())
    assert float((logs * seen)[seen == 0].abs().max()) == 0
    for information in (attention_information, mutual_information):
        assert torch.equal(information(seen, logs), information(seen))
    watched = seen.clone().requires_grad_()
    assert mutual_information(watched).requires_grad


def test_products_tell_whoever_watches():
    """3 × 5 products of 4 multiplications, and 3 · 4 / 2 of rows with each other; with the bytes of
    factors and results. Nobody is told who has gone."""
    told = []
    watcher = lambda *numbers: told.append(numbers)  # noqa: E731  a name to remove it by
    products.WATCHING.append(watcher)
    try:
        row_products(torch.ones(1, 3, 4), torch.ones(1, 5, 4))
        upper_products(torch.ones(3, 4), torch.zeros(3, 3))
    finally:
        products.WATCHING.remove(watcher)
    gram_of(torch.ones(1, 3, 4))
    assert told == [(60, 4 * (12 + 20 + 15)), (24, 4 * (12 + 9))]


@pytest.mark.parametrize(("n", "threads", "rows"), [(4096, 2, 96), (4097, 2, 0), (4097, 1, 96)])
def test_several_threads_take_a_large_product_at_once(monkeypatch, n, threads, rows):
    """From 2 ** 25 multiplications on."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x, y = torch.empty(1, n, 256), torch.empty(1, 32, 256)
    assert products._rows_of_block(x, y) == rows


@pytest.mark.parametrize("temperature", [0.1, 0.02, 1e-3])
@pytest.mark.parametrize("dtype", KINDS)
def test_the_largest_pmi_is_that_of_the_matrix(temperature, dtype):
    """With probabilities, with weights alone, and where both are too small, by logarithms."""
    rows, words = numbers(2, 30, 6, dtype=dtype), numbers(2, 5, 6, seed=1, dtype=dtype)
    norm, words = rows.norm(dim=-1), words / words.norm(dim=-1, keepdim=True)
    unit = rows / norm[..., None]
    rho = unit.double() @ words.double().mT / temperature
    log_cond = rho.log_softmax(-1)
    expected = (log_cond - log_cond.logsumexp(-2, keepdim=True) + math.log(30)).amax(-1)
    for found in (
        largest_pmi((unit @ words.mT) / temperature, temperature),
        largest_pmi_of_rows(rows, words, temperature, norm=norm),
        largest_pmi_of_rows(unit, words, temperature),
    ):
        tolerance = 60 * torch.finfo(dtype).eps / temperature
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=tolerance)
