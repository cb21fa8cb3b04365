"""Half of the Gram matrix, lazy search and partial sorts against the plain way of doing it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import generator, normal
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mitheory import select, select_batch
from mitheory.distributions import unit_products, unit_rows
from mitheory.pmi import row_sums, self_pmi
from mitheory.pmi.row_sums import half_products, is_resolved, log_row_sums, pairs_of_tiles
from mitheory.selection import engine, streaming
from mitheory.selection.engine import ranking, rounding_slack, top_picks
from mitheory.selection.mi import batched_greedy, mi_problem, searched_greedy

SEEDS = st.integers(0, 2**20)


@pytest.fixture
def tiny_tiles(monkeypatch):
    """Tiles, panels and looks that a dozen tokens do not fit into."""
    monkeypatch.setattr(row_sums, "TILE", 5)
    monkeypatch.setattr(row_sums, "PANEL", 3)
    monkeypatch.setattr(streaming, "CANDIDATES", 4)
    monkeypatch.setattr(streaming, "PENDING", 2)


def tokens(seed, n, *, d=6, copies=0, zeros=0, dtype=torch.float64):
    """Tokens of which the last `copies` repeat others, and the first `zeros` are zero."""
    x = normal(seed, n, d)
    if copies:
        source = torch.randint(n, (copies,), generator=generator(seed))
        x[n - copies :] = x[source] * 3
    x[:zeros] = 0
    return x.to(dtype)


# --- row sums ---------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("temperature", [3.0, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_row_sums_from_one_half(tiny_tiles, dtype, temperature, keep):
    """Tile by tile, each added to its rows and columns: the log-sum-exp of whole rows, also of
    zero rows, whose sum is n, and where e^(1/τ) is beyond single precision."""
    unit = unit_rows("v", tokens(0, 13, zeros=2, dtype=dtype), zero_norm="uninformative")
    sums, cosine = half_products(unit[None], temperature, keep=keep)
    expected = (unit.double() @ unit.double().T / temperature).logsumexp(-1)
    allowed = 8 * torch.finfo(dtype).eps / temperature
    torch.testing.assert_close(sums[0].double(), expected, atol=allowed, rtol=1e-6)
    assert sums[0, :2].tolist() == pytest.approx([math.log(13)] * 2)
    assert (cosine is not None) == keep
    if cosine is not None:
        torch.testing.assert_close(cosine[0].triu(), (unit @ unit.T).triu())


@given(SEEDS, st.integers(1, 40))
def test_row_sums_of_any_number_of_tokens(seed, n):
    unit = unit_rows("v", tokens(seed, n))
    torch.testing.assert_close(log_row_sums(unit, 0.2), (unit @ unit.T / 0.2).logsumexp(-1))


def test_tiles_by_hand(monkeypatch):
    """Three blocks of 5, 5 and 3: 13 × 5, then 8 × 5, then 3 × 3 products."""
    monkeypatch.setattr(row_sums, "TILE", 5)
    assert pairs_of_tiles(13) == 65 + 40 + 9


def test_a_temperature_of_the_size_of_rounding_takes_whole_rows():
    """A diagonal of 1 ± ε would be a logit of 1/τ ± ε/τ: no sum can be told from it."""
    unit = unit_rows("v", tokens(0, 9, dtype=torch.float32))
    assert not is_resolved(1e-7, torch.float32)
    found = self_pmi(unit, temperature=1e-7).log_scale
    torch.testing.assert_close(found, (unit / 1e-7 @ unit.T).logsumexp(-1))


def test_gradients_flow_through_whole_rows():
    """Products into given memory have no gradient; where one is asked for, they are not used."""
    v = tokens(0, 6).requires_grad_()
    self_pmi(v, temperature=0.1).log_scale.sum().backward()
    assert v.grad is not None
    assert bool(torch.isfinite(v.grad).all())


# --- search -----------------------------------------------------------------------------------


def problem_of(visual, text, **options):
    defaults = select("mi_pruner", visual=visual, text=text, budget=1, zero_norm="uninformative")
    return mi_problem(
        visual[None], text[None], **defaults.params | options, grid=None, zero_norm="uninformative"
    )


@pytest.mark.parametrize("whole", [True, False])
@given(
    SEEDS,
    st.integers(2, 30),
    st.integers(0, 10),
    st.sampled_from([0.0, 0.3, 0.5, 0.999]),
    st.sampled_from(["uniform", "stationary", "energy"]),
    st.sampled_from(["softmax", "minmax"]),
    st.data(),
)
def test_search_is_greedy_on_all_scores(
    tiny_tiles_once, whole, seed, n, copies, weight, prior, conditional, data
):
    """With rows kept, and lazily: the tokens, order and gains of a look at every score at every
    choice, with copies among the tokens, with −∞ among relevances, behind tokens given."""
    tiny_tiles_once(whole, n)
    visual, text = tokens(seed, n, copies=min(copies, n - 1)), normal(seed + 1, 3, 6)
    problem = problem_of(
        visual, text, relevance_weight=weight, prior=prior, conditional=conditional,
        aggregation="mean" if conditional == "minmax" else "max", self_conditional="softmax",
    )  # fmt: skip
    k = data.draw(st.integers(1, n))
    given_ = data.draw(st.lists(st.integers(0, n - 1), unique=True, max_size=k - 1))
    first = torch.tensor([given_], dtype=torch.int64)
    slow, fast = batched_greedy(problem, k, first), searched_greedy(problem, k, first)
    assert (problem.redundancy.cosine is not None) == whole
    assert fast.indices.tolist() == slow.indices.tolist()
    torch.testing.assert_close(fast.gains, slow.gains, atol=1e-8, rtol=1e-8)
    assert whole <= (fast.evaluations == slow.evaluations)


@pytest.fixture(scope="module")
def tiny_tiles_once():
    """The same small sizes for all examples, and a limit under or above the number of tokens."""
    from mitheory.selection import mi

    with pytest.MonkeyPatch.context() as patch:

        def sizes(whole, n):
            patch.setattr(row_sums, "TILE", 5)
            patch.setattr(row_sums, "PANEL", 3)
            patch.setattr(streaming, "CANDIDATES", 4)
            patch.setattr(streaming, "PENDING", 2)
            patch.setattr(mi, "WHOLE", n if whole else 1)

        yield sizes


@pytest.mark.parametrize("n", [40, 1300])
def test_equal_tokens_are_chosen_in_order(n):
    """More ties than candidates: every choice looks at all tokens, and takes the lowest index."""
    v = normal(0, 1, 8).expand(n, 8)
    found = select("mi_pruner", visual=v.clone(), text=normal(1, 3, 8), budget=30)
    assert found.indices.tolist() == list(range(30))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lazily_at_full_size(dtype):
    """1,500 tokens in twenty clusters: the choices of the batched loop, from fewer scores."""
    rng = generator(0)
    centers = torch.randn(20, 16, generator=rng, dtype=torch.float64)
    noise = torch.randn(1500, 16, generator=rng, dtype=torch.float64)
    v = (centers[torch.arange(1500) % 20] + 0.5 * noise).to(dtype)
    problem = problem_of(v, centers[:4].to(dtype))
    slow = batched_greedy(problem, 60, torch.empty(1, 0, dtype=torch.int64))
    fast = searched_greedy(problem, 60, torch.empty(1, 0, dtype=torch.int64))
    assert fast.indices.tolist() == slow.indices.tolist()
    torch.testing.assert_close(fast.gains, slow.gains, atol=2e-5, rtol=1e-5)
    assert fast.evaluations < slow.evaluations


class Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor that any operation makes."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        made = [x.numel() for x in tree_leaves(out) if isinstance(x, torch.Tensor)]
        self.numel = max(self.numel, *made, 0)
        return out


@pytest.mark.parametrize("options", [{}, {"self_loop": False}, {"redundancy_aggregation": "global"},
                                     {"self_marginal": "total_probability"}])  # fmt: skip
def test_a_large_matrix_never_exists(options):
    """Of 2,000 tokens no tensor is larger than 512 rows of the matrix, whatever the options."""
    v, t = normal(0, 2000, 8), normal(1, 3, 8)
    with Largest() as seen:
        select("mi_pruner", visual=v, text=t, budget=5, **options)
    assert 0 < seen.numel <= 512 * 2000


def test_ragged_samples_are_what_they_are_alone():
    """To the last bit, in a batch of any company."""
    sizes = [30, 17, 30, 23]
    visual, mask = normal(0, 4, 30, 8).float(), torch.arange(30) < torch.tensor(sizes)[:, None]
    text = normal(1, 4, 5, 8).float()
    for lam in (0.5, 1.0):
        together = select_batch(
            "mi_pruner", visual=visual, text=text, visual_mask=mask, budget=9, relevance_weight=lam
        )
        for s, n in enumerate(sizes):
            alone = select(
                "mi_pruner", visual=visual[s, :n], text=text[s], budget=9, relevance_weight=lam
            )
            assert together[s].indices.tolist() == alone.indices.tolist()
            assert together[s].gains.tolist() == alone.gains.tolist()


# --- one pass over V --------------------------------------------------------------------------


def test_rows_of_any_size_beside_each_other():
    """Rows whose squares leave single precision are scaled first, the others are not touched."""
    plain = tokens(0, 4, dtype=torch.float32)
    scale = torch.tensor([1e-30, 1.0, 1e30, 0.0])[:, None]
    mixed = unit_rows("x", plain * scale, zero_norm="uninformative")
    torch.testing.assert_close(mixed[:3], unit_rows("x", plain)[:3])
    assert mixed[1].tolist() == unit_rows("x", plain)[1].tolist()
    assert mixed[3].tolist() == [0.0] * 6


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_products_of_rows_that_are_not_copied(scale):
    x, y = tokens(0, 7, dtype=torch.float32)[None] * scale, tokens(1, 3, dtype=torch.float32)[None]
    torch.testing.assert_close(unit_products("x", x, y), unit_rows("x", x) @ y.mT)


@given(SEEDS, st.integers(1, 6), st.integers(1, 3))
def test_the_leading_few_are_those_of_the_whole_ranking(seed, budget, levels):
    """With many near-ties, across the border of what is sorted or not."""
    rng = generator(seed)
    scores = torch.randint(levels * 10, (3, 150), generator=rng).double()
    scores += 1e-9 * torch.rand(3, 150, generator=rng, dtype=torch.float64)
    slack = rounding_slack(scores) + 1e-9
    expected = ranking(scores, slack)[:, :budget]
    assert engine.MARGIN * budget < 150
    assert torch.equal(top_picks(scores, budget, slack=slack).indices, expected)
