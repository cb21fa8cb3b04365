"""TGIF-QA, MSVD-QA and MSRVTT-QA as Video-LLaVA evaluates them: open answers, graded by a judge."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mitheory.errors import DuplicateError, RowError

from .base import (
    LISTED,
    Benchmark,
    Convention,
    Floats,
    Grade,
    Graded,
    Metric,
    Record,
    first,
    mean_metric,
)
from .media import VIDEOS
from .normalize import vqa_answer
from .rows import Row, find, place, read_list
from .rubrics import Rubric, joined

BEST = 5  # of the judge's score
SUBSTITUTE = "no judge: a substitute, not comparable with printed numbers"


def _files(root: Path, split: str, *, folder: str, videos: tuple[str, ...]) -> Iterator[Record]:
    base = root / folder if (root / folder).is_dir() else root
    questions = list(read_list(find(base, "test_q.json")))
    answers = list(read_list(find(base, "test_a.json")))
    right = _by_id(answers)
    folder_of_videos = place(base, *videos)
    asked = _by_id(questions)
    lonely = [key for key in (*asked, *right) if (key in asked) != (key in right)]
    if lonely:
        raise RowError(
            f"test_q.json and test_a.json: {len(lonely)} ids are in one of them only: "
            f"{', '.join(lonely[:LISTED])}"
        )
    files = sorted(folder_of_videos.iterdir()) if folder_of_videos.is_dir() else []
    there = {p.stem: p for p in files if p.is_dir() or p.suffix in VIDEOS}
    for key, row in asked.items():
        name, question = row.filled("video_name"), row.filled("question")
        yield Record(
            sample_id=key,
            image_id=name,
            media=(there.get(name, folder_of_videos / f"{name}.mp4"),),
            question=question,
            prompt=question,
            references=(right[key].label("answer"),),
            origin=row.origin,
        )


def _by_id(rows: Sequence[Row]) -> dict[str, Row]:
    """Rows by id: Video-LLaVA pairs questions with answers by place, which chunking breaks."""
    found: dict[str, Row] = {}
    for row in rows:
        key = row.label("question_id")
        if key in found:
            raise DuplicateError(f"id {key!r} stands twice: {found[key].origin} and {row.origin}")
        found[key] = row
    return found


def _ask(record: Record) -> Record:
    return record


def read_judgement(reply: str) -> Grade | None:
    """A reply such as ``{'pred': 'yes', 'score': 4}``; None if it is none.

    Examples
    --------
    >>> read_judgement("{'pred': 'Yes', 'score': 4.8}")
    Grade(score=1.0, parsed='yes', extra={'judge_score': 4.0})
    >>> read_judgement("yes, 4") is None
    True
    """
    try:
        said = ast.literal_eval(reply.strip())
        score, word = int(said["score"]), said["pred"].lower()
    except (ValueError, SyntaxError, TypeError, KeyError, AttributeError):
        return None
    if not 0 <= score <= BEST:
        return None
    verdict = "yes" if "yes" in word else "no" if "no" in word else "neither"
    return Grade(float(verdict == "yes"), verdict, {"judge_score": float(score)})


RUBRIC = Rubric(
    template=(
        {
            "role": "system",
            "content": "You grade answers to questions about videos. An answer is right if it "
            "means the same as the correct one; synonyms and other wordings count as the same.",
        },
        {
            "role": "user",
            "content": "Question: {question}\nCorrect answer: {answer}\n"
            "Predicted answer: {prediction}\n\n"
            "Reply with a Python dictionary and nothing else: 'pred' is 'yes' or 'no', whether the "
            "prediction is right; 'score' is a whole number from 0 to 5, how well the meanings "
            "match. For example: {'pred': 'yes', 'score': 4}",
        },
    ),
    reference=lambda record: joined(record.references),
    read=read_judgement,
    temperatures=(None,) * 5,
    max_tokens=64,
)
"""The form of Video-ChatGPT's and Video-LLaVA's judge in words of our own."""


def _exact(record: Record, answer: str) -> Grade:
    said = vqa_answer(answer)
    return Grade(float(said == vqa_answer(record.references[0])), said)


def _containment(record: Record, answer: str) -> Grade:
    said = vqa_answer(answer)
    right = vqa_answer(record.references[0])
    return Grade(float(f" {right} " in f" {said} "), said)


def _metrics(graded: Sequence[Graded], convention: str) -> list[Metric]:
    if convention != "video-llava":
        name = f"{convention.replace('-', '_')}_accuracy"
        return [mean_metric(name, graded, note=SUBSTITUTE)]
    clusters = np.array([g.record.image_id for g in graded])
    counts = np.array([[g.grade.parsed == "yes", g.grade.parsed == "no"] for g in graded], float)
    scores = np.array([[g.grade.extra["judge_score"]] for g in graded])
    return [
        Metric("accuracy", counts, clusters, _share_of_yes),
        Metric("judge_score", scores, clusters, first, unit="of 5"),
    ]


def _share_of_yes(means: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return means[:, 0] / means.sum(axis=1)


def _benchmark(name: str, title: str, folder: str, videos: tuple[str, ...], size: int) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        splits={"test": size},
        files=partial(_files, folder=folder, videos=videos),
        conventions={
            "video-llava": Convention(
                "the bare question; a judge says yes or no and 0 to 5", _ask, rubric=RUBRIC
            ),
            "exact-match": Convention(
                f"{SUBSTITUTE}; VQA-normalized answers are equal", _ask, _exact
            ),
            "containment": Convention(
                f"{SUBSTITUTE}; the VQA-normalized answer has the right one's words in a row",
                _ask,
                _containment,
            ),
        },
        metrics=_metrics,
        needs=(
            "test_q.json",
            "test_a.json",
            f"{videos[0]}/ (video files, GIFs or folders of frames)",
            "a judge for the field's own metric",
        ),
        sources=("https://github.com/PKU-YuanGroup/Video-LLaVA (TRAIN_AND_VALIDATE.md)",),
        is_video=True,
    )


TGIF = _benchmark(
    "tgif", "TGIF-QA: open questions about GIFs", "TGIF_Zero_Shot_QA", ("mp4", "videos", "gifs"), 0
)
"""The benchmark."""

MSVD = _benchmark(
    "msvd", "MSVD-QA: open questions about videos", "MSVD_Zero_Shot_QA", ("videos",), 0
)
"""The benchmark."""

MSRVTT = _benchmark(
    "msrvtt",
    "MSRVTT-QA: open questions about videos",
    "MSRVTT_Zero_Shot_QA",
    ("videos", "videos/all"),
    0,
)
"""The benchmark."""
