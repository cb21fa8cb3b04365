"""Intervals and tests whose unit is the image: questions about one image are not independent.

Every interval names its estimand, its level and how many clusters stand behind it.
"""

from __future__ import annotations

from .bootstrap import (
    cluster_bootstrap,
    cluster_bootstrap_ratio,
    cluster_bootstrap_table,
    paired_difference,
)
from .clustered import ClusteredMean, clustered_mean
from .paired import holm, mcnemar, paired_permutation
from .records import Interval, PairedTest

__all__ = [
    "ClusteredMean",
    "Interval",
    "PairedTest",
    "cluster_bootstrap",
    "cluster_bootstrap_ratio",
    "cluster_bootstrap_table",
    "clustered_mean",
    "holm",
    "mcnemar",
    "paired_difference",
    "paired_permutation",
]
