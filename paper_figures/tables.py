"""Tables of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

import pandas as pd

from . import labels
from .claims import VERDICTS, Comparison

MARKS = {"agrees": "✓", "contradicts": "✗", "not settled": "○"}


def headline(table: pd.DataFrame) -> str:
    """Accuracy by method and budget, from the table of `accuracy_budget`."""
    budgets = sorted(set(table.loc[table["series"] != "full", "budget"]), reverse=True)
    ratio = table.drop_duplicates("budget").set_index("budget")["ratio"]
    head = "".join(
        f'<th scope="col">{b} tokens<br>({labels.percent(ratio[b])}%)</th>' for b in budgets
    )
    ranked = table[~table["series"].isin(["full", "oracle"])]
    best = ranked.groupby("budget")["estimate"].max()
    body = [
        _row(
            rows["label"].iloc[0],
            [_accuracy(rows[rows["budget"] == b], best[b], key) for b in budgets],
        )
        for key, rows in table[table["series"] != "full"].groupby("series", sort=False)
    ]
    return (
        f'<div class="scroll"><table><caption>{_caption(table)}</caption><thead><tr>'
        f'<th scope="col">method</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _caption(table: pd.DataFrame) -> str:
    text = (
        "Accuracy (%), with 95% intervals over scenes. Shaded: the highest estimate at a budget, "
        "the oracle aside, which knows the patches in question."
    )
    full = table[table["series"] == "full"]
    if full.empty:
        return escape(text)
    row = full.iloc[0]
    return escape(
        f"{text} With all {int(row['budget'])} tokens: {labels.points(row['estimate'])}% "
        f"{labels.interval(row['low'], row['high'])}."
    )


def _accuracy(rows: pd.DataFrame, best: float, key: object) -> str:
    if rows.empty:
        return "<td>–</td>"
    row = rows.iloc[0]
    mark = ' class="best"' if row["estimate"] == best and key != "oracle" else ""
    ends = labels.interval(row["low"], row["high"])
    return f"<td{mark}>{labels.points(row['estimate'])}<small>{ends}</small></td>"


def overview(named: Sequence[tuple[str, Sequence[Comparison]]]) -> str:
    """Each claim of the paper, and how many comparisons agree, contradict or settle nothing."""
    body = []
    for name, comparisons in named:
        for (claim, source), members in _grouped(comparisons, "claim", "source").items():
            counts = Counter(c.verdict for c in members)
            cells = [
                f'<td class="{_class(v)}">{MARKS[v]} {counts[v]}</td>'
                if counts[v]
                else "<td>–</td>"
                for v in VERDICTS
            ]
            link = f'<a href="#{name}">{escape(_capital(claim))}</a> '
            body.append(_row_html(f'{link}<span class="soft">({escape(source)})</span>', cells))
    head = "".join(
        f'<th scope="col" class="{_class(v)}">{MARKS[v]}<span class="wide"> {v}</span></th>'
        for v in VERDICTS
    )
    legend = ", ".join(f"{MARKS[v]} {v}" for v in VERDICTS)
    return (
        '<div class="scroll"><table><caption>Number of paired comparisons, by budget and kind of '
        f"question, that support each verdict ({legend}); the rule is under "
        '<a href="#method">How to read it</a>.</caption><thead><tr>'
        '<th scope="col">the paper says</th>'
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def comparisons(found: Sequence[Comparison]) -> str:
    """What the paper says of a figure and what was measured, budget by budget."""
    parts = []
    for (claim, source), members in _grouped(found, "claim", "source").items():
        budgets = sorted({c.budget for c in members}, reverse=True)
        head = "".join(f'<th scope="col">{b} tokens</th>' for b in budgets)
        rows = [
            _row(f"{first} minus {second}" + (f", {scope}" if scope else ""), _cells(row, budgets))
            for (first, second, scope), row in _grouped(members, "first", "second", "scope").items()
        ]
        parts.append(
            f"<h3>The paper says ({escape(source)}): {escape(claim)}</h3>"
            f'<p class="small">We measured: {_tally(members)}.</p>'
            '<div class="scroll"><table><thead><tr><th scope="col">difference (points)</th>'
            f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        )
    return "".join(parts)


def _tally(members: Sequence[Comparison]) -> str:
    counts = Counter(c.verdict for c in members)
    said = [
        f'<span class="verdict {_class(v)}">{MARKS[v]} {v}</span> in {counts[v]} of {len(members)}'
        for v in VERDICTS
        if counts[v]
    ]
    return ", ".join(said)


def _cells(row: Sequence[Comparison], budgets: Sequence[int]) -> list[str]:
    by_budget = {c.budget: c for c in row}
    cells = []
    for budget in budgets:
        if budget not in by_budget:
            cells.append("<td>–</td>")
            continue
        c = by_budget[budget]
        cells.append(
            f'<td title="{escape(c.sentence)}"><span class="verdict {_class(c.verdict)}">'
            f"{MARKS[c.verdict]} {labels.points(c.estimate, sign=True)}</span>"
            f"<small>{labels.interval(c.low, c.high, sign=True)}</small></td>"
        )
    return cells


def _grouped(found: Sequence[Comparison], *names: str) -> dict[tuple[str, ...], list[Comparison]]:
    groups: dict[tuple[str, ...], list[Comparison]] = {}
    for comparison in found:
        key = tuple(getattr(comparison, name) for name in names)
        groups.setdefault(key, []).append(comparison)
    return groups


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] if text[:1].isascii() else text


def _class(verdict: str) -> str:
    return verdict.replace(" ", "-")


def _row(label: str, cells: Sequence[str]) -> str:
    return _row_html(escape(label), cells)


def _row_html(label: str, cells: Sequence[str]) -> str:
    return f'<tr><th scope="row">{label}</th>{"".join(cells)}</tr>'
