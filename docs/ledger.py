"""The ledger: every claim with its verdict, from the audit whose verdicts lie in docs/results.

`make docs` writes docs/theory/ledger.md, which is not kept in the repository.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from writing import plain, table

from analysis.claims import CLAIMS
from mitheory.io import atomic_write_text

HERE = Path(__file__).resolve().parent
VERDICTS = HERE / "results" / "audit" / "verdicts.json"
TARGET = Path("theory") / "ledger.md"
HEADER = """\
# The ledger

Every claim and how it ended, on {samples} questions about {images} scenes of the shipped model,
made by

```console
{command}
```

The effect has its 95% interval over images; the decision uses the interval after Holm's
correction. The region that a claim names for its effect was fixed before any data were seen.
All of them in [one picture](../gallery/verdict_overview.md).

"""


def write(folder: Path) -> None:
    """Write the page below `folder`."""
    text = document(json.loads(VERDICTS.read_text(encoding="utf-8")))
    path = folder / TARGET
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        atomic_write_text(path, text)


def document(audit: Mapping[str, Any]) -> str:
    """The page; one row per claim, in the order of the paper."""
    records = {record["claim"]: record for record in audit["verdicts"]}
    argued = homes()
    rows = [
        [
            f"[{name.replace('_', ' ')}](../claims.md#{name})",
            f"**{records[name]['decision']}**",
            effect(records[name]["effect"]),
            f"[{argued[name][0]}]({argued[name][1]})",
        ]
        for name in CLAIMS
    ]
    about = audit["audit"]
    header = HEADER.format(
        samples=f"{about['n_samples']:,}", images=f"{about['n_images']:,}", command=about["command"]
    )
    return header + table(["claim", "verdict", "effect", "argued in"], rows)


def effect(record: Mapping[str, Any] | None) -> str:
    """An effect in a cell.

    >>> effect({"name": "tau", "value": 0.684, "low": 0.67, "high": 0.69, "unit": "tau"})
    'tau: 0.684 \\\\[0.670, 0.690\\\\] tau'
    >>> effect(None)
    '—'
    """
    if record is None:
        return "—"
    numbers = f"{record['value']:.3f} \\[{record['low']:.3f}, {record['high']:.3f}\\]"
    return f"{plain(record['name'])}: {numbers} {plain(record['unit'])}"


def substitutions() -> dict[str, str]:
    """Claim -> its verdict in a cell, for ``{{ claim }}`` on the pages of the theory."""
    records = json.loads(VERDICTS.read_text(encoding="utf-8"))["verdicts"]
    return {r["claim"]: f"**{r['decision']}**{_short(r['effect'])}" for r in records}


def _short(record: Mapping[str, Any] | None) -> str:
    return f"; {effect(record)}" if record else ""


def homes() -> dict[str, tuple[str, str]]:
    """Claim -> title and file of the page of the theory that argues it.

    >>> homes()["max_below_sum"]
    ('Aggregation over words', 'aggregation.md')
    """
    found = {}
    for path in sorted((HERE / "theory").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if path.name != TARGET.name:
            title = re.search(r"^# (.+)$", text, re.MULTILINE)
            for claim in re.findall(r"\]\(\.\./claims\.md#(\w+)\)", text):
                found.setdefault(claim, (title.group(1) if title else path.stem, path.name))
    return found
