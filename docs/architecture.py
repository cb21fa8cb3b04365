"""The import diagrams of docs/architecture.md, drawn from the import statements themselves.

`make index` writes docs/images/imports_mitheory.svg and docs/images/imports_analysis.svg; a test
compares them with the code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from html import escape
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
PACKAGES = ("mitheory", "analysis", "paper_figures")

ROW, BOX, GAP = 58, 26, 14  # pixels
CHARACTER = 7.3  # of the font, about
COLORS = {"mitheory": "#d9e8f5", "analysis": "#fbe6cf", "paper_figures": "#d7efe3"}
Graph = Mapping[str, frozenset[str]]


def component(module: str) -> str:
    """The part of the project a module belongs to: its package and what follows.

    >>> component("mitheory.bundle.reader"), component("paper_figures.render")
    ('mitheory.bundle', 'paper_figures')
    """
    package, *rest = module.split(".")
    return package if package == "paper_figures" or not rest else f"{package}.{rest[0]}"


def imports_of(path: Path) -> set[str]:
    """Absolute names of the modules of ours that a file imports, at any depth."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    here = list(parts[:-1])  # the package that a relative import starts from
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) + 1 - node.level] if node.level else []
            stem = [*base, *([node.module] if node.module else [])]
            found |= {".".join([*stem, alias.name]) for alias in node.names}
    return {name for name in found if name.split(".")[0] in PACKAGES}


def known_components() -> set[str]:
    """Every part that has a file or a folder."""
    found = {"paper_figures"}
    for package in PACKAGES[:2]:
        found |= {f"{package}.{p.stem}" for p in (ROOT / package).glob("*.py")}
        found |= {f"{package}.{p.parent.name}" for p in (ROOT / package).glob("*/__init__.py")}
    return found - {f"{package}.__init__" for package in PACKAGES}


def import_graph() -> dict[str, frozenset[str]]:
    """What each part imports of the others. The front doors, `__init__`, are no parts."""
    known = known_components()
    graph: dict[str, set[str]] = {name: set() for name in known}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            own = component(".".join(parts))
            if own not in known:
                continue
            graph[own] |= {component(name) for name in imports_of(path)} & known - {own}
    return {name: frozenset(others) for name, others in graph.items()}


def reachable(graph: Graph, start: str) -> set[str]:
    """All that a part imports, directly or not.

    >>> sorted(reachable({"a": frozenset("b"), "b": frozenset("c"), "c": frozenset()}, "a"))
    ['b', 'c']
    """
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


def reduced(graph: Graph) -> dict[str, frozenset[str]]:
    """The graph without the arrows that others imply: the fewest with the same reach.

    >>> full = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()}
    >>> {name: sorted(others) for name, others in reduced(full).items()}
    {'a': ['b'], 'b': ['c'], 'c': []}
    """
    reach = {name: reachable(graph, name) for name in graph}
    return {
        name: frozenset(o for o in others if not any(o in reach[p] for p in others - {o}))
        for name, others in graph.items()
    }


def levels(graph: Graph) -> dict[str, int]:
    """How long the longest chain of imports below each part is.

    Raises
    ------
    ValueError
        If parts import each other in a circle.

    >>> levels({"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()})
    {'c': 0, 'b': 1, 'a': 2}
    """
    found: dict[str, int] = {}
    while len(found) < len(graph):
        ready = {n for n, others in graph.items() if n not in found and others <= found.keys()}
        if not ready:
            raise ValueError(f"a circle of imports among {sorted(graph.keys() - found.keys())}")
        found |= {n: 1 + max((found[o] for o in graph[n]), default=-1) for n in sorted(ready)}
    return found


def within(graph: Graph, names: Iterable[str]) -> dict[str, frozenset[str]]:
    """The part of a graph on some of its nodes."""
    kept = set(names)
    return {name: graph[name] & kept for name in sorted(kept)}


