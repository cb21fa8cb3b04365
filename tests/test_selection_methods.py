"""Every method against its literal twin, by hand, and in the limits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import algorithm_1, inputs, max_min, normal

from mitheory import select, select_batch
from mitheory.aggregation import AGGREGATIONS
from mitheory.distributions import unit_rows
from mitheory.errors import ParameterError
from mitheory.pmi import self_pmi
from mitheory.scores import mi_score
from mitheory.selection import engine, greedy, mi, running
from mitheory.selection.engine import CosineRows, ranking, top_picks
from mitheory.selection.mi import mi_greedy, mi_problem

SEEDS = st.integers(0, 2**20)


def one(seed, **sizes):
    """Inputs of a single sample."""
    return {name: x[0] for name, x in inputs(seed, b=1, **sizes).items()}


def indices(method, case, budget, **options):
    return select(method, **case, budget=budget, **options).indices.tolist()


# --- MI-Pruner --------------------------------------------------------------------------------


@given(
    SEEDS,
    st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]),
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.sampled_from([0.02, 0.1, 1.0]),
            "self_temperature": st.sampled_from([0.05, 0.5]),
            "aggregation": st.sampled_from(["max", "kl", "joint", "mean"]),
            "redundancy_aggregation": st.sampled_from(["max", "global"]),
            "self_loop": st.booleans(),
            "self_marginal": st.sampled_from(["uniform", "total_probability"]),
            "empty_redundancy": st.floats(-2, 2),
        },
    ),
)
def test_mi_pruner_equals_algorithm_1(seed, weight, options):
    """The batched running maximum keeps the tokens, in the order and with the scores, of
    Algorithm 1 written out literally, under every option."""
    case = one(seed, n_v=9, n_t=3)
    options = {**options, "relevance_weight": weight}
    found = select("mi_pruner", visual=case["visual"], text=case["text"], budget=6, **options)
    twin = {k: "kl" if v == "joint" else v for k, v in options.items()}  # same order, uniform prior
    kept, scores = algorithm_1(case["visual"], case["text"], 6, **options)
    assert found.indices.tolist() == kept
    assert found.gains.tolist() == pytest.approx(scores, abs=1e-7)
    if weight == 1:
        assert kept == algorithm_1(case["visual"], case["text"], 6, **twin)[0]


@given(SEEDS, st.sampled_from([0.5, 1.0]))
def test_mi_pruner_with_minmax_equals_algorithm_1(seed, weight):
    """−∞ in every row of PMI (E1) does not disturb the choice."""
    case = one(seed, n_v=8, n_t=4)
    options = {"conditional": "minmax", "relevance_weight": weight}
    kept, _ = algorithm_1(case["visual"], case["text"], 5, **options)
    assert indices("mi_pruner", case, 5, **options) == kept


@given(SEEDS, st.floats(0.01, 0.99))
def test_mi_pruner_is_greedy_on_its_score_rule(seed, weight):
    """The batched engine and `greedy` on `mi_score` choose alike, and gain alike."""
    case = one(seed, n_v=8)
    problem = mi_problem_of(case, relevance_weight=weight)
    within = self_pmi(case["visual"][None], temperature=0.1).matrix()[0]
    slow = greedy(mi_score(problem.relevance[0], within, relevance_weight=weight), 5)
    fast = select("mi_pruner", **case, budget=5, relevance_weight=weight)
    assert fast.indices.tolist() == slow.indices.tolist()
    assert fast.gains.tolist() == pytest.approx(slow.gains.tolist(), abs=1e-9)
    assert fast.evaluations == slow.evaluations
    assert fast.guarantee is None


def mi_problem_of(case, **options):
    defaults = select("mi_pruner", **case, budget=1).params
    return mi_problem(
        case["visual"][None], case["text"][None], **defaults | options, grid=None, zero_norm="error"
    )


def test_at_full_relevance_weight_nothing_between_visual_tokens_is_computed(monkeypatch):
    """B5: λ = 1 never touches the N × N matrix, and its sort is exact."""

    def refuse(*args, **kwargs):
        raise AssertionError("self-PMI was asked for")

    case = one(0)
    expected = indices("mi_pruner", case, 6, relevance_weight=1.0)
    monkeypatch.setattr(mi, "self_pmi_of_units", refuse)
    found = select("mi_pruner", **case, budget=6, relevance_weight=1.0)
    assert found.indices.tolist() == expected
    assert found.guarantee == "exact"
    assert found.evaluations == 14
    with pytest.raises(AssertionError, match="was asked for"):
        select("mi_pruner", **case, budget=6, relevance_weight=0.99)


@pytest.mark.parametrize("method", ["mi_pruner", "mi_attention", "divprune", "max_min", "cdpruner"])
def test_streamed_columns_choose_as_the_whole_matrix_does(method, monkeypatch):
    """Above 1,024 tokens columns are computed one per pick, and the matrix never exists."""
    case = inputs(3, b=4, n_v=30)
    whole = [s.indices.tolist() for s in select_batch(method, **case, budget=12)]
    for module in (engine, mi, running):
        monkeypatch.setattr(module, "WHOLE", 10)
    monkeypatch.setattr(engine, "BLOCK", 7)
    monkeypatch.setattr(mi.SelfPMI, "matrix", None)
    assert [s.indices.tolist() for s in select_batch(method, **case, budget=12)] == whole


def test_rows_of_the_gram_matrix_streamed_and_kept(monkeypatch):
    unit = unit_rows("visual", normal(0, 2, 9, 4))
    gram, j = unit @ unit.mT, torch.tensor([3, 8])
    for limit in (1024, 4):
        monkeypatch.setattr(engine, "WHOLE", limit)
        monkeypatch.setattr(engine, "BLOCK", 4)
        rows = CosineRows(unit)
        torch.testing.assert_close(rows.row(j), gram[[0, 1], j])
        torch.testing.assert_close(torch.cat([b for _, b in rows.blocks()], 1), gram)


@given(SEEDS)
def test_minmax_does_not_depend_on_the_temperature(seed):
    """E1: MinMax is invariant to τ, so a temperature sweep of it is vacuous."""
    case = one(seed)
    kept = [indices("mi_pruner", case, 7, conditional="minmax", temperature=t) for t in (0.02, 1.0)]
    assert kept[0] == kept[1]


@given(SEEDS)
def test_in_the_warm_limit_mi_pruner_is_centered_similarity(seed):
    """E3: τ·max-PMI is within 4/τ of the maximum of the double-centered cosine, so the kept tokens
    come in its order, up to tokens closer to each other than twice that."""
    case, warmth = one(seed), 1e4
    warm = select("mi_pruner", **case, budget=14, relevance_weight=1.0, temperature=warmth)
    centered = select("centered_similarity", **case, budget=14)
    score = torch.empty(14, dtype=torch.float64).index_put((centered.indices,), centered.gains)
    torch.testing.assert_close(
        warmth * warm.gains, score[warm.indices], rtol=0, atol=4 / warmth, check_dtype=False
    )
    assert bool((score[warm.indices].diff() <= 8 / warmth).all())


@given(SEEDS)
def test_the_warm_limit_is_reached_at_its_rate(seed):
    """E3: the distance of τ·PMI from the double-centered cosine falls like 1/τ."""
    case = one(seed)
    centered = select("centered_similarity", **case, budget=14)
    score = torch.empty(14, dtype=torch.float64).index_put((centered.indices,), centered.gains)
    for warmth in (1e2, 1e3):
        warm = select("mi_pruner", **case, budget=14, relevance_weight=1.0, temperature=warmth)
        assert float((warmth * warm.gains - score[warm.indices]).abs().max()) <= 4 / warmth


@pytest.mark.parametrize("conditional", ["softmax", "minmax"])
def test_with_one_word_every_patch_ties(conditional):
    """E2: PMI ≡ 0 for N_T = 1; at λ = 1 the lowest indices are kept."""
    case = one(0, n_t=1)
    found = indices("mi_pruner", case, 5, relevance_weight=1.0, conditional=conditional)
    assert found == [0, 1, 2, 3, 4]


def test_without_relevance_the_first_choice_is_the_lowest_index():
    """B5: λ = 0 ties at first, then only redundancy counts."""
    case = one(1)
    kept = indices("mi_pruner", case, 4, relevance_weight=0.0)
    assert kept[0] == 0
    other = dict(case, text=normal(99, 4, 6))
    assert indices("mi_pruner", other, 4, relevance_weight=0.0) == kept


@pytest.mark.parametrize("prior", ["stationary", "energy", "center_biased", "golden_ratio"])
def test_priors_reach_both_terms(prior):
    """A prior changes relevance and redundancy; uniform given as a tensor changes nothing."""
    case = one(4, n_v=12)
    grid = (3, 4)
    uniform = select("mi_pruner", **case, budget=8)
    explicit = select("mi_pruner", **case, budget=8, prior=torch.full((12,), 1 / 12))
    named = select("mi_pruner", **case, budget=8, prior=prior, grid=grid)
    assert explicit.indices.tolist() == uniform.indices.tolist()
    assert explicit.params["prior"] == "explicit"
    assert named.gains.tolist() != pytest.approx(uniform.gains.tolist(), abs=1e-6)


@given(SEEDS)
def test_the_stationary_prior_makes_redundancy_symmetric(seed):
    """D2: with π_i = D_i / ΣD and total probability, PMI(i; j) = PMI(j; i) in the search too."""
    case = one(seed, n_v=7)
    problem = mi_problem_of(case, prior="stationary", self_marginal="total_probability")
    matrix = problem.redundancy.matrix()[0]
    torch.testing.assert_close(matrix, matrix.T, atol=1e-9, rtol=0)


@pytest.mark.parametrize("aggregation", [*AGGREGATIONS, "renyi:2", "renyi:inf"])
def test_every_aggregation_and_conditional_runs(aggregation):
    case = one(5)
    for conditional in ("softmax", "minmax", "joint", "softmax_over_vision", "sinkhorn"):
        found = select("mi_pruner", **case, budget=5, aggregation=aggregation,
                       conditional=conditional)  # fmt: skip
        assert len(found.indices) == 5
        assert not torch.isnan(found.gains).any()


def test_renyi_of_infinite_order_is_the_maximum():
    """C2: max = D_∞."""
    case = one(6)
    assert indices("mi_pruner", case, 6, aggregation="renyi:inf") == indices("mi_pruner", case, 6)


# --- MI-Attention -------------------------------------------------------------------------------


@given(SEEDS, st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([0.0, 0.5, 1.0]))
def test_mi_attention_is_attention_then_algorithm_1_on_the_rest(seed, ratio, weight):
    """Round one is `attention`; round two is Algorithm 1 that starts from its tokens."""
    case = one(seed, n_v=10)
    found = select("mi_attention", **case, budget=6, attention_ratio=ratio, relevance_weight=weight)
    size = math.floor(6 * ratio + 0.5)
    first = indices("attention", case, size) if size else []
    kept, scores = algorithm_1(
        case["visual"], case["text"], 6, relevance_weight=weight, first=tuple(first)
    )
    assert found.indices.tolist() == kept
    assert found.gains[size:].tolist() == pytest.approx(scores, abs=1e-7)
    assert torch.isnan(found.gains[:size]).all()
    assert found.guarantee is None or size == 0


def test_closed_tokens_stay_closed_where_relevance_is_minus_infinity():
    """The mean of PMI under MinMax is −∞ throughout: round two must still not repeat round one."""
    case = one(2)
    for weight in (0.0, 0.5, 1.0):
        options = {"conditional": "minmax", "aggregation": "mean", "relevance_weight": weight}
        kept = indices("mi_attention", case, 9, **options)
        assert len(set(kept)) == 9


@pytest.mark.parametrize("ratio", [-0.1, 1.1])
def test_the_share_of_attention_is_a_share(ratio):
    with pytest.raises(ParameterError, match="attention_ratio"):
        select("mi_attention", **one(0), budget=3, attention_ratio=ratio)


# --- ranking by a score ---------------------------------------------------------------------------


def test_similarity_by_hand():
    """Cosines with (1,0), (0,1): token 0 (1, 0), token 1 (.6, .8), token 2 (.7071, .7071)."""
    v = torch.tensor([[2.0, 0.0], [0.6, 0.8], [1.0, 1.0]])
    case = {"visual": v, "text": torch.eye(2)}
    assert indices("similarity", case, 3) == [0, 1, 2]
    assert indices("similarity", case, 3, word_aggregation="mean") == [2, 1, 0]
    gains = select("similarity", **case, budget=3).gains.tolist()
    assert gains == pytest.approx([1.0, 0.8, 0.5**0.5], abs=1e-6)


def test_attention_by_hand():
    """Column sums of the head mean, off the diagonal: token 2 receives most from others,
    token 0 most with what it pays to itself."""
    heads = torch.tensor(
        [
            [[0.9, 0.0, 0.1], [0.0, 0.2, 0.8], [0.2, 0.0, 0.8]],
            [[0.9, 0.1, 0.0], [0.1, 0.4, 0.5], [1.0, 0.0, 0.0]],
        ]
    )
    case = {"visual": torch.eye(3), "patch_attention": heads}
    received = select("attention", **case, budget=3)
    assert received.indices.tolist() == [2, 0, 1]  # .70, .65, .05
    assert received.gains.tolist() == pytest.approx([0.7, 0.65, 0.05], abs=1e-6)
    assert indices("attention", case, 3, include_diagonal=True) == [0, 2, 1]  # 1.55, 1.10, .35


def test_cls_attention_by_hand():
    """Head means .4, .1, .5: the last first."""
    case = {
        "visual": torch.eye(3),
        "cls_attention": torch.tensor([[0.8, 0.2, 0.0], [0.0, 0.0, 1.0]]),
    }
    assert indices("cls_attention", case, 2) == [2, 0]


@given(SEEDS, st.integers(1, 14))
def test_ranking_equals_a_stable_sort_where_nothing_is_close(seed, k):
    x = normal(seed, 2, 14)
    expected = [sorted(range(14), key=lambda i: -float(row[i]))[:k] for row in x]
    assert top_picks(x, k, slack=0.0).indices.tolist() == expected


def test_ranking_puts_runs_within_rounding_in_order_of_index():
    x = torch.tensor([[0.1, 0.5, 0.5 + 1e-9, 0.1 - 1e-9, 0.5 - 1e-9]], dtype=torch.float64)
    assert ranking(x, 1e-8).tolist() == [[1, 2, 4, 0, 3]]
    assert ranking(x, 0.0).tolist() == [[2, 1, 4, 0, 3]]
    infinite = torch.tensor([[0.0, torch.inf, -torch.inf, torch.inf, -torch.inf]])
    assert ranking(infinite, 1e-6).tolist() == [[1, 3, 0, 2, 4]]


# --- diversity --------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 12))
def test_divprune_equals_max_min_by_its_definition(seed, k):
    case = one(seed, n_v=12)
    assert indices("divprune", case, k) == max_min(case["visual"], k)


def test_divprune_never_takes_a_token_twice():
    """16 distinct vectors, 20 tokens kept: the public code repeats one of them."""
    v = normal(0, 16, 5).repeat(3, 1)
    found = select("divprune", visual=v, budget=20)
    assert len(set(found.indices.tolist())) == 20
    assert {i % 16 for i in found.indices[:16].tolist()} == set(range(16))


# --- draws --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["random", "oracle"])
def test_draws_follow_the_seed_alone(method):
    """Same seed, same tokens; another seed, others; the global generator is left alone."""
    case = one(0, n_v=40)
    state = torch.get_rng_state()
    assert indices(method, case, 9, seed=3) == indices(method, case, 9, seed=3)
    assert indices(method, case, 9, seed=3) != indices(method, case, 9, seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert select(method, **case, budget=9, seed=3).params == {"seed": 3}


@pytest.mark.parametrize("method", ["random", "oracle"])
def test_larger_draws_contain_smaller_ones(method):
    case = one(0, n_v=40)
    assert indices(method, case, 20, seed=5)[:8] == indices(method, case, 8, seed=5)


def test_random_is_uniform_over_tokens():
    """Each of 10 tokens is kept 3 times in 10: 2,000 draws, five standard deviations."""
    v = torch.ones(2000, 10, 1)
    kept = select_batch("random", visual=v, budget=3, seed=range(2000))
    counts = torch.stack([s.mask for s in kept]).double().mean(0)
    assert bool(((counts - 0.3).abs() < 5 * math.sqrt(0.21 / 2000)).all())


@given(SEEDS, st.integers(1, 14))
def test_the_oracle_keeps_relevant_tokens_first(seed, k):
    case = one(seed)
    found = select("oracle", **case, budget=k, seed=seed)
    relevant = case["relevant"]
    hits = int(relevant[found.indices].sum())
    assert hits == min(k, int(relevant.sum()))
    assert relevant[found.indices[:hits]].all()
    assert found.gains.tolist() == relevant[found.indices].double().tolist()


def test_the_oracle_fills_up_at_random():
    relevant = torch.zeros(30, dtype=torch.bool)
    case = {"visual": torch.ones(30, 1), "relevant": relevant}
    assert len({tuple(indices("oracle", case, 3, seed=s)) for s in range(6)}) == 6


def test_mi_greedy_with_nothing_left_to_choose():
    """The whole budget spent in round one leaves the choice of round one."""
    problem = mi_problem_of(one(0), relevance_weight=0.5)
    first = torch.tensor([[4, 2]])
    assert mi_greedy(problem, 2, first).indices.tolist() == [[4, 2]]
