"""`mitheory datasets`: the benchmarks."""

from __future__ import annotations

from typing import Any

from ..manners import show


def datasets() -> list[dict[str, Any]]:
    """List the benchmarks: splits, conventions, files that are needed and where they come from.

    [bold]Example[/]: mitheory datasets
    """
    from ..datasets import BENCHMARKS
    from ..datasets.listing import description

    for text in description():
        show(text, markup=False, highlight=False, soft_wrap=True)
    return [
        {
            "name": each.name,
            "title": each.title,
            "splits": each.splits,
            "conventions": list(each.conventions),
            "needs": each.needs,
            "sources": each.sources,
        }
        for each in BENCHMARKS.values()
    ]
