"""What a model is asked, and its answers: each distinct question once, whichever cells ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import pandas as pd
import torch

from analysis.auditing.spread import Steps, steps
from mitheory.bundle import Bundle, Sample
from mitheory.errors import MitheoryError
from mitheory.io import atomic_write_parquet
from mitheory.models.base import Order, PositionIds, StagedAdapter
from mitheory.models.resolving import NamedAdapter
from mitheory.models.staging import stages_of
from mitheory.selection import Merge

from .configuration import Configuration
from .job import Job, loaded
from .selecting import Merged, options_of, sample_seed, set_hash, shown_of

SHOWN = ["sample_id", "positions", "order", "shown"]
"""What an answer depends on, besides the model."""
ANSWERED = ["prediction", "log_prob", "answer_error"]
Question = tuple[str, PositionIds, Order, str, tuple[int, ...] | Merged | Configuration]
"""Sample, positions, order, hash of what is shown, and what is shown: tokens, tokens with what is
averaged into them, or, where a method prunes inside the decoder, the cell that says how."""


def questions_of(cell: Configuration, job: Job) -> list[Question]:
    """What a cell asks of the model; samples whose selection failed ask nothing."""
    if cell.inside:
        names = Bundle.open(job.bundle).sample_ids
        return [(name, cell.positions, cell.order, shown_inside(cell), cell) for name in names]
    table = pd.read_parquet(job.kept(cell))
    return [
        (name, cell.positions, cell.order, set_hash(shown, cell.order), shown)
        for name, shown in zip(table.sample_id, shown_of(table), strict=True)
        if shown is not None
    ]


def shown_inside(cell: Configuration) -> str:
    """In place of the hash of a kept set, where it is the method that says what is shown."""
    return f"inside-{cell.selection_identity}"


def answers_to(questions: Sequence[Question], job: Job, *, jobs: int = 1) -> pd.DataFrame:
    """All answers of a job once these questions have theirs; none is asked twice.

    Columns `SHOWN`, prediction, log_prob (of the truth), answer_error.
    """
    with steps(jobs, None) as spread:
        answer_all(_new(questions, job), job, spread)
    return read_answers(job)


def unanswered(cells: Sequence[Configuration], job: Job) -> list[Question]:
    """Distinct questions of the cells that no file answers yet."""
    return _new((q for cell in cells for q in questions_of(cell, job)), job)


def answer_all(questions: Sequence[Question], job: Job, spread: Steps) -> None:
    """Answer the questions, some to a file."""
    size = job.per_file
    chunks = [tuple(questions[i : i + size]) for i in range(0, len(questions), size)]
    for _ in spread.each("answer", _answer, [(chunk, job) for chunk in chunks]):
        pass  # they are in the files


def _new(questions: Iterable[Question], job: Job) -> list[Question]:
    """Those that no file answers yet, each once."""
    known = read_answers(job)
    seen = set(known[SHOWN].itertuples(index=False, name=None)) if len(known) else set()
    found: dict[tuple[str, ...], Question] = {}
    for question in questions:
        if question[:4] not in seen:
            found.setdefault(question[:4], question)
    return list(found.values())


def _answer(questions: Sequence[Question], job: Job) -> None:
    torch.set_num_threads(1)
    adapter, samples = loaded(job)
    rows: list[dict[str, Any]] = []
    groups: dict[tuple[str, ...], list[Question]] = {}
    for question in questions:
        _, positions, order, shown, what = question
        alone = shown if isinstance(what, Configuration) else ""
        groups.setdefault((positions, order, alone), []).append(question)
    for members in groups.values():
        ask = _asker(adapter, members[0], job.seed)
        for i in range(0, len(members), adapter.batch_size):
            rows += _answered(ask, samples, members[i : i + adapter.batch_size])
    path = job.answers([q[:4] for q in questions])
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_parquet(path, pd.DataFrame(rows))


Ask = Callable[[list[Sample], Sequence[Question]], list[dict[str, Any]]]
"""From samples with their questions to rows."""


def _asker(adapter: NamedAdapter, question: Question, seed: int) -> Ask:
    _, positions, order, _, shown = question
    if isinstance(shown, Configuration):
        return partial(_staged, cast("StagedAdapter", adapter), shown, seed)

    def ask(samples: list[Sample], members: Sequence[Question]) -> list[dict[str, Any]]:
        shown = [q[4].kept if isinstance(q[4], Merged) else q[4] for q in members]
        keep = [torch.tensor(own, dtype=torch.long) for own in shown]
        merges = [_merge(q[4]) for q in members]
        more: dict[str, Any] = {"merges": merges} if any(merges) else {}
        found = adapter.answer(samples, keep, positions=positions, order=order, **more)
        return [{"prediction": a.text, "log_prob": a.log_prob_truth} for a in found]

    return ask


def _merge(shown: object) -> Merge | None:
    return Merge(torch.tensor(shown.into), shown.rule) if isinstance(shown, Merged) else None


def _staged(
    adapter: StagedAdapter,
    cell: Configuration,
    seed: int,
    samples: list[Sample],
    _: Sequence[Question],
) -> list[dict[str, Any]]:
    """Answers under pruning inside the decoder, with what is left and what every layer works on."""
    rows: list[dict[str, Any]] = [{}] * len(samples)
    groups: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        groups.setdefault(repr(options_of(cell, sample)), []).append(i)
    for places in groups.values():
        own = [samples[i] for i in places]
        stages = stages_of(
            cell.method,
            cell.budget,
            [s.n_v for s in own],
            layers=cell.layers,
            options=options_of(cell, own[0]),
            mode=cell.mode,
        )
        seeds = [sample_seed(s.sample_id, seed, cell.draw) for s in own]
        for i, found in zip(places, adapter.answer_staged(own, stages, seed=seeds), strict=True):
            rows[i] = {
                "prediction": found.answer.text,
                "log_prob": found.answer.log_prob_truth,
                "kept": found.kept[-1].tolist(),
                "tokens_per_layer": list(found.tokens_per_layer),
            }
    return rows


def _answered(
    ask: Ask, samples: Mapping[str, Sample], members: Sequence[Question]
) -> list[dict[str, Any]]:
    """One row per question; where a batch fails, its questions are asked one by one."""
    try:
        answers = ask([samples[q[0]] for q in members], members)
    except MitheoryError as error:
        if len(members) > 1:
            return [row for q in members for row in _answered(ask, samples, [q])]
        named = dict(zip(SHOWN, members[0][:4], strict=True))
        failure = f"{type(error).__name__}: {error}"
        return [named | {"prediction": None, "log_prob": None, "answer_error": failure}]
    return [
        dict(zip(SHOWN, q[:4], strict=True)) | a | {"answer_error": None}
        for q, a in zip(members, answers, strict=True)
    ]


def read_answers(job: Job) -> pd.DataFrame:
    """All answers that files hold, each once."""
    files = sorted((job.out / "answers" / job.common).glob("*.parquet"))
    if not files:
        return pd.DataFrame(columns=[*SHOWN, *ANSWERED])
    return pd.concat([pd.read_parquet(f) for f in files], ignore_index=True).drop_duplicates(SHOWN)
