"""A folder of images with a file of questions: one's own benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mitheory.errors import DatasetError

from .base import Benchmark, Convention, Grade, Graded, Metric, Record, accuracies
from .normalize import ENOUGH, lmms_exact, vqa_accuracy, vqa_answer
from .rows import Row, find, read_jsonl


def _record(root: Path, place: int, row: Row) -> Record:
    image, question = row.filled("image"), row.filled("question")
    if Path(image).is_absolute():
        raise row.error("image", "a path inside the folder")
    given = row.fields.get("answer")
    many = isinstance(given, list | tuple)
    group = row.fields.get("group")
    return Record(
        sample_id=row.label("id") if "id" in row.fields else str(place),
        image_id=image,
        media=(root / image,),
        question=question,
        prompt=question,
        references=() if given is None else row.texts("answer") if many else (row.text("answer"),),
        metadata={"group": group} if isinstance(group, str) and group else {},
        origin=row.origin,
    )


def _files(root: Path, split: str) -> Iterator[Record]:
    questions = root if root.is_file() else find(root, "questions.jsonl")
    for place, row in enumerate(read_jsonl(questions), start=1):
        yield _record(questions.parent, place, row)


def _ask(record: Record) -> Record:
    return record


def _references(record: Record) -> tuple[str, ...]:
    if not record.references:
        raise DatasetError(f"{record.origin}: has no 'answer', so that nothing can be scored")
    return record.references


def _exact(record: Record, answer: str) -> Grade:
    said = lmms_exact(answer.strip())
    return Grade(float(any(said == lmms_exact(r.strip()) for r in _references(record))), said)


def _vqa(record: Record, answer: str) -> Grade:
    people = _references(record)
    if len(people) <= ENOUGH:
        raise DatasetError(
            f"{record.origin}: soft accuracy needs the answers of {ENOUGH + 1} people or more; "
            f"got {len(people)}; use exact-match"
        )
    return Grade(vqa_accuracy(answer, people), vqa_answer(answer))


def _metrics(graded: Sequence[Graded], convention: str) -> list[Metric]:
    return accuracies(graded)


FOLDER = Benchmark(
    name="folder",
    title="One's own images and questions",
    splits={"test": 0},
    files=_files,
    conventions={
        "exact-match": Convention(
            "lower case, no punctuation, equal to one of the answers", _ask, _exact
        ),
        "vqa": Convention("VQA soft accuracy; for several people's answers", _ask, _vqa),
    },
    metrics=_metrics,
    needs=(
        'questions.jsonl: {"image": ..., "question": ..., "answer": text or list} a line;'
        ' "id" and "group" if wanted',
        "the images, by paths from the folder",
    ),
    sources=("yours",),
)
"""The benchmark."""
