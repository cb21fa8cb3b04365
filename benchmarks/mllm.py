"""``python -m benchmarks.mllm``: memory and latency of real models in full size, random weights.

Latency does not depend on the values of the weights. For each model, method and budget it times the
three stages of a pruned answer: `encode` (vision encoder and projector, with what the method reads
of it), `select` (the method, and the cut of the prompt) and `prefill` (the decoder on what is
left); 10 warm-ups and 30 runs, as in App. B.4. Full size needs a CUDA device; ``--tiny`` runs the
same on tiny models anywhere.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mitheory import provenance
from mitheory.errors import ParameterError
from mitheory.io import atomic_write_csv, atomic_write_json
from mitheory.models.mllm.pruning import Pruner
from mitheory.models.mllm.registry import family_of
from mitheory.models.mllm.requirements import transformers
from mitheory.models.mllm.selecting import looks_at_attention
from mitheory.testing import tiny_inputs, tiny_model
from mitheory.testing.shapes import full_size

MODELS = {
    "llava-1.5-7b": ("LlavaForConditionalGeneration", "image", (64, 32)),
    "qwen3-vl-8b": ("Qwen3VLForConditionalGeneration", "image", (0.5, 0.25)),
    "video-llava-7b": ("VideoLlavaForConditionalGeneration", "video", (227, 114)),
}
"""Shapes -> class, what it is shown, and the budgets of the paper."""

METHODS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("mi_pruner", {"relevance_weight": 1.0}),
    ("mi_pruner", {"relevance_weight": 0.5}),
    ("random", {}),
    ("similarity", {}),
    ("divprune", {}),
)
WARM_UPS, RUNS = 10, 30
QUESTION = 12  # tokens of the prompt behind the image


def times_of(
    call: Callable[[], Any], device: torch.device, warm_ups: int, runs: int
) -> list[float]:
    """Milliseconds of each run, the device having finished before and after."""
    found = []
    for i in range(warm_ups + runs):
        _wait(device)
        start = time.perf_counter()
        call()
        _wait(device)
        if i >= warm_ups:
            found.append(1000 * (time.perf_counter() - start))
    return found


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_of(call: Callable[[], Any], device: torch.device) -> float:
    """Highest allocation on the GPU during one call, in GiB; NaN on a CPU."""
    if device.type != "cuda":
        return float("nan")
    torch.cuda.reset_peak_memory_stats(device)
    call()
    _wait(device)
    return torch.cuda.max_memory_allocated(device) / 2**30


def model_of(name: str, *, tiny: bool, device: torch.device) -> Any:
    """A model with random weights: tiny, or in full size and half precision."""
    architecture = MODELS[name][0]
    if tiny:
        return tiny_model(architecture).to(device).eval()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            return getattr(transformers(), architecture)(full_size(name)).eval()
    finally:
        torch.set_default_dtype(before)


@torch.no_grad()
def measured(
    name: str, *, tiny: bool, device: torch.device, warm_ups: int = WARM_UPS, runs: int = RUNS
) -> pd.DataFrame:
    """One row for each method, budget and stage: medians and quartiles of milliseconds.

    Columns: model, n_v, method, options, kept, stage, median_ms, low_ms, high_ms, peak_gib.
    """
    _, modality, budgets = MODELS[name]
    model = model_of(name, tiny=tiny, device=device)
    inputs = {
        k: v.to(device, model.dtype if v.is_floating_point() else v.dtype)
        for k, v in tiny_inputs(model, [[4, modality, *([6] * QUESTION)]]).items()
    }
    family, rows = family_of(model), []
    columns = torch.arange(inputs["input_ids"].shape[1])[-QUESTION:]
    n_v = len(family.encode(inputs).columns(0))
    settings = [("full", {}, n_v)]
    settings += [
        (method, options, min(budget, max(1, n_v // 2)) if tiny and budget >= 1 else budget)
        for method, options in METHODS
        for budget in budgets
    ]
    for method, options, budget in settings:
        chooser = "random" if method == "full" else method
        own = Pruner(
            family, None, chooser, budget, columns=lambda ids, mask: columns, options=options
        )
        attention = looks_at_attention(own.wanted)
        encoded = family.encode(inputs, attention=attention)

        def select(own: Pruner = own, encoded: Any = encoded) -> dict[str, Any]:
            kept = [own._chosen(encoded, 0)]
            return family.prune(encoded, [k.indices.cpu() for k in kept if k is not None])

        stages: dict[str, Callable[[], Any]] = {
            "encode": lambda attention=attention: family.encode(inputs, attention=attention),
            "select": select,
            "prefill": lambda select=select: model(**select(), logits_to_keep=1),
        }
        shown = n_v if budget == n_v else len(own._chosen(encoded, 0).indices)
        for stage, call in stages.items():
            taken = pd.Series(times_of(call, device, warm_ups, runs))
            low, middle, high = taken.quantile([0.25, 0.5, 0.75])
            rows.append(
                {"model": name, "n_v": n_v, "method": method, "options": str(options),
                 "kept": shown, "stage": "select and prefill" if stage == "prefill" else stage,
                 "median_ms": middle, "low_ms": low, "high_ms": high,
                 "peak_gib": peak_of(call, device)}
            )  # fmt: skip
    return pd.DataFrame(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write results.csv and provenance.json, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mllm", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=sorted(MODELS))
    parser.add_argument("--tiny", action="store_true", help="tiny models, on any machine")
    parser.add_argument("--cpu", action="store_true", help="full size without a GPU: very slow")
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/mllm"), help="folder")
    options = parser.parse_args(arguments)
    has_gpu = torch.cuda.is_available()
    if not (has_gpu or options.tiny or options.cpu):
        raise ParameterError("benchmarks.mllm: full size needs a CUDA device; --cpu insists")
    device = torch.device("cuda" if has_gpu and not options.cpu else "cpu")
    tables = [measured(name, tiny=options.tiny, device=device) for name in options.models]
    table = pd.concat(tables, ignore_index=True)
    atomic_write_csv(options.out / "results.csv", table.round(4))
    origin = provenance.collect("python -m benchmarks.mllm", seed=0, device=device).to_dict()
    atomic_write_json(options.out / "provenance.json", origin | {"tiny": options.tiny})
    print(table.to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
