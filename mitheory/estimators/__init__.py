"""Estimators of mutual information and conditional mutual information from samples, in nats.

`mi` and `cmi` take an estimator's name; `MI` and `CMI` list them. `mi_reduced` estimates between
principal components, `sensitivity` once for each value of an option. No estimate is clipped at
zero.
"""

from __future__ import annotations

from .front import CMI, MI, cmi, mi
from .principal import PCA
from .records import Estimate
from .reduction import mi_reduced
from .sensitivity import Sensitivity, sensitivity

__all__ = [
    "CMI",
    "MI",
    "PCA",
    "Estimate",
    "Sensitivity",
    "cmi",
    "mi",
    "mi_reduced",
    "sensitivity",
]
