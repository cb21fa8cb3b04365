"""`mitheory claims`: what an audit can test."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from ..manners import show


def claims() -> list[dict[str, Any]]:
    """List the claims that `mitheory audit` can test.

    [bold]Example[/]: mitheory claims
    """
    from ..claims import CLAIMS

    table = Table("claim", "kind", "source", "statement", "needs")
    for claim in CLAIMS.values():
        needs = ", ".join(claim.needs) if claim.needs_bundle else "no bundle"
        table.add_row(claim.name, claim.kind, claim.source, claim.statement, needs)
    show(table)
    names = ("name", "kind", "source", "statement", "needs_bundle", "needs")
    return [{name: getattr(claim, name) for name in names} for claim in CLAIMS.values()]
