"""The front door, over all methods: batch = loop, permutations, padding, ties, and bad input."""

from __future__ import annotations

import json
import typing

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from selection_cases import generator, inputs, normal

import mitheory
from mitheory import SELECTORS, select, select_batch
from mitheory.distributions import unit_rows
from mitheory.errors import (
    BudgetError,
    DTypeError,
    EmptyInputError,
    MissingInputError,
    NonFiniteError,
    ParameterError,
    ShapeError,
    UnknownNameError,
    ZeroNormError,
)
from mitheory.selection import Options
from mitheory.selection.inputs import DIRECTIONS, SHAPES

SEEDS = st.integers(0, 2**20)
METHODS = pytest.mark.parametrize("method", SELECTORS)
DRAWN = ("random", "oracle")
SCORED = [name for name in SELECTORS if name not in DRAWN]
BY_WORD_ORDER = ("fastv",)
"""Methods that read the last word alone."""
TEXTUAL = [
    n for n, m in SELECTORS.items()
    if any("n_t" in SHAPES[i] for i in m.inputs) and n not in BY_WORD_ORDER
]  # fmt: skip
NORMED = [n for n, m in SELECTORS.items() if "zero_norm" in m.context and "visual" in m.inputs]
DIRECTED = [
    (n, i) for n, m in SELECTORS.items() if "zero_norm" in m.context
    for i in m.requires if i in DIRECTIONS
]  # fmt: skip
BY_PLACE = {
    "visionzip": "contextual tokens are evenly spaced in raster order",
}
"""Methods whose choice depends on where a token stands, and not on what it is alone."""
TIES_BY_PLACE = {
    "vispruner": "which copies survive depends on their places in the residual",
}
"""Methods that do not keep the first of several equal tokens."""
TYING = {
    "facility_location": "two tokens that nobody else serves gain the same from either",
    "flmi": "as facility_location; and once every token is served to its cap, nothing gains",
}
"""Methods whose own definition makes exact ties of distinct tokens."""
PAIR_FIRST = ("max_min",)  # two tokens at once: which of them is called the first is convention


def along(axis):
    """Where every input has that axis."""
    return {name: [i for i, a in enumerate(axes) if a == axis] for name, axes in SHAPES.items()}


TOKEN_AXES, WORD_AXES = along("n_v"), along("n_t")


def taken(case, axes, places):
    """One sample's inputs with some of the entries of an axis, in that order."""
    out = {}
    for name, x in case.items():
        for axis in axes[name]:
            x = x.index_select(axis, places)
        out[name] = x
    return out


def single(case, row):
    return {name: x[row] for name, x in case.items()}


def kept(selections):
    return [s.indices.tolist() for s in selections]


# --- what holds for every method ------------------------------------------------------------------


@METHODS
@given(SEEDS, st.integers(1, 14))
def test_exactly_the_budget_of_distinct_tokens(method, seed, budget):
    for selection in select_batch(method, **inputs(seed), budget=budget, seed=seed):
        assert len(selection.indices) == len(set(selection.indices.tolist())) == budget
        assert selection.mask.sum() == budget
        assert (selection.method, selection.n_v) == (method, 14)


@METHODS
@given(SEEDS)
def test_a_batch_is_a_loop(method, seed):
    """select_batch equals select on each sample: choices, gains, evaluations, promises."""
    case = inputs(seed, b=4)
    seeds = [seed, 7, seed, 3]
    together = select_batch(method, **case, budget=6, seed=seeds)
    for row, found in enumerate(together):
        alone = select(method, **single(case, row), budget=6, seed=seeds[row])
        assert found.indices.tolist() == alone.indices.tolist()
        torch.testing.assert_close(found.gains, alone.gains, equal_nan=True)
        assert (found.evaluations, found.guarantee) == (alone.evaluations, alone.guarantee)
        assert found.params == alone.params


@METHODS
def test_the_answer_does_not_depend_on_batch_neighbors(method):
    """Neighbors of any size, and their order, leave a sample's choice alone."""
    case = inputs(1, b=5)
    wild = dict(case)
    for name, x in case.items():
        wild[name] = x.clone()
        wild[name][1:] = ~x[1:] if x.dtype == torch.bool else x[1:] * 1000 + 1
    first = kept(select_batch(method, **case, budget=6))[0]
    assert kept(select_batch(method, **wild, budget=6))[0] == first
    turned = {name: x.flip(0) for name, x in case.items()}
    assert kept(select_batch(method, **turned, budget=6))[-1] == first


