"""A contest: one problem, several programs that solve it, and how their answers must agree."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Inputs = Mapping[str, Any]
Call = Callable[[Inputs], Sequence[int] | None]
Role = Literal["ours", "rival", "floor"]


@dataclass(frozen=True)
class Entrant:
    """One program.

    Parameters
    ----------
    name : unique within the contest
    call : from the inputs to the chosen tokens in order of choice; a floor returns None
    role : "ours"; "rival", whose answer has to be ours; or "floor", a part of the work that nobody
        can do without, which has no answer
    needs : package without which it cannot enter
    target : how many times ours is to be faster (of a floor: 1/x if ours may take x times as long)
    slow : left out of quick runs
    is_answer : whether its answer is compared; a rival without solves a neighboring problem
    is_ordered : whether it knows the order of choice; else the sets are compared
    """

    name: str
    call: Call
    role: Role = "rival"
    needs: str = ""
    target: float | None = None
    slow: bool = False
    is_answer: bool = True
    is_ordered: bool = True

    @property
    def is_installed(self) -> bool:
        """Whether its package can be imported; nothing is imported for it."""
        return not self.needs or importlib.util.find_spec(self.needs) is not None


@dataclass(frozen=True)
class Contest:
    """One problem size and everyone who solves it.

    Parameters
    ----------
    suite, task : the table it stands in, and what is to be done
    sizes : numbers that `make` makes the inputs from: n_v, k, d, ...
    make : inputs of these sizes, the same at every call
    entrants : ours first
    tiny : sizes for a first call that only loads what is loaded once
    quick : whether quick runs have it
    is_greedy : whether an answer is greedy up to the rounding of the inputs' precision: two such
        answers may part where two tokens are nearly tied, and count as one
    """

    suite: str
    task: str
    sizes: Mapping[str, Any]
    make: Callable[..., Inputs]
    entrants: tuple[Entrant, ...]
    tiny: Mapping[str, Any] = field(default_factory=dict)
    quick: bool = False
    is_greedy: Callable[[Inputs, Sequence[int]], bool] | None = None

    def __post_init__(self) -> None:
        roles = [entrant.role for entrant in self.entrants]
        if roles[:1] != ["ours"] or roles.count("ours") != 1:
            raise ValueError(f"{self.name}: ours comes first and once; got {roles}")
        names = [entrant.name for entrant in self.entrants]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: two entrants of one name: {names}")

    @property
    def name(self) -> str:
        """Identifies it among all contests.

        Examples
        --------
        >>> ours = Entrant("mitheory", lambda inputs: [0], "ours")
        >>> Contest("demo", "sort", {"n_v": 4, "k": 1}, dict, (ours,)).name
        'demo/sort/n_v=4/k=1'
        """
        return "/".join([self.suite, self.task, *(f"{k}={v}" for k, v in self.sizes.items())])

    def entrant(self, name: str) -> Entrant:
        """The entrant of that name."""
        return next(entrant for entrant in self.entrants if entrant.name == name)

    def inputs(self) -> Inputs:
        """The inputs at full size."""
        return self.make(**self.sizes)

    def warm(self, entrant: Entrant) -> None:
        """One small call, after which libraries are loaded and thread pools made."""
        if self.tiny:
            entrant.call(self.make(**{**self.sizes, **self.tiny}))
