"""The methods by name: what each needs, which options it has, where it comes from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any

from .attention import attention, attention_needs, sums_do, unmerged_axes
from .autoprune import autoprune
from .autoprune import needed as autoprune_needs
from .cdpruner import cdpruner, cdpruner_inputs
from .centered_similarity import centered_similarity
from .chow_liu import chow_liu
from .cls_attention import cls_attention
from .com import com
from .dart import dart
from .dart import needed as dart_needs
from .divprune import divprune
from .engine import Picks
from .facility_location import facility_location
from .fastv import fastv
from .flmi import flmi
from .flqmi import flqmi
from .gcmi import gcmi
from .inputs import DIRECTIONS, NORMALIZED, SHAPES, SUMMED, Shapes
from .log_det import log_det
from .log_det_mi import log_det_mi
from .log_mass import log_mass, log_mass_attention
from .max_coverage import max_coverage
from .max_min import max_min
from .mi_attention import mi_attention
from .mi_attention import needed as mi_attention_needs
from .mi_pruner import mi_pruner
from .mmtok import mmtok, mmtok_inputs
from .oracle import oracle
from .random import random
from .record import Mode
from .similarity import similarity
from .sparsevlm import needed as sparsevlm_needs
from .sparsevlm import sparsevlm
from .trimtokenator import trimtokenator
from .visionzip import visionzip
from .vispruner import needed as vispruner_needs
from .vispruner import vispruner

CONTEXT = ("budget", "seeds", "grid", "zero_norm", "mode", "norms", "sums")
"""Arguments that the front door fills in itself."""


@dataclass(frozen=True)
class Method:
    """A method of the front door; the signature of `fn` is the one place that says what it takes.

    Parameters
    ----------
    name : in `SELECTORS`
    fn : batched and pure, from inputs (b, ...) to `Picks`
    source : equation or bib key
    also : inputs needed besides those without default, as a function of all options and the mode
    axes : names of axes where they are not those of `SHAPES`, as a function of all options
    lengths_count : whether the length of a row matters, although it forms cosines too
    instead : needed input -> a smaller one that does in its place, as a function of all options
    """

    name: str
    fn: Callable[..., Picks]
    source: str
    also: Callable[[Mapping[str, Any]], tuple[str, ...]] | None = None
    axes: Callable[[Mapping[str, Any]], Shapes] | None = None
    lengths_count: bool = False
    instead: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None

    @property
    def requires(self) -> tuple[str, ...]:
        """Inputs without which it cannot run, its options left as they are."""
        return self.required({})

    def required(
        self, options: Mapping[str, Any], mode: Mode = "exact", *, given: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Inputs without which it cannot run under these options in this mode.

        Parameters
        ----------
        given : what is at hand; a smaller input among it is named where it does in place of one
            that is not

        Examples
        --------
        >>> SELECTORS["attention"].required({})
        ('patch_attention',)
        >>> SELECTORS["attention"].required({}, given=("visual", "received_attention"))
        ('received_attention',)
        """
        everything = {**self.defaults, **options, "mode": mode}
        needed = self._always + (self.also(everything) if self.also else ())
        smaller = self.instead(everything) if self.instead else {}
        return tuple(
            smaller[name] if name not in given and smaller.get(name) in given else name
            for name in needed
        )

    def shapes(self, options: Mapping[str, Any]) -> Shapes:
        """Axes of every input under these options."""
        return {**SHAPES, **self.axes(self.defaults | dict(options))} if self.axes else SHAPES

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Inputs that it looks at, required or not."""
        return tuple(n for n, _ in self._parameters() if n in SHAPES)

    @cached_property
    def directions(self) -> tuple[str, ...]:
        """Inputs that enter cosines, of which a zero row may have to be refused."""
        return tuple(n for n in DIRECTIONS if n in self.inputs and "zero_norm" in self.context)

    @cached_property
    def summed(self) -> tuple[str, ...]:
        """Inputs of which it takes column sums."""
        return tuple(n for n in SUMMED if n in self.inputs and "sums" in self.context)

    @property
    def scale_free(self) -> tuple[str, ...]:
        """Inputs of which the direction counts alone, not the length of a row."""
        normalizes = "zero_norm" in self.context and not self.lengths_count
        return tuple(n for n in self.inputs if normalizes and n in NORMALIZED)

    @cached_property
    def context(self) -> tuple[str, ...]:
        """Which of `CONTEXT` it takes."""
        return tuple(n for n, _ in self._parameters() if n in CONTEXT)

    @cached_property
    def defaults(self) -> MappingProxyType[str, Any]:
        """Its options, with their defaults."""
        known = {*SHAPES, *CONTEXT}
        return MappingProxyType({n: p.default for n, p in self._parameters() if n not in known})

    @cached_property
    def _always(self) -> tuple[str, ...]:
        """Inputs without default."""
        return tuple(n for n, p in self._parameters() if n in SHAPES and p.default is p.empty)

    def _parameters(self) -> tuple[tuple[str, inspect.Parameter], ...]:
        return _parameters(self.fn)


@cache
def _parameters(fn: Callable[..., Picks]) -> tuple[tuple[str, inspect.Parameter], ...]:
    """Asked for several times a call, and as slow as a small selection."""
    return tuple(inspect.signature(fn).parameters.items())


SELECTORS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("mi_pruner", mi_pruner, "Algorithm 1"),
        Method("mi_attention", mi_attention, "Sec. 4.1", mi_attention_needs, instead=sums_do),
        Method("random", random, "Sec. 4.1"),
        Method("similarity", similarity, "Eq. (15)"),
        Method("centered_similarity", centered_similarity, "limit of Eq. (18)"),
        Method("attention", attention, "Eq. (5)", attention_needs, unmerged_axes, instead=sums_do),
        Method("cls_attention", cls_attention, "Eq. (5)"),
        Method("visionzip", visionzip, "yang2025visionzip"),
        Method("vispruner", vispruner, "zhang2025vispruner", vispruner_needs),
        Method("fastv", fastv, "chen2024fastv"),
        Method("sparsevlm", sparsevlm, "zhang2025sparsevlm", sparsevlm_needs),
        Method("dart", dart, "wen2025dart", dart_needs),
        Method("autoprune", autoprune, "wang2025autoprune", autoprune_needs),
        Method("divprune", divprune, "alvar2025divprune"),
        Method("facility_location", facility_location, "nemhauser1978"),
        Method("log_det", log_det, "krause2005"),
        Method("chow_liu", chow_liu, "chow1968"),
        Method("max_coverage", max_coverage, "nemhauser1978"),
        Method("flmi", flmi, "iyer2021"),
        Method("flqmi", flqmi, "iyer2021"),
        Method("gcmi", gcmi, "iyer2021"),
        Method("com", com, "iyer2021"),
        Method("log_det_mi", log_det_mi, "iyer2021"),
        Method("max_min", max_min, "ravi1994"),
        Method("cdpruner", cdpruner, "zhang2025cdpruner", also=cdpruner_inputs),
        Method("mmtok", mmtok, "dong2026mmtok", also=mmtok_inputs),
        Method("trimtokenator", trimtokenator, "zhang2025trimtokenator", lengths_count=True),
        Method("log_mass", log_mass, "nemhauser1978"),
        Method("log_mass_attention", log_mass_attention, "nemhauser1978"),
        Method("oracle", oracle, "ground truth"),
    )
}
