"""What all estimators share: fit takes the prompt, transform drops visual tokens."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from ..errors import MissingInputError, ParameterError
from ..names import lookup
from ..selection import SELECTORS, Mode, Selection, select

ORDERS = ("raster", "pick")

FEWER_ROWS = "a pruner gives fewer rows than it was given: that is what it is for"
EXPECTED_FAILED_CHECKS = {
    "check_transformer_data_not_an_array": FEWER_ROWS,
    "check_transformer_general": FEWER_ROWS,
    "check_methods_sample_order_invariance": FEWER_ROWS,
    "check_methods_subset_invariance": "which tokens are kept depends on the other tokens",
}
"""Checks of scikit-learn that do not apply, with the reason; for `check_estimator`."""


class TokenPruner(
    OneToOneFeatureMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):  # type: ignore[call-arg]
    """A method as a transformer whose samples are visual tokens; the base of all classes.

    `fit` takes what the method looks at besides V, above all T; `transform` gives the rows of V
    that are kept, in what they came as: array, tensor (on its device) or data frame (with its
    index, which says which tokens they are).

    Attributes
    ----------
    n_features_in_ : int
        The dimension d.
    inputs_ : dict
        What `fit` was given, as tensors.
    """

    method: ClassVar[str]
    # parameters that every class has besides the options of its method
    budget: int | float
    order: str
    seed: int
    grid: tuple[int, ...] | None
    zero_norm: str
    mode: Mode

    def fit(self, X: Any = None, y: None = None, **inputs: Any) -> TokenPruner:
        """Take the prompt, and whatever else the method looks at.

        Parameters
        ----------
        X : (n_v, d), optional
            Not learned from; its d is checked. Pipelines give it.
        y : ignored
        inputs : text (n_t, d), cls_attention (heads, n_v), ...: as of `mitheory.select`, by name.
            Those with a row or column for each visual token belong to one image.

        Returns
        -------
        self

        Raises
        ------
        MissingInputError
            If the method needs an input that is not given.
        ParameterError
            If an input is none of the method's, or a parameter is outside its range.
        ValueError
            If `X` is no matrix of finite numbers.
        """
        entry = SELECTORS[self.method]
        lookup(self.order, {name: name for name in ORDERS}, "order")
        further = [name for name in entry.inputs if name != "visual"]
        if unknown := sorted(set(inputs) - set(further)):
            raise ParameterError(f"{self.method}: expected inputs among {further}, got {unknown}")
        given = {name: x for name, x in inputs.items() if x is not None}
        required = entry.required(self._options(), self.mode, given=given)
        needed = [n for n in required if n != "visual"]
        if lacking := [name for name in needed if name not in given]:
            raise MissingInputError(
                f"{type(self).__name__}: fit needs {', '.join(f'{n}=' for n in lacking)}"
            )
        self.inputs_ = {name: _tensor(x) for name, x in given.items()}
        if X is not None:
            self._checked(X, reset=True)
        elif "text" in self.inputs_:
            self.n_features_in_ = int(self.inputs_["text"].shape[-1])
        return self

    def select(self, X: Any) -> Selection:
        """The record of what is kept: the order of choice, gains, guarantee.

        Parameters
        ----------
        X : (n_v, d)

        Returns
        -------
        Selection

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `X` is no matrix of finite numbers with the dimension that was fitted.
        MitheoryError
            As `mitheory.select`.
        """
        check_is_fitted(self, "inputs_")
        visual = self._checked(X, reset=not hasattr(self, "n_features_in_"))
        inputs = {n: x.to(visual.device) for n, x in self.inputs_.items()}
        used: dict[str, Any] = {
            n: x.to(visual.dtype) if n in _WITH_V else x for n, x in inputs.items()
        }
        if "visual" in SELECTORS[self.method].inputs:
            used["visual"] = visual
        found = select(
            self.method,
            budget=self.budget,
            seed=self.seed,
            grid=self.grid,
            zero_norm=self.zero_norm,
            mode=self.mode,
            **used,
            **self._options(),
        )
        if found.n_v != len(visual):
            raise ParameterError(f"X: expected {found.n_v} rows as in fit, got {len(visual)}")
        return found

    def transform(self, X: Any) -> Any:
        """The rows of V that are kept, merged where the method merges.

        Parameters
        ----------
        X : (n_v, d)

        Returns
        -------
        (k, d), in raster order, or in the order of choice with ``order="pick"``

        Raises
        ------
        ParameterError
            If the order of choice is asked of a method that merges.
        """
        found = self.select(X)
        if found.merge is not None:
            if self.order == "pick":
                raise ParameterError(f"order: expected 'raster' of {self.method}, which merges")
            return self._merged(X, found)
        places = found.sorted if self.order == "raster" else found.indices
        if isinstance(X, Tensor):
            return X[places.to(X.device)]
        if hasattr(X, "iloc"):
            return X.iloc[places.cpu().numpy()]
        return np.asarray(X)[places.cpu().numpy()]

    def get_support(self, X: Any, *, indices: bool = False) -> NDArray[Any]:
        """Which tokens of V are kept: a mask (n_v,), or their indices in raster order."""
        found = self.select(X)
        return np.asarray((found.sorted if indices else found.mask).cpu().numpy())

    def fit_transform(self, X: Any, y: None = None, **inputs: Any) -> Any:
        """`fit` and `transform`."""
        return self.fit(X, y, **inputs).transform(X)

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SELECTORS[self.method].defaults}

    def _merged(self, X: Any, found: Selection) -> Any:
        assert found.merge is not None
        tokens = found.merge.apply(self._checked(X, reset=False).cpu())
        if isinstance(X, Tensor):
            return tokens.to(X)
        kept = tokens.numpy()
        if hasattr(X, "iloc"):
            import pandas as pd

            index = X.index[found.merge.centers.cpu().numpy()]
            return pd.DataFrame(kept, index=index, columns=X.columns)
        return kept

    def _checked(self, X: Any, *, reset: bool) -> Tensor:
        """V as a floating tensor; NumPy's checks are scikit-learn's own."""
        if isinstance(X, Tensor):
            if reset:
                self.n_features_in_ = int(X.shape[-1])
            elif X.ndim == 2 and X.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                    f"{self.n_features_in_} features as input"
                )
            return X
        checked = validate_data(
            self, X, reset=reset, dtype=[np.float64, np.float32], ensure_min_samples=1
        )
        return torch.from_numpy(np.array(checked))  # torch takes no array that cannot be written

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


_WITH_V = ("text", "clip_visual", "clip_text")  # share the precision of V


def _tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x
    values = np.asarray(x)
    kept = values if values.dtype.kind in "bf" else values.astype(np.float64)
    return torch.from_numpy(np.array(kept))
