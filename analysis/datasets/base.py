"""What a benchmark is: records, conventions by which answers are graded, metrics of the grades."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mitheory.checks import check_count, lookup
from mitheory.errors import (
    DatasetError,
    DuplicateError,
    ImageError,
    MissingFilesError,
    ParameterError,
)
from mitheory.models.base import Example
from mitheory.statistics.inputs import Floats

from .media import Media, read_image

if TYPE_CHECKING:
    from .rubrics import Rubric


LISTED = 10  # of many things that are wrong, as many are printed
SHORT_ANSWER = "\nAnswer the question using a single word or phrase."
LETTER_ANSWER = "\nAnswer with the option's letter from the given choices directly."


@dataclass(frozen=True)
class Record:
    """One question of a benchmark.

    Parameters
    ----------
    sample_id : unique within a split
    image_id : of the image or video; questions about one are resampled together
    media : the image, the video, or its frames in order
    question : the question alone, as it stands in the prompt
    prompt : all that the model is asked, without the image's placeholder
    references : right answers; empty where the split has none published
    metadata : what else the files say
    origin : file and place that it comes from
    """

    sample_id: str
    image_id: str
    media: tuple[Media, ...]
    question: str
    prompt: str
    references: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""


@dataclass(frozen=True)
class Grade:
    """What one answer is worth: `score` in [0, 1], what it was taken for, and further numbers."""

    score: float
    parsed: str
    extra: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Graded:
    """A record, an answer to it, and its grade."""

    record: Record
    answer: str
    grade: Grade


@dataclass(frozen=True)
class Convention:
    """One of the ways in which the field asks and grades.

    Parameters
    ----------
    describes : in one line
    ask : from a record as the files have it to one with the prompt that is asked
    grade : from a record and an answer to its grade; None where a judge is needed
    rubric : what a judge is asked and how its reply is read; None where none is needed
    """

    describes: str
    ask: Callable[[Record], Record]
    grade: Callable[[Record, str], Grade] | None = None
    rubric: Rubric | None = None


def everything(record: Record) -> bool:
    """The part of a benchmark that is all of it."""
    return True


def in_group(*names: str) -> Callable[[Record], bool]:
    """The part of a benchmark whose metadata names one of these groups."""
    return lambda record: record.metadata.get("group") in names


@dataclass(frozen=True)
class Metric:
    """A number of a benchmark, as a function of means over samples.

    Parameters
    ----------
    name : of the metric
    columns : (n, m) numbers of each sample
    clusters : (n,) labels; rows of one label are resampled together
    statistic : from column means (r, m) to values (r,); not finite where undefined
    group : the part of the benchmark; "all" for the whole
    unit : "rate" for [0, 1], else what is counted
    resampled : "image" or "sample", what the clusters are
    part : which records it is about; failed ones among them are counted
    left_out : samples that were answered but cannot count, such as half of a pair
    note : what must be known of it
    """

    name: str
    columns: Floats
    clusters: NDArray[np.str_]
    statistic: Callable[[Floats], Floats]
    group: str = "all"
    unit: str = "rate"
    resampled: str = "image"
    part: Callable[[Record], bool] = everything
    left_out: int = 0
    note: str = ""


def first(means: Floats) -> Floats:
    """The first column: the statistic of a plain mean."""
    return means[:, 0]


def mean_metric(
    name: str,
    graded: Sequence[Graded],
    *,
    group: str = "all",
    part: Callable[[Record], bool] = everything,
    resampled: str = "image",
    note: str = "",
) -> Metric:
    """The mean score of the graded answers to the records of `part`, which has some."""
    inside = [g for g in graded if part(g.record)]
    scores = np.array([[g.grade.score] for g in inside])
    labels = [g.record.image_id if resampled == "image" else g.record.sample_id for g in inside]
    return Metric(
        name, scores, np.array(labels), first, group, resampled=resampled, part=part, note=note
    )


def accuracies(graded: Sequence[Graded]) -> list[Metric]:
    """The accuracy of all, and of each group that the records name."""
    groups = {str(g.record.metadata["group"]): 0 for g in graded if "group" in g.record.metadata}
    return [mean_metric("accuracy", graded)] + [
        mean_metric("accuracy", graded, group=name, part=in_group(name)) for name in groups
    ]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: where its records come from and how answers are scored.

    Parameters
    ----------
    name, title : short and long
    splits : name -> number of questions of the official release (0: not fixed); the first is the
        default
    files : records from the official files in a folder, one split at a time
    conventions : by name; the first is the default
    metrics : from graded answers and the convention's name to metrics, the main one first
    needs : files that the folder must hold
    sources : where the official files come from
    hub : records from a dataset on the Hugging Face Hub, or a local copy of it
    hub_path : its name there
    is_video : whether `media` are videos
    """

    name: str
    title: str
    splits: Mapping[str, int]
    files: Callable[[Path, str], Iterator[Record]]
    conventions: Mapping[str, Convention]
    metrics: Callable[[Sequence[Graded], str], list[Metric]]
    needs: tuple[str, ...]
    sources: tuple[str, ...]
    hub: Callable[[str, str], Iterator[Record]] | None = None
    hub_path: str = ""
    is_video: bool = False

    def convention(self, name: str = "") -> Convention:
        """The convention of that name; the default without.

        Raises
        ------
        UnknownNameError
        """
        chosen = name or next(iter(self.conventions))
        return lookup(chosen, self.conventions, f"convention of {self.name}")

    def records(
        self,
        root: str | Path | None = None,
        split: str = "",
        *,
        convention: str = "",
        limit: int | None = None,
        check_media: bool = True,
        hub_path: str = "",
    ) -> list[Record]:
        """The questions of a split, in the order of the files, checked before any work.

        Parameters
        ----------
        root : folder with the official files; None reads through `datasets` (Hugging Face)
        split : the default one without
        convention : fixes the prompts; the default one without
        limit : the first so many; all without
        check_media : whether images and videos must be there; scoring needs none
        hub_path : another dataset of the same form, or a local copy

        Raises
        ------
        UnknownNameError
            If there is no such split or convention.
        RowError, DuplicateError, MissingFilesError
            If a row is malformed, an id stands twice, or files are missing (all are listed).
        DatasetError
            If the split has no question.
        MissingDependencyError
            If `datasets` is needed and not installed.
        """
        chosen = split or next(iter(self.splits))
        lookup(chosen, self.splits, f"split of {self.name}")
        ask = self.convention(convention).ask
        if limit is not None:
            check_count("limit", limit, least=1)
        if root is not None:
            stream = self.files(Path(root), chosen)
        elif self.hub is not None:
            stream = self.hub(hub_path or self.hub_path, chosen)
        else:
            raise ParameterError(
                f"{self.name}: expected a folder with its files; it is not on the Hugging Face Hub"
            )
        found = unique(stream, self.name)
        kept = [ask(record) for record in list(found)[:limit]]
        if not kept:
            raise DatasetError(f"{self.name}: the split {chosen!r} has no question")
        if check_media:
            require_media(kept)
        return kept

    def __call__(
        self,
        split: str = "",
        *,
        root: str | Path | None = None,
        limit: int | None = None,
        seed: int = 0,
        convention: str = "",
        on_error: Callable[[Record, ImageError], None] | None = None,
    ) -> Iterator[Example]:
        """Stream of `Example`, images read one at a time, as every entry of `DATASETS` gives it.

        An image that cannot be read is passed to `on_error` with its record and left out; without
        `on_error` its ImageError is raised. `seed` draws nothing here: the order is that of the
        files.
        """
        del seed
        if self.is_video:
            raise ParameterError(f"{self.name}: expected images, it has videos; use records()")
        for record in self.records(root, split, convention=convention, limit=limit):
            try:
                image = read_image(record.media[0])
            except ImageError as error:
                if on_error is None:
                    raise
                on_error(record, error)
                continue
            yield example(record, image)


