"""Numbers with their intervals over images against a level: as entries of a table, and drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from .base import mean_effect


def entry(name: str, values: ArrayLike, images: ArrayLike) -> dict[str, float]:
    """Mean of rows and both ends of its 95% interval over images, as JSON values."""
    effect = mean_effect(name, "nats", values, images)
    return {name: effect.value, f"{name}_low": effect.low, f"{name}_high": effect.high}


def errorbars(
    axes: Axes,
    curves: pd.DataFrame,
    against: str,
    name: str,
    *,
    color: str,
    label: str,
    shift: float = 1.0,
) -> None:
    """The column `name` with its interval, against a level on a logarithmic axis.

    `shift` times the level, so that two curves that coincide are both seen.
    """
    if curves.empty:
        return
    mean, low, high = (curves[name + end] for end in ("", "_low", "_high"))
    style: dict[str, Any] = {"color": color, "marker": "o", "linewidth": 1.1, "capsize": 2}
    axes.errorbar(
        shift * curves[against], mean, yerr=[mean - low, high - mean], label=label, **style
    )


def levels(axes: Axes, curves: pd.DataFrame, against: str, form: str) -> None:
    """A tick at every level and nowhere else."""
    axes.set_xscale("log", base=2)
    if not curves.empty:
        at = np.unique(curves[against])
        axes.set_xticks(at, [format(v, form) for v in at])
        axes.minorticks_off()
