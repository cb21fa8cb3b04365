"""Methods from set-function theory: each is `greedy` on its set function, built literally."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import correlation, example, inputs, normal, uniform

from mitheory import properties as P
from mitheory import select, select_batch
from mitheory.distributions import unit_rows
from mitheory.errors import ParameterError, PropertyError, ShapeError, UnknownNameError
from mitheory.selection import (
    SELECTORS,
    cholesky,
    engine,
    facility,
    greedy,
    lazy_greedy,
    projection,
    running,
    updated_facility,
)
from mitheory.selection.chow_liu import Tree
from mitheory.selection.engine import CosineRows
from mitheory.setfunctions import (
    COM,
    FLMI,
    FLQMI,
    GCMI,
    SETFUNCTIONS,
    ChowLiuMI,
    Coverage,
    FacilityLocation,
    GaussianMI,
    LogDet,
    LogDetMI,
    LogMass,
)

SEEDS = st.integers(0, 2**20)
KERNELS = ("shifted", "exponential", "clipped")
TAU, RIDGE = 0.1, 0.01


def one(seed, **sizes):
    """V and T of a single sample."""
    return {name: inputs(seed, b=1, **sizes)[name][0] for name in ("visual", "text")}


def weight(cosine, kernel):
    """Nonnegative similarity, as the pages state it."""
    if kernel == "shifted":
        return torch.tensor(np.maximum((1 + cosine) / 2, 0))
    if kernel == "exponential":
        return torch.tensor(np.exp((cosine - 1) / TAU))
    return torch.tensor(np.maximum(cosine, 0))


def cosines(case):
    v, t = (unit_rows("x", case[name]).numpy() for name in ("visual", "text"))
    return v @ v.T, v @ t.T, t @ t.T


def relevance(cross, kind, words):
    scores = cross
    if kind == "posterior":
        e = np.exp(cross / TAU)
        scores = np.log(e / e.sum(0)) + math.log(len(cross))
    return torch.tensor(getattr(scores, words)(1))


def literal(method, case, kernel="shifted", eta=1.0, concave="sqrt", kind="cosine", words="max"):
    """The set function of a method, from its definition."""
    own, cross, text = cosines(case)
    n, n_t = cross.shape
    eye = torch.eye(n, dtype=torch.float64)
    if method == "facility_location":
        return FacilityLocation(weight(own, kernel))
    if method == "flmi":
        return FLMI(weight(own, kernel), weight(cross, kernel), eta)
    if method == "flqmi":
        return FLQMI(weight(cross, kernel).T, eta)
    if method == "gcmi":
        return GCMI(weight(cross, kernel).T)
    if method == "com":
        return COM(weight(cross, kernel).T, eta, concave)
    if method == "max_coverage":
        return Coverage(weight(cross, kernel).T.clamp(max=1), torch.ones(n_t).double() / n_t)
    if method == "log_det_mi":
        small = torch.eye(n_t, dtype=torch.float64)
        return LogDetMI(
            weight(own, kernel) + RIDGE * eye,
            weight(cross, kernel),
            weight(text, kernel) + RIDGE * small,
            eta,
        )
    scores = relevance(cross, kind, words)
    if method == "log_det":
        return LogDet(0.7 * scores, torch.tensor(own), RIDGE)
    correlated = np.clip(own, -1, 1) / (1 + RIDGE)
    pairs = torch.tensor(-0.5 * np.log(1 - correlated**2))
    return ChowLiuMI(0.7 * scores, (pairs + pairs.T) / 2)


def assert_greedy(found, function, budget):
    """The same choices and gains, up to a first exact tie at which the gains agree."""
    twin = greedy(function, budget)
    same = (found.indices == twin.indices).long().cumprod(0).sum()
    until = int(same) + 1
    assert found.gains[:until].tolist() == pytest.approx(twin.gains[:until].tolist(), abs=1e-8)
    if until <= budget:  # a tie: the twin's choice gains as much where they part
        state = function.start()
        for i in found.indices[: until - 1].tolist():
            state = function.extend(state, i)
        gains = function.gains(state)
        i, j = int(found.indices[until - 1]), int(twin.indices[until - 1])
        assert float(gains[i]) == pytest.approx(float(gains[j]), abs=1e-10)


# --- each method is greedy on its set function --------------------------------------------------


COVERING = ("facility_location", "flmi", "flqmi", "gcmi", "com", "max_coverage")


@pytest.mark.parametrize("method", COVERING)
@pytest.mark.parametrize("updated", [False, True])
@given(SEEDS, st.sampled_from(KERNELS), st.sampled_from([0.0, 0.3, 1.0]), st.booleans())
def test_covering_methods_are_greedy_on_their_function(method, updated, seed, kernel, eta, log):
    """The batched engine and the one that updates gains choose, and gain, what `greedy` does."""
    case = one(seed, n_v=12, n_t=3)
    options = {"kernel": kernel}
    written = {"kernel": kernel}
    if method in ("flmi", "flqmi", "com"):
        options["query_weight"] = written["eta"] = eta
    if method == "com":
        options["concave"] = written["concave"] = "log1p" if log else "sqrt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facility, "UPDATED_FROM", 0 if updated else 2**60)
        found = select(method, **case, budget=7, **options)
    function = literal(method, case, **written)
    assert_greedy(found, function, 7)
    assert found.guarantee == greedy(function, 1).guarantee == SELECTED_GUARANTEE[method]


SELECTED_GUARANTEE = dict.fromkeys(COVERING, "1-1/e") | {"gcmi": "exact"}


@pytest.mark.parametrize("method", ["log_det", "chow_liu"])
@given(SEEDS, st.sampled_from(["cosine", "posterior"]), st.sampled_from(["max", "mean"]))
def test_relevance_and_redundancy_are_greedy_on_their_function(method, seed, kind, words):
    case = one(seed, n_v=12, n_t=3)
    found = select(
        method, **case, budget=8, relevance_weight=0.7, relevance=kind, word_aggregation=words
    )
    assert_greedy(found, literal(method, case, kind=kind, words=words), 8)
    assert found.guarantee is None


@given(SEEDS, st.sampled_from(["shifted", "exponential"]), st.sampled_from([0.0, 0.5, 1.0]))
def test_log_det_mi_is_greedy_on_its_function(seed, kernel, eta):
    case = one(seed, n_v=10, n_t=3)
    found = select("log_det_mi", **case, budget=6, kernel=kernel, query_weight=eta)
    assert_greedy(found, literal("log_det_mi", case, kernel=kernel, eta=eta), 6)
    assert found.guarantee is None


# --- fast engines against slow ones -------------------------------------------------------------


@given(SEEDS, st.integers(1, 40), st.booleans(), st.sampled_from([0.0, 0.3, 2.0]))
def test_gains_kept_up_to_date_are_all_gains_at_every_step(seed, budget, integers, sparse):
    """Whole rows, and then the few weights that still matter, from the second step on, later or
    never, lead to the choices of computing every gain at every step; ties of integers included."""
    weights = uniform(seed, 2, 30, 40)
    weights = (4 * weights).round() if integers else weights
    bonus = uniform(seed + 1, 2, 40) * (seed % 2)
    slow = facility._all_gains(weights, bonus, budget, 1e-15)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facility, "UPDATED_FROM", 0)
        patch.setattr(updated_facility, "SPARSE_BELOW", sparse)
        patch.setattr(updated_facility, "SHRINK_BELOW", sparse)
        patch.setattr(updated_facility, "BLOCK", 1 + seed % 7)
        fast = facility.facility_greedy(weights, budget, bonus=bonus)
    assert fast.indices.tolist() == slow.indices.tolist()
    torch.testing.assert_close(fast.gains, slow.gains)


@given(SEEDS, st.integers(1, 60), st.sampled_from([0.0, 0.1, 1.0]))
def test_copies_and_tokens_that_serve_nobody_go_to_the_lowest_index(seed, budget, share):
    """Groups of equal columns, in single precision, some of them zero: each group by its first."""
    rng = np.random.default_rng(seed)
    kinds = uniform(seed, 1, 50, 6).float() * torch.from_numpy(rng.random(6) > share)
    of = torch.from_numpy(rng.integers(6, size=60))
    weights = kinds[:, :, of].contiguous()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facility, "UPDATED_FROM", 0)
        found = facility.facility_greedy(weights, budget).indices[0].tolist()
    twin = facility._all_gains(weights, weights.new_zeros(1, 60), budget, 1e-6)
    assert found == twin.indices[0].tolist()
    first = {int(kind): int((of == kind).nonzero()[0, 0]) for kind in of[found]}
    assert found[0] == first[int(of[found[0]])]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(SEEDS, st.sampled_from([0.0, 2.0]))
def test_kept_gains_stay_within_the_doubt_that_is_kept_with_them(dtype, seed, sparse):
    """At every step a gain differs from Σ_r max(w_ri − served_r, 0) by the bound at most, one that
    counts as computed and unchanged by its own rounding, and what is in doubt is not nothing."""
    weights = (uniform(seed, 1, 70, 50) ** 4).to(dtype)
    best, seen = updated_facility._best, []

    def spy(gains, fresh, doubt, columns, served, bonus, unit):
        exact = np.maximum(columns.astype(float) - served, 0).sum(1)
        open_ = gains > -np.inf
        assert np.abs(gains - exact)[open_].max() <= doubt
        if fresh.any():
            assert np.abs(gains - exact)[fresh].max() <= 8 * unit * columns.sum(1).max()
        seen.append(doubt)
        return best(gains, fresh, doubt, columns, served, bonus, unit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facility, "UPDATED_FROM", 0)
        patch.setattr(updated_facility, "SPARSE_BELOW", sparse)
        patch.setattr(updated_facility, "_best", spy)
        facility.facility_greedy(weights, 40)
    assert len(seen) == 40
    assert 0 < min(seen) <= max(seen) < 1e-3 * float(weights.sum(1).max())


def test_gains_that_fall_below_the_rounding_of_early_ones_are_computed_once():
    """A thousand small gains behind two of 10³ to 10⁴, in single precision: their updates are lost
    in the rounding of the large ones, unless they begin anew; the choices are those of a twin."""
    rng = np.random.default_rng(0)
    small = 1e-3 * rng.random((300, 400))
    small[:, :2] = 0
    large = np.zeros((20, 400))
    large[:10, 0], large[10:, 1] = 1000.0, 100.0
    large[:, 2:] = 90.0 * rng.random((20, 398))
    weights = torch.from_numpy(np.concatenate([large, small])).float()[None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facility, "UPDATED_FROM", 0)
        found = facility.facility_greedy(weights, 60)
    unit = engine.rounding_slack(weights)
    twin = facility._all_gains(weights.double(), weights.new_zeros(1, 400).double(), 60, unit)
    assert found.indices.tolist() == twin.indices.tolist()
    assert found.evaluations < 400 * 10


def test_facility_location_computes_few_gains_from_all_their_weights():
    """Hardly more than n of the eager n + (n − 1) + ..., and the sample's own number is told."""
    v = normal(0, 2, 300, 8)
    for found in select_batch("facility_location", visual=v, budget=60):
        assert 360 <= found.evaluations < 0.05 * sum(300 - t for t in range(60))


