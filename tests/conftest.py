"""What every test runs under: one thread, Hypothesis profiles, figures without a screen."""

from __future__ import annotations

import os

# Before the first import of NumPy or torch: thread pools are sized when they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import torch
from hypothesis import HealthCheck, settings

# `too_slow` measures the machine and not the property: a busy core would fail a correct test.
COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}
PROFILES = {"dev": 50, "ci": 300}

for name, examples in PROFILES.items():
    settings.register_profile(name, max_examples=examples, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

torch.set_num_threads(1)
if not torch.cuda.is_available():  # before the first import of Triton, which then needs no GPU
    os.environ.setdefault("TRITON_INTERPRET", "1")
