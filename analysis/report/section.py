"""The section of one claim."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .formatting import duration, p_value, percent, plain, words
from .html import Markup, tag
from .ledger import anchor
from .svg import inline
from .values import value
from .verdicts import Record, badge, corrected_line, decision, effect_line, region_line


def section(record: Record, folder: Path, seconds: float | None) -> Markup:
    """Statement, what was done, figure, number, meaning, caveats, and how to get it again.

    Parameters
    ----------
    record : a verdict of verdicts.json
    folder : of the audit, where the figures are
    seconds : what the claim took
    """
    name = decision(record)
    heading = tag("h2", words(record["claim"]), " ", badge(name))
    example = record["counter_example"]
    return tag(
        "section",
        heading,
        tag("p", record["statement"], tag("cite", record["source"]), class_="claim"),
        _because(record),
        _part("What it means for someone choosing a pruner", record["meaning"]),
        _part("What was done", record["how"]),
        _figure(record, folder),
        _part("The number", _numbers(record)),
        example and tag("aside", tag("h3", "A counter-example"), value(example)),
        _part("What this does not show", _list(record["caveats"])),
        _part("Secondary numbers", _diagnostics(record["diagnostics"])),
        _part("To reproduce", tag("pre", tag("code", record["command"]), tabindex=0)),
        seconds is not None and tag("p", f"{duration(seconds)} of processor time.", class_="time"),
        id=anchor(record),
        class_=f"claim-section {name}",
    )


def _part(title: str, content: Markup | str | None) -> Markup | None:
    if not content:
        return None
    body = content if isinstance(content, Markup) else tag("p", content)
    return tag("div", tag("h3", title), body, class_="part")


def _because(record: Record) -> Markup | None:
    """Why there is no verdict."""
    if record["error"]:
        lost = "It stopped with an error: " if record["reason"] else "The figure was not drawn: "
        return tag("p", tag("strong", lost), tag("code", record["error"]), class_="because")
    if record["reason"]:
        return tag("p", tag("strong", "Not assessed: "), record["reason"], class_="because")
    return None


def _figure(record: Record, folder: Path) -> Markup | None:
    if not record["figure"]:
        return None
    file = folder / record["figure"]
    if not file.is_file():
        return tag("p", f"The figure {record['figure']} is missing.", class_="because")
    label = f"Figure for {words(record['claim'])}: {record['statement']}"
    return tag("figure", Markup(inline(file, label=label)), tabindex=0)


def _numbers(record: Record) -> Markup | None:
    """The estimate, what it is held against, and what it rests on, as pairs."""
    effect, smallest, p = record["effect"], record["smallest_effect"], record["p_value"]
    pairs: list[tuple[str, object]] = []
    if effect is not None:
        line = (tag("strong", effect_line(record)), f" ({percent(effect['level'])} interval)")
        pairs.append((effect["name"], line))
    if (corrected := corrected_line(record)) is not None:
        pairs.append(("interval that decides", f"{corrected}, corrected for all claims (Holm)"))
    if smallest is not None:
        pairs.append(("the claim says", region_line(record)))
        pairs.append(("why this size", smallest["reason"]))
    if p is not None:
        pairs.append(("p-value", f"{p_value(p)}, against the border of the claim's region"))
    if record["checked"]:
        pairs.append(("instances checked", plain(record["checked"])))
    if record["reason"] is None:
        pairs.append(("n", f"{plain(record['n'])} {record['unit']}"))
        pairs.append(("method", record["method"]))
        pairs.append(("seed", str(record["seed"])))
    return tag("dl", [(tag("dt", k), tag("dd", v)) for k, v in pairs]) if pairs else None


def _list(items: list[str]) -> Markup | None:
    return tag("ul", [tag("li", item) for item in items]) if items else None


def _diagnostics(items: Mapping[str, object]) -> Markup | None:
    """Numbers in one table; each nested value under its own name."""
    if not items:
        return None
    nested = {k: v for k, v in items.items() if isinstance(v, Mapping | list | tuple) and v}
    flat = {k: v for k, v in items.items() if k not in nested}
    tables = [tag("div", tag("h4", words(k)), value(v), class_="nested") for k, v in nested.items()]
    return tag("div", value(flat) if flat else None, tables)
