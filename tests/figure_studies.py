"""Tables of studies that never ran, and an audit, in a folder: what figures read besides a run.

A table is a function in `TABLES` under the name of its file.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

N_V = 144
METHODS = ("mi_pruner", "similarity:max", "cls_attention", "fastv@2", "random")
SCORES = ("cls_attention", "attention", "information", "max_pmi")


def search_cost() -> pd.DataFrame:
    """`analysis.studies.search_cost`: 6 clips; the lazy heap is greedy, the other two are not."""
    rng = np.random.default_rng(0)
    rows = []
    for n, budget in ((144, 16), (288, 32), (288, 72)):
        every = sum(n - t for t in range(budget))
        for clip in range(6):
            for name, scores, entries, overlap in (
                ("eager", every, every - n, 1.0),
                ("lazy", n + 3 * budget + clip, 5 * n, 1.0),
                ("static_heap", n, 0, 0.2 + 0.01 * clip),
                ("stochastic", 2 * n, 4 * n, 0.5),
            ):
                rows.append(
                    {
                        "sample_id": f"c{clip}", "image_id": f"c{clip}", "search": name, "n": n,
                        "budget": budget, "scores": scores, "entries": entries,
                        "seconds": 1e-5 * scores * rng.uniform(1, 1.2), "overlap": overlap,
                        "is_greedy": overlap == 1.0, "machine": "none",
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def agreement() -> pd.DataFrame:
    """`analysis.studies.agreement`: MI-Pruner and similarity are close, Random is at chance."""
    rows = []
    for i, (first, second) in enumerate(combinations(METHODS, 2)):
        value = 0.0 if second == "random" else 0.6 if i == 0 else 0.1 + 0.02 * i
        rows.append(
            {
                "first": first, "second": second, "overlap": 0.06 + 0.94 * value, "chance": 0.06,
                "estimate": value, "low": value - 0.01, "high": value + 0.012, "questions": 80,
                "scenes": 10, "budget": 16, "n": N_V,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def sinks() -> pd.DataFrame:
    """`analysis.studies.sinks`, of 12 images."""
    rng = np.random.default_rng(1)
    rows = []
    for image in range(12):
        for score in SCORES:
            follows = score in ("information", "max_pmi")
            rows.append(
                {
                    "sample_id": f"i{image}-a", "other_id": f"i{image}-b", "image_id": f"i{image}",
                    "score": score, "top": 7, "n": N_V, "top_share": rng.uniform(0.3, 0.4),
                    "overlap": rng.uniform(0.0, 0.2) if follows else 1.0,
                    "own": rng.uniform(4, 5) if follows else 2.0, "foreign": 2.0,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def sinks_drawn() -> pd.DataFrame:
    """`analysis.studies.sinks_drawn`, of two questions of the first scene of `figure_results`."""
    rng = np.random.default_rng(2)
    rows = []
    for kind in ("color", "relation"):
        for turn in (0, 1):
            relevant = [i // 9 == 2 + turn for i in range(N_V)]
            for score in SCORES:
                shares = rng.dirichlet(np.full(N_V, 0.3))
                rows.append(
                    {
                        "sample_id": f"s0-{kind}", "image_id": "s0", "question_type": kind,
                        "turn": turn, "question": f"question {turn} ?", "answer": "red",
                        "score": score, "shares": shares.tolist(), "relevant": relevant,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


TABLES: Mapping[str, Callable[[], pd.DataFrame]] = {
    "search_cost": search_cost,
    "agreement": agreement,
    "sinks": sinks,
    "sinks_drawn": sinks_drawn,
}


def verdict(claim: str, decision: str, **fields: object) -> dict[str, object]:
    """A record of an audit."""
    return {
        "claim": claim, "statement": f"The {claim} claim says a thing.", "source": "Sec. 1",
        "kind": "empirical", "decision": decision, "effect": None, "smallest_effect": None,
        "n": 30, "unit": "images", "checked": 0, **fields,
    }  # fmt: skip


def effect(value: float, low: float, high: float) -> dict[str, object]:
    """An effect whose corrected interval is a tenth wider at both ends."""
    width = 0.1 * (high - low)
    return {
        "name": "an effect", "unit": "nats", "value": value, "low": low, "high": high,
        "low_corrected": low - width, "high_corrected": high + width,
    }  # fmt: skip


def audit() -> dict[str, object]:
    """An audit of four claims: one of each kind of line."""
    near = {"value": 0.1, "region": "negligible", "unit": "nats"}
    most = {"value": 0.5, "region": "at_most", "unit": "nats"}
    return {
        "audit": {"n_samples": 240, "n_images": 30},
        "verdicts": [
            verdict("first", "violated", effect=effect(2.0, 1.8, 2.2), smallest_effect=near),
            verdict("second", "holds", effect=effect(0.2, 0.1, 0.3), smallest_effect=most),
            verdict("third", "refuted", effect=effect(0.9, 0.8, 1.0), checked=240),
            verdict("fourth", "unassessed"),
        ],
    }


def write(folder: Path) -> Path:
    """The files of all studies and of the audit, in the folder of a run."""
    (folder / "studies").mkdir(parents=True, exist_ok=True)
    for name, table in TABLES.items():
        table().to_parquet(folder / "studies" / f"{name}.parquet")
    (folder / "audit").mkdir(exist_ok=True)
    (folder / "audit" / "verdicts.json").write_text(json.dumps(audit()), encoding="utf-8")
    (folder / "audit" / "index.html").write_text("the report", encoding="utf-8")
    return folder


@cache
def shared_folder() -> Path:
    """A folder with these files, for results in memory; removed when the tests are done."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return write(folder)
