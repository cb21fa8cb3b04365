"""What the shipped checkpoints must reach, and that their training runs to its end. Minutes."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.models.fruitfly.checkpoint import NAMES, load
from mitheory.models.fruitfly.training.__main__ import STEPS, app


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_accuracy_bar(name: str) -> None:
    """At least 90% of 3,200 held-out questions with all tokens, and 80% of every type."""
    fly = FruitFlyAdapter(name)
    samples = fly.encode(list(examples("test", limit=3200)))
    right = defaultdict(list)
    for sample, answer in zip(samples, fly.answer(samples), strict=True):
        right[sample.question_type].append(answer.text == sample.answer)
    accuracy = {kind: sum(hits) / len(hits) for kind, hits in right.items()}
    assert len(accuracy) == 8
    assert min(accuracy.values()) >= 0.8, accuracy
    assert sum(sum(hits) for hits in right.values()) >= 0.9 * len(samples)


@pytest.mark.slow
def test_every_stage_trains_and_exports(tmp_path: Path) -> None:
    """Two steps of every stage in order, from nothing to a checkpoint that answers."""
    runner = CliRunner()
    out = str(tmp_path / "run")
    done = runner.invoke(app, ["run", "--out", out, "--steps", "2", "--every", "1"])
    assert done.exit_code == 0, done.output
    for name in NAMES:
        target = tmp_path / f"{name}.safetensors"
        done = runner.invoke(app, ["export", "--out", out, "--name", name, "--to", str(target)])
        assert done.exit_code == 0, done.output
        card = load(target)[1]
        assert card["steps"][name] == 2
        assert set(card["stages"]) <= set(STEPS)
        assert len(FruitFlyAdapter(target).encode(list(examples("test", limit=2)))) == 2
