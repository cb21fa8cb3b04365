"""Errors that were met with the real classes, and would be met again: each with its remedy."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from mllm_cases import CASES, LLAVA, ONE_EACH, QWEN, encoded_of, model_of, random_keep

import mitheory
from mitheory.errors import ParameterError
from mitheory.models.mllm.answering import refuse_flash_chunks
from mitheory.testing import save_tiny, tiny_inputs

GREEDY = {"max_new_tokens": 2, "do_sample": False}


# --- torchvision of another build than torch --------------------------------------------------


LOAD = """
import sys
from mitheory.errors import MissingDependencyError
from mitheory.models.resolving import load_adapter
try:
    load_adapter(sys.argv[1])
except MissingDependencyError as error:
    print(error)
"""


def test_a_torchvision_of_another_build_is_said_to_be_one(tmp_path):
    """It is installed and cannot be imported. The library then says "Could not import module
    'LlavaForConditionalGeneration'"; ours names torchvision, the reason, and the remedy."""
    folder = save_tiny(LLAVA, tmp_path / "checkpoint")
    package = tmp_path / "site" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n", encoding="utf-8"
    )
    places = [str(package.parent), *filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "torchvision is there and cannot be imported" in done.stdout
    assert f"from the same index as torch {torch.__version__}" in done.stdout
    assert "operator torchvision::nms does not exist" in done.stdout


# --- flash attention and positions with gaps ---------------------------------------------------


def row_of(pruned):
    """Positions by which flash attention tells packed prompts apart."""
    positions = pruned["position_ids"]
    return positions if positions.ndim == 2 else positions[0]


@pytest.mark.parametrize("name", [name.replace("batch", "one") for name in ONE_EACH.values()])
def test_flash_attention_takes_a_pruned_prompt_for_one(name):
    """By the library's own rules: gaps look like packed prompts, and are cut where the least
    position stands, which is once, at the beginning."""
    from transformers import modeling_flash_attention_utils as flash

    known = {"llava, one": "llava", "next, one": "next", "video-llava, one": "video-llava, video"}
    family, _, encoded = encoded_of(known.get(name, name))
    for keep in (random_keep(encoded), [torch.tensor([0])], [torch.empty(0)]):
        row = row_of(family.prune(encoded, keep))
        (queries, keys), _ = flash.prepare_fa_kwargs_from_position_ids(row)
        assert queries.tolist() == keys.tolist() == [0, row.shape[1]]
    is_packed = bool(flash._is_packed_sequence(row_of(family.prune(encoded, keep)), 1))
    assert is_packed == (name.partition(",")[0] not in QWEN)
    compacted = row_of(family.prune(encoded, keep, positions="compacted"))
    assert not flash._is_packed_sequence(compacted, 1)


def test_flash_attention_would_see_a_later_chunk_alone(monkeypatch):
    """Of a prompt in two chunks the second has gaps: its keys would be its own only, and not those
    in the cache. Refused; SDPA, and positions without gaps, are not."""
    from transformers import modeling_flash_attention_utils as flash

    family, _, encoded = encoded_of("llava")
    row = row_of(family.prune(encoded, random_keep(encoded)))
    later = row[:, 3:]
    assert flash._is_packed_sequence(later, 1)
    (_, keys), _ = flash.prepare_fa_kwargs_from_position_ids(later)
    assert keys.tolist() == [0, later.shape[1]]  # and not all of row.shape[1]

    model = model_of(LLAVA)
    inputs = tiny_inputs(model, CASES["llava"].prompts)
    chunks = {**GREEDY, "prefill_chunk_size": 3, "disable_compile": True}
    with mitheory.prune(model, None, method="divprune", budget=3):
        whole = model.generate(**inputs, **GREEDY)
        assert torch.equal(model.generate(**inputs, **chunks), whole)
        text = type(model.config.get_text_config())
        monkeypatch.setattr(text, "_attn_implementation", "flash_attention_2")
        with pytest.raises(ParameterError, match="prefill_chunk_size: expected None with flash"):
            model.generate(**inputs, **chunks)
        monkeypatch.undo()
    pruned = family.prune(encoded, random_keep(encoded), positions="compacted")

    monkeypatch.setattr(text, "_attn_implementation", "flash_attention_2")
    refuse_flash_chunks(model, pruned, 3)
    refuse_flash_chunks(model, family.prune(encoded, random_keep(encoded)), None)