@pytest.mark.parametrize("method", ["mi_pruner", "divprune", "fastv", "sparsevlm", "visionzip"])
def test_padding_behind_all_tokens_changes_nothing(method):
    """Cut off instead of picked out, in samples that share their lengths and in those that do not,
    and whatever stands in it."""
    case = inputs(3, b=4)
    lengths = {"n_v": [14, 9, 9, 11], "n_t": [4, 3, 3, 4]}
    for name, x in case.items():
        for axis, size in lengths.items():
            for place in (i for i, a in enumerate(SHAPES[name]) if a == axis):
                for row, n in enumerate(size):
                    end = x[row].narrow(place, n, x.shape[place + 1] - n)
                    end.fill_(True if x.dtype == torch.bool else torch.nan)
    masks = {
        f"{kind}_mask": torch.arange(m) < torch.tensor(lengths[axis])[:, None]
        for kind, axis, m in (("visual", "n_v", 14), ("text", "n_t", 4))
    }
    together = select_batch(method, **case, **masks, budget=6)
    for row, found in enumerate(together):
        alone = {}
        for name, x in single(case, row).items():
            for place, axis in enumerate(SHAPES[name]):
                if axis in lengths:
                    x = x.narrow(place, 0, lengths[axis][row])
            alone[name] = x
        assert found.indices.tolist() == select(method, **alone, budget=6).indices.tolist()


@METHODS
@given(SEEDS)
def test_padding_changes_nothing(method, seed):
    """A ragged batch under masks gives, in padded places, what each sample gives alone, whatever
    stands in the padding."""
    g = generator(seed)
    case = inputs(seed, b=4)
    masks = {}
    for name, size in (("visual", 14), ("text", 4)):
        masks[name] = torch.rand(4, size, generator=g) < 0.7
        masks[name][torch.arange(4), torch.randint(size, (4,), generator=g)] = True
    padded = dict(case)
    for name in ("visual", "text"):
        padded[name] = case[name].masked_fill(~masks[name][..., None], torch.nan)
    together = select_batch(
        method,
        **padded,
        visual_mask=masks["visual"],
        text_mask=masks["text"],
        budget=0.5,
        seed=seed,
    )
    for row, found in enumerate(together):
        places, words = (masks[name][row].nonzero()[:, 0] for name in ("visual", "text"))
        alone = taken(taken(single(case, row), TOKEN_AXES, places), WORD_AXES, words)
        expected = select(method, **alone, budget=0.5, seed=seed)
        assert found.indices.tolist() == places[expected.indices].tolist()
        assert found.n_v == 14


@pytest.mark.parametrize("method", [m for m in SCORED if m not in BY_PLACE])
@given(SEEDS)
def test_permuting_the_tokens_permutes_the_choice(method, seed):
    """Equivariance: the same tokens are chosen, in the same order, under other numbers."""
    case = single(inputs(seed, b=1), 0)
    order = torch.randperm(14, generator=generator(seed))
    if method == "divprune":
        unit = unit_rows("visual", case["visual"])
        nearest = (unit @ unit.T).fill_diagonal_(-1).amax(1).sort().values
        assume(float(nearest[1] - nearest[0]) > 1e-9)  # mutual nearest neighbors tie by definition
    turned = taken(case, TOKEN_AXES, order)
    options = {"relevance_weight": 0.6} if method.startswith("mi_") else {}
    found = select(method, **turned, budget=7, **options)
    expected = select(method, **case, budget=7, **options)
    same = order[found.indices] == expected.indices
    if method in TYING:  # up to a first tie, at which the gains agree all the same
        until = int(same.long().cumprod(0).sum()) + 1
        torch.testing.assert_close(found.gains[:until], expected.gains[:until])
    elif method in PAIR_FIRST:
        assert set(order[found.indices[:2]].tolist()) == set(expected.indices[:2].tolist())
        assert bool(same[2:].all())
    else:
        assert bool(same.all())


@pytest.mark.parametrize("method", TEXTUAL)
@given(SEEDS)
def test_permuting_the_words_changes_nothing(method, seed):
    case = single(inputs(seed, b=1), 0)
    turned = taken(case, WORD_AXES, torch.randperm(4, generator=generator(seed)))
    expected = select(method, **case, budget=7).indices.tolist()
    assert select(method, **turned, budget=7).indices.tolist() == expected


