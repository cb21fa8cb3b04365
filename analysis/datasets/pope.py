"""POPE (Li et al., 2023): is an object in the image? Three ways of choosing what is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .base import (
    SHORT_ANSWER,
    Benchmark,
    Convention,
    Floats,
    Grade,
    Graded,
    Metric,
    Record,
    in_group,
    with_suffix,
)
from .hub import hub_rows
from .media import Media
from .normalize import first_words_say_no
from .rows import Row, find, place, read_jsonl

STRATEGIES = ("random", "popular", "adversarial")
RATES = ("accuracy", "precision", "recall", "f1", "yes_rate")
COUNTS = ("right", "yes", "true_positive", "false_positive", "false_negative", "n")
OTHER = "other"


def _record(strategy: str, row: Row, image: Media, image_id: str, question: str) -> Record:
    return Record(
        sample_id=f"{strategy}/{row.label('question_id')}",
        image_id=image_id,
        media=(image,),
        question=question,
        prompt=question,
        references=(row.one_of("label" if "label" in row.fields else "answer", "yes", "no"),),
        metadata={"group": strategy},
        origin=row.origin,
    )


def _files(root: Path, split: str) -> Iterator[Record]:
    images = place(root, "val2014", "images/val2014", "images")
    for strategy in STRATEGIES if split == "test" else (split,):
        name = f"coco_pope_{strategy}.json"
        for row in read_jsonl(find(root, f"coco/{name}", name, f"output/coco/{name}")):
            image = row.filled("image")
            yield _record(strategy, row, images / image, image, row.filled("text"))


def _hub(path: str, split: str) -> Iterator[Record]:
    for strategy in STRATEGIES if split == "test" else (split,):
        for row, image in hub_rows(path, "Full", strategy, "image"):
            name = row.filled("image_source")
            yield _record(strategy, row, image, name, row.filled("question"))


def _grade(record: Record, said: str) -> Grade:
    right, yes = record.references[0], said == "yes"
    counts = {
        "yes": yes,
        "true_positive": yes and right == "yes",
        "false_positive": yes and right == "no",
        "false_negative": said == "no" and right == "yes",
    }
    return Grade(float(said == right), said, {k: float(v) for k, v in counts.items()})


def _llava(record: Record, answer: str) -> Grade:
    return _grade(record, "no" if first_words_say_no(answer) else "yes")


def _lmms(record: Record, answer: str) -> Grade:
    said = answer.lower().strip()
    return _grade(record, said if said in ("yes", "no") else OTHER)


def rates(means: Floats, *, zero: bool) -> dict[str, Floats]:
    """Accuracy, precision, recall, F1 and yes-rate from means of `COUNTS`, the last being shares.

    Parameters
    ----------
    means : (r, 6)
    zero : whether what is undefined (no answer or no label is yes) is 0, as in lmms-eval, or NaN

    Returns
    -------
    dict of name -> (r,)
    """
    right, yes, tp, fp, fn, n = means.T

    def ratio(numerator: Floats, denominator: Floats) -> Floats:
        empty = np.full_like(numerator, 0.0 if zero else np.nan)
        return np.divide(numerator, denominator, out=empty, where=denominator > 0)

    precision, recall = ratio(tp, tp + fp), ratio(tp, tp + fn)
    f1 = ratio(2 * precision * recall, precision + recall)
    values = (ratio(right, n), precision, recall, f1, ratio(yes, n))
    return dict(zip(RATES, values, strict=True))


def _metrics(graded: Sequence[Graded], convention: str) -> list[Metric]:
    zero = convention == "lmms-eval"
    groups = {s: [g for g in graded if g.record.metadata["group"] == s] for s in STRATEGIES}
    parts = {name: part for name, part in groups.items() if part}
    columns = np.concatenate([_columns(graded, name) for name in parts], axis=1)
    clusters = np.array([g.record.image_id for g in graded])
    note = "" if len(parts) == len(STRATEGIES) else f"{len(parts)} of {len(STRATEGIES)} strategies"
    found = []
    for rate in RATES if len(parts) > 1 else ():

        def average(means: Floats, rate: str = rate) -> Floats:
            each = np.split(means, len(parts), axis=1)
            return np.mean([rates(m, zero=zero)[rate] for m in each], axis=0)

        found.append(Metric(rate, columns, clusters, average, "average", note=note))
    for name, part in parts.items():
        own, images = _columns(part, name), np.array([g.record.image_id for g in part])
        for rate in RATES:

            def single(means: Floats, rate: str = rate) -> Floats:
                return rates(means, zero=zero)[rate]

            found.append(Metric(rate, own, images, single, name, part=in_group(name)))
    return found


def _columns(graded: Sequence[Graded], strategy: str) -> Floats:
    """(n, 6) `COUNTS` of the answers of one strategy; rows of the others are 0."""
    rows = [
        (g.grade.score, *g.grade.extra.values(), 1.0)
        if g.record.metadata["group"] == strategy
        else (0.0,) * len(COUNTS)
        for g in graded
    ]
    return np.array(rows, dtype=float)


POPE = Benchmark(
    name="pope",
    title="POPE: is an object in the image? Average of random, popular and adversarial",
    splits={"test": 9000, "random": 3000, "popular": 3000, "adversarial": 3000},
    files=_files,
    hub=_hub,
    hub_path="lmms-lab/POPE",
    conventions={
        "llava": Convention(
            "no if the first sentence has the word No, no or not; everything else is yes",
            with_suffix(SHORT_ANSWER),
            _llava,
        ),
        "lmms-eval": Convention(
            "exactly yes or no, in any case; anything else is wrong, and neither yes nor no",
            with_suffix(SHORT_ANSWER),
            _lmms,
        ),
    },
    metrics=_metrics,
    needs=("coco/coco_pope_{random,popular,adversarial}.json", "val2014/COCO_val2014_*.jpg"),
    sources=(
        "https://github.com/AoiDragon/POPE (output/coco)",
        "https://cocodataset.org (val2014.zip)",
    ),
)
"""The benchmark. Yes-rates are those of predictions; lmms-eval's count the labels."""
