"""Claims, ablations and datasets on top of `mitheory`.

What makes a table gives it back as a DataFrame, and what makes several, a dict from the name of a
table to its DataFrame; the files of a run hold the same. None means that other workers of a
launcher are not done yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitheory.faces import on_use

if TYPE_CHECKING:
    from .ablation import ablate
    from .auditing import audit
    from .calibration import calibrate
    from .studies import run_studies

__all__ = ["ablate", "audit", "calibrate", "run_studies"]

__getattr__, __dir__ = on_use(  # `mitheory --help` need not wait for them
    __name__,
    {
        "ablate": "ablation",
        "audit": "auditing",
        "calibrate": "calibration",
        "run_studies": "studies",
    },
)
