"""The words for where a run stands."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """Where a run stands: ``pending -> running -> succeeded | failed | cancelled | interrupted``."""

    PENDING = "pending"
    """Defined, never attempted."""

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
        """Whether no attempt is going on and one has been made."""
        return self not in (RunStatus.PENDING, RunStatus.RUNNING)
