"""Ask with everything, choose, ask with what is kept; every step by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mitheory import select
from mitheory.bundle import Sample
from mitheory.errors import MissingInputError
from mitheory.models.base import Answer, Example, ModelAdapter
from mitheory.names import lookup
from mitheory.plot.views import WHOLE
from mitheory.selection import SELECTORS, Mode, Selection

from .seen import Box, seen

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Asked:
    """What came of a question.

    Attributes
    ----------
    sample : Sample
    selection : Selection
    full, pruned : Answer
    seconds : mapping
        "encode", "select", "full" and "pruned": one run each, of one question alone.
    box : (left, top, right, bottom)
        The part of the picture that the model sees, in shares of width and height.
    is_merged : bool
        Whether the model was shown the averages that the method makes, if it makes any.
    """

    sample: Sample
    selection: Selection
    full: Answer
    pruned: Answer
    seconds: Mapping[str, float]
    box: Box = WHOLE
    is_merged: bool = False

    @property
    def ratio(self) -> float:
        """Share of the visual tokens that is kept."""
        return self.selection.n_kept / self.sample.n_v

    def to_frame(self) -> pd.DataFrame:
        """A row for all tokens and one for what is kept.

        Returns
        -------
        DataFrame
            ``method`` ("full" in the first row), ``tokens``, ``answer``, ``log_prob`` of the answer
            and ``log_prob_truth`` of the true one (nats; NaN where there is none), ``seconds`` of
            the answer.

        Examples
        --------
        >>> from analysis.dialogue import about_scene
        >>> from mitheory.models import resolving
        >>> asked = ask(resolving.load_adapter("fruitfly"), about_scene(0), "random", budget=64)
        >>> asked.to_frame()[["method", "tokens"]].values.tolist()
        [['full', 144], ['random', 64]]
        """
        import pandas as pd

        answers = (self.full, self.pruned)
        return pd.DataFrame(
            {
                "method": ["full", self.selection.method],
                "tokens": [self.sample.n_v, self.selection.n_kept],
                "answer": [answer.text for answer in answers],
                "log_prob": [answer.log_prob for answer in answers],
                "log_prob_truth": [answer.log_prob_truth for answer in answers],
                "seconds": [self.seconds["full"], self.seconds["pruned"]],
            }
        )

    def outcome(self) -> dict[str, Any]:
        """What happened, as JSON values; of a method that averages dropped tokens into kept ones
        "merged" or "unmerged": the model was shown the averages, or the kept ones as they were."""
        kept = self.selection
        return {
            "question": self.sample.question,
            "truth": self.sample.answer or None,
            "method": kept.method,
            "full": self.full.text,
            "pruned": self.pruned.text,
            "tokens": self.sample.n_v,
            "kept": kept.n_kept,
            "merged": self.is_merged,
            "unmerged": kept.merge is not None and not self.is_merged,
            "indices": kept.indices.tolist(),
            "params": kept.params,
            "seconds": dict(self.seconds),
        }


def ask(
    adapter: ModelAdapter,
    example: Example,
    method: str,
    *,
    budget: int | float,
    seed: int = 0,
    mode: Mode = "exact",
    options: Mapping[str, Any] | None = None,
) -> Asked:
    """Answers to a question with all visual tokens, and with those that a method keeps.

    Parameters
    ----------
    adapter : a model
    example : a question about a picture
    method : a name of `SELECTORS`
    budget : tokens to keep, or a ratio of them in (0, 1]
    seed, mode, options : of the method

    Raises
    ------
    MissingInputError
        If the model does not give what the method needs before the decoder.
    MitheoryError
        As the model and `select` do.

    Examples
    --------
    >>> from analysis.dialogue import about_scene
    >>> from mitheory.models import resolving
    >>> asked = ask(resolving.load_adapter("fruitfly"), about_scene(0), "mi_pruner", budget=64)
    >>> asked.full.text, asked.selection.n_kept
    ('red', 64)
    """
    entry = lookup(method, SELECTORS, "method")
    options = dict(options or {})
    clock = Clock()
    (sample,) = clock.time("encode", lambda: adapter.encode([example]))
    inputs = {n: getattr(sample, n) for n in entry.inputs if getattr(sample, n) is not None}
    if lacking := [n for n in entry.required(options, mode, given=inputs) if n not in inputs]:
        raise MissingInputError(
            f"{method}: needs {', '.join(lacking)}, which this model does not give before its "
            f"decoder; it gives {', '.join(sample.tensors())}"
        )
    selection = clock.time(
        "select",
        lambda: select(
            method, budget=budget, seed=seed, grid=sample.grid, mode=mode, **inputs, **options
        ),
    )
    (full,) = clock.time("full", lambda: adapter.answer([sample]))
    is_merged = selection.merge is not None and getattr(adapter, "can_merge", False)
    more: dict[str, Any] = {"merges": [selection.merge]} if is_merged else {}
    (pruned,) = clock.time("pruned", lambda: adapter.answer([sample], [selection.sorted], **more))
    box = WHOLE
    if sample.grid is not None:  # views in tiles hold the whole picture
        frames = int(sample.metadata.get("frames", 0))
        height, width = example.image.shape[:2]
        box = seen(adapter, height // max(frames, 1), width, is_video=bool(frames))
    return Asked(sample, selection, full, pruned, clock.seconds, box, is_merged)


T = TypeVar("T")


class Clock:
    """Seconds of every step by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, name: str, step: Callable[[], T]) -> T:
        """What the step gives; how long it took is kept."""
        start = time.perf_counter()
        found = step()
        self.seconds[name] = time.perf_counter() - start
        return found
