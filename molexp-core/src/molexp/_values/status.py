"""The words for where a run stands."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """The status of a run: ``pending -> queued -> running -> succeeded | failed | cancelled | interrupted``.

    Example:
        >>> run.status == "succeeded"
        True
        >>> me.RunStatus.RUNNING.finished
        False
    """

    PENDING = "pending"
    """Defined, never attempted."""

    QUEUED = "queued"
    """Submitted to a queue, which has not begun it yet; no attempt says so, but an open submission that names it."""

    RUNNING = "running"
    """Its newest attempt has no end, and its owner is not known to be dead."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """An error ended it."""

    CANCELLED = "cancelled"
    """Somebody asked it to stop: Ctrl-C, `Run.cancel`."""

    INTERRUPTED = "interrupted"
    """Its process was killed, terminated, or died without a word."""

    @property
    def finished(self) -> bool:
        """Tell whether no attempt is going on and one has been made."""
        return self not in (RunStatus.PENDING, RunStatus.QUEUED, RunStatus.RUNNING)


class Cause(StrEnum):
    """The reason for an end, for programs; the sentence for people stands beside it.

    Example:
        >>> run.cause is None  # it succeeded
        True
        >>> me.Cause("walltime").name
        'WALLTIME'
    """

    EXCEPTION = "exception"
    """The code failed: it raised an error, or exited with another code than 0."""

    SIGNAL = "signal"
    """Something sent a signal, and nothing tells why."""

    CANCEL = "cancel"
    """Somebody asked it to stop: Ctrl-C, `Run.cancel`, a task of an event loop that was cancelled."""

    TIMEOUT = "timeout"
    """A task or a command ran longer than its `timeout`."""

    WALLTIME = "walltime"
    """The time limit of its scheduler's job was over."""

    PREEMPTED = "preempted"
    """The scheduler took the job's place for another one."""

    OUT_OF_MEMORY = "out_of_memory"
    """Python raised `MemoryError`, or the kernel killed it because the memory was full."""

    OWNER_DIED = "owner_died"
    """Its process is gone, and said nothing of why."""

    SUPERSEDED = "superseded"
    """Another process took over: the job was started again by its scheduler."""


UNENDED = ("queued", "running")
"""Statuses of a task that has come to no outcome."""
