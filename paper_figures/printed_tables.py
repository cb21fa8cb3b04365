"""A table of the paper beside ours: printed cells with their checks, measured cells in columns of
their own, as a tidy table and from it as a picture, HTML and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.reference.cells import Key, printed_cells, printed_errors
from analysis.reference.checks import Check, run_checks
from mitheory.errors import MissingInputError

from . import labels, style
from .results import Results, Scene
from .spec import FigureSpec

COLUMNS = [
    "side", "column", "block", "method", "text", "value", "low", "high", "error", "note",
]  # fmt: skip
# what of ours stands beside a printed method, and which of our shares of tokens beside its budget
OURS = {
    "Full": "full",
    "Random": "random",
    "Similarity": "similarity:max",
    "Attention": "attention",
    "MI-Attention": "mi_attention",
    "MI-Pruner": "mi_pruner",
    "MI-Pruner(lambda=1)": "mi_pruner:1",
    "MI-Pruner(lambda=0.5)": "mi_pruner:0.5",
    "CDPruner": "cdpruner",
    "VisionZip": "visionzip",
    "VisPruner": "vispruner",
    "FastV": "fastv@2",
    "SparseVLM": "sparsevlm@1,2,3",
    "DART": "dart@2",
}
SHARES = {
    "full": 1.0, "50%": 1 / 2, "25%": 1 / 4, "128": 1 / 4, "64": 1 / 9, "32": 1 / 18,
    "227": 1 / 9, "114": 1 / 18,
}  # fmt: skip
TINT = "#e6f0f7"
OURS_HEADING = "Ours: fruit-fly"
AGAIN_HEADING = "Measured by mitheory evaluate"
AGAIN = " here"  # behind the heading of a column that was measured on the paper's own models
TIMED_HEADING = "Full size, random weights"
TIMED = " timed"  # and of one that was timed on models of their size
WITH_INTERVAL = 1.25
"""Width of our columns in printed ones, where there are too many for an interval in one."""
Row = Mapping[Any, Any]
Measure = Callable[[Results], pd.DataFrame]  # columns key, ratio, column, text, value, low, high


def data_of(
    number: int,
    metrics: Mapping[str, str],
    measure: Measure,
    keys: Mapping[str, str] = OURS,
    *,
    beside: Sequence[str] = (),
) -> Callable[[Results], pd.DataFrame]:
    """The `data` of a table.

    Parameters
    ----------
    number : of the table in the paper
    metrics : heading of each printed metric, in the order of the columns
    measure : what of ours stands beside them
    keys : key of ours by the method as printed
    beside : models beside whose rows ours stand; all without

    Returns
    -------
    Results -> DataFrame
        `COLUMNS`; ``side`` is "printed", "ours" or "check", a disagreement of the printed numbers
        with the rest of the paper.
    """

    def data(results: Results) -> pd.DataFrame:
        rows = printed(number, metrics)
        if found := measured_again(results, number, metrics):
            rows += [*found, *(_as_row(check) for check in disagreements(number))]
            again = pd.DataFrame(rows, columns=COLUMNS)
            return again.assign(block=again["block"].str.replace(r"; ours: .*", "", regex=True))
        measured = measure(results)
        order = list(dict.fromkeys((k.model, k.keep, k.method) for k in _keys(number, metrics)))
        for model, keep, method in order:
            if beside and model not in beside:
                continue
            is_here = (measured["key"] == keys.get(method, "")) & (
                (measured["ratio"] - SHARES[keep]).abs() < 1e-3
            )
            rows += [
                {
                    "side": "ours",
                    "block": block(number, model, keep),
                    "method": method,
                    "error": "",
                    "note": "",
                }
                | {name: row[name] for name in ("column", "text", "value", "low", "high")}
                for row in measured[is_here].to_dict("records")
            ]
        if not any(row["side"] == "ours" for row in rows):
            raise MissingInputError(f"this run holds nothing that stands beside Tab. {number}")
        rows += [_as_row(check) for check in disagreements(number)]
        return pd.DataFrame(rows, columns=COLUMNS)

    data.__module__ = measure.__module__  # whose code it is drawn by
    return data


def measured_again(
    results: Results, number: int, metrics: Mapping[str, str]
) -> list[dict[str, object]]:
    """What `mitheory evaluate --table` measured on the paper's own models, or `benchmarks.mllm` on
    models of their size; it stands beside the printed numbers in place of the fruit-fly."""
    name = f"tab{number}.csv"
    path, mark = results.file(f"evaluate/{name}") or results.file(name), AGAIN
    if path is None:
        path, mark = results.file(f"benchmarks/mllm/{name}"), TIMED
    if path is None:
        return []
    table = pd.read_csv(path, dtype={"keep": str})
    known = {(key.model, key.keep, key.method, key.metric): key for key in _keys(number, metrics)}
    rows: list[dict[str, object]] = []
    for row in table.to_dict("records"):
        place = (row["model"], row["keep"], row["method"], row["metric"])
        if place not in known:
            continue
        digits = len(printed_cells()[known[place]].text.partition(".")[2])
        rows.append(
            {"side": "ours", "column": metrics[row["metric"]] + mark,
             "block": block(number, row["model"], row["keep"]), "method": row["method"],
             "text": f"{row['value']:.{digits}f}", "value": row["value"], "low": row["low"],
             "high": row["high"], "error": "", "note": ""}
        )  # fmt: skip
    return rows


def heading(table: pd.DataFrame) -> str:
    """What stands over the right columns."""
    if is_marked(table, TIMED):
        return TIMED_HEADING
    return AGAIN_HEADING if is_marked(table, AGAIN) else OURS_HEADING


def is_marked(table: pd.DataFrame, mark: str) -> bool:
    """Whether all right columns are of the paper's models, `AGAIN`, or of their size, `TIMED`."""
    ours = table.loc[table["side"] == "ours", "column"]
    return bool(len(ours)) and bool(ours.str.endswith(mark).all())


