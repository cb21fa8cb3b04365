"""Families by class name, what `transformers` must offer, and checkpoints on disk."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from mllm_cases import CASES, LLAVA, ONE_EACH, model_of

from mitheory.errors import MissingDependencyError, ParameterError, UnknownNameError
from mitheory.models.mllm import requirements
from mitheory.models.mllm.options import Options
from mitheory.models.mllm.registry import FAMILIES, family_class, family_of
from mitheory.testing import TINY, save_tiny, tiny_inputs


def test_every_family_has_a_tiny_model_and_goes_through_the_cases():
    assert set(FAMILIES) == set(TINY) == set(ONE_EACH)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_every_family_is_found(architecture):
    assert family_class(architecture).__doc__


def test_an_unknown_class_is_answered_with_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"unknown architecture 'Linear'.*Known: .*Llava"):
        family_of(torch.nn.Linear(1, 1))


def test_a_derived_class_is_of_the_family():
    model = model_of(LLAVA)
    derived = type("Mine", (type(model),), {})
    copy = object.__new__(derived)
    copy.__dict__ = model.__dict__
    assert type(family_of(copy)) is family_class(LLAVA)


@pytest.mark.parametrize("version", ["5.22.4", "4.57.6", "6.0.0"])
def test_another_version_is_refused(version, monkeypatch):
    monkeypatch.setattr("transformers.__version__", version)
    with pytest.raises(MissingDependencyError, match=f">= 5.23, < 6.*{version} is installed"):
        requirements.transformers()


@pytest.mark.parametrize("version", ["5.23.0", "5.23.0.dev0", "5.99.1"])
def test_versions_that_are_good(version, monkeypatch):
    monkeypatch.setattr("transformers.__version__", version)
    assert requirements.transformers().__version__ == version


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mitheory\[mllm\]'"):
        requirements.transformers()


def test_a_forward_without_encoded_tokens_is_refused():
    class Old:
        def forward(self, input_ids):
            return input_ids

    with pytest.raises(MissingDependencyError, match="takes no mm_encoder_outputs"):
        requirements.check_class(Old)


def test_transformers_is_imported_on_use():
    code = (
        "import sys, mitheory, mitheory.models.mllm.registry, mitheory.models.mllm.llava, "
        "mitheory.testing; assert 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ONE_EACH.values())
def test_a_saved_checkpoint_comes_back(name, tmp_path):
    """Several shards with an index, as real ones; weights, tokenizer and logits are the same."""
    import transformers

    architecture = CASES[name].architecture
    folder = save_tiny(architecture, tmp_path / "checkpoint")
    index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
    assert len(set(index["weight_map"].values())) > 2
    assert json.loads((folder / "config.json").read_text())["architectures"] == [architecture]
    model = model_of(architecture)
    loaded = getattr(transformers, architecture).from_pretrained(folder).eval()
    inputs = tiny_inputs(model, CASES[name].prompts)
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.decode(tokenizer("Is it red?").input_ids[1:]) == "Is it red?"


@pytest.mark.parametrize(
    "wrong",
    [{"positions": "original"}, {"newline": "all"}, {"cls": ""}, {"text_scope": "prompt"},
     {"attention_layer": 1.5}],
)  # fmt: skip
def test_options_are_checked(wrong):
    (name,) = wrong
    with pytest.raises(ParameterError, match=name):
        Options(**wrong)
