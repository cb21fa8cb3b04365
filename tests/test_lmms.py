"""The plug-in of lmms-eval, against a registry and a model of ours with its public interface."""

from __future__ import annotations

import importlib
import sys
import tomllib
from dataclasses import dataclass
from types import ModuleType

import pytest
import torch
from structure import ROOT

from analysis import lmms
from mitheory.errors import MissingDependencyError, ParameterError, UnknownNameError

pytest.importorskip("transformers")

from mitheory.testing import tiny_inputs, tiny_model
from mitheory.testing.tokenizer import tiny_tokenizer

LLAVA = "LlavaForConditionalGeneration"


@dataclass(frozen=True)
class Manifest:
    """As lmms-eval's: an id, and the path of a class for each of its two interfaces."""

    model_id: str
    simple_class_path: str | None = None
    chat_class_path: str | None = None
    aliases: tuple[str, ...] = ()


class Wrapper:
    """As lmms-eval's models: takes no keyword it does not know, and cuts the prompt off."""

    is_simple = False

    def __init__(self, pretrained: str = "", batch_size: int = 1, **kwargs: object) -> None:
        assert kwargs == {}, f"Unexpected kwargs: {kwargs}"
        self.pretrained = pretrained
        self._model = tiny_model(LLAVA)
        self.processor = tiny_tokenizer()

    def generate_until(self, inputs):
        said = self._model.generate(**inputs, max_new_tokens=4, do_sample=False)
        return said[:, inputs["input_ids"].shape[1] :]


@pytest.fixture
def installed(monkeypatch):
    """lmms-eval, as far as a plug-in sees it."""
    for own in lmms.WRAPPED.values():
        module = ModuleType(own.module)
        setattr(module, own.name, type(own.name, (Wrapper,), {"is_simple": own.kind == "simple"}))
        monkeypatch.setitem(sys.modules, own.module, module)
    registry = ModuleType("lmms_eval.models.registry_v2")
    registry.ModelManifest = Manifest
    for name in ("lmms_eval", "lmms_eval.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, registry.__name__, registry)
    yield
    for name in lmms.WRAPPED:
        vars(lmms).pop(name, None)


def resolved(manifest: Manifest) -> type:
    """As the registry resolves a manifest: the last dot is before the class."""
    path = manifest.chat_class_path or manifest.simple_class_path
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_the_entry_point_gives_manifests():
    """The one that pyproject.toml declares is callable, and is this module's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = project["entry-points"]["lmms_eval.models"]
    assert declared == {"mitheory": "analysis.lmms:manifests"}
    module, _, name = declared["mitheory"].partition(":")
    assert getattr(importlib.import_module(module), name) is lmms.manifests


def test_every_manifest_resolves_to_a_class_of_its_kind(installed):
    found = lmms.manifests()
    assert len({m.model_id for m in found}) == len(found) == len(lmms.WRAPPED)
    for manifest in found:
        cls = resolved(manifest)
        assert issubclass(cls, Wrapper)
        assert cls is lmms.model_class(manifest.model_id)
        assert cls.is_simple is (manifest.chat_class_path is None)


def inputs_of(model) -> dict[str, torch.Tensor]:
    """One image and a question behind it, as a processor gives them."""
    ids = tiny_tokenizer()("What color is the shirt?", add_special_tokens=False)["input_ids"]
    return tiny_inputs(model, [[4, "image", *ids]])


def test_a_wrapped_model_is_shown_what_the_method_keeps(installed):
    """With all tokens the answer is the bare model's; with five the pruner says which; and what
    cuts the prompt off by its length gets the new tokens alone."""
    cls = lmms.model_class("mitheory_llava_hf")
    bare = Wrapper()
    inputs = inputs_of(bare._model)
    expected = bare.generate_until(inputs)
    whole = cls(pretrained="x", prune_method="random", prune_budget=1.0)
    assert whole.pretrained == "x"
    assert torch.equal(whole.generate_until(inputs), expected)
    few = cls(prune_method="mi_pruner", prune_budget=3, prune_relevance_weight=1.0)
    said = few.generate_until(inputs)
    assert said.shape == expected.shape
    assert [len(kept) for kept in few.pruner.kept] == [3]
    assert few.pruner.options == {"relevance_weight": 1.0}


def test_policies_of_pruning_are_told_from_options_of_the_method(installed):
    cls = lmms.model_class("mitheory_llava_hf")
    model = cls(prune_method="random", prune_budget=2, prune_text_scope="user_turn")
    assert model.pruner.family.options.text_scope == "user_turn"
    with pytest.raises(ParameterError, match="text_scope"):
        cls(prune_text_scope="everything")


def test_what_is_not_there_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "lmms_eval", None)
    with pytest.raises(MissingDependencyError, match="pip install lmms-eval"):
        lmms.manifests()
    with pytest.raises(UnknownNameError, match="did you mean 'mitheory_llava_hf'"):
        lmms.model_class("mitheory_llava_hv")
    with pytest.raises(AttributeError):
        _ = lmms.PrunedNothing
