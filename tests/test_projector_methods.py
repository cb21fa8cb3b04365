"""Methods over V and T against the steps of the public codes, by hand, and at the edges."""

from __future__ import annotations

import itertools

import numpy as np
import peer_twins_projector as twins
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from selection_cases import inputs, max_determinant, normal, uniform

from mitheory import SELECTORS, select, select_batch
from mitheory.distributions import unit_rows
from mitheory.errors import (
    BudgetError,
    MissingInputError,
    ParameterError,
    UnknownNameError,
    ZeroNormError,
)
from mitheory.selection import cdpruner as cdpruner_module
from mitheory.selection import engine, lazy_greedy
from mitheory.selection.cdpruner import min_max
from mitheory.selection.dispersion import disperse, farthest_pair
from mitheory.selection.engine import CosineRows
from mitheory.selection.mmtok import coverage
from mitheory.selection.trimtokenator import alignment
from mitheory.setfunctions import FacilityLocation

SEEDS = st.integers(0, 2**20)
BUDGETS = st.integers(1, 12)
TOKENS = {"relevance_source": "tokens"}


def one(seed, **sizes):
    """Inputs of a single sample."""
    return {name: x[0] for name, x in inputs(seed, b=1, **sizes).items()}


def indices(method, case, budget, **options):
    return select(method, **case, budget=budget, **options).indices.tolist()


def chords(visual):
    v = unit_rows("visual", visual)
    return (v[:, None] - v[None]).norm(dim=-1)


# --- DivPrune and max-min -----------------------------------------------------------------------


@given(SEEDS, BUDGETS)
def test_faithful_divprune_is_the_public_code(seed, k):
    case = one(seed, n_v=12)
    assert indices("divprune", case, k, mode="faithful") == twins.divprune(case["visual"], k)


@given(SEEDS, BUDGETS)
def test_exact_divprune_is_the_public_code_where_tokens_are_distinct(seed, k):
    """And where the first is not one of two that are each other's nearest, a tie by definition."""
    case = one(seed, n_v=12)
    nearest = chords(case["visual"]).fill_diagonal_(torch.inf).amin(0).sort().values
    assume(float(nearest[-1] - nearest[-2]) > 1e-9)
    assert indices("divprune", case, k) == twins.divprune(case["visual"], k)


def test_faithful_divprune_repeats_tokens_where_the_rest_are_copies():
    """16 distinct vectors, 20 kept: all 16, then one that is there already, four times."""
    v = torch.eye(16, dtype=torch.float64).repeat_interleave(3, 0)  # cosines are exact
    found = select("divprune", visual=v, budget=20, mode="faithful")
    assert found.indices.tolist() == [*range(0, 48, 3), 0, 0, 0, 0]
    assert found.gains.tolist() == [0.0, *[1.0] * 15, *[0.0] * 4]
    assert found.n_kept == 16
    assert found.mode == "faithful"
    assert "repeated" in found.departures[0]
    exact = select("divprune", visual=v, budget=20)
    assert exact.indices.tolist() == [*range(0, 48, 3), 1, 2, 4, 5]


def test_divprune_starts_by_the_second_smallest_of_a_column_its_own_included():
    """By hand: unit vectors at 0, 10, 90 and 200 degrees. Nearest neighbors are at 10, 10, 80 and
    110 degrees, so the last comes first; 0 is at 160 from it, 10 at 170 and 90 at 110; of those
    left 0 is 10 from its nearest and 90 is 80."""
    angle = torch.tensor([0.0, 10.0, 90.0, 200.0]).double().deg2rad()
    v = torch.stack([angle.cos(), angle.sin()], 1)
    for mode in ("exact", "faithful"):
        found = select("divprune", visual=v, budget=4, mode=mode)
        assert found.indices.tolist() == [3, 1, 2, 0]
        degrees = [110, 170, 80, 10]
        expected = [1 - np.cos(np.deg2rad(x)) for x in degrees]
        assert found.gains.tolist() == pytest.approx(expected)


