"""The scheduler's part: a call that has begun is never given to another worker."""

from __future__ import annotations

from typing import Any

from distributed import SchedulerPlugin

BEGUN = "molexp-begun"
"""The topic under which workers say that a call begins, and the mark of such a call."""


class Begun(SchedulerPlugin):
    """Marks calls that have begun. When their worker is lost they fail, instead of being made again."""

    name = BEGUN
    idempotent = True

    async def start(self, scheduler: Any) -> None:
        """Remember the scheduler."""
        self._scheduler = scheduler

    def log_event(self, topic: str, msg: Any) -> None:
        """Mark a call; Dask gives up a task that more workers died with than it allows."""
        if topic == BEGUN and (task := self._scheduler.tasks.get(msg["key"])) is not None:
            task.annotations = {**(task.annotations or {}), BEGUN: msg["worker"]}
            task.suspicious = max(task.suspicious, self._scheduler.allowed_failures)
