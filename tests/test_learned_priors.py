"""Learned priors: what they are fitted on, what they store, where they are refused."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.ablation import Configuration
from analysis.ablation.selecting import kept_sets
from analysis.priors import KINDS, fit, labeled, load, prior_of, save, shuffled
from analysis.priors.data import target_of
from analysis.priors.features import features
from analysis.priors.head import batches, fit_head, head_loss, ranking_loss, relevance_of
from analysis.priors.kinds import log_prior, log_score_loss
from analysis.priors.ratio import (
    boosting_arrays,
    boosting_log_odds,
    fit_logistic,
    logistic_log_odds,
    rows,
    standard,
)
from analysis.priors.records import FORMAT, LearnedPrior
from analysis.priors.scoring import probabilities, scores
from analysis.studies.learned_priors import cells_of, offered
from mitheory.bundle import Sample
from mitheory.errors import (
    EmptyInputError,
    MissingInputError,
    ParameterError,
    ShapeError,
    UnknownNameError,
)
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.pmi import cross_pmi

GRID, D = (4, 4), 6
N = GRID[0] * GRID[1]
HOT = torch.tensor([1.0] + [0.0] * (D - 1))  # what things look like


class Model:
    revision = "r" * 64

    def embed(self, words):
        raise NotImplementedError


def scene(i: int, *, where: int, split: str = "validation") -> list[Sample]:
    """Two questions about one patch, which looks like `HOT`; all others are noise."""
    rng = torch.Generator().manual_seed(i)
    visual = torch.randn(N, D, generator=rng)
    visual[where] = 3 * HOT + 0.1 * visual[where]
    relevant = torch.zeros(N, dtype=torch.bool)
    relevant[where] = True
    return [
        Sample(
            sample_id=f"{split}-{i}-{k}", image_id=f"{split}-{i}", visual=visual,
            text=torch.randn(2 + k, D, generator=rng), grid=GRID, tokens=("w",) * (2 + k),
            question="w", answer="yes", question_type="color", relevant=relevant,
        )
        for k in range(2)
    ]  # fmt: skip


def scenes(n: int, *, split: str = "validation", seed: int = 0) -> list[Sample]:
    rng = np.random.default_rng(seed)
    places = rng.integers(0, N, n)
    return [s for i in range(n) for s in scene(seed * 1000 + i, where=int(places[i]), split=split)]


@pytest.fixture(scope="module")
def data():
    return labeled(scenes(40))


@pytest.fixture(scope="module")
def held_out():
    return labeled(scenes(40, split="test", seed=1))


@pytest.fixture(scope="module")
def fitted(data):
    return {kind: fit(kind, data, model="toy", revision=Model.revision) for kind in KINDS}


def gain(prior: LearnedPrior, data) -> float:
    """Nats over the uniform prior of the patches asked about."""
    own = log_prior(prior.kind, prior.arrays, data.features)
    return math.log(N) - log_score_loss(data, own, {})


# --- labels -----------------------------------------------------------------------------------


def test_a_target_draws_a_question_and_then_one_of_its_patches():
    relevant = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1]]).bool()
    found = target_of(relevant, torch.tensor([0, 0, 1]), 2)
    expected = torch.tensor([[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(found, expected.double())


def test_questions_about_nothing_and_samples_without_labels(data):
    samples = scenes(3)
    silent = dataclasses.replace(samples[0], relevant=torch.zeros(N, dtype=torch.bool))
    assert len(labeled([silent, *samples[1:]]).scene_of) == 5
    with pytest.raises(EmptyInputError, match="about some patch"):
        labeled([silent])
    with pytest.raises(MissingInputError, match="'relevant' and 'grid'"):
        labeled([dataclasses.replace(samples[0], relevant=None)])


def test_a_part_keeps_scenes_and_the_questions_about_them(data):
    part = data.part(torch.tensor([5, 2]))
    assert part.scenes == (data.scenes[5], data.scenes[2])
    assert part.scene_of.tolist() == [1, 1, 0, 0]  # in the order of the questions
    torch.testing.assert_close(part.relevant.double(), part.target[part.scene_of])


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_shuffling(seed):
    """Labels keep their sizes and agree with the target; features stay; some patch moves."""
    data = labeled(scenes(6))
    found = shuffled(data, seed=seed)
    assert torch.equal(found.relevant.sum(1), data.relevant.sum(1))
    target = target_of(found.relevant, data.scene_of, len(data.scenes))
    torch.testing.assert_close(found.target, target)
    assert torch.equal(found.features, data.features)
    assert not torch.equal(found.relevant, data.relevant)


def test_a_prior_cannot_see_the_question(fitted, tmp_path):
    """The same image with another question has the same prior, whatever the kind."""
    sample = scene(999, where=3, split="test")[0]
    other = dataclasses.replace(
        sample, text=torch.ones(5, D), tokens=("v",) * 5, question="v", answer="no",
        question_type="existence", relevant=None,
    )  # fmt: skip
    for prior in fitted.values():
        path = save(prior, tmp_path / f"{prior.kind}-{prior.digest}.safetensors")
        both = prior_of(f"learned:{path}", [sample, other], Model())
        assert torch.equal(both[0], both[1])
        torch.testing.assert_close(both.sum(1), torch.ones(2))
        assert (both > 0).all()


# --- features ---------------------------------------------------------------------------------


def test_features_by_hand():
    visual = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
    found = features(visual, (1, 2))[0]
    expected = [0.0, -0.25, 0.0, 0.0625, 0.0, 0.25]  # row, column, squares, product, distance
    degree = math.log((math.e**10 + 1) / 2)  # cosines 1 and 0 at τ = 0.1
    expected += [math.log(2), degree, math.sqrt(0.5), 1.0, 0.0]
    torch.testing.assert_close(found[0], torch.tensor(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("grid", [(4, 3), (2, 2, 4)])
def test_features_refuse_another_grid(grid):
    with pytest.raises(ShapeError, match="grid"):
        features(torch.randn(1, N, D), grid)


# --- fits -------------------------------------------------------------------------------------


def test_rows_of_the_classifier_weigh_both_classes_alike(data):
    x, y, weight = rows(data)
    assert len(x) == 40 + 40 * N  # every scene has one patch asked about
    assert weight[y == 1].sum() == pytest.approx(80)
    assert weight[y == 0].sum() == pytest.approx(80)


def test_logistic_regression_is_scikit_learns(data):
    from sklearn.linear_model import LogisticRegression

    x, y, weight = rows(data)
    mean, spread = (v.numpy() for v in standard(data.features))
    theirs = LogisticRegression(C=0.5, max_iter=500)
    theirs.fit((x - mean) / spread, y, sample_weight=weight)
    flat = data.features.flatten(0, 1).numpy()
    ours = logistic_log_odds(fit_logistic(data, {"C": 0.5}, 0), data.features)
    expected = theirs.decision_function((flat - mean) / spread)
    np.testing.assert_allclose(ours.flatten().numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("depth", [1, 3, None])
def test_boosting_is_scikit_learns(data, held_out, depth):
    from sklearn.ensemble import GradientBoostingClassifier

    x, y, weight = rows(data)
    theirs = GradientBoostingClassifier(
        n_estimators=7, max_depth=depth, subsample=0.5, max_features="sqrt", random_state=1
    )
    theirs.fit(x, y, sample_weight=weight)
    flat = held_out.features.flatten(0, 1)
    ours = boosting_log_odds(boosting_arrays(theirs), held_out.features)
    expected = theirs.decision_function(flat.numpy())
    np.testing.assert_allclose(ours.flatten().numpy(), expected, rtol=1e-12, atol=1e-12)


def test_boosting_goes_left_on_the_threshold_itself():
    arrays = {
        "feature": torch.tensor([[0, 0, 0]]), "threshold": torch.tensor([[0.5, 0, 0]]).double(),
        "left": torch.tensor([[1, 1, 2]]), "right": torch.tensor([[2, 1, 2]]),
        "value": torch.tensor([[0.0, -1.0, 1.0]]).double(), "offset": torch.tensor(10.0),
    }  # fmt: skip
    found = boosting_log_odds(arrays, torch.tensor([[[0.5], [0.50001], [0.0]]]))
    assert found.tolist() == [[9.0, 11.0, 9.0]]


def test_a_histogram_by_hand():
    samples = [s for i, where in enumerate([0, 0, 0, 5]) for s in scene(i, where=where)]
    arrays = KINDS["histogram"].fit(labeled(samples), {"smoothing": 8.0}, 0)
    found = arrays["log_probability"].exp()  # 8 questions, and 8 spread over 16 patches
    assert found[0] == pytest.approx((6 + 0.5) / 16)
    assert found[5] == pytest.approx((2 + 0.5) / 16)
    assert found[1] == pytest.approx(0.5 / 16)


def test_a_histogram_finds_a_favorite_place_and_content_finds_a_look():
    """Priors of content gain where things look alike, the histogram where they stay put."""
    still = labeled([s for i in range(30) for s in scene(i, where=5)])
    later = labeled([s for i in range(30) for s in scene(500 + i, where=5, split="test")])
    here = fit("histogram", still, model="toy", revision="r")
    assert gain(here, later) > 1.5


@pytest.mark.parametrize("kind", ["logistic", "boosting"])
def test_content_is_learned_and_shuffled_labels_give_no_gain(kind, fitted, data, held_out):
    assert gain(fitted[kind], held_out) > 1.0
    null = fit(kind, shuffled(data, seed=3), model="toy", revision=Model.revision)
    assert gain(null, held_out) < 0.02  # nats


def test_position_alone_has_nothing_to_learn_where_places_are_uniform(fitted, held_out):
    assert abs(gain(fitted["histogram"], held_out)) < 0.1


# --- the head ---------------------------------------------------------------------------------


def test_the_loss_is_the_cross_entropy_of_the_patches_asked_about():
    relevance = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]).log()
    relevant = torch.tensor([[True, True, False], [False, False, True]])
    expected = -((math.log(0.5) + math.log(0.25)) / 2 + math.log(0.6)) / 2
    assert float(ranking_loss(relevance, relevant)) == pytest.approx(expected)


def test_the_prior_has_a_gradient_through_the_marginal_alone():
    """Under max aggregation ∂S/∂p is that of −log p(t), by finite differences."""
    torch.manual_seed(0)
    rho = torch.randn(1, 5, 3, dtype=torch.float64)
    weight = torch.randn(1, 5, dtype=torch.float64, requires_grad=True)
    seen = torch.tensor([[True, False, False, True, False]])

    def loss(w):
        return ranking_loss(relevance_of(rho, w.log_softmax(-1), "max"), seen)

    (slope,) = torch.autograd.grad(loss(weight), weight)
    for i in range(5):
        step = torch.zeros(1, 5, dtype=torch.float64)
        step[0, i] = 1e-6
        numeric = (loss(weight + step) - loss(weight - step)) / 2e-6
        assert float(slope[0, i]) == pytest.approx(numeric.item(), abs=1e-6)
    assert float(slope.abs().max()) > 1e-3


def test_relevance_is_what_the_selector_computes():
    """The head is trained on S^cross of the library, and "joint" in log is Eq. (21) in order."""
    from mitheory.aggregation import resolve_aggregation
    from mitheory.distributions import unit_rows

    torch.manual_seed(1)
    v, t = torch.randn(6, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    p = torch.rand(6, dtype=torch.float64)
    p = p / p.sum()
    rho = (unit_rows("v", v) @ unit_rows("t", t).T / 0.1)[None]
    cross = cross_pmi(v, t, temperature=0.1, prior=p)
    found = relevance_of(rho, p.log()[None], "max")[0]
    torch.testing.assert_close(found, cross.pmi.amax(-1))
    both = resolve_aggregation("joint")(cross.pmi, cross.log_cond, log_prior=cross.log_prior)
    torch.testing.assert_close(relevance_of(rho, p.log()[None], "joint")[0].exp(), both)


@pytest.mark.parametrize("through", ["max", "joint"])
def test_training_lowers_the_loss_below_that_of_the_uniform_prior(data, held_out, through):
    options = {"epochs": 20, "through": through}
    arrays = fit_head(data, options, 0)
    own = log_prior(f"head_{through}", arrays, held_out.features)
    uniform = torch.full_like(own, -math.log(N))
    assert head_loss(held_out, own, options) < head_loss(held_out, uniform, options) - 0.01
    null = fit_head(shuffled(data, seed=5), options, 0)
    astray = log_prior(f"head_{through}", null, held_out.features)
    assert head_loss(held_out, astray, options) > head_loss(held_out, uniform, options) - 0.01


def test_batches_hold_every_question_once_and_no_padding(data):
    found = batches(data)
    assert sum(len(scene_of) for _, scene_of, _ in found) == len(data.scene_of)
    assert {rho.shape[2] for rho, _, _ in found} == {2, 3}


# --- choosing ---------------------------------------------------------------------------------


def test_the_choice_holds_whole_scenes_out(data):
    seen: list[tuple[set, set]] = []

    def spy(part, options, seed):
        seen.append((set(part.scenes), set()))
        return {}

    def weight(arrays, features):
        seen[-1][1].add(len(features))
        return torch.zeros(features.shape[:2])

    kind = dataclasses.replace(KINDS["histogram"], fit=spy, log_weight=weight)
    from analysis.priors.kinds import chosen

    chosen(kind, data, seed=0)
    for scenes_seen, held in seen:
        assert len(scenes_seen) + held.pop() == len(data.scenes)
    outside = [set(data.scenes) - inside for inside, _ in seen[:3]]
    assert set.union(*outside) == set(data.scenes)
    assert sum(map(len, outside)) == len(data.scenes)


def test_too_few_scenes_and_unknown_kinds_are_refused(data):
    with pytest.raises(EmptyInputError, match="at least 3 scenes, got 2"):
        fit("histogram", data.part(torch.tensor([0, 1])), model="toy", revision="r")
    with pytest.raises(UnknownNameError, match="no_such"):
        fit("no_such", data, model="toy", revision="r")


def test_a_fit_is_repeatable(data, fitted):
    for kind in ("boosting", "head_max"):
        again = fit(kind, data, model="toy", revision=Model.revision)
        assert again.digest == fitted[kind].digest


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_back_the_same_prior(kind, fitted, held_out, tmp_path):
    path = save(fitted[kind], tmp_path / "prior.safetensors")
    found = load(path)
    assert found.digest == fitted[kind].digest
    assert (found.scenes, found.grid, found.options) == (
        fitted[kind].scenes, fitted[kind].grid, fitted[kind].options,
    )  # fmt: skip
    ours, theirs = (log_prior(kind, p.arrays, held_out.features) for p in (found, fitted[kind]))
    assert torch.equal(ours, theirs)


def test_files_of_other_things_are_refused(tmp_path, fitted):
    from safetensors.torch import save_file

    with pytest.raises(ParameterError, match="not there"):
        load(tmp_path / "none.safetensors")
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04N.")
    with pytest.raises(ParameterError, match="expected a fitted prior"):
        load(tmp_path / "pickle.safetensors")
    save_file({"x": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ParameterError, match=FORMAT):
        load(tmp_path / "other.safetensors")
    broken = dataclasses.replace(
        fitted["histogram"], arrays={"log_probability": torch.full((N,), torch.nan)}
    )
    with pytest.raises(ParameterError, match="finite"):
        load(save(broken, tmp_path / "broken.safetensors"))
    with pytest.raises(ParameterError, match=r"\.safetensors"):
        save(broken, tmp_path / "prior.pt")


# --- use --------------------------------------------------------------------------------------


@pytest.fixture
def stored(fitted, tmp_path):
    prior = fitted["logistic"]
    return f"learned:{save(prior, tmp_path / f'logistic-{prior.digest}.safetensors')}"


def test_a_prior_is_refused_on_a_scene_it_was_fitted_on(stored):
    with pytest.raises(ParameterError, match="scenes it was not fitted on, got validation-7"):
        prior_of(stored, scene(7, where=1), Model())


def test_a_prior_is_refused_on_another_model_or_grid(stored):
    other = scene(999, where=1, split="test")
    with pytest.raises(ParameterError, match=r"fitted on toy of revision rrrr.*got a model"):
        prior_of(stored, other, object())
    turned = [dataclasses.replace(s, grid=(2, 8)) for s in other]
    with pytest.raises(ShapeError, match=r"fitted on grid \(4, 4\) and width 6, got \(2, 8\)"):
        prior_of(stored, turned, Model())


def test_a_file_that_was_changed_after_it_was_named_is_refused(fitted, tmp_path):
    path = tmp_path / f"logistic-{fitted['logistic'].digest}.safetensors"
    save(fitted["boosting"], path)
    with pytest.raises(ParameterError, match="named by its content"):
        prior_of(f"learned:{path}", scene(999, where=1, split="test"), Model())


def test_the_oracle_by_hand():
    sample = scene(999, where=1, split="test")[0]
    (found,) = prior_of("oracle", [sample])
    assert found[1] == pytest.approx(0.9 + 0.1 / N)
    assert found[0] == pytest.approx(0.1 / N)
    silent = dataclasses.replace(sample, relevant=torch.zeros(N, dtype=torch.bool))
    torch.testing.assert_close(prior_of("oracle", [silent]), torch.full((1, N), 1 / N))
    with pytest.raises(MissingInputError, match="'oracle' needs 'relevant'"):
        prior_of("oracle", [dataclasses.replace(sample, relevant=None)])


def test_any_other_prior_is_passed_on():
    given = torch.full((2, N), 1 / N)
    assert prior_of("stationary", [], None) == "stationary"
    assert prior_of(given, [], None) is given


@pytest.mark.parametrize("search", ["eager", "lazy"])
def test_a_grid_selects_with_the_prior_of_each_sample(stored, search):
    """A batch keeps what each sample keeps when its prior is given to `select`."""
    from mitheory import select

    samples = scenes(5, split="test", seed=7)
    options = {"aggregation": "kl", "relevance_weight": 0.5}
    cell = Configuration("mi_pruner", 4, {**options, "prior": stored}, search=search)
    table = kept_sets(cell, samples, Model(), seed=0)
    assert table.error.isna().all()
    p = prior_of(stored, samples, Model())
    alone = [
        select("mi_pruner", visual=s.visual, text=s.text, budget=4, prior=own, **options)
        for s, own in zip(samples, p, strict=True)
    ]
    assert [sorted(k) for k in table.kept] == [sorted(a.indices.tolist()) for a in alone]


def test_a_grid_reports_a_prior_that_does_not_fit(stored):
    table = kept_sets(Configuration("mi_pruner", 4, {"prior": stored}), scenes(2), Model(), seed=0)
    assert table.error.str.contains("not fitted on").all()


def test_scores_by_hand():
    sample = scene(999, where=1, split="test")[0]
    p = torch.full((N,), 0.25 / (N - 1), dtype=torch.float64)
    p[1] = 0.75
    (row,) = scores(p[None], [sample]).itertuples()
    assert row.gain == pytest.approx(math.log(0.75 * N))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25 / (N - 1)))
    assert row.deficit == pytest.approx(math.log(N) - entropy)
    uniform = probabilities("uniform", [sample], None)
    assert float(scores(uniform, [sample]).gain.iloc[0]) == pytest.approx(0, abs=1e-12)


def test_a_named_prior_is_scored_as_it_is_used():
    """Energy and stationary are those that cross PMI and MI-Pruner enter at τ = 0.1."""
    sample = scene(999, where=1, split="test")[0]
    v, t = sample.visual.double(), sample.text.double()
    used = cross_pmi(v, t, temperature=0.1, prior="energy").log_prior.exp()
    torch.testing.assert_close(probabilities("energy", [sample], None)[0], used)
    unit = torch.nn.functional.normalize(v, dim=1)
    degree = (unit @ unit.T / 0.1).exp().sum(1)
    found = probabilities("stationary", [sample], None)[0]
    torch.testing.assert_close(found, degree / degree.sum())


# --- the study --------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_study_at_its_quick_size(tmp_path):
    from analysis.studies import Context, run_studies

    context = Context(tmp_path, quick=True)
    table, knowledge, maps = run_studies(context, ["learned_priors"]).values()
    assert set(table.use) == {"marginal", "joint"}
    assert (table.p_holm >= table.p_value - 1e-12).all()
    assert (table.low <= table.difference + 1e-12).all()
    assert (table.difference <= table.high + 1e-12).all()
    np.testing.assert_allclose(table.accuracy - table.uniform, table.difference, atol=1e-12)
    assert knowledge.set_index("prior").gain["uniform"] == pytest.approx(0, abs=1e-9)
    assert knowledge.set_index("prior").gain["logistic"] > 0.3
    np.testing.assert_allclose(maps.groupby("prior").times_uniform.mean(), 1.0, atol=1e-6)
    priors = offered(context, "fruitfly")
    test = {s.image_id for s in examples("test", limit=48)}
    for prior in priors:
        if prior.option.startswith("learned:"):
            assert not test & set(load(prior.option.removeprefix("learned:")).scenes)
    cells = list(cells_of(priors, (16,)))
    assert len({cell.identity for *_, cell in cells}) == len(cells)
    assert (
        FruitFlyAdapter("fruitfly").revision
        == load(
            next(p.option for p in priors if p.name == "logistic").removeprefix("learned:")
        ).revision
    )
