"""``python -m benchmarks.mllm``: memory and latency of real models in full size, random weights.

Latency does not depend on the values of the weights. For each model, method and budget it times
`encode` (vision encoder and projector, with what the method reads of it), `select` (the method),
`prefill` (the cut of the prompt, and the decoder on what is left) and the `whole`, from pixels to a
short answer; 10 warm-ups and 30 runs, as in App. B.4. Methods that prune inside the decoder have no
`select` and `prefill` of their own. Full size needs a CUDA device; ``--tiny`` runs the same on tiny
models anywhere.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from analysis.progress import console
from analysis.settings import CDPRUNER
from analysis.studies.cost import torch_peaks
from mitheory import provenance, prune
from mitheory.errors import MissingInputError, ParameterError
from mitheory.io import atomic_write_csv, atomic_write_json
from mitheory.models.mllm.pruning import Pruner
from mitheory.models.mllm.registry import family_of
from mitheory.models.mllm.requirements import transformers
from mitheory.models.mllm.selecting import looks_at_attention
from mitheory.testing import tiny_inputs, tiny_model
from mitheory.testing.shapes import full_size

Call = Callable[[], Any]

MODELS: Mapping[str, tuple[str, str, tuple[int | float, ...]]] = {
    "llava-1.5-7b": ("LlavaForConditionalGeneration", "image", (128, 64, 32)),
    "qwen3-vl-8b": ("Qwen3VLForConditionalGeneration", "image", (0.5, 0.25)),
    "video-llava-7b": ("VideoLlavaForConditionalGeneration", "video", (227, 114)),
}
"""Shapes -> class, what it is shown, and the budgets of the paper."""

METHODS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("mi_pruner", {"relevance_weight": 1.0}),
    ("mi_pruner", {"relevance_weight": 0.5}),
    ("mi_attention", {"relevance_weight": 1.0}),
    ("random", {}),
    ("similarity", {}),
    ("divprune", {}),
    ("cdpruner", CDPRUNER),
    ("visionzip", {}),
    ("vispruner", {}),
    ("fastv", {}),
    ("dart", {}),
    ("sparsevlm", {}),
)
WARM_UPS, RUNS = 10, 30
QUESTION = 12  # tokens of the prompt behind the image
ANSWER = 2  # tokens of an answer: a word, and the end
GIB = 2**30

PRINTED_MODELS = {"llava-1.5-7b": "LLaVA1.5-7B"}
PRINTED_METHODS = {
    ("mi_pruner", 1.0): "MI-Pruner(lambda=1)",
    ("mi_pruner", 0.5): "MI-Pruner(lambda=0.5)",
    ("mi_attention", 1.0): "MI-Attention",
    ("cdpruner", None): "CDPruner",
    ("vispruner", None): "VisPruner",
    ("dart", None): "DART",
    ("sparsevlm", None): "SparseVLM",
}
"""Method and λ -> name in Tabs. 3 and 9."""
TABLES = {3: (128, 64), 9: (32,)}
"""Table of the paper -> its budgets."""


@dataclass(frozen=True)
class Peak:
    """Bytes of a device during one call.

    Parameters
    ----------
    held : before it, the weights above all
    most : at most, with those
    """

    held: int
    most: int


def times_of(call: Call, device: torch.device, warm_ups: int, runs: int) -> list[float]:
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


def peaks_of(calls: Mapping[str, Call], model: Any, device: torch.device) -> dict[str, Peak]:
    """The highest allocation during each call: on a GPU by its allocator, on a CPU by torch's
    profiler, above the bytes of the weights."""
    if device.type != "cuda":
        tensors = [*model.parameters(), *model.buffers()]
        held = sum(x.numel() * x.element_size() for x in tensors)
        found = torch_peaks(calls)
        return {name: Peak(held, held + found[name]) for name in calls}
    peaks = {}
    for name, call in calls.items():
        _wait(device)
        held = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        _wait(device)
        peaks[name] = Peak(held, torch.cuda.max_memory_allocated(device))
    return peaks


def model_of(name: str, *, tiny: bool, device: torch.device) -> Any:
    """A model with random weights: tiny, or in full size and half precision; it never stops by
    itself."""
    architecture = MODELS[name][0]
    if tiny:
        return tiny_model(architecture).to(device).eval()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            model = getattr(transformers(), architecture)(full_size(name)).eval()
    finally:
        torch.set_default_dtype(before)
    model.generation_config.eos_token_id = None
    return model


def budgets_of(name: str, n_v: int, *, tiny: bool) -> list[int | float]:
    """The paper's budgets; of a tiny model, which has fewer tokens, as many as halve what is left.

    Examples
    --------
    >>> budgets_of("llava-1.5-7b", 576, tiny=False), budgets_of("llava-1.5-7b", 16, tiny=True)
    ([128, 64, 32], [8, 4, 2])
    """
    budgets = list(MODELS[name][2])
    if not tiny or isinstance(budgets[0], float):
        return budgets
    return [max(1, n_v // 2 ** (i + 1)) for i in range(len(budgets))]


@torch.no_grad()
def measured(
    name: str,
    *,
    tiny: bool,
    device: torch.device,
    warm_ups: int = WARM_UPS,
    runs: int = RUNS,
    methods: Sequence[tuple[str, dict[str, Any]]] = METHODS,
) -> pd.DataFrame:
    """One row for each method, budget and stage.

    A method that cannot run on a model, for want of a class token or of layers for instance, has
    one row without a stage whose note says why.

    Returns
    -------
    DataFrame
        Columns model, n_v, method, relevance_weight, budget, stage, mean_ms, se_ms, median_ms,
        low_ms and high_ms (quartiles), held_gib, peak_gib, note.
    """
    modality = MODELS[name][1]
    model = model_of(name, tiny=tiny, device=device)
    inputs = {
        k: v.to(device, model.dtype if v.is_floating_point() else v.dtype)
        for k, v in tiny_inputs(model, [[4, modality, *([6] * QUESTION)]]).items()
    }
    n_v = len(family_of(model).encode(inputs).columns(0))
    rows = []
    settings: list[tuple[str, dict[str, Any], int | float]] = [("full", {}, n_v)]
    settings += [(m, o, b) for m, o in methods for b in budgets_of(name, n_v, tiny=tiny)]
    for method, options, budget in settings:
        console.print(f"{name}: {method} {options or ''} {budget:g}")
        own = {
            "model": name, "n_v": n_v, "method": method,
            "relevance_weight": options.get("relevance_weight"), "budget": budget,
        }  # fmt: skip
        try:
            calls = stages(model, inputs, method, budget, options)
            next(iter(calls.values()))()
            calls["whole"]()
        except (MissingInputError, ParameterError) as error:
            rows.append({**own, "stage": "", "note": str(error)})
            continue
        peaks = peaks_of(calls, model, device)
        for stage, call in calls.items():
            taken = pd.Series(times_of(call, device, warm_ups, runs))
            low, middle, high = taken.quantile([0.25, 0.5, 0.75])
            rows.append(
                {**own, "stage": stage, "mean_ms": taken.mean(), "se_ms": taken.sem(),
                 "median_ms": middle, "low_ms": low, "high_ms": high,
                 "held_gib": peaks[stage].held / GIB, "peak_gib": peaks[stage].most / GIB,
                 "note": ""}
            )  # fmt: skip
    return pd.DataFrame(rows)


def stages(
    model: Any,
    inputs: Mapping[str, Any],
    method: str,
    budget: int | float,
    options: Mapping[str, Any],
) -> dict[str, Call]:
    """What is timed of a method; "full" keeps everything.

    Raises
    ------
    MissingInputError, ParameterError
        If the method looks at what the model does not have, or prunes where it has no layer; by
        calling a stage, too.
    """
    family = family_of(model)
    behind = torch.arange(inputs["input_ids"].shape[1], device=inputs["input_ids"].device)
    answer = {"max_new_tokens": ANSWER, "min_new_tokens": ANSWER, "do_sample": False}

    def columns(ids: Any, mask: Any) -> torch.Tensor:
        return behind[-QUESTION:]

    if method == "full":
        encoded = family.encode(inputs)
        return {
            "encode": lambda: family.encode(inputs),
            "prefill": lambda: model(**family.prune(encoded), logits_to_keep=1),
            "whole": lambda: model.generate(**inputs, **answer),
        }

    def whole() -> None:
        with prune(model, None, method=method, budget=budget, columns=columns, **options):
            model.generate(**inputs, **answer)

    own = Pruner(family, None, method, budget, columns=columns, options=options)
    looks = looks_at_attention(own.wanted)
    found: dict[str, Call] = {"encode": lambda: family.encode(inputs, attention=looks)}
    if own.wanted:  # of what is there before the decoder: it prunes there
        seen = family.encode(inputs, attention=looks)
        chosen = own._chosen(seen, 0)
        assert chosen is not None  # there are visual tokens
        keep, merges = [chosen.indices.cpu()], [chosen.merge]
        found["select"] = lambda: own._chosen(seen, 0)
        found["prefill"] = lambda: model(
            **family.prune(seen, keep, merges=merges), logits_to_keep=1
        )
    return {**found, "whole": whole}


def beside(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """The rows of a table of the paper: highest memory with the weights, in GiB (its numbers are
    below the decimal gigabytes of the weights alone), and mean latency of the whole.

    Parameters
    ----------
    table : of `measured`
    number : 3 or 9
    """
    whole = table[(table["stage"] == "whole") & table["budget"].isin(TABLES[number])]
    rows = []
    for row in whole.to_dict("records"):
        weight = None if pd.isna(row["relevance_weight"]) else float(row["relevance_weight"])
        method = PRINTED_METHODS.get((str(row["method"]), weight))
        model = PRINTED_MODELS.get(str(row["model"]))
        if method is None or model is None:
            continue
        half = 1.96 * row["se_ms"]
        own = {
            "table": number, "model": model, "keep": str(int(row["budget"])), "method": method,
        }  # fmt: skip
        middle = row["mean_ms"]
        rows.append({**own, "metric": "memory_gb", "value": row["peak_gib"]})
        rows.append(
            {**own, "metric": "latency_ms", "value": middle, "low": middle - half,
             "high": middle + half}
        )  # fmt: skip
    columns = ["table", "model", "keep", "method", "metric", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write results.csv and provenance.json, print the table.

    In full size also tab3.csv and tab9.csv, which `python -m paper_figures` puts beside the printed
    numbers.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mllm", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=sorted(MODELS))
    parser.add_argument("--tiny", action="store_true", help="tiny models, on any machine")
    parser.add_argument("--cpu", action="store_true", help="full size without a GPU: very slow")
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/mllm"), help="folder")
    parser.add_argument(
        "--warm-ups", type=int, default=WARM_UPS, help="calls before the timed ones"
    )
    parser.add_argument("--runs", type=int, default=RUNS, help="timed calls")
    options = parser.parse_args(arguments)
    has_gpu = torch.cuda.is_available()
    if not (has_gpu or options.tiny or options.cpu):
        raise ParameterError("benchmarks.mllm: full size needs a CUDA device; --cpu insists")
    if options.warm_ups < 0 or options.runs < 2:
        raise ParameterError(
            f"runs: expected 2 or more after 0 or more warm-ups, got {options.runs} after "
            f"{options.warm_ups}"
        )
    device = torch.device("cuda" if has_gpu and not options.cpu else "cpu")
    tables = [
        measured(
            name, tiny=options.tiny, device=device, warm_ups=options.warm_ups, runs=options.runs
        )
        for name in options.models
    ]
    table = pd.concat(tables, ignore_index=True)
    atomic_write_csv(options.out / "results.csv", table.round(4))
    if not options.tiny:
        for number in TABLES:
            if len(found := beside(table, number)):
                atomic_write_csv(options.out / f"tab{number}.csv", found)
    origin = provenance.collect("python -m benchmarks.mllm", seed=0, device=device).to_dict()
    said = {"tiny": options.tiny, "warm_ups": options.warm_ups, "runs": options.runs}
    atomic_write_json(options.out / "provenance.json", origin | said)
    print(table.to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
