"""Samples and bundles that the bundle tests share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from mitheory.bundle import BundleWriter, Sample
from mitheory.bundle.fields import FIELDS
from mitheory.provenance import Provenance, collect

# Without the commit: a process that a test starts later may find another one.
PROVENANCE = replace(
    collect("mitheory extract", seed=3, model="fruitfly", dtype=torch.float32),
    git_commit=None,
    is_modified=None,
)


def full_sample(image: int = 0, question: int = 0, *, n_v: int = 4, d: int = 6) -> Sample:
    """A sample with every field; samples of one image share its tensors' values."""
    of_image = torch.Generator().manual_seed(image)
    own = torch.Generator().manual_seed(1000 * image + question + 1)
    n_t = 1 + question % 3
    return Sample(
        sample_id=f"{image}-{question}",
        image_id=f"image {image}",
        visual=torch.randn(n_v, d, generator=of_image),
        cls_attention=torch.rand(2, n_v, generator=of_image),
        patch_attention=torch.rand(2, n_v, n_v, generator=of_image),
        received_attention=torch.rand(n_v, generator=of_image),
        encoder_features=torch.randn(n_v, 3, generator=of_image),
        encoder_keys=torch.randn(n_v, 3, generator=of_image),
        clip_visual=torch.randn(n_v, 5, generator=of_image),
        image=torch.randint(256, (8, 8, 3), generator=of_image, dtype=torch.uint8),
        text=torch.randn(n_t, d, generator=own),
        clip_text=torch.randn(1, 5, generator=own),
        text_attention=torch.rand(2, n_t, n_v, generator=own),
        llm_visual_states=torch.randn(n_v, 7, generator=own),
        llm_text_states=torch.randn(n_t, 7, generator=own),
        llm_visual_keys=torch.randn(2, n_v, 4, generator=own),
        llm_text_keys=torch.randn(2, n_t, 4, generator=own),
        relevant=torch.rand(n_v, generator=own) < 0.5,
        grid=(2, n_v // 2),
        tokens=("is", "τ", "four")[:n_t],
        question='is there a "red" four ?',
        answer=("yes", "no")[question % 2],
        question_type="existence",
        negative=(None, "random", "popular", "adversarial")[question % 4],
        options=("yes", "no"),
        metadata={"scene": image, "things": [["red", 4], None], "nested": {"é": 0.1}},
    )


def bare_sample(name: str = "a") -> Sample:
    """A sample with the required fields only, on no grid."""
    return Sample(
        sample_id=name,
        image_id=name,
        visual=torch.ones(3, 2),
        text=torch.ones(1, 2),
        grid=None,
        tokens=("?",),
        question="?",
        answer="",
        question_type="open",
    )


def many_samples(images: int = 3, questions: int = 4) -> Iterator[Sample]:
    return (full_sample(i, q) for i in range(images) for q in range(questions))


def write(
    path: Path,
    samples: Iterator[Sample],
    *,
    dtype: str = "float32",
    shard_size: int = 64 << 20,
    provenance: Provenance = PROVENANCE,
) -> Path:
    with BundleWriter(path, provenance, dtype=dtype, shard_size=shard_size) as writer:
        for sample in samples:
            writer.add(sample)
    return path


def assert_same_sample(got: Sample, expected: Sample, *, dtype: torch.dtype | None = None) -> None:
    """Equal in every field; floating-point tensors after rounding to `dtype` and back."""
    words = [name for name in Sample.__dataclass_fields__ if name not in FIELDS]
    assert [(n, getattr(got, n)) for n in words] == [(n, getattr(expected, n)) for n in words]
    given, wanted = got.tensors(), expected.tensors()
    assert list(given) == list(wanted)
    for name, tensor in wanted.items():
        if dtype is not None and tensor.is_floating_point():
            tensor = tensor.to(dtype).float()
        assert given[name].dtype == tensor.dtype, name
        assert torch.equal(given[name], tensor), name
