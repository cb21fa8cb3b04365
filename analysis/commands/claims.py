"""`mitheory claims`: what an audit can test."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def claims() -> None:
    """List the claims that `mitheory audit` can test.

    [bold]Example[/]: mitheory claims
    """
    from ..claims import CLAIMS

    table = Table("claim", "kind", "source", "statement", "needs")
    for claim in CLAIMS.values():
        needs = ", ".join(claim.needs) if claim.needs_bundle else "no bundle"
        table.add_row(claim.name, claim.kind, claim.source, claim.statement, needs)
    Console().print(table)
