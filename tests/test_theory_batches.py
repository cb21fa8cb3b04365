"""Batches: every function of a table applies to each table of a batch as if it were alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import similarities
from torch import Tensor

from mitheory.aggregation import AGGREGATIONS, BOUNDS, max_below_sum, renyi
from mitheory.distributions import CONDITIONALS, sinkhorn
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
