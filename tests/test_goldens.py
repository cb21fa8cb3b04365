"""What the shipped checkpoints said on the day they were committed, on CPU.

``python tests/test_goldens.py`` writes the files again: only ever with a new checkpoint.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mitheory import select
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.models.fruitfly.checkpoint import NAMES

FOLDER = Path(__file__).parent / "goldens"
BUDGET = 16


def said(name: str) -> list[dict[str, Any]]:
    """Kept sets of MI-Pruner and answers with and without pruning, first 16 questions."""
    fly = FruitFlyAdapter(name)
    samples = fly.encode(list(examples("test", limit=16)))
    kept = [
        select("mi_pruner", visual=s.visual, text=s.text, budget=BUDGET).indices for s in samples
    ]
    rows = zip(samples, kept, fly.answer(samples), fly.answer(samples, kept), strict=True)
    return [
        {
            "question": s.question,
            "visual_norm": round(float(s.visual.norm()), 4),
            "kept": k.tolist(),
            "full": [full.text, round(full.log_prob_truth, 5)],
            "pruned": [pruned.text, round(pruned.log_prob_truth, 5)],
        }
        for s, k, full, pruned in rows
    ]


@pytest.mark.parametrize("name", NAMES)
def test_checkpoint_says_what_it_said(name: str) -> None:
    """Scenes, weights, selection and answers are those that every committed number came from."""
    golden = json.loads((FOLDER / f"{name}.json").read_text())
    torch.set_num_threads(1)
    for now, then in zip(said(name), golden, strict=True):
        assert now["question"] == then["question"]
        assert now["visual_norm"] == pytest.approx(then["visual_norm"], rel=1e-4)
        assert now["kept"] == then["kept"]
        for key in ("full", "pruned"):
            assert now[key][0] == then[key][0]
            assert now[key][1] == pytest.approx(then[key][1], abs=2e-3)


if __name__ == "__main__":
    for each in NAMES:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{each}.json").write_text(json.dumps(said(each), indent=1) + "\n")
