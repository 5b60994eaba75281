"""Tell which rank of which launch this process is, as torchrun, srun and mpirun say it.

A launch is known by what its launcher calls it, within a scheduler's job and its restart count; on one machine also by
the launcher's process, whose number and start time are nobody else's. So no rank takes an earlier launch for its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from molexp._record.leases import seconds_from_environment
from molexp._record.owners import Owner, launcher_of

_SPECIAL_STEPS = 0xFFFF_FFF0  # step ids from here on are no steps: the batch script, an interactive shell, ...

Likeness = Literal["", "likely", "certain"]
"""The answers to the question if two launches are one: no; yes, unless a launcher of another time called itself the same; yes."""


class Rank(Struct, frozen=True):
    """One process of a launch of several.

    Attributes:
        index: its rank, from 0.
        size: the number of ranks.
        launcher: ``torchrun``, ``srun``, ``openmpi`` or ``pmi``.
        id: the name that the launcher, and the scheduler's job around it, give to the launch.
        kernel: machine, boot and PID namespace.
        parent: the launcher's process on this machine and its start time; "" where `id` is unique, or it is unknown.
        exact: true if `id` is nobody else's, ever.
    """

    index: int
    size: int
    launcher: str
    id: str
    kernel: str = ""
    parent: str = ""
    exact: bool = False

    @property
    def suffix(self) -> str:
        """Return what tells its payloads from other ranks' of the same name."""
        return f"rank{self.index}"

    def launch(self, ordinal: int) -> dict[str, Any]:
        """Return what rank 0 records of the launch in the `ordinal`-th thing that it makes of one sort."""
        return {
            "launcher": self.launcher,
            "id": self.id,
            "size": self.size,
            "kernel": self.kernel,
            "parent": self.parent,
            "ordinal": ordinal,
        }

    def recognises(self, launch: object, ordinal: int) -> Likeness:
        """Return whether rank 0 of this launch recorded `launch`, for the `ordinal`-th thing."""
        if not isinstance(launch, Mapping):
            return ""
        mine = self.launch(ordinal)
        if any(launch.get(name) != mine[name] for name in ("launcher", "id", "size", "ordinal")):
            return ""
        if self.exact:
            return "certain"
        known = bool(self.parent) and bool(launch.get("parent")) and launch.get("kernel") == self.kernel
        if not known:
            return "likely"
        return "certain" if launch.get("parent") == self.parent else ""


def rank_wait() -> float:
    """Return seconds that ranks wait for each other.

    Raises:
        ValueError: ``MOLEXP_RANK_WAIT`` is no positive number.
    """
    return seconds_from_environment("MOLEXP_RANK_WAIT", 300.0)


def find_rank(me: Owner, environ: Mapping[str, str] = os.environ) -> Rank | None:
    """Return the rank that this process is; None if no launcher started several, or ``MOLEXP_RANKS`` is 0."""
    if environ.get("MOLEXP_RANKS") == "0":
        return None
    return _torchrun(me, environ) or _open_mpi(me, environ) or _srun(me, environ) or _pmi(me, environ)


def _torchrun(me: Owner, environ: Mapping[str, str]) -> Rank | None:
    """Recognise workers of torchrun. Its run id is ``none`` unless somebody gave one, so the job and the agent's process count."""
    if "TORCHELASTIC_RUN_ID" not in environ:
        return None
    launch = [environ.get(name, "") for name in ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")]
    where = [environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT")]
    alone = environ.get("GROUP_WORLD_SIZE", "1") == "1"  # else every node, or part of one, has an agent of its own
    parent = launcher_of("RANK") if alone else ""
    return _rank(me, environ, "torchrun", ("RANK", "WORLD_SIZE"), [*launch, *where], parent)


def _open_mpi(me: Owner, environ: Mapping[str, str]) -> Rank | None:
    """Return what mpirun of Open MPI 4 and 5 started. Its namespace is of mpirun's host and pid, which come again."""
    job = environ.get("PMIX_NAMESPACE") or environ.get("OMPI_MCA_ess_base_jobid") or ""
    names = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")
    return _rank(me, environ, "openmpi", names, [job], launcher_of(names[0])) if names[0] in environ else None


def _srun(me: Owner, environ: Mapping[str, str]) -> Rank | None:
    """Recognise tasks of a job step; a batch script is none. Where MPICH used srun to start its own proxies, those are the tasks."""
    step, size = environ.get("SLURM_STEP_ID", ""), environ.get("SLURM_STEP_NUM_TASKS", "")
    if not step.isdecimal() or int(step) >= _SPECIAL_STEPS or not me.job:
        return None
    if environ.get("PMI_RANK", environ.get("SLURM_PROCID")) != environ.get("SLURM_PROCID"):
        return None
    if environ.get("PMI_SIZE", size) != size:
        return None
    return _rank(me, environ, "srun", ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"), [step], "", exact=True)


def _pmi(me: Owner, environ: Mapping[str, str]) -> Rank | None:
    """Return what mpiexec of MPICH, Intel MPI and their kin started. It gives the launch no name."""
    if "PMI_RANK" not in environ:
        return None
    return _rank(me, environ, "pmi", ("PMI_RANK", "PMI_SIZE"), [], launcher_of("PMI_RANK"))


def _rank(
    me: Owner,
    environ: Mapping[str, str],
    launcher: str,
    names: tuple[str, str],
    launch: list[str],
    parent: str,
    *,
    exact: bool = False,
) -> Rank | None:
    index, size = (environ.get(name, "") for name in names)
    if not (index.isdecimal() and size.isdecimal()) or int(size) < 2 or int(index) >= int(size):
        return None
    job = [me.cluster, me.job, me.array, str(me.restart)] if me.job else []
    kernel = f"{me.host} {me.boot} {me.namespace}" if me.boot and me.namespace else ""
    return Rank(int(index), int(size), launcher, "/".join([*job, *launch]), kernel, parent if kernel else "", exact)
