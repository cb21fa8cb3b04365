"""Which part of the work is this process's, by what its launcher put into the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from mitheory.errors import ParameterError

LAUNCHERS: dict[str, tuple[str, str, str]] = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    # by the step, which srun alone sets: the batch script itself is not one of several workers
    "srun": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    "mpirun (Open MPI)": (
        "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
    ),
    "mpirun (MPICH)": ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
}  # fmt: skip
"""launcher -> variables of rank, number of workers, and rank on this machine; in this order."""


@dataclass(frozen=True)
class Worker:
    """One of `world` workers, the `local`-th on its machine; all counted from 0."""

    rank: int = 0
    world: int = 1
    local: int = 0

    def __post_init__(self) -> None:
        if not (self.world >= 1 and 0 <= self.rank < self.world and self.local >= 0):
            raise ParameterError(
                f"rank: expected within 0..{self.world - 1} of {self.world} workers, "
                f"got rank {self.rank}, local rank {self.local}"
            )

    def device(self, wanted: str, n_gpus: int) -> str:
        """The device of this worker: GPUs in turns for "cuda" and "auto", else what is wanted.

        A launcher that shows each worker one GPU only leaves just that: cuda:0.

        Examples
        --------
        >>> Worker(rank=5, world=8, local=1).device("auto", n_gpus=4)
        'cuda:1'
        >>> Worker(rank=5, world=8, local=1).device("auto", n_gpus=1)
        'cuda:0'
        >>> Worker(rank=5, world=8, local=1).device("auto", n_gpus=0)
        'auto'
        """
        if wanted not in ("auto", "cuda") or n_gpus == 0 or self.world == 1:
            return wanted
        return f"cuda:{self.local % n_gpus}"


def worker_here(environment: Mapping[str, str] | None = None) -> Worker:
    """The worker that this process is; the only one without a launcher.

    Parameters
    ----------
    environment : of this process without

    Raises
    ------
    ParameterError
        If a launcher says one thing and not the other, or no numbers.

    Examples
    --------
    >>> worker_here({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "3"})
    Worker(rank=3, world=8, local=3)
    >>> worker_here({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"})
    Worker(rank=0, world=1, local=0)
    """
    given = os.environ if environment is None else environment
    for launcher, (rank, world, local) in LAUNCHERS.items():
        if world not in given:
            continue
        if rank not in given:
            raise ParameterError(f"{launcher}: expected {rank} beside {world}, which is not set")
        values = {name: given.get(name, "0") for name in (rank, world, local)}
        if strange := {k: v for k, v in values.items() if not v.isdecimal()}:
            raise ParameterError(f"{launcher}: expected whole numbers, got {strange}")
        return Worker(*(int(values[name]) for name in (rank, world, local)))
    return Worker()
