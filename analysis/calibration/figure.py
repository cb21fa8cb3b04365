"""The figure of the calibration: bias against dimension, one line per estimator."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from ..style import COLORS, GRAY, PAGE, new_figure, theme

PANELS = {
    "gaussian_lowdim": "1 nat in 4 leading directions",
    "gaussian_trailing": "1 nat in 4 trailing directions",
    "gaussian_spread": "1 nat over all directions",
}
SHOWN_N, PLANTED = 1000, 1.0
HIGHEST = 1.2  # nats; what lies above is drawn at the edge, with an arrow
LINES = ("-", "--", ":")


def data(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the three panels: MI, continuous, n = 1,000, 1 nat planted, those that ran."""
    rows = table[
        table["truth"].isin(PANELS)
        & (table["planted"] == PLANTED)
        & (table["n"] == SHOWN_N)
        & table["error"].isna()
    ]
    return rows[["variant", "truth", "d", "bias", "spread"]].reset_index(drop=True)


def draw(rows: pd.DataFrame) -> Figure:
    """Mean bias with one standard deviation over repeats."""
    names = list(dict.fromkeys(rows["variant"]))
    with theme():
        figure = new_figure(PAGE, 3.0)
        panels = figure.subplots(1, 3, sharey=True)
        for axes, (truth, title) in zip(panels, PANELS.items(), strict=True):
            for i, name in enumerate(names):
                own = rows[(rows["truth"] == truth) & (rows["variant"] == name)].sort_values("d")
                color, line = COLORS[i % len(COLORS)], LINES[i // len(COLORS)]
                shown = own["bias"].clip(upper=HIGHEST)
                axes.errorbar(
                    own["d"],
                    shown,
                    own["spread"].where(own["bias"] <= HIGHEST, 0.0),
                    color=color,
                    linestyle=line,
                    marker="o",
                    markersize=2.6,
                    linewidth=1.1,
                    elinewidth=0.6,
                    label=name if axes is panels[0] else None,
                )
                beyond = own[own["bias"] > HIGHEST]
                axes.plot(beyond["d"], [HIGHEST] * len(beyond), "^", color=color, markersize=5)
            axes.axhline(0, color=GRAY, linewidth=0.8)
            axes.axhline(-PLANTED, color=GRAY, linewidth=0.8, linestyle=":")
            axes.set_xscale("log", base=2)
            axes.set_xticks([1, 4, 16, 64, 256, 1024], ["1", "4", "16", "64", "256", "1024"])
            axes.set_title(title)
            axes.set_xlabel("dimension d of each side")
        panels[0].set_ylabel(f"estimate − {PLANTED:g} nat, n = {SHOWN_N:,}")
        panels[0].set_ylim(-1.35, HIGHEST + 0.1)
        figure.legend(loc="outside lower center", ncols=5)
    return figure