def test_facility_location_serves_the_middle_of_a_cluster_first():
    """Cosines: a to b .8, b to c .8, a to c .28: b serves best, (1 + .8) / 2 twice and 1 once."""
    v = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.28, 0.96]], dtype=torch.float64)
    found = select("facility_location", visual=v, budget=2)
    assert found.indices.tolist() == [1, 0]  # a and c then gain .1 each: the lower index
    assert found.gains.tolist() == pytest.approx([2.8, 0.1])


@given(SEEDS, st.sampled_from([0.0, 0.05]), st.integers(1, 20))
def test_projections_gram_rows_and_the_batched_factor_choose_alike(seed, ridge, budget):
    """Four ways to the same row of the Cholesky factor, past the rank (6) too."""
    unit = unit_rows("visual", normal(seed, 2, 20, 6))
    quality = uniform(seed + 1, 2, 20) + 0.1
    gram = cholesky.log_det_greedy(CosineRows(unit), quality, budget, ridge=ridge)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cholesky, "WHOLE", 5)
        demanded = cholesky.log_det_greedy(CosineRows(unit), quality, budget, ridge=ridge)
    batched = cholesky._batched(CosineRows(unit), quality.log(), budget, ridge)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cholesky, "WHOLE", 5)
        patch.setattr(cholesky, "CACHE", 0)
        patch.setattr(projection, "AHEAD", 1 + seed % 8)
        projected = cholesky.log_det_greedy(CosineRows(unit), quality, budget, ridge=ridge)
    for other in (batched, demanded, projected):
        assert other.indices.tolist() == gram.indices.tolist()
        torch.testing.assert_close(other.gains, gram.gains, atol=1e-9, rtol=1e-9)