def example(record: Record, image: NDArray[np.uint8]) -> Example:
    """A record with its image, as models take it; the references are in its metadata too, which
    is what JSON gives back, as a bundle keeps it."""
    return Example(
        sample_id=record.sample_id,
        image_id=record.image_id,
        image=image,
        question=record.prompt,
        answer=record.references[0] if record.references else "",
        question_type=str(record.metadata.get("group", "all")),
        options=tuple(record.metadata.get("choices", ())),
        metadata=json.loads(
            json.dumps(
                {
                    **record.metadata,
                    "question": record.question,
                    "references": record.references,
                }
            )
        ),
    )


def unique(records: Iterable[Record], name: str) -> Iterator[Record]:
    """The records; DuplicateError where an id came before.

    Examples
    --------
    >>> one = Record("7", "a", (), "q", "q", (), origin="q.jsonl, line 1")
    >>> list(unique([one, one], "pope"))
    Traceback (most recent call last):
    ...
    mitheory.errors.DuplicateError: pope: id '7' stands twice: q.jsonl, line 1 and q.jsonl, line 1
    """
    seen: dict[str, str] = {}
    for record in records:
        if record.sample_id in seen:
            before = seen[record.sample_id]
            raise DuplicateError(
                f"{name}: id {record.sample_id!r} stands twice: {before} and {record.origin}"
            )
        seen[record.sample_id] = record.origin
        yield record


def require_media(records: Iterable[Record]) -> None:
    """Refuse records whose image, video or frames are not there; all missing ones are listed."""
    wanted = Counter(m for record in records for m in record.media if isinstance(m, Path))
    missing = tuple(str(path) for path in wanted if not path.exists())
    if missing:
        more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
        raise MissingFilesError(
            f"{len(missing)} of {len(wanted)} images or videos are missing: "
            f"{', '.join(missing[:LISTED])}{more}",
            missing,
        )


def with_suffix(suffix: str) -> Callable[[Record], Record]:
    """Ask what is there and then `suffix`."""
    return lambda record: replace(record, prompt=record.prompt + suffix)
