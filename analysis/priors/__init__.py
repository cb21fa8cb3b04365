"""Learned priors p(v): fitted on a held-out split, stored without pickle, used by name.

A prior is a distribution over the visual tokens of one image. It may depend on the image and on
the position and never on the question. What supervises the fit are the patches that questions are
about, which the world knows (`Sample.relevant`). A fitted prior is a `LearnedPrior`; in a grid it
is the option ``prior="learned:FILE"``, and is refused on another grid, on another model, and on a
scene that it was fitted on.
"""

from __future__ import annotations

from .applying import prior_of
from .data import Labeled, labeled, shuffled
from .kinds import KINDS, fit
from .records import LearnedPrior, load, save

__all__ = ["KINDS", "Labeled", "LearnedPrior", "fit", "labeled", "load", "prior_of", "save"]
__all__ += ["shuffled"]