def test_projections_are_used_again_until_a_choice_was_not_foreseen(monkeypatch):
    """Fewer passes over the vectors than choices."""
    passes = []
    original = projection.ProjectedRows._look_ahead

    def counted(self, j, scores):
        passes.append(j)
        original(self, j, scores)

    monkeypatch.setattr(projection.ProjectedRows, "_look_ahead", counted)
    monkeypatch.setattr(cholesky, "CACHE", 0)
    v = normal(0, 1, 1100, 64)
    select_batch("log_det", visual=v, text=normal(1, 1, 3, 64), budget=40)
    assert 0 < len(passes) < 30


def test_any_range_of_relevance_keeps_its_order():
    """exp(2 w r) would overflow: the logarithm is what is compared."""
    case = {"visual": torch.eye(4), "text": torch.tensor([[0.1, 0.4, 0.2, 0.3]])}
    for w in (1.0, 1e4):
        assert select("log_det", **case, budget=4, relevance_weight=w).indices.tolist() == [
            1, 3, 2, 0
        ]  # fmt: skip


@pytest.mark.parametrize("method", ["log_det", "log_det_mi", "chow_liu"])
def test_streamed_rows_choose_as_the_whole_matrix_does(method, monkeypatch):
    case = {name: inputs(3, b=4, n_v=30)[name] for name in ("visual", "text")}
    whole = [s.indices.tolist() for s in select_batch(method, **case, budget=12)]
    for module in (engine, running):
        monkeypatch.setattr(module, "WHOLE", 10)
    assert [s.indices.tolist() for s in select_batch(method, **case, budget=12)] == whole


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_a_ridge_log_det_goes_by_relevance_past_the_rank(dtype):
    case = {name: x.to(dtype) for name, x in one(7, n_v=64, d=8).items()}
    found = select("log_det", **case, budget=20, ridge=0.0)
    assert torch.isfinite(found.gains[:8]).all()
    assert torch.isneginf(found.gains[8:]).all()
    scores = relevance(cosines(case)[1], "cosine", "max")
    rest = [i for i in range(64) if i not in found.indices[:8].tolist()]
    assert found.indices[8:].tolist() == sorted(rest, key=lambda i: -float(scores[i]))[:12]


