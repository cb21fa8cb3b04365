"""Ten thousand generated problems over all methods: sizes, structure, precision, masks at random.

``make test ARGS="-m slow tests/test_select_many.py -s"`` prints how many there were. Each asks for
everything that the front door promises of one call: exactly the budget of distinct tokens in range
in mode "exact", whatever the tokens look like; the same again; what each sample gives alone.
"""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from selection_cases import generator, inputs
from torch import Tensor

from mitheory import SELECTORS, select, select_batch
from mitheory.errors import MitheoryError
from mitheory.selection.inputs import SHAPES

CASES = 10_000
STRUCTURES = ("generic", "copies", "few distinct", "low rank", "huge", "tiny", "one zero row")
done: Counter[str] = Counter()


def shaped(case: dict[str, Tensor], structure: str, seed: int) -> dict[str, Tensor]:
    """The same inputs with the visual tokens, wherever they appear, made difficult."""
    n_v = case["visual"].shape[1]
    rng = generator(seed)
    few = torch.randint(max(1, n_v // 3), (n_v,), generator=rng)
    places = {"copies": torch.zeros(n_v, dtype=torch.int64), "few distinct": few}
    if structure in places:
        out = {}
        for name, x in case.items():
            for axis in (i for i, a in enumerate(SHAPES[name], start=1) if a == "n_v"):
                x = x.index_select(axis, places[structure])
            out[name] = x
        return out
    if structure in ("huge", "tiny"):
        scale = 1e6 if structure == "huge" else 1e-6
        return {n: x * scale if _is_embedding(n) else x for n, x in case.items()}
    if structure == "low rank":
        return {
            n: torch.cat([x[..., :1], 0 * x[..., 1:]], -1) if _is_embedding(n) else x
            for n, x in case.items()
        }
    if structure == "one zero row":
        visual = case["visual"].clone()
        visual[:, n_v // 2] = 0
        return case | {"visual": visual}
    return case


def _is_embedding(name: str) -> bool:
    return name != "relevant" and not name.endswith("attention")


@st.composite
def problems(draw: st.DrawFn):
    """Inputs of a batch, masks, and the arguments of a call."""
    seed = draw(st.integers(0, 2**31))
    n_v, n_t = draw(st.integers(1, 40)), draw(st.integers(1, 9))
    sizes = {"b": draw(st.integers(1, 3)), "n_v": n_v, "n_t": n_t, "d": draw(st.integers(1, 12))}
    dtype = draw(st.sampled_from([torch.float64, torch.float32, torch.float16]))
    structure = draw(st.sampled_from(STRUCTURES))
    if structure in ("huge", "tiny") and dtype == torch.float16:
        dtype = torch.float32  # which half precision has not the range for
    case = shaped(inputs(seed, **sizes, dtype=torch.float64), structure, seed)
    case = {n: x.to(dtype) if x.is_floating_point() else x for n, x in case.items()}
    mask = None
    if draw(st.booleans()):
        mask = torch.rand(sizes["b"], n_v, generator=generator(seed)) < 0.7
        mask[:, draw(st.integers(0, n_v - 1))] = True
    ratio = draw(st.floats(0.01, 1.0))
    return case, mask, ratio, seed


def check(method: str, case: dict[str, Tensor], mask: Tensor | None, ratio: float, seed: int):
    """One problem; counts it, and the error where it is refused."""
    b, n_v = case["visual"].shape[:2]
    settings = {"budget": ratio, "seed": seed, "zero_norm": "uninformative"}
    done["cases"] += 1
    try:
        together = select_batch(method, **case, visual_mask=mask, **settings)
    except MitheoryError as error:
        done[f"{method}: {type(error).__name__}"] += 1
        done["refused"] += 1
        return
    again = select_batch(method, **case, visual_mask=mask, **settings)
    row = seed % b
    real = torch.arange(n_v) if mask is None else mask[row].nonzero()[:, 0]
    for found, same in zip(together, again, strict=True):
        assert found.indices.tolist() == same.indices.tolist()
    for i, found in enumerate(together):
        n = n_v if mask is None else int(mask[i].sum())
        budget = max(1, math.floor(ratio * n + 0.5))
        kept = found.indices.tolist()
        assert len(kept) == len(set(kept)) == budget == found.budget
        assert mask is None or bool(mask[i][found.indices].all())
        assert 0 <= min(kept) <= max(kept) < n_v
    alone = {}
    for name, x in case.items():
        own = x[row]
        for axis in (j for j, a in enumerate(SHAPES[name]) if a == "n_v"):
            own = own.index_select(axis, real)
        alone[name] = own
    expected = select(method, **alone, **settings)
    assert together[row].indices.tolist() == real[expected.indices].tolist()


def over(method: str, examples: int) -> None:
    """So many problems for one method."""

    @settings(max_examples=examples)
    @given(problems())
    def one(problem):
        check(method, *problem)

    one()


@pytest.mark.slow
def test_ten_thousand_problems_over_all_methods(capsys):
    done.clear()
    each = math.ceil(CASES / len(SELECTORS))
    for method in SELECTORS:
        over(method, each)
    with capsys.disabled():
        print(f"\n{done['cases']:,} problems over {len(SELECTORS)} methods; {dict(done)}")
    assert done["cases"] >= CASES
    assert done["refused"] <= 0.05 * done["cases"]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_problems_are_what_they_are_called(structure):
    case = shaped(inputs(0, n_v=12), structure, 0)
    visual, attention = case["visual"][0], case["patch_attention"][0, 0]
    distinct = len(visual.unique(dim=0))
    assert {"copies": distinct == 1, "few distinct": distinct <= 4}.get(structure, distinct == 12)
    assert (int(torch.linalg.matrix_rank(visual)) == 1) == (structure in ("copies", "low rank"))
    assert bool((visual == 0).all(1).any()) == (structure == "one zero row")
    if structure in ("copies", "few distinct"):  # copies are looked at alike, too
        assert len(attention.unique(dim=1).T) == distinct


@pytest.mark.parametrize("method", SELECTORS)
def test_a_few_of_each(method):
    before = done["cases"]
    over(method, 10)
    assert done["cases"] >= before + 10