@METHODS
@given(SEEDS)
def test_float32_chooses_as_float64(method, seed):
    """The same numbers in both precisions: the same choices, up to a first one that is a tie to
    float32, where the scores agree all the same."""
    case = {n: x.float() if x.is_floating_point() else x for n, x in inputs(seed, n_t=3).items()}
    wide = {n: x.double() if x.is_floating_point() else x for n, x in case.items()}
    narrow, double = (select_batch(method, **c, budget=6) for c in (case, wide))
    for a, b in zip(narrow, double, strict=True):
        same = (a.indices == b.indices).cumprod(0).sum() + 1
        torch.testing.assert_close(
            a.gains[:same].double(), b.gains[:same].double(), atol=1e-4, rtol=1e-4, equal_nan=True
        )


def test_float32_chooses_as_float64_nearly_always():
    """Of 400 choices of six, fewer than one in a hundred meets such a tie."""
    case = inputs(0, b=400, dtype=torch.float32)
    wide = {n: x.double() if x.is_floating_point() else x for n, x in case.items()}
    for method in set(SELECTORS) - set(TYING):
        pairs = zip(*(kept(select_batch(method, **c, budget=6)) for c in (case, wide)), strict=True)
        assert sum(a != b for a, b in pairs) < 4


@METHODS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised_to_float32(method, dtype):
    case = {n: x.to(dtype) if x.is_floating_point() else x for n, x in inputs(2).items()}
    raised = {n: x.float() if x.is_floating_point() else x for n, x in case.items()}
    assert kept(select_batch(method, **case, budget=5)) == kept(
        select_batch(method, **raised, budget=5)
    )


