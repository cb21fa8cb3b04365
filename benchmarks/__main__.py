"""``python -m benchmarks [--quick] [--only NAME] [--out DIR]``: run the contests.

Writes results.csv (tidy, one row per entrant), results.parquet, provenance.json and results.md.
The exit status is 1 if an answer differed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from mitheory import provenance
from mitheory.io import atomic_write_csv, atomic_write_json, atomic_write_parquet, atomic_write_text

from . import peers, tables
from .run import run
from .suites import SUITES

# Read when the libraries are loaded; numba left to itself moves the threads of others, too.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, write, say which answers differed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and fewer rounds")
    parser.add_argument("--only", choices=sorted(SUITES), help="one suite")
    parser.add_argument("--match", default="", help="contests whose name contains this")
    parser.add_argument("--up-to", type=int, default=10**9, help="largest N_V")
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks"), help="folder")
    parser.add_argument("--threads", type=int, default=1, help="1 measures CPU time, more the wall")
    parser.add_argument("--no-memory", action="store_true", help="skip the peaks of memory")
    options = parser.parse_args(arguments)
    wanted = dict.fromkeys(THREADS, str(options.threads))
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        again = [sys.executable, "-m", "benchmarks", *(arguments or sys.argv[1:])]
        return subprocess.run(again, env=os.environ | wanted, check=False).returncode
    torch.set_num_threads(options.threads)
    chosen = {n: make for n, make in SUITES.items() if options.only in (None, n)}
    for name, make in chosen.items():
        contests = [
            c
            for c in make()
            if options.match in c.name
            and (c.quick or not options.quick)
            and c.sizes["n_v"] <= options.up_to
        ]
        if not contests:
            continue
        found = run(
            contests,
            quick=options.quick,
            threads=options.threads,
            with_memory=not options.no_memory,
        )
        write(found, options.out / name, threads=options.threads)
    different = [wrong(pd.read_csv(options.out / name / "results.csv")) for name in chosen
                 if (options.out / name / "results.csv").exists()]  # fmt: skip
    lines = [line for part in different for line in part]
    print("\n".join(lines) or "all answers agree")
    return 1 if lines else 0


def write(found: pd.DataFrame, folder: Path, *, threads: int) -> None:
    """The files of one suite."""
    atomic_write_csv(folder / "results.csv", rounded(found))
    atomic_write_parquet(folder / "results.parquet", found)
    command = f"python -m benchmarks --only {folder.name} --threads {threads}"  # wherever to
    origin = provenance.collect(command, seed=0).to_dict()
    machine = {"threads": threads, "cores": os.cpu_count(), "peers": peers.versions()}
    atomic_write_json(folder / "provenance.json", origin | machine)
    atomic_write_text(folder / "results.md", tables.contests(rounded(found)) + "\n")


def rounded(found: pd.DataFrame) -> pd.DataFrame:
    """Four significant digits: more is noise, and noise in a diff."""
    digits = {c: found[c].map(_four) for c in found if found[c].dtype == float}
    return found.assign(**digits)


def _four(x: float) -> float:
    return float(f"{x:.4g}")


def wrong(found: pd.DataFrame) -> list[str]:
    """Whose answer differed."""
    rows = found[found["answer"] == "differs"]
    return [f"{r.suite}, {r.task}, N_V = {r.n_v}: {r.entrant} differs" for r in rows.itertuples()]


if __name__ == "__main__":
    raise SystemExit(main())
