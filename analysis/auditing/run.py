"""The run: prepare, measure, judge, correct, draw, write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.claims.base import NO_INPUT, Claim
from analysis.claims.context import RATIOS, RELEVANCE_WEIGHT, TEMPERATURE, Context, runnable_model
from mitheory.bundle import Bundle, Sample
from mitheory.verdict import Verdict, holm_verdicts

from . import plan, work
from .records import record, to_table, write
from .spread import Steps, steps


@dataclass(frozen=True)
class Options:
    """What decides the verdicts, beside the samples."""

    seed: int = 0
    temperature: float = TEMPERATURE
    relevance_weight: float = RELEVANCE_WEIGHT
    ratios: tuple[float, ...] = RATIOS
    model: str | None = None


@dataclass(frozen=True)
class Audited:
    """An audit's result: records as in verdicts.json, CPU seconds and verdicts by claim."""

    records: list[dict[str, Any]]
    timings: dict[str, float]
    verdicts: dict[str, Verdict] = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """A row per claim."""
        return to_table(self.records)

    @property
    def errors(self) -> dict[str, str]:
        """Claims that failed, with their error."""
        return {r["claim"]: r["error"] for r in self.records if r["error"]}


def run(
    data: Bundle | Sequence[Sample] | None,
    out: Path,
    *,
    claims: Iterable[str] | None = None,
    options: Options = Options(),
    jobs: int = 1,
    scheduler: str | None = None,
    figures: bool = True,
    command: str = "",
) -> Audited:
    """Audit `data` into the folder `out`; go on where an earlier run of the same audit stopped.

    Raises
    ------
    UnknownNameError
        If a claim has no such name.
    BundleError
        If the bundle cannot be read: that is no claim's fault.
    """
    wanted = plan.chosen(claims)
    given = plan.input_of(data)
    source = plan.source_of(given)
    facts = source.facts if source else NO_INPUT
    model = options.model or runnable_model(facts)
    settings = asdict(replace(options, model=model))
    context = Context(facts, **settings)
    reasons = {name: claim.why_not(context) for name, claim in wanted.items()}
    able = {name: claim for name, claim in wanted.items() if reasons[name] is None}
    identity = [source.fingerprint if source else None, *plan.ids(given), settings]
    todo, files = plan.tasks(able, source, [*identity, plan.code_digest()], out / "work")
    with steps(jobs, scheduler) as spread:
        judged = _judged(spread, able, todo, files, given, context)
        verdicts = _corrected(wanted, reasons, spread, judged, context)
        drawn = _drawn(spread, verdicts, files, out / "figures") if figures else {}
    records = [
        record(claim, verdicts[name], spread.failed.get(name), drawn.get(name), data, out)
        for name, claim in wanted.items()
    ]
    audited = Audited(records, {name: spread.seconds.get(name, 0.0) for name in wanted}, verdicts)
    write(audited.records, audited.timings, spread.failed, facts, settings, data, out, command)
    return audited


def _judged(
    spread: Steps,
    able: Mapping[str, Claim],
    todo: Sequence[plan.Task],
    files: Mapping[str, list[Path]],
    given: plan.Input,
    context: Context,
) -> dict[str, Verdict]:
    """Verdicts, uncorrected, of the claims that did not fail."""
    wanting = [name for name, claim in able.items() if claim.prepare]
    found = spread.values("prepare", work.prepare, [(n, given, context) for n in wanting])
    context = replace(context, prepared=found)
    left = [part for task in todo if (part := task.without(spread.failed)).claims]
    for outcomes in spread.each("measure", work.measure, [(t, given, context) for t in left]):
        spread.keep(o for o in outcomes if o.error)  # the seconds of the rest are in their files
    fit = [name for name in able if name not in spread.failed]
    judged = spread.values("judge", work.judge, [(n, files[n], context) for n in fit])
    for name, (_, seconds) in judged.items():
        spread.seconds[name] += seconds
    return {name: verdict for name, (verdict, _) in judged.items()}


def _corrected(
    wanted: Mapping[str, Claim],
    reasons: Mapping[str, str | None],
    spread: Steps,
    judged: Mapping[str, Verdict],
    context: Context,
) -> dict[str, Verdict]:
    """Every claim's verdict, after Holm's correction over those that an interval decides."""
    verdicts = []
    for name, claim in wanted.items():
        if name in judged:
            verdicts.append(judged[name])
        elif name in spread.failed:
            verdicts.append(claim.unassessed(f"failed: {spread.failed[name].error}", context))
        else:
            verdicts.append(claim.unassessed(str(reasons[name]), context))
    return dict(zip(wanted, holm_verdicts(verdicts), strict=True))


def _drawn(
    spread: Steps,
    verdicts: Mapping[str, Verdict],
    files: Mapping[str, list[Path]],
    folder: Path,
) -> dict[str, str]:
    """Names of the figures of what was assessed."""
    assessed = [(n, files[n], v, folder) for n, v in verdicts.items() if v.reason is None]
    return spread.values("draw", work.draw, assessed)
