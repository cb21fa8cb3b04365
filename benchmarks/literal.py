"""Every method with a public code against a literal transcription of that code's steps."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from mitheory import SELECTORS, select

from . import originals
from .contest import Contest, Entrant, Inputs
from .tokens import everything

SUITE = "literal"
SIZES = ((576, 64), (2048, 114))
TINY = {"n_v": 40, "k": 12}
TESTS = Path(__file__).resolve().parent.parent / "tests"


@dataclass(frozen=True)
class Original:
    """The steps of a public code, and the call of ours that keeps the same tokens."""

    steps: Callable[[Inputs], Sequence[int] | Tensor]
    options: Mapping[str, Any] = field(default_factory=dict)
    is_ordered: bool = True
    sizes: tuple[tuple[int, int], ...] = SIZES


def twins(name: str) -> ModuleType:
    """A module of literal steps that the tests compare with, too."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def _projector(i: Inputs, name: str, *inputs: str) -> list[int]:
    return getattr(twins("peer_twins_projector"), name)(*(i[n] for n in inputs), i["k"])


CONTEXTUAL = 10 / 64  # of a budget, as VisionZip is published
ORIGINALS: dict[str, Original] = {
    "divprune": Original(lambda i: _projector(i, "divprune", "visual")),
    "cdpruner": Original(
        lambda i: _projector(i, "cdpruner", "visual", "clip_visual", "clip_text"),
    ),
    "mmtok": Original(lambda i: _projector(i, "mmtok", "visual", "text", "encoder_features")),
    "trimtokenator": Original(lambda i: _projector(i, "trimtokenator", "visual", "text")),
    "similarity": Original(lambda i: _projector(i, "similarity", "visual", "text")),
    "centered_similarity": Original(
        lambda i: _projector(i, "centered_similarity", "visual", "text")
    ),
    "max_min": Original(lambda i: _projector(i, "max_min", "visual"), is_ordered=False),
    "cls_attention": Original(lambda i: originals.cls_attention(i["cls_attention"], i["k"])),
    "attention": Original(lambda i: originals.attention(i["patch_attention"], i["k"])),
    "visionzip": Original(
        lambda i: originals.visionzip(
            i["cls_attention"], i["encoder_keys"], i["k"], int(i["k"] * CONTEXTUAL + 0.5)
        ),
    ),
    "vispruner": Original(
        lambda i: originals.vispruner(i["cls_attention"], i["encoder_features"], i["k"]),
        is_ordered=False,
        sizes=((576, 64), (2048, 116)),  # of 114 its residual is odd, and the code stops
    ),
    "fastv": Original(lambda i: originals.fastv(i["text_attention"], i["k"])),
    "sparsevlm": Original(
        lambda i: originals.sparsevlm(
            i["visual"], i["text"], i["text_attention"], i["llm_visual_states"], i["k"]
        ),
    ),
    "autoprune": Original(
        lambda i: originals.autoprune(i["text_attention"], i["llm_visual_states"], i["k"])
    ),
    "dart": Original(
        lambda i: originals.dart(
            *(i[f"llm_{n}"] for n in ("visual_states", "text_states", "visual_keys", "text_keys")),
            i["k"],
        ),
    ),
}


BARE = ("similarity", "centered_similarity", "cls_attention", "attention", "fastv")
"""Methods that are one product or mean and the best of it: their steps leave nothing to save."""


def contests() -> list[Contest]:
    """Those that have an original, in mode "faithful", in float64."""
    return [
        Contest(
            SUITE,
            name,
            {"n_v": n, "n_t": 32, "d": 256, "k": k, "dtype": "float64"},
            everything,
            (
                Entrant("mitheory", ours(name, original.options), "ours"),
                Entrant(
                    "the original's steps",
                    original.steps,
                    target=2.0,
                    is_ordered=original.is_ordered,
                ),
                *((_looked_at(name, original),) if name in BARE else ()),
            ),
            TINY,
            quick=n < 1000,
        )
        for name, original in ORIGINALS.items()
        if name in SELECTORS
        for n, k in original.sizes
    ]


def _looked_at(name: str, original: Original) -> Entrant:
    """The steps, and the least that a check costs: one sum of every input."""

    def call(inputs: Inputs) -> None:
        for wanted in inputs.keys() & SELECTORS[name].inputs:
            if not math.isfinite(float(inputs[wanted].sum())):
                raise ValueError(f"{wanted}: expected finite values")
        original.steps(inputs)

    return Entrant("the steps and a look at the inputs", call, "floor")


def ours(name: str, options: Mapping[str, Any]) -> Callable[[Inputs], Tensor]:
    """`select` in mode "faithful", with the inputs that the method looks at."""
    wanted = SELECTORS[name].inputs

    def call(inputs: Inputs) -> Tensor:
        given = {n: x for n, x in inputs.items() if n in wanted}
        return select(name, **given, budget=inputs["k"], mode="faithful", **options).indices

    return call
