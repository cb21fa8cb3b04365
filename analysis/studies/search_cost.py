"""What exact greedy search costs, and what the shortcuts to it change, over N and over k.

Counts first, which hold on any machine: scores looked up, and entries of the self-PMI read if the
redundancy of a token is brought up to date only when it is asked for. Seconds beside them are of
this machine and of Python, where a heap pays for every single look-up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from analysis.ablation.searching import SEARCHERS
from analysis.claims.greedy_score import jaccard
from mitheory.aggregation import resolve_aggregation
from mitheory.bundle import Bundle, Sample
from mitheory.pmi import cross_pmi, self_pmi
from mitheory.properties import Property
from mitheory.provenance import device_name
from mitheory.scores import MIScore, State, mi_score

from .base import Context, Study
from .measuring import LIMIT, QUICK_LIMIT, of_every_image

SIZES = (1, 2, 4, 8)  # scenes whose tokens stand together, as the frames of a clip do
RATIO = 9  # a ninth of the tokens is kept where N varies: 64 of 576
BUDGETS = (32, 64, 144, 288)  # of 576: the paper's, and half
AT = 4  # scenes, 576 tokens, where k varies
COMPARED = ("eager", "lazy", "static_heap", "stochastic")  # "top_k" keeps what a static heap keeps
TEMPERATURE, RELEVANCE_WEIGHT = 0.1, 0.5


@dataclass
class Metered:
    """A score that counts what is asked of it: scores, and the self-PMI entries they need.

    A score asked for at size t, last asked for at size s, needs the t − s entries in between: the
    maximum so far is kept.

    Examples
    --------
    >>> pmi = torch.zeros(3, 3)
    >>> metered = Metered(mi_score(torch.tensor([3.0, 2.0, 1.0]), pmi))
    >>> SEARCHERS["eager"](metered, 2, 0).indices
    tensor([0, 1])
    >>> metered.scores, metered.entries
    (5, 2)
    """

    of: MIScore
    scores: int = 0
    entries: int = 0
    asked: Tensor = field(init=False)
    kept: set[int] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.asked = torch.zeros(self.of.n, dtype=torch.int64)

    @property
    def n(self) -> int:
        """Number of tokens."""
        return self.of.n

    @property
    def properties(self) -> frozenset[Property]:
        """Those of the score."""
        return self.of.properties

    @property
    def pmi(self) -> Tensor:
        """The self-PMI (n, n) of the score."""
        return self.of.pmi

    def start(self) -> State:
        """Nothing selected, nothing counted."""
        self.scores = self.entries = 0
        self.asked.zero_()
        self.kept.clear()
        return self.of.start()

    def gains(self, state: State) -> Tensor:
        """Scores (n,) of all tokens; those already kept are not counted."""
        left = torch.ones(self.n, dtype=torch.bool)
        left[list(self.kept)] = False
        self._count(left.nonzero()[:, 0], state.size)
        return self.of.gains(state)

    def gain_of(self, state: State, i: int) -> float:
        """Score of one token."""
        self._count(torch.tensor([i]), state.size)
        return self.of.gain_of(state, i)

    def extend(self, state: State, i: int) -> State:
        """The state with one more token."""
        self.kept.add(i)
        return self.of.extend(state, i)

    def _count(self, tokens: Tensor, size: int) -> None:
        self.scores += len(tokens)
        self.entries += int((size - self.asked[tokens]).sum())
        self.asked[tokens] = size


def run(context: Context) -> dict[str, pd.DataFrame]:
    """Table ``search_cost``: a row per clip, size, budget and search."""
    limit = QUICK_LIMIT if context.quick else LIMIT
    samples = of_every_image(Bundle.open(context.bundle("test", limit)))
    rows = []
    for scenes, budget in cells():
        for clip in clips(samples, scenes):
            rows += compared(clip, budget, seed=context.seed)
    return {"search_cost": pd.DataFrame(rows)}


def cells() -> list[tuple[int, int]]:
    """Numbers of scenes with the budgets that they are searched for.

    Examples
    --------
    >>> cells()[0]
    (1, 16)
    """
    over_n = [(scenes, scenes * 144 // RATIO) for scenes in SIZES]
    return list(dict.fromkeys([*over_n, *((AT, budget) for budget in BUDGETS)]))


def clips(samples: Sequence[Sample], scenes: int) -> Iterator[list[Sample]]:
    """As many runs of `scenes` samples as the largest size allows: no scene is in two."""
    most = max(SIZES)
    for start in range(0, len(samples) - most + 1, most):
        yield list(samples[start : start + scenes])


def score_of(clip: Sequence[Sample]) -> MIScore:
    """The paper's score of the tokens of all scenes of a clip under its first question.

    Source: Eqs. (16)-(23).
    """
    visual = torch.cat([s.visual for s in clip]).double()
    cross = cross_pmi(visual, clip[0].text.double(), temperature=TEMPERATURE)
    relevance = resolve_aggregation("max")(cross.pmi, cross.log_cond)
    own = self_pmi(visual, temperature=TEMPERATURE).matrix()
    return mi_score(relevance, own, relevance_weight=RELEVANCE_WEIGHT)


def compared(clip: Sequence[Sample], budget: int, *, seed: int) -> list[dict[str, Any]]:
    """What every search takes to fill a budget, and what it shares with eager search."""
    score = score_of(clip)
    rows: list[dict[str, Any]] = []
    eager: list[int] = []
    for name in COMPARED:
        search = SEARCHERS[name]
        clock = time.perf_counter()
        kept = search(score, budget, seed).indices.tolist()
        seconds = time.perf_counter() - clock
        metered = Metered(score)
        # once more, since counting takes time; it has all that these searches ask of a score
        search(metered, budget, seed)  # type: ignore[arg-type]
        eager = eager or kept
        rows.append(
            {
                "sample_id": clip[0].sample_id,
                "image_id": clip[0].image_id,
                "search": name,
                "n": score.n,
                "budget": budget,
                "scores": metered.scores,
                "entries": metered.entries,
                "seconds": seconds,
                "overlap": jaccard(kept, eager),
                "is_greedy": kept == eager,
                "machine": device_name("cpu"),
            }
        )
    return rows


STUDY = Study("search_cost", "What does exact greedy search cost?", ("search_cost",), run)
