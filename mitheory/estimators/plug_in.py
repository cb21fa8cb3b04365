"""Mutual information of labels, from how often they occur."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma

from ..checks import lookup
from .inputs import Floats, Integers, jointly, labels
from .records import Estimate


def plug_in_mi(x: ArrayLike, y: ArrayLike, *, correction: str = "miller_madow") -> Estimate:
    """I(X;Y) of the frequencies, less a named estimate of its bias.

    Source: miller1955, grassberger2008.

    Parameters
    ----------
    x, y : (n,) or (n, d) labels; a row of labels is one label
    correction : {"none", "miller_madow", "grassberger"}
        "none" is biased upward by about (K_x − 1)(K_y − 1)/2n.

    Returns
    -------
    Estimate

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If an array is not as said.
    UnknownNameError
        If there is no such correction.

    Examples
    --------
    >>> plug_in_mi([0, 0, 1, 1], [0, 0, 1, 1], correction="none").value  # log 2
    0.6931
    """
    one, other = labels(x=x, y=y)
    terms = ((1.0, one), (1.0, other), (-1.0, jointly(one, other)))
    return _estimate(terms, (x, y), correction)


def plug_in_cmi(
    x: ArrayLike, y: ArrayLike, z: ArrayLike, *, correction: str = "miller_madow"
) -> Estimate:
    """I(X;Y|Z) of the frequencies, less a named estimate of its bias.

    Parameters
    ----------
    x, y, z : (n,) or (n, d) labels
    correction : as in `plug_in_mi`

    Returns
    -------
    Estimate

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError, UnknownNameError
        As `plug_in_mi`.
    """
    one, other, given = labels(x=x, y=y, z=z)
    terms = (
        (1.0, jointly(one, given)),
        (1.0, jointly(other, given)),
        (-1.0, given),
        (-1.0, jointly(one, other, given)),
    )
    return _estimate(terms, (x, y, z), correction)


def _estimate(
    terms: tuple[tuple[float, Integers], ...], sides: tuple[ArrayLike, ...], correction: str
) -> Estimate:
    surprise = lookup(correction, CORRECTIONS, "bias correction")
    rows = np.sum([sign * surprise(codes) for sign, codes in terms], axis=0)
    shapes = [np.asarray(side).shape for side in sides]
    return Estimate(
        value=float(rows.mean()),
        estimator="plug_in",
        n=len(rows),
        dims=tuple(shape[1] if len(shape) == 2 else 1 for shape in shapes),
        pointwise=rows,
        diagnostics={
            "correction": correction,
            "cells": [int(codes.max()) + 1 for _, codes in terms],
            "singletons": int((np.bincount(terms[-1][1]) == 1).sum()),
        },
    )


def _plain(codes: Integers) -> Floats:
    counts = np.bincount(codes)
    return np.asarray(np.log(len(codes)) - np.log(counts[codes]))


def _miller_madow(codes: Integers) -> Floats:
    return _plain(codes) + codes.max() / (2 * len(codes))  # labels run from 0: K − 1 is the largest


def _grassberger(codes: Integers) -> Floats:
    counts = np.bincount(codes)
    m = np.maximum(counts, 1).astype(np.float64)
    sign = np.where(counts % 2 == 0, 1.0, -1.0)
    g = digamma(m) + sign * (digamma((m + 1) / 2) - digamma(m / 2)) / 2
    return np.asarray(np.log(len(codes)) - g[codes])


CORRECTIONS = {"none": _plain, "miller_madow": _miller_madow, "grassberger": _grassberger}
