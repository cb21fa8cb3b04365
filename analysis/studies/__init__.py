"""Studies: questions that the paper leaves open, each answered by tables on disk.

A study is a `Study` in `STUDIES`: a name, the tables it writes, and a function from a `Context` to
them. `run_studies` writes ``studies/<table>.parquet`` into the folder of a run, and does again only
what its code, model, seed or size have changed.
"""

from __future__ import annotations

from .base import Context, Study
from .registry import STUDIES
from .running import run_studies

__all__ = ["STUDIES", "Context", "Study", "run_studies"]