def test_copies_of_an_own_column_count_as_its_nearest():
    """Three copies that rounding tells apart, so that a token's largest cosine may be another's:
    the second-smallest entry is found among them all, 0 to rounding, and five tokens differ."""
    v = normal(4, 5, 96).repeat(3, 1) * torch.linspace(1, 2, 15).double()[:, None]
    found = select("divprune", visual=v, budget=5, mode="faithful")
    assert float(found.gains[0]) == pytest.approx(0.0, abs=1e-14)
    assert {i % 5 for i in found.indices.tolist()} == set(range(5))
    assert float(found.gains[1:].min()) > 0.5


@pytest.mark.parametrize("method", ["divprune", "trimtokenator", "cdpruner"])
@pytest.mark.parametrize("name", ["visual", "text"])
def test_a_zero_row_is_refused_in_faithful_mode_even_where_it_is_uninformative(method, name):
    """The public codes divide by the norm: NaN, and 2 distinct tokens of 64."""
    if name == "text" and method != "cdpruner":
        name = "visual"
    case = one(1)
    case[name][3] = 0
    options = {**TOKENS, "sign": 1.0} if method == "cdpruner" else {}
    with pytest.raises(ZeroNormError, match=r"public code.*\(0, 3\).*exact"):
        select(method, **case, budget=3, mode="faithful", zero_norm="uninformative", **options)
    assert len(select(method, **case, budget=3, zero_norm="uninformative", **options).indices) == 3


def test_a_single_token_has_no_neighbor():
    with pytest.raises(BudgetError, match="second-smallest of 1"):
        select("divprune", visual=torch.ones(1, 3), budget=1, mode="faithful")
    assert indices("divprune", {"visual": torch.ones(1, 3)}, 1) == [0]
    assert indices("max_min", {"visual": torch.ones(1, 3)}, 1) == [0]


@given(SEEDS, BUDGETS)
def test_max_min_is_the_farthest_pair_then_the_farthest(seed, k):
    case = one(seed, n_v=12)
    found = select("max_min", **case, budget=k)
    expected = twins.max_min(case["visual"], k)
    assert found.indices.tolist() == expected
    distance = 1 - twins.unit(case["visual"]) @ twins.unit(case["visual"]).T
    assert float(found.gains[0]) == pytest.approx(float(distance.max()))


def test_max_min_by_hand():
    """Angles 0, 10, 90 and 200: the farthest pair is 10 and 200; then 90, 80 from 10."""
    angle = torch.tensor([0.0, 10.0, 90.0, 200.0]).double().deg2rad()
    v = torch.stack([angle.cos(), angle.sin()], 1)
    found = select("max_min", visual=v, budget=4)
    assert found.indices.tolist() == [1, 3, 2, 0]
    expected = [1 - np.cos(np.deg2rad(x)) for x in (170, 170, 80, 10)]
    assert found.gains.tolist() == pytest.approx(expected)
    assert select("max_min", visual=v, budget=1).indices.tolist() == [1]


@pytest.mark.parametrize("method", ["divprune", "max_min"])
@given(seed=SEEDS, k=st.integers(2, 5), d=st.integers(2, 4))
def test_greedy_max_min_is_within_a_factor_of_two(method, seed, k, d):
    """The least chord of the kept tokens is at least half of that of the best set, whatever token
    comes first; a farthest pair is the best pair."""
    v = normal(seed, 8, d)
    distance = chords(v)

    def least(chosen):
        return min(float(distance[i, j]) for i, j in itertools.combinations(chosen, 2))

    best = max(least(s) for s in itertools.combinations(range(8), k))
    found = select(method, visual=v, budget=k)
    assert least(found.indices.tolist()) >= best / 2 - 1e-9
    if method == "max_min" and k == 2:
        assert found.guarantee == "exact"
        assert least(found.indices.tolist()) == pytest.approx(best)
    else:
        assert found.guarantee == "1/2 in chordal distance"


