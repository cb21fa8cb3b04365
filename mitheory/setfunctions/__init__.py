"""Set functions: a value for every set, built from matrices, with the properties proved of them."""

from __future__ import annotations

from .base import SetFunction
from .certificate import Certificate, certificate
from .concave import COM, CONCAVE, GCMI, LogMass
from .covering import Coverage, FacilityLocation
from .discrete import ChowLiuMI, DiscreteMI, entropy, is_conditionally_independent
from .gaussian import GaussianMI, LogDet
from .modular import Modular
from .mutual import FLMI, FLQMI, LogDetMI

__all__ = [
    "COM",
    "CONCAVE",
    "FLMI",
    "FLQMI",
    "GCMI",
    "SETFUNCTIONS",
    "Certificate",
    "ChowLiuMI",
    "Coverage",
    "DiscreteMI",
    "FacilityLocation",
    "GaussianMI",
    "LogDet",
    "LogDetMI",
    "LogMass",
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
    "log_mass": LogMass,
    "flmi": FLMI,
    "flqmi": FLQMI,
    "gcmi": GCMI,
    "com": COM,
    "log_det_mi": LogDetMI,
}
