"""Tiny models by the name of their class: in memory, or saved as real checkpoints are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ..io import atomic_write_json
from ..models.mllm.requirements import transformers
from ..names import lookup
from .tokenizer import tiny_tokenizer

LOGIT_STD = 1.5  # so that the largest logit is decisive, as in a trained model
SHARD = "150KB"  # small enough for several


@dataclass(frozen=True)
class Medium:
    """One image or video for a tiny model.

    Attributes
    ----------
    tensors : dict
        By the names of the model's inputs, without the axis of images.
    tokens : tuple of int
        What stands in the prompt for it: placeholders, and what is around them.
    """

    tensors: Mapping[str, torch.Tensor]
    tokens: tuple[int, ...]


def nothing(config: Any, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """No further inputs."""
    return {}


@dataclass(frozen=True)
class ProcessorFiles:
    """A processor as the files of its checkpoint: those that need torchvision can be written
    without it.

    Attributes
    ----------
    tokenizer : PreTrainedTokenizerFast
    files : dict
        Name -> what stands in it, as JSON.
    """

    tokenizer: Any
    files: Mapping[str, Mapping[str, Any]]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tokenizer and the files."""
        self.tokenizer.save_pretrained(folder)
        for name, content in self.files.items():
            atomic_write_json(Path(folder) / name, dict(content))


@dataclass(frozen=True)
class Tiny:
    """How a tiny model is made.

    Attributes
    ----------
    special : tuple of str
        Special tokens of its tokenizer.
    config : callable
        From a tokenizer to the configuration.
    medium : callable
        From the configuration, a modality, a generator and a number that may change its size, to
        an image or a video.
    collate : callable
        From the tensors of all images and videos, by name, to the model's input of that name.
    processor : callable
        From a tokenizer and the configuration to the processor, or its `ProcessorFiles`.
    further : callable
        From the configuration and the ids of all prompts to what else the processor gives.
    """

    special: tuple[str, ...]
    config: Callable[[Any], Any]
    medium: Callable[[Any, str, torch.Generator, int], Medium]
    collate: Callable[[str, Sequence[torch.Tensor]], torch.Tensor]
    processor: Callable[[Any, Any], Any]
    further: Callable[[Any, torch.Tensor], dict[str, torch.Tensor]] = nothing


TINY: dict[str, str] = {
    "LlavaForConditionalGeneration": "llava:LLAVA",
    "LlavaNextForConditionalGeneration": "llava:LLAVA_NEXT",
    "VideoLlavaForConditionalGeneration": "llava:VIDEO_LLAVA",
    "Qwen2VLForConditionalGeneration": "qwen:QWEN2",
    "Qwen2_5_VLForConditionalGeneration": "qwen:QWEN2_5",
    "Qwen3VLForConditionalGeneration": "qwen:QWEN3",
    "Qwen3VLMoeForConditionalGeneration": "qwen:QWEN3_MOE",
}
"""Class of `transformers` -> module of this package and its `Tiny`."""


def tiny(architecture: str) -> Tiny:
    """How the tiny model of a class is made.

    Raises
    ------
    UnknownNameError
    """
    module, _, name = lookup(architecture, TINY, "architecture").partition(":")
    found: Tiny = getattr(import_module(f".{module}", __package__), name)
    return found


def tiny_model(architecture: str, *, seed: int = 0, tokenizer: Any = None) -> Any:
    """A random model of a class, in float32 and evaluation mode, whose answers are decisive.

    Weights are larger than usual and the logits rescaled, so that a wrong image, position or mask
    changes them by far more than rounding. It never stops by itself.

    Parameters
    ----------
    architecture : a name of `TINY`
    seed : of the weights
    tokenizer : of `tiny_tokenizer`; made without

    Raises
    ------
    UnknownNameError, MissingDependencyError

    Examples
    --------
    >>> model = tiny_model("LlavaForConditionalGeneration")
    >>> type(model).__name__, model.training
    ('LlavaForConditionalGeneration', False)
    """
    library = transformers()
    recipe = tiny(architecture)
    tokenizer = tokenizer or tiny_tokenizer(recipe.special)
    config = recipe.config(tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(library, architecture)(config).eval()
        ids = torch.randint(4, 100, (4, 16))
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        head.mul_(LOGIT_STD / model(input_ids=ids).logits.std())
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def save_tiny(architecture: str, folder: str | Path, *, seed: int = 0) -> Path:
    """Write a tiny checkpoint as the real ones are: shards, index, configuration, processor.

    Parameters
    ----------
    architecture : a name of `TINY`
    folder : to write to; made if missing
    seed : of the weights

    Returns
    -------
    Path
        The folder, for `from_pretrained`.

    Raises
    ------
    UnknownNameError, MissingDependencyError

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_tiny("LlavaForConditionalGeneration", folder)
    ...     len(list(path.glob("*.safetensors"))) > 1, (path / "config.json").is_file()
    (True, True)
    """
    folder = Path(folder)
    recipe = tiny(architecture)
    tokenizer = tiny_tokenizer(recipe.special)
    model = tiny_model(architecture, seed=seed, tokenizer=tokenizer)
    model.save_pretrained(folder, max_shard_size=SHARD)
    recipe.processor(tokenizer, model.config).save_pretrained(folder)
    return folder
