"""Recording for one try of one task."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from molexp.errors import TaskEndedError

if TYPE_CHECKING:
    from molexp._recording.writer import Handle, Writer


class TaskRecorder:
    """Records through the attempt's writer, under the task's name, until the try ends.

    Attributes:
        writer: the attempt's.
        task: the task's name, with its index if it is mapped.
        retry: the number of the try among all that the attempt makes of the task.
        recorded: True if anything was recorded.
    """

    def __init__(self, writer: Writer, task: str, retry: int) -> None:
        self.writer = writer
        self.task = task
        self.retry = retry
        self.recorded = False
        self._over = ""
        self._handles: list[Handle] = []

    def check(self) -> None:
        """Raise unless something can be recorded now.

        Raises:
            TaskEndedError: the try is over.
            RunError: the attempt is.
        """
        if self._over:
            raise TaskEndedError(self.task, why=self._over)
        self.writer.check()

    def record(self, event: dict[str, Any]) -> None:
        """Record an event as the task's."""
        event["task"] = self.task
        if self.retry:
            event["retry"] = self.retry
        with self.writer.lock:
            self.check()
            self.recorded = True
            self.writer.record(event)

    def manage(self, handle: Handle) -> None:
        """Close `handle` when the try ends.

        Raises:
            TaskEndedError: it has ended, so nobody would close it.
            RunError: the attempt is over.
        """
        with self.writer.lock:
            self.check()
            self._handles.append(handle)

    def end(self, why: str) -> None:
        """End the try: its logs are complete, and nothing is recorded for it from now on."""
        with self.writer.lock:
            if self._over:
                return
            self._over = why
        with ExitStack() as stack:  # also those that come after one that cannot be closed
            for handle in self._handles:
                stack.callback(handle.close)
            self._handles.clear()
