"""The session that writing a record needs: a workspace that this process has open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from molexp._record.journal import Journal
    from molexp._record.owners import Owner
    from molexp._storage.durability import Flushing
    from molexp.contracts import Store


class Session(Protocol):
    """A workspace that this process has open and may write to."""

    store: Store

    @property
    def owner(self) -> Owner:
        """Return who this process is."""

    @property
    def journal(self) -> Journal:
        """Return the journal to announce changes in; the workspace exists from then on."""

    @property
    def flushing(self) -> Flushing:
        """Return what makes changes durable."""

    def ready(self) -> None:
        """Make sure that the workspace exists."""

    def materialize(self) -> None:
        """Create the workspace, or find it, even if it was removed since it was opened."""

    def edited(self, path: str) -> None:
        """Note that this process has edited the entity at `path`."""
