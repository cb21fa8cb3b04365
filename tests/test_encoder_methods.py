"""VisionZip, VisPruner, FasterVLM and Attention: literal twins, by hand, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import peer_twins_encoder as twins
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import generator, inputs, normal, uniform

from mitheory import SELECTORS, select, select_batch
from mitheory.distributions import unit_rows
from mitheory.errors import (
    BudgetError,
    MissingInputError,
    ParameterError,
    ShapeError,
    UnknownNameError,
)
from mitheory.selection import vispruner

SEEDS = st.integers(0, 2**20)


def one(seed, **sizes):
    """Inputs of a single sample."""
    return {name: x[0] for name, x in inputs(seed, b=1, **sizes).items()}


def arrays(case, *names):
    return [case[name].numpy() for name in names]


# --- VisionZip --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["exact", "faithful"])
@given(SEEDS, st.data())
def test_visionzip_equals_its_twin(mode, seed, data):
    """Both modes are the same rule; faithful gives one of the dominant places to the class token.
    Kept tokens, who joins whom, and merged tokens."""
    case = one(seed, n_v=data.draw(st.integers(2, 30)))
    n = len(case["visual"])
    budget = data.draw(st.integers(2, n))
    contextual = data.draw(st.integers(1, budget - (mode == "faithful")))
    found = select("visionzip", **case, budget=budget, contextual=contextual, mode=mode)
    dominant = budget - contextual - (mode == "faithful")
    attention, keys, hidden = arrays(case, "cls_attention", "encoder_keys", "encoder_features")
    first, targets, joins = twins.visionzip(attention, keys, dominant, contextual)
    assert found.indices.tolist() == first + targets
    assert found.info == {"dominant": dominant, "contextual": contextual}
    ends = {i: i for i in first + targets} | joins
    assert found.merge.into.tolist() == [ends[i] for i in range(n)]
    tokens = twins.visionzip_tokens(hidden, first, targets, joins)
    expected = np.stack([tokens[i] for i in sorted(tokens)])
    np.testing.assert_allclose(found.merge.apply(case["encoder_features"]).numpy(), expected)
    assert found.evaluations == n + len(joins) * contextual


def test_visionzip_at_the_published_setting():
    """576 patches, 54 + 10: the class token, 53 patches and 10 contextual ones, 51 apart."""
    case = one(0, n_v=576)
    found = select("visionzip", **case, budget=64, mode="faithful")
    assert len(found.indices) == found.n_kept == 63
    rest = [i for i in range(576) if i not in found.indices[:53].tolist()]
    assert len(rest) == 523
    assert found.indices[53:].tolist() == [rest[52 * i] for i in range(10)]
    assert bool((found.merge.into >= 0).all())
    assert "class token" in found.departures[0]
    exact = select("visionzip", **case, budget=64)
    assert len(exact.indices) == 64
    assert exact.indices[:53].tolist() == found.indices[:53].tolist()


def test_visionzip_by_hand():
    """Dominant 1; rest 0 2 3 4 5 6, step 3, targets 0 and 4; those with a key under .6 join 0."""
    angle = torch.tensor([0.0, 0.5, 0.3, 1.5, 1.2, 0.9, 0.5]).double()
    keys = torch.stack([angle.cos(), angle.sin()], 1) * torch.arange(1, 8)[:, None]
    seen = torch.tensor([[0.0, 0.2, 0.0, 0.0, 0.0, 0.3, 0.1], [0.1, 0.5, 0.2, 0.1, 0.0, 0.0, 0.1]])
    found = select("visionzip", cls_attention=seen, encoder_keys=keys, budget=3, contextual=2)
    assert found.indices.tolist() == [1, 0, 4]
    assert found.gains[0].item() == pytest.approx(0.7)
    assert found.gains[1:].isnan().all()
    assert found.merge.into.tolist() == [0, 1, 0, 4, 4, 4, 0]
    tokens = torch.arange(7.0)[:, None]
    assert found.merge.apply(tokens)[:, 0].tolist() == [0 + 4.0, 1.0, 4 + 4.0]


def test_visionzip_without_contextual_tokens_drops_the_rest():
    case = one(1)
    found = select("visionzip", **case, budget=5, contextual=0)
    assert found.indices.tolist() == select("cls_attention", **case, budget=5).indices.tolist()
    assert int((found.merge.into < 0).sum()) == 9
    assert found.merge.apply(case["visual"]).shape == (5, 6)
    only = select("visionzip", **case, budget=5, contextual=1.0)
    assert only.indices.tolist() == [0, 2, 4, 6, 8]  # 14 // 5


@pytest.mark.parametrize(
    ("budget", "contextual", "message"),
    [
        (5, 0, "at least 1.*divides"),
        (3, 10 / 64, "at least 1.*divides"),
        (5, 5, "at most 4.*class token"),
        (1, 1, "at most 0.*class token"),
        (5, 6, "count from 0 to the budget 5"),
        (5, -1, "count"),
        (5, 1.5, "share"),
        (5, True, "True"),
        (5, "10", "'10'"),
        (5, math.nan, "nan"),
    ],
)
def test_visionzip_refuses_where_the_public_code_fails(budget, contextual, message):
    with pytest.raises(ParameterError, match=message):
        select("visionzip", **one(0), budget=budget, contextual=contextual, mode="faithful")


def test_visionzip_keeps_the_class_token_alone():
    """Dominant 1 is the class token: no dominant patch at all."""
    found = select("visionzip", **one(0), budget=4, contextual=3, mode="faithful")
    assert found.indices.tolist() == [0, 4, 8]  # 14 // 3
    assert found.info == {"dominant": 0, "contextual": 3}


def test_visionzip_merges_equal_keys_into_the_first_contextual_token():
    n = 12
    found = select(
        "visionzip",
        cls_attention=torch.full((2, n), 1 / n),
        encoder_keys=normal(0, 1, 96, dtype=torch.float32).expand(n, 96),
        budget=5,
        contextual=3,
    )
    assert found.indices.tolist() == [0, 1, 2, 5, 8]
    assert found.merge.into.tolist() == [0, 1, 2, 2, 2, 5, 2, 2, 8, 2, 2, 2]


def test_visionzip_depends_on_places():
    """Turning the tokens around keeps other contextual ones: it is in no way equivariant."""
    case = {"cls_attention": uniform(0, 2, 9), "encoder_keys": normal(1, 9, 4)}
    turned = {"cls_attention": case["cls_attention"].flip(1), "encoder_keys": case["encoder_keys"]}
    turned["encoder_keys"] = case["encoder_keys"].flip(0)
    there = select("visionzip", **case, budget=4, contextual=2).indices
    back = 8 - select("visionzip", **turned, budget=4, contextual=2).indices
    assert there[:2].tolist() == back[:2].tolist()
    assert there.tolist() != back.tolist()


# --- VisPruner --------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 40), st.sampled_from([0.0, 0.3, 0.5, 0.75, 1.0]), st.data())
def test_vispruner_equals_its_twin(seed, n, ratio, data):
    """Faithful mode keeps what the public code keeps and refuses where it fails; exact mode is
    the same wherever faithful does not refuse, and always exactly the budget."""
    case = one(seed, n_v=n)
    budget = data.draw(st.integers(1, n))
    options = {"budget": budget, "important_ratio": ratio}
    scores, features = case["cls_attention"].mean(0).numpy(), case["encoder_features"].numpy()
    exact = select("vispruner", **case, **options)
    assert set(exact.indices.tolist()) == twins.vispruner(
        scores, features, budget, ratio, repair=True
    )
    try:
        kept = twins.vispruner(scores, features, budget, ratio)
    except (IndexError, RuntimeError) as failure:
        with pytest.raises(BudgetError, match=type(failure).__name__):
            select("vispruner", **case, **options, mode="faithful")
    else:
        found = select("vispruner", **case, **options, mode="faithful")
        assert set(found.indices.tolist()) == kept
        assert found.indices.tolist() == exact.indices.tolist()


@pytest.mark.parametrize(
    ("n", "budget"), [(576, 64), (576, 128), (120, 16), (64, 24)], ids=lambda x: str(x)
)
def test_vispruner_over_many_rounds(n, budget):
    """The order in which survivors stand decides all later splits: one slip changes the end."""
    case = one(n, n_v=n)
    scores, features = case["cls_attention"].mean(0).numpy(), case["encoder_features"].numpy()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    gram = unit @ unit.T
    order = twins.descending(scores)
    residual, diverse = order[budget // 2 :], budget - budget // 2
    while len(residual) > diverse:
        a, b = residual[0::2], residual[1::2]
        drop = min(8, len(residual) - diverse)
        nearest = gram[np.ix_(a, b)].max(1)
        residual = [a[i] for i in twins.descending(nearest)][drop:] + b
    found = select("vispruner", **case, budget=budget, mode="faithful")
    assert set(found.indices.tolist()) == {*order[: budget // 2], *residual}
    assert found.indices[: budget // 2].tolist() == order[: budget // 2]
    assert found.gains[budget // 2 :].isnan().all()


@pytest.mark.parametrize(
    ("n", "budget", "error"),
    [
        (576, 34, "559.*IndexError"),
        (576, 66, "543.*IndexError"),
        (12, 2, "11.*IndexError"),
        (12, 4, "5 of 10.*got 8.*RuntimeError"),
        (16, 4, "7 of 14.*got 8.*RuntimeError"),
        (20, 4, "5 of 10.*got 8.*RuntimeError"),
    ],
)
def test_vispruner_where_the_public_code_fails(n, budget, error):
    """Known crashes are typed errors in faithful mode; exact mode keeps the budget."""
    case = one(0, n_v=n)
    with pytest.raises(BudgetError, match=error):
        select("vispruner", **case, budget=budget, mode="faithful")
    assert select("vispruner", **case, budget=budget).n_kept == budget


def test_vispruner_by_hand():
    """Six tokens, 0 is important; rest 1 2 3 4 5 with places A = 1 3 5, B = 2 4.

    1 is a copy of 4, 3 nearly one of 2, 5 stands alone: 1 and 3 go.
    """
    angle = torch.tensor([0.0, 1.0, 2.0, 2.1, 1.0, 3.3]).double()
    features = torch.stack([angle.cos(), angle.sin()], 1)
    seen = torch.tensor([[0.6, 0.5, 0.4, 0.3, 0.2, 0.1]]).double()
    found = select(
        "vispruner", cls_attention=seen, encoder_features=features, budget=4, important_ratio=0.3
    )
    assert found.indices.tolist() == [0, 2, 4, 5]
    assert found.evaluations == 6 + 3 * 2


def test_vispruner_survivors_stand_in_the_order_of_similarity():
    """Twelve tokens, none important, ten to go: after 6·6 places, R must split by that order."""
    case = one(4, n_v=40)
    found = select("vispruner", **case, budget=10, important_ratio=0.0)
    scores, features = case["cls_attention"].mean(0).numpy(), case["encoder_features"].numpy()
    assert set(found.indices.tolist()) == twins.vispruner(scores, features, 10, 0.0, repair=True)
    assert found.gains.isnan().all()
    rank = {i: place for place, i in enumerate(twins.descending(scores))}
    ranks = [rank[i] for i in found.indices.tolist()]
    assert ranks == sorted(ranks)


def test_vispruner_with_all_of_the_budget_important_is_cls_attention():
    case = one(2)
    for budget in (1, 5, 14):
        found = select("vispruner", **case, budget=budget, important_ratio=1.0)
        ranked = select("cls_attention", **case, budget=budget)
        assert found.indices.tolist() == ranked.indices.tolist()


@given(SEEDS)
def test_vispruner_by_received_attention(seed):
    """The rule without a class token: column means take the place of [CLS] attention."""
    case = one(seed)
    without = {name: x for name, x in case.items() if name != "cls_attention"}
    found = select("vispruner", **without, budget=6, importance="received")
    scores = twins.received(case["patch_attention"].numpy(), diagonal=True)
    kept = twins.vispruner(scores, case["encoder_features"].numpy(), 6, 0.5, repair=True)
    assert set(found.indices.tolist()) == kept
    assert "received" in found.departures[-1]


def test_vispruner_needs_the_attention_of_its_importance():
    case = one(0)
    assert SELECTORS["vispruner"].requires == ("encoder_features", "cls_attention")
    for importance, name in (("cls", "cls_attention"), ("received", "patch_attention")):
        less = {n: x for n, x in case.items() if n != name}
        with pytest.raises(MissingInputError, match=rf"vispruner needs '{name}'"):
            select("vispruner", **less, budget=3, importance=importance)
        with pytest.raises(MissingInputError, match=name):
            vispruner.vispruner(case["encoder_features"][None], budget=3, importance=importance)
    with pytest.raises(UnknownNameError, match="received"):
        select("vispruner", **case, budget=3, importance="class")
    for ratio in (-0.1, 1.1, math.nan, True):
        with pytest.raises(ParameterError, match="important_ratio"):
            select("vispruner", **case, budget=3, important_ratio=ratio)


@pytest.mark.parametrize("listed", [1, 2, 5, 60])
@pytest.mark.parametrize("block", [7, 512])
def test_vispruner_by_short_lists_of_neighbors(monkeypatch, listed, block):
    """Lists that hold none of the others, new lists, blocks: the answer stays that of the twin."""
    monkeypatch.setattr(vispruner, "LISTED", listed)
    monkeypatch.setattr(vispruner, "BLOCK", block)
    monkeypatch.setattr(vispruner, "WHOLE", 0)
    case = inputs(3, b=4, n_v=90)
    for row, found in enumerate(select_batch("vispruner", **case, budget=8)):
        scores = case["cls_attention"][row].mean(0).numpy()
        features = case["encoder_features"][row].numpy()
        kept = twins.vispruner(scores, features, 8, 0.5, repair=True)
        assert set(found.indices.tolist()) == kept


@given(SEEDS, st.integers(1, 6), st.integers(2, 20), st.sampled_from([0, 20]), st.data())
def test_nearest_in_other_is_the_largest_cosine(seed, listed, n, whole, data):
    """Whatever is asked for, in whatever order, however short the lists, or with the matrix."""
    unit = unit_rows("x", normal(seed, 2, n, 3))
    gram = unit @ unit.mT
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vispruner, "LISTED", listed)
        patch.setattr(vispruner, "WHOLE", whole)
        similar = vispruner.NearestInOther(unit)
        left = torch.arange(n).expand(2, n)
        while left.shape[1] > 1:
            cut = data.draw(st.integers(1, left.shape[1] - 1))
            a, b = left[:, :cut], left[:, cut:]
            expected = torch.stack([gram[s][a[s]][:, b[s]].amax(1) for s in range(2)])
            torch.testing.assert_close(similar(a, b), expected)
            left = left[:, torch.randperm(left.shape[1], generator=generator(seed))][:, 1:]


def test_vispruner_in_float32_keeps_what_it_keeps_in_float64():
    """544 tokens in 64 rounds: the same numbers in both precisions end in the same set."""
    case = {name: x.float() for name, x in one(0, n_v=576).items() if x.is_floating_point()}
    wide = {name: x.double() for name, x in case.items()}
    narrow, double = (select("vispruner", **c, budget=64).indices for c in (case, wide))
    assert narrow.tolist() == double.tolist()


def test_vispruner_keeps_the_budget_of_copies_but_not_the_first_of_them():
    """Twelve copies: all cosines tie, and of A the first go. 8 of 12 go in one round."""
    case = {"cls_attention": torch.full((1, 12), 0.1), "encoder_features": torch.ones(12, 3)}
    found = select("vispruner", **case, budget=8, important_ratio=0.0).indices.tolist()
    assert found == [1, 3, 5, 7, 8, 9, 10, 11]


# --- attention --------------------------------------------------------------------------------


@given(SEEDS, st.booleans())
def test_attention_equals_its_twin(seed, diagonal):
    case = one(seed, n_v=9)
    found = select("attention", **case, budget=9, include_diagonal=diagonal)
    scores = twins.received(case["patch_attention"].numpy(), diagonal=diagonal)
    assert found.indices.tolist() == twins.descending(scores)
    np.testing.assert_allclose(found.gains.numpy(), scores[found.indices.numpy()])


@given(SEEDS, st.booleans(), st.sampled_from([(2, 3), (3, 2), (1, 4)]), st.integers(2, 3))
def test_attention_before_a_merger_equals_its_twin(seed, diagonal, grid, m):
    """A token's score is the mean over its m × m patches, in either order of the patches."""
    rows, cols = grid
    n = rows * cols
    options = {"budget": n, "include_diagonal": diagonal, "merge_size": m, "grid": grid}
    raster = normal(seed, 2, n * m**2, n * m**2).softmax(-1)
    scores = twins.merged(twins.received(raster.numpy(), diagonal=diagonal), rows, cols, m)
    case = {"visual": torch.ones(n, 2), "patch_attention": raster}
    found = select("attention", **case, **options, patch_order="raster")
    assert found.indices.tolist() == twins.descending(scores)
    np.testing.assert_allclose(found.gains.numpy(), scores[found.indices.numpy()])
    order = torch.arange(n * m**2).view(rows, m, cols, m).permute(0, 2, 1, 3).flatten()
    case["patch_attention"] = raster[:, order][:, :, order]  # those of a token together
    again = select("attention", **case, **options)
    assert again.indices.tolist() == found.indices.tolist()


