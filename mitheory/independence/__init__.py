"""Tests of conditional independence with controlled error, and what their error is on your data.

No test is valid against all alternatives (shah2020), and on 16 or more dimensions none that was
tried holds its level. So: few columns (`project`), cross-fitted regressions, whole images as units,
an effect in nats, and beside every p-value its size on the user's own data (`empirical_size`) and
the least dependence it would find there (`planted_power`). `data_processing` needs none of this.
"""

from __future__ import annotations

from .methods import TESTS, test
from .processing import DataProcessing, data_processing
from .projection import Half, project, projected_test
from .records import PowerResult, Rate, SizeResult, TestResult
from .semisynthetic import empirical_size, planted_power

__all__ = [
    "TESTS",
    "DataProcessing",
    "Half",
    "PowerResult",
    "Rate",
    "SizeResult",
    "TestResult",
    "data_processing",
    "empirical_size",
    "planted_power",
    "project",
    "projected_test",
    "test",
]
