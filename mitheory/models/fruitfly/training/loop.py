"""The training loop shared by all stages: seeded, logged, resumable, no pickle.

Every step draws its data from a generator seeded by (seed, stage, step), so that a run killed at
any instant and started again sees the same data as one that was never interrupted. Files are
written whole or not at all (`mitheory.io`), the log too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ....io import atomic_write_text, replacing

Rng = np.random.Generator


@dataclass(frozen=True)
class Stage:
    """One stage: what is trained (`modules`, by name), on which loss, at which learning rates.

    `scales` multiplies the learning rate of a named module (default 1, 0 freezes it).
    """

    name: str
    modules: Mapping[str, nn.Module]
    loss: Callable[[Rng], Tensor]
    evaluate: Callable[[], dict[str, float]]
    steps: int
    learning_rate: float
    warmup: int = 80
    hold: float = 0.4
    weight_decay: float = 0.02
    scales: Mapping[str, float] | None = None


def schedule(step: int, stage: Stage) -> float:
    """Linear warm-up, constant until `hold` of the steps, then linear decay to 2%."""
    done = step / stage.steps
    decay = 1.0 if done <= stage.hold else (1 - done) / (1 - stage.hold)
    return min(1.0, (step + 1) / stage.warmup) * (0.02 + 0.98 * decay)


def train(
    stage: Stage, out: Path, *, seed: int, every: int = 100, bf16: bool = False, log: bool = True
) -> None:
    """Run `stage` to its last step, from where an earlier call stopped; weights go to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    final, resume = out / f"{stage.name}.safetensors", out / f"{stage.name}.resume.safetensors"
    if final.exists():
        load_modules(stage.modules, final)
        return
    optimizer = _optimizer(stage)
    named = _named_parameters(stage)
    start = _restore(stage, optimizer, named, resume) if resume.exists() else 0
    losses: list[float] = []
    clock = time.perf_counter()
    for step in _steps(stage, start):
        for group in optimizer.param_groups:
            group["lr"] = stage.learning_rate * group["scale"] * schedule(step, stage)
        rng = np.random.default_rng([seed, sum(stage.name.encode()), step])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = stage.loss(rng)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % every == 0 or step + 1 == stage.steps:
            seconds = time.perf_counter() - clock
            row = {"stage": stage.name, "step": step + 1, "seconds": round(seconds, 1)}
            row |= {"loss": round(float(np.mean(losses)), 4), **stage.evaluate()}
            _log(out / "log.jsonl", row, echo=log)
            _save(stage, optimizer, named, resume, step + 1)
            losses, clock = [], time.perf_counter()
    save_modules(stage.modules, final)
    resume.unlink(missing_ok=True)


def _steps(stage: Stage, start: int) -> Iterable[int]:
    """The steps to go, with a progress bar where somebody watches."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(
        range(start, stage.steps),
        stage.name,
        total=stage.steps,
        completed=start,
        console=console,
        disable=not console.is_terminal,
    )


def _optimizer(stage: Stage) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = []
    for name, module in stage.modules.items():
        scale = (stage.scales or {}).get(name, 1.0)
        module.requires_grad_(scale > 0)
        if scale > 0:
            groups.append({"params": list(module.parameters()), "scale": scale})
    return torch.optim.AdamW(
        groups, stage.learning_rate, betas=(0.9, 0.98), weight_decay=stage.weight_decay
    )


def _named_parameters(stage: Stage) -> dict[str, nn.Parameter]:
    return {
        f"{name}.{key}": p
        for name, module in stage.modules.items()
        for key, p in module.named_parameters()
    }


def save_modules(modules: Mapping[str, nn.Module], path: Path, **metadata: str) -> None:
    """Write the weights of `modules` as <name>.<parameter>, atomically."""
    tensors = {
        f"{name}.{key}": value.detach().contiguous().clone()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    _write(tensors, path, metadata)


def load_modules(modules: Mapping[str, nn.Module], path: Path) -> None:
    """Load the weights of `modules` from `path`; other tensors in the file are left alone."""
    tensors = load_file(path)
    for name, module in modules.items():
        prefix = f"{name}."
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )


def _write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata)


def _save(
    stage: Stage,
    optimizer: torch.optim.Optimizer,
    named: dict[str, nn.Parameter],
    path: Path,
    step: int,
) -> None:
    tensors = {f"weight:{k}": p.detach().clone() for k, p in named.items()}
    for key, p in named.items():
        for field, value in optimizer.state.get(p, {}).items():
            tensors[f"{field}:{key}"] = value.detach().clone()
    _write(tensors, path, {"step": str(step)})


def _restore(
    stage: Stage, optimizer: torch.optim.Optimizer, named: dict[str, nn.Parameter], path: Path
) -> int:
    """Weights and optimizer state from a resume file; the step to go on with."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        step = int(file.metadata()["step"])
    tensors = load_file(path)
    with torch.no_grad():
        for key, p in named.items():
            p.copy_(tensors[f"weight:{key}"])
            fields = ("step", "exp_avg", "exp_avg_sq")
            if f"exp_avg:{key}" in tensors:
                optimizer.state[p] = {f: tensors[f"{f}:{key}"] for f in fields}
    return step


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log, in the order in which they were written; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_log(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as a log, in place of the one that is there."""
    atomic_write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def _log(path: Path, row: dict[str, Any], *, echo: bool) -> None:
    """Add a row; rows of this stage from a run that came further and was killed give way to it."""
    kept = [r for r in read_log(path) if r["stage"] != row["stage"] or r["step"] < row["step"]]
    write_log(path, [*kept, row])
    if echo:
        print(json.dumps(row), flush=True)