@given(SEEDS, st.integers(2, 30))
def test_the_farthest_pair_is_found_block_by_block(seed, n):
    """Streamed over blocks that cover each pair once, it is the first minimum of the matrix."""
    unit = unit_rows("visual", normal(seed, 2, n, 3))
    gram = unit @ unit.mT
    for sample, pair in enumerate(farthest_pair(CosineRows(unit)).tolist()):
        apart = {(i, j): float(gram[sample, i, j]) for i, j in itertools.combinations(range(n), 2)}
        assert apart[tuple(pair)] == pytest.approx(min(apart.values()), abs=1e-12)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("b", [1, 3])
def test_extremes_over_all_pairs_streamed_and_whole(largest, b, monkeypatch):
    unit = unit_rows("visual", normal(0, b, 11, 4))
    hidden = (unit @ unit.mT).masked_fill(
        torch.eye(11).bool(), -torch.inf if largest else torch.inf
    )
    expected = hidden.amax(-1) if largest else hidden.amin(-1)
    rows = CosineRows(unit)
    torch.testing.assert_close(rows.extreme(largest=largest), expected)
    torch.testing.assert_close(rows.row(torch.zeros(b, dtype=torch.int64)), (unit @ unit.mT)[:, 0])
    monkeypatch.setattr(engine, "WHOLE", 4)
    monkeypatch.setattr(engine, "UPPER", 3)
    torch.testing.assert_close(CosineRows(unit).extreme(largest=largest), expected)


def test_the_farthest_pair_of_copies_is_the_first_pair():
    """Tokens 0, 2 and 4 point one way, 1, 3 and 5 the other: nine farthest pairs."""
    v = torch.tensor([[0.6, 0.8], [-0.6, -0.8]]).repeat(3, 1)
    assert farthest_pair(CosineRows(v[None])).tolist() == [[0, 1]]
    assert indices("max_min", {"visual": v}, 6) == [0, 1, 2, 3, 4, 5]


@given(SEEDS, st.integers(1, 12), st.booleans(), st.integers(1, 3))
def test_dispersing_one_sample_and_many_is_the_same(seed, k, mean, given_tokens):
    """The path of a single sample and that of a batch choose alike and gain alike."""
    unit = unit_rows("visual", normal(seed, 3, 12, 5))
    first = torch.tensor([[4, 7, 1]]).expand(3, 3)[:, : min(k, given_tokens)]
    together = disperse(CosineRows(unit), first, k, mean=mean)
    for row in range(3):
        alone = disperse(CosineRows(unit[row : row + 1]), first[:1], k, mean=mean)
        assert alone.indices.tolist() == together.indices[row : row + 1].tolist()
        torch.testing.assert_close(
            alone.gains, together.gains[row : row + 1], equal_nan=True, atol=1e-12, rtol=0
        )


# --- CDPruner -----------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 6), st.sampled_from([1, -1]))
def test_faithful_cdpruner_is_the_public_code(seed, k, sign):
    case = one(seed, n_v=11, d=8)
    expected = twins.cdpruner(case["visual"], case["clip_visual"], case["clip_text"], k, sign)
    assert indices("cdpruner", case, k, mode="faithful", sign=sign) == expected
    assert indices("cdpruner", case, k, sign=sign) == expected
    if sign == -1:  # as the public code has it
        assert indices("cdpruner", case, k) == expected


@given(SEEDS, st.integers(1, 8), st.integers(1, 4))
def test_the_recursion_of_one_sample_is_that_of_a_batch(seed, k, b):
    case = inputs(seed, b=b, d=10)
    together = select_batch("cdpruner", **case, budget=k, mode="faithful")
    for row, found in enumerate(together):
        alone = {name: x[row] for name, x in case.items()}
        found_alone = select("cdpruner", **alone, budget=k, mode="faithful")
        assert found.indices.tolist() == found_alone.indices.tolist()
        torch.testing.assert_close(found.gains, found_alone.gains, atol=1e-8, rtol=1e-8)


