"""Calibration of the independence tests: Type-I rate at 5%, and power at a planted dependence.

Images are clusters: half of the variance of z and of both residuals is the image's own. x and y
have one function of z in common, so that they depend as long as z is not taken out. Every cell (a
law at a size) is a file in ``cells/`` once it is done and is not run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from mitheory import independence
from mitheory.ground_truth.gaussian import correlation_for
from mitheory.independence import Rate
from mitheory.independence.inputs import check_rows
from mitheory.independence.methods import SMOOTHED, run_test
from mitheory.independence.records import MOST_CONDITIONS
from mitheory.independence.smoothing import cross_fit
from mitheory.io import atomic_write_csv

from ..progress import progress

Floats = NDArray[np.float64]
Sample = tuple[Floats, Floats, Floats, NDArray[np.int64]]  # x, y, z, image of each row

TABLE = "independence.csv"
LEVEL, PLANTED = 0.05, 0.1  # nats: a correlation of 0.43 of one direction of the residuals
SIMULATIONS, QUICK_SIMULATIONS = 500, 60
SLOW_POWER_SIMULATIONS = 100  # of kNN, which takes all its permutations where it rejects
OWN_DATA_SETS, OWN_SIMULATIONS = 5, 100
SIZES = ((100, 1), (100, 4), (300, 1), (300, 4))  # images, rows of each
DIMENSIONS = ((1, 1), (1, 2), (2, 2), (1, 4), (4, 4), (1, 16), (4, 16))  # of x and y, of z
SLOW_LAWS: tuple[tuple[int, int, str], ...] = (
    (1, 1, "linear"),
    (1, 1, "quadratic"),
    (2, 2, "quadratic"),
    (4, 4, "quadratic"),
    (1, 16, "quadratic"),
)
OWN_SIZE = (300, 1)
KNN = {"n_permutations": 99, "stop_after": 5}  # 5 of 99 that reach it: not rejected at 5%

EFFECTS: Mapping[str, Callable[[Floats], Floats]] = {  # of standard normal columns; variance 1
    "linear": lambda s: s,
    "quadratic": lambda s: (s**2 - 1) / np.sqrt(2),
    "rough": lambda s: np.sqrt(2 / (1 - np.exp(-8))) * np.sin(2 * s),
}


@dataclass(frozen=True)
class Cell:
    """A law at a size, and which tests see it."""

    tests: tuple[str, ...]
    d: int
    d_z: int
    effect_of_z: str
    images: int
    rows_per_image: int
    nats: float
    simulations: int
    own_data: bool = False

    @property
    def key(self) -> str:
        """A name for files and seeds."""
        law = f"{self.d}-{self.d_z}-{self.effect_of_z}-{self.images}-{self.rows_per_image}"
        return f"{'+'.join(self.tests)}-{law}-{self.nats}-{self.simulations}-{self.own_data}"

    def rng(self, seed: int, repeat: int) -> np.random.Generator:
        """A generator of this cell's own, so that no worker and no order decides."""
        return np.random.default_rng(crc32(f"{seed}:{self.key}:{repeat}".encode()))

    def draw(self, rng: np.random.Generator) -> Sample:
        """A sample of the law."""
        return sample(
            self.d,
            self.d_z,
            self.effect_of_z,
            self.images,
            self.rows_per_image,
            nats=self.nats,
            rng=rng,
        )


def sample(
    d: int,
    d_z: int,
    effect_of_z: str,
    images: int,
    rows_per_image: int,
    *,
    nats: float,
    rng: np.random.Generator,
) -> Sample:
    """x and y in R^d, z in R^d_z with I(X;Y|Z) = `nats` in a row; half of x and y is g(z)."""
    image = np.repeat(np.arange(images), rows_per_image)

    def noise(columns: int) -> Floats:  # half the variance is the image's
        shared, own = (rng.standard_normal((k, columns)) for k in (images, len(image)))
        return (shared[image] + own) / np.sqrt(2)

    z, of_x, of_y = noise(d_z), noise(d), noise(d)
    weights = rng.standard_normal((d_z, d))
    common = EFFECTS[effect_of_z](z @ (weights / np.linalg.norm(weights, axis=0)))
    rho = correlation_for(nats) if nats > 0 else 0.0
    of_y[:, 0] = rho * of_x[:, 0] + np.sqrt(1 - rho**2) * of_y[:, 0]
    return common + of_x, common + of_y, z, image


