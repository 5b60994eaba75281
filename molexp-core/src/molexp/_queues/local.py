"""The queue ``local``: batches of jobs on this machine, which go on after whoever submitted them has logged out."""

from __future__ import annotations

import errno
import os
import platform
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Final

from molexp._queues.files import JobFacts, QueueFiles, StoredBatch
from molexp._queues.runner import job_id
from molexp._values.numbers import at_least_one
from molexp.contracts import Batch, Job, JobState, Queue
from molexp.errors import QueueError, QueueUnavailableError

_REFUSALS: Final = (errno.EACCES, errno.EDQUOT, errno.ENOENT, errno.ENOSPC, errno.EPERM, errno.EROFS)
"""The errors of a folder that nothing can be put into, where others may be those of a file system that is away."""


class LocalQueue(Queue):
    """Run jobs on this machine, as many at a time as there are cores for, in the order in which they were submitted.

    A process in a session of its own starts them, so logging out ends none. It ends when nothing is left to do. After a restart of
    the machine, `look` and `submit` start it again, and jobs that had not begun begin then. Of resources it knows ``cores``,
    ``tasks`` and ``walltime``; memory and accelerators are nobody's here.

    Args:
        cores: the cores that all jobs together may have; by default those of this machine.
        folder: the folder that the queue is kept in; by default one of the user's, for each machine.
    """

    name: ClassVar[str] = "local"

    def __init__(self, *, cores: int | None = None, folder: str | None = None) -> None:
        self._cores = at_least_one(cores, "cores")
        if folder is not None and not isinstance(folder, str):
            raise TypeError(f"folder is {folder!r}; it must be a path")
        self._folder = folder

    def engine(self) -> str:
        """Return the name of this machine, and the folder: another user's queue here is another engine."""
        return f"{platform.node()}:{self._root()}"

    def script(self, batch: Batch) -> str:
        """Return the command of each job, as a shell would be told it, after comments that say how many there are."""
        stored = self._stored(batch)
        limits = f"at most {stored.at_once} at a time, {stored.cores} of {stored.limit} cores each"
        walltime = f", {stored.walltime:.0f} s" if stored.walltime else ""
        lines = [
            f"# {batch.size} jobs on {platform.node()}, {limits}{walltime}",
            *([f"# after {', '.join(batch.after)}"] if batch.after else []),
            f"cd {shlex.quote(batch.folder)}",
            *(f"export {name}={shlex.quote(value)}" for name, value in batch.environment.items()),
            shlex.join(batch.command),
        ]
        return "\n".join(lines) + "\n"

    def submit(self, batch: Batch) -> str:
        """Put the batch into the queue's folder, and see that somebody is at work there; its token is its id."""
        stored = self._stored(batch)
        if not hasattr(os, "fork"):
            raise QueueError(self.name, "this system has no fork, with which jobs are started")
        try:
            files = QueueFiles(self._root())
            self._note()
            files.add(stored, {**os.environ, **batch.environment})
        except FileExistsError:
            raise QueueError(self.name, f"there is a batch {batch.token!r} already") from None
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise QueueUnavailableError(self.name, str(error)) from error
            why = f"its folder {self._root()} cannot be written: {error}; scheduler.folder sets another one"
            raise QueueError(self.name, why) from error
        try:
            files.ensure_runner()
        except OSError as error:
            raise QueueUnavailableError(self.name, str(error)) from error
        return batch.token

    def look(self, batches: Mapping[str, str]) -> Iterator[Job]:
        """Return the jobs that the queue's folder has; start what is to begin if the machine was restarted since."""
        try:
            return iter(self._look(batches))
        except OSError as error:
            raise QueueUnavailableError(self.name, str(error)) from error

    def _look(self, batches: Mapping[str, str]) -> list[Job]:
        files, found, waits = QueueFiles(self._root()), [], False
        if not any(files.has(token) for token in batches):
            return []
        self._check()
        for token, batch in files.batches().items():
            if token in batches:
                jobs = _jobs(files, token, batch)
                if any(job.word == "LOST" for job in jobs):  # or their runner has noted their ends since, and left
                    jobs = _jobs(files, token, batch)
                waits |= any(job.state is JobState.QUEUED for job in jobs)
                found += jobs
        if waits:
            files.ensure_runner()
        return found

    def cancel(self, ids: Sequence[str]) -> None:
        """Ask the runner to end jobs, and to begin none of those that wait."""
        try:
            files = QueueFiles(self._root())
            if not any(files.has(one) or files.has(one.rpartition("_")[0]) for one in ids):
                return
            self._check()
            known = files.batches()
            for one in ids:
                token, _, index = one.rpartition("_")
                if one in known:
                    files.cancel(one, None)
                elif token in known and index.isdecimal() and int(index) < known[token].size:
                    files.cancel(token, int(index))
            files.ensure_runner()
        except OSError as error:
            raise QueueUnavailableError(self.name, str(error)) from error

    def _stored(self, batch: Batch) -> StoredBatch:
        asked = batch.resources
        limit = self._cores or _cores_here()
        cores = asked.cores * asked.tasks
        if asked.nodes != 1:
            raise QueueError(self.name, f"it has one machine, and {asked.nodes} were asked for")
        if platform.node() in batch.avoid:
            raise QueueError(self.name, f"its one machine is {platform.node()}, which is to be avoided")
        if cores > limit:
            raise QueueError(self.name, f"each job needs {cores} cores, and there are {limit}")
        return StoredBatch(
            token=batch.token,
            command=[*batch.command],
            size=batch.size,
            folder=batch.folder,
            at=time.time(),
            cores=cores,
            limit=limit,
            at_once=batch.at_once or batch.size,
            walltime=asked.walltime,
            after=[*batch.after],
            output=batch.output,
        )

    def _root(self) -> Path:
        if self._folder is not None:
            return Path(self._folder).expanduser().absolute()
        return _ours() / (platform.node() or "here")

    def _note(self) -> None:
        """Note that this user submits to the folder; from then on, its jobs may be started."""
        if self._folder is not None:
            note = _note_of(self._root())
            note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            note.touch()

    def _check(self) -> None:
        """Check that this user has submitted to the folder: of one that a stranger's workspace names, no job is started."""
        if self._folder is not None and not _note_of(self._root()).exists():
            raise QueueUnavailableError(self.name, f"you have submitted nothing to the folder {self._root()}")


def _ours() -> Path:
    from platformdirs import user_state_dir

    return Path(user_state_dir("molexp", appauthor=False)) / "queue"


def _note_of(folder: Path) -> Path:
    return _ours() / "folders" / sha256(os.fsencode(folder)).hexdigest()


def _cores_here() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _jobs(files: QueueFiles, token: str, batch: StoredBatch) -> list[Job]:
    return [_job(files, token, index, facts) for index, facts in enumerate(files.jobs(batch))]


def _job(files: QueueFiles, token: str, index: int, facts: JobFacts) -> Job:
    host = files.me.host if facts.owner is not None else ""
    if facts.ended:
        state = JobState.DONE if facts.code == 0 and facts.word == "COMPLETED" else JobState.FAILED
        reason = f"exit code {facts.code}" if facts.code else ""
        return Job(token, index, job_id(token, index), state, facts.word, reason, host)
    if facts.owner is None:
        return Job(token, index, job_id(token, index), JobState.QUEUED, "WAITING")
    if files.is_dead(facts.owner) and not files.has_runner():
        return Job(token, index, job_id(token, index), JobState.FAILED, "LOST", "nobody collected its exit code", host)
    return Job(token, index, job_id(token, index), JobState.RUNNING, "RUNNING", "", host)
