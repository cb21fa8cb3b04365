"""The packages that may stand on the other side, by the name they are imported under."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTIONS = {
    "apricot": "apricot-select",
    "submodlib": "submodlib-py",
    "pyversity": "pyversity",
    "numba": "numba",
}


def versions() -> dict[str, str]:
    """Versions of those that are installed."""
    found = {}
    for name, distribution in DISTRIBUTIONS.items():
        try:
            found[name] = version(distribution)
        except PackageNotFoundError:
            continue
    return found
