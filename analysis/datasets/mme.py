"""MME (Fu et al., 2023): two questions about each image, one whose answer is yes, one no."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mitheory.errors import MissingFilesError, RowError

from .base import (
    SHORT_ANSWER,
    Benchmark,
    Convention,
    Floats,
    Grade,
    Graded,
    Metric,
    Record,
    first,
    in_group,
)
from .hub import hub_rows
from .media import IMAGES, Media
from .rows import Row, find, read_lines

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark",
    "artwork", "OCR",
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
SPLITS = {"perception": PERCEPTION, "cognition": COGNITION, "all": (*PERCEPTION, *COGNITION)}
YES_OR_NO = " Please answer yes or no."
PREFIX = 4  # letters of an answer that is neither yes nor no, in which one of the two is looked for
OTHER = "other"


def _record(
    category: str, image_id: str, place: int, image: Media, question: str, row: Row
) -> Record:
    return Record(
        sample_id=f"{image_id}/{place}",
        image_id=image_id,
        media=(image,),
        question=question,
        prompt=question,
        references=(row.one_of("answer", "yes", "no"),),
        metadata={"group": category},
        origin=row.origin,
    )


def _files(root: Path, split: str) -> Iterator[Record]:
    base = root / "MME_Benchmark_release_version"
    base = base if base.is_dir() else root
    for category in SPLITS[split]:
        folder = find(base, category)
        nested = (folder / "questions_answers_YN").is_dir()
        texts = folder / "questions_answers_YN" if nested else folder
        images = folder / "images" if nested else folder
        files = sorted(texts.glob("*.txt"))
        if not files:
            raise MissingFilesError(f"no question in {texts}", (str(texts),))
        for file in files:
            yield from _pair(category, file, images)


def _pair(category: str, file: Path, images: Path) -> Iterator[Record]:
    """The two questions about one image."""
    lines = list(read_lines(file))
    if len(lines) != 2:
        raise RowError(f"{category}/{file.name}: must have two questions; got {len(lines)}")
    there = (images / f"{file.stem}{suffix}" for suffix in IMAGES)
    image = next((path for path in there if path.exists()), images / f"{file.stem}.jpg")
    for place, (line, origin) in enumerate(lines, start=1):
        parts = line.split("\t")
        if len(parts) != 2 or not parts[0].strip():
            raise RowError(f"{category}/{origin}: must be question, tab, answer; got {line!r}")
        row = Row({"answer": parts[1]}, f"{category}/{origin}")
        yield _record(category, f"{category}/{file.stem}", place, image, parts[0], row)


def _hub(path: str, split: str) -> Iterator[Record]:
    seen: dict[str, int] = defaultdict(int)
    for row, image in hub_rows(path, "", "test", "image"):
        category = row.filled("category")
        if category not in SPLITS["all"]:
            raise row.error("category", " or ".join(SPLITS["all"]))
        if category in SPLITS[split]:
            image_id = str(Path(row.filled("question_id")).with_suffix(""))
            seen[image_id] += 1
            if seen[image_id] > 2:
                raise row.error("question_id", "that of an image with two questions")
            yield _record(
                category, image_id, seen[image_id], image, row.filled("question"), row
            )  # fmt: skip


def _ask_llava(record: Record) -> Record:
    question = record.question.replace(YES_OR_NO, "").strip()
    return replace(record, question=question, prompt=question + SHORT_ANSWER)


def _ask_lmms(record: Record) -> Record:
    question = record.question.strip().replace(YES_OR_NO, "")
    return replace(record, question=question, prompt=question + SHORT_ANSWER)


def _prefix(said: str) -> str:
    start = said[:PREFIX]
    return "yes" if "yes" in start else "no" if "no" in start else OTHER


def _official(record: Record, answer: str) -> Grade:
    said = _prefix(answer.lower())  # "yes" and "no" alone are prefixes too
    return Grade(float(said == record.references[0]), said)


def _lmms(record: Record, answer: str) -> Grade:
    bare = answer.lower().strip().replace(".", "")
    said = {"y": "yes", "n": "no"}.get(bare) or (OTHER if len(bare) == 1 else _prefix(bare))
    return Grade(float(said == record.references[0]), said)


def _metrics(graded: Sequence[Graded], convention: str) -> list[Metric]:
    """Score, accuracy and accuracy+ of every category, and the sums of scores; a row is an image.

    An image of which only one question was answered cannot count, and is counted as left out.
    """
    images: dict[str, list[Graded]] = defaultdict(list)
    for g in graded:
        images[g.record.image_id].append(g)
    pairs: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    lone: Counter[str] = Counter()
    for name, answers in images.items():
        category = str(answers[0].record.metadata["group"])
        scores = [g.grade.score for g in answers]
        if len(scores) == 2:
            pairs[category][name] = (sum(scores) / 2, float(sum(scores) == 2))
        else:
            lone[category] += 1
    found = []
    for total, members in (("perception", PERCEPTION), ("cognition", COGNITION)):
        parts = [pairs[c] for c in members if c in pairs]
        if parts:
            found.append(_sum(total, members, parts, sum(lone[c] for c in members)))
    for category in (c for c in SPLITS["all"] if c in pairs):
        values, clusters = np.array(list(pairs[category].values())), np.array(list(pairs[category]))
        for name, columns, statistic, unit in (
            ("score", values, _points, "points"),
            ("accuracy", values[:, :1], first, "rate"),
            ("accuracy_plus", values[:, 1:], first, "rate"),
        ):
            part = in_group(category)
            found.append(
                Metric(
                    name, columns, clusters, statistic, category, unit, part=part,
                    left_out=lone[category],
                )
            )  # fmt: skip
    return found


def _points(means: Floats) -> Floats:
    """100 accuracy + 100 accuracy+."""
    return 100 * means.sum(axis=1)


def _sum(
    group: str,
    members: Sequence[str],
    parts: Sequence[dict[str, tuple[float, float]]],
    left_out: int,
) -> Metric:
    """The sum of the categories' scores."""
    names = [name for part in parts for name in part]
    columns = np.zeros((len(names), 2 * len(parts)))  # points and presence, by category
    start = 0
    for k, part in enumerate(parts):
        rows = slice(start, start := start + len(part))
        columns[rows, 2 * k] = [100 * (a + b) for a, b in part.values()]
        columns[rows, 2 * k + 1] = 1

    def total(means: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return (means[:, ::2] / means[:, 1::2]).sum(axis=1)

    whole = len(parts) == len(members)
    return Metric(
        "score", columns, np.array(names), total, group, "points", part=in_group(*members),
        left_out=left_out, note="" if whole else f"{len(parts)} of {len(members)} categories",
    )  # fmt: skip


MME = Benchmark(
    name="mme",
    title="MME: yes or no, two questions per image; perception by default",
    splits={"perception": 2114, "cognition": 260, "all": 2374},
    files=_files,
    hub=_hub,
    hub_path="lmms-lab/MME",
    conventions={
        "official": Convention(
            "yes or no within the first four letters (the calculation.py that LLaVA runs too)",
            _ask_llava,
            _official,
        ),
        "lmms-eval": Convention(
            "dots and spaces around removed; yes, no, y, n, or one within the first four letters",
            _ask_lmms,
            _lmms,
        ),
    },
    metrics=_metrics,
    needs=("MME_Benchmark_release_version/<category>/ (images and .txt, as released)",),
    sources=(
        "https://github.com/BradyFU/Awesome-Multimodal-Large-Language-Models"
        " (branch Evaluation; on request to its authors)",
    ),
)
"""The benchmark."""
