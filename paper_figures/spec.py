"""FigureSpec: what makes one figure or table, from the tables of a run to its caption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from .claims import Comparison
from .results import Results, Scene


def no_claims(results: Results) -> list[Comparison]:
    """A figure that tests nothing."""
    return []


@dataclass(frozen=True)
class FigureSpec:
    """One figure or table of the paper, redrawn, or one of ours.

    Attributes
    ----------
    name : str
        Stem of its files.
    title : str
    source : str
        The figure or table of the paper that it stands beside.
    data : Results -> DataFrame
        What is drawn; written beside the figure as CSV.
    draw : (DataFrame, scenes) -> Figure
        Draws it; `scenes` are images, everything else is in the table.
    caption : DataFrame -> str
        Its numbers come from the table.
    printed : str
        Which printed numbers stand beside ours, or that there are none.
    claims : Results -> list of Comparison
        What the paper says of it, tested.
    ids : tuple of str
        The figures and tables of the paper that it redraws, such as "fig4"; none if it is ours.
    latex : DataFrame -> str, or None
        The table as LaTeX (booktabs), for tables.
    html : DataFrame -> str, or None
        The table as HTML, shown on the page in place of the picture.
    """

    name: str
    title: str
    source: str
    data: Callable[[Results], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Mapping[str, Scene]], Figure]
    caption: Callable[[pd.DataFrame], str]
    printed: str
    claims: Callable[[Results], list[Comparison]] = field(default=no_claims)
    ids: tuple[str, ...] = ()
    latex: Callable[[pd.DataFrame], str] | None = None
    html: Callable[[pd.DataFrame], str] | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Endings of its files."""
        return ("png", "pdf", "csv", "tex") if self.latex else ("png", "pdf", "csv")