def staged(graph: Graph) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Levels and arrows with a stop on every level that an arrow crosses, so that none is straight.

    >>> staged({"a": frozenset("bc"), "b": frozenset("d"), "c": frozenset("d"), "d": frozenset()})
    ({'d': 0, 'b': 1, 'c': 1, 'a': 2}, [('a', 'b'), ('a', 'c'), ('b', 'd'), ('c', 'd')])
    """
    level = levels(graph)
    arrows = []
    for name, others in sorted(reduced(graph).items()):
        for other in sorted(others):
            stops = {f"{name}>{other}@{i}": i for i in range(level[name] - 1, level[other], -1)}
            chain = [name, *stops, other]
            arrows += list(pairwise(chain))
            level |= stops
    return level, arrows


def rows_of(level: Mapping[str, int], arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Names by level, the top first; within a row near what they are tied to."""
    near: dict[str, set[str]] = {name: set() for name in level}
    for name, other in arrows:
        near[name].add(other)
        near[other].add(name)
    rows = [sorted(n for n in level if level[n] == i) for i in range(max(level.values()) + 1)]
    place = {name: x for row in rows for name, x in zip(row, _spread(row, 1000), strict=True)}
    for _ in range(20):  # they settle
        for row in rows:
            mean = {n: sum(place[o] for o in near[n] or {n}) / len(near[n] or {n}) for n in row}
            row.sort(key=lambda n, mean=mean: (round(mean[n], 6), n))  # type: ignore[misc]
            place |= dict(zip(row, _spread(row, 1000), strict=True))
    return rows[::-1]


def _is_stop(name: str) -> bool:
    return ">" in name


def _width(name: str) -> float:
    return 8 if _is_stop(name) else CHARACTER * len(_label(name)) + 16


def _label(name: str) -> str:
    return name.rpartition(".")[2]


def _spread(row: list[str], width: float) -> list[float]:
    """Centers of the boxes of a row, evenly over the width."""
    free = (width - sum(map(_width, row))) / (len(row) + 1)
    centers, x = [], free
    for name in row:
        centers.append(x + _width(name) / 2)
        x += _width(name) + free
    return centers


def picture(graph: Graph, title: str) -> str:
    """An SVG: who imports stands above what it imports; arrows that others imply are left out."""
    level, arrows = staged(graph)
    rows = rows_of(level, arrows)
    width = round(max(sum(_width(n) + GAP for n in row) + GAP for row in rows))
    height = 2 * GAP + BOX + (len(rows) - 1) * ROW
    at = {
        name: (x, GAP + BOX / 2 + i * ROW)
        for i, row in enumerate(rows)
        for name, x in zip(row, _spread(row, width), strict=True)
    }
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(title)}" '
        'font-family="DejaVu Sans Mono, monospace" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for name, other in arrows:
        (x, y), (u, v) = at[name], at[other]
        top = y if _is_stop(name) else y + BOX / 2
        end = v if _is_stop(other) else v - BOX / 2
        middle = (top + end) / 2
        lines.append(
            f'<path d="M{x:.0f} {top:.0f}C{x:.0f} {middle:.0f} {u:.0f} {middle:.0f} '
            f'{u:.0f} {end:.0f}" fill="none" stroke="#8a8a8a"/>'
        )
    for name, (x, y) in sorted(at.items()):
        if not _is_stop(name):
            lines += _box(name, x, y)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _box(name: str, x: float, y: float) -> list[str]:
    """A part, in the color of its package."""
    width = _width(name)
    return [
        f'<rect x="{x - width / 2:.0f}" y="{y - BOX / 2:.0f}" width="{width:.0f}" height="{BOX}" '
        f'rx="4" fill="{COLORS[name.split(".")[0]]}" stroke="#555555"/>',
        f'<text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle" fill="#111111">'
        f"{_label(name)}</text>",
    ]


def pictures() -> dict[str, str]:
    """File name to SVG."""
    graph = import_graph()
    theory = [name for name in graph if name.startswith("mitheory.")]
    above = [name for name in graph if not name.startswith("mitheory.")]
    return {
        "imports_mitheory.svg": picture(within(graph, theory), "Imports inside mitheory"),
        "imports_analysis.svg": picture(within(graph, above), "Imports above mitheory"),
    }


def flow_is_kept() -> bool:
    """Whether no import of the graph runs from a package to a later one."""
    order = dict(zip(PACKAGES, range(3), strict=True))
    edges = ((n, o) for n, others in import_graph().items() for o in others)
    return all(order[o.split(".")[0]] <= order[n.split(".")[0]] for n, o in edges)


if __name__ == "__main__":
    for file, svg in pictures().items():
        (IMAGES / file).write_text(svg, encoding="utf-8")
        print(f"docs/images/{file}")
