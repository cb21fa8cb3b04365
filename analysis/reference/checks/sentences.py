"""Sentences of the text that the paper's own tables can decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..cells import Cells, Key, Printed
from .ranks import ahead, better, column
from .record import Check

NAME = "sentences"
LLAVA, QWEN = "LLaVA1.5-7B", ("Qwen3VL-2B", "Qwen3VL-8B")
OURS = ("MI-Pruner", "MI-Attention")
ATTENTION = ("FastV", "SparseVLM", "VisionZip", "VisPruner", "Attention")
FAST, SLOW = "MI-Pruner(lambda=1)", "MI-Pruner(lambda=0.5)"
QUESTIONS = 3000  # of a POPE split, App. D
EFFICIENCY = ((3, "128"), (3, "64"), (9, "32"))


def sentences(cells: Cells) -> list[Check]:
    """One check per sentence and column that it speaks of."""
    parts = (_best, _efficiency, _diversity, _yes_rate, _no_loss, _margins, _ablations)
    return [check for part in parts for check in part(cells)]


def _best(cells: Cells) -> Iterator[Check]:
    """ "MI-Pruner and MI-Attention achieve SOTA performance" (Sec. 4.2, Tab. 2), among all;
    "our approach outperforms previous attention-based pruning methods" (Abstract), MI-Pruner.
    """
    metrics = ("GQA", "SQA", "TextVQA", "MMVet", "MMEP", "POPE")
    columns = [(1, LLAVA, keep, m) for keep in ("64", "32") for m in metrics]
    columns += [
        (2, model, keep, m)
        for model in QWEN
        for keep in ("50%", "25%")
        for m in ("GQA", "MMEP", "POPE")
    ]
    for table, model, keep, metric in columns:
        found = column(cells, table=table, keep=keep, metric=metric, model=model)
        place = f"{metric}, {model}, keep {keep} (Tab. {table})"
        yield from _claimed(found, OURS, metric, f"Sec. 4.2: best of all, {place}")
        mine = {k: v for k, v in found.items() if k in ("MI-Pruner", *ATTENTION)}
        yield from _claimed(
            mine, OURS[:1], metric, f"Abstract: ahead of attention-based methods, {place}"
        )


def _claimed(
    found: dict[str, Printed], own: Sequence[str], metric: str, where: str
) -> Iterator[Check]:
    """Nobody else is surely ahead of all of `own`."""
    if not all(name in found for name in own):
        return
    first, said = ahead(found, own, metric), " or ".join(own)
    scores = ", ".join(f"{name} {found[name].text}" for name in [*own, *first])
    yield _sentence(where, f"{said} best", scores, not first,
                    f"{_and(first)} ahead of {said}")  # fmt: skip


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def _efficiency(cells: Cells) -> Iterator[Check]:
    """ "MI-Pruner delivers the best inference efficiency under both configurations." """
    for table, keep in EFFICIENCY:
        for own in (FAST, SLOW):
            found = column(cells, table=table, keep=keep, metric="latency_ms", model=LLAVA)
            found = {k: v for k, v in found.items() if k == own or not k.startswith("MI-")}
            where = f"Sec. 4.2 and App. B.4: lowest latency, keep {keep}"
            yield from _claimed(found, (own,), "latency_ms", where)


def _diversity(cells: Cells) -> Iterator[Check]:
    """ "DART and CDPruner are faster than attention-based methods" (App. B.4)."""
    for table, keep in EFFICIENCY:
        found = column(cells, table=table, keep=keep, metric="latency_ms", model=LLAVA)
        attention = [m for m in ATTENTION if m in found]
        for method in ("DART", "CDPruner"):
            if method in found:
                faster = [m for m in attention if better(found[m], found[method], "latency_ms")]
                yield _sentence(
                    f"App. B.4: {method} faster than attention-based methods, keep {keep}",
                    f"{method} faster", f"{method} {found[method].text}, "
                    + ", ".join(f"{m} {found[m].text}" for m in attention), not faster,
                    f"{method} is slower than {_and(faster)}",
                )  # fmt: skip


def _yes_rate(cells: Cells) -> Iterator[Check]:
    """ "Our method better preserves … and maintains a more balanced Yes/No distribution." """
    for keep in ("64", "32"):
        found = column(cells, table=1, keep=keep, metric="POPE_Yes", model=LLAVA)
        others = {k: v for k, v in found.items() if k not in OURS}
        for own in OURS:
            if own in found:
                first = [k for k, v in others.items() if found[own].below(v) and v.high <= 0.5]
                scores = ", ".join(f"{name} {found[name].text}" for name in [own, *first])
                yield _sentence(
                    f"Sec. 4.2: yes-rate nearest to balance, keep {keep}", f"{own} most balanced",
                    scores, not first, f"{_and(first)}, which needs no PMI, is nearer to one half",
                )  # fmt: skip


def _no_loss(cells: Cells) -> Iterator[Check]:
    """ "Heavy pruning on POPE doesn't degrade performance compared to the full-budget setting, and
    on Qwen3-VL, MI-Pruner even leads to improved POPE performance" (App. C.5).

    Heavy: the fewest tokens printed. Improved: at some budget.
    """
    for table, model, budgets in ((10, LLAVA, ("32",)), *((11, m, ("50%", "25%")) for m in QWEN)):
        full = cells.get(Key(table, model, "full", "Full", "POPE_average_acc"))
        keys = [Key(table, model, keep, "MI-Pruner", "POPE_average_acc") for keep in budgets]
        own = [cells[key] for key in keys if key in cells]
        if full and own:
            best = max(own, key=lambda cell: cell.value)
            yield _sentence(
                f"App. C.5: POPE with pruning against all tokens, {model}",
                "no worse" if model == LLAVA else "better",
                f"{', '.join(cell.text for cell in own)} against {full.text}",
                not best.below(full), f"it loses {full.value - best.value:.2f} points",
            )  # fmt: skip


def _margins(cells: Cells) -> Iterator[Check]:
    """ "Outperforming the baselines by a significant margin" in the adversarial split (App. B.1).

    A paired test rejects most easily where no question speaks for the baseline: with b questions
    in favor its two-sided p-value is 2 / 2^b, so at 5% at least 6 are needed.
    """
    rows = [(10, LLAVA, keep) for keep in ("128", "64", "32")]
    rows += [(11, model, keep) for model in QWEN for keep in ("50%", "25%")]
    for table, model, keep in rows:
        found = column(cells, table=table, keep=keep, metric="POPE_adversarial_acc", model=model)
        rivals = {k: v for k, v in found.items() if k not in OURS}
        if "MI-Pruner" not in found or not rivals:
            continue
        best = max(rivals, key=lambda k: rivals[k].value)
        own, other = found["MI-Pruner"], rivals[best]
        questions = (own.high - other.low) / 100 * QUESTIONS
        enough = 2.0 ** (1 - int(questions)) <= 0.05
        yield _sentence(
            f"App. B.1: significant margin, adversarial split, {model}, keep {keep}",
            "significant", f"{own.text} against {other.text} of {best}", enough,
            f"a lead of {own.value - other.value:.2f} points is at most {int(questions)} of "
            f"{QUESTIONS:,} questions: no paired test can find it at 5%",
        )  # fmt: skip


def _ablations(cells: Cells) -> Iterator[Check]:
    """Tables 5 and 6: the default is best; Table 7: ahead of Random and Similarity."""
    defaults = ((5, "MI-Pruner(tau=0.1)"), (6, "MI-Pruner(softmax)"))
    for table, own in defaults:
        for keep in ("64", "32"):
            for metric in ("GQA", "SQA"):
                found = column(cells, table=table, keep=keep, metric=metric, model=LLAVA)
                where = f"Tab. {table}: best of {metric}, keep {keep}"
                if own in found:
                    first = ahead(found, (own,), metric)
                    scores = ", ".join(f"{k} {v.text}" for k, v in found.items())
                    yield _sentence(where, f"{own} best", scores, not first, f"{_and(first)} ahead")
    for model, keep in (("LLaVA1.5-13B", "64"), ("Qwen3VL-30B", "50%")):
        for metric in ("GQA", "SQA", "TextVQA", "MMEP"):
            found = column(cells, table=7, keep=keep, metric=metric, model=model)
            found = {k: v for k, v in found.items() if k in ("Random", "Similarity", "MI-Pruner")}
            where = f"App. B.3: ahead of Random and Similarity, {metric}, {model}"
            yield from _claimed(found, ("MI-Pruner",), metric, where)


def _sentence(where: str, printed: str, found: str, agrees: bool, changes: str) -> Check:
    premise = "the tables as printed, each number anywhere in its rounding"
    return Check(NAME, where, printed, found, agrees, "contradicted", premise,
                 "" if agrees else changes, 0.0 if agrees else 1.0)  # fmt: skip
