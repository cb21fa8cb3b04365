"""TextVQA (Singh et al., 2019): questions about text in images, with or without OCR tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mitheory.errors import DatasetError, RowError

from .base import SHORT_ANSWER, Benchmark, Convention, Grade, Graded, Metric, Record, mean_metric
from .hub import hub_rows
from .media import Media
from .normalize import N_REFERENCES, vqa_accuracy, vqa_answer
from .rows import Row, find, place, read_jsonl, read_list

OCR = "\nReference OCR token: "
LLAVA_OCR = "llava_textvqa_val_v051_ocr.jsonl"


def _record(row: Row, image: Media, tokens: str | None) -> Record:
    references = row.texts("answers") if row.fields.get("answers") else ()
    if references and len(references) != N_REFERENCES:
        raise row.error("answers", f"a list of {N_REFERENCES} texts")
    question = row.filled("question")
    return Record(
        sample_id=row.label("question_id"),
        image_id=row.filled("image_id"),
        media=(image,),
        question=question,
        prompt=question,
        references=references,
        metadata={} if tokens is None else {"ocr": tokens},
        origin=row.origin,
    )


def _files(root: Path, split: str, *, ocr: bool) -> Iterator[Record]:
    questions = find(root, f"TextVQA_0.5.1_{split}.json")
    folder = "test_images" if split == "test" else "train_images"
    images = place(root, folder, f"images/{folder}")
    tokens = _tokens(root, split) if ocr else None
    for row in read_list(questions, "data"):
        image_id = row.filled("image_id")
        known = None if tokens is None else tokens(row)
        yield _record(row, images / f"{image_id}.jpg", known)


def _tokens(root: Path, split: str) -> Callable[[Row], str]:
    """The OCR tokens of a question, as text: of LLaVA's file if it is there, else Rosetta's."""
    rosetta = f"TextVQA_Rosetta_OCR_v0.2_{split}.json"
    source = find(root, *((LLAVA_OCR,) if split == "val" else ()), rosetta)
    table: dict[tuple[str, str], str] = {}
    if source.name == LLAVA_OCR:
        for row in read_jsonl(source):  # its question_id is the image's
            question, mark, rest = row.text("text").partition(OCR)
            key = row.filled("question_id"), (question if mark else row.text("text")).split("\n")[0]
            table[key[0], key[1].lower()] = rest.split("\n")[0]
        return lambda row: _of(table, (row.text("image_id"), row.text("question").lower()), source)
    for row in read_list(source, "data"):
        table[row.filled("image_id"), ""] = ", ".join(row.texts("ocr_tokens"))
    return lambda row: _of(table, (row.text("image_id"), ""), source)


def _of(table: dict[tuple[str, str], str], key: tuple[str, str], source: Path) -> str:
    if key not in table:
        asked = f" and question {key[1]!r}" if key[1] else ""
        raise RowError(f"{source.name}: no row for image {key[0]!r}{asked}")
    return table[key]


def _hub(path: str, split: str, *, ocr: bool) -> Iterator[Record]:
    there = {"val": "validation"}.get(split, split)
    for row, image in hub_rows(path, "", there, "image"):
        known = ", ".join(row.texts("ocr_tokens")) if ocr else None
        yield _record(row, image, known)


def _ask(record: Record, *, capital: bool) -> Record:
    question = record.question.capitalize() if capital else record.question
    ocr = OCR + record.metadata["ocr"] if "ocr" in record.metadata else ""
    return replace(record, question=question, prompt=f"{question}{ocr}{SHORT_ANSWER}")


def _grade(record: Record, answer: str) -> Grade:
    if not record.references:
        raise DatasetError(f"textvqa: {record.sample_id!r} has no published answers; use val")
    return Grade(vqa_accuracy(answer, record.references), vqa_answer(answer))


def _metrics(graded: Sequence[Graded], convention: str) -> list[Metric]:
    return [mean_metric("accuracy", graded)]


def _benchmark(name: str, title: str, *, ocr: bool) -> Benchmark:
    needs = ["TextVQA_0.5.1_val.json", "train_images/<image_id>.jpg"]
    sources = ["https://textvqa.org/dataset (val.json, train_val_images.zip)"]
    if ocr:
        needs.append(f"{LLAVA_OCR}, or TextVQA_Rosetta_OCR_v0.2_val.json")
        sources.append("LLaVA's eval.zip (docs/Evaluation.md of haotian-liu/LLaVA) for its file")
    return Benchmark(
        name=name,
        title=title,
        splits={"val": 5000, "test": 5734, "train": 34602},
        files=partial(_files, ocr=ocr),
        hub=partial(_hub, ocr=ocr),
        hub_path="lmms-lab/textvqa",
        conventions={
            "llava": Convention(
                "the question as it is; VQA soft accuracy", partial(_ask, capital=False), _grade
            ),
            "lmms-eval": Convention(
                "the question with a capital and the rest lower case; VQA soft accuracy",
                partial(_ask, capital=True),
                _grade,
            ),
        },
        metrics=_metrics,
        needs=tuple(needs),
        sources=tuple(sources),
    )


TEXTVQA = _benchmark("textvqa", "TextVQA: text in images, pixels only", ocr=False)
"""Without OCR tokens, as lmms-eval has it by default."""

TEXTVQA_OCR = _benchmark("textvqa_ocr", "TextVQA with OCR tokens in the prompt", ocr=True)
"""With OCR tokens, as LLaVA's printed numbers have it."""
