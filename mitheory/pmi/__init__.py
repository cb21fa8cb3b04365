"""Marginals and pointwise mutual information, in nats."""

from .cross import CrossPMI, cross_pmi, cross_pmi_of_logits
from .largest import largest_pmi, largest_pmi_of_rows
from .pointwise import centered_similarity, joint_pmi, log_marginal, pmi
from .within import (
    BLOCK,
    SELF_CONDITIONALS,
    SELF_MARGINALS,
    SelfPMI,
    self_pmi,
    self_pmi_of_units,
)

__all__ = [
    "BLOCK",
    "SELF_CONDITIONALS",
    "SELF_MARGINALS",
    "CrossPMI",
    "SelfPMI",
    "centered_similarity",
    "cross_pmi",
    "cross_pmi_of_logits",
    "joint_pmi",
    "largest_pmi",
    "largest_pmi_of_rows",
    "log_marginal",
    "pmi",
    "self_pmi",
    "self_pmi_of_units",
]
