"""Names of methods and curves, and numbers, as they are written in pictures."""

from __future__ import annotations

import math

METHODS = {
    "full": "All tokens",
    "oracle": "Oracle",
    "mi_pruner": "MI-Pruner",
    "mi_attention": "MI-Attention",
    "similarity": "Similarity",
    "centered_similarity": "Centered similarity",
    "cdpruner": "CDPruner",
    "divprune": "DivPrune",
    "attention": "Attention",
    "cls_attention": "[CLS] attention",
    "visionzip": "VisionZip",
    "vispruner": "VisPruner",
    "max_min": "Farthest pairs",
    "trimtokenator": "TrimTokenator",
    "log_det": "Log-determinant",
    "chow_liu": "Chow–Liu tree",
    "mmtok": "MMTok",
    "facility_location": "Facility location",
    "max_coverage": "Max coverage",
    "flmi": "FLMI",
    "flqmi": "FLQMI",
    "gcmi": "GCMI",
    "com": "COM",
    "log_det_mi": "LogDetMI",
    "fastv": "FastV",
    "sparsevlm": "SparseVLM",
    "dart": "DART",
    "autoprune": "AutoPrune",
    "log_mass": "Log mass",
    "log_mass_attention": "Log mass, attention",
    "random": "Random",
}


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def series(method: str, word_aggregation: object = None) -> str:
    """Key of a method's curve: its name, and over the words how where that is an option.

    Examples
    --------
    >>> series("similarity", "max"), series("mi_pruner")
    ('similarity:max', 'mi_pruner')
    """
    return method if _is_missing(word_aggregation) else f"{method}:{word_aggregation}"


def series_label(key: str) -> str:
    """Label of a key of `series`.

    Examples
    --------
    >>> series_label("similarity:mean"), series_label("cls_attention"), series_label("new_idea")
    ('Similarity (mean)', '[CLS] attention', 'New idea')
    """
    method, _, words = key.partition(":")
    name = METHODS.get(method, method.replace("_", " ").capitalize())
    return f"{name} ({words})" if words else name


def placed(key: str, layers: str) -> str:
    """Key of a curve whose method prunes inside the decoder; that of the method if before it.

    Examples
    --------
    >>> placed("fastv", "2"), placed("visionzip", "0"), placed("random", "")
    ('fastv@2', 'visionzip', 'random')
    """
    return f"{key}@{layers}" if layers not in ("", "0") else key


def placed_label(key: str) -> str:
    """Label of a key of `placed`.

    Examples
    --------
    >>> placed_label("fastv@2"), placed_label("sparsevlm@1,2,3"), placed_label("similarity:max")
    ('FastV, block 2', 'SparseVLM, blocks 1–3', 'Similarity (max)')
    """
    method, _, layers = key.partition("@")
    if not layers:
        return series_label(method)
    blocks = [int(layer) for layer in layers.split(",")]
    if len(blocks) == 1:
        return f"{series_label(method)}, block {layers}"
    if blocks == list(range(blocks[0], blocks[-1] + 1)):
        return f"{series_label(method)}, blocks {blocks[0]}–{blocks[-1]}"
    return f"{series_label(method)}, blocks {', '.join(map(str, blocks))}"


def series_rank(key: str) -> tuple[int, str]:
    """Where a key stands in legends and tables: as in `METHODS`, then unknown ones by name.

    Examples
    --------
    >>> sorted(["random", "similarity:mean", "full", "similarity:max"], key=series_rank)
    ['full', 'similarity:max', 'similarity:mean', 'random']
    """
    names = list(METHODS)
    method = key.partition(":")[0]
    return (names.index(method) if method in names else len(names), key)


def percent(ratio: float) -> str:
    """A share of tokens in per cent, one decimal below ten.

    Examples
    --------
    >>> [percent(r) for r in (8 / 144, 16 / 144, 36 / 144, 1.0)]
    ['5.6', '11', '25', '100']
    """
    return f"{100 * ratio:.1f}" if 100 * ratio < 9.95 else f"{100 * ratio:.0f}"