@pytest.mark.parametrize("method", [m for m in SCORED if m not in TIES_BY_PLACE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ties_go_to_the_lowest_index(method, dtype):
    """Every token a copy of one: raster order, although products round copies differently."""
    b, n = 3, 37
    token, words = normal(0, 1, 1, 96, dtype=dtype), normal(1, b, 5, 96, dtype=dtype)
    case = {
        "visual": token.expand(b, n, 96),
        "text": words,
        "cls_attention": torch.full((b, 3, n), 1 / n, dtype=dtype),
        "patch_attention": torch.full((b, 3, n, n), 1 / n, dtype=dtype),
        "encoder_features": token.expand(b, n, 96),
        "encoder_keys": token.expand(b, n, 96),
        "clip_visual": token.expand(b, n, 96),
        "clip_text": words,
        "text_attention": torch.full((b, 3, 5, n), 1 / n, dtype=dtype),
        "llm_visual_states": token.expand(b, n, 96),
        "llm_text_states": words,
        "llm_visual_keys": token.expand(b, 3, n, 96),
        "llm_text_keys": words[:, None].expand(b, 3, 5, 96),
    }
    assert kept(select_batch(method, **case, budget=9)) == [list(range(9))] * b


@pytest.mark.parametrize("method", NORMED)
@given(SEEDS)
@example(279)  # the rounding of cosines over a text temperature of 0.02 told copies apart
def test_copies_are_chosen_in_order_of_index(method, seed):
    """Of two copies the one of lower index comes first."""
    twice = normal(seed, 10, 64).repeat(2, 1)
    case = {
        "visual": twice,
        "text": normal(seed + 1, 4, 64),
        "encoder_features": twice,
        "clip_visual": twice,
        "clip_text": normal(seed + 2, 2, 64),
        "patch_attention": torch.full((1, 20, 20), 1 / 20).double(),
    }
    order = select(method, **case, budget=20).indices.tolist()
    assert all(order.index(i) < order.index(i + 10) for i in range(10))


@METHODS
def test_the_whole_budget_keeps_everything_and_one_token_is_possible(method):
    case = single(inputs(0, b=1), 0)
    assert select(method, **case, budget=1.0).sorted.tolist() == list(range(14))
    assert len(select(method, **case, budget=1).indices) == 1
    tiny = single(inputs(0, b=1, n_v=1, n_t=1, d=1), 0)
    assert select(method, **tiny, budget=1).indices.tolist() == [0]


@METHODS
def test_params_are_json_and_name_every_option(method):
    selection = select(method, **single(inputs(0, b=1), 0), budget=3)
    assert json.loads(json.dumps(selection.params)) == selection.params
    assert set(selection.params) - {"seed"} == set(SELECTORS[method].defaults)


def test_a_ratio_is_of_the_real_tokens():
    case = inputs(0, b=2)
    mask = torch.ones(2, 14, dtype=torch.bool)
    mask[1, 7:] = False
    found = select_batch("divprune", visual=case["visual"], visual_mask=mask, budget=0.5)
    assert [s.budget for s in found] == [7, 4]  # 3.5 rounds up


def test_one_seed_serves_every_sample_as_if_alone_and_many_serve_one_each():
    v = torch.ones(3, 50, 1)
    same = kept(select_batch("random", visual=v, budget=8, seed=5))
    assert same[0] == same[1] == same[2]
    own = kept(select_batch("random", visual=v, budget=8, seed=[5, 6, 5]))
    assert own[0] == own[2] == same[0] != own[1]


def test_chunks_change_nothing(monkeypatch):
    case = inputs(0, b=7)
    whole = {m: kept(select_batch(m, **case, budget=5)) for m in SELECTORS}
    monkeypatch.setattr("mitheory.selection.running.CHUNK", 2 * 14**2)
    assert {m: kept(select_batch(m, **case, budget=5)) for m in SELECTORS} == whole


# --- zero rows --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", NORMED)
def test_a_zero_row_is_an_error_unless_it_may_be_uninformative(method):
    case = inputs(3, b=2)
    case["visual"][1, 4] = 0
    with pytest.raises(ZeroNormError, match=r"visual.*\(1, 4\).*uninformative"):
        select_batch(method, **case, budget=5)
    for found in select_batch(method, **case, budget=14, zero_norm="uninformative"):
        assert found.sorted.tolist() == list(range(14))
        assert not torch.isnan(found.gains[7:]).any()
    for found in select_batch(method, **case, budget=3, zero_norm="uninformative"):
        assert len(set(found.indices.tolist())) == 3


@pytest.mark.parametrize(("method", "name"), DIRECTED)
def test_a_zero_row_of_any_direction_is_refused_by_name(method, name):
    case = inputs(3, b=2)
    case[name][1, -1] = 0
    with pytest.raises(ZeroNormError, match=name):
        select_batch(method, **case, budget=5)
    for found in select_batch(method, **case, budget=5, zero_norm="uninformative"):
        assert len(set(found.indices.tolist())) == 5


def test_methods_that_look_at_no_direction_take_zero_rows():
    case = inputs(3, b=1)
    case["visual"][0, 4] = 0
    for method in set(SELECTORS) - set(NORMED):
        assert len(select_batch(method, **case, budget=5)[0].indices) == 5


# --- bad input --------------------------------------------------------------------------------


def good():
    return single(inputs(0, b=1), 0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"visual": torch.ones(14)}, ShapeError, r"visual: expected \(n_v, d\)"),
        ({"visual": torch.ones(2, 14, 6)}, ShapeError, "visual"),
        ({"text": torch.ones(4, 5).double()}, ShapeError, "expected d = 6 as in visual, got 5"),
        ({"text": torch.ones(0, 6).double()}, EmptyInputError, "text"),
        ({"visual": torch.ones(0, 6).double()}, EmptyInputError, "visual"),
        ({"visual": [[1.0]]}, DTypeError, "visual: expected a torch.Tensor, got list"),
        ({"visual": torch.ones(14, 6, dtype=torch.int64)}, DTypeError, "int64"),
        ({"text": torch.ones(4, 6)}, DTypeError, "one floating dtype"),
        ({"visual": torch.full((14, 6), torch.inf).double()}, NonFiniteError, "visual"),
        ({"text": torch.full((4, 6), torch.nan).double()}, NonFiniteError, "text"),
        ({"text": torch.zeros(4, 6).double()}, ZeroNormError, "text"),
        ({"text": None}, MissingInputError, "mi_pruner needs 'text'"),
        ({"budget": 0}, BudgetError, "budget"),
        ({"budget": 15}, BudgetError, "1 to 14 tokens, got 15"),
        ({"budget": 0.0}, BudgetError, "ratio"),
        ({"budget": 1.01}, BudgetError, "ratio"),
        ({"budget": True}, BudgetError, "True"),
        ({"temperature": 0.0}, ParameterError, "temperature"),
        ({"temperature": -1.0}, ParameterError, "temperature"),
        ({"self_temperature": 0.0}, ParameterError, "self_temperature"),
        ({"relevance_weight": 1.1}, ParameterError, "relevance_weight"),
        ({"relevance_weight": -0.1}, ParameterError, "relevance_weight"),
        ({"empty_redundancy": "lowest"}, ParameterError, "empty_redundancy"),
        ({"zero_norm": "ignore"}, UnknownNameError, "uninformative"),
        ({"aggregation": "maximum"}, UnknownNameError, "'max'"),
        ({"conditional": "soft-max"}, UnknownNameError, "softmax"),
        ({"prior": "flat"}, UnknownNameError, "uniform"),
        ({"prior": torch.ones(13) / 13}, ShapeError, r"prior: expected \(14,\)"),
        ({"prior": "center_biased"}, MissingInputError, "grid"),
        ({"redundancy_aggregation": "sum"}, UnknownNameError, "global"),
        ({"word_aggregation": "max"}, ParameterError, "mi_pruner has no option 'word_agg"),
        ({"temprature": 0.1}, ParameterError, "did you mean 'temperature'"),
        ({"seed": 0.5}, DTypeError, "seed"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(change, error, message):
    with pytest.raises(error, match=message):
        select("mi_pruner", **{"budget": 5, **good(), **change})


@METHODS
def test_each_missing_input_is_named_with_its_method(method):
    given = {**good(), "received_attention": None}  # does in place of the matrix
    for missing in set(SELECTORS[method].requires) - {"visual"}:
        with pytest.raises(MissingInputError, match=rf"{method} needs '{missing}'"):
            select(method, **{**given, missing: None}, budget=3)


def test_an_unknown_method_is_answered_with_the_near_and_the_known():
    with pytest.raises(UnknownNameError, match=r"did you mean 'divprune'.*mi_pruner"):
        select("div_prune", **good(), budget=3)


@pytest.mark.parametrize(
    ("name", "x", "error"),
    [
        ("cls_attention", torch.ones(2, 13).double(), ShapeError),
        ("patch_attention", torch.ones(2, 14, 13).double(), ShapeError),
        ("received_attention", torch.ones(13).double(), ShapeError),
        ("relevant", torch.ones(14), DTypeError),
        ("relevant", torch.ones(13, dtype=torch.bool), ShapeError),
        ("cls_attention", torch.full((2, 14), torch.nan).double(), NonFiniteError),
    ],
)
def test_extra_inputs_are_checked_where_they_are_used(name, x, error):
    user = next(m for m in SELECTORS if name in SELECTORS[m].inputs and m != "mi_attention")
    with pytest.raises(error, match=name):
        select(user, **{**good(), name: x}, budget=3)
    assert len(select("divprune", **{**good(), name: x}, budget=3).indices) == 3


@pytest.mark.parametrize(
    ("mask", "error"),
    [
        (torch.ones(3, 14), DTypeError),
        (torch.ones(3, 13, dtype=torch.bool), ShapeError),
        (torch.zeros(3, 14, dtype=torch.bool), EmptyInputError),
    ],
)
def test_bad_masks_are_refused(mask, error):
    with pytest.raises(error, match="visual_mask"):
        select_batch("divprune", visual=inputs(0)["visual"], visual_mask=mask, budget=3)


def test_as_many_seeds_as_samples():
    with pytest.raises(ShapeError, match="seed"):
        select_batch("random", visual=inputs(0)["visual"], budget=3, seed=[1, 2])


# --- structure --------------------------------------------------------------------------------


def test_the_typed_options_are_those_of_the_methods():
    declared = set(typing.get_type_hints(Options))
    assert declared == {name for m in SELECTORS.values() for name in m.defaults}


def test_every_method_can_be_called_with_its_defaults_written_out():
    case = good()
    for name, method in SELECTORS.items():
        written = select(name, **case, budget=4, **method.defaults)
        assert written.indices.tolist() == select(name, **case, budget=4).indices.tolist()


def test_the_input_is_left_alone():
    case = inputs(0)
    before = {name: x.clone() for name, x in case.items()}
    for method in SELECTORS:
        select_batch(method, **case, budget=5)
    assert all(torch.equal(case[name], before[name]) for name in case)


def test_everything_in_all_resolves():
    assert all(hasattr(mitheory, name) for name in mitheory.__all__)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_chooses_as_a_cpu():
    case = inputs(0, b=4, n_v=40)
    there = {name: x.cuda() for name, x in case.items()}
    for method in SELECTORS:
        assert kept(select_batch(method, **there, budget=9)) == kept(
            select_batch(method, **case, budget=9)
        )
