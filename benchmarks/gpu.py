"""The fused loops on a GPU: the same tokens as on a CPU, how soon, in how many launches?

Run as ``python -m benchmarks.gpu [--out folder]`` where there is a CUDA device; prints a Markdown
table and writes it with ``gpu.json`` and its provenance. ``--compile`` needs none: it translates
the kernels for sm_90 and prints what they take of a processor.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

import mitheory
from mitheory.io import atomic_write_json, atomic_write_text
from mitheory.provenance import collect
from mitheory.selection import mi
from mitheory.selection.fused import available, fused_mi
from mitheory.selection.mi import Problem, mi_greedy, mi_problem

OPTIONS: dict[str, Any] = {
    "temperature": 0.1, "self_temperature": None, "relevance_weight": 0.5, "aggregation": "max",
    "redundancy_aggregation": "max", "conditional": "softmax", "self_conditional": None,
    "prior": "uniform", "self_loop": True, "self_marginal": "uniform", "empty_redundancy": 0.0,
    "grid": None, "zero_norm": "uninformative",
}  # fmt: skip
WARM_UP, ROUNDS = 5, 30


@dataclass(frozen=True)
class Case:
    """One size; `target` is milliseconds a sample for the stage `stage`, None without one."""

    samples: int
    n_v: int
    k: int
    d: int
    n_t: int = 32
    stage: str = "tables and loop"
    target: float | None = None


CASES = (
    Case(1, 2048, 114, 4096, target=1.0),
    Case(64, 576, 64, 4096, target=0.1),
    Case(1, 576, 64, 4096),
    Case(1, 10_000, 500, 256),
)


def tokens(case: Case, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random float32 images and prompts, on the CPU."""
    rng = torch.Generator().manual_seed(seed)
    visual = torch.randn(case.samples, case.n_v, case.d, generator=rng)
    return visual, torch.randn(case.samples, case.n_t, case.d, generator=rng)


def plain_greedy(problem: Problem, k: int) -> Any:
    """The PyTorch loop, wherever the tensors are."""
    with mock.patch.object(mi, "available", return_value=False):
        return mi_greedy(problem, k)


def stages(visual: Tensor, text: Tensor, k: int) -> dict[str, Callable[[], Any]]:
    """What is timed, from the bare loop to the front door."""
    problem = mi_problem(visual, text, **OPTIONS)
    return {
        "loop": lambda: fused_mi(problem, k),
        "tables and loop": lambda: fused_mi(mi_problem(visual, text, **OPTIONS), k),
        "select_batch": lambda: mitheory.select_batch(
            "mi_pruner", visual=visual, text=text, budget=k
        ),
        "loop, PyTorch": lambda: plain_greedy(problem, k),
    }


