"""Pictures of what the theory computes, each drawn on a matplotlib axes and returning it.

In the manner of seaborn: data first, everything else by keyword, `ax=` to draw where you like
(the current axes without), and data frames wherever there is a row for each thing drawn. The
figures of `paper_figures` are drawn by the same functions.

Nothing is loaded before a function is asked for: ``import mitheory.plot`` needs no matplotlib, and
no function here needs torch (tensors are welcome all the same).

>>> import mitheory.plot
>>> ax = mitheory.plot.score_map([0.1, 0.9, 0.4, 0.2], grid=(2, 2))
>>> ax.images[0].get_array().tolist()
[[0.1, 0.9], [0.4, 0.2]]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..faces import on_use

if TYPE_CHECKING:
    from .curves import accuracy_budget, accuracy_table
    from .ledger import verdict_ledger, verdict_table
    from .maps import score_map
    from .matrices import pmi_matrix
    from .overlap import agreement, agreement_tree, kept_overlap
    from .patches import faded, kept_patches
    from .style import theme
    from .views import View, views_at, views_of

__all__ = [
    "View",
    "accuracy_budget",
    "accuracy_table",
    "agreement",
    "agreement_tree",
    "faded",
    "kept_overlap",
    "kept_patches",
    "pmi_matrix",
    "score_map",
    "theme",
    "verdict_ledger",
    "verdict_table",
    "views_at",
    "views_of",
]

__getattr__, __dir__ = on_use(
    __name__,
    {
        "View": "views",
        "accuracy_budget": "curves",
        "accuracy_table": "curves",
        "agreement": "overlap",
        "agreement_tree": "overlap",
        "faded": "patches",
        "kept_overlap": "overlap",
        "kept_patches": "patches",
        "pmi_matrix": "matrices",
        "score_map": "maps",
        "theme": "style",
        "verdict_ledger": "ledger",
        "verdict_table": "ledger",
        "views_at": "views",
        "views_of": "views",
    },
)
