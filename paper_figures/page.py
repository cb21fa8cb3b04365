"""index.html: what was measured, what the paper says, and where every number comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import pandas as pd

from . import tables
from .claims import RULE
from .results import Results

if TYPE_CHECKING:
    from .render import Rendered
    from .spec import FigureSpec

TITLE = "MI-Pruner and its peers, measured"
GRID_TITLE = "A grid, measured"
HEADLINE = "accuracy_budget"
HEADINGS = ("The paper, in its order", "Beyond the paper")
GRID_HEADINGS = ("Beside the paper", "The grid")
GRID_READING = (
    "A cell is a method with its options at a budget; all cells of a model and data set answer the "
    "same questions. Questions that failed are left out and counted. The unit of resampling is "
    "the image, as questions about one image are not independent. An interval of length 0 says "
    "that all answers agreed, not that the value is certain. Rows are in results.parquet, "
    "differences in compared.csv, and what a benchmark reports in scores.csv where one was run."
)
KINDS = {"pdf": "PDF", "png": "PNG", "csv": "CSV", "tex": "LaTeX"}
HINT = '<span class="hint">Swipe the figure sideways, or tap it for the whole of it.</span>'


def html(rendered: Sequence[Rendered], results: Results, *, folder: str, audit: str = "") -> str:
    """The page.

    Parameters
    ----------
    rendered : all figures, drawn or missing
    results : for the options and the provenance of the run
    folder : where the figures are, seen from the page
    audit : the audit's verdicts in short; empty where there was none
    """
    is_grid = results.grid is not None
    drawn = [figure for figure in rendered if figure.is_drawn]
    missing = [figure for figure in rendered if not figure.is_drawn]
    parts = [
        _glance(drawn),
        _section("audit", "The audit: every claim as a test", audit) if audit else "",
        *_figures(drawn, folder, GRID_HEADINGS if is_grid else HEADINGS),
        _missing(missing),
        _section("method", "How to read it", f"<p>{escape(GRID_READING)}</p>")
        if is_grid
        else _method(folder),
        _provenance(results),
    ]
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(GRID_TITLE if is_grid else TITLE),
        subtitle=_subtitle(results),
        contents=_contents(drawn, has_missing=bool(missing), has_audit=bool(audit)),
        body="\n".join(part for part in parts if part),
    )


def _subtitle(results: Results) -> str:
    run, origin = results.run.get("run", {}), results.run.get("provenance", {})
    if results.grid is not None:
        return _grid_subtitle(results.grid, origin)
    table = results.table
    words = [
        f"{table['sample_id'].nunique():,} questions about {table['image_id'].nunique():,} scenes"
    ]
    if run.get("model"):
        words.append(f"model {run['model']}, split {run.get('split', 'unknown')}")
    if run.get("quick"):
        words.append("quick run: fewer questions and settings, wider intervals")
    if origin.get("created"):
        words.append(str(origin["created"])[:10])
    return escape(" · ".join(words))


def _grid_subtitle(rows: pd.DataFrame, origin: Mapping[str, Any]) -> str:
    sources = rows[[name for name in ("model", "dataset", "split") if name in rows]]
    words = [
        f"{rows['cell'].nunique():,} cells",
        ", ".join(sources["dataset"].unique()),
        f"model {', '.join(sources['model'].unique())}",
        *([str(origin["created"])[:10]] if origin.get("created") else []),
    ]
    return escape(" · ".join(words))


def _contents(drawn: Iterable[Rendered], *, has_missing: bool, has_audit: bool) -> str:
    entries = [("audit", "The audit")] if has_audit else []
    entries += [(figure.spec.name, _numbered(figure.spec)) for figure in drawn]
    entries += [("missing", "Not drawn")] if has_missing else []
    entries += [("method", "How to read it"), ("provenance", "Provenance")]
    return "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title in entries)


def _glance(drawn: Sequence[Rendered]) -> str:
    """The headline table and the claims in short."""
    parts = []
    for figure in drawn:
        if figure.spec.name == HEADLINE:
            parts.append(figure.html)
    named = [(figure.spec.name, figure.comparisons) for figure in drawn if figure.comparisons]
    if named:
        parts.append("<h3>What the paper says, what we measured</h3>" + tables.overview(named))
    return _section("glance", "At a glance", *parts) if parts else ""


def _numbered(spec: FigureSpec) -> str:
    """The title, after its numbers in the paper.

    Examples
    --------
    >>> from .registry import FIGURES
    >>> _numbered(FIGURES["kept_patches"]), _numbered(FIGURES["all_methods"])
    ('Figs. 1, 5: What is kept', 'Every method on one model')
    """
    if not spec.ids:
        return spec.title
    kind = {"fig": "Fig", "tab": "Tab"}[spec.ids[0][:3]]
    many = "s" if len(spec.ids) > 1 else ""
    return f"{kind}{many}. {', '.join(number[3:] for number in spec.ids)}: {spec.title}"


def _figures(drawn: Sequence[Rendered], folder: str, headings: tuple[str, str]) -> Iterator[str]:
    """Those of the paper, then ours, each under its heading."""
    for heading, is_ours in zip(headings, (False, True), strict=True):
        group = [figure for figure in drawn if is_ours is not bool(figure.spec.ids)]
        if group:
            yield f'<h2 class="group">{heading}</h2>'
        yield from (_figure(figure, folder) for figure in group)


def _figure(figure: Rendered, folder: str) -> str:
    spec = figure.spec
    stem = f"{folder}/{spec.name}"
    links = " · ".join(
        f'<a href="{stem}.{kind}">{KINDS[kind]}</a>' for kind in KINDS if kind in spec.kinds
    )
    stale = f"<strong>{escape(figure.state)}.</strong> " if figure.state.startswith("stale") else ""
    hint = "" if _is_table(figure) else HINT
    return _section(
        spec.name,
        _numbered(spec),
        f'<p class="small soft">{stale}Beside {escape(spec.source)} of the paper · '
        f"{links}{hint}</p>",
        f"<figure>{_shown(figure, stem)}"
        f"<figcaption><p>{escape(figure.caption)}</p></figcaption></figure>",
        f'<p class="small soft">{escape(spec.printed)}</p>',
        tables.comparisons(figure.comparisons),
    )


def _is_table(figure: Rendered) -> bool:
    return bool(figure.html) and figure.spec.name != HEADLINE


def _shown(figure: Rendered, stem: str) -> str:
    """A table as text, anything else as its picture."""
    if _is_table(figure):
        return figure.html
    return (
        f'<a class="picture" href="{stem}.png"><img src="{stem}.png" loading="lazy" '
        f'alt="{escape(figure.spec.title)}: the numbers are in {stem}.csv"></a>'
    )


def _missing(missing: Sequence[Rendered]) -> str:
    if not missing:
        return ""
    items = "".join(
        f"<li><strong>{escape(figure.spec.title)}</strong> ({escape(figure.spec.source)}): "
        f"{escape(figure.reason)}</li>"
        for figure in missing
    )
    return _section("missing", "Not drawn", f"<ul>{items}</ul>")


def _method(folder: str) -> str:
    text = (
        "Accuracy is the share of questions whose one-word answer is the true word. The unit of "
        "resampling is the scene, as questions about one scene are not independent. Random is "
        "averaged over its draws. Open-ended questions ask for a color, digit, relation, "
        "background or number; closed-form ones for yes or no, or one of the options in the "
        "prompt. The paper and this run share the method, not the model or the questions: shapes "
        "can be compared, heights cannot. An interval of length 0 says that all answers "
        "agreed, not that the value is certain."
    )
    return _section(
        "method",
        "How to read it",
        f"<p>{escape(text)}</p><p>{escape(RULE)}</p>"
        f'<p class="small">All comparisons: <a href="{folder}/comparisons.csv">CSV</a>.</p>',
    )


def _provenance(results: Results) -> str:
    fields = _flat(results.run)
    if not fields:
        return _section("provenance", "Provenance", "<p>This run left no run.json.</p>")
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in fields)
    return _section("provenance", "Provenance", f"<dl>{rows}</dl>")


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as dotted names; what is None is left out."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{key}.")
        elif value is not None:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            found.append((f"{prefix}{key}", text))
    return found


def _section(name: str, title: str, *parts: str) -> str:
    return f'<section id="{name}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'
