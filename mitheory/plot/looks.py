"""One color and marker per method, told apart by all readers and on paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Line = Literal["-", "--", "-.", ":", ""]


@dataclass(frozen=True)
class Look:
    """Color, marker and line of one curve."""

    color: str
    marker: str
    line: Line = "-"
    width: float = 1.2

    @property
    def size(self) -> float:
        """Of the marker: thin shapes are drawn larger."""
        return {"*": 7.0, "P": 5.4, "X": 5.4}.get(self.marker, 4.2)


# Colors of Okabe & Ito and of Tol, told apart by readers with any color vision; markers and lines
# differ too, so that the figures survive a black-and-white printer.
METHODS: Mapping[str, Look] = {
    "full": Look("#000000", "", "--", 0.9),
    "oracle": Look("#000000", "*", "-", 1.0),
    "mi_pruner": Look("#0072B2", "o", "-", 1.9),
    "mi_attention": Look("#56B4E9", "s", "-", 1.5),
    "similarity:max": Look("#D55E00", "^", "--"),
    "similarity:mean": Look("#E69F00", "v", "--"),
    "similarity": Look("#D55E00", "^", "--"),
    "centered_similarity": Look("#CC79A7", "D", "--"),
    "cdpruner": Look("#117733", "P", "-."),
    "divprune": Look("#44AA99", "X", "-."),
    "attention": Look("#882255", "<", ":", 1.4),
    "cls_attention": Look("#999933", ">", ":", 1.4),
    "random": Look("#777777", "p", ":", 1.4),
}
# Of the table of all methods, which draws them group by group: told apart within a group.
PEERS: Mapping[str, Look] = {
    "visionzip": Look("#CC6677", "P", "--"),
    "vispruner": Look("#332288", "D", "--"),
    "max_min": Look("#E69F00", "v", "--"),
    "trimtokenator": Look("#882255", "<", ":", 1.4),
    "log_det": Look("#D55E00", "^", "--"),
    "chow_liu": Look("#CC79A7", "D", "--"),
    "mmtok": Look("#117733", "P", "-."),
    "facility_location": Look("#44AA99", "X", "-."),
    "max_coverage": Look("#999933", ">", ":", 1.4),
    "flmi": Look("#D55E00", "^", "--"),
    "log_mass": Look("#000000", "D", "-", 1.6),
    "log_mass_attention": Look("#CC6677", "s", "-", 1.2),
    "flqmi": Look("#117733", "P", "-."),
    "gcmi": Look("#332288", "X", "-."),
    "com": Look("#882255", "<", ":", 1.4),
    "log_det_mi": Look("#332288", "s", "-."),
    "fastv": Look("#D55E00", "^", "--"),
    "sparsevlm": Look("#117733", "P", "-."),
    "dart": Look("#CC79A7", "D", "-."),
    "autoprune": Look("#882255", "<", ":", 1.4),
}
_SPARE = ("#332288", "#661100", "#6699CC", "#AA4499")


def look(key: str, table: Mapping[str, Look] = METHODS) -> Look:
    """The look of a key; unknown ones get a spare color that depends on the name alone.

    Examples
    --------
    >>> look("mi_pruner").color, look("new_idea") == look("new_idea")
    ('#0072B2', True)
    """
    if key in table:
        return table[key]
    return Look(_SPARE[sum(key.encode()) % len(_SPARE)], "h", "-.")
