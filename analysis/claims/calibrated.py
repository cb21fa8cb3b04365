"""Which estimator a claim uses at its size: what the committed calibration prefers there."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from analysis.calibration.choose import Recommendation, choose
from analysis.calibration.tables import family_of
from analysis.calibration.variants import VARIANTS

# Those with a contribution of every row, which an error over images needs, and no training.
USABLE = ("gaussian", "ksg_1", "gaussian_cmi", "frenzel_pompe")
FALLBACK = "gaussian"


@lru_cache(maxsize=256)
def preferred(quantity: str, n: int, d: int) -> Recommendation:
    """The variant of least worst error at this size.

    On Gaussian dependence in the leading directions, for components are compared as normal scores.
    """
    families = (family_of(quantity)[0],)
    return choose(quantity, n, d, math.inf, structures=("leading",), truths=families, among=USABLE)


def estimator_for(quantity: str, n: int, d: int) -> str:
    """Its estimator; the Gaussian one where nothing so small was measured.

    Examples
    --------
    >>> estimator_for("mi", 300, 3), estimator_for("cmi", 300, 3), estimator_for("mi", 20, 3)
    ('gaussian', 'gaussian', 'gaussian')
    """
    variant = preferred(quantity, n, d).variant
    return FALLBACK if variant is None else VARIANTS[variant].estimator


def measured(quantity: str, n: int, d: int) -> dict[str, Any]:
    """What the calibration says of that estimator, as JSON values."""
    found = preferred(quantity, n, d)
    if found.variant is None:
        return {"estimator": FALLBACK, "why": found.reason}
    limit = found.detection_limit
    return {
        "estimator": VARIANTS[found.variant].estimator,
        "measured_at_n": found.at_n,
        "measured_at_d": found.at_d,
        "worst_rmse_nats": found.worst_rmse,
        "bias_nats": list(found.bias),
        "detection_limit_nats": limit if math.isfinite(limit) else None,
    }
