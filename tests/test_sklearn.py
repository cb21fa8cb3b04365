"""The face to scikit-learn: its own checks, pipelines, and equality with `select`."""

from __future__ import annotations

import inspect
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

import mitheory
from mitheory import sklearn as faces
from mitheory.errors import MissingInputError, ParameterError, UnknownNameError
from mitheory.selection import SELECTORS
from mitheory.sklearn import CLASSES, EXPECTED_FAILED_CHECKS, DivPrune, MIPruner, VisionZip
from mitheory.sklearn.base import TokenPruner

V = torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
T = torch.randn(5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Asked(MIPruner):
    """MI-Pruner with a prompt at hand, for checks that know of none: the first two rows of V."""

    def fit(self, X=None, y=None, **inputs):
        if X is None or "text" in inputs:
            return super().fit(X, y, **inputs)
        rows = self._checked(X, reset=True)
        return super().fit(X, y, text=rows[:2])


BLIND = [
    name
    for name, method in CLASSES.items()
    if set(SELECTORS[method].requires) == {"visual"}
]  # fmt: skip


def outcomes(estimator: TokenPruner) -> dict[str, set[str]]:
    with warnings.catch_warnings():  # later versions tell of a check that needs SCIPY_ARRAY_API
        warnings.simplefilter("ignore", SkipTestWarning)
        results = check_estimator(
            estimator, expected_failed_checks=EXPECTED_FAILED_CHECKS, on_fail=None
        )
    found: dict[str, set[str]] = {}
    for result in results:
        found.setdefault(result["status"], set()).add(result["check_name"])
    return found


@pytest.mark.parametrize("name", BLIND)
def test_scikit_learns_own_checks_of_methods_that_read_no_prompt(name):
    found = outcomes(getattr(faces, name)(zero_norm="uninformative"))
    assert found.get("failed", set()) == set()
    assert found["xfail"] == set(EXPECTED_FAILED_CHECKS)  # each of them does fail
    assert len(found["passed"]) >= 35
    assert found.get("skipped", set()) <= {"check_array_api_input"}  # not in the oldest version


def test_scikit_learns_own_checks_of_a_method_that_reads_the_prompt():
    found = outcomes(Asked(zero_norm="uninformative"))
    assert found.get("failed", set()) == set()
    assert found["xfail"] == set(EXPECTED_FAILED_CHECKS)


def test_reasons_are_given_for_checks_that_exist():
    known = {check.func.__name__ for _, check in estimator_checks_generator(DivPrune())}
    assert set(EXPECTED_FAILED_CHECKS) <= known
    assert len(BLIND) > 3


def test_there_is_a_class_for_every_method():
    assert sorted(CLASSES.values()) == sorted(SELECTORS)
    for name, method in CLASSES.items():
        made = getattr(faces, name)()
        assert {**made.get_params(), **SELECTORS[method].defaults} == made.get_params()
        assert made.__doc__ is not None
        assert set(inspect.signature(type(made)).parameters) == set(made.get_params())


def test_it_is_loaded_on_use():
    code = "import sys, mitheory; mitheory.sklearn.CLASSES; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("form", ["tensor", "array", "frame"])
def test_transform_keeps_the_rows_that_select_keeps(form):
    kept = mitheory.select("mi_pruner", visual=V, text=T, budget=7, temperature=0.2)
    pruner = MIPruner(budget=7, temperature=0.2)
    given = {"tensor": V, "array": V.numpy(), "frame": pd.DataFrame(V.numpy(), index=range(9, 49))}
    found = pruner.fit(text=T).transform(given[form])
    assert type(found) is type(given[form])
    np.testing.assert_array_equal(np.asarray(found), V[kept.sorted].numpy())
    if form == "frame":
        assert (found.index - 9).tolist() == kept.sorted.tolist()
    picked = clone(pruner).set_params(order="pick").fit(text=T).transform(given[form])
    np.testing.assert_array_equal(np.asarray(picked), V[kept.indices].numpy())


def test_support_and_record():
    pruner = MIPruner(budget=7).fit(text=T)
    kept = pruner.select(V)
    assert pruner.get_support(V, indices=True).tolist() == kept.sorted.tolist()
    assert pruner.get_support(V).tolist() == kept.mask.tolist()
    assert kept.method == "mi_pruner"


def test_a_clone_is_unfitted_and_has_the_same_parameters():
    pruner = MIPruner(budget=7, prior="center_biased", grid=(5, 8)).fit(text=T)
    again = clone(pruner)
    assert again.get_params() == pruner.get_params()
    with pytest.raises(NotFittedError):
        again.transform(V)
    np.testing.assert_array_equal(again.fit(text=T).transform(V), pruner.transform(V))


def test_in_a_pipeline_after_scaling_and_before_components():
    """Slow twin: scale, select, project by hand."""
    pipe = Pipeline([("scale", StandardScaler()), ("prune", MIPruner(budget=8)), ("pca", PCA(2))])
    found = pipe.fit_transform(V.numpy(), prune__text=T.numpy())
    scaled = StandardScaler().fit_transform(V.numpy())
    kept = mitheory.select("mi_pruner", visual=torch.from_numpy(scaled), text=T, budget=8)
    np.testing.assert_allclose(found, PCA(2).fit_transform(scaled[kept.sorted]))
    assert pipe.set_params(prune__budget=3).fit(V.numpy(), prune__text=T).transform(
        V.numpy()
    ).shape == (3, 2)
    assert list(pipe[:2].get_feature_names_out()) == [f"x{i}" for i in range(6)]


def test_a_method_that_merges_gives_merged_rows():
    rng = torch.Generator().manual_seed(2)
    inputs = {
        "cls_attention": torch.rand(2, 40, generator=rng, dtype=torch.float64),
        "encoder_keys": torch.randn(40, 3, generator=rng, dtype=torch.float64),
    }
    kept = mitheory.select("visionzip", budget=12, **inputs)
    found = VisionZip(budget=12).fit(**inputs).transform(V)
    np.testing.assert_allclose(found, kept.merge.apply(V))
    assert not np.isin(found.numpy(), V.numpy()).all()
    with pytest.raises(ParameterError, match="merges"):
        VisionZip(budget=12, order="pick").fit(**inputs).transform(V)


def test_what_cannot_be_fitted_is_said():
    with pytest.raises(MissingInputError, match="MIPruner: fit needs text="):
        MIPruner().fit(V)
    with pytest.raises(ParameterError, match=r"got \['words'\]"):
        MIPruner().fit(words=T)
    with pytest.raises(UnknownNameError, match="raster"):
        MIPruner(order="score").fit(text=T)
    with pytest.raises(TypeError, match="tau"):
        MIPruner(tau=0.1)
    with pytest.raises(ValueError, match="expecting 6 features"):
        MIPruner().fit(text=T).transform(V[:, :4])
    with pytest.raises(ParameterError, match="expected 40 rows"):
        faces.CLSAttentionPruner().fit(cls_attention=torch.rand(2, 40)).transform(V[:30])
