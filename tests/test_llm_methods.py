"""FastV, SparseVLM, DART and AutoPrune: literal twins, by hand, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import peer_twins_llm as twins
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from selection_cases import inputs, normal, uniform

from mitheory import SELECTORS, select, select_batch
from mitheory.errors import BudgetError, MissingInputError, ParameterError, UnknownNameError
from mitheory.pmi import log_marginal
from mitheory.selection.autoprune import attention_information, mutual_information
from mitheory.selection.dart import largest
from mitheory.selection.recycling import density_peaks, kept_beside_groups
from mitheory.selection.sparsevlm import loudest, raters
from mitheory.selection.sparsevlm_budgets import rank_budget, recycled

SEEDS = st.integers(0, 2**20)
MODES = pytest.mark.parametrize("mode", ["exact", "faithful"])


def one(seed, **sizes):
    """Inputs of a single sample; words that attend to patches with part of their mass only."""
    case = {name: x[0] for name, x in inputs(seed, b=1, **sizes).items()}
    n_t = len(case["text"])
    return case | {"text_attention": case["text_attention"] * uniform(seed, 2, n_t, 1)}


def arrays(case, *names):
    return [case[name].numpy() for name in names]


# --- FastV ------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("rows", ["last", "all"])
@given(SEEDS, st.integers(1, 14))
def test_fastv_equals_its_twin(mode, rows, seed, budget):
    case = one(seed)
    found = select("fastv", **case, budget=budget, rows=rows, mode=mode)
    assert found.indices.tolist() == twins.fastv(case["text_attention"].numpy(), budget, rows)
    assert found.mode == mode
    assert bool(found.departures) == (rows == "all")


def test_fastv_needs_attention_alone_and_its_last_word_is_the_last_that_is_there():
    """Two samples, the second of two words: padding rows are not the last row."""
    seen = uniform(0, 2, 3, 4, 6)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    spoiled = seen.masked_fill(~mask[:, None, :, None], torch.nan)
    together = select_batch("fastv", text_attention=spoiled, text_mask=mask, budget=2)
    alone = select("fastv", text_attention=seen[1, :, :2], budget=2)
    assert together[1].indices.tolist() == alone.indices.tolist()
    assert SELECTORS["fastv"].requires == ("text_attention",)
    with pytest.raises(UnknownNameError, match="rows"):
        select("fastv", text_attention=seen[0], budget=2, rows="first")


# --- SparseVLM --------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("version", ["1.0", "1.5", "2.0"])
@given(SEEDS, st.integers(1, 13))
def test_sparsevlm_equals_its_twin(mode, version, seed, budget):
    case = one(seed)
    v, t, seen = arrays(case, "visual", "text", "text_attention")
    found = select("sparsevlm", **case, budget=budget, version=version, mode=mode)
    heads = 14 if version == "2.0" else None
    order, scores = twins.sparsevlm(v, t, seen, 14, heads)
    assert found.info["raters"] == twins.raters(v, t)
    if version == "1.0" and mode == "faithful":
        rank = np.linalg.matrix_rank(seen.mean(0)[twins.raters(v, t)])
        budget = min(int(13.5 * rank), 13)
    assert found.indices.tolist() == order[:budget]
    np.testing.assert_allclose(found.gains.numpy(), scores[order[:budget]])


@given(SEEDS)
def test_the_raters_marginal_is_that_of_mi_pruner_with_dot_products(seed):
    """Eq. (17): m_j = Σ_i p(v_i) p(t_j | v_i) under the uniform prior, logits v·t at τ = 1; a word
    rates if it is above 1 / n_t."""
    v, t = normal(seed, 9, 5), normal(seed + 1, 4, 5)
    log_p = (v @ t.T).log_softmax(-1)
    prior = torch.full((9,), -math.log(9), dtype=torch.float64)
    marginal = log_marginal(log_p, prior).exp()
    assert raters(v[None], t[None])[0].tolist() == (marginal > 1 / 4).tolist()


def test_version_2_listens_to_the_loudest_heads():
    """Of 20 heads the 14 of largest mass; with fewer, to all."""
    seen = torch.arange(1.0, 21.0).view(1, 20, 1, 1).expand(1, 20, 2, 3) / 100
    assert loudest(seen)[0, 0, 0].item() == pytest.approx(np.mean(range(7, 21)) / 100)
    assert loudest(seen[:, :5])[0, 0, 0].item() == pytest.approx(0.03)


def test_where_no_word_stands_out_all_rate_or_the_public_code_is_refused():
    case = one(3)
    case["text"] = case["text"][:1].expand(4, -1)
    found = select("sparsevlm", **case, budget=5)
    assert found.info["raters"] == [0, 1, 2, 3]
    assert any("all rate" in note for note in found.departures)
    with pytest.raises(ParameterError, match="averages nothing"):
        select("sparsevlm", **case, budget=5, mode="faithful")


@given(SEEDS, st.integers(8, 40), st.integers(2, 4))
def test_density_peaks_equal_their_twin(seed, m, groups):
    """Centers and members, where no two densities are equal."""
    points = normal(seed, m, 3)
    distance = torch.cdist(points, points) / math.sqrt(3)
    near = distance.topk(groups, largest=False).values.square().mean(-1).sort().values
    assume(float(near.diff().min()) > 1e-9)
    centers, joined = density_peaks(points[None], groups)
    assert (centers[0].tolist(), joined[0].tolist()) == twins.density_peaks(points.numpy(), groups)


def test_of_equally_dense_points_the_first_is_the_center():
    points = torch.tensor([[[0.0], [0.1], [9.0], [9.1], [9.3]]])
    centers, joined = density_peaks(points, 2)
    assert joined[0].tolist() == [0, 0, 1, 1, 1] or joined[0].tolist() == [1, 1, 0, 0, 0]
    assert set(centers[0].tolist()) == {0, 2}


@given(SEEDS, st.integers(12, 60))
def test_recycled_tokens_are_averaged_in_their_groups(seed, n):
    """Kept tokens as they are, the best 30% of the others in groups, the rest dropped; faithful
    adds the groups to the budget, exact counts them in it."""
    case = one(seed, n_v=n)
    budget = n // 2
    found = select("sparsevlm", **case, budget=budget, recycle=True, mode="faithful")
    taken, groups = recycled(n - budget)
    v, t, seen = arrays(case, "visual", "text", "text_attention")
    order, _ = twins.sparsevlm(v, t, seen, n)
    assert found.indices.tolist()[:budget] == order[:budget]
    assert found.n_kept == budget + groups
    loose = order[budget : budget + taken]
    centers, joined = density_peaks(case["llm_visual_states"][None, loose], groups)
    for place, group in zip(loose, joined[0].tolist(), strict=True):
        assert found.merge.into[place] == loose[int(centers[0, group])]
    assert (found.merge.into[order[budget + taken :]] == -1).all()
    tokens = found.merge.apply(case["llm_visual_states"])
    for center, token in zip(found.merge.centers.tolist(), tokens, strict=True):
        own = case["llm_visual_states"][found.merge.into == center]
        torch.testing.assert_close(token, own.mean(0))
    exact = select("sparsevlm", **case, budget=budget, recycle=True)
    assert exact.n_kept == budget
    assert len(exact.merge.apply(case["visual"])) == budget


@given(st.integers(1, 600), st.data())
def test_groups_fit_into_every_budget_that_is_not_below_them(n, data):
    least = recycled(n)[1]
    budget = data.draw(st.integers(1, n))
    if budget == n:
        assert kept_beside_groups(budget, n) == n
    elif budget < least:
        with pytest.raises(BudgetError, match=f"at least {least}"):
            kept_beside_groups(budget, n)
    else:
        kept = kept_beside_groups(budget, n)
        assert kept + recycled(n - kept)[1] == budget


def test_noise_is_seeded_and_small():
    """The same seed gives the same groups; without ties noise of 1e-6 moves nothing."""
    case = one(5, n_v=60)
    run = {"budget": 30, "recycle": True, "mode": "faithful"}
    plain = select("sparsevlm", **case, **run)
    noisy = [select("sparsevlm", **case, **run, noise=True, seed=s) for s in (1, 1, 2)]
    assert noisy[0].merge.into.tolist() == noisy[1].merge.into.tolist()
    assert all(x.indices[:30].tolist() == plain.indices[:30].tolist() for x in noisy)
    assert "noise" in plain.departures[0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"version": "3"}, UnknownNameError, "version"),
        ({"recycle": True, "llm_visual_states": None}, MissingInputError, "llm_visual_states"),
        ({"recycle": True, "budget": 0.01, "n_v": 200}, BudgetError, "at least 7"),
    ],
)
def test_sparsevlm_refuses(change, error, message):
    change = dict(change)
    case = one(0, n_v=change.pop("n_v", 14))
    with pytest.raises(error, match=message):
        select("sparsevlm", **{"budget": 5, **case, **change})


def test_rank_budget_by_hand():
    """min(⌊13.5 rank + bias⌋, n − 1), one at least, and all where the rank is full."""
    seen = torch.zeros(4, 60)
    assert rank_budget(seen, 60) == 1
    seen[0, 0] = seen[1, 1] = 1.0
    assert (rank_budget(seen, 60), rank_budget(seen, 20), rank_budget(seen, 60, bias=1.5)) == (
        27, 19, 28,
    )  # fmt: skip
    assert rank_budget(torch.eye(4), 4) == 4


# --- DART -------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 31))
def test_faithful_dart_equals_its_twin(seed, budget):
    """4 + 8 ⌊k / 8⌋ tokens, whatever is asked for."""
    case = one(seed, n_v=30, n_t=5)
    names = ("llm_visual_states", "llm_text_states", "llm_visual_keys", "llm_text_keys")
    expected = twins.dart(*arrays(case, *names), budget)
    found = select("dart", **case, budget=min(budget, 30), mode="faithful")
    assert found.indices.tolist() == expected
    assert len(expected) == 4 + 8 * (min(budget, 30) // 8)
    assert any("4 + 8" in note for note in found.departures) == (len(expected) != min(budget, 30))


@given(SEEDS, st.integers(1, 30), st.integers(0, 6), st.integers(1, 6), st.integers(1, 6))
def test_exact_dart_keeps_the_budget_by_the_same_rule(seed, budget, image, text, n_t):
    """Every pivot takes its share of the least similar tokens that are left."""
    case = one(seed, n_v=30, n_t=n_t)
    found = select("dart", **case, budget=budget, image_pivots=image, text_pivots=text)
    kept = found.indices.tolist()
    assert len(set(kept)) == budget
    keys, words = (case[k].abs().sum((0, 2)) for k in ("llm_visual_keys", "llm_text_keys"))
    of_image, of_text = min(image, budget), min(text, n_t)
    first = keys.argsort(descending=True)[:of_image].tolist()
    assert kept[:of_image] == first
    pivots = [case["llm_visual_states"][i] for i in first]
    pivots += [case["llm_text_states"][j] for j in words.argsort(descending=True)[:of_text]]
    cosine = torch.nn.functional.cosine_similarity(
        torch.stack(pivots)[:, None], case["llm_visual_states"][None], dim=-1
    )
    at = of_image
    each, more = divmod(budget - of_image, len(pivots))
    for p in range(len(pivots)):
        pool = [i for i in range(30) if i not in kept[:at]]
        share = each + (p < more)
        pool.sort(key=lambda i: float(cosine[p, i]))
        assert kept[at : at + share] == pool[:share]
        at += share


def test_where_budget_and_pivots_divide_both_modes_agree():
    case = one(2, n_v=30, n_t=5)
    exact, faithful = (
        select("dart", **case, budget=k, mode=m) for k, m in ((20, "exact"), (16, "faithful"))
    )
    assert exact.indices.tolist() == faithful.indices.tolist()


@pytest.mark.parametrize(
    ("sizes", "budget", "message"),
    [
        ({"n_v": 30, "n_t": 3}, 8, "4 words"),
        ({"n_v": 3, "n_t": 5}, 2, "4 tokens"),
        ({"n_v": 17, "n_t": 5}, 17, "would keep 20 tokens of 17"),
    ],
)
def test_where_the_public_code_fails_faithful_dart_says_so(sizes, budget, message):
    case = one(0, **sizes)
    with pytest.raises(BudgetError, match=message):
        select("dart", **case, budget=budget, mode="faithful")
    assert select("dart", **case, budget=budget).n_kept == budget


@pytest.mark.parametrize(
    "options", [{"image_pivots": -1}, {"text_pivots": 1.5}, {"image_pivots": 0, "text_pivots": 0}]
)
def test_dart_refuses_pivots_that_are_none(options):
    with pytest.raises(ParameterError, match="pivot"):
        select("dart", **one(0), budget=5, **options)


def test_the_norm_of_keys_is_over_all_heads():
    keys = torch.tensor([[[[1.0], [0.0]], [[1.0], [-3.0]]]])
    assert largest(keys, 2).tolist() == [[1, 0]]


# --- AutoPrune --------------------------------------------------------------------------------


@MODES
@given(SEEDS, st.integers(1, 14))
def test_autoprune_keeps_what_words_attend_to_and_says_how_much_they_know(mode, seed, budget):
    case = one(seed)
    seen = case["text_attention"].numpy()
    found = select("autoprune", **case, budget=budget, mode=mode)
    assert found.indices.tolist() == twins.descending(seen.mean((0, 1)))[:budget]
    assert found.info["information"] == pytest.approx(twins.information(seen))
    both = select("autoprune", **case, budget=budget, rating="cls+text")
    rated = case["cls_attention"].numpy().mean(0) + 0.3 * twins.information(seen) / 4 * seen.mean(
        (0, 1)
    )
    assert both.indices.tolist() == twins.descending(rated)[:budget]


@given(SEEDS)
def test_proper_information_is_that_of_the_joint_table(seed):
    """Mean over heads of Σ p log p/(p_x p_y); 0 for independence, whatever the mass; the coded
    number grows with the mass and is, for rows of mass one, n_heads times it in bits (but for the
    guard of 1e-6)."""
    seen = uniform(seed, 2, 3, 5) + 0.05
    p = seen / seen.sum((1, 2), keepdim=True)
    product = p.sum(2, keepdim=True) * p.sum(1, keepdim=True)
    by_hand = (p * (p / product).log()).sum((1, 2)).mean()
    torch.testing.assert_close(mutual_information(seen[None])[0], by_hand)
    torch.testing.assert_close(mutual_information(0.3 * seen[None]), mutual_information(seen[None]))
    flat = (seen.mean(1, keepdim=True) * torch.tensor([0.5, 1.0, 2.0])[:, None].double())[None]
    assert mutual_information(flat).abs().max() < 1e-12
    whole = (seen / seen.sum(-1, keepdim=True))[None]
    bits = 2 * mutual_information(whole) / math.log(2)
    torch.testing.assert_close(attention_information(whole), bits, atol=1e-3, rtol=1e-3)
    assert (attention_information(0.5 * whole) < attention_information(whole)).all()


def test_autoprune_needs_cls_attention_for_the_rating_that_uses_it():
    assert SELECTORS["autoprune"].requires == ("text_attention",)
    assert "cls_attention" in SELECTORS["autoprune"].required({"rating": "cls+text"})
    with pytest.raises(MissingInputError, match="autoprune needs 'cls_attention'"):
        select("autoprune", text_attention=uniform(0, 2, 3, 5), budget=2, rating="cls+text")
    with pytest.raises(UnknownNameError, match="rating"):
        select("autoprune", text_attention=uniform(0, 2, 3, 5), budget=2, rating="cls")
    assert mutual_information(torch.zeros(1, 2, 3, 4)).tolist() == [0.0]