def cells(quick: bool) -> list[Cell]:
    """The design: the fast tests everywhere; kNN on fewer laws, and fewer times for power."""
    fast, slow = ("gcm", "residual"), ("knn_permutation",)
    if quick:
        laws = ((1, 1, "quadratic"), (2, 2, "linear"), (1, 16, "quadratic"))
        return [
            Cell(tests, *law, 100, rows, nats, QUICK_SIMULATIONS)
            for law in laws
            for rows in (1, 4)
            for tests in (fast, slow)
            for nats in (0.0, PLANTED)
        ]
    table: list[Cell] = []
    for size in SIZES:
        for d, d_z in DIMENSIONS:
            for effect in EFFECTS:
                own = size == OWN_SIZE
                if effect != "rough" or size[1] == 1:
                    table.append(Cell(fast, d, d_z, effect, *size, 0.0, SIMULATIONS, own))
            if d_z <= MOST_CONDITIONS:  # beyond, there is no size to which a power would belong
                table.append(Cell(fast, d, d_z, "quadratic", *size, PLANTED, SIMULATIONS))
        few = SLOW_LAWS[1:3] if size == SIZES[-1] else SLOW_LAWS  # a minute and more a cell
        for nats, times in ((0.0, SIMULATIONS), (PLANTED, SLOW_POWER_SIMULATIONS)):
            table += [Cell(slow, *law, *size, nats, times) for law in few]
    return table


def run_cell(cell: Cell, seed: int) -> pd.DataFrame:
    """A row for each test: rejections at 5% with the exact interval, and the effect found."""
    started = time.process_time()
    results = []
    for repeat in range(cell.simulations):
        rng = cell.rng(seed, repeat)
        rows = check_rows(*cell.draw(rng), rng)
        smoother = cross_fit(rows.z, rows.codes, rng=rng)  # one for both tests that need it
        for name in cell.tests:
            options = KNN if name not in SMOOTHED else {"smoother": smoother}
            result = run_test(name, rows, rng=rng, options=options)
            results.append((name, result.p_value, result.effect))
    seconds = (time.process_time() - started) / len(results)
    table = pd.DataFrame(results, columns=["test", "p_value", "effect"])
    summary = []
    for label, part in table.groupby("test"):
        rate = Rate(int((part["p_value"] <= LEVEL).sum()), len(part))
        summary.append(
            {
                "test": label,
                "d": cell.d,
                "d_z": cell.d_z,
                "effect_of_z": cell.effect_of_z,
                "images": cell.images,
                "rows_per_image": cell.rows_per_image,
                "planted": cell.nats,
                "rate": rate.value,
                "low": rate.low,
                "high": rate.high,
                "n_simulations": rate.n_simulations,
                "mean_effect": part["effect"].mean(),
                "sd_effect": part["effect"].std(),
                **_own_data(str(label), cell, seed),
                "seconds": seconds,
            }
        )
    return pd.DataFrame(summary)


def _own_data(name: str, cell: Cell, seed: int) -> dict[str, Any]:
    """What `empirical_size` would tell a user with one such sample, over several of them."""
    if not cell.own_data:
        return {"own_size": np.nan, "own_usable": np.nan}
    sizes = []
    for repeat in range(OWN_DATA_SETS):
        rng = cell.rng(seed, -1 - repeat)
        x, y, z, image = cell.draw(rng)
        sizes.append(
            independence.empirical_size(
                name, x, y, z, clusters=image, n_simulations=OWN_SIMULATIONS, rng=rng
            )
        )
    return {
        "own_size": float(np.mean([s.rate.value for s in sizes])),
        "own_usable": float(np.mean([s.is_usable for s in sizes])),
    }


def run(out: Path, quick: bool = False, jobs: int = 1, seed: int = 0) -> Path:
    """Run what is not yet there; one tidy table of all cells.

    Parameters
    ----------
    out : folder, existing
    quick : bool
        Few cells with 60 simulations each.
    jobs : int
        Processes.
    seed : int

    Returns
    -------
    Path of the table
    """
    folder = Path(out) / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    plan = cells(quick)
    finish = partial(_finish, folder=folder, seed=seed)
    with progress() as bar:
        task = bar.add_task("independence tests", total=len(plan))
        paths = []
        for path in Parallel(n_jobs=jobs, return_as="generator")(
            delayed(finish)(cell) for cell in plan
        ):
            paths.append(path)
            bar.advance(task)
    table = pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)
    keys = ["planted", "test", "d_z", "d", "effect_of_z", "images", "rows_per_image"]
    atomic_write_csv(Path(out) / TABLE, table.sort_values(keys).round(4))
    return Path(out) / TABLE


def _finish(cell: Cell, *, folder: Path, seed: int) -> Path:
    path = folder / f"independence-{seed}-{cell.key}.csv"
    if not path.exists():
        atomic_write_csv(path, run_cell(cell, seed))
    return path
