"""Names of the classes, and the methods that they stand for."""

from __future__ import annotations

CLASSES = {
    "MIPruner": "mi_pruner",
    "MIAttention": "mi_attention",
    "RandomPruner": "random",
    "SimilarityPruner": "similarity",
    "CenteredSimilarityPruner": "centered_similarity",
    "AttentionPruner": "attention",
    "CLSAttentionPruner": "cls_attention",
    "VisionZip": "visionzip",
    "VisPruner": "vispruner",
    "FastV": "fastv",
    "SparseVLM": "sparsevlm",
    "DART": "dart",
    "AutoPrune": "autoprune",
    "DivPrune": "divprune",
    "FacilityLocation": "facility_location",
    "LogDet": "log_det",
    "ChowLiu": "chow_liu",
    "MaxCoverage": "max_coverage",
    "FLMI": "flmi",
    "FLQMI": "flqmi",
    "GCMI": "gcmi",
    "COM": "com",
    "LogDetMI": "log_det_mi",
    "MaxMin": "max_min",
    "CDPruner": "cdpruner",
    "MMTok": "mmtok",
    "TrimTokenator": "trimtokenator",
    "LogMass": "log_mass",
    "LogMassAttention": "log_mass_attention",
    "OraclePruner": "oracle",
}
"""Class -> name in `SELECTORS`."""
