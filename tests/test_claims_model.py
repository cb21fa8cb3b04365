"""Claims with the model in the loop: exactness of what is measured, true and false cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from claim_samples import gaussian_samples

from analysis.claims import (
    attention_is_a_worse_proxy,
    mi_finds_answer_tokens,
    occlusion,
    projection_stage,
    query_awareness,
)
from analysis.claims.base import NO_INPUT
from analysis.claims.context import Context
from analysis.claims.occlusion import CLS, LAYER, MI, SHUFFLED
from mitheory.bundle import Sample
from mitheory.errors import MissingInputError
from mitheory.models.base import Answer, OpenAdapter
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.models.fruitfly.vocabulary import encode

CONTEXT = Context(NO_INPUT, model="fruitfly")


@pytest.fixture(scope="module")
def fly() -> FruitFlyAdapter:
    return FruitFlyAdapter()


@pytest.fixture(scope="module")
def samples(fly: FruitFlyAdapter) -> list[Sample]:
    return fly.encode(list(examples("test", limit=96)))


# -- the adapter ---------------------------------------------------------------------------------


def test_attention_is_that_of_a_slow_twin(fly, samples):
    """Layer 1 by the textbook: softmax of q·k/√d over visual tokens and earlier words."""
    sample = samples[3]
    (seen,) = fly.attention([sample])
    block = fly.model.decoder.blocks[0]
    words = fly.model.decoder.words.weight[torch.tensor(encode(sample.tokens))]
    x = torch.cat([sample.visual, words])[None]
    angles = fly.model.decoder.inputs(
        sample.visual[None],
        torch.arange(len(x[0]))[None],
        torch.tensor(encode(sample.tokens))[None, None],
    )[2]
    q, k, _ = block._qkv(x, angles)
    for head in range(block.heads):
        for word in range(sample.n_t):
            row = sample.n_v + word
            logits = q[0, head, row] @ k[0, head, : row + 1].T / q.shape[-1] ** 0.5
            expected = logits.softmax(-1)[: sample.n_v]
            torch.testing.assert_close(seen[0, head, word], expected, atol=1e-5, rtol=1e-4)


def test_the_fly_can_be_looked_into(fly):
    assert isinstance(fly, OpenAdapter)
    assert not isinstance(Known(attends_to_relevant=False), OpenAdapter)  # no stages


def test_attention_does_not_hang_on_the_batch(fly, samples):
    together = fly.attention(samples[:5])
    for sample, seen in zip(samples[:5], together, strict=True):
        assert seen.shape == (4, 4, sample.n_t, sample.n_v)
        assert float(seen.sum(-1).max()) <= 1 + 1e-5
        torch.testing.assert_close(fly.attention([sample])[0], seen, atol=1e-5, rtol=1e-4)


def test_stages_end_in_what_the_sample_holds(fly, samples):
    for sample, view in zip(samples[:9], fly.stages(samples[:9]), strict=True):
        torch.testing.assert_close(view["projected"], sample.visual)
        torch.testing.assert_close(view["encoder"], sample.encoder_features)
        assert not torch.allclose(view["before_last_layer"], view["encoder"], atol=0.1)
    with pytest.raises(MissingInputError, match="holds no image"):
        fly.stages([replace(samples[0], image=None)])


def test_occlusion_is_dropping_one_token(fly, samples):
    """In a batch of 145 as one question at a time."""
    sample = samples[0]
    importance = occlusion.importance_of(sample, CONTEXT)
    (full,) = fly.answer([sample])
    for token in (0, 77, 143):
        left = torch.tensor([i for i in range(144) if i != token])
        (without,) = fly.answer([sample], [left])
        lost = full.log_prob_truth - without.log_prob_truth
        assert importance[token] == pytest.approx(lost, abs=1e-5)


# -- what matters --------------------------------------------------------------------------------


class Known:
    """A model whose answer hangs on the relevant tokens alone, each of them alike."""

    def __init__(self, attends_to_relevant: bool) -> None:
        self.attends_to_relevant = attends_to_relevant

    def answer(self, samples, keep):
        weight = torch.linspace(1.0, 1.1, samples[0].n_v)
        return [
            Answer("yes", -0.1, float((weight * s.relevant)[k].sum()) - 10)
            for s, k in zip(samples, keep, strict=True)
        ]

    def attention(self, samples):
        found = []
        for s in samples:
            rng = torch.Generator().manual_seed(len(s.sample_id) + s.n_t)
            rows = torch.rand(s.n_v, generator=rng)
            if self.attends_to_relevant:
                rows = rows + 5 * s.relevant
            found.append(rows.expand(2, 3, s.n_t, s.n_v))
        return found


def aligned(images: int = 30, *, with_words: bool) -> list[Sample]:
    """Two of sixteen patches are relevant: those that point along a word of the prompt, or not.

    The prompt's first word is one of four things; every image holds two patches of each thing.
    """
    made = []
    for i, sample in enumerate(gaussian_samples(images, 1, d=24)):
        rng = torch.Generator().manual_seed(i)
        thing = i % 4
        visual = 0.2 * torch.randn(16, 24, generator=rng)
        visual[:8, :4] += torch.eye(4).repeat(2, 1) * 3  # patch j < 8 shows thing j % 4
        visual[8:, 10] += 3  # the rest shows what the second word is about
        text = torch.eye(24)[[thing, 10]]
        asked = torch.zeros(16, dtype=torch.bool)
        asked[[thing, thing + 4] if with_words else [12, 14]] = True
        tokens = ("thing", "ground")
        made.append(replace(sample, visual=visual, text=text, relevant=asked, tokens=tokens))
    return made


@pytest.fixture
def known(monkeypatch):
    def use(attends_to_relevant: bool) -> None:
        occlusion._importance.cache_clear()
        model = Known(attends_to_relevant)
        monkeypatch.setattr(Context, "adapter", lambda self: model)

    yield use
    occlusion._importance.cache_clear()


RATIOS = {"ratios": (0.5, 0.125)}


def test_mi_finds_tokens_that_the_prompt_names(known):
    known(False)
    verdict = mi_finds_answer_tokens.evaluate(aligned(with_words=True), model="known", **RATIOS)
    assert verdict.decision == "holds"
    assert verdict.diagnostics["recall"][MI]["value"] > 0.9
    assert verdict.diagnostics["recall"][SHUFFLED]["value"] < 0.5


def test_mi_does_not_find_tokens_that_no_word_names(known):
    known(False)
    verdict = mi_finds_answer_tokens.evaluate(aligned(with_words=False), model="known", **RATIOS)
    assert verdict.decision == "violated"
    assert abs(verdict.effect.value) < 0.1


@pytest.mark.parametrize(("attends", "decision"), [(False, "holds"), (True, "violated")])
def test_attention_is_worse_or_is_not(known, attends, decision):
    known(attends)
    verdict = attention_is_a_worse_proxy.evaluate(
        aligned(with_words=not attends), model="known", **RATIOS
    )
    assert verdict.decision == decision


@pytest.mark.parametrize("module", [mi_finds_answer_tokens, attention_is_a_worse_proxy])
def test_without_the_model_there_is_no_verdict(module):
    verdict = module.evaluate(aligned(with_words=True))
    assert verdict.decision == "unassessed"
    assert "model" in verdict.reason


@pytest.mark.parametrize("module", [mi_finds_answer_tokens, attention_is_a_worse_proxy])
def test_few_images_and_order(known, module):
    known(False)
    few = module.evaluate(aligned(9, with_words=True), model="known", **RATIOS)
    assert few.decision == "unassessed"
    made = aligned(with_words=True)
    plain = module.evaluate(made, model="known", **RATIOS).to_dict()
    assert module.evaluate(made[::-1], model="known", **RATIOS).to_dict() == plain


def test_answers_that_hang_on_nothing_are_left_out(known):
    known(False)
    indifferent = [
        replace(s, relevant=torch.zeros(16, dtype=torch.bool)) for s in aligned(with_words=True)
    ]
    verdict = mi_finds_answer_tokens.evaluate(indifferent, model="known", **RATIOS)
    assert verdict.decision == "unassessed"


def test_on_the_fly_itself(samples):
    """All scores are there; the claim about attention shares the questions already asked."""
    occlusion._importance.cache_clear()
    few = samples[:24]
    table, _ = mi_finds_answer_tokens.CLAIM.evaluate_table(few, model="fruitfly")
    assert table.empty  # three images: nothing is measured
    prepared = query_awareness.prepare(iter(samples), CONTEXT)
    context = replace(CONTEXT, prepared={mi_finds_answer_tokens.NAME: prepared})
    rows = mi_finds_answer_tokens.measure(few[:8], context)
    assert {MI, SHUFFLED, CLS, f"{LAYER}1, last word", f"{LAYER}4, all words"} <= set(rows["score"])
    assert occlusion._importance.cache_info().misses == rows["sample_id"].nunique()
    mi_finds_answer_tokens.measure(few[:8], context)
    assert occlusion._importance.cache_info().hits == rows["sample_id"].nunique()


# -- stages --------------------------------------------------------------------------------------


def scenes(images: int = 60, *, noise: float) -> list[Sample]:
    """Things of two colors whose digit shows in encoder features, and after noise in the tokens."""
    made = []
    for i, sample in enumerate(gaussian_samples(images, 1, rows=12, d=16)):
        rng = np.random.default_rng(i)
        things = [[int(rng.integers(4)), int(rng.integers(2)), x, y]
                  for x, y in ((0, 0), (20, 0), (0, 20), (20, 20))]  # fmt: skip
        features = 0.3 * torch.from_numpy(rng.standard_normal((144, 16))).float()
        for digit, color, x, y in things:
            patch = (y + 4) // 4 * 12 + (x + 4) // 4
            features[patch, digit] += 3
            features[patch, 8 + color] += 3
        tokens = features + noise * torch.from_numpy(rng.standard_normal((144, 16))).float()
        made.append(
            replace(
                sample, visual=tokens, encoder_features=features,
                metadata={"things": things, "background": 0},
            )
        )  # fmt: skip
    return made


def test_a_projection_that_keeps_all_holds():
    verdict = projection_stage.evaluate(scenes(noise=0.0))
    assert verdict.decision == "holds"
    assert verdict.effect.value == pytest.approx(0, abs=1e-9)
    bound = verdict.diagnostics["bound_nats"]["digit"]["encoder"]["value"]
    assert 0.8 < bound / verdict.diagnostics["entropy_of_target_nats"]["digit"] < 1.1
    assert verdict.diagnostics["bound_with_targets_shuffled"]["encoder"]["value"] < 0.05


def test_a_projection_that_drowns_the_things_is_violated():
    verdict = projection_stage.evaluate(scenes(noise=3.0))
    assert verdict.decision == "violated"
    assert verdict.effect.low > 0.5


def test_without_things_there_is_no_target():
    plain = [replace(s, encoder_features=s.visual) for s in gaussian_samples(rows=12)]
    assert projection_stage.evaluate(plain).decision == "unassessed"
    assert projection_stage.evaluate(scenes(9, noise=0.0)).decision == "unassessed"


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_no_bound_exceeds_the_entropy(noise):
    """H - E[-log q] ≤ H, also where the halves hold the classes in other shares."""
    verdict = projection_stage.evaluate(scenes(12, noise=noise))
    for target, stages in verdict.diagnostics["bound_nats"].items():
        ceiling = verdict.diagnostics["entropy_of_target_nats"][target]
        assert all(found["value"] <= ceiling for found in stages.values())


def test_order_changes_no_stage():
    made = scenes(30, noise=0.5)
    assert projection_stage.evaluate(made).to_dict() == (
        projection_stage.evaluate(made[::-1]).to_dict()
    )


def test_the_bound_against_a_twin():
    """Log-probability of the truth less log frequency, with another library's discriminant."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    table, _ = projection_stage.CLAIM.evaluate_table(scenes(30, noise=0.5))
    labels = table["digit"].to_numpy(np.int64)
    found = projection_stage.bounds(table, "digit", labels)["encoder"]
    half = np.array([projection_stage.fold(i) for i in table["image_id"]])
    row = int(np.flatnonzero(half == 0)[0])
    x = table[[c for c in table if c.startswith("encoder 1 ")]].to_numpy(np.float64)
    reader = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    reader.fit(x[half == 1], labels[half == 1])
    p = reader.predict_proba(x[row][None])[0][list(reader.classes_).index(labels[row])]
    frequency = np.mean(labels[half == 0] == labels[row])
    assert found[row] == pytest.approx(np.log(p) - np.log(frequency), abs=1e-5)


@pytest.mark.parametrize("module", [projection_stage])
def test_figures_are_drawn(module):
    table, verdict = module.CLAIM.evaluate_table(scenes(30, noise=0.5))
    assert module.draw(table, verdict).axes[0].get_ylabel()


def test_figures_of_scores_are_drawn(known):
    known(False)
    for module in (mi_finds_answer_tokens, attention_is_a_worse_proxy):
        table, verdict = module.CLAIM.evaluate_table(
            aligned(with_words=True), model="known", **RATIOS
        )
        assert isinstance(table, pd.DataFrame)
        assert len(module.draw(table, verdict).axes) == 2
