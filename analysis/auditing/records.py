"""Verdicts as records, as a tidy table, and as the files of an audit."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.claims.base import Claim
from analysis.claims.source import Facts
from mitheory import provenance
from mitheory.bundle import Bundle, Sample
from mitheory.io import atomic_write_json, atomic_write_parquet
from mitheory.verdict import Verdict

from .work import Outcome

SCHEMA_VERSION = 1
_EFFECT = ("unit", "value", "low", "high", "level_corrected", "low_corrected", "high_corrected")
_JSON = ("counter_example", "caveats", "diagnostics")


def record(
    claim: Claim,
    verdict: Verdict,
    failure: Outcome | None,
    figure: str | None,
    data: Bundle | Sequence[Sample] | None,
    out: Path,
) -> dict[str, Any]:
    """The verdict with the claim's words, its figure, its error, and how to get it again."""
    words = ["mitheory", "audit"]
    if claim.needs_bundle:
        words.append(shlex.quote(str(data.path)) if isinstance(data, Bundle) else "BUNDLE")
    words += ["--claims", claim.name, "--out", shlex.quote(str(out))]
    return {
        **verdict.to_dict(),
        "statement": claim.statement,
        "source": claim.source,
        "how": claim.how,
        "meaning": claim.meaning.get(verdict.decision, ""),
        "command": " ".join(words),
        "figure": f"figures/{figure}" if figure else None,
        "error": failure.error if failure else None,
    }


def to_table(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per record, failures included; nested values as JSON text."""
    return pd.DataFrame([_row(record) for record in records])


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    effect = record["effect"] or {}
    smallest = record["smallest_effect"] or {}
    row = {
        "claim": record["claim"],
        "kind": record["kind"],
        "source": record["source"],
        "decision": record["decision"],
        "effect": effect.get("name"),
        **{key: effect.get(key) for key in _EFFECT},
        "smallest_effect": smallest.get("value"),
        "region": smallest.get("region"),
        "p_value": record["p_value"],
        "n": record["n"],
        "n_unit": record["unit"],
        "checked": record["checked"],
        "seed": record["seed"],
        "method": record["method"],
        "reason": record["reason"],
        "error": record["error"],
    }
    texts = {key: json.dumps(record[key], ensure_ascii=False, sort_keys=True) for key in _JSON}
    return row | texts


def write(
    records: list[dict[str, Any]],
    timings: Mapping[str, float],
    failed: Mapping[str, Outcome],
    facts: Facts,
    settings: Mapping[str, Any],
    data: Bundle | Sequence[Sample] | None,
    out: Path,
    command: str,
) -> None:
    """verdicts.parquet, verdicts.json, timings.json and errors.json."""
    origin = provenance.collect(command=command, seed=settings["seed"])
    counts = {k: v for k, v in asdict(facts).items() if k in ("n_samples", "n_images", "d")}
    about = {
        "bundle": str(data.path) if isinstance(data, Bundle) else None,
        **counts,
        "seed": settings["seed"],
        "model": settings["model"],
        "options": {k: settings[k] for k in ("temperature", "relevance_weight", "ratios")},
        "command": command,
        "created": origin.created,
        "versions": dict(origin.versions),
    }
    out.mkdir(parents=True, exist_ok=True)
    atomic_write_parquet(out / "verdicts.parquet", to_table(records))
    atomic_write_json(out / "timings.json", dict(timings))
    atomic_write_json(out / "errors.json", {name: o.trace for name, o in failed.items()})
    atomic_write_json(
        out / "verdicts.json",
        {
            "schema_version": SCHEMA_VERSION,
            "audit": about,
            "provenance": data.provenance.to_dict() if isinstance(data, Bundle) else None,
            "verdicts": records,
        },
    )
