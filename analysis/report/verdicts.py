"""Decisions in words: what a badge says, what a verdict's numbers say, what all of them come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .formatting import estimate, percent, quantity
from .html import Markup, tag

Record = Mapping[str, Any]

# decision -> mark, what it says of the claim
DECISIONS = {
    "verified": ("✓", "no instance contradicts it"),
    "holds": ("✓", "the whole interval lies inside the claim's region"),
    "inconclusive": ("?", "the interval crosses the border of the claim's region"),
    "violated": ("✕", "the whole interval lies outside the claim's region"),
    "refuted": ("✕", "a counter-example was found"),
    "unassessed": (
        "–",
        "the input does not allow a verdict; the reason is in the claim's section",
    ),
    "error": ("!", "the claim stopped with an error; the others did not"),
}
REGIONS = {
    "negligible": "|effect| < {}",
    "at_least": "effect ≥ {}",
    "at_most": "effect < {}",
}


def decision(record: Record) -> str:
    """The record's decision; "error" if an error left none. A lost figure leaves the decision."""
    failed = record["error"] and record["decision"] == "unassessed"
    return "error" if failed else str(record["decision"])


def badge(name: str) -> Markup:
    """Mark and word, so that color is not all there is."""
    mark, meaning = DECISIONS[name]
    return tag("span", tag("span", mark, aria_hidden="true"), f" {name}",
               class_=f"badge {name}", title=meaning)  # fmt: skip


def effect_line(record: Record) -> str:
    """The effect with its 95% interval, as text.

    Examples
    --------
    >>> effect_line({"effect": None})
    ''
    """
    effect = record["effect"]
    if effect is None:
        return ""
    return estimate(effect["value"], effect["low"], effect["high"], effect["unit"])


def corrected_line(record: Record) -> str | None:
    """The interval that decides, where it is not the 95% one."""
    effect = record["effect"]
    if effect is None or effect["level_corrected"] <= effect["level"]:
        return None
    ends = effect["low_corrected"], effect["high_corrected"]
    line = estimate(effect["value"], *ends, effect["unit"])
    return f"{line[line.index('[') :]} at {percent(effect['level_corrected'])}"


def region_line(record: Record) -> str | None:
    """What the claim says of the effect."""
    smallest = record["smallest_effect"]
    if smallest is None:
        return None
    return REGIONS[smallest["region"]].format(quantity(smallest["value"], smallest["unit"]))


def summary(records: Sequence[Record]) -> str:
    """Counts of decisions in a paragraph.

    Examples
    --------
    >>> rows = [{"decision": d, "error": None} for d in ("refuted", "holds", "holds")]
    >>> summary(rows)
    'Of 3 claims, 1 is refuted by a counter-example. On these data 2 hold.'
    """
    if not records:
        return "No claim was asked for."
    counts = Counter(decision(record) for record in records)
    exact = [
        _count(counts["verified"], "is verified", "are verified"),
        _count(counts["refuted"], "is refuted by a counter-example",
               "are refuted by counter-examples"),
    ]  # fmt: skip
    measured = [
        _count(counts["holds"], "holds", "hold"),
        _count(counts["violated"], "is violated", "are violated"),
        _count(counts["inconclusive"], "stays inconclusive", "stay inconclusive"),
    ]
    rest = [
        _count(counts["unassessed"], "could not be assessed", "could not be assessed"),
        _count(counts["error"], "stopped with an error", "stopped with an error"),
    ]
    total = f"Of {len(records)} claim{'s' * (len(records) > 1)}, "
    sentences = [_join(exact), _join(measured), _join(rest)]
    if sentences[1]:
        sentences[1] = f"on these data {sentences[1]}"
    said = [sentence for sentence in sentences if sentence]
    return total + ". ".join([said[0], *(s[0].upper() + s[1:] for s in said[1:])]) + "."


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}" if n else ""


def _join(parts: Sequence[str]) -> str:
    said = [part for part in parts if part]
    return f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else "".join(said)
