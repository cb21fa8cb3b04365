"""``python -m paper_figures [id ...] --results DIR``: figures and tables, from a run's files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mitheory.errors import MitheoryError
from mitheory.names import lookup

from .registry import FIGURES, GRID
from .render import render_all


def names_of(ids: Sequence[str]) -> list[str]:
    """Our names of figures, by ours or by their numbers in the paper.

    Raises
    ------
    UnknownNameError
        If there is no such figure.

    Examples
    --------
    >>> names_of(["fig4", "pope", "fig5"])
    ['accuracy_budget', 'pope', 'kept_patches']
    """
    known = {name: name for name in (*FIGURES, *GRID)}
    known |= {number: spec.name for spec in FIGURES.values() for number in spec.ids}
    return [lookup(name, known, "figure") for name in ids]


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what is out of date, say what was and why; 2 if there is nothing to draw from."""
    parser = argparse.ArgumentParser(prog="python -m paper_figures", description=__doc__)
    parser.add_argument("ids", nargs="*", help="such as fig4, tab1 or pope; all without")
    parser.add_argument("--results", type=Path, default=Path("out"), help="folder of a run")
    parser.add_argument("--out", type=Path, help="where to write; by default beside the results")
    parser.add_argument("--force", action="store_true", help="draw again what is up to date")
    parser.add_argument("--list", action="store_true", help="name the figures and stop")
    options = parser.parse_args(arguments)
    if options.list:
        for spec in FIGURES.values():
            print(f"{spec.name}: {spec.title} ({', '.join(spec.ids) or 'ours'})")
        for spec in GRID.values():
            print(f"{spec.name}: {spec.title} (of `mitheory evaluate` and `mitheory ablate`)")
        return 0
    try:
        only = names_of(options.ids) or None
        rendered = render_all(options.results, options.out, only=only, force=options.force)
    except MitheoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for figure in rendered:
        if only is None or figure.spec.name in only or figure.state.startswith("stale"):
            print(f"{figure.spec.name}: {figure.state}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
