"""The session that maintenance needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from molexp._recording.session import RecordingSession

if TYPE_CHECKING:
    from molexp._record.workspace import WorkspaceDocument


class MaintenanceSession(RecordingSession, Protocol):
    """A workspace that this process has open, to check, mend and clean up."""

    read_only: bool
    workspace: WorkspaceDocument
