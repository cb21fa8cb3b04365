"""Batches: every function of a table applies to each table of a batch as if it were alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import similarities
from torch import Tensor

from mitheory.aggregation import AGGREGATIONS, BOUNDS, max_below_sum, renyi
from mitheory.distributions import CONDITIONALS, sinkhorn
from mitheory.distributions.cosine import unit_products, unit_rows
from mitheory.errors import ZeroNormError
from mitheory.pmi import centered_similarity, cross_pmi, joint_pmi, self_pmi
from mitheory.priors import PriorContext, resolve_prior

PRIOR = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64).log()


def of_pmi(function: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    """An aggregation as a function of similarities (..., 4, 3)."""

    def apply(rho: Tensor) -> Tensor:
        log_cond = rho.log_softmax(-1)
        pmi = log_cond - (log_cond + PRIOR[:, None]).logsumexp(-2, keepdim=True)
        return function(pmi, log_cond)

    return apply


TABLES: dict[str, Callable[[Tensor], Tensor]] = {
    **{
        name: of_pmi(lambda pmi, log_cond, f=f: f(pmi, log_cond, log_prior=PRIOR))
        for name, f in AGGREGATIONS.items()
    },
    "renyi:2": of_pmi(renyi(2.0)),
    **{
        f"{name}.{side}": of_pmi(lambda *a, f=f, side=side: getattr(f(*a), side))
        for name, f in {**BOUNDS, "max_below_sum": max_below_sum}.items()
        for side in ("lower", "upper")
    },
    **{name: conditional.log_prob for name, conditional in CONDITIONALS.items()},
    "centered_similarity": centered_similarity,
    "joint_pmi": joint_pmi,
    "energy": lambda rho: resolve_prior(
        "energy", PriorContext(n_v=4, cross=rho, dtype=torch.float64)
    ),
    "sinkhorn": sinkhorn,
}


@pytest.mark.parametrize("name", TABLES)
@given(st.integers(0, 2**20))
def test_a_batch_of_tables_is_each_table(name: str, seed: int) -> None:
    """f(x)_b = f(x_b) for tables (b, n_v, n_t), and likewise with two leading axes."""
    g = torch.Generator().manual_seed(seed)
    rho = 3 * torch.randn(2, 2, 4, 3, generator=g, dtype=torch.float64)
    together = TABLES[name](rho)
    for i in range(2):
        torch.testing.assert_close(TABLES[name](rho[i]), together[i])
        torch.testing.assert_close(TABLES[name](rho[i, 0]), together[i, 0])
        assert TABLES[name](rho[i]).dtype == torch.float64


@given(st.integers(0, 2**20), st.booleans())
def test_masked_words_and_tokens_count_for_nothing_in_any_table(
    seed: int, over_vision: bool
) -> None:
    """Under masks, PMI of the real entries is what they have without the padding, in a batch."""
    g = torch.Generator().manual_seed(seed)
    visual, text = (torch.randn(2, n, 5, generator=g, dtype=torch.float64) for n in (6, 4))
    visual_mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    text_mask = torch.tensor([[True] * 3 + [False], [True] * 2 + [False] * 2])
    kind = "softmax_over_vision" if over_vision else "softmax"
    options = {"temperature": 0.5, "conditional": kind}
    found = cross_pmi(visual, text, visual_mask=visual_mask, text_mask=text_mask, **options)
    within = self_pmi(visual, temperature=0.5, visual_mask=visual_mask).matrix()
    for b in range(2):
        n_v, n_t = int(visual_mask[b].sum()), int(text_mask[b].sum())
        alone = cross_pmi(visual[b, :n_v], text[b, :n_t], **options)
        torch.testing.assert_close(found.pmi[b, :n_v, :n_t], alone.pmi)
        torch.testing.assert_close(found.log_cond[b, :n_v, :n_t], alone.log_cond)
        own = self_pmi(visual[b, :n_v], temperature=0.5).matrix()
        torch.testing.assert_close(within[b, :n_v, :n_v], own)


@given(similarities())
def test_self_pmi_without_loops_hides_exactly_the_diagonal(rho: Tensor) -> None:
    """PMI(v_i; v_i) = −∞ and every other entry finite, for any number of tokens."""
    matrix = self_pmi(rho, temperature=0.5, self_loop=False).matrix()
    assert torch.equal(matrix == -torch.inf, torch.eye(len(rho), dtype=torch.bool))


def tokens(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("over", ["cross", "self"])
def test_priors_by_name_are_the_same_priors_given_as_numbers(over: str) -> None:
    """A prior of position reaches PMI with its grid, in the precision of the tokens, and the
    stationary one with the degrees that it is made of."""
    visual, text = tokens(0, 6, 5), tokens(1, 4, 5)
    context = PriorContext(6, grid=(2, 3), dtype=torch.float64)
    given = resolve_prior("center_biased", context).exp()
    degree = self_pmi(visual, temperature=0.5).log_degree()

    def found(prior: str | Tensor, **more: object) -> Tensor:
        if over == "self":
            return self_pmi(visual, temperature=0.5, prior=prior, grid=(2, 3)).matrix()
        more = {"log_degree": degree} if prior == "stationary" else {}
        return cross_pmi(visual, text, temperature=0.5, prior=prior, grid=(2, 3), **more).pmi  # type: ignore[arg-type]

    torch.testing.assert_close(found("center_biased"), found(given))
    assert found("center_biased").dtype == torch.float64
    torch.testing.assert_close(found("stationary"), found(degree.softmax(-1)))


@pytest.mark.parametrize("kind", ["softmax", "softmax_over_vision"])
def test_what_stands_in_padding_or_in_a_zero_row_says_nothing(kind: str) -> None:
    """NaN under a mask reaches no real entry; a zero row may be uninformative, and is refused by
    its name if not."""
    visual, text = tokens(0, 2, 6, 5), tokens(1, 2, 4, 5)
    visual_mask, text_mask = torch.ones(2, 6, dtype=torch.bool), torch.ones(2, 4, dtype=torch.bool)
    visual_mask[0, 4:] = False
    text_mask[1, 3:] = False
    masks = {"visual_mask": visual_mask, "text_mask": text_mask}
    options = {"temperature": 0.5, "conditional": kind}
    clean = cross_pmi(visual, text, **masks, **options)
    spoiled = cross_pmi(
        visual.masked_fill(~visual_mask[..., None], torch.nan),
        text.masked_fill(~text_mask[..., None], torch.nan),
        **masks,
        **options,
    )
    assert torch.equal(spoiled.pmi, clean.pmi)
    assert torch.equal(spoiled.log_cond, clean.log_cond)
    hidden = ~(visual_mask[:, :, None] & text_mask[:, None, :])
    assert bool((clean.pmi[hidden] == -torch.inf).all())
    assert bool((clean.log_cond[hidden] == -torch.inf).all())
    for name, place in (("visual", visual), ("text", text)):
        zero = place.clone()
        zero[0, 1] = 0
        both = {"visual": visual, "text": text, name: zero}
        with pytest.raises(ZeroNormError, match=rf"^{name}: "):
            cross_pmi(**both, **options)
        assert bool(cross_pmi(**both, **options, zero_norm="uninformative").pmi.isfinite().all())


def test_a_zero_row_among_visual_tokens_is_refused_by_name_or_uninformative() -> None:
    zero = tokens(0, 6, 5)
    zero[2] = 0
    with pytest.raises(ZeroNormError, match=r"^visual: "):
        self_pmi(zero, temperature=0.5)
    within = self_pmi(zero, temperature=0.5, zero_norm="uninformative").matrix()
    assert within[2].tolist() == pytest.approx([0.0] * 6)  # cosine 0 with all: no preference


@pytest.mark.parametrize("self_loop", [True, False])
def test_minmax_of_equal_tokens_is_uniform_over_those_that_count(self_loop: bool) -> None:
    """Three copies and a row of padding: p(v_j given v_i) is 1/3, or 1/2 of the two others."""
    visual = torch.ones(2, 4, 3, dtype=torch.float64)
    mask = torch.tensor([[True, True, True, False], [True, True, True, True]])
    within = self_pmi(
        visual, temperature=1.0, conditional="minmax", self_loop=self_loop, visual_mask=mask
    )
    p = within.log_cond().exp()
    for row, n in ((0, 3), (1, 4)):
        expected = torch.full((n, n), 1 / (n if self_loop else n - 1), dtype=torch.float64)
        if not self_loop:
            expected.fill_diagonal_(0.0)
        torch.testing.assert_close(p[row, :n, :n], expected)
    assert bool((p[0, :3, 3] == 0).all())


SIZES = st.lists(st.sampled_from([1e-30, 1e-3, 1.0, 1e3, 1e30]), min_size=5, max_size=5)


@given(
    st.integers(0, 2**20), SIZES, st.integers(1, 3), st.sampled_from([torch.float32, torch.float64])
)
def test_cosines_do_not_depend_on_the_size_of_a_row(seed, sizes, b, dtype):
    """unit_rows(c x) = unit_rows(x) for c > 0, though c² may over- or underflow in the precision of
    x; and unit_products(c x, y) = unit_rows(x) yᵀ, in a batch as alone."""
    x, y = tokens(seed, b, 5, 4), tokens(seed + 1, b, 3, 4).to(dtype)
    scaled = (torch.tensor(sizes, dtype=torch.float64)[:, None] * x).to(dtype)
    unit = (x / x.norm(dim=-1, keepdim=True)).to(dtype)
    torch.testing.assert_close(unit_rows("x", scaled), unit, rtol=1e-5, atol=1e-6)
    found = unit_products("x", scaled, y)
    assert found.shape == (b, 5, 3)
    torch.testing.assert_close(found, unit @ y.mT, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("b", [1, 2])
def test_a_zero_row_is_named_or_has_product_zero(b):
    """In any sample of a batch; the rows beside it are what they are without it."""
    x, y = tokens(0, b, 3, 4), tokens(1, b, 2, 4)
    whole = unit_products("x", x, y)
    x[-1, 1] = 0.0
    with pytest.raises(ZeroNormError, match=r"^rows: expected rows of positive norm, got 1 zero"):
        unit_products("rows", x, y)
    found = unit_products("rows", x, y, zero_norm="uninformative")
    assert (found[-1, 1] == 0).all()
    torch.testing.assert_close(found[-1, [0, 2]], whole[-1, [0, 2]])


def test_hidden_rows_may_be_anything():
    """A masked row is zero after scaling, and no error, whatever stands in it."""
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0], [math.inf, math.nan]])
    found = unit_rows("x", x, mask=torch.tensor([True, False, False]))
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, 0.0]]))