def printed(number: int, metrics: Mapping[str, str]) -> list[dict[str, object]]:
    """The printed cells of a table as rows, those that cannot be right with what can."""
    wrong = {check.where: check for check in disagreements(number)}
    cells, errors = printed_cells(), printed_errors()
    rows: list[dict[str, object]] = []
    for key in _keys(number, metrics):
        check = wrong.get(key.where)
        rows.append(
            {
                "side": "printed",
                "column": metrics[key.metric],
                "block": block(number, key.model, key.keep),
                "method": key.method,
                "text": cells[key].text,
                "value": cells[key].value,
                "low": None,
                "high": None,
                "error": errors.get(key, ""),
                "note": f"the rest of the paper leaves {check.recomputed}" if check else "",
            }
        )
    return rows


def _keys(number: int, metrics: Mapping[str, str]) -> list[Key]:
    return [key for key in printed_cells() if key.table == number and key.metric in metrics]


def block(number: int, model: str, keep: str) -> str:
    """Heading of the rows of a budget: what the paper keeps, and which share stands beside it.

    Examples
    --------
    >>> block(1, "LLaVA1.5-7B", "64"), block(2, "Qwen3VL-2B", "50%")
    ('LLaVA1.5-7B, keep 64; ours: 11%', 'Qwen3VL-2B, keep 50%; ours: 50%')
    >>> block(1, "LLaVA1.5-7B", "full")
    'LLaVA1.5-7B, all tokens; ours: all'
    """
    if keep == "full":
        return f"{model}, all tokens; ours: all"
    return f"{model}, keep {keep}; ours: {labels.percent(SHARES[keep])}%"


def disagreements(number: int) -> list[Check]:
    """Checks about a table of the paper that fail.

    Examples
    --------
    >>> len(disagreements(8)), disagreements(10)[0].recomputed
    (0, '74.530')
    """
    about = re.compile(rf"Tab\. {number}\b")
    return [check for check in run_checks() if not check.agrees and about.search(check.where)]


def _as_row(check: Check) -> dict[str, object]:
    text = f"{check.where}: printed {check.printed}; the rest of the paper leaves: "
    return {
        "side": "check", "column": check.family, "block": "", "method": "",
        "text": text + check.recomputed, "value": None, "low": None, "high": None,
        "error": "", "note": check.grade,
    }  # fmt: skip