@pytest.mark.parametrize("method", ["attention", "mi_attention"])
@given(SEEDS)
def test_column_sums_do_in_place_of_the_matrix(method, seed):
    """Methods that read nothing else choose the same, with the same gains, from n_v numbers."""
    case = one(seed, n_v=9)
    matrix = case.pop("patch_attention")
    sums = torch.tensor(twins.received(matrix.numpy(), diagonal=False))
    by_sums = select(method, **case | {"received_attention": sums}, budget=5)
    del case["received_attention"]
    by_matrix = select(method, **case, patch_attention=matrix, budget=5)
    assert by_sums.indices.tolist() == by_matrix.indices.tolist()
    torch.testing.assert_close(by_sums.gains, by_matrix.gains, equal_nan=True)


def test_column_sums_of_patches_before_a_merger():
    """Of 4 patches to a token: 1 + 2 + 3 + 6 against 4 · 2.5, and in a batch each its own."""
    patches = torch.tensor([1.0, 2, 3, 6, 2.5, 2.5, 2.5, 2.5])
    both = torch.stack([patches, patches.flip(0)])
    visual = torch.ones(2, 2, 3)
    found = select_batch(
        "attention", visual=visual, received_attention=both, budget=1, merge_size=2
    )
    assert [f.indices.tolist() for f in found] == [[0], [1]]
    assert [f.gains.tolist() for f in found] == [[3.0], [3.0]]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("attention", {"include_diagonal": True}),
        ("mi_attention", {"include_diagonal": True}),
        ("log_mass_attention", {}),
        ("vispruner", {"importance": "received"}),
    ],
)
def test_what_needs_the_matrix_refuses_its_column_sums(method, options):
    """The diagonal is not in them."""
    case = one(0)
    del case["patch_attention"]
    with pytest.raises(MissingInputError, match=f"{method} needs 'patch_attention'"):
        select(method, **case, budget=3, **options)
    assert "patch_attention" in SELECTORS[method].required(options, given=case)


