"""Check: one comparison of a printed number, or sentence, with what it must agree with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Grade = Literal["impossible", "contradicted", "unlikely"]


@dataclass(frozen=True)
class Check:
    """One comparison and its outcome.

    Attributes
    ----------
    family : str
        The check's name in `CHECKS`.
    where : str
        Table, row and column, or section.
    printed : str
        As the paper prints it.
    recomputed : str
        What the rest of the paper leaves room for.
    agrees : bool
    grade : {"impossible", "contradicted", "unlikely"}
        What a disagreement is: no true value rounds to all the cells involved; a sentence that the
        paper's own tables deny; a coincidence that would be strange.
    premise : str
        What is taken as given.
    changes : str
        What the disagreement changes for a reader who compares methods; empty where all agrees.
    gap : float
        By how much it disagrees, in units of the rounding that could explain it; 0 if it agrees.
    """

    family: str
    where: str
    printed: str
    recomputed: str
    agrees: bool
    grade: Grade
    premise: str
    changes: str = ""
    gap: float = 0.0
