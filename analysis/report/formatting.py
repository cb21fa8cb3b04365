"""Numbers as a person reads them: no digit that the interval cannot carry, units with a meaning."""

from __future__ import annotations

import math

MINUS, DASH = "−", "–"
# what a unit is multiplied by, and what is written behind the number
UNITS: dict[str, tuple[float, str]] = {
    "share": (100.0, "%"),
    "ratio": (1.0, ""),
    "": (1.0, ""),
}


def decimals(error: float, *, digits: int = 2) -> int:
    """Decimals that show `digits` significant digits of an error.

    Examples
    --------
    >>> decimals(0.034), decimals(2.7), decimals(340.0)
    (3, 1, 0)
    """
    return max(0, digits - 1 - math.floor(math.log10(error)))


def plain(value: float, digits: int = 3) -> str:
    """A number by itself, to `digits` significant digits; whole numbers in full.

    Examples
    --------
    >>> plain(0.12345), plain(0.1), plain(-1234567), plain(1e-7), plain(0.0), plain(float("inf"))
    ('0.123', '0.1', '−1,234,567', '1×10⁻⁷', '0', '∞')
    """
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", MINUS)
    size = math.floor(math.log10(abs(value)))
    if -4 <= size < 6:
        shown = f"{value:,.{max(0, digits - 1 - size)}f}"
        shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
        return shown.replace("-", MINUS)
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}×10{_raised(int(power))}".replace("-", MINUS)


def _raised(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def unit(name: str) -> str:
    """What is written behind a number of this unit, with the space before it.

    Examples
    --------
    >>> unit("nats"), unit("share"), unit("ratio")
    (' nats', ' %', '')
    """
    word = UNITS.get(name, (1.0, name))[1]
    return f" {word}" if word else ""


def quantity(value: float, name: str, *, error: float | None = None) -> str:
    """A number with its unit, rounded where its error starts.

    Examples
    --------
    >>> quantity(0.123456, "nats", error=0.02), quantity(0.123456, "nats")
    ('0.123 nats', '0.123 nats')
    >>> quantity(0.5, "share", error=0.004)
    '50.00 %'
    """
    return f"{_number(value, name, error)}{unit(name)}"


def estimate(value: float, low: float, high: float, name: str) -> str:
    """An estimate and its interval, with the digits that the interval's width carries.

    Examples
    --------
    >>> estimate(0.53124, 0.4932, 0.5692, "nats")
    '0.531 [0.493, 0.569] nats'
    >>> estimate(0.25, 0.25, 0.25, "share")
    '25 [25, 25] %'
    """
    error = (high - low) / 2
    ends = ", ".join(_number(end, name, error) for end in (low, high))
    return f"{_number(value, name, error)} [{ends}]{unit(name)}"


def _number(value: float, name: str, error: float | None) -> str:
    scale = UNITS.get(name, (1.0, name))[0]
    value, error = value * scale, None if error is None else error * scale
    # rounding of an exact number leaves errors of 1e-16, which carry no digit
    if error is None or error <= 1e-9 * max(1.0, abs(value)) or not 1e-4 <= error < 1e6:
        return plain(round(value, 12))
    shown = f"{value:,.{decimals(error)}f}"
    return shown.lstrip("-") if not shown.strip("-0.") else shown.replace("-", MINUS)


def p_value(p: float) -> str:
    """A p-value with its relation.

    Examples
    --------
    >>> p_value(0.034), p_value(1e-12), p_value(1.0)
    ('p = 0.034', 'p < 0.001', 'p = 1')
    """
    return "p < 0.001" if p < 0.001 else f"p = {float(f'{p:.2g}'):g}"


def duration(seconds: float) -> str:
    """Seconds, or minutes and seconds.

    Examples
    --------
    >>> duration(0.034), duration(7.25), duration(125)
    ('0.03 s', '7.2 s', '2 min 5 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.95 else f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def percent(level: float) -> str:
    """A confidence level: as many decimals as it has, up to three.

    Examples
    --------
    >>> percent(0.95), percent(0.9979166)
    ('95%', '99.79%')
    """
    return f"{round(100 * level, 2):g}%"


def words(name: str) -> str:
    """An identifier as words.

    Examples
    --------
    >>> words("max_below_sum")
    'max below sum'
    """
    return name.replace("_", " ")
