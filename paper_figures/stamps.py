"""Stamps: what a figure was drawn from, so that only what is out of date is drawn again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mitheory.io import atomic_write_json

from .claims import Comparison
from .results import ALWAYS_READ, Results
from .sources import code_digest
from .spec import FigureSpec

ABSENT = "absent"


@dataclass(frozen=True)
class Stamp:
    """What stands beside the files of a figure that was drawn.

    Attributes
    ----------
    code : str
        Hash of what drew it.
    inputs : mapping of str to str
        Hash of each file of the run that was read, `ABSENT` for one that was not there.
    outputs : mapping of str to str
        Hash of each file that was written.
    caption, html : str
        As on the page.
    comparisons : tuple of Comparison
    """

    code: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    caption: str
    html: str
    comparisons: tuple[Comparison, ...]

    def why_stale(self, spec: FigureSpec, results: Results, folder: Path) -> str:
        """What has changed since it was drawn, in words; empty if nothing has."""
        if self.code != code_of(spec):
            return "its code has changed"
        now = hashes(results.folder, self.inputs)
        if changed := [name for name in self.inputs if now[name] != self.inputs[name]]:
            return f"{', '.join(changed)} changed"
        outputs = [f"{spec.name}.{kind}" for kind in spec.kinds]
        now = hashes(folder, outputs)
        if changed := [name for name in outputs if now[name] != self.outputs.get(name)]:
            return f"{', '.join(changed)} missing or not as drawn"
        return ""


def stamp(
    spec: FigureSpec,
    results: Results,
    folder: Path,
    *,
    caption: str,
    html: str,
    comparisons: Iterable[Comparison],
) -> Stamp:
    """The stamp of a figure that has just been drawn from `results` into `folder`."""
    return Stamp(
        code=code_of(spec),
        inputs=hashes(results.folder, (*ALWAYS_READ, *sorted(results.read))),
        outputs=hashes(folder, [f"{spec.name}.{kind}" for kind in spec.kinds]),
        caption=caption,
        html=html,
        comparisons=tuple(comparisons),
    )


def code_of(spec: FigureSpec) -> str:
    """Hash of all that a figure is made by."""
    parts = (spec.data, spec.draw, spec.caption, spec.claims, spec.latex, spec.html)
    modules = sorted({part.__module__ for part in parts if part})
    return "-".join(code_digest(module) for module in modules)


def hashes(folder: Path | None, names: Iterable[str]) -> dict[str, str]:
    """Hash of each file by its path in the folder; `ABSENT` of one that is not there."""
    found = {}
    for name in names:
        path = folder and folder / name
        if path and path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:20]
        else:
            found[name] = ABSENT
    return found


def write(path: Path, made: Stamp) -> None:
    """Write a stamp."""
    atomic_write_json(path, asdict(made))


def read(path: Path) -> Stamp | None:
    """Read a stamp; None if there is none, or one of another layout."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        comparisons = tuple(Comparison(**c) for c in fields.pop("comparisons"))
        return Stamp(**fields, comparisons=comparisons)
    except (OSError, ValueError, KeyError, TypeError):
        return None
