"""The certificate of a selection bounds the best, and refuses where nothing is bounded."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selection_cases import conditionally_independent_table, uniform

from mitheory.errors import ParameterError, PropertyError
from mitheory.selection.search import greedy
from mitheory.setfunctions import (
    Coverage,
    DiscreteMI,
    FacilityLocation,
    LogDet,
    Modular,
    certificate,
)

BOUNDED = {
    "facility_location": lambda seed: FacilityLocation(uniform(seed, 5, 4)),
    "coverage": lambda seed: Coverage(uniform(seed, 5, 4), uniform(seed + 1, 5)),
    "modular": lambda seed: Modular(uniform(seed, 4)),
    "discrete_mi": lambda seed: DiscreteMI(conditionally_independent_table(seed, 4)),
}
SEEDS = st.integers(0, 2**20)


@pytest.mark.parametrize("build", BOUNDED.values(), ids=BOUNDED)
@given(seed=SEEDS, k=st.integers(1, 4), data=st.data())
def test_no_set_of_the_size_exceeds_the_bound(build, seed, k, data):
    """max over |O| <= k of f(O) is at most f(S) + the k largest gains given S, for every S."""
    f = build(seed)
    selected = data.draw(st.lists(st.integers(0, f.n - 1), unique=True))
    best = max(f.value(o) for size in range(k + 1) for o in combinations(range(f.n), size))
    found = certificate(f, selected, k)
    assert best <= found.bound + 1e-9
    assert found.value == pytest.approx(f.value(selected))


@pytest.mark.parametrize("build", BOUNDED.values(), ids=BOUNDED)
@given(seed=SEEDS, k=st.integers(1, 4))
def test_greedy_is_certain_of_one_half(build, seed, k):
    """After k greedy steps every gain left is at most the mean step, so k of them at most f(S)."""
    f = build(seed)
    found = certificate(f, greedy(f, k).indices.tolist(), k)
    assert found.bound <= 2 * found.value + 1e-9


def test_by_hand():
    """f(S) = Σ_rows max: kept {0}, value 1 + 0; gains of the others (0, 1) and (0, 0.5), so 1."""
    f = FacilityLocation(torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.5]]))
    found = certificate(f, [0], 1)
    assert (found.value, found.bound, found.share) == (1.0, 2.0, 0.5)


def test_what_is_selected_is_not_counted_again():
    """All elements kept: nothing is left to gain, and the bound is the value."""
    f = FacilityLocation(uniform(0, 6, 4))
    assert certificate(f, range(4), 3).share == 1


def test_refusals():
    f = Modular(torch.ones(3))
    with pytest.raises(PropertyError, match="MONOTONE and SUBMODULAR"):
        certificate(LogDet(torch.zeros(2), torch.eye(2)), [0], 1)
    for selected in ([0, 0], [3], [-1]):
        with pytest.raises(ParameterError, match="distinct elements of range"):
            certificate(f, selected, 1)
