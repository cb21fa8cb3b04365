"""Estimators of mutual information and conditional mutual information from samples, in nats."""

from __future__ import annotations

from .records import Estimate

__all__ = ["Estimate"]
