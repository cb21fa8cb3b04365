"""Numbers in the text that the tables, or arithmetic, give."""

from __future__ import annotations

import math

from ..cells import Cells, Interval, Key, Printed, mean
from .record import Check

NAME = "numbers_in_the_text"
VIDEO = "Video-LLaVA-7B"
SETS = ("TGIF", "MSVD", "MSRVTT")
N_V = 576  # visual tokens of LLaVA-1.5, Tab. 1
BUDGETS = (32, 64, 128)  # Tables 1, 3, 9, 10


def numbers_in_the_text(cells: Cells) -> list[Check]:
    """Percentages of Sec. 4.3, and the regime that Sec. 3.3 expects."""
    return [*_tokens(), *_video(cells), *_regime()]


def _tokens() -> list[Check]:
    share = 100 * 114 / 2048
    return [
        _equal("Sec. 4.3, 114 of 2048 tokens retained, percent", "5.57", Interval(share, share)),
        _equal("Sec. 4.3, 256 x 8 visual tokens", "2048", Interval(2048.0, 2048.0)),
    ]


def _equal(where: str, text: str, expected: Interval) -> Check:
    agrees = Printed.of(text).meets(expected)
    return Check(NAME, where, text, str(expected), agrees, "contradicted", "arithmetic",
                 "" if agrees else "the quote is wrong", 0.0 if agrees else 1.0)  # fmt: skip


def _video(cells: Cells) -> list[Check]:
    """ "Average 93.19% accuracy across three datasets with merely 114 visual tokens": of what?"""
    ours, theirs = (_readings(cells, method) for method in ("MI-Pruner", "VisPruner"))
    if not (ours and theirs):
        return []
    quoted = Printed.of("93.19")
    fits = [name for name, interval in ours.items() if quoted.meets(interval)]
    literal = "average accuracy"
    other = "; ".join(
        f"{name}: {_middle(ours[name]):.2f} against {_middle(theirs[name]):.2f} of VisPruner"
        for name in ours
    )
    agrees = literal in fits
    return [
        Check(
            NAME, "Sec. 4.3, average accuracy at 114 tokens (Tab. 4), percent", quoted.text,
            f"{_middle(ours[literal]):.2f}", agrees, "contradicted",
            "the sentence says accuracy; Tab. 4 prints it",
            "" if agrees else f"it is the {' or '.join(fits) or 'value of no reading'} ({other})",
            0.0 if agrees else abs(quoted.value - _middle(ours[literal])) / 0.01,
        )
    ]  # fmt: skip


def _readings(cells: Cells, method: str) -> dict[str, Interval]:
    """What the percentage might mean, each from the printed accuracies."""
    kept, full = (
        [cells.get(Key(4, VIDEO, keep, name, f"{part}_acc")) for part in SETS]
        for keep, name in (("114", method), ("full", "Full"))
    )
    if None in kept or None in full:
        return {}
    pairs = [(k, f) for k, f in zip(kept, full, strict=True) if k and f]
    ratios = [Interval(100 * k.low / f.high, 100 * k.high / f.low) for k, f in pairs]
    sums = [mean([pair[i] for pair in pairs]) for i in (0, 1)]
    total = Interval(100 * sums[0].low / sums[1].high, 100 * sums[0].high / sums[1].low)
    return {
        "average accuracy": sums[0],
        "average of the shares kept": mean(ratios),
        "share of the average accuracy that is kept": total,
    }


def _regime() -> list[Check]:
    """ "We expect that in settings of interest N_keep log N_V < N_V" (Sec. 3.3)."""
    checks = []
    for budget in BUDGETS:
        work = budget * math.log(N_V)  # the natural logarithm is the one that favors the sentence
        agrees = work < N_V
        checks.append(
            Check(
                NAME,
                f"Sec. 3.3, N_keep log N_V < N_V at {budget} of {N_V} tokens",
                f"< {N_V}",
                f"{work:.0f} (log to base 2: {budget * math.log2(N_V):.0f})",
                agrees,
                "contradicted",
                "natural logarithm, which favors the sentence",
                "" if agrees else "selection is not O(N_V) at this budget of the paper's own",
                0.0 if agrees else work / N_V,
            )
        )
    return checks


def _middle(interval: Interval) -> float:
    return (interval.low + interval.high) / 2