@given(SEEDS, st.integers(1, 6), st.sampled_from([1, -1]), st.sampled_from(["mean", "max"]))
def test_cdpruner_equals_determinants_from_scratch(seed, k, sign, words):
    """The Cholesky recursion chooses what recomputing every determinant chooses."""
    case = one(seed, n_v=11, d=8)
    v, t = (unit_rows("x", case[name]).numpy() for name in ("visual", "text"))
    q = sign * getattr(np, words)(v @ t.T, axis=1)
    quality = (q - q.min() + 1e-6) / (q.max() - q.min())
    found = select("cdpruner", **case, budget=k, **TOKENS, sign=sign, word_aggregation=words)
    assert found.indices.tolist() == max_determinant(case["visual"], quality, k)
    chosen = found.indices.tolist()
    kernel = quality[:, None] * (v @ v.T) * quality
    log_det = np.linalg.slogdet(kernel[np.ix_(chosen, chosen)])[1]
    assert float(found.gains.sum()) == pytest.approx(log_det, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cdpruner_past_the_rank_follows_relevance(dtype):
    """128 tokens of rank 24, 40 kept: the public code returns 35 distinct ones."""
    case = one(7, n_v=128, d=24, dtype=dtype)
    found = select("cdpruner", **case, budget=40, **TOKENS, sign=1.0)
    assert len(set(found.indices.tolist())) == 40
    assert torch.isfinite(found.gains[:24]).all()
    assert torch.isneginf(found.gains[24:]).all()
    v, t = unit_rows("x", case["visual"]), unit_rows("x", case["text"])
    q = (v @ t.T).mean(1)
    rest = [i for i in range(128) if i not in found.indices[:24].tolist()]
    by_relevance = sorted(rest, key=lambda i: -float(q[i]))[:16]
    assert found.indices[24:].tolist() == by_relevance


def test_faithful_cdpruner_repeats_tokens_past_the_rank():
    """Rank 2, 6 of 8 kept, relevance a power of two: residuals are exact zeros after two choices,
    0/0 follows, and the first NaN is chosen by turns."""
    v = torch.eye(2, dtype=torch.float64).repeat(4, 1)
    words = torch.tensor([[1.0, 0.0]]).double()
    options = {**TOKENS, "sign": 1.0, "mode": "faithful"}
    found = select("cdpruner", visual=v, text=words, budget=6, **options)
    assert found.indices[:2].tolist() == [0, 1]
    assert found.n_kept < 6
    assert found.indices.tolist() == twins.cdpruner(v, v, words, 6, 1.0)
    both = select_batch(
        "cdpruner", visual=v.expand(2, 8, 2), text=words.expand(2, 1, 2), budget=6, **options
    )
    assert all(s.indices.tolist() == found.indices.tolist() for s in both)
    exact = select("cdpruner", visual=v, text=words, budget=6, **TOKENS, sign=1.0)
    assert exact.indices.tolist() == [0, 1, 2, 4, 6, 3]


def test_cdpruner_with_constant_relevance_is_plain_diversity():
    """The public code divides by zero; here relevance is 1 throughout."""
    v = normal(3, 8, 6)
    assert min_max(torch.full((1, 8), 0.3)).tolist() == [[1.0] * 8]
    case = {"visual": v, "text": torch.zeros(2, 6).double(), "zero_norm": "uninformative"}
    found = select("cdpruner", **case, budget=5, **TOKENS, sign=1.0)
    assert found.indices.tolist() == max_determinant(v, np.ones(8), 5)


def test_constant_relevance_is_refused_in_faithful_mode():
    v = normal(3, 8, 6)
    clip = torch.ones(8, 4).double()
    case = {"visual": v, "clip_visual": clip, "clip_text": clip[:2]}
    with pytest.raises(ParameterError, match="range of relevance"):
        select("cdpruner", **case, budget=5, mode="faithful")
    assert indices("cdpruner", case, 5) == max_determinant(v, np.ones(8), 5)


def test_relevance_lies_where_the_public_code_has_it():
    """r is in [1e-6 / range, 1 + 1e-6 / range]."""
    q = torch.tensor([[0.25, 0.5, 0.75]]).double()
    assert min_max(q).tolist() == [[2e-6, pytest.approx(0.5 + 2e-6), 1 + 2e-6]]
    visual, text = normal(0, 9, 4), normal(1, 3, 4)
    expected = twins.cdpruner_relevance(visual, text, 1.0)
    cosine = unit_rows("x", visual) @ unit_rows("x", text).T
    torch.testing.assert_close(min_max(cosine.mean(1)[None])[0], expected)


def test_cdpruner_reads_what_its_source_names_and_nothing_else():
    case = one(8)
    clip = {name: case[name] for name in ("visual", "clip_visual", "clip_text")}
    tokens = {name: case[name] for name in ("visual", "text")}
    assert indices("cdpruner", clip, 5) == indices("cdpruner", case, 5)
    plain = indices("cdpruner", case, 5, **TOKENS)
    assert indices("cdpruner", tokens, 5, **TOKENS) == plain != indices("cdpruner", clip, 5)
    with pytest.raises(MissingInputError, match=r"cdpruner.*clip_visual"):
        select("cdpruner", **tokens, budget=5)
    with pytest.raises(MissingInputError, match=r"cdpruner.*text"):
        select("cdpruner", **clip, budget=5, **TOKENS)
    with pytest.raises(MissingInputError, match="clip_visual and clip_text"):
        cdpruner_module.cdpruner(case["visual"][None], budget=5)
    with pytest.raises(ParameterError, match="relevance_source"):
        select("cdpruner", **case, budget=5, relevance_source="bert")
    with pytest.raises(ParameterError, match="sign"):
        select("cdpruner", **case, budget=5, sign=0.5)
    with pytest.raises(UnknownNameError, match="mean"):
        select("cdpruner", **case, budget=5, word_aggregation="median")


# --- MMTok --------------------------------------------------------------------------------------


@given(
    SEEDS,
    BUDGETS,
    st.fixed_dictionaries(
        {},
        optional={
            "text_temperature": st.sampled_from([0.01, 0.02, 0.5]),
            "visual_temperature": st.sampled_from([0.1, 0.2, 1.0]),
            "visual_weight": st.sampled_from([0.1, 0.5, 2.0]),
        },
    ),
)
def test_mmtok_is_the_public_code(seed, k, options):
    """Up to the first choice between gains that are equal to rounding."""
    case = one(seed, n_v=12)
    for source, features in (("encoder", "encoder_features"), ("tokens", "visual")):
        tensors = (case["visual"], case["text"], case[features])
        expected = twins.mmtok(*tensors, k, **options)
        m = twins.mmtok_weights(*tensors, **options)
        assume(_lead(m, expected) > 1e-9)
        found = select("mmtok", **case, budget=k, coverage_source=source, **options)
        assert found.indices.tolist() == expected
        assert float(found.gains.sum()) == pytest.approx(float(m[:, expected].amax(1).sum()))


def _lead(m, chosen):
    """By how much the closest of these greedy choices was decided, of the largest gain."""
    best, leads = torch.zeros(len(m), dtype=m.dtype), [torch.inf]
    for t, j in enumerate(chosen):
        gains = (m - best[:, None]).clamp(min=0).sum(0)
        others = [float(gains[i]) for i in range(m.shape[1]) if i not in chosen[: t + 1]]
        leads += [float(gains[j]) - x for x in others]
        best = best.maximum(m[:, j])
    return min(leads)


@given(SEEDS, BUDGETS)
def test_mmtok_is_lazy_greedy_on_facility_location(seed, k):
    """Its objective is the set function, so that 1 − 1/e is licensed, and lazy is exact."""
    case = one(seed, n_v=12)
    options = {"text_temperature": 0.1, "visual_temperature": 0.2, "visual_weight": 0.5}
    batch = [case[name][None] for name in ("visual", "text", "encoder_features")]
    m = coverage(*batch, coverage_source="encoder", **options)[0]
    found = select("mmtok", **case, budget=k, text_temperature=0.1)
    function = FacilityLocation(m)
    lazy = lazy_greedy(function, k)
    assert function.value(found.indices.tolist()) == pytest.approx(float(lazy.gains.sum()))
    assert found.guarantee == lazy.guarantee == "1-1/e"


def test_mmtok_by_hand():
    """Two orthogonal patches and a copy of the second; one word along the first. At τ → 0 the word
    is all p(v_0 | t), worth 1. Patches serve themselves: α/3 · (1 for the first, ½ for a copy)."""
    v = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]).double()
    words = torch.tensor([[1.0, 0.0]]).double()
    found = select(
        "mmtok", visual=v, text=words, budget=3, coverage_source="tokens",
        text_temperature=0.01, visual_temperature=0.01,
    )  # fmt: skip
    assert found.indices.tolist() == [0, 1, 2]
    assert found.gains.tolist() == pytest.approx([1 + 0.5 / 3, 0.5 / 3, 0.0], abs=1e-9)


