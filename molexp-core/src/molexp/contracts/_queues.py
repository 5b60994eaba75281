"""The contract of a queue, which runs batches of jobs when nobody waits for them any more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import ClassVar, Final

from msgspec import Struct, field

from molexp.contracts._resources import Resources

JOB_INDEX: Final = "MOLEXP_JOB_INDEX"
"""The environment variable in which a queue tells a job its index in the batch."""

JOB_ID: Final = "MOLEXP_JOB_ID"
"""The environment variable in which a queue tells a job its id, as `Job.id` has it."""

JOB_ENDS: Final = "MOLEXP_JOB_ENDS"
"""The environment variable in which a queue tells a job when the engine will end it, in seconds since 1970; if it knows."""


class JobState(StrEnum):
    """The state of a job, in the words of every queue.

    ``queued``, ``held`` (it does not begin before somebody lets it) and ``running`` are those of jobs that are alive. ``done`` has
    exited with 0. ``failed`` is every other end: a job that was cancelled, too. A state of the engine that is none of these is
    ``running`` for as long as the job may still do something: suspended, completing.

    Example:
        >>> from molexp.contracts import JobState
        >>> JobState("held").alive
        True
    """

    QUEUED = "queued"
    HELD = "held"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def alive(self) -> bool:
        """Tell whether the job is going on, or may still begin."""
        return self in (JobState.QUEUED, JobState.HELD, JobState.RUNNING)


class Batch(Struct, frozen=True, kw_only=True):
    """A number of jobs that differ by their index alone, such as an array of Slurm.

    Attributes:
        token: the name by which an engine finds the jobs again if it never got to say their ids. Nobody else has it. It is
            letters, digits and hyphens, and no longer than 60 characters.
        command: the command of each job, with its arguments. The engine starts it without a shell, or quotes it for one.
        size: the number of jobs. Their indices are 0 to ``size - 1``; each finds its own in ``MOLEXP_JOB_INDEX``.
        folder: the working folder of each job, on this machine and where the jobs run.
        environment: variables over those that jobs have anyway.
        resources: the needs of each job.
        at_once: the number of jobs that run at a time at most; None leaves it to the engine.
        after: ids of batches, as `Queue.submit` returned them. The jobs begin when all of these have ended, in whatever way.
            Ids that the engine no longer knows have ended.
        output: a folder for what jobs print, which exists; "" drops it.
        title: a title for people, if the engine has a place for one.
        avoid: names of machines, as `Job.host` has them, that no job is to run on.

    Example:
        >>> from molexp.contracts import Batch
        >>> Batch(token="molexp-1", command=("hostname",), size=10, folder="/tmp").size
        10
    """

    token: str
    command: Sequence[str]
    size: int = 1
    folder: str
    environment: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    at_once: int | None = None
    after: Sequence[str] = ()
    output: str = ""
    title: str = ""
    avoid: Sequence[str] = ()


class Job(Struct, frozen=True):
    """A job as an engine knows it.

    Attributes:
        token: the token of its batch.
        index: its index in the batch.
        id: the id by which `Queue.cancel` takes it, such as ``1234_5``.
        state: its state.
        word: the engine's own word for it, such as ``PENDING``, ``NODE_FAIL`` or ``OUT_OF_MEMORY``.
        reason: the engine's reason, for people, such as ``QOSMaxJobsPerUserLimit``; "" if it has none.
        host: the machine that it runs on, or ran on; "" if that is not known.

    Example:
        >>> from molexp.contracts import Job, JobState
        >>> Job("molexp-1", 5, "1234_5", JobState.FAILED, "TIMEOUT").state.alive
        False
    """

    token: str
    index: int
    id: str
    state: JobState
    word: str
    reason: str = ""
    host: str = ""


class Queue(ABC):
    r"""Submits batches of jobs to an engine that runs them later, and tells what became of them.

    Nobody waits: the process that submits a batch ends, and another one asks for it, perhaps days later on another machine.
    So a queue keeps nothing that matters in memory, and asks its engine.

    Options are keyword arguments, each with a default; users write them into the ``scheduler`` of a profile. One that a queue
    does not know is a `TypeError`, one that makes no sense a `TypeError` or `ValueError`; none is ignored. Making a queue does
    no I/O and starts nothing. An executor of the same name is given the same options.

    Methods block. Each is one question to the engine, or a few, however many jobs it is about. If the engine does not answer, it
    is a `molexp.errors.QueueUnavailableError`, and nothing is known: a caller must never take silence for the end of a job.

    A job gets the variables ``MOLEXP_JOB_INDEX`` and ``MOLEXP_JOB_ID``, and ``MOLEXP_JOB_ENDS`` if the engine limits its time and says how:
    the second since 1970 from which on it may end the job. Before it does, it sends SIGTERM to the command, and leaves it some time. An engine may start a job again that
    it has interrupted, as the same job.

    Example:
        >>> from shlex import join
        >>> from molexp.contracts import Batch, Queue
        >>> class Printed(Queue):
        ...     name = "printed"
        ...
        ...     def script(self, batch):
        ...         return f"#!/bin/sh\n{join(batch.command)}\n"
        ...
        ...     def submit(self, batch):
        ...         raise me.QueueError(self.name, "it only prints scripts")
        ...
        ...     def look(self, batches):
        ...         return []
        ...
        ...     def cancel(self, ids):
        ...         pass
        >>> print(Printed().script(Batch(token="molexp-1", command=("hostname",), folder="/tmp")))
        #!/bin/sh
        hostname
        <BLANKLINE>
    """

    name: ClassVar[str]
    """The name by which users choose it."""

    def engine(self) -> str:
        """Return the name of the engine that this queue would ask, such as that of a cluster: jobs of another one it cannot know.

        It may ask the engine, once. "" if there is only one, wherever you ask.

        Raises:
            molexp.errors.QueueUnavailableError: the engine does not answer.
        """
        return ""

    @abstractmethod
    def script(self, batch: Batch) -> str:
        """Return what `submit` would give to the engine, for people to read: a batch script with all its options.

        No I/O.

        Raises:
            molexp.errors.QueueError: the batch asks for what this queue cannot do.
        """

    @abstractmethod
    def submit(self, batch: Batch) -> str:
        """Submit a batch, and return the engine's id of it.

        All jobs are accepted, or none. This process may be killed at any instant: then either no job of the batch will ever
        exist, or `look` finds all of them by the token as soon as they do. A batch is submitted once, so a queue need not look
        for its token before.

        Raises:
            molexp.errors.QueueError: the engine refuses the batch; with its own words.
            molexp.errors.QueueUnavailableError: the engine did not answer. It may have accepted the batch nevertheless.
        """

    @abstractmethod
    def look(self, batches: Mapping[str, str]) -> Iterable[Job]:
        """Return the jobs of these batches that the engine knows, in any order: one question for all of them.

        A job that is not among them is gone: it has ended, or it was never there. An engine that forgets jobs after some
        minutes returns only those that it still knows. It never leaves out one that is alive. A job that the engine has started
        several times is there once, with its newest state.

        Args:
            batches: token to the id that `submit` returned, or to "" where the caller was killed before it got one: then the
                engine finds the jobs by the token.

        Raises:
            molexp.errors.QueueUnavailableError: the engine does not answer.
        """

    @abstractmethod
    def cancel(self, ids: Sequence[str]) -> None:
        """Cancel batches or single jobs; those that are running are sent SIGTERM, and are killed if they do not end.

        It does not wait for their ends. Ids of what has ended, or is not known, are left aside.

        Args:
            ids: ids of batches, as `submit` returned them, or of jobs, as `look` returned them.

        Raises:
            molexp.errors.QueueError: the engine refuses.
            molexp.errors.QueueUnavailableError: the engine does not answer.
        """

    def largest(self) -> int | None:
        """Return the largest size of a batch; None if there is no limit. It may ask the engine, once.

        Raises:
            molexp.errors.QueueUnavailableError: the engine does not answer.
        """
        return None
