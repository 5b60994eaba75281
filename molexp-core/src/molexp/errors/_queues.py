"""Errors of queues."""

from __future__ import annotations

from molexp.errors._base import MolexpError


class QueueError(MolexpError):
    """A queue refused something.

    Attributes:
        queue: the name of the queue.
        reason: the reason, in the engine's own words where it has some.

    Example:
        >>> try:
        ...     raise me.QueueError("slurm", "invalid partition specified: gpus")
        ... except me.QueueError as error:
        ...     print(error)
        The queue 'slurm' refuses: invalid partition specified: gpus
    """

    def __init__(self, queue: str, reason: str) -> None:
        self.queue = queue
        self.reason = reason
        super().__init__(self._told())

    def _told(self) -> str:
        return f"The queue {self.queue!r} refuses: {self.reason}"


class QueueUnavailableError(QueueError):
    """The engine of a queue does not answer: nothing is known of its jobs, which may go on all the same.

    Example:
        >>> try:
        ...     raise me.QueueUnavailableError("slurm", "Unable to contact slurm controller")
        ... except me.QueueUnavailableError as error:
        ...     print(error)
        The queue 'slurm' does not answer: Unable to contact slurm controller. Its jobs may go on; try again later.
    """

    def _told(self) -> str:
        return f"The queue {self.queue!r} does not answer: {self.reason}. Its jobs may go on; try again later."
