"""Density ratios by classification: patches asked about against patches drawn uniformly.

A classifier that tells the two apart estimates by its log-odds, up to a constant, the logarithm of
the density of one over that of the other. The softmax of the log-odds over the patches of an image
is then the distribution of a patch asked about.

Source: hastie2009, Sec. 14.2.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .data import Labeled

Arrays = dict[str, Tensor]
Floats = NDArray[np.float64]


def rows(data: Labeled) -> tuple[NDArray[np.float32], NDArray[np.int64], Floats]:
    """Features (r, f), class (r,) and weight (r,) of the two samples.

    Class 1 are patches asked about, weighted by how often; class 0 are all patches alike. Each
    class weighs as much as there are questions.
    """
    flat = data.features.flatten(0, 1).numpy()
    target = data.target.flatten().numpy()
    asked = target > 0
    scale = len(data.scene_of) / len(data.scenes)
    weight = np.concatenate([target[asked], np.full(len(flat), 1 / data.target.shape[1])])
    classes = np.repeat(np.array([1, 0]), [int(asked.sum()), len(flat)])
    return np.concatenate([flat[asked], flat]), classes, scale * weight


def standard(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (f,) of features (..., f); 1 for a constant one."""
    flat = features.flatten(0, -2).double()
    spread = flat.std(0)
    return flat.mean(0), torch.where(spread > 0, spread, 1.0)


# --- logistic regression ----------------------------------------------------------------------


def fit_logistic(data: Labeled, options: Mapping[str, Any], seed: int) -> Arrays:
    """Logistic regression on standardized features; ``C`` is the inverse of the L2 penalty."""
    from sklearn.linear_model import LogisticRegression

    x, y, weight = rows(data)
    mean, spread = standard(data.features)
    model = LogisticRegression(C=options["C"], max_iter=500)
    model.fit((x - mean.numpy()) / spread.numpy(), y, sample_weight=weight)
    coefficients = torch.from_numpy(model.coef_[0].copy()) / spread
    return {
        "coefficients": coefficients,
        "intercept": torch.tensor(model.intercept_[0]) - coefficients @ mean,
    }


def logistic_log_odds(arrays: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """Log-odds (b, n_v): a product with the coefficients, and the intercept."""
    return features.double() @ arrays["coefficients"] + arrays["intercept"]


# --- gradient boosting ------------------------------------------------------------------------


def fit_boosting(data: Labeled, options: Mapping[str, Any], seed: int) -> Arrays:
    """Stochastic gradient boosting of trees of depth 3, stored as plain arrays.

    Source: friedman2002.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    x, y, weight = rows(data)
    model = GradientBoostingClassifier(
        n_estimators=options["trees"], max_depth=3, learning_rate=0.1, subsample=0.5,
        max_features="sqrt", random_state=seed,
    )  # fmt: skip
    model.fit(x, y, sample_weight=weight)
    return boosting_arrays(model)


def boosting_arrays(model: Any) -> Arrays:
    """The trees of a fitted `GradientBoostingClassifier` of two classes.

    ``feature``, ``left``, ``right`` (trees, nodes) int64 and ``threshold``, ``value`` (trees,
    nodes) float64, padded; a leaf is its own child. ``offset`` () is what boosting starts from.
    Values are multiplied by the learning rate.
    """
    trees = [stage[0].tree_ for stage in model.estimators_]
    nodes = max(tree.node_count for tree in trees)

    def padded(values: list[NDArray[Any]], dtype: torch.dtype) -> Tensor:
        out = torch.zeros(len(values), nodes, dtype=dtype)
        for row, own in zip(out, values, strict=True):
            row[: len(own)] = torch.from_numpy(np.ascontiguousarray(own))
        return out

    def child(tree: Any, side: str) -> NDArray[Any]:
        found = np.asarray(getattr(tree, f"children_{side}"))
        return np.where(found < 0, np.arange(len(found)), found)

    first = model.init_.class_prior_
    return {
        "feature": padded([np.maximum(t.feature, 0) for t in trees], torch.int64),
        "threshold": padded([t.threshold for t in trees], torch.float64),
        "left": padded([child(t, "left") for t in trees], torch.int64),
        "right": padded([child(t, "right") for t in trees], torch.int64),
        "value": padded([model.learning_rate * t.value[:, 0, 0] for t in trees], torch.float64),
        "offset": torch.tensor(float(np.log(first[1] / first[0]))),
    }


def boosting_log_odds(arrays: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """Log-odds (b, n_v): every patch goes down every tree, left where it is at most the threshold.

    Nothing but look-ups in arrays: as many steps as there are nodes would reach every leaf, and it
    stops when no patch moves.
    """
    x = features.flatten(0, -2).double().T.contiguous()  # (f, patches)
    total = torch.full((x.shape[1],), float(arrays["offset"]), dtype=torch.float64)
    patches = torch.arange(x.shape[1])
    names = ("feature", "threshold", "left", "right", "value")
    for feature, threshold, left, right, value in zip(*(arrays[k] for k in names), strict=True):
        node = torch.zeros_like(patches)
        for _ in range(len(feature)):
            goes_left = x[feature[node], patches] <= threshold[node]
            below = torch.where(goes_left, left[node], right[node])
            if torch.equal(below, node):
                break
            node = below
        total += value[node]
    return total.view(features.shape[:-1])