# --- theorems -----------------------------------------------------------------------------------


@given(SEEDS)
def test_log_det_is_gaussian_information_under_conditional_independence(seed):
    """A4: for V = A T + independent noise, I(V_S; T) = Σ I_i + ½ log det C_SS, gain by gain."""
    a, noise = normal(seed, 5, 2), uniform(seed + 1, 5) + 0.2
    covariance = torch.cat(
        [
            torch.cat([a @ a.T + noise.diag(), a], 1),
            torch.cat([a.T, torch.eye(2, dtype=torch.float64)], 1),
        ]
    )
    f = GaussianMI(covariance, 5)
    twin = LogDet(f.relevance, f.correlation)
    assert greedy(f, 5).gains.tolist() == pytest.approx(greedy(twin, 5).gains.tolist(), abs=1e-8)


@given(SEEDS)
def test_log_det_mi_is_twice_gaussian_information(seed):
    """With η = 1, f(S) = 2 I(V_S; T) of the joint covariance; damping η scales the crossing."""
    joint = correlation(seed, 6)
    f = LogDetMI(joint[:4, :4], joint[:4, 4:], joint[4:, 4:])
    damped = joint.clone()
    damped[:4, 4:] *= 0.6
    damped[4:, :4] *= 0.6
    g = LogDetMI(joint[:4, :4], joint[:4, 4:], joint[4:, 4:], eta=0.6)
    for s in P.subsets(4):
        assert f.value(s) == pytest.approx(2 * GaussianMI(joint, 4).value(s), abs=1e-8)
        assert g.value(s) == pytest.approx(2 * GaussianMI(damped, 4).value(s), abs=1e-8)


