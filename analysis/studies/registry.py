"""The studies by name, in the order in which they run."""

from __future__ import annotations

from .base import Study

IN_ORDER: tuple[Study, ...] = ()

STUDIES: dict[str, Study] = {study.name: study for study in IN_ORDER}
