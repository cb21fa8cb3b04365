"""MM-Vet (Yu et al., 2023): open answers, graded 0 to 1 by a language model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from .base import Benchmark, Convention, Grade, Graded, Metric, Record, mean_metric
from .hub import hub_rows
from .media import Media
from .rows import Row, find, place, read_entries
from .rubrics import Rubric, one_message

CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")
REASONING = (
    "First please perform reasoning, and think step by step to provide best answer to the "
    "following question: \n\n"
)
NOT_GRADED = "not graded"
DIGITS = "\nPredict the correctness of the answer (digit): "


def _record(sample_id: str, row: Row, image: Media, capabilities: tuple[str, ...]) -> Record:
    unknown = set(capabilities) - set(CAPABILITIES)
    if unknown or not capabilities:
        raise row.error("capability", f"some of {', '.join(CAPABILITIES)}")
    question = row.filled("question")
    return Record(
        sample_id=sample_id,
        image_id=str(row.fields.get("imagename", sample_id)),
        media=(image,),
        question=question,
        prompt=question,
        references=(row.filled("answer"),),
        metadata={"capabilities": tuple(c for c in CAPABILITIES if c in capabilities)},
        origin=row.origin,
    )


def _files(root: Path, split: str) -> Iterator[Record]:
    images = place(root, "images", "mm-vet/images")
    for key, row in read_entries(find(root, "mm-vet.json", "mm-vet/mm-vet.json")):
        yield _record(key, row, images / row.filled("imagename"), row.texts("capability"))


def _hub(path: str, split: str) -> Iterator[Record]:
    for row, image in hub_rows(path, "", split, "image"):
        found = tuple(c.strip() for c in row.filled("capability").split(","))
        yield _record(row.label("question_id"), row, image, found)


def _ask_plain(record: Record) -> Record:
    return record


def _ask_reasoning(record: Record) -> Record:
    return replace(record, prompt=REASONING + record.question)


def read_score(reply: str) -> Grade | None:
    """The number from 0 to 1 that a reply begins with, up to the first space.

    Examples
    --------
    >>> read_score("0.5 as x = -5 is missing").score, read_score("half"), read_score("7")
    (0.5, None, None)
    """
    start = reply.split(" ")[0].strip()
    try:
        score = float(start)
    except ValueError:
        return None
    return Grade(score, start) if 0 <= score <= 1 else None


def _reference(record: Record) -> str:
    return record.references[0].replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")


RUBRIC = Rubric(
    template=one_message(
        "Grade how correct a prediction is, given a question and the ground truth, with a number "
        "from 0.0 (fully wrong) to 1.0 (fully right) in steps of 0.1. Where the ground truth joins "
        "elements by <AND>, all of them must be in the prediction to be fully right, and each that "
        "is there counts in proportion; where it joins them by <OR>, any one of them suffices. "
        "Write the number alone, in the last column of the last row.",
        "",
        "Question | Ground truth | Prediction | Correctness",
        "--- | --- | --- | ---",
        "Which two colors has the flag? | red <AND> white | green | 0.0",
        "Which two colors has the flag? | red <AND> white | red and blue | 0.5",
        "Which two colors has the flag? | red <AND> white | It is white and red. | 1.0",
        "What is this animal? | cat <OR> kitten | a kitten on a chair | 1.0",
        "{question} | {answer} | {prediction} | ",
    ),
    reference=_reference,
    read=read_score,
    temperatures=(0.0, 0.0, 0.5, 1.0, 1.5),
    max_tokens=3,
    insist=DIGITS,
    failed=Grade(0.0, NOT_GRADED),
)
"""The few-shot form of MM-Vet's judge in words of our own."""


def _metrics(graded: Sequence[Graded], convention: str) -> list[Metric]:
    zeros = sum(g.grade.parsed == NOT_GRADED for g in graded)
    note = f"{zeros} replies of the judge had no score and count as 0" if zeros else ""
    found = [
        mean_metric("score", graded, resampled="sample", note=note),  # as the paper does
        mean_metric("score", graded, note=note),
    ]
    sets = {g.record.metadata["capabilities"]: 0 for g in graded}
    for capability in CAPABILITIES:
        if any(capability in s for s in sets):
            part = _with(capability)
            found.append(mean_metric("score", graded, group=capability, part=part))
    for joint in (s for s in sets if len(s) > 1):
        found.append(mean_metric("score", graded, group="+".join(joint), part=_exactly(joint)))
    return found


def _with(capability: str) -> Callable[[Record], bool]:
    return lambda record: capability in record.metadata["capabilities"]


def _exactly(capabilities: tuple[str, ...]) -> Callable[[Record], bool]:
    return lambda record: record.metadata["capabilities"] == capabilities


MMVET = Benchmark(
    name="mmvet",
    title="MM-Vet: open answers, graded by a judge",
    splits={"test": 218},
    files=_files,
    hub=_hub,
    hub_path="lmms-lab/MMVet",
    conventions={
        "official": Convention("the bare question (LLaVA too)", _ask_plain, rubric=RUBRIC),
        "lmms-eval": Convention(
            "a request to reason step by step before the question", _ask_reasoning, rubric=RUBRIC
        ),
    },
    metrics=_metrics,
    needs=("mm-vet.json", "images/<imagename>", "a judge: any OpenAI-compatible endpoint"),
    sources=(
        "https://github.com/yuweihao/MM-Vet (mm-vet.zip; mm-vet_evaluator.py has the judge's"
        " prompt)",
    ),
)
"""The benchmark."""
