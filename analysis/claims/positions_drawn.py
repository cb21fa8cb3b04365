"""Where relevant patches lie, and what each prior knows of it: the figure of uniform_prior."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from analysis.style import BLUE, GRAY, PAGE, VERMILION, new_figure, theme
from mitheory.verdict import Verdict

from .positions import Cells, Floats


def draw(table: pd.DataFrame, verdict: Verdict) -> Figure:
    """Where relevant patches lie, and what every prior knows and gains."""
    known = table[[len(p) > 0 for p in table["patches"]]]
    rows, cols = verdict.diagnostics.get("cells", (1, 1))
    cells = Cells(rows, cols)
    density = _mean_of_images(known, cells).reshape(rows, cols)
    found = verdict.diagnostics.get("priors", {})
    smallest = verdict.smallest_effect.value if verdict.smallest_effect else 0.0
    with theme():
        figure = new_figure(PAGE, 2.7)
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
        norm = TwoSlopeNorm(1.0, 0.0, max(2.0, float(density.max())))
        image = left.imshow(density, cmap="RdBu_r", norm=norm)
        left.set_xticks([])
        left.set_yticks([])
        left.grid(visible=False)
        bar = figure.colorbar(image, ax=left, shrink=0.85)
        bar.set_label("relevant patches\n(times uniform)")
        for y, prior in enumerate(found.values()):
            e = prior["log_score_nats"]
            right.plot(prior["entropy_deficit_nats"], y, "s", color=GRAY)
            right.plot([e["low"], e["high"]], [y, y], color=BLUE, linewidth=2.2)
            right.plot(e["value"], y, "o", color=BLUE)
        right.set_yticks(np.arange(len(found)), [n.replace("_", " ") for n in found])
        right.invert_yaxis()
        right.axvline(0, color="black", linewidth=0.7)
        right.axvline(smallest, color=VERMILION, linewidth=0.9, linestyle="--")
        right.set_xscale("symlog", linthresh=0.2, linscale=0.6)
        right.set_xticks([-5, -1, -0.2, 0, 0.2, 1, 5], ["-5", "-1", "-.2", "0", ".2", "1", "5"])
        right.minorticks_off()
        right.set_xlabel(
            "nats; square: entropy deficit of the prior\n"
            "dot: its log score over uniform (95%)\n"
            "dashed: smallest effect of interest"
        )
    return figure


def _mean_of_images(known: pd.DataFrame, cells: Cells) -> Floats:
    """(cells,) mean over images of their distribution, over that of all patches."""

    def mean(values: Iterable[Floats]) -> Floats:
        return np.asarray(pd.DataFrame(values, index=known["image_id"]).groupby(level=0).mean())

    grids = list(zip(known["rows"], known["cols"], strict=True))
    each = [
        cells.share(np.asarray(p, dtype=np.int64), g)
        for p, g in zip(known["patches"], grids, strict=True)
    ]
    everywhere = mean([cells.everywhere(g) for g in grids]).mean(0)
    return np.asarray(mean(each).mean(0) / everywhere)
