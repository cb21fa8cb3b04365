"""Laws with known mutual and conditional mutual information, for trying estimators on.

``ground_truth(name, d, total=...)`` makes one; `GROUND_TRUTHS` lists them. Those with a condition
give (x, y, z) and have both `mi` = I(X;Y) and `cmi` = I(X;Y|Z). `label_pairs` makes one of real
embeddings with labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ..checks import lookup
from ..errors import ParameterError
from .discrete import JOINTS, discrete, exact_cmi, exact_mi
from .gaussian import collider, common_cause, gaussian_pair
from .labels import correlated_labels, label_pairs
from .nonlinear import student_t, transformed
from .records import GroundTruth

__all__ = [
    "GROUND_TRUTHS",
    "PLANTED",
    "GroundTruth",
    "correlated_labels",
    "exact_cmi",
    "exact_mi",
    "ground_truth",
    "label_pairs",
]

DEFAULT_TOTAL = 1.0  # nats


def ground_truth(name: str, d: int, *, total: float | None = None) -> GroundTruth:
    """The ground truth of this name in d dimensions.

    Parameters
    ----------
    name : str
        In `GROUND_TRUTHS`.
    d : int
        Columns of every side.
    total : float, nats, optional
        The information planted, for the names in `PLANTED`; 1 if not given. For `student_t` it is
        the Gaussian part.

    Raises
    ------
    UnknownNameError
        If there is no such name.
    ParameterError
        If `d` or `total` is out of range, or `total` is given where the table fixes it.

    Examples
    --------
    >>> ground_truth("xor", 1).mi, round(ground_truth("xor", 1).cmi, 4)
    (0.0, 0.6931)
    >>> ground_truth("common_cause_lowdim", 64, total=0.3).cmi
    0.3
    """
    make = lookup(name, GROUND_TRUTHS, "ground truth")
    if name in PLANTED:
        return make(name, d, total=DEFAULT_TOTAL if total is None else total)
    if total is not None:
        raise ParameterError(f"total: {name!r} is a fixed table; got {total}")
    return make(name, d)


PLANTED: Mapping[str, Callable[..., GroundTruth]] = {
    "gaussian_lowdim": partial(gaussian_pair, structure="leading"),
    "gaussian_trailing": partial(gaussian_pair, structure="trailing"),
    "gaussian_spread": partial(gaussian_pair, structure="spread"),
    "cubic": partial(transformed, transform="cubic"),
    "asinh": partial(transformed, transform="asinh"),
    "spiral": partial(transformed, transform="spiral"),
    "student_t": student_t,
    "common_cause_lowdim": partial(common_cause, structure="leading"),
    "common_cause_spread": partial(common_cause, structure="spread"),
    "collider_lowdim": partial(collider, structure="leading"),
    "collider_spread": partial(collider, structure="spread"),
}
GROUND_TRUTHS: Mapping[str, Callable[..., GroundTruth]] = {
    **PLANTED,
    **{name: partial(discrete, joint=joint) for name, joint in JOINTS.items()},
}