def milliseconds(call: Callable[[], Any]) -> float:
    """Median between CUDA events, gaps between launches included."""
    for _ in range(WARM_UP):
        call()
    times = []
    for _ in range(ROUNDS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def kernel_launches(call: Callable[[], Any]) -> Counter[str]:
    """Kernels that ran on the GPU, by name; copies and fills are among them."""
    from torch.profiler import ProfilerActivity, profile

    call()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        call()
        torch.cuda.synchronize()
    on_gpu = [e for e in seen.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    return Counter(event.name for event in on_gpu)


def peak_mib(call: Callable[[], Any]) -> float:
    """Largest allocation beyond what is there before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


@dataclass(frozen=True)
class Margins:
    """How clear a sequence of choices was, in float64: nats.

    `given_up` is the largest difference of the best open score to the chosen one, `closest` the
    smallest one, above `slack`'s tenth, between any open score and the chosen one.
    """

    given_up: float
    closest: float


def margins(visual: Tensor, text: Tensor, indices: list[int], slack: float) -> Margins:
    """Follow one sample's choices (n_v, d), (n_t, d) with exact scores.

    Two choices of which one gives up less than the slack are both right; where `closest` is far
    above it, there is one right choice.
    """
    problem = mi_problem(visual[None].double(), text[None].double(), **OPTIONS)
    assert problem.redundancy is not None
    lam = problem.relevance_weight
    benefit = lam * problem.relevance[0]
    running = torch.full_like(benefit, -torch.inf)
    open_ = torch.ones_like(benefit, dtype=torch.bool)
    given_up, closest = 0.0, torch.inf
    for t, j in enumerate(indices):
        score = benefit - running if t else benefit
        differences = (score - score[j])[open_]
        given_up = max(given_up, float(differences.max()))
        apart = differences.abs()
        closest = min(closest, float(apart.where(apart > slack / 10, torch.inf).min()))
        open_[j] = False
        column = problem.redundancy.column(torch.tensor([j], device=benefit.device))[0]
        running = running.maximum((1 - lam) * column)
    return Margins(given_up, closest)


def measure(case: Case) -> list[dict[str, Any]]:
    """One row a stage; the indices of the first sample compared with those of a CPU."""
    visual, text = tokens(case)
    there = visual.cuda(), text.cuda()
    slack = mi_problem(visual[:1], text[:1], **OPTIONS).slack
    on_cpu = mitheory.select("mi_pruner", visual=visual[0], text=text[0], budget=case.k)
    rows = []
    for name, call in stages(*there, case.k).items():
        found = call()
        chosen = found[0].indices if isinstance(found, tuple) else found.indices[0]
        clear = margins(there[0][0], there[1][0], chosen.tolist(), slack)
        took = milliseconds(call)
        launches = kernel_launches(call)
        target = case.target if name == case.stage else None
        rows.append(
            asdict(replace(case, stage=name, target=target))
            | {
                "ms": took,
                "ms_per_sample": took / case.samples,
                "launches": sum(launches.values()),
                "fused_launches": sum(
                    n for kernel, n in launches.items() if kernel in ("resident", "streamed")
                ),
                "peak_mib": peak_mib(call),
                "same_as_cpu": chosen.tolist() == on_cpu.indices.tolist(),
                "given_up": clear.given_up,
                "closest": clear.closest,
                "slack": slack,
            }
        )
    return rows


COLUMNS = (
    "samples", "n_v", "k", "d", "stage", "ms", "ms_per_sample", "target", "launches",
    "fused_launches", "peak_mib", "same_as_cpu", "given_up", "closest",
)  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown.

    Examples
    --------
    >>> row = dict.fromkeys(COLUMNS) | {"ms": 0.25, "same_as_cpu": True}
    >>> print(table([row]).splitlines()[2])
    |  |  |  |  |  | 0.25 |  |  |  |  |  | yes |  |  |
    """

    def cell(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "yes" if value else "no"
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    lines = [COLUMNS, ["---"] * len(COLUMNS), *([cell(row[c]) for c in COLUMNS] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# --- without a GPU --------------------------------------------------------------------------


def compiled(capability: int = 90) -> None:
    """Print as JSON what each kernel takes when it is translated for a GPU, which need not be here.

    Needs Triton with its compiler for CUDA, and not its interpreter.
    """
    from mitheory.selection.fused import kernels

    softmax = {"CHARGE": "softmax", "TOTAL": False}
    weighted = {"CHARGE": "minmax_weighted", "TOTAL": True}
    distance = {"CHARGE": "distance", "TOTAL": False}
    tiles = {"BLOCK": 64, "BLOCK_D": 64, "BLOCKS": 256}
    rows = []
    for block in (32, 1024, 2048, 4096, 8192):
        for rule in (softmax, weighted, distance):
            warps = min(32, max(4, block // 256))
            rows.append(_compiled(kernels.resident, rule | {"BLOCK": block}, warps, capability))
    rows += [
        _compiled(kernels.streamed, rule | tiles, 4, capability)
        for rule in (softmax, weighted, distance)
    ]
    print(json.dumps(rows))


def _compiled(kernel: Any, constants: dict[str, Any], warps: int, capability: int) -> dict:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    floats, wide = ("slack", "temperature", "weight", "rounding"), ("chosen_ptr",)
    names = kernel.arg_names
    kinds = {
        n: "constexpr" if n in constants
        else "*i64" if n in wide
        else "*fp32" if n.endswith("_ptr")
        else "fp32" if n in floats
        else "i32"
        for n in names
    }  # fmt: skip
    aligned = [n for n in names if n.endswith("_ptr") or n in ("n", "d")]
    source = ASTSource(
        fn=kernel,
        signature=kinds,
        constexprs={(names.index(n),): value for n, value in constants.items()},
        attrs={(names.index(n),): [["tt.divisibility", 16]] for n in aligned},
    )
    options = {"num_warps": warps, "enable_fp_fusion": False}
    binary = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(binary.asm["cubin"])
        usage = subprocess.run(
            [tool, "-res-usage", file], capture_output=True, text=True, check=True
        ).stdout
    found = {key: int(value) for key, value in re.findall(r"(REG|STACK|SHARED):(\d+)", usage)}
    return {
        "kernel": kernel.__name__,
        "charge": constants["CHARGE"],
        "block": constants["BLOCK"],
        "warps": warps,
        "registers": found["REG"],
        "stack_bytes": found["STACK"],
        "shared_bytes": binary.metadata.shared,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--compile", action="store_true", help="translate only; needs no GPU")
    arguments = parser.parse_args()
    if arguments.compile:
        compiled()
        return
    if not torch.cuda.is_available():
        raise SystemExit("benchmarks.gpu: no CUDA device is visible; nothing was measured")
    if not available(torch.zeros(1, device="cuda")):
        raise SystemExit("benchmarks.gpu: the loops are not fused here: pip install -e '.[gpu]'")
    rows = [row for case in CASES for row in measure(case)]
    provenance = collect(seed=0, device="cuda:0", dtype=torch.float32).to_dict()
    provenance["versions"] |= {"triton": version("triton")}
    atomic_write_json(arguments.out / "gpu.json", {"provenance": provenance, "rows": rows})
    atomic_write_text(arguments.out / "gpu.md", table(rows) + "\n")
    print(table(rows))
    wrong = [row for row in rows if row["given_up"] > 2 * row["slack"]]
    if wrong:
        raise SystemExit(f"benchmarks.gpu: {len(wrong)} rows kept tokens that were not the best")


if __name__ == "__main__":
    main()