def test_without_weight_of_the_image_only_words_are_covered():
    case = one(5)
    other = dict(case, encoder_features=normal(77, 14, 5))
    heavy, none = {"visual_weight": 50.0}, {"visual_weight": 0.0}
    assert indices("mmtok", case, 4, **heavy) != indices("mmtok", other, 4, **heavy)
    assert indices("mmtok", case, 4, **none) == indices("mmtok", other, 4, **none)


def test_mmtok_reads_the_encoder_unless_told_otherwise():
    case = one(6)
    del case["encoder_features"]
    with pytest.raises(MissingInputError, match="mmtok needs 'encoder_features'"):
        select("mmtok", **case, budget=3)
    assert indices("mmtok", case, 3, coverage_source="tokens") == indices(
        "mmtok", dict(case, encoder_features=case["visual"]), 3
    )
    assert SELECTORS["mmtok"].required({"coverage_source": "tokens"}) == ("visual", "text")
    with pytest.raises(MissingInputError, match="encoder_features"):
        SELECTORS["mmtok"].fn(case["visual"][None], case["text"][None], budget=3)


@pytest.mark.parametrize(
    "options",
    [
        {"coverage_source": "clip"},
        {"text_temperature": 0.0},
        {"visual_temperature": -1.0},
        {"visual_weight": -0.5},
        {"visual_weight": float("inf")},
        {"visual_weight": float("nan")},
        {"visual_weight": True},
        {"visual_weight": "half"},
    ],
)
def test_bad_options_of_mmtok_are_refused_by_name(options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        select("mmtok", **one(0), budget=3, **options)


# --- TrimTokenator ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["exact", "faithful"])
@given(seed=SEEDS, k=st.integers(1, 6), ratio=st.sampled_from([0.5, 0.8, 1.0]))
def test_trimtokenator_is_the_published_steps(mode, seed, k, ratio):
    case = one(seed, n_v=12)
    expected = twins.trimtokenator(case["visual"], case["text"], k, ratio)
    assert indices("trimtokenator", case, k, first_ratio=ratio, mode=mode) == expected


@given(SEEDS)
def test_alignment_is_distance_to_the_mean_word_and_a_penalty_on_the_norm(seed):
    """−(1/n_t) Σ_j ‖v_i − t_j‖² = −‖v_i‖² + 2 v_i · t̄ − const, in units of the largest entry."""
    visual, text = normal(seed, 2, 9, 4), normal(seed + 1, 2, 3, 4)
    scores, slack = alignment(visual, text)
    for row in range(2):
        unit = float(torch.cat([visual[row], text[row]]).abs().max())
        pairs = twins.trimtokenator_alignment(visual[row], text[row])
        torch.testing.assert_close(scores[row] * unit**2, pairs)
        mean = text[row].mean(0)
        away = -(visual[row] - mean).square().sum(-1)
        spread = (text[row] - mean).square().sum(-1).mean()
        torch.testing.assert_close(pairs, away - spread)
    assert bool((slack > 0).all())


def test_trimtokenator_by_hand():
    """Word (1, 0). −‖v − t‖² is 0, −0.02, −0.8, −9, −1: with ρ₁ = 0.8 the fourth goes. Of the rest
    (.6, .8) has the least mean cosine with them all: 1 with itself, .6, .99, and .68 with the
    second. The first, at .6, is the least like it."""
    v = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.6, 0.8], [4.0, 0.0], [1.0, 1.0]]).double()
    words = torch.tensor([[1.0, 0.0]]).double()
    found = select("trimtokenator", visual=v, text=words, budget=3)
    unit = v[[0, 1, 2, 4]] / v[[0, 1, 2, 4]].norm(dim=1, keepdim=True)
    means = (unit @ unit.T).mean(1)
    assert int(means.argmin()) == 2
    assert found.indices.tolist()[:2] == [2, 0]
    assert found.gains.tolist()[:2] == pytest.approx([1 - float(means[2]), 0.4])
    assert 3 not in found.indices.tolist()


