"""FastV, SparseVLM, DART and AutoPrune against literal twins, by hand, and where codes fail."""

from __future__ import annotations

import json
import math

import numpy as np
import peer_twins_llm as twins
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from selection_cases import inputs, normal, uniform

from mitheory import SELECTORS, select, select_batch
from mitheory.errors import (
    BudgetError,
    DistributionError,
    MissingInputError,
    ParameterError,
    UnknownNameError,
    ZeroNormError,
)
from mitheory.pmi import log_marginal
from mitheory.selection import autoprune, dart, sparsevlm
from mitheory.selection.recycling import density_peaks, kept_beside_groups
from mitheory.selection.retention_curve import retention_curve
from mitheory.selection.sparsevlm_budgets import rank_budget, recycled
from mitheory.selection.squared_distances import distance_margin, squared_distances

SEEDS = st.integers(0, 2**20)


def one(seed, **sizes):
    """Inputs of a single sample."""
    return {name: x[0] for name, x in inputs(seed, b=1, **sizes).items()}


def arrays(case):
    return {name: x.numpy() for name, x in case.items()}


def without(case, *names):
    return {name: x for name, x in case.items() if name not in names}


# --- FastV ------------------------------------------------------------------------------------


@given(
    SEEDS,
    st.integers(1, 14),
    st.sampled_from(["exact", "faithful"]),
    st.sampled_from(["last", "all"]),
)
def test_fastv_equals_its_twin(seed, budget, mode, rows):
    case = one(seed)
    case["text_attention"] = case["text_attention"] * uniform(seed, 2, 4, 1)
    found = select("fastv", **case, budget=budget, rows=rows, mode=mode)
    expected, scores = twins.fastv(case["text_attention"].numpy(), rows)
    assert found.indices.tolist() == expected[:budget]
    np.testing.assert_allclose(found.gains.numpy(), scores[expected[:budget]])
    assert (found.guarantee, bool(found.departures)) == ("exact", rows == "all")


def test_fastv_reads_the_last_word_and_only_on_request_all():
    """Two heads, three words: the last row's means are .2 .35 .1, all rows' .3 .15 .4 and a bit."""
    head = torch.tensor([[0.2, 0.1, 0.7], [0.5, 0.0, 0.4], [0.1, 0.4, 0.1]]).double()
    other = torch.tensor([[0.4, 0.1, 0.5], [0.3, 0.0, 0.6], [0.3, 0.3, 0.1]]).double()
    attention = torch.stack([head, other])
    last = select("fastv", text_attention=attention, budget=3)
    assert last.indices.tolist() == [1, 0, 2]
    assert last.gains.tolist() == pytest.approx([0.35, 0.2, 0.1])
    every = select("fastv", text_attention=attention, budget=3, rows="all")
    assert every.indices.tolist() == [2, 0, 1]
    assert every.gains.tolist() == pytest.approx([0.4, 0.3, 0.15])
    assert "last one" in every.departures[0]
    with pytest.raises(UnknownNameError, match="Known: all, last"):
        select("fastv", text_attention=attention, budget=3, rows="first")


def test_fastv_takes_the_last_word_that_is_no_padding():
    case = inputs(5, b=2)
    mask = torch.ones(2, 4, dtype=torch.bool)
    mask[0, 2:] = False
    padded = select_batch("fastv", **case, text_mask=mask, budget=14)[0]
    own = select("fastv", text_attention=case["text_attention"][0, :, :2], budget=14)
    assert padded.indices.tolist() == own.indices.tolist()
    whole = select("fastv", text_attention=case["text_attention"][0], budget=14)
    assert padded.indices.tolist() != whole.indices.tolist()


# --- SparseVLM --------------------------------------------------------------------------------


@given(SEEDS, st.integers(2, 9), st.sampled_from(["1.0", "1.5", "2.0"]), st.sampled_from([None, 2]))
def test_sparsevlm_equals_its_twin(seed, n_t, version, heads):
    """Raters, heads, scores, and the cap of one token less than there are."""
    case = one(seed, n_t=n_t)
    mass = uniform(seed + 4, 5, n_t, 1)  # what a word gives to the image, head by head
    case["text_attention"] = mass * normal(seed + 3, 5, n_t, 14).softmax(-1)
    plain = arrays(case)
    raters = twins.sparsevlm_raters(plain["visual"], plain["text"])
    scores = twins.sparsevlm_scores(plain["text_attention"], raters, heads)
    found = select("sparsevlm", **case, budget=9, version=version, heads=heads)
    assert found.info["raters"] == raters
    assert found.indices.tolist() == twins.descending(scores)[:9]
    np.testing.assert_allclose(found.gains.numpy(), scores[found.indices.numpy()])
    if version != "1.0":
        faithful = select(
            "sparsevlm", **case, budget=14, version=version, heads=heads, mode="faithful",
            recycle=False,
        )  # fmt: skip
        assert faithful.indices.tolist() == twins.descending(scores)[:13]


