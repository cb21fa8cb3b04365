"""`mitheory datasets`: the benchmarks."""

from __future__ import annotations

from rich.console import Console


def datasets() -> None:
    """List the benchmarks: splits, conventions, files that are needed and where they come from.

    [bold]Example[/]: mitheory datasets
    """
    from ..datasets.listing import description

    for text in description():
        Console().print(text, markup=False, highlight=False, soft_wrap=True)
