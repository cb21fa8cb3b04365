"""Log mass: what it maximizes, its guarantee, and what the choices are."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import inputs

from mitheory import select
from mitheory.errors import MissingInputError, ParameterError
from mitheory.selection import greedy, lazy_greedy
from mitheory.selection.log_mass import AT_ONCE, log_mass_rows
from mitheory.selection.saturation import saturating_greedy, saturating_lazily
from mitheory.setfunctions import LogMass

SEEDS = st.integers(0, 2**20)
FLOORS = st.sampled_from([1e-6, 1e-2, 0.5])
OPTIONS = {"text_temperature": 0.2, "visual_temperature": 0.3, "visual_weight": 0.6}


def one(seed, **sizes):
    case = inputs(seed, b=1, **sizes)
    return {n: x[0] for n, x in case.items() if n in ("visual", "text", "patch_attention")}


def softmax(x):
    e = np.exp(x)
    return e / e.sum(1, keepdims=True)


def literal(case, rarity=0.0, attention_power=None, floor=1e-2):
    """The set function from its definition, in NumPy."""
    v, t = (case[n].numpy() for n in ("visual", "text"))
    v, t = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (v, t))
    kernel = np.exp(v @ v.T / OPTIONS["visual_temperature"])
    share = (kernel.sum(1) / kernel.sum()) ** -rarity
    if attention_power is not None:
        share = case["patch_attention"].numpy().mean((0, 1)) ** attention_power
    rows = [softmax(t @ v.T / OPTIONS["text_temperature"]), kernel / kernel.sum(1, keepdims=True)]
    alpha = OPTIONS["visual_weight"]
    weights = [np.full(len(t), (1 - alpha) / len(t)), alpha * share / share.sum()]
    return LogMass(
        torch.tensor(np.concatenate(rows)), torch.tensor(np.concatenate(weights)), floor=floor
    )


def divergence(q, p):
    on = q > 0
    return float((q[on] * np.log(q[on] / p[on])).sum())


def attention_of(function):
    """Attention of every row over the tokens and, last, over what is never pruned."""
    p, floor = function.probability.numpy(), function.floor
    return np.concatenate([p, np.full((len(p), 1), floor)], 1) / (1 + floor)


def renormalized(attention, kept):
    mask = np.zeros(attention.shape[1])
    mask[[*kept, -1]] = 1
    left = attention * mask
    return left / left.sum(1, keepdims=True)


# --- what it maximizes ------------------------------------------------------------------------


@given(SEEDS, st.integers(0, 7), FLOORS)
def test_what_is_missing_is_the_divergence_of_the_renormalized_attention(seed, size, floor):
    """f(all) − f(S) = Σ_r w_r KL(attention renormalized over S ‖ attention over all)."""
    function = literal(one(seed, n_v=8), floor=floor)
    kept = np.random.default_rng(seed).permutation(8)[:size].tolist()
    full = attention_of(function)
    lost = sum(
        float(w) * divergence(q, p)
        for w, q, p in zip(function.weights, renormalized(full, kept), full, strict=True)
    )
    missing = function.value(range(8)) - function.value(kept)
    assert missing == pytest.approx(lost, abs=1e-9)


@given(SEEDS, FLOORS)
def test_no_attention_that_is_blind_to_the_dropped_tokens_is_nearer(seed, floor):
    """Renormalizing is the I-projection: every distribution on S has at least its divergence."""
    function = literal(one(seed, n_v=8), floor=floor)
    rng = np.random.default_rng(seed)
    kept = rng.permutation(8)[:3]
    full = attention_of(function)
    nearest = renormalized(full, kept)
    other = np.zeros_like(full)
    other[:, [*kept, -1]] = rng.dirichlet(np.ones(4), size=len(full))
    for q, r, p in zip(nearest, other, full, strict=True):
        assert divergence(r, p) >= divergence(q, p) - 1e-12


# --- the guarantee ----------------------------------------------------------------------------


@given(SEEDS, FLOORS, st.sampled_from([0.0, 0.3, 1.0]), st.booleans())
def test_it_is_greedy_on_its_function(seed, floor, rarity, attention):
    """The batched engine chooses what `greedy` and `lazy_greedy` choose, with the same gains."""
    case = one(seed, n_v=12, n_t=3)
    if attention:
        options, function = {"attention_power": 0.7}, literal(case, 0, 0.7, floor)
    else:
        options, function = {"rarity": rarity}, literal(case, rarity, None, floor)
    method = "log_mass_attention" if attention else "log_mass"
    found = select(method, **case, budget=6, floor=floor, **OPTIONS, **options)
    for search in (greedy, lazy_greedy):
        twin = search(function, 6)
        assert found.indices.tolist() == twin.indices.tolist()
        assert found.gains.tolist() == pytest.approx(twin.gains.tolist(), abs=1e-9)
    assert found.guarantee == "1-1/e"


@given(SEEDS, st.integers(1, 4))
def test_greedy_reaches_its_share_of_the_best_set(seed, budget):
    """f(greedy) ≥ (1 − (1 − 1/k)^k) max f, the best by trying all sets of k tokens."""
    case = one(seed, n_v=9)
    function = literal(case)
    found = select("log_mass", **case, budget=budget, floor=0.01, **OPTIONS).indices.tolist()
    best = max(function.value(s) for s in itertools.combinations(range(9), budget))
    assert function.value(found) >= (1 - (1 - 1 / budget) ** budget) * best - 1e-12


# --- what is chosen ---------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(9, 3), (6, 2, 4), (8, 4)])
@pytest.mark.parametrize("rarity", [0.0, 1.0])
def test_clusters_are_kept_in_proportion_to_their_weight(sizes, rarity):
    """Clusters that do not attend to each other: as ε → 0 the best set of k tokens has k W_c of
    cluster c, W_c its share of the weight (Gibbs); its size at γ = 0, the same for all at γ = 1."""
    n, half = sum(sizes), sum(sizes) // 2
    budget = half if rarity == 0 else len(sizes) * min(sizes)
    visual = torch.eye(len(sizes), dtype=torch.float64).repeat_interleave(torch.tensor(sizes), 0)
    text = torch.ones(1, len(sizes), dtype=torch.float64)
    options = {"visual_temperature": 0.01, "visual_weight": 1.0, "text_temperature": 1.0}
    rows, weights = log_mass_rows(visual[None], text[None], rarity=rarity, **options)
    function = LogMass(rows[0].clamp(0, 1), weights[0], floor=1e-9)
    starts = np.cumsum([0, *sizes[:-1]])
    values = {}
    for counts in itertools.product(*(range(s + 1) for s in sizes)):
        if sum(counts) == budget:
            kept = [int(s) + i for s, c in zip(starts, counts, strict=True) for i in range(c)]
            values[counts] = function.value(kept)
    shares = [s / n for s in sizes] if rarity == 0 else [1 / len(sizes)] * len(sizes)
    expected = tuple(round(budget * share) for share in shares)
    assert max(values, key=values.__getitem__) == expected
    kept = select(
        "log_mass", visual=visual, text=text, budget=budget, floor=1e-9, rarity=rarity, **options
    ).indices
    owner = np.repeat(np.arange(len(sizes)), sizes)[kept.numpy()]
    assert tuple(np.bincount(owner, minlength=len(sizes))) == expected


@given(SEEDS)
def test_words_do_not_compete(seed):
    """Every word said twice changes neither what is kept nor what it gains; what a word looks for
    does not depend on the others."""
    case = one(seed)
    twice = case | {"text": torch.cat([case["text"], case["text"]])}
    once, again = (select("log_mass", **c, budget=6, **OPTIONS) for c in (case, twice))
    assert once.indices.tolist() == again.indices.tolist()
    assert once.gains.tolist() == pytest.approx(again.gains.tolist(), abs=1e-12)
    options = OPTIONS | {"rarity": 0.0}
    rows, _ = log_mass_rows(case["visual"][None], case["text"][None], **options)
    alone, _ = log_mass_rows(case["visual"][None], case["text"][None, :1], **options)
    torch.testing.assert_close(rows[0, 0], alone[0, 0])


def test_gains_by_hand():
    """Two orthogonal tokens at τ = 1 / log 3, one word like the first: p = 3/4 and 1/4."""
    warmth = 1 / math.log(3)
    found = select(
        "log_mass", visual=torch.eye(2).double(), text=torch.eye(2)[:1].double(), budget=2,
        text_temperature=warmth, visual_temperature=warmth, visual_weight=0.5, floor=0.25,
    )  # fmt: skip
    # rows: word (3/4, 1/4) of weight 1/2; patches (3/4, 1/4) and (1/4, 3/4) of weight 1/4 each
    first = 0.75 * math.log(4) + 0.25 * math.log(2)
    second = 0.75 * math.log(5 / 4) + 0.25 * math.log(5 / 2)
    assert found.indices.tolist() == [0, 1]
    assert found.gains.tolist() == pytest.approx([first, second])


def test_attention_moves_the_weight_to_what_is_attended_to():
    """Two orthogonal tokens; the second receives nine tenths of the attention."""
    seen = torch.tensor([[[0.1, 0.9], [0.1, 0.9]]]).double()
    case = {"visual": torch.eye(2).double(), "text": torch.ones(1, 2).double()}
    kept = {
        power: select(
            "log_mass_attention", **case, patch_attention=seen, budget=1, attention_power=power
        ).indices.tolist()
        for power in (0.0, 1.0)
    }
    assert kept == {0.0: [0], 1.0: [1]}


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"floor": 0.0}, "floor: expected a positive number"),
        ({"floor": math.inf}, "floor"),
        ({"visual_weight": 1.5}, "visual_weight"),
        ({"rarity": -0.1}, "rarity"),
        ({"text_temperature": 0.0}, "text_temperature"),
        ({"visual_temperature": -1.0}, "visual_temperature"),
    ],
)
def test_bad_options_are_refused_by_name(options, match):
    with pytest.raises(ParameterError, match=match):
        select("log_mass", **one(0), budget=3, **options)


def test_attention_that_reaches_nobody_is_refused():
    case = one(0)
    with pytest.raises(MissingInputError, match="patch_attention"):
        select("log_mass_attention", visual=case["visual"], text=case["text"], budget=3)
    nothing = case | {"patch_attention": torch.zeros_like(case["patch_attention"])}
    with pytest.raises(ParameterError, match="a patch that receives some"):
        select("log_mass_attention", **nothing, budget=3)
    with pytest.raises(ParameterError, match="attention_power"):
        select("log_mass_attention", **case, budget=3, attention_power=-1.0)


def columns_of(seed, n, m, copies):
    """Probabilities (1, m, n) of m rows, some columns said twice, and weights (1, m)."""
    rng = torch.Generator().manual_seed(seed)
    p = (3 * torch.randn(1, m, n, generator=rng, dtype=torch.float64)).softmax(-1)
    p[..., n - copies :] = p[..., :copies]
    return p, torch.rand(1, m, generator=rng, dtype=torch.float64)


@given(SEEDS, st.integers(2, 60), st.integers(1, 40), FLOORS, st.data())
def test_lazily_is_eagerly(seed, n, m, floor, data):
    """Choices and gains are those of looking at every column, ties to the lowest index included."""
    p, weights = columns_of(seed, n, m, data.draw(st.integers(0, n // 2)))
    budget = data.draw(st.integers(1, n))
    start = torch.full_like(weights, floor)

    def all_gains(mass):
        return (weights[:, None] @ torch.log1p(p / mass[..., None]))[:, 0]

    def some_gains(columns, mass):
        return torch.log1p(columns / mass) @ weights[0]

    eager = saturating_greedy(p, start, all_gains, torch.add, budget, scale=4.0)
    chosen, gains, _ = saturating_lazily(
        p[0].T.contiguous(), start[0], some_gains, torch.add, budget, scale=4.0
    )
    assert chosen == eager.indices[0].tolist()
    assert gains == pytest.approx(eager.gains[0].tolist(), rel=1e-12, abs=1e-15)


def test_lazily_looks_at_few():
    """Sixteen groups of alike columns: after the first look at all, each choice needs a group."""
    p = torch.eye(16, dtype=torch.float64).repeat_interleave(32, 1)[None] / 32
    weights = torch.linspace(1.0, 2.0, 16, dtype=torch.float64)[None]

    def gains(columns, mass):
        return torch.log1p(columns / mass) @ weights[0]

    start = torch.full_like(weights, 1e-3)
    chosen, _, looked = saturating_lazily(
        p[0].T.contiguous(), start[0], gains, torch.add, 16, scale=4.0
    )
    assert sorted(chosen) == list(range(0, 512, 32))  # the first of every group
    assert chosen == sorted(chosen, reverse=True)  # heaviest first
    assert looked <= 512 + 15 * 80  # eagerly 512 + 511 + ...


@pytest.mark.parametrize("method", ["log_mass", "log_mass_attention"])
def test_large_samples_keep_what_their_set_function_says(method):
    """Of more than `AT_ONCE` probabilities, where choices are lazy: greedy on the definition."""
    case = one(3, n_v=270, n_t=5)
    options = OPTIONS | {"floor": 1e-2}
    power = {"attention_power": 0.5} if method == "log_mass_attention" else {}
    given_ = {n: x for n, x in case.items() if n != "patch_attention" or power}
    kept = select(method, **given_, budget=40, **options, **power)
    twin = greedy(literal(case, **power), 40)
    assert AT_ONCE < 275 * 270
    assert kept.indices.tolist() == twin.indices.tolist()
    assert kept.gains.tolist() == pytest.approx(twin.gains.tolist(), abs=1e-9)
    assert kept.evaluations < sum(270 - t for t in range(40))
