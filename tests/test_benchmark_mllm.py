"""The benchmark of real models, on tiny ones."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("transformers")

from benchmarks import mllm
from mitheory.errors import ParameterError


@pytest.mark.parametrize("name", list(mllm.MODELS))
def test_every_stage_of_every_setting_is_measured(name):
    """All tokens, and methods times budgets, each in three stages; what is kept fits the budget."""
    table = mllm.measured(name, tiny=True, device=torch.device("cpu"), warm_ups=0, runs=2)
    settings = 1 + len(mllm.METHODS) * len(mllm.MODELS[name][2])
    assert len(table) == 3 * settings
    assert (table.low_ms <= table.median_ms).all()
    assert (table.median_ms > 0).all()
    is_full = table.method == "full"
    assert ((table.kept == table.n_v) == is_full).all()


def test_full_size_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParameterError, match="needs a CUDA device"):
        mllm.main([])


def test_warm_ups_are_not_counted():
    """Of three calls one is a warm-up: two times."""
    calls = []
    found = mllm.times_of(lambda: calls.append(1), torch.device("cpu"), 1, 2)
    assert (len(calls), len(found)) == (3, 2)