@given(SEEDS, st.integers(1, 9))
def test_sparsevlms_raters_are_the_marginal_of_mi_pruner(seed, n_t):
    """m_j = p(t_j) of Eq. (17): softmax conditional, uniform prior, raw dot products, τ = 1."""
    visual, text = normal(seed, 2, 12, 5), normal(seed + 1, 2, n_t, 5)
    shares = sparsevlm.word_shares(visual, text)
    prior = torch.full((2, 12), -math.log(12), dtype=torch.float64)
    marginal = log_marginal((visual @ text.mT).log_softmax(-1), prior).exp()
    torch.testing.assert_close(shares, marginal)
    torch.testing.assert_close(shares.sum(-1), torch.ones(2).double())
    mean = shares.mean(-1, keepdim=True)
    clear = (shares - mean).abs() > 1e-9
    assert torch.equal(sparsevlm.raters(visual, text)[clear], (shares > mean)[clear])


def test_sparsevlm_with_cosines_has_other_raters():
    """The lengths of the embeddings count: one long word rates that no cosine would choose."""
    visual = torch.tensor([[1.0, 1.0], [1.0, 0.9]]).double()
    text = torch.tensor([[1.0, 1.0], [9.0, 0.0], [0.5, 0.4]]).double()
    assert sparsevlm.raters(visual[None], text[None]).tolist() == [[False, True, False]]
    unit = [x / x.norm(dim=-1, keepdim=True) for x in (visual, text)]
    assert sparsevlm.raters(*(x[None] for x in unit)).tolist() == [[True, False, True]]


@pytest.mark.parametrize("words", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_no_word_is_above_average_all_rate_or_it_is_refused(words, dtype):
    """A single word, and copies of one, have equal shares: the public code has nobody to ask."""
    case = one(0, n_v=40, n_t=words, dtype=dtype)
    case["text"] = normal(1, 1, 6, dtype=dtype).expand(words, 6)
    found = select("sparsevlm", **case, budget=5)
    assert found.info == {"raters": list(range(words))}
    scores = case["text_attention"].mean((0, 1))
    assert found.indices.tolist() == scores.argsort(descending=True)[:5].tolist()
    assert any("all rate" in note for note in found.departures)
    with pytest.raises(ParameterError, match=r"above the mean.*averages nothing"):
        select("sparsevlm", **case, budget=5, mode="faithful")
    varied = select("sparsevlm", **one(0, n_t=4), budget=5)
    assert not any("all rate" in note for note in varied.departures)


@pytest.mark.parametrize(
    ("version", "target", "counts"),
    [("1.5", 192, (300, 200, 110)), ("1.5", 64, (66, 30, 17)), ("2.0", 128, (238, 108, 60))],
)
def test_a_layer_keeps_what_the_table_says(version, target, counts):
    case = one(1, n_v=320)
    for layer, count in zip((2, 6, 15), counts, strict=True):
        found = select(
            "sparsevlm", **case, budget=target, version=version, layer=layer, mode="faithful",
            recycle=False,
        )  # fmt: skip
        free = select("sparsevlm", **case, budget=count, version=version)
        assert found.indices.tolist() == free.indices.tolist()
    short = select(
        "sparsevlm", **one(1, n_v=200), budget=192, version=version, layer=2, mode="faithful",
        recycle=False,
    ) if target == 192 else None  # fmt: skip
    assert short is None or short.n_kept == 199


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"layer": 2, "budget": 32, "mode": "faithful"}, BudgetError, r"\[64, 96, 128, 192\].*32"),
        ({"layer": 2}, ParameterError, "exact"),
        ({"layer": 3, "mode": "faithful"}, ParameterError, r"\(2, 6, 15\), got 3"),
        ({"layer": 2, "mode": "faithful", "version": "1.0"}, ParameterError, "no table"),
        ({"version": "v1.5"}, UnknownNameError, "1.5"),
        ({"heads": 0}, ParameterError, "heads"),
        ({"recycle": 1}, ParameterError, "recycle"),
        ({"noise": 1e-6}, ParameterError, "noise: expected True or False"),
        ({"rank_scale": math.inf}, ParameterError, "rank_scale"),
        ({"recycle": True, "budget": 3}, BudgetError, "at least 4 of 120"),
    ],
)
def test_sparsevlm_refuses_by_name(change, error, message):
    with pytest.raises(error, match=message):
        select("sparsevlm", **{**one(0, n_v=120), "budget": 9, **change})


