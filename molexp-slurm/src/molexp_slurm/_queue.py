"""Slurm as a queue of batches, each of which is one job array."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Final, Unpack

from msgspec import structs

from molexp.contracts import Batch, Job, Queue
from molexp.errors import QueueError, QueueUnavailableError
from molexp_slurm._commands import in_pieces, our_environment, run, sacct, scancel, squeue
from molexp_slurm._script import batch_script
from molexp_slurm._site import Site, SiteOptions
from molexp_slurm._states import identities, job_of, jobs_of_account

_CLUSTER: Final = re.compile(r"^ClusterName\s*=\s*(\S+)", re.MULTILINE)
_ID: Final = re.compile(r"^[ \t]*(\d+)(?:;\S*)?[ \t\r]*$", re.MULTILINE | re.ASCII)
_LARGEST: Final = re.compile(r"^MaxArraySize\s*=\s*(\d+)", re.MULTILINE)


class SlurmQueue(Queue):
    """Submits batches to Slurm, asks for them and cancels them, by Slurm's own commands.

    A batch is one job array, with the token as its name. `look` asks squeue once, and sacct for batches of which squeue knows
    nothing that is alive; where there is no accounting, ended jobs are known for some minutes (``MinJobAge``).

    Args:
        options: those of the cluster, see `SiteOptions`.

    Raises:
        TypeError: there is no such option, or its value has the wrong type.
        ValueError: a value makes no sense.

    Example:
        >>> from molexp.contracts import Batch
        >>> from molexp_slurm import SlurmQueue
        >>> queue = SlurmQueue(partition="long")
        >>> script = queue.script(Batch(token="molexp-1", command=("hostname",), size=10, folder="/tmp", at_once=4))
        >>> "#SBATCH --array=0-9%4" in script
        True
    """

    name: ClassVar[str] = "slurm"

    def __init__(self, **options: Unpack[SiteOptions]) -> None:
        self._site = Site.of(options)

    @cached_property
    def _config(self) -> str:
        return run(["scontrol", "show", "config"])

    def engine(self) -> str:
        """Return the name of the cluster; see `molexp.contracts.Queue`."""
        found = _CLUSTER.search(self._config)
        return found[1] if found else ""

    def script(self, batch: Batch) -> str:
        """Return the batch script; see `molexp.contracts.Queue`."""
        return batch_script(batch, self._site)

    def submit(self, batch: Batch) -> str:
        """Submit a batch as one array, and return the array's id; see `molexp.contracts.Queue`."""
        try:
            return self._submit(batch)
        except QueueError as error:
            if batch.avoid and "node name" in error.reason.lower():  # one of them is no node of the cluster any more
                return self.submit(structs.replace(batch, avoid=()))
            if not batch.after or "depend" not in error.reason.lower():
                raise
        known = {fields[1] for fields in squeue(f"--jobs={','.join(batch.after)}")}
        return self._submit(batch, after=[one for one in batch.after if one in known])

    def _submit(self, batch: Batch, after: Sequence[str] | None = None) -> str:
        script = batch_script(batch, self._site, after)
        said = run(["sbatch", "--parsable"], given=script, environment=our_environment(self._site))
        found = _ID.findall(said)  # some clusters have an sbatch of their own, which says more
        if len(found) == 1:
            return str(found[0])
        why = f"sbatch says {said.strip()!r} in place of the id of a job"  # and may have accepted or refused the batch
        try:
            arrays = {array for token, array, *_ in squeue(f"--name={batch.token}") if token == batch.token}
        except QueueError as error:
            raise QueueUnavailableError(self.name, f"{why}, and {error.reason}") from error
        if not arrays:
            raise QueueError(self.name, why)
        return arrays.pop()

    def look(self, batches: Mapping[str, str]) -> Iterable[Job]:
        """Return the jobs of these batches that Slurm knows; see `molexp.contracts.Queue`."""
        found: dict[tuple[str, int], Job] = {}
        for names in in_pieces(sorted(batches)):
            for job in filter(None, map(job_of, squeue(f"--name={','.join(names)}"))):
                found[job.token, job.index] = job
        alive = {job.token for job in found.values() if job.state.alive}
        for names in in_pieces(sorted(batches.keys() - alive)):
            for fields in sacct(names):
                for job in jobs_of_account(*fields):
                    found.setdefault((job.token, job.index), job)
        return [job for job in found.values() if job.token in batches]

    def cancel(self, ids: Sequence[str]) -> None:
        """Cancel batches or single jobs; see `molexp.contracts.Queue`."""
        scancel(identities(ids))

    def largest(self) -> int | None:
        """Return the largest size of an array here."""
        found = _LARGEST.search(self._config)
        return max(int(found[1]), 1) if found else None
