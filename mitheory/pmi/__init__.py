"""Marginals and pointwise mutual information, in nats."""

from .cross import CrossPMI, cross_pmi
from .pointwise import centered_similarity, joint_pmi, log_marginal, pmi
from .within import BLOCK, SELF_CONDITIONALS, SELF_MARGINALS, SelfPMI, self_pmi

__all__ = [
    "BLOCK",
    "SELF_CONDITIONALS",
    "SELF_MARGINALS",
    "CrossPMI",
    "SelfPMI",
    "centered_similarity",
    "cross_pmi",
    "joint_pmi",
    "log_marginal",
    "pmi",
    "self_pmi",
]
