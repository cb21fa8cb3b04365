"""From embeddings to conditional probabilities, in the log domain.

Tensors are ``(..., n_v, n_x)``; ragged batches are padded and masked, and padding changes no real
entry.
"""

from .conditionals import (
    CONDITIONALS,
    ROUNDING_UNITS,
    Conditional,
    joint_softmax,
    minmax,
    softmax,
    softmax_over_vision,
)
from .cosine import (
    NO_NORMS,
    ZERO_NORM,
    cosine_similarity,
    ordinary_norms,
    similarity,
    unit_cosines,
    unit_products,
    unit_rows,
)
from .masks import hide, outside
from .products import gram_of, row_products, upper_products
from .scaling import sinkhorn

__all__ = [
    "CONDITIONALS",
    "NO_NORMS",
    "ROUNDING_UNITS",
    "ZERO_NORM",
    "Conditional",
    "cosine_similarity",
    "gram_of",
    "hide",
    "joint_softmax",
    "minmax",
    "ordinary_norms",
    "outside",
    "row_products",
    "similarity",
    "sinkhorn",
    "softmax",
    "softmax_over_vision",
    "unit_cosines",
    "unit_products",
    "unit_rows",
    "upper_products",
]
