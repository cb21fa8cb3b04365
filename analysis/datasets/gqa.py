"""GQA (Hudson & Manning, 2019): short answers about scenes, exact match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from .base import (
    SHORT_ANSWER,
    Benchmark,
    Convention,
    Grade,
    Graded,
    Metric,
    Record,
    accuracies,
    with_suffix,
)
from .hub import hub_rows
from .media import Media
from .normalize import lmms_exact
from .rows import Row, find, place, read_entries

FILES = {
    "testdev": "testdev_balanced_questions.json",
    "testdev_all": "testdev_all_questions.json",
    "val": "val_balanced_questions.json",
    "val_all": "val_all_questions.json",
    "train": "train_balanced_questions.json",
}


def _record(sample_id: str, row: Row, image: Media) -> Record:
    question = row.filled("question")
    types = row.fields.get("types")
    structural = types.get("structural") if isinstance(types, dict) else None
    metadata = {"group": "open" if structural == "query" else "binary"} if structural else {}
    return Record(
        sample_id=sample_id,
        image_id=row.label("imageId"),
        media=(image,),
        question=question,
        prompt=question,
        references=(row.filled("answer"),),
        metadata=metadata,
        origin=row.origin,
    )


def _files(root: Path, split: str) -> Iterator[Record]:
    name = FILES[split]
    questions = find(root, name, f"questions1.2/{name}", f"data/{name}", f"questions/{name}")
    images = place(root, "images", "data/images")
    for key, row in read_entries(questions):
        yield _record(key, row, images / f"{row.label('imageId')}.jpg")


def _hub(path: str, split: str) -> Iterator[Record]:
    part, _, kind = split.partition("_")
    config = f"{part}_{kind or 'balanced'}"
    images = {r.label("id"): m for r, m in hub_rows(path, f"{config}_images", part, "image")}
    for row, _ in hub_rows(path, f"{config}_instructions", part, ""):
        image = images.get(row.label("imageId"))
        if image is None:
            raise row.error("imageId", f"among the {len(images)} images of {config}_images")
        yield _record(row.label("id"), row, image)


def _llava(record: Record, answer: str) -> Grade:
    said = answer.rstrip(".").lower()
    return Grade(float(said == record.references[0]), said)


def _lmms(record: Record, answer: str) -> Grade:
    said = lmms_exact(answer.strip())
    return Grade(float(said == lmms_exact(record.references[0])), said)


def _metrics(graded: Sequence[Graded], convention: str) -> list[Metric]:
    return accuracies(graded)


GQA = Benchmark(
    name="gqa",
    title="GQA: short answers about scenes",
    splits={"testdev": 12578, "testdev_all": 0, "val": 0, "val_all": 0, "train": 0},
    files=_files,
    hub=_hub,
    hub_path="lmms-lab/GQA",
    conventions={
        "llava": Convention(
            "lower case, final periods removed, then equal",
            with_suffix(SHORT_ANSWER),
            _llava,
        ),
        "lmms-eval": Convention(
            "lower case and all ASCII punctuation removed on both sides, then equal",
            with_suffix(SHORT_ANSWER),
            _lmms,
        ),
    },
    metrics=_metrics,
    needs=("testdev_balanced_questions.json (or in questions1.2/, data/)", "images/<imageId>.jpg"),
    sources=("https://cs.stanford.edu/people/dorarad/gqa/download.html",),
)
"""The benchmark."""
