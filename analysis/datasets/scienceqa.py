"""ScienceQA-IMG (Lu et al., 2022): multiple choice, the questions that have an image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mitheory.errors import RowError

from .base import (
    LETTER_ANSWER,
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
from .rows import Row, find, place, read_entries, read_json, read_list

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LLAVA_LETTERS = "ABCDE"  # LLaVA's script knows no others
LLAVA_PROMPTS = "llava_test_CQM-A.json"
SENTENCE = re.compile(r"The answer is ([A-Z]).")
NOTHING = "none"


def _record(sample_id: str, row: Row, image: Media) -> Record:
    choices, right = row.texts("choices"), row.whole("answer")
    if not 2 <= len(choices) <= len(LETTERS):
        raise row.error("choices", "a list of 2 to 26 texts")
    if not 0 <= right < len(choices):
        raise row.error("answer", f"the place of one of {len(choices)} choices, from 0")
    hint, question = row.text("hint"), row.filled("question")
    context = f"Context: {hint}\n" if hint else ""
    options = "\n".join(f"{x}. {c}" for x, c in zip(LETTERS, choices, strict=False))
    subject = row.fields.get("subject")
    return Record(
        sample_id=sample_id,
        image_id=sample_id,
        media=(image,),
        question=question,
        prompt=f"{context}{question}\n{options}",
        references=(LETTERS[right],),
        metadata={
            "choices": choices,
            **({"group": subject} if isinstance(subject, str) and subject else {}),
        },
        origin=row.origin,
    )


def _files(root: Path, split: str) -> Iterator[Record]:
    splits_file = find(root, "pid_splits.json")
    splits = Row(read_json(splits_file), splits_file.name)
    problems = dict(read_entries(find(root, "problems.json")))
    images = place(root, f"images/{split}", split, f"images/{split}/{split}")
    prompts = _prompts(root / LLAVA_PROMPTS) if split == "test" else {}
    for pid in splits.texts(split):
        if pid not in problems:
            raise RowError(f"{splits_file.name}, {split}: {pid!r} is not in problems.json")
        row = problems[pid]
        if row.get("image") is not None:  # the others have no image: not of ScienceQA-IMG
            record = _record(pid, row, images / pid / row.filled("image"))
            yield _with_prompt(record, prompts) if prompts else record


def _prompts(path: Path) -> dict[str, str]:
    """What LLaVA asks, from its own file of questions, if it is there."""
    if not path.exists():
        return {}
    found = {}
    for row in read_list(path):
        turns = row.get("conversations")
        if not isinstance(turns, list) or not turns or not isinstance(turns[0], dict):
            raise row.error("conversations", "a list of turns")
        asked = Row(turns[0], row.origin).filled("value")
        found[row.label("id")] = asked.replace("<image>", "").strip()
    return found


def _with_prompt(record: Record, prompts: Mapping[str, str]) -> Record:
    """The record with what LLaVA's file asks."""
    asked = prompts.get(record.sample_id)
    if asked is None or record.question not in asked:
        raise RowError(f"{LLAVA_PROMPTS}: asks nothing, or not the question, of {record.origin}")
    return replace(record, metadata={**record.metadata, "llava_prompt": asked})


def _ask_llava(record: Record) -> Record:
    asked = str(record.metadata.get("llava_prompt", record.prompt))
    return replace(record, prompt=asked + LETTER_ANSWER)


def _hub(path: str, split: str) -> Iterator[Record]:
    there = {"val": "validation"}.get(split, split)
    for row, image in hub_rows(path, "ScienceQA-IMG", there, "image"):
        yield _record(str(image.index), row, image)  # rows have no id of their own


def _llava(record: Record, answer: str) -> Grade:
    said = NOTHING
    if answer in LLAVA_LETTERS and len(answer) == 1:
        said = answer
    elif len(answer) >= 3 and answer[0] in LLAVA_LETTERS and answer[1:3] == ". ":
        said = answer[0]
    else:
        found = SENTENCE.findall(answer)
        if len(found) == 1:
            said = found[0]
    if said not in LETTERS[: len(record.metadata["choices"])]:
        said = NOTHING
    return Grade(float(said == record.references[0]), said)


def _lmms(record: Record, answer: str) -> Grade:
    answer, right = answer.strip(), record.references[0]
    if answer.upper() == right:
        said = right
    elif len(answer) >= 2 and answer[0].isupper() and answer[1] == ".":
        said = answer[0]
    else:
        said = NOTHING
    return Grade(float(said == right), said)


def _metrics(graded: Sequence[Graded], convention: str) -> list[Metric]:
    return accuracies(graded)


SCIENCEQA = Benchmark(
    name="scienceqa",
    title="ScienceQA-IMG: multiple choice about science, with an image",
    splits={"test": 2017, "val": 2097, "train": 6218},
    files=_files,
    hub=_hub,
    hub_path="lmms-lab/ScienceQA",
    conventions={
        "llava": Convention(
            "the letter, 'X. ...', or one 'The answer is X.'; anything else is wrong",
            _ask_llava,
            _llava,
        ),
        "lmms-eval": Convention(
            "the letter in any case, or what starts with 'X.'; anything else is wrong",
            with_suffix(LETTER_ANSWER),
            _lmms,
        ),
    },
    metrics=_metrics,
    needs=(
        "problems.json",
        "pid_splits.json",
        "images/test/<id>/image.png (or test/<id>/...)",
        f"{LLAVA_PROMPTS} if the prompts are to be LLaVA's to the letter",
    ),
    sources=("https://github.com/lupantech/ScienceQA (data/scienceqa)",),
)
"""The benchmark."""
