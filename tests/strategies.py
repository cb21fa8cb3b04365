"""Hypothesis strategies: embeddings, similarities, distributions; float64, nothing degenerate."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor


def seeded(draw: st.DrawFn, *shape: int) -> Tensor:
    """Gaussian entries from a drawn seed: shrinks well, and rows are never zero in practice."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return torch.from_numpy(rng.standard_normal(shape))


@st.composite
def embeddings(
    draw: st.DrawFn, *, rows: tuple[int, int] = (1, 8), dimension: int | None = None
) -> Tensor:
    """(n, d) tokens; some draws share a direction, as real tokens in a narrow cone do."""
    n = draw(st.integers(*rows))
    d = dimension or draw(st.integers(2, 6))
    return seeded(draw, n, d) + draw(st.sampled_from([0.0, 1.0, 3.0])) * seeded(draw, 1, d)


@st.composite
def pairs(
    draw: st.DrawFn, *, visual: tuple[int, int] = (2, 8), text: tuple[int, int] = (2, 6)
) -> tuple[Tensor, Tensor]:
    """Visual and text tokens of one dimension."""
    d = draw(st.integers(2, 6))
    return draw(embeddings(rows=visual, dimension=d)), draw(embeddings(rows=text, dimension=d))


temperatures = st.sampled_from([0.01, 0.1, 0.5, 1.0, 5.0])


@st.composite
def similarities(
    draw: st.DrawFn, *, rows: tuple[int, int] = (2, 7), columns: tuple[int, int] = (2, 6)
) -> Tensor:
    """(n_v, n_x) logits of moderate size."""
    n, m = draw(st.integers(*rows)), draw(st.integers(*columns))
    return draw(st.sampled_from([0.3, 1.0, 10.0])) * seeded(draw, n, m)


@st.composite
def distributions(draw: st.DrawFn, n: int) -> Tensor:
    """(n,) positive probabilities that sum to one."""
    return seeded(draw, n).softmax(-1)


@st.composite
def joints(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """log P (n_v, n_x), rows distributions, and a log prior (n_v,)."""
    rho = draw(similarities())
    return rho.log_softmax(-1), draw(distributions(len(rho))).log()
