"""The session that recording an attempt needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from molexp._record.session import Session

if TYPE_CHECKING:
    from molexp._record.leases import Observer
    from molexp._recording.process import Process


class RecordingSession(Session, Protocol):
    """A workspace that this process has open, and in which it starts and follows attempts."""

    @property
    def process(self) -> Process:
        """Return this process."""

    @property
    def observer(self) -> Observer:
        """Return the judge of the owners of attempts."""

    @property
    def lease(self) -> Mapping[str, float]:
        """Return the seconds between signs of life, and those after which an owner counts as dead without one."""
