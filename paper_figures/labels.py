"""Labels derived from the fields of a row, so that none can say another thing than its data."""

from __future__ import annotations

from collections.abc import Iterable

from mitheory.models.fruitfly.questions import CLOSED_TYPES, OPEN_TYPES
from mitheory.plot.labels import (
    METHODS,
    percent,
    placed,
    placed_label,
    series,
    series_label,
    series_rank,
)

__all__ = [
    "AGGREGATIONS", "CONDITIONALS", "FORMS", "FORM_LABELS", "FORM_OF", "METHODS", "interval",
    "percent", "placed", "placed_label", "points", "question_label", "question_types", "series",
    "series_label", "series_rank",
]  # fmt: skip

AGGREGATIONS = {
    "max": "max (Eqs. 19–20)",
    "kl+global": "KL (Eq. 21)",
    "kl": "KL, relevance only",
    "mean": "plain mean",
    "lse": "log-sum-exp",
}
CONDITIONALS = {
    "softmax": "softmax (Eq. 16)",
    "minmax": "MinMax (Eqs. 52–53)",
    "joint": "joint softmax",
    "softmax_over_vision": "softmax over vision",
    "sinkhorn": "Sinkhorn",
}
FORMS = {"open": OPEN_TYPES, "closed": CLOSED_TYPES}
FORM_LABELS = {"open": "open-ended", "closed": "closed-form"}
FORM_OF = {question: form for form, types in FORMS.items() for question in types}


def points(value: float, *, sign: bool = False) -> str:
    """A share, or a difference of shares, in percentage points; the minus is a minus.

    Examples
    --------
    >>> points(0.5234), points(-0.031, sign=True), points(0.0, sign=True), points(-0.0001)
    ('52.3', '−3.1', '0.0', '0.0')
    >>> points(0.0004, sign=True)  # a difference keeps its sign, which decides the verdict
    '+0.04'
    """
    text = f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}"
    if sign and value and float(text) == 0:
        text = f"{100 * value:+.2f}"
    elif float(text) == 0:
        return "0.0"
    return text.replace("-", "−")


def interval(low: float, high: float, *, sign: bool = False) -> str:
    """Ends of an interval in percentage points.

    Examples
    --------
    >>> interval(0.01, 0.05, sign=True), interval(0.4, 0.5)
    ('[+1.0, +5.0]', '[40.0, 50.0]')
    """
    return f"[{points(low, sign=sign)}, {points(high, sign=sign)}]"


def question_label(question_type: str) -> str:
    """A question type in words.

    Examples
    --------
    >>> question_label("multiple_choice")
    'multiple choice'
    """
    return question_type.replace("_", " ")


def question_types(present: Iterable[str]) -> list[str]:
    """The types among `present`, open-ended first, in the order of the model's own list.

    Examples
    --------
    >>> question_types({"existence", "digit", "color"})
    ['color', 'digit', 'existence']
    """
    known = set(present)
    return [t for t in (*OPEN_TYPES, *CLOSED_TYPES) if t in known]