@given(SEEDS)
def test_the_limits_of_the_query_functions(seed):
    """FLMI with an unreachable cap is facility location, with cap 0 nothing; FLQMI and COM with
    η = 0 keep their queries' part alone."""
    s, q = uniform(seed, 4, 4), uniform(seed + 1, 4, 3)
    for chosen in P.subsets(4):
        plain = FacilityLocation(s).value(chosen)
        assert FLMI(s, q + 1, eta=1.0).value(chosen) == pytest.approx(plain)
        assert FLMI(s, q, eta=0.0).value(chosen) == 0
        served = FacilityLocation(q.T).value(chosen)
        assert FLQMI(q.T, eta=0.0).value(chosen) == pytest.approx(served)
        roots = float(q.T[:, list(chosen)].sum(1).sqrt().sum())
        assert COM(q.T, eta=0.0).value(chosen) == pytest.approx(roots)


@given(SEEDS)
def test_log_mass_lies_between_a_logarithm_of_the_best_and_of_all(seed):
    """H2: Σ_r w_r log(1 + max p / ε) ≤ f(S) ≤ Σ_r w_r log(1 + |S| max p / ε)."""
    p, w = uniform(seed, 5, 4), uniform(seed + 1, 5)
    f = LogMass(p, w, floor=0.2)
    for chosen in P.subsets(4):
        if chosen:
            best = p[:, list(chosen)].amax(1)
            low = float((w * torch.log1p(best / 0.2)).sum())
            high = float((w * torch.log1p(len(chosen) * best / 0.2)).sum())
            assert low - 1e-9 <= f.value(chosen) <= high + 1e-9


@given(SEEDS, st.integers(1, 6))
def test_a_tree_grows_by_what_prim_finds(seed, t):
    """Chin and Houck's update equals the heaviest spanning tree of the larger set."""
    pairs = uniform(seed, 8, 8)
    pairs = pairs + pairs.T
    f = ChowLiuMI(torch.zeros(8, dtype=torch.float64), pairs)
    chosen = torch.randperm(8, generator=torch.Generator().manual_seed(seed))[:t]
    tree = Tree.of(pairs[chosen][None], chosen[None])
    assert float(tree.weights.sum()) == pytest.approx(-f.value(chosen.tolist()))
    grown = tree.growth(pairs[chosen][None])[0]
    for i in set(range(8)) - set(chosen.tolist()):
        assert float(grown[i]) == pytest.approx(-f.gain(i, chosen.tolist()))


# --- laziness without diminishing returns -------------------------------------------------------


def reader_and_noise():
    """T, a reader V_0 = T + N, a weak reader V_1, and V_2 the noise N, which tells nothing of T
    until V_0 is known. Joint covariance of V_0, V_1, V_2 and T."""
    joint = torch.tensor(
        [
            [2.1, 0.3, 1.0, 1.0],
            [0.3, 1.0, 0.0, 0.3],
            [1.0, 0.0, 1.1, 0.0],
            [1.0, 0.3, 0.0, 1.0],
        ],
        dtype=torch.float64,
    )
    return LogDetMI(joint[:3, :3], joint[:3, 3:], joint[3:, 3:])


def test_lazy_refuses_log_det_mi_and_its_run_would_differ_from_greedy():
    """After V_0, greedy takes the noise V_2, which frees V_0 of it; the heap still believes V_2's
    gain of 0 and takes V_1. No key that it refreshed has risen: that V_2's would, it never saw."""
    f = reader_and_noise()
    assert f.gains(f.start())[2] == 0
    assert P.check_submodular(f.value, 3) is not None
    with pytest.raises(PropertyError, match="SUBMODULAR"):
        lazy_greedy(f, 2)
    eager, lazy = greedy(f, 2), lazy_greedy(f, 2, certify=True)
    assert eager.indices.tolist() == [0, 2]
    assert lazy.indices.tolist() == [0, 1]
    assert lazy.info == {
        "certified": False,
        "first_difference": 1,
        "risen_keys": 0,
        "check_evaluations": 5,
    }


@given(SEEDS, st.integers(1, 5))
def test_a_certified_run_is_greedy_and_one_that_is_not_differs(seed, k):
    f = example("log_det_mi", seed, 5)
    lazy, eager = lazy_greedy(f, k, certify=True), greedy(f, k)
    assert lazy.info["certified"] == (lazy.indices.tolist() == eager.indices.tolist())
    if lazy.info["certified"]:
        assert lazy.info["first_difference"] is None
        assert lazy.info["check_evaluations"] == eager.evaluations
    assert lazy.guarantee is None
    assert lazy.evaluations > lazy.info["check_evaluations"]


