"""The studies by name, in the order in which they run."""

from __future__ import annotations

from . import learned_priors, predictions
from .base import Study

IN_ORDER: tuple[Study, ...] = (predictions.STUDY, learned_priors.STUDY)

STUDIES: dict[str, Study] = {study.name: study for study in IN_ORDER}
