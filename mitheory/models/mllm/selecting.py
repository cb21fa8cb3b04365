"""What a selector is given of an encoded sample, and what it chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...errors import MissingInputError
from ...names import lookup
from ...selection import SELECTORS, Selection, select
from .base import Family
from .records import Encoded

OF_ENCODER = ("cls_attention", "received_attention", "encoder_keys", "encoder_features")
OFFERED = ("visual", "text", *OF_ENCODER)
"""Inputs of `select` that stand before the decoder."""


def check_method(method: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The inputs that a method looks at, among those offered.

    Raises
    ------
    UnknownNameError
        If there is no such method.
    MissingInputError
        If it needs something that is not there before the decoder.
    """
    entry = lookup(method, SELECTORS, "method")
    lacking = [name for name in entry.required(options, given=OFFERED) if name not in OFFERED]
    if lacking:
        raise MissingInputError(
            f"{method}: needs {', '.join(lacking)}; between projector and decoder there are "
            f"{', '.join(OFFERED)}"
        )
    return tuple(name for name in OFFERED if name in entry.inputs)


def looks_at_attention(wanted: tuple[str, ...]) -> bool:
    """Whether the vision encoder's attention has to be read."""
    return bool(set(OF_ENCODER) & set(wanted))


def chosen(
    family: Family,
    encoded: Encoded,
    sample: int,
    method: str,
    *,
    budget: int | float,
    columns: Tensor | None,
    seed: int,
    options: Mapping[str, Any],
) -> Selection:
    """A method's choice among the visual tokens of one sample, computed in float32.

    Parameters
    ----------
    columns : of the prompt's tokens that are T; needed by methods that read the text
    """
    wanted = check_method(method, options)
    given: dict[str, Any] = {"visual": encoded.visual(sample).float()}
    if "text" in wanted and columns is not None:
        given["text"] = family.text(encoded, sample, columns).float().to(given["visual"].device)
    if looks_at_attention(wanted):
        if "cls_attention" in wanted and family.statistic != "cls":
            raise MissingInputError(
                f"{method}: needs the attention of a class token, which the encoder of "
                f"{type(family.model).__name__} does not have; 'attention' ranks by what tokens "
                "receive from one another"
            )
        read = of_encoder(family, encoded, sample)
        if not read:
            raise MissingInputError(f"{method}: the batch was encoded without attention")
        given |= {name: x for name, x in read.items() if name in wanted}
    grid = encoded.grid(sample)
    return select(method, budget=budget, seed=seed, grid=grid, **given, **options)


def of_encoder(family: Family, encoded: Encoded, sample: int) -> dict[str, Tensor]:
    """What was read of the vision encoder for a sample, float32, by the names of `select`.

    What a class token pays is `cls_attention`. `received_attention` is what the Attention baselines
    rank by, mean over heads: what tokens receive from the class token where there is one, from one
    another where there is none. Where there is a class token, `encoder_keys` of that layer and
    `encoder_features` are there too. NaN where a candidate, such as a newline row, has none.

    Source: Eq. (5).
    """
    attention = encoded.attention(sample)
    if attention is None:
        return {}
    found = {
        "cls_attention": attention if family.statistic == "cls" else None,
        "received_attention": attention.mean(0),
        "encoder_keys": encoded.rows(sample, "keys"),
        "encoder_features": encoded.rows(sample, "encoder"),
    }
    return {name: x.float() for name, x in found.items() if x is not None}


def nothing() -> Tensor:
    """The kept set of a sample without an image."""
    return torch.empty(0, dtype=torch.long)
