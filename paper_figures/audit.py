"""The audit of a run, in short, on the page of its figures: one line per claim, with a link."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from mitheory.errors import MissingInputError

from .results import Results

FOLDER = "audit"


def verdicts(results: Results) -> dict[str, Any]:
    """The audit of a run: ``audit`` says of what, ``verdicts`` holds a record per claim.

    Raises
    ------
    MissingInputError
        If the run holds none.
    """
    name = f"{FOLDER}/verdicts.json"
    file = results.file(name)
    if file is None:
        raise MissingInputError(f"no {name} in this run; run `mitheory audit`")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def summary(results_dir: Path) -> str:
    """HTML of the verdicts of the audit beside the results; empty if there is none."""
    file = results_dir / FOLDER / "verdicts.json"
    if not file.exists():
        return ""
    document = json.loads(file.read_text(encoding="utf-8"))
    rows = "".join(_row(verdict) for verdict in document["verdicts"])
    about = document["audit"]
    return (
        f"<p>Each assumption of the method as a test on the embeddings of this run "
        f"({about['n_samples']:,} questions about {about['n_images']:,} scenes): "
        f'<a href="{FOLDER}/index.html">the whole report</a>.</p>'
        '<div class="scroll"><table class="small"><thead><tr><th>Claim</th>'
        '<th class="left">Where</th><th class="left">Verdict</th><th>Effect [95%]</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(verdict: dict[str, Any]) -> str:
    name = escape(verdict["claim"])
    effect = verdict["effect"]
    number = (
        f"{effect['value']:.3g} [{effect['low']:.3g}, {effect['high']:.3g}] {effect['unit']}"
        if effect
        else ""
    )
    link = f"{FOLDER}/index.html#claim-{name}"
    return (
        f'<tr><th scope="row"><a href="{link}">{escape(verdict["statement"])}</a></th>'
        f'<td class="left">{escape(verdict["source"])}</td>'
        f'<td class="left"><strong>{escape(verdict["decision"])}</strong></td>'
        f"<td>{escape(number)}</td></tr>"
    )
