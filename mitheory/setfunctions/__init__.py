"""Set functions: a value for every set, built from matrices, with the properties proved of them."""

from __future__ import annotations

from .base import SetFunction
from .certificate import Certificate, certificate
from .covering import Coverage, FacilityLocation
from .discrete import ChowLiuMI, DiscreteMI, entropy, is_conditionally_independent
from .gaussian import GaussianMI, LogDet
from .modular import Modular

__all__ = [
    "SETFUNCTIONS",
    "Certificate",
    "ChowLiuMI",
    "Coverage",
    "DiscreteMI",
    "FacilityLocation",
    "GaussianMI",
    "LogDet",
    "Modular",
    "SetFunction",
    "certificate",
    "entropy",
    "is_conditionally_independent",
]

SETFUNCTIONS: dict[str, type[SetFunction]] = {
    "modular": Modular,
    "discrete_mi": DiscreteMI,
    "gaussian_mi": GaussianMI,
    "log_det": LogDet,
    "chow_liu_mi": ChowLiuMI,
    "facility_location": FacilityLocation,
    "coverage": Coverage,
}