def test_a_stage_of_one_token_is_refused_in_faithful_mode_alone():
    case = one(2, n_v=1)
    assert select("sparsevlm", **case, budget=1).indices.tolist() == [0]
    with pytest.raises(BudgetError, match="one token less than there are, 1"):
        select("sparsevlm", **case, budget=1, mode="faithful")


@given(SEEDS, st.integers(2, 9))
def test_version_1_keeps_what_the_rank_says(seed, n_t):
    """Ranks of the raters' rows alone, and a number that differs from sample to sample."""
    case = inputs(seed, b=3, n_v=30, n_t=n_t)
    found = select_batch("sparsevlm", **case, budget=4, version="1.0", rank_scale=3.4, rank_bias=1,
                         mode="faithful", recycle=False)  # fmt: skip
    for row, own in enumerate(found):
        plain = arrays({name: x[row] for name, x in case.items()})
        raters = twins.sparsevlm_raters(plain["visual"], plain["text"])
        rank = int(np.linalg.matrix_rank(plain["text_attention"].mean(0)[raters]))
        scores = twins.sparsevlm_scores(plain["text_attention"], raters)
        kept = min(int(3.4 * rank + 1), 29)
        assert own.info == {"raters": raters, "rank": rank}
        assert own.indices.tolist() == twins.descending(scores)[:kept]
        assert any("rank" in note for note in own.departures)