def percent_cell(row: Row) -> dict[str, object]:
    """Estimate and ends of an accuracy as a measured cell, in per cent."""
    ends = {name: 100 * float(str(row[name])) for name in ("estimate", "low", "high")}
    return {
        "text": f"{ends['estimate']:.1f}", "value": ends["estimate"],
        "low": ends["low"], "high": ends["high"],
    }  # fmt: skip


# --- what is drawn ----------------------------------------------------------------------------


def shape(table: pd.DataFrame) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Columns as (side, heading), printed first, and rows as (block, method), in their order."""
    cells = table[table["side"].isin(["printed", "ours"])]
    columns = [
        (side, str(column))
        for side in ("printed", "ours")
        for column in dict.fromkeys(cells.loc[cells["side"] == side, "column"])
    ]
    rows = list(dict.fromkeys(zip(cells["block"], cells["method"], strict=True)))
    blocks = list(dict.fromkeys(block for block, _ in rows))
    return columns, sorted(rows, key=lambda row: blocks.index(row[0]))


def _cells(table: pd.DataFrame) -> dict[tuple[str, str, str, str], Row]:
    """Rows by (side, column, block, method)."""
    return {
        (row["side"], row["column"], row["block"], row["method"]): row
        for row in table[table["side"].isin(["printed", "ours"])].to_dict("records")
    }


def _is_flagged(row: Row) -> bool:
    return row["side"] == "printed" and bool(row["note"])


def ends_of(row: Row) -> str:
    """An interval, with as many decimals as the number, or a printed ±; empty without either.

    Examples
    --------
    >>> ends_of({"text": "52.3", "low": 48.06, "high": 56.4, "error": ""})
    '48.1–56.4'
    >>> ends_of({"text": "30.46", "low": None, "high": None, "error": "7.58"})
    '±7.58'
    """
    if row["error"]:
        return f"±{row['error']}"
    if row["low"] is None or pd.isna(row["low"]):
        return ""
    digits = len(str(row["text"]).partition(".")[2])
    return f"{row['low']:.{digits}f}–{row['high']:.{digits}f}".replace("-", "−")


def method_label(method: str) -> str:
    """A printed method as it is written here.

    Examples
    --------
    >>> method_label("MI-Pruner(tau=0.1)"), method_label("Full")
    ('MI-Pruner (τ = 0.1)', 'All tokens')
    """
    text = method.replace("Full", "All tokens").replace("(", " (").replace("=", " = ")
    return text.replace("lambda", "λ").replace("tau", "τ")


def draw(table: pd.DataFrame, scenes: Mapping[str, Scene] | None = None) -> Figure:
    """Printed columns on white, ours on blue behind a double rule; small: intervals."""
    columns, rows = shape(table)
    cells = _cells(table)
    lines: list[tuple[str, str]] = []  # (block, method), or (block, "") for its heading
    for place in rows:
        if not lines or lines[-1][0] != place[0]:
            lines.append((place[0], ""))
        lines.append(place)
    figure = style.new_figure(style.PAGE, min(9.2, 0.2 * len(lines) + 0.75))
    ax = figure.subplots()
    n_printed = sum(side == "printed" for side, _ in columns)
    scale = min(1.0, 15 / len(columns))  # of small print
    edges = _edges(columns, WITH_INTERVAL if scale < 1 else 1.0)
    centers = [(a + b) / 2 for a, b in pairwise(edges)]
    border, end = edges[n_printed], edges[-1]
    wide = 0.23 * end  # of the column of methods
    middles = ((edges[0] + border) / 2, (border + end) / 2)
    _header(ax, columns, centers, middles, scale, heading(table))
    ax.add_patch(Rectangle((border, -2.6), end - border, len(lines) + 2.1, color=TINT, zorder=0))
    for x in (border, border + 0.0025 * (end + wide)):
        ax.plot([x, x], [-2.6, len(lines) - 0.5], color="#444444", linewidth=0.6)
    for y, (name, method) in enumerate(lines):
        if not method:
            ax.text(-0.1 - wide, y + 0.1, name, fontsize=6.2, style="italic", va="center")
            ax.plot([-0.1 - wide, end], [y - 0.5] * 2, color="#999999", lw=0.5)
            continue
        ax.text(-0.1 - wide, y, method_label(method), fontsize=6.5, va="center")
        for x, (side, column) in zip(centers, columns, strict=True):
            _cell(ax, x, y, cells.get((side, column, name, method)), scale)
    ax.set_xlim(-0.15 - wide, end + 0.05)
    ax.set_ylim(len(lines) - 0.4, -2.6)
    ax.axis("off")
    return figure


def _edges(columns: Sequence[tuple[str, str]], of_ours: float) -> list[float]:
    """Where columns begin, and the last one ends: printed ones 1 wide."""
    edges = [0.0]
    for side, _ in columns:
        edges.append(edges[-1] + (1.0 if side == "printed" else of_ours))
    return edges


def _header(
    ax: Axes,
    columns: Sequence[tuple[str, str]],
    centers: Sequence[float],
    middles: tuple[float, float],
    scale: float,
    right: str,
) -> None:
    for x, text in zip(middles, ("Printed in the paper", right), strict=True):
        ax.text(x, -2.2, text, ha="center", va="center", fontsize=7, fontweight="bold")
    for x, (_, column) in zip(centers, columns, strict=True):
        text = column.replace("-", "-\n").replace(" ", "\n")
        ax.text(x, -1.1, text, ha="center", va="center", fontsize=5.8 * scale)


def _cell(ax: Axes, x: float, y: int, row: Row | None, scale: float) -> None:
    if row is None:
        ax.text(x, y, "–", ha="center", va="center", fontsize=6.2, color=style.GRAY)
        return
    ends = ends_of(row)
    text = f"{row['text']}†" if _is_flagged(row) else str(row["text"])
    ax.text(
        x, y - (0.16 if ends else 0), text, ha="center", va="center", fontsize=6.2 * scale,
        color="#a83200" if _is_flagged(row) else "black",
    )  # fmt: skip
    ax.text(x, y + 0.26, ends, ha="center", va="center", fontsize=4.2 * scale, color="#333333")


def html(table: pd.DataFrame) -> str:
    """The table for the page, and under it every disagreement."""
    columns, rows = shape(table)
    cells = _cells(table)
    n_printed = sum(side == "printed" for side, _ in columns)
    head = "".join(
        f'<th scope="col"{_class(side)}>{escape(column)}</th>' for side, column in columns
    )
    body, above = [], ""
    for name, method in rows:
        if name != above:
            body.append(
                f'<tr><th scope="rowgroup" class="left soft" colspan="{len(columns) + 1}">'
                f"{escape(name)}</th></tr>"
            )
            above = name
        found = [_html_cell(side, cells.get((side, c, name, method))) for side, c in columns]
        label = escape(method_label(method))
        body.append(f'<tr><th scope="row">{label}</th>{"".join(found)}</tr>')
    notes = "".join(f"<li>{escape(text)}</li>" for text in table[table["side"] == "check"]["text"])
    right = f'<th class="ours" colspan="{len(columns) - n_printed}">{heading(table)}</th>'
    return (
        f'<div class="scroll"><table><thead><tr><th></th><th colspan="{n_printed}">Printed in the '
        f"paper</th>{right}</tr>"
        f'<tr><th scope="col">method</th>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
        "</div>" + (f'<ul class="small">{notes}</ul>' if notes else "")
    )


def _class(side: str) -> str:
    return ' class="ours"' if side == "ours" else ""


def _html_cell(side: str, row: Row | None) -> str:
    if row is None:
        return f"<td{_class(side)}>–</td>"
    if _is_flagged(row):
        return f'<td title="{escape(str(row["note"]))}">{escape(str(row["text"]))}†</td>'
    ends = ends_of(row)
    small = f"<small>{ends}</small>" if ends else ""
    return f"<td{_class(side)}>{escape(str(row['text']))}{small}</td>"


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"$<$", ">": r"$>$", "|": r"$|$",
    "†": r"\textdagger{}", "λ": r"$\lambda$", "τ": r"$\tau$", "−": r"$-$", "±": r"$\pm$",
    "–": "--", "×": r"$\times$", "’": "'",
}  # fmt: skip


def tex(text: str) -> str:
    r"""Text with what is special to LaTeX, or not ASCII, written out.

    Examples
    --------
    >>> tex("50% of N_V, λ = 1")
    '50\\% of N\\_V, $\\lambda$ = 1'
    """
    return "".join(LATEX.get(letter, letter) for letter in text)


def latex(table: pd.DataFrame) -> str:
    """A booktabs table: printed columns, then ours under their own rule."""
    columns, rows = shape(table)
    cells = _cells(table)
    n, n_printed = len(columns), sum(side == "printed" for side, _ in columns)
    lines = [
        "% needs booktabs",
        rf"\begin{{tabular}}{{l{'r' * n_printed}@{{\quad\vrule\quad}}{'r' * (n - n_printed)}}}",
        r"\toprule",
        rf" & \multicolumn{{{n_printed}}}{{c}}{{Printed in the paper}} & "
        rf"\multicolumn{{{n - n_printed}}}{{c}}{{{tex(heading(table))}}} \\",
        rf"\cmidrule(lr){{2-{n_printed + 1}}} \cmidrule(lr){{{n_printed + 2}-{n + 1}}}",
        " & ".join(["Method", *(tex(column) for _, column in columns)]) + r" \\",
    ]
    above = ""
    for name, method in rows:
        if name != above:
            lines += [r"\midrule", rf"\multicolumn{{{n + 1}}}{{l}}{{\emph{{{tex(name)}}}}} \\"]
            above = name
        found = [_latex_cell(cells.get((side, c, name, method))) for side, c in columns]
        lines.append(" & ".join([tex(method_label(method)), *found]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = table.loc[table["side"] == "check", "text"]
    lines += [rf"\par\footnotesize {tex(text)}" for text in notes]
    return "\n".join(lines) + "\n"


def _latex_cell(row: Row | None) -> str:
    if row is None:
        return "--"
    if _is_flagged(row):
        return tex(f"{row['text']}†")
    ends = ends_of(row)
    return tex(str(row["text"])) + (rf" {{\tiny {tex(ends)}}}" if ends else "")


def caption_of(number: int, about: str) -> Callable[[pd.DataFrame], str]:
    """The caption: what ours are, and how many printed numbers cannot be right."""

    def caption(table: pd.DataFrame) -> str:
        ours, checks = table[table["side"] == "ours"], table[table["side"] == "check"]
        flagged = table[(table["side"] == "printed") & (table["note"] != "")]
        said = (
            f"{len(checks)} checks of this table against itself and the rest of the paper fail, "
            f"{len(flagged)} of its cells are marked †."
            if len(checks)
            else "No check of this table against the rest of the paper fails."
        )
        if is_marked(table, AGAIN):
            return (
                f"Left: Tab. {number} as printed. Right, tinted: {len(ours)} of its cells measured "
                f"again by `mitheory evaluate --table {number}`; 95% intervals over images, none "
                f"for means over draws. {said}"
            )
        measured = "Nothing was" if ours.empty else f"{len(ours)} cells were"
        return (
            f"Left: Tab. {number} as printed, for models that were not run here. Right, tinted: "
            f"the fruit-fly, another and far smaller model on other questions, so that heights "
            f"cannot be compared. {about} {measured} measured. {said}"
        )

    return caption


def spec(
    number: int,
    title: str,
    data: Callable[[Results], pd.DataFrame],
    about: str,
) -> FigureSpec:
    """A table of the paper as a figure of the page."""
    return FigureSpec(
        name=f"tab{number}",
        title=title,
        source=f"Tab. {number}",
        data=data,
        draw=draw,
        caption=caption_of(number, about),
        printed="The left columns are the paper's digits, as transcribed; none of them is ours.",
        ids=(f"tab{number}",),
        latex=latex,
        html=html,
    )