def test_the_first_stage_leaves_room_for_the_budget_or_refuses():
    """⌊0.8 · 14⌋ = 11."""
    case = one(2)
    assert len(select("trimtokenator", **case, budget=11, mode="faithful").indices) == 11
    with pytest.raises(BudgetError, match="at most the 11 tokens"):
        select("trimtokenator", **case, budget=12, mode="faithful")
    found = select("trimtokenator", **case, budget=12)
    dropped = set(range(14)) - set(found.indices.tolist())
    worst = twins.trimtokenator_alignment(case["visual"], case["text"]).argsort()[:2]
    assert dropped == set(worst.tolist())
    assert "at least the budget" in found.departures[0]


def test_scale_cannot_overflow_the_first_stage():
    """Squares of 1e30 exceed float32; the order of distances does not depend on the unit."""
    case = {n: x.float() for n, x in one(3).items() if n in ("visual", "text")}
    large = {n: x * 1e30 for n, x in case.items()}
    assert indices("trimtokenator", large, 6) == indices("trimtokenator", case, 6)
    zeros = {"visual": torch.zeros(4, 3), "text": torch.zeros(2, 3)}
    assert indices("trimtokenator", zeros, 2, zero_norm="uninformative") == [0, 1]


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.1, True, "most", float("nan")])
def test_the_share_of_the_first_stage_is_a_share(ratio):
    with pytest.raises(ParameterError, match="first_ratio"):
        select("trimtokenator", **one(0), budget=3, first_ratio=ratio)


# --- similarity ---------------------------------------------------------------------------------


@given(SEEDS, BUDGETS, st.sampled_from(["max", "mean"]))
def test_similarity_is_the_largest_cosine(seed, k, words):
    case = one(seed, n_v=12)
    expected = twins.similarity(case["visual"], case["text"], k, words)
    assert indices("similarity", case, k, word_aggregation=words) == expected


@given(SEEDS, BUDGETS)
def test_centered_similarity_is_the_largest_centered_cosine(seed, k):
    case = one(seed, n_v=12)
    expected = twins.centered_similarity(case["visual"], case["text"], k)
    assert indices("centered_similarity", case, k) == expected


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["divprune", "max_min", "cdpruner", "mmtok", "similarity", "centered_similarity"]
)
@given(seed=SEEDS)
def test_methods_of_cosines_do_not_see_the_scale_of_a_token(method, seed):
    case = one(seed)
    scaled = dict(case)
    for name in ("visual", "text", "encoder_features", "clip_visual", "clip_text"):
        x = case[name]
        scaled[name] = x * 2.0 ** torch.floor(8 * uniform(seed, len(x), 1))
    assert indices(method, scaled, 6) == indices(method, case, 6)
