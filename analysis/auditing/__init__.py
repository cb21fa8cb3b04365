"""The audit: every claim on one bundle, spread over workers, resumable claim by claim.

Files of an audit: ``work/<claim>/<key>.parquet`` (rows of a claim on a run of images, written
atomically, the unit of resumption), ``verdicts.parquet`` and ``verdicts.json`` (the result),
``timings.json`` (CPU seconds; verdicts hold none), ``errors.json``, ``figures/``, ``index.html``.
"""

from __future__ import annotations

from .api import audit
from .run import Audited, Options, run

__all__ = ["Audited", "Options", "audit", "run"]
