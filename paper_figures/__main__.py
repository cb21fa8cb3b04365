"""``python -m paper_figures RESULTS [--out OUT]``: draw every figure of a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mitheory.errors import MitheoryError

from .render import render_all


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, say what was drawn and what is missing; 2 if there is nothing to draw from."""
    parser = argparse.ArgumentParser(prog="python -m paper_figures", description=__doc__)
    parser.add_argument("results", type=Path, help="folder of a run, with results.parquet")
    parser.add_argument("--out", type=Path, help="where to write; by default beside the results")
    options = parser.parse_args(arguments)
    try:
        rendered = render_all(options.results, options.out)
    except MitheoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for figure in rendered:
        state = "drawn" if figure.is_drawn else f"missing: {figure.reason}"
        print(f"{figure.spec.name}: {state}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
