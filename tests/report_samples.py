"""Folders of audits as the runner writes them, one record of every kind."""

from __future__ import annotations

import json
from pathlib import Path

from analysis.report.svg import save_svg
from analysis.style import new_figure, theme
from mitheory.verdict import Effect, SmallestEffect, Verdict, holm_verdicts, unassessed

HOSTILE = "<script>alert('x')</script> & \"quotes\""


def graded(claim, value, region, *, unit="nats", se=0.01, size=0.1, **fields):
    effect = Effect(f"mean of {claim}", unit, value, se, df=24)
    smallest = SmallestEffect(size, unit, region, "half of what a user would notice")
    return Verdict(claim, "empirical", "mean over images", 25, "images", 0,
                   effect=effect, smallest_effect=smallest, **fields)  # fmt: skip


def verdicts():
    """One of every decision, and what is awkward to show."""
    information = Effect("share of patches", "share", 0.5, 0.02, df=24)
    return holm_verdicts(
        [
            graded("holding", 0.02, "negligible"),
            graded("violating", -30.0, "at_least", caveats=("One model only.", HOSTILE)),
            graded("open_question", 0.1, "at_most", unit="share", size=0.1),
            graded("exact", 0.3, "at_least", se=0.0),
            Verdict("proved", "theorem", "every patch", 25, "images", 0, checked=28_800),
            Verdict(
                "broken", "theorem", "every patch", 25, "images", 0,
                effect=information, checked=3,
                counter_example={"patch": 7, "max_pmi": 2.5, "sum_pmi": -38.125},
                diagnostics={
                    "by_type": {"color": {"n": 3, "mean": 0.5}, "count": {"n": 4, "mean": 0.25}},
                    "rows": [{"row_number": i, "half": i / 2} for i in range(40)],
                    "none": None, "flag": True, "empty": [], "plain_list": [1, 2.5],
                },
            ),
            unassessed("impossible_here", "empirical", "needs the model in the loop", seed=0),
            unassessed("failing", "ablation", "failed: ValueError: bad <input>", seed=0),
            Verdict("undrawn", "theorem", "m", 25, "images", 0, checked=1),
        ]
    )  # fmt: skip


def record(verdict, **changes):
    error = {"failing": "ValueError: bad <input>", "undrawn": "KeyError: 'x'"}.get(verdict.claim)
    words = {
        "statement": f"A statement about {verdict.claim}.",
        "source": "Eq. (18), Sec. 3.2",
        "how": "Patches are compared.",
        "meaning": "Keep what you have." if verdict.reason is None else "",
        "command": f"mitheory audit b --claims {verdict.claim} --out o",
        "figure": None,
        "error": error,
    }
    return {**verdict.to_dict(), **words, **changes}


def picture(path: Path) -> Path:
    with theme():
        figure = new_figure(3.0, 2.0)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#0072B2", label="a line")
        axes.axhline(0.5, color="#000000")
        axes.set_title("A title < B")
        axes.set_xlabel("nats")
        axes.legend()
    return save_svg(figure, path)


def document(records, **about):
    audit = {
        "bundle": "bundles/some <bundle>", "n_samples": 190, "n_images": 25, "d": 96, "seed": 0,
        "model": "fruitfly", "command": "mitheory audit bundles/some --out o",
        "created": "2026-01-01T00:00:00+00:00", "versions": {"torch": "2.6"},
        "options": {"temperature": 0.1, "relevance_weight": 0.5, "ratios": [0.5, 0.25]},
    }  # fmt: skip
    return {
        "schema_version": 1,
        "audit": {**audit, **about},
        "provenance": {"model": "fruitfly", "seed": 3},
        "verdicts": records,
    }


def folder(path: Path, *, records=None, **about) -> Path:
    """An audit's folder; two claims have a figure."""
    if records is None:
        records = [record(v) for v in verdicts()]
        for one in records[:2]:
            one["figure"] = f"figures/{one['claim']}.svg"
            picture(path / one["figure"])
    path.mkdir(parents=True, exist_ok=True)
    (path / "verdicts.json").write_text(json.dumps(document(records, **about)), encoding="utf-8")
    (path / "timings.json").write_text(json.dumps({"holding": 125.0}), encoding="utf-8")
    return path
