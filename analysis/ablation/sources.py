"""Where the rows of a grid come from: a model, and questions of a dataset's split."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.datasets import DATASETS
from mitheory.checks import lookup
from mitheory.models.base import Example


@dataclass(frozen=True)
class Source:
    """A model and the questions that it is asked.

    Parameters
    ----------
    model : as `mitheory.models.resolving.load_adapter` takes it
    dataset : a name of `analysis.datasets.DATASETS`
    split : of the dataset
    limit : number of questions

    Raises
    ------
    UnknownNameError
        If there is no such dataset.

    Examples
    --------
    >>> Source(split="validation", limit=8).name
    'fruitfly-on-fruitfly-validation-8'
    """

    model: str = "fruitfly"
    dataset: str = "fruitfly"
    split: str = "test"
    limit: int = 3200

    def __post_init__(self) -> None:
        lookup(self.dataset, DATASETS, "dataset")

    @property
    def name(self) -> str:
        """Readable, and good for a folder."""
        model = Path(self.model).stem if Path(self.model).suffix else self.model
        text = f"{model}-on-{self.dataset}-{self.split}-{self.limit}"
        return re.sub(r"[^\w.-]+", "_", text)

    def examples(self, seed: int) -> Iterator[Example]:
        """The questions, before any model saw them."""
        return DATASETS[self.dataset](self.split, limit=self.limit, seed=seed)


def sources(
    models: Sequence[str], datasets: Sequence[str], splits: Sequence[str], limit: int
) -> list[Source]:
    """Every combination, each once.

    Examples
    --------
    >>> [s.name for s in sources(["fruitfly"], ["fruitfly"], ["validation", "test"], 4)]
    ['fruitfly-on-fruitfly-validation-4', 'fruitfly-on-fruitfly-test-4']
    """
    combined = itertools.product(models, datasets, splits)
    return list(dict.fromkeys(Source(*one, limit) for one in combined))
