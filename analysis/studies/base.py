"""What a study is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.ablation import Configuration, Source, complete, job_of, prepared
from mitheory.errors import ParameterError

TWINS = {"fruitfly": "fruitfly-contrastive", "fruitfly-contrastive": "fruitfly"}
"""The same network, its image and word embeddings aligned otherwise."""


@dataclass(frozen=True)
class Context:
    """What every study is given.

    Parameters
    ----------
    out : folder of the run; a study keeps what it wants to find again under ``out/studies/work``
    model : name of the model, or its checkpoint
    seed : of scenes and of everything drawn
    quick : whether to be done within seconds, on few questions
    jobs : worker processes
    device : of the model
    """

    out: Path
    model: str = "fruitfly"
    seed: int = 0
    quick: bool = False
    jobs: int = 1
    device: str = "cpu"

    @property
    def alignments(self) -> tuple[str, ...]:
        """The models that a study of both alignments compares: `model`, then its twin if it has
        one."""
        return (self.model, *([TWINS[self.model]] if self.model in TWINS else []))

    @property
    def work(self) -> Path:
        """Where unfinished work is kept."""
        return self.out / "studies" / "work"

    def table(self, name: str) -> Path:
        """Where a study writes the table of that name."""
        return self.out / "studies" / f"{name}.parquet"

    def bundle(
        self,
        split: str,
        limit: int,
        *,
        model: str = "",
        dataset: str = "fruitfly",
        attention: bool = True,
    ) -> Path:
        """The bundle of the first questions of a split, extracted where it is not there yet.

        Without `attention` the encoder's full attention, the largest array, is left out.
        """
        source = Source(model or self.model, dataset, split, limit)
        folder = self.work / source.name
        made = prepared(folder, source, seed=self.seed, device=self.device, attention=attention)
        if made is None:
            raise ParameterError(f"{source.name}: studies run in one process, not under a launcher")
        return made

    def answered(
        self,
        cells: Sequence[Configuration],
        split: str,
        limit: int,
        *,
        model: str = "",
        dataset: str = "fruitfly",
        attention: bool = True,
    ) -> pd.DataFrame:
        """Tidy rows of the cells in their order: `analysis.ablation.read_results` without the axes.

        Answers are shared by all studies of a run: a kept set is shown to a model once.
        """
        bundle = self.bundle(split, limit, model=model, dataset=dataset, attention=attention)
        job = job_of(bundle, bundle.parent, model or self.model, seed=self.seed, device=self.device)
        complete(cells, job, jobs=self.jobs)
        return pd.concat([pd.read_parquet(job.result(c)) for c in cells], ignore_index=True)


@dataclass(frozen=True)
class Study:
    """A question, and the tables that answer it.

    Parameters
    ----------
    name : of the study
    title : the question in one line
    tables : names of what it writes
    run : from a context to the tables, all of `tables` and no other
    """

    name: str
    title: str
    tables: tuple[str, ...]
    run: Callable[[Context], Mapping[str, pd.DataFrame]]
