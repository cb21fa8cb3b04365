"""Where the rows of a grid come from: a model, and questions of a dataset's split."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.datasets import DATASETS
from analysis.extraction import Extraction
from mitheory.checks import lookup

from .configuration import digest


@dataclass(frozen=True)
class Source:
    """A model and the questions that it is asked.

    Parameters
    ----------
    model : as `mitheory.models.resolving.load_adapter` takes it
    dataset : a name of `analysis.datasets.DATASETS`
    split : of the dataset; a benchmark's default one without
    limit : number of questions; 0 takes all of a benchmark
    root : folder with a benchmark's official files; None reads from the Hugging Face Hub
    convention : of a benchmark, which fixes prompts and grades; the default one without
    loading : further options of `load_adapter`

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
    root: Path | None = None
    convention: str = ""
    loading: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        lookup(self.dataset, DATASETS, "dataset")

    @property
    def name(self) -> str:
        """Readable, and good for a folder."""
        model = Path(self.model).stem if Path(self.model).suffix else self.model
        words = [model, "on", self.dataset, self.split, self.limit or "all", self.convention]
        if self.loading:
            words.append(digest(dict(self.loading))[:8])
        return re.sub(r"[^\w.-]+", "_", "-".join(str(word) for word in words if word))

    def extraction(self, *, seed: int, device: str, attention: bool = True) -> Extraction:
        """What makes its bundle, in full precision."""
        return Extraction(
            self.model, self.dataset, self.split, self.limit, self.root, self.convention, seed,
            device, "float32", attention, loading=self.loading,
        )  # fmt: skip


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