def test_attention_before_a_merger_of_frames():
    """Frames are outermost: two pictures of 1 × 2 tokens, each of 2 × 4 patches in raster order."""
    received = torch.tensor([1.0, 1, 2, 2, 1, 1, 2, 2, 4, 4, 3, 3, 4, 4, 3, 3]).double()
    case = {"visual": torch.ones(4, 2), "patch_attention": received.expand(1, 16, 16) / 40}
    options = {"merge_size": 2, "include_diagonal": True, "patch_order": "raster"}
    found = select("attention", **case, budget=4, grid=(1, 2, 2), **options)
    assert found.indices.tolist() == [2, 3, 1, 0]
    assert found.gains.tolist() == pytest.approx([16 * x / 40 for x in (4, 3, 2, 1)])


def test_attention_before_a_merger_in_a_batch():
    attention = normal(0, 3, 2, 24, 24).softmax(-1)
    visual = normal(1, 3, 6, 2)
    options = {"budget": 4, "merge_size": 2}
    together = select_batch("attention", visual=visual, patch_attention=attention, **options)
    for row, found in enumerate(together):
        alone = select("attention", visual=visual[row], patch_attention=attention[row], **options)
        assert found.indices.tolist() == alone.indices.tolist()
        assert found.n_v == 6
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[0, 3] = False
    with pytest.raises(ParameterError, match="no padding with merge_size"):
        select_batch(
            "attention", visual=visual, patch_attention=attention, visual_mask=mask, **options
        )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"merge_size": 1}, ShapeError, "patch_attention: expected n_v = 6 as in visual, got 24"),
        ({"patch_attention": torch.ones(1, 25, 25)}, ShapeError, "4 · 6 = 24 unmerged.*got 25"),
        ({"patch_attention": torch.ones(1, 24, 23)}, ShapeError, "n_p = 24.*got 23"),
        ({"merge_size": 3}, ShapeError, "9 · 6 = 54 unmerged"),
        ({"merge_size": 0}, ParameterError, "merge_size: expected a positive integer, got 0"),
        ({"merge_size": 2.0}, ParameterError, "merge_size"),
        ({"merge_size": True}, ParameterError, "merge_size"),
        ({"patch_order": "columns"}, ParameterError, "patch_order.*grouped"),
        ({"patch_order": "raster"}, MissingInputError, "needs 'grid'"),
        ({"patch_order": "raster", "grid": (4, 6)}, ShapeError, "grid.*n_v = 6"),
        ({"patch_order": "raster", "grid": (6,)}, ShapeError, r"grid.*\(rows, cols"),
        ({"visual": None}, MissingInputError, "attention needs 'visual'"),
    ],
)
def test_attention_before_a_merger_refuses_by_name(change, error, message):
    case = {"visual": torch.ones(6, 2), "patch_attention": torch.ones(1, 24, 24), "merge_size": 2}
    with pytest.raises(error, match=message):
        select("attention", **{**case, **change}, budget=2)


@given(SEEDS)
def test_cls_attention_is_the_head_mean_sorted(seed):
    case = one(seed)
    found = select("cls_attention", **case, budget=14, mode="faithful")
    scores = case["cls_attention"].mean(0).numpy()
    assert found.indices.tolist() == twins.descending(scores)
    np.testing.assert_allclose(found.gains.numpy(), scores[found.indices.numpy()])
