"""What the main job compares: one `Setting` per curve, grouped in families.

A family is one figure: everything in it is held fixed but the thing it is named for.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from mitheory.models.fruitfly.questions import CLOSED_TYPES
from mitheory.selection import SELECTORS

BUDGETS = (72, 36, 16, 8)  # 50, 25, 11 and 5.6% of 144: the paper's 288, 144, 64 and 32 of 576
QUICK_BUDGETS = (36, 8)
ALL_METHODS, QUICK_ALL_METHODS = 800, 80  # questions of the table of all methods
DRAWS = 3  # the paper averages three runs of Random

TWO_PLACES = (1, 2)  # blocks of the decoder that could stand for "after 2 of 32 layers"
INTERNALS = ("text_attention", "llm_visual_states", "llm_visual_keys")
# others' places: merging happens inside; SparseVLM's layers 2, 6 and 15 are three stages, and
# AutoPrune prunes after every layer
PLACES: dict[str, tuple[tuple[int, ...], ...]] = {
    "visionzip": ((0,),),
    "sparsevlm": ((1, 2, 3),),
    "autoprune": ((1, 2, 3),),
}
OPTIONS: dict[str, dict[str, Any]] = {"sparsevlm": {"recycle": True}}

# the paper sets λ = 0.5 on open-ended and λ = 1 on closed-form questions (Sec. 4.1)
PAPER = {"relevance_weight": 0.5}
PAPER_CLOSED = {"relevance_weight": 1.0}

# no CLIP text tower here: relevance from V and T, with the sign that the word has
CDPRUNER: dict[str, Any] = {"relevance_source": "tokens", "sign": 1.0}

# defaults of the options that a family varies, by the method that has them
_DEFAULTS: dict[str, dict[str, Any]] = {
    "mi_pruner": {"temperature": 0.1, "aggregation": "max", "conditional": "softmax"},
    "mi_attention": {"temperature": 0.1, "aggregation": "max", "conditional": "softmax"},
}


@dataclass(frozen=True)
class Setting:
    """A method with its options; `closed_options` override `options` on closed-form questions.

    `layers` are the blocks of the decoder before which it prunes, each keeping the same share, so
    that the budget is what is left at the end; none means before the decoder. A method that merges
    tokens does that at layer 0. `limit` is the number of questions, 0 all of the run's.
    """

    family: str
    method: str
    options: dict[str, Any] = field(default_factory=dict)
    closed_options: dict[str, Any] = field(default_factory=dict)
    draw: int = 0
    layers: tuple[int, ...] = ()
    limit: int = 0

    def options_for(self, question_type: str) -> dict[str, Any]:
        """The options that hold for a question of this type."""
        closed = question_type in CLOSED_TYPES
        return self.options | (self.closed_options if closed else {})

    def effective(self, question_type: str) -> dict[str, Any]:
        """`options_for`, defaults written out."""
        return _DEFAULTS.get(self.method, {}) | self.options_for(question_type)

    @property
    def selection_id(self) -> str:
        """Hash of what determines the kept sets; settings of two families may share it."""
        options = _DEFAULTS.get(self.method, {}) | self.options
        identity = [self.method, options, self.closed_options, self.draw, list(self.layers)]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Readable identifier, unique within a family."""
        options = {**self.options, **({"draw": self.draw} if self.draw else {})}
        parts = [f"{k}={v}" for k, v in sorted(options.items())]
        if self.layers:
            parts.append("before:" + ",".join(map(str, self.layers)))
        if self.closed_options:
            parts.append("closed:" + ",".join(f"{k}={v}" for k, v in self.closed_options.items()))
        return "/".join([self.method, *parts])


def _mi(family: str, before: tuple[int, ...] = (), **options: Any) -> Setting:
    """MI-Pruner with the paper's λ per kind of question, one thing changed."""
    if "relevance_weight" in options:
        return Setting(family, "mi_pruner", options)
    return Setting(family, "mi_pruner", PAPER | options, PAPER_CLOSED, layers=before)


def methods() -> list[Setting]:
    """Tab. 1 and Fig. 4: the methods side by side."""
    return [
        _mi("method"),
        Setting("method", "mi_attention", PAPER, PAPER_CLOSED),
        *(Setting("method", "random", draw=draw) for draw in range(DRAWS)),
        Setting("method", "similarity", {"word_aggregation": "max"}),
        Setting("method", "similarity", {"word_aggregation": "mean"}),
        Setting("method", "centered_similarity"),
        Setting("method", "attention"),
        Setting("method", "cls_attention"),
        Setting("method", "divprune"),
        Setting("method", "cdpruner", CDPRUNER),
        Setting("method", "oracle"),
    ]


def all_methods(limit: int = ALL_METHODS) -> list[Setting]:
    """Every method on one model and the same questions: before the decoder, and inside it.

    The decoder has 4 blocks where LLaVA's has 32. Methods that read it, and prune after 2 of 32,
    are given both places that could stand for that, before block 1 and before block 2; so are
    MI-Pruner and Random, to tell what the place does from what the method does. Options are those
    of the main table, and defaults.
    """
    settings = methods()
    settings += [_mi("method", before=(layer,)) for layer in TWO_PLACES]
    settings += [Setting("method", "random", layers=(layer,)) for layer in TWO_PLACES]
    listed = {s.method for s in settings}
    for name in (n for n in SELECTORS if n not in listed):
        options = OPTIONS.get(name, {})
        settings += [Setting("method", name, options, layers=place) for place in _places(name)]
    return [replace(s, family="all_methods", limit=limit) for s in settings]


def _places(method: str) -> tuple[tuple[int, ...], ...]:
    """Where a method prunes: each of these is a setting of its own; () is before the decoder."""
    if method in PLACES:
        return PLACES[method]
    reads_decoder = any(name in INTERNALS for name in SELECTORS[method].requires)
    return tuple((layer,) for layer in TWO_PLACES) if reads_decoder else ((),)


def ablations() -> list[Setting]:
    """Figs. 6a, 6b and Tabs. 5, 6."""
    return [
        *(_mi("aggregation", aggregation=a) for a in ("max", "kl", "mean", "lse")),
        # Eq. (21) is of both, over words and over selected tokens; "kl" above is of words only.
        # Read literally, with p(v, x), it is this over n_v under the uniform prior: same choices
        _mi("aggregation", aggregation="kl", redundancy_aggregation="global"),
        *(_mi("relevance_weight", relevance_weight=w) for w in (0.0, 0.25, 0.5, 0.75, 1.0)),
        *(_mi("temperature", temperature=t) for t in (0.01, 0.03, 0.1, 0.2, 0.5, 1.0)),
        *(_mi("conditional", conditional=c) for c in ("softmax", "minmax")),
    ]


def paper_settings(*, quick: bool = False) -> list[Setting]:
    """All settings of `mitheory reproduce`; `quick` leaves out inner points of the sweeps."""
    if not quick:
        return methods() + ablations() + all_methods()
    left_out = {
        ("aggregation", "lse"),
        ("relevance_weight", 0.25),
        ("relevance_weight", 0.75),
        ("temperature", 0.03),
        ("temperature", 0.2),
        ("temperature", 1.0),
    }
    return [
        s
        for s in methods() + ablations() + all_methods(QUICK_ALL_METHODS)
        if s.draw == 0 and (s.family, s.options.get(s.family)) not in left_out
    ]
