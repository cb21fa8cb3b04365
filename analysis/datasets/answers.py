"""Answers of a model, read from JSON Lines and matched with the questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mitheory.errors import DatasetError, DuplicateError, RowError

from .base import LISTED, Record
from .rows import Row, read_jsonl

IDS = ("sample_id", "question_id", "questionId", "id")
TEXTS = ("answer", "text", "prediction", "pred")

Missing = Literal["refuse", "wrong"]


@dataclass(frozen=True)
class Answered:
    """What a model said to one question, or why it said nothing."""

    text: str
    error: str = ""


def read_answers(path: str | Path) -> dict[str, Answered]:
    """Answers by sample id.

    Each line is an object with an id (`sample_id`, or `question_id`, `questionId`, `id` as others
    write it) and the answer (`answer`, or `text`, `prediction`, `pred`), or an `error` where the
    model could not answer.

    Raises
    ------
    MissingFilesError
        If there is no such file.
    RowError, DuplicateError
        If a line is malformed, or an id stands twice.
    """
    found: dict[str, Answered] = {}
    places: dict[str, str] = {}
    for row in read_jsonl(Path(path)):
        key = row.label(_only(row, IDS))
        if key in found:
            raise DuplicateError(f"answer to {key!r} stands twice: {places[key]} and {row.origin}")
        failed = row.fields.get("error")
        places[key] = row.origin
        found[key] = Answered("", str(failed)) if failed else Answered(row.text(_only(row, TEXTS)))
    return found


def _only(row: Row, names: Sequence[str]) -> str:
    """The one of the names that the row has."""
    there = [name for name in names if name in row.fields]
    if len(there) != 1:
        raise RowError(
            f"{row.origin}: expected one of {', '.join(names)}; got {', '.join(there) or 'none'}"
        )
    return there[0]


def matched(
    records: Sequence[Record], answers: Mapping[str, Answered], missing: Missing = "refuse"
) -> list[tuple[Record, Answered]]:
    """Each record with its answer, in the order of the records.

    Parameters
    ----------
    records : of a benchmark
    answers : by sample id
    missing : "refuse" records that have no answer, or count them as "wrong" (an empty answer)

    Raises
    ------
    DatasetError
        If an answer belongs to no record, or a record has none and they are refused.
    """
    ids = {record.sample_id for record in records}
    strange = [key for key in answers if key not in ids]
    if strange:
        raise DatasetError(_listed("answers to no question of this split", strange))
    silent = [record.sample_id for record in records if record.sample_id not in answers]
    if silent and missing == "refuse":
        raise DatasetError(_listed("questions without an answer", silent))
    return [(record, answers.get(record.sample_id, Answered(""))) for record in records]


def _listed(what: str, keys: Sequence[str]) -> str:
    more = f" and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return f"{len(keys)} {what}: {', '.join(keys[:LISTED])}{more}"