def test_ranks_of_dependent_rows_and_full_rank():
    rows = torch.tensor([[[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    chosen = torch.tensor([[True, True, False, False]])
    assert sparsevlm.rater_ranks(rows, chosen) == [1]
    assert sparsevlm.rater_ranks(rows, ~chosen) == [2]
    assert sparsevlm.rater_ranks(rows, torch.ones(1, 4, dtype=torch.bool)) == [3]
    assert [rank_budget(r, 3, scale=1.0) for r in (1, 2, 3)] == [1, 2, 3]
    with pytest.raises(BudgetError, match="rank 0 of 3 tokens"):
        rank_budget(0, 3)


def test_version_2_takes_fourteen_heads_by_what_words_give_to_the_image():
    case = one(3, n_t=5)
    case["text_attention"] = normal(8, 20, 5, 14).softmax(-1) * uniform(9, 20, 1, 1)
    plain = arrays(case)
    raters = twins.sparsevlm_raters(plain["visual"], plain["text"])
    kept = {}
    for heads in (14, 20, 1):
        scores = twins.sparsevlm_scores(plain["text_attention"], raters, heads)
        kept[heads] = twins.descending(scores)
        found = select("sparsevlm", **case, budget=14, version="2.0", heads=heads)
        assert found.indices.tolist() == kept[heads]
    assert kept[14] != kept[20] != kept[1]
    assert select("sparsevlm", **case, budget=14, version="2.0").indices.tolist() == kept[14]
    assert select("sparsevlm", **case, budget=14).indices.tolist() == kept[20]
    assert "rotary" in select("sparsevlm", **case, budget=14, version="2.0").departures[0]


@given(SEEDS, st.integers(8, 60), st.data())
def test_recycling_equals_its_twin(seed, n, data):
    """Kept tokens and averaged groups of a stage; in exact mode, both within the budget."""
    case = one(seed, n_v=n)
    kept = data.draw(st.integers(1, n - 1))
    plain = arrays(case)
    raters = twins.sparsevlm_raters(plain["visual"], plain["text"])
    scores = twins.sparsevlm_scores(plain["text_attention"], raters)
    first, groups = twins.sparsevlm_stage(scores, plain["llm_visual_states"], kept)
    found = select("sparsevlm", **case, budget=kept, recycle=True, mode="faithful")
    assert found.indices.tolist() == first + [group[0] for group in groups]
    into = found.merge.into.tolist()
    for group in groups:
        assert [into[i] for i in group] == [group[0]] * len(group)
    assert sum(target >= 0 for target in into) == kept + sum(map(len, groups))
    tokens = torch.arange(float(n))[:, None].double()
    averages = {center: np.mean(group) for center, *_ in groups for group in groups
                if group[0] == center}  # fmt: skip
    expected = [averages.get(i, i) for i in sorted(found.indices.tolist())]
    assert found.merge.apply(tokens)[:, 0].tolist() == pytest.approx(expected)
    assert found.gains[kept:].isnan().all()
    total = kept + len(groups)
    if kept_beside_groups(total, n) == kept:
        exact = select("sparsevlm", **case, budget=total, recycle=True)
        assert exact.indices.tolist() == found.indices.tolist()


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


@given(SEEDS, st.integers(1, 30), st.data())
def test_density_peaks_equal_their_twin(seed, m, data):
    count = data.draw(st.integers(1, m))
    states = normal(seed, m, 3)
    centers, owners = density_peaks(states[None], count)
    expected, joins = twins.sparsevlm_clusters(states.numpy(), count)
    assert centers[0].tolist() == expected
    assert centers[0][owners[0]].tolist() == joins


@given(
    SEEDS,
    st.integers(1, 12),
    st.integers(1, 6),
    st.sampled_from([0.0, 1.0, 1e6]),
    st.sampled_from([1.0, 1e-2, 1e-6, 0.0]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_squared_distances_are_those_of_differences(seed, m, d, offset, spread, dtype):
    """Far from the origin, near copies, exact copies: to the stated margin, and symmetric."""
    heaps = normal(seed, 1, 3, d).repeat(2, m, 1) + offset
    points = (heaps + spread * normal(seed + 1, 2, 3 * m, d)).to(dtype)
    exact = points.double()
    expected = (exact[:, :, None] - exact[:, None]).square().sum(-1)
    found = squared_distances(points)
    assert torch.equal(found, found.mT)
    assert float(found.diagonal(dim1=1, dim2=2).abs().max()) == 0.0
    torch.testing.assert_close(found, expected, rtol=distance_margin(points), atol=0.0)


def test_density_peaks_find_two_heaps_and_survive_distance_and_copies():
    """Far apart, densities underflow to 0 as such, and not as logarithms; copies are one peak."""
    heaps = torch.cat([normal(0, 6, 4), normal(1, 5, 4) + 9])
    for scale in (1.0, 1e-3):
        centers, owners = density_peaks(scale * heaps[None], 2)
        assert sorted((centers[0] > 5).tolist()) == [False, True]
        assert len(set(owners[0, :6].tolist())) == len(set(owners[0, 6:].tolist())) == 1
    far = 1e3 * heaps
    assert float((-(far - far[3]).square().mean(-1)).exp().sum()) == 1.0  # all but its own are 0
    assert density_peaks(far[None], 4)[0][0].tolist() == twins.sparsevlm_clusters(far.numpy(), 4)[0]
    centers, owners = density_peaks(torch.ones(1, 5, 2), 3)
    assert centers.tolist() == [[0, 1, 2]]
    assert owners.tolist() == [[0, 1, 2, 0, 0]]
    twice = torch.tensor([[[0.0], [0.0], [7.0], [7.0]]])
    assert density_peaks(twice, 2)[1].tolist() == [[0, 0, 1, 1]]


def test_noise_is_seeded_and_decides_between_equal_densities():
    """States in pairs of copies: which of the two is the denser, the noise says, or the order."""
    case = one(4, n_v=60)
    case["llm_visual_states"] = 0.1 * case["llm_visual_states"][:30].repeat(2, 1)
    options = {"budget": 20, "recycle": True}
    still = {
        tuple(select("sparsevlm", **case, **options, seed=s).indices.tolist()) for s in range(6)
    }
    assert len(still) == 1
    noisy = [
        select("sparsevlm", **case, **options, noise=True, seed=s) for s in (0, 0, 1, 2, 3, 4, 5)
    ]
    assert noisy[0].indices.tolist() == noisy[1].indices.tolist()
    assert len({tuple(found.indices.tolist()) for found in noisy}) > 1
    kept = kept_beside_groups(20, 60)
    assert {tuple(found.indices[:kept].tolist()) for found in noisy} == {still.pop()[:kept]}
    assert not any("noise" in note for found in noisy for note in found.departures)
    quiet = select("sparsevlm", **case, **options)
    assert any("noise" in note for note in quiet.departures)


def test_recycling_in_a_batch_of_unequal_ranks_and_padding():
    """Version 1.0 keeps another number for each sample, so the groups differ in number too."""
    case = inputs(6, b=4, n_v=50, n_t=9)
    case["text"] = case["text"] * torch.tensor([0.1, 3.0, 1.0, 8.0])[:, None, None]
    options = {"version": "1.0", "rank_scale": 4.0, "recycle": True, "mode": "faithful"}
    together = select_batch("sparsevlm", **case, budget=5, **options)
    assert len({len(found.indices) for found in together}) > 1
    for row, found in enumerate(together):
        own = {name: x[row] for name, x in case.items()}
        alone = select("sparsevlm", **own, budget=5, **options)
        assert found.indices.tolist() == alone.indices.tolist()
        assert found.merge.into.tolist() == alone.merge.into.tolist()


def test_sparsevlm_needs_hidden_states_to_recycle():
    case = without(one(0), "llm_visual_states")
    assert SELECTORS["sparsevlm"].requires == ("visual", "text", "text_attention")
    assert select("sparsevlm", **case, budget=3).merge is None
    with pytest.raises(MissingInputError, match="sparsevlm needs 'llm_visual_states'"):
        select("sparsevlm", **case, budget=3, recycle=True)
    with pytest.raises(MissingInputError, match="llm_visual_states"):
        sparsevlm.sparsevlm(*(case[n][None] for n in ("visual", "text", "text_attention")),
                            budget=3, recycle=True)  # fmt: skip


# --- DART -------------------------------------------------------------------------------------

PARTS = ("llm_visual_states", "llm_visual_keys", "llm_text_states", "llm_text_keys")


@given(SEEDS, st.integers(4, 60), st.integers(4, 9), st.sampled_from(["norm", "set"]), st.data())
def test_dart_equals_its_twin(seed, n, n_t, visit, data):
    """Faithful mode takes what the public code takes, in its order, or refuses where it fails."""
    case = one(seed, n_v=n, n_t=n_t)
    budget, start = data.draw(st.integers(1, n)), data.draw(st.sampled_from([5, 35, 36]))
    plain = [case[name].numpy() for name in PARTS]
    options = {"budget": budget, "visit": visit, "image_start": start, "mode": "faithful"}
    try:
        expected = twins.dart(*plain, budget, visit=visit, start=start)
    except RuntimeError:
        with pytest.raises(BudgetError, match="RuntimeError"):
            select("dart", **case, **options)
    else:
        found = select("dart", **case, **options)
        assert found.indices.tolist() == expected
        assert len(expected) == 4 + 8 * (budget // 8)
        assert found.gains[:4].isnan().all()


@pytest.mark.parametrize(("budget", "kept"), [(7, 4), (32, 36), (64, 68), (100, 100), (128, 132)])
def test_dart_keeps_other_numbers_than_the_budget(budget, kept):
    case = one(budget, n_v=200, n_t=6)
    assert select("dart", **case, budget=budget, mode="faithful").n_kept == kept
    assert select("dart", **case, budget=budget).n_kept == budget


def test_dart_by_hand():
    """Pivots 0 and 2 by norm; 0 takes its opposite 3, 2 takes the lowest left, 4, the word then 1.

    Unit circle, states in degrees: 0, 30, 90, 180, 240, 60; the word at 200.
    """
    degrees = torch.tensor([0.0, 30, 90, 180, 240, 60]).double() * math.pi / 180
    states = torch.stack([degrees.cos(), degrees.sin()], 1)
    word = torch.tensor([[math.cos(200 * math.pi / 180), math.sin(200 * math.pi / 180)]]).double()
    keys = torch.tensor([[5.0, -1.0], [0.5, 0.5], [-2.0, 2.5], [1.0, 1.0], [0.1, 0.0], [1.0, 2.0]])
    case = {
        "llm_visual_states": states * torch.arange(1, 7)[:, None],  # lengths do not count
        "llm_visual_keys": torch.stack([keys, keys.flip(1)]).double(),
        "llm_text_states": word,
        "llm_text_keys": torch.ones(2, 1, 2).double(),
    }
    options = {"image_pivots": 2, "text_pivots": 1}
    found = select("dart", **case, budget=5, **options)
    assert found.indices.tolist() == [0, 2, 3, 4, 1]
    assert found.gains[2:].tolist() == pytest.approx(
        [2.0, 1 - math.cos(150 * math.pi / 180), 1 - math.cos(170 * math.pi / 180)]
    )
    assert found.info == {"image_pivots": 2, "text_pivots": [0]}
    assert found.evaluations == 6 + 1 + 3 * 6
    uneven = select("dart", **case, budget=4, **options)  # two left for three: the first two
    assert uneven.indices.tolist() == [0, 2, 3, 4]


@given(SEEDS, st.integers(1, 14), st.integers(1, 6), st.integers(0, 5), st.integers(0, 5))
def test_exact_dart_shares_the_rest_of_the_budget_equally(seed, budget, n_t, own, words):
    """Budgets below the number of pivots, odd remainders, short texts: always the budget; tokens
    of largest norm first; and pivots take as many each, or the first of them one more."""
    assume(own or words)
    case = one(seed, n_t=n_t)
    options = {"image_pivots": own, "text_pivots": words}
    found = select("dart", **case, budget=budget, **options)
    first = min(own, budget)
    norm = case["llm_visual_keys"].abs().sum((0, 2)).numpy()
    assert found.indices[:first].tolist() == twins.descending(norm)[:first]
    assert int(found.gains.isnan().sum()) == first
    assert found.info["image_pivots"] == first
    text_norm = case["llm_text_keys"].abs().sum((0, 2)).numpy()
    assert found.info["text_pivots"] == twins.descending(text_norm)[:words]
    states = case["llm_visual_states"].numpy()
    pivots = [states[i] for i in found.indices[:first]]
    pivots += [case["llm_text_states"].numpy()[j] for j in found.info["text_pivots"]]
    share, more = divmod(budget - first, len(pivots))
    taken = found.indices[:first].tolist()
    for p, pivot in enumerate(pivots):
        rest = [i for i in range(14) if i not in taken]
        cosine = [states[i] @ pivot / np.linalg.norm(states[i]) for i in rest]
        lowest = np.argsort(cosine)[: share + (p < more)]
        taken += [rest[place] for place in lowest]
    assert found.indices.tolist() == taken


def test_dart_where_the_public_code_fails():
    for sizes, message in (
        ({"n_t": 3}, "text: expected at least 4 .*got 3.*RuntimeError"),
        ({"n_v": 3}, "visual: expected at least 4 .*got 3.*RuntimeError"),
        ({"n_v": 16}, r"4 pivots and 8 · 2 others among 16 .*got 20"),
    ):
        case = one(0, **sizes)
        budget = case["visual"].shape[0]
        with pytest.raises(BudgetError, match=message):
            select("dart", **case, budget=budget, mode="faithful")
        assert select("dart", **case, budget=budget).n_kept == budget


def test_dart_without_text_pivots_needs_no_text():
    assert SELECTORS["dart"].requires == PARTS
    case = without(one(0), "llm_text_states", "llm_text_keys", "text")
    found = select("dart", **case, budget=9, text_pivots=0)
    assert found.info["text_pivots"] == []
    for name in PARTS[2:]:
        less = without(one(0), name)
        with pytest.raises(MissingInputError, match=rf"dart needs '{name}'"):
            select("dart", **less, budget=9)
        with pytest.raises(MissingInputError, match=name):
            dart.dart(**{n: x[None] for n, x in less.items() if n in PARTS}, budget=9)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image_pivots": 0, "text_pivots": 0}, ParameterError, "at least one pivot"),
        ({"image_pivots": 2.0}, ParameterError, "image_pivots"),
        ({"text_pivots": -1}, ParameterError, "text_pivots"),
        ({"image_start": True}, ParameterError, "image_start"),
        ({"visit": "hash"}, UnknownNameError, "set"),
    ],
)
def test_dart_refuses_by_name(change, error, message):
    with pytest.raises(error, match=message):
        select("dart", **one(0), budget=5, **change)


def test_dart_takes_states_without_direction_if_asked_to():
    case = one(0, n_t=4)
    case["llm_text_states"][1] = 0
    with pytest.raises(ZeroNormError, match="llm_text_states"):
        select("dart", **case, budget=9)
    found = select("dart", **case, budget=9, zero_norm="uninformative")
    assert found.n_kept == 9


def test_the_order_of_visits_matters_and_is_told():
    """Some text or image pivot takes what another one would have taken."""
    case = one(2, n_v=60, n_t=6)
    norm, hashed = (
        select("dart", **case, budget=32, visit=visit, mode="faithful") for visit in ("norm", "set")
    )
    assert norm.indices.tolist() != hashed.indices.tolist()
    assert "Python set" in norm.departures[-1]
    assert len(hashed.departures) == len(norm.departures) - 1


# --- AutoPrune --------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 14), st.integers(1, 6), st.floats(0.05, 1))
def test_autoprune_equals_its_twin(seed, budget, n_t, mass):
    """Mean attention of the words, and the information as it is coded."""
    case = one(seed, n_t=n_t)
    case["text_attention"] = case["text_attention"] * mass
    attention = case["text_attention"].numpy()
    found = select("autoprune", **case, budget=budget)
    scores = attention.mean((0, 1))
    assert found.indices.tolist() == twins.descending(scores)[:budget]
    np.testing.assert_allclose(found.gains.numpy(), scores[found.indices.numpy()])
    information = twins.autoprune_information(attention)
    assert found.info["information"] == pytest.approx(information, abs=1e-9)
    assert found.info["slope"] == pytest.approx(max(0.4 - 0.2 * information, 0), abs=1e-9)
    assert found.info["curve"] is None
    assert json.loads(json.dumps(found.info)) == found.info


@given(SEEDS, st.integers(1, 6), st.floats(0.05, 1))
def test_the_mutual_information_is_one(seed, n_t, mass):
    """The mean over heads of I(X; Y) of tables that sum to one: nonnegative, at most the smaller
    log-size, and the same however much of the attention is on the image."""
    attention = mass * uniform(seed, 3, 2, n_t, 14)
    found = autoprune.mutual_information(attention)
    for own, sample in zip(found.tolist(), attention.numpy(), strict=True):
        mean = sum(twins.mutual_information(head / head.sum()) for head in sample) / len(sample)
        assert own == pytest.approx(mean, abs=1e-12)
        assert -1e-12 <= own <= math.log(min(n_t, 14)) + 1e-12
    torch.testing.assert_close(found, autoprune.mutual_information(attention / mass))
    alike = attention.mean(2, keepdim=True) * uniform(seed, n_t, 1)  # rows differ in mass alone
    assert float(autoprune.mutual_information(alike).abs().max()) < 1e-12


@given(SEEDS, st.integers(1, 6))
def test_what_is_coded_is_nearly_the_mutual_information_where_rows_sum_to_one(seed, n_t):
    """Up to the guard: in bits, and summed over heads. With less mass on the image it is not."""
    attention = inputs(seed, n_t=n_t)["text_attention"]
    heads = attention.shape[1]
    bits = autoprune.attention_information(attention)
    proper = autoprune.mutual_information(attention) * heads / math.log(2)
    torch.testing.assert_close(bits, proper, atol=heads * 14 * n_t * 2e-6, rtol=1e-3)
    assert (autoprune.attention_information(0.5 * attention) < bits + 1e-3).all()
    if n_t == 1:  # one word shares nothing with any token
        assert float(bits.abs().max()) < 1e-3
        assert float(proper.abs().max()) < 1e-12


def test_what_is_coded_measures_how_much_attention_there_is():
    """Two words, each on a token of its own, with a share s of their attention: s bits, where the
    mutual information is log 2 for every s."""
    for share in (1.0, 0.5, 0.1):
        attention = share * torch.eye(2).double()[None, None]
        assert float(autoprune.attention_information(attention)) == pytest.approx(share, abs=1e-4)
        assert float(autoprune.mutual_information(attention)) == pytest.approx(math.log(2))


def test_words_and_heads_without_attention_on_the_image():
    """A row of zeros adds nothing; a head of zeros shares nothing, and counts."""
    rows = torch.tensor([[0.3, 0.1], [0.0, 0.0], [0.1, 0.5]]).double()
    found = autoprune.mutual_information(torch.stack([rows, 0 * rows])[None])
    assert found.tolist() == pytest.approx([twins.mutual_information((rows / 1.0).numpy()) / 2])
    assert select("autoprune", text_attention=0 * rows[None], budget=1).indices.tolist() == [0]


@given(SEEDS)
def test_the_first_cut_adds_attention_by_information(seed):
    case = one(seed)
    attention = case["text_attention"].numpy()
    information = twins.autoprune_information(attention)
    scores = case["cls_attention"].numpy().mean(0)
    scores = scores + 0.3 * information / 4 * attention.mean((0, 1))
    found = select("autoprune", **case, budget=9, rating="cls+text")
    assert found.indices.tolist() == twins.descending(scores)[:9]
    np.testing.assert_allclose(found.gains.numpy(), scores[found.indices.numpy()], rtol=1e-9)


@given(st.floats(-0.5, 4), st.sampled_from([32, 64, 100, 128, 192]))
def test_the_curve_equals_its_twin(information, target):
    counts = list(retention_curve(information, target, 576))
    expected = twins.autoprune_curve(information, target, 576)
    assert max(abs(a - b) for a, b in zip(counts, expected, strict=True)) <= 1
    assert sum(a != b for a, b in zip(counts, expected, strict=True)) <= 1
    assert counts == sorted(counts, reverse=True)
    assert 32 * target <= sum(counts) < 32 * target + 31


def test_the_sample_carries_its_curve():
    case = inputs(2, b=2, n_v=100)
    case["text_attention"] = case["text_attention"] * torch.tensor([1.0, 0.05])[:, None, None, None]
    found = select_batch("autoprune", **case, budget=9, layer_target=20.0, n_layers=16)
    for own in found:
        curve = retention_curve(own.info["information"], 20.0, 100, n_layers=16)
        assert own.info["curve"] == list(curve)
    assert found[0].info["curve"] != found[1].info["curve"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"layer_target": 40}, BudgetError, "within"),
        ({"layer_target": math.nan}, ParameterError, "layer_target"),
        ({"layer_target": "20"}, ParameterError, "layer_target"),
        ({"n_layers": 1}, ParameterError, "n_layers: expected a whole number of at least 2"),
        ({"rating": "cls"}, UnknownNameError, "rating"),
        ({"text_attention": -torch.ones(1, 4, 14)}, DistributionError, "negative"),
    ],
)
def test_autoprune_refuses_by_name(change, error, message):
    with pytest.raises(error, match=message):
        select("autoprune", **{**one(0), **change}, budget=5)


@pytest.mark.parametrize("method", ["sparsevlm", "autoprune"])
def test_faithful_runs_recycle_as_the_public_codes_do(method):
    """By default with groups on top of the budget, as if it were asked for; exact runs and version
    2.0 of SparseVLM without; and the states that groups need are asked for by name."""
    case = one(3, n_v=60)
    found = select(method, **case, budget=20, mode="faithful")
    asked = select(method, **case, budget=20, mode="faithful", recycle=True)
    assert found.indices.tolist() == asked.indices.tolist()
    assert len(found.indices) == 20 + recycled(40)[1]
    assert found.merge is not None
    assert not any("not recycled" in note or "not merged" in note for note in found.departures)
    assert select(method, **case, budget=20).merge is None
    bare = without(case, "llm_visual_states")
    with pytest.raises(MissingInputError, match=f"{method} needs 'llm_visual_states'"):
        select(method, **bare, budget=20, mode="faithful")
    assert select(method, **bare, budget=20, mode="faithful", recycle=False).n_kept == 20
    if method == "sparsevlm":
        assert select(method, **bare, budget=20, mode="faithful", version="2.0").merge is None


@given(SEEDS, st.integers(1, 30))
def test_autoprunes_groups_equal_their_twin(seed, kept):
    """The best of the mean over all words, then SparseVLM's groups of the next best."""
    case = one(seed, n_v=32)
    plain = arrays(case)
    scores = plain["text_attention"].mean((0, 1))
    own, groups = twins.sparsevlm_stage(scores, plain["llm_visual_states"], kept)
    found = select("autoprune", **case, budget=kept, mode="faithful")
    assert found.indices.tolist() == own + [group[0] for group in groups]
    joins = found.merge.into.tolist()
    for center, *others in groups:
        assert sorted(i for i in range(32) if joins[i] == center) == sorted([center, *others])


def test_autoprune_with_groups_fills_the_budget_exactly():
    """In mode "exact" groups count; too few places for them are refused."""
    case = one(4, n_v=120)
    found = select("autoprune", **case, budget=20, recycle=True)
    assert len(found.indices) == 20
    assert any("counts the groups" in note for note in found.departures)
    with pytest.raises(BudgetError, match="at least 4 of 120"):
        select("autoprune", **case, budget=3, recycle=True)


def test_the_first_cut_needs_the_class_token():
    case = without(one(0), "cls_attention")
    assert SELECTORS["autoprune"].requires == ("text_attention",)
    assert select("autoprune", **case, budget=5).n_kept == 5
    with pytest.raises(MissingInputError, match="autoprune needs 'cls_attention'"):
        select("autoprune", **case, budget=5, rating="cls+text")
    with pytest.raises(MissingInputError, match="cls_attention"):
        autoprune.autoprune(case["text_attention"][None], budget=5, rating="cls+text")
