"""One cell of a grid: everything that a row of the result depends on, in one canonical form."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any, cast

from mitheory.checks import lookup
from mitheory.errors import ParameterError
from mitheory.models.base import Order, PositionIds
from mitheory.models.staging import PUBLISHED, layers_in
from mitheory.selection import SELECTORS, Mode
from mitheory.selection.running import MODES

from .scopes import SCOPES
from .searching import SEARCHERS

FULL = "full"
"""The name under which everything is kept."""

POSITIONS = ("kept", "compacted")
ORDERS = ("raster", "pick")
WHERE_PUBLISHED = "published"
"""Inside the decoder, before the layers where the method's public code prunes."""

PAPER_WEIGHT = "paper"
"""λ as the paper sets it: 1 on closed-form questions, 1/2 on open-ended ones (Sec. 4.1)."""


@dataclass(frozen=True)
class Configuration:
    """What one cell is.

    Parameters
    ----------
    method : a name of `SELECTORS`, or "full", which keeps everything
    budget : tokens, or a ratio of the tokens there are (from_dict also takes "64/576")
    options : of the method; `relevance_weight` may be "paper"
    mode : "exact" or "faithful"
    scope : what counts as T, a name of `SCOPES`
    positions : position ids of kept tokens, "kept" or "compacted"
    order : in which the model is shown them, "raster" or "pick"
    search : how the score of MI-Pruner is maximized, a name of `SEARCHERS`
    draw : number of the repetition, for methods that draw
    inside : where it prunes: before the decoder (""), or right before layers of it, "published"
        where the method's public code does or such as "3+7+16", each keeping the same share

    Raises
    ------
    UnknownNameError
        For a name in no table.
    ParameterError
        If the method has no such option, or no score that other searches could maximize, or what
        it asks for cannot be had inside the decoder.

    Examples
    --------
    >>> cell = Configuration("mi_pruner", 0.25)
    >>> cell.identity == Configuration("mi_pruner", 0.25, {"aggregation": "max"}).identity
    True
    """

    method: str
    budget: int | float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    mode: Mode = "exact"
    scope: str = "prompt"
    positions: PositionIds = "kept"
    order: Order = "raster"
    search: str = "eager"
    draw: int = 0
    inside: str = ""

    def __post_init__(self) -> None:
        _one_of("scope", self.scope, SCOPES)
        _one_of("search", self.search, SEARCHERS)
        _one_of("positions", self.positions, POSITIONS)
        _one_of("order", self.order, ORDERS)
        _one_of("mode", self.mode, MODES)
        if self.draw < 0:
            raise ParameterError(f"draw: expected 0 or more, got {self.draw}")
        if self.method == FULL:
            if self.options or self.budget != 1.0:
                raise ParameterError(
                    f"{FULL}: keeps everything and has no options, got budget {self.budget} "
                    f"and {dict(self.options)}"
                )
            if self.inside:
                raise ParameterError(f"inside: expected none for {FULL}, got {self.inside!r}")
            return
        known = lookup(self.method, SELECTORS, "method").defaults
        if self.inside:
            self._check_inside()
        strange = sorted(set(self.options) - set(known))
        if strange:
            raise ParameterError(f"options: {self.method} has no {strange}; it has {sorted(known)}")
        if self.search != "eager" and self.method != "mi_pruner":
            raise ParameterError(
                f"search: {self.search!r} maximizes the score of mi_pruner, got {self.method!r}"
            )

    def _check_inside(self) -> None:
        if self.inside != WHERE_PUBLISHED:
            layers_in(self.inside)
        elif self.method not in PUBLISHED:
            raise ParameterError(
                f"inside: {WHERE_PUBLISHED!r} is of {sorted(PUBLISHED)}, got {self.method!r}; give "
                "layers, such as 3+7+16"
            )
        usual = {"scope": "prompt", "positions": "kept", "order": "raster", "search": "eager"}
        for name, value in usual.items():
            if getattr(self, name) != value:
                raise ParameterError(
                    f"{name}: expected {value!r} inside the decoder, got {getattr(self, name)!r}"
                )

    @property
    def layers(self) -> tuple[int, ...]:
        """Of the decoder, before which it prunes; none where the public code says, or before it."""
        return () if self.inside in ("", WHERE_PUBLISHED) else layers_in(self.inside)

    def options_for(self, question_type: str, closed_types: Sequence[str]) -> dict[str, Any]:
        """The options that hold for a question of this type."""
        options = dict(self.options)
        if options.get("relevance_weight") == PAPER_WEIGHT:
            options["relevance_weight"] = 1.0 if question_type in closed_types else 0.5
        return options

    def canonical(self) -> dict[str, Any]:
        """The same as a JSON-able dictionary, every option written out."""
        defaults = {} if self.method == FULL else dict(SELECTORS[self.method].defaults)
        return asdict(self) | {"options": dict(sorted((defaults | dict(self.options)).items()))}

    @property
    def identity(self) -> str:
        """Hash of the canonical form: equal for configurations that mean the same."""
        return digest(self._meant())

    @property
    def selection_identity(self) -> str:
        """Hash of what the kept sets depend on; positions and order of showing do not count."""
        shown = {"positions", "order"}
        return digest({k: v for k, v in self._meant().items() if k not in shown})

    def _meant(self) -> dict[str, Any]:
        """The canonical form; pruning before the decoder is not named."""
        return {k: v for k, v in self.canonical().items() if k != "inside" or v}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Configuration:
        """A configuration from its fields; options may stand beside them.

        Raises
        ------
        ParameterError
            If the method is missing, or a key is neither a field nor an option of the method.
        """
        names = {f.name for f in fields(cls)}
        own = {k: v for k, v in values.items() if k in names}
        if isinstance(own.get("budget"), str):
            own["budget"] = _ratio(own["budget"])
        if "inside" in own:
            own["inside"] = str(own["inside"])  # one layer is a number in YAML
        if "method" not in own:
            raise ParameterError(f"method: expected one in every cell, got {dict(values)}")
        flat = {k: v for k, v in values.items() if k not in names}
        own["options"] = {**dict(own.get("options") or {}), **flat}
        return cls(**own)


def expand(axes: Mapping[str, Any]) -> list[Configuration]:
    """Every combination of the axes' values, those that mean the same once.

    Parameters
    ----------
    axes : field or option -> a value, or a list of values

    Examples
    --------
    >>> cells = expand({"method": "mi_pruner", "budget": [16, 36], "temperature": [0.1, 0.2]})
    >>> [(c.budget, c.options["temperature"]) for c in cells]
    [(16, 0.1), (16, 0.2), (36, 0.1), (36, 0.2)]
    """
    lists = [v if isinstance(v, list) else [v] for v in axes.values()]
    cells = (
        Configuration.from_dict(dict(zip(axes, values, strict=True)))
        for values in itertools.product(*lists)
    )
    return list({cell.identity: cell for cell in cells}.values())


def _ratio(text: str) -> float:
    """A ratio written as a fraction, such as "64/576"."""
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError) as error:
        raise ParameterError(
            f"budget: expected tokens, a ratio, or a fraction such as 64/576, got {text!r}"
        ) from error


def digest(value: Any) -> str:
    """First 20 hexadecimal digits of the SHA-256 of a JSON-able value.

    Raises
    ------
    ParameterError
        If JSON cannot hold it.
    """
    try:
        text = json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"configuration must be JSON-able: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _one_of(name: str, value: str, known: Any) -> None:
    lookup(value, cast("Mapping[str, object]", {k: k for k in known}), name)
