"""Principal components, and information between them over halves of the images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from estimator_twins import gaussian_information
from hypothesis import given
from hypothesis import strategies as st

from mitheory.errors import DTypeError, ParameterError, ShapeError
from mitheory.estimators import PCA, mi, mi_reduced


def generator(seed=0):
    return np.random.default_rng(seed)


def embeddings(n, d=12, linked=(0, 1), seed=0):
    """x with variances 1, 1/4, 1/9, ...; y shares the `linked` columns at correlation 0.8."""
    rng = generator(seed)
    x, y = rng.standard_normal((2, n, d))
    y[:, linked] = 0.8 * x[:, linked] + 0.6 * y[:, linked]
    rotations = (np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in "xy")
    return tuple(side / np.arange(1, d + 1) @ q for side, q in zip((x, y), rotations, strict=True))


# --- components -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (7, 7)])
def test_components_are_those_of_the_singular_values(shape):
    """Taller or wider than long; 40 columns over 6 rows span 5 dimensions."""
    x = generator().standard_normal(shape) + 3
    pca = PCA.fit(x, 4)
    _, values, right = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(abs(np.sum(right[:4].T * pca.directions, axis=0)), 1, atol=1e-9)
    np.testing.assert_allclose(pca.directions.T @ pca.directions, np.eye(4), atol=1e-9)
    share = (values[:4] ** 2).sum() / (values**2).sum()
    assert pca.retained == pytest.approx(share)
    assert pca.share_of(x) == pytest.approx(share)
    np.testing.assert_allclose(pca.apply(x).std(0), values[:4] / math.sqrt(shape[0]))
    np.testing.assert_allclose(PCA.fit(x, 4, whiten=True).apply(x).std(0), 1)
    np.testing.assert_allclose(pca.apply(x[2:3]), pca.apply(x)[2:3])  # one row alone


def test_components_of_nothing_are_refused():
    x = generator().standard_normal((5, 9))
    with pytest.raises(ParameterError, match="at most the 4 dimensions that 5 centered rows"):
        PCA.fit(x, 5)
    assert PCA.up_to(x, 5).directions.shape == (9, 4)
    with pytest.raises(ParameterError, match="at most the 0 dimensions"):
        PCA.fit(np.ones((5, 9)), 1)
    with pytest.raises(ParameterError, match="components must be positive"):
        PCA.fit(x, 0)
    with pytest.raises(DTypeError, match="components must be an int"):
        PCA.fit(x, 0.9)
    with pytest.raises(ShapeError, match="d = 9 columns; got 8"):
        PCA.fit(x, 2).apply(x[:, :8])


# --- information ----------------------------------------------------------------------------


def slow_reduced(x, y, r, clusters, seed):
    """Gaussian information of whitened components: halves, directions, rows, by hand."""
    names = np.unique(clusters)
    position = {name: i for i, name in enumerate(names)}
    draw = generator(seed).permutation(len(names)) % 2
    half = np.array([draw[position[c]] for c in clusters])
    rows = np.empty(len(x))
    for h in (0, 1):
        sides = []
        for side in (x, y):
            fit = side[half != h]
            right = np.linalg.svd(fit - fit.mean(0), full_matrices=False)[2][:r]
            sides.append((side[half == h] - fit.mean(0)) @ right.T)
        rows[half == h] = mi("gaussian", *sides).pointwise
    return rows


@pytest.mark.parametrize("whiten", [True, False])
def test_halves_of_the_images_are_projected_by_the_other(whiten):
    x, y = embeddings(120)
    clusters = generator(1).permutation(np.repeat(np.arange(30), 4))
    names = np.array([f"image {c}" for c in clusters])
    found = mi_reduced(
        "gaussian", x, y, components=3, clusters=names, whiten=whiten, rng=generator(5)
    )
    want = slow_reduced(x, y, 3, names, 5)
    np.testing.assert_allclose(found.pointwise, want, atol=1e-8)
    assert found.value == pytest.approx(want.mean())
    assert (found.n, found.dims, found.rows) == (120, (12, 12), None)
    assert found.diagnostics["components"] == [3, 3]


def test_what_is_kept_and_what_is_lost_where_it_leads():
    """Both linked directions are the leading ones: -log(0.36) = 1.02 nats, none of it lost."""
    found = mi_reduced("gaussian", *embeddings(2000), components=2, rng=generator())
    more = found.diagnostics
    assert found.value == pytest.approx(-math.log(0.36), abs=0.08)
    assert abs(more["lost"]) < 4 * more["lost_se"] + 0.01
    # variances 1/k²: the first two hold 1.25 of 1.565 (k to 12)
    share = 1.25 / sum(1 / k**2 for k in range(1, 13))
    assert more["retained"] == pytest.approx({"x": share, "y": share}, abs=0.02)
    assert more["random_subspace"] < found.value / 2


def test_what_is_lost_where_the_link_is_in_the_next_components():
    """Directions 2 and 3 (from 0) are linked: two components see nothing of -log(0.36) = 1.02."""
    x, y = embeddings(2000, linked=(2, 3))
    found = mi_reduced("gaussian", x, y, components=2, rng=generator())
    assert found.value < 0.1
    assert found.diagnostics["lost"] == pytest.approx(-math.log(0.36), abs=0.12)
    assert found.diagnostics["lost"] > 10 * found.diagnostics["lost_se"] > 0


def test_a_random_subspace_has_the_information_that_its_directions_have():
    """One of three directions of a side, on average over draws, against the determinants."""
    rng = generator(2)
    x = rng.standard_normal((1000, 3))
    y = x + 0.5 * rng.standard_normal((1000, 3))
    truths, found = [], []
    for seed in range(20):
        joint = np.cov(np.hstack([x, y]).T)
        one, other = np.linalg.qr(rng.standard_normal((2, 3, 1)))[0]
        maps = np.zeros((6, 2))
        maps[:3, :1], maps[3:, 1:] = one, other
        truths.append(gaussian_information(maps.T @ joint @ maps, [0], [1]))
        estimate = mi_reduced("gaussian", x, y, components=1, rng=generator(seed))
        found.append(estimate.diagnostics["random_subspace"])
    spread = math.hypot(np.std(truths), np.std(found)) / math.sqrt(20)
    assert abs(np.mean(found) - np.mean(truths)) < 4 * spread


def test_nothing_is_dropped_where_sides_are_small():
    """Gaussian information does not mind a rotation: each half gives that of its own rows."""
    x, y = embeddings(200, d=4)
    found = mi_reduced("gaussian", x, y, components=4, rng=generator())
    assert found.value == pytest.approx(slow_reduced(x, y, 4, np.arange(200), 0).mean())
    for name in ("lost", "lost_se", "random_subspace"):
        assert found.diagnostics[name] is None
    assert found.diagnostics["retained"] == {"x": 1.0, "y": 1.0}


def test_too_few_rows_for_twice_the_components_leave_the_loss_unsaid():
    """Halves of 20 carry 8 + 8 dimensions, not 16 + 16."""
    x, y = embeddings(40, d=30)
    found = mi_reduced("gaussian", x, y, components=8, rng=generator())
    assert found.diagnostics["lost"] is None
    assert found.diagnostics["random_subspace"] is not None


@given(st.integers(0, 2**32 - 1))
def test_rotations_of_either_side_do_not_matter(seed):
    """Components are those of the rotated side: nothing singles out a column."""
    rng = generator(seed)
    x, y = embeddings(80, d=6, seed=1)
    q, p = np.linalg.qr(rng.standard_normal((2, 6, 6)))[0]
    want = mi_reduced("gaussian", x, y, components=2, rng=generator()).value
    got = mi_reduced("gaussian", x @ q, 5 * y @ p + 1, components=2, rng=generator()).value
    assert got == pytest.approx(want, abs=1e-7)


def test_whitening_lets_neighbors_see_the_small_component():
    """Linked in the second direction, of a hundredth of the deviation of the first."""
    rng = generator()
    x, y = rng.standard_normal((2, 1000, 2))
    y[:, 1] = 0.95 * x[:, 1] + math.sqrt(1 - 0.95**2) * y[:, 1]  # 1.16 nats
    scales = np.array([1.0, 0.01])
    white, plain = (
        mi_reduced("ksg", x * scales, y * scales, components=2, whiten=w, rng=generator()).value
        for w in (True, False)
    )
    assert white > 0.8 > 0.4 > plain


def test_the_seed_decides_and_only_the_seed():
    x, y = embeddings(100)
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    first, same, other = (
        mi_reduced("ksg", x, y, components=2, rng=generator(s)).value for s in (1, 1, 2)
    )
    assert first == same != other
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_bad_input_is_refused_in_words():
    x, y = embeddings(60)
    with pytest.raises(ParameterError, match="x, one half of the clusters: components must be"):
        mi_reduced("gaussian", x @ np.ones((12, 12)), y, components=3, rng=generator())
    with pytest.raises(DTypeError, match="rng must be"):
        mi_reduced("gaussian", x, y, components=2, rng=0)
    with pytest.raises(ParameterError, match=r"ksg has no option \['kk'\]"):
        mi_reduced("ksg", x, y, components=2, rng=generator(), kk=3)
    with pytest.raises(ShapeError, match="clusters must have one label"):
        mi_reduced("ksg", x, y, components=2, clusters=np.arange(59), rng=generator())
    with pytest.raises(ParameterError, match="clusters must be two or more"):
        mi_reduced("ksg", x, y, components=2, clusters=np.zeros(60, int), rng=generator())