@pytest.mark.parametrize("name", SETFUNCTIONS)
@given(SEEDS)
def test_where_returns_diminish_every_run_is_certified_and_no_key_rises(name, seed):
    f = example(name, seed)
    lazy = lazy_greedy(f, 3, certify=True)
    if P.SUBMODULAR in f.properties:
        assert lazy.info["certified"]
        assert lazy.info["risen_keys"] == 0
        assert lazy.guarantee == greedy(f, 3).guarantee


def test_risen_keys_are_counted():
    """The noise alone with the strong reader: its gain of 0 is refreshed, and has risen."""
    f, order = reader_and_noise(), [2, 0]
    pair = dataclasses.replace(f, kernel=f.kernel[order][:, order], query=f.query[order])
    assert lazy_greedy(pair, 2, certify=True).info["risen_keys"] == 1


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "options", "error", "message"),
    [
        ("facility_location", {"kernel": "relu"}, UnknownNameError, "shifted"),
        ("facility_location", {"temperature": 0.0}, ParameterError, "temperature"),
        ("flmi", {"query_weight": -1.0}, ParameterError, "query_weight"),
        ("flqmi", {"query_weight": math.nan}, ParameterError, "query_weight"),
        ("com", {"concave": "square"}, UnknownNameError, "sqrt"),
        ("com", {"query_weight": -0.5}, ParameterError, "query_weight"),
        ("log_det", {"relevance": "attention"}, UnknownNameError, "posterior"),
        ("log_det", {"relevance_weight": -1.0}, ParameterError, "relevance_weight"),
        ("log_det", {"ridge": -1.0}, ParameterError, "ridge"),
        ("chow_liu", {"ridge": 0.0}, ParameterError, "ridge"),
        ("chow_liu", {"word_aggregation": "min"}, UnknownNameError, "mean"),
        ("log_det_mi", {"kernel": "clipped"}, ParameterError, "clipped"),
        ("log_det_mi", {"ridge": 0.0}, ParameterError, "ridge"),
        ("log_det_mi", {"query_weight": 1.5}, ParameterError, "query_weight"),
    ],
)
def test_options_outside_their_range_are_refused(method, options, error, message):
    with pytest.raises(error, match=message):
        select(method, **one(0), budget=3, **options)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: FLMI(torch.ones(2, 2), torch.ones(3, 1)), ShapeError, "query"),
        (lambda: FLMI(-torch.ones(2, 2), torch.ones(2, 1)), ParameterError, "similarity"),
        (lambda: FLQMI(torch.ones(2, 2), eta=-1.0), ParameterError, "eta"),
        (lambda: GCMI(-torch.ones(2, 2)), ParameterError, "query"),
        (lambda: COM(torch.ones(2, 2), concave="exp"), UnknownNameError, "log1p"),
        (lambda: LogMass(torch.ones(2, 2), torch.ones(3)), ShapeError, "weights"),
        (lambda: LogMass(torch.ones(2, 2), torch.ones(2), floor=0.0), ParameterError, "floor"),
        (
            lambda: LogDetMI(torch.eye(2), torch.ones(2, 1), torch.eye(1)),
            ParameterError,
            "positive definite",
        ),
        (
            lambda: LogDetMI(torch.eye(2), torch.zeros(2, 1), torch.eye(1), eta=1.5),
            ParameterError,
            "eta",
        ),
    ],
)
def test_matrices_that_are_no_such_thing_are_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_negative_weights_are_refused_by_the_engine():
    with pytest.raises(ParameterError, match="weights"):
        facility.facility_greedy(-torch.ones(1, 2, 2), 1)
    with pytest.raises(ParameterError, match="bonus"):
        facility.facility_greedy(torch.ones(1, 2, 2), 1, bonus=-torch.ones(1, 2))


def test_the_methods_name_their_sources():
    assert {SELECTORS[m].source for m in ("flmi", "flqmi", "gcmi", "com", "log_det_mi")} == {
        "iyer2021"
    }
