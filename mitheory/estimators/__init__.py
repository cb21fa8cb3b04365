"""Estimators of mutual information and conditional mutual information from samples, in nats.

`mi` and `cmi` take an estimator's name; `MI` and `CMI` list them. `mi_reduced` estimates between
principal components. No estimate is clipped at zero.
"""

from __future__ import annotations

from .front import CMI, MI, cmi, mi
from .principal import PCA
from .records import Estimate
from .reduction import mi_reduced

__all__ = ["CMI", "MI", "PCA", "Estimate", "cmi", "mi", "mi_reduced"]
