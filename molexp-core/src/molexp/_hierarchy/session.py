"""The session of one opened workspace, which all its entities share: store, kinds, journal, observer, index."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from molexp._record.definitions import WAS_DELETED, read_document
from molexp._record.journal import Journal, open_journal
from molexp._record.workspace import WorkspaceDocument
from molexp._recording.process import AT_ONCE, Process, this_process
from molexp._storage import layout
from molexp._values.copies import own_copy
from molexp._values.kept import kept
from molexp._values.process_id import HERE
from molexp._values.status import RunStatus
from molexp._values.threads import start_beside
from molexp.contracts import Store
from molexp.errors import NotFoundError

if TYPE_CHECKING:
    from molexp._assets.registry import Library
    from molexp._catalog.index.index import Index
    from molexp._record.folding import RunState
    from molexp._record.leases import Observer
    from molexp._record.owners import Owner
    from molexp._record.submissions import Queued
    from molexp._storage.durability import Flushing
    from molexp.plugins import PluginManager

DEFAULT_SCHEME = "molexp-1"


_PAUSE = 60.0  # seconds after which to look again whether there is enough to compact, once there was
_ORIGINS = 100  # documents of provenance that are kept: each may have a long difference


class Session:
    """One opened workspace, as its entities share it; what is made here is made when it is first asked for."""

    def __init__(self, store: Store, plugins: PluginManager, name: str | None, read_only: bool) -> None:
        self.store = store
        self.plugins = plugins
        self.read_only = read_only
        self.workspace: WorkspaceDocument = WorkspaceDocument(store, name)
        self.durability_given = False  # by the caller or the environment, which count more than the settings
        self._writable = False  # known to exist, and not made by a newer MolExp
        self._drained = False
        self._draining: threading.Thread | None = None
        self._origins: dict[str, Mapping[str, Any]] = {}
        self._submissions: tuple[dict[str, set[str]], dict[str, Queued]] = ({}, {})
        self._process: Process | None = None
        self._pid = 0  # of the process that the following belong to
        self._journal: Journal | None = None
        self._observer: Observer | None = None
        self._flushing: Flushing | None = None
        self._compacting = 0.0  # by the monotonic clock, when to look again whether there is enough to compact

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.store, self.workspace.given_name, self.durability_given, self.read_only)

    # ---------------------------------------------------------------------------------------------------- the workspace

    def materialize(self) -> None:
        """Create the workspace, or find it.

        One that was removed since it was opened is created anew, unless a run of this process is going on in it.

        Raises:
            WorkspaceMovedError: It was moved or removed under a run, or another folder lies at its path.
            UnsupportedOperationError: The storage ignores exclusive creation in silence.
            SchemaError: It was made by a newer MolExp.
        """
        if self.workspace.was_replaced(self._has_attempts):
            self._writable = False
            self._observer = None
            vars(self).pop("index", None)
        self._make_writable()

    def ready(self) -> None:
        """Make sure that it exists, and is not a newer MolExp's, before the first thing is written."""
        if not self._writable:
            self._make_writable()

    def _has_attempts(self) -> bool:
        return any(attempt.store is self.store for attempt in self.process.heart.attempts())

    def _make_writable(self) -> None:
        self.workspace.find_or_create()
        self.process.opened(self.store.url, self.workspace.id)
        self._writable = True
        self.drain()

    def change_settings(self, values: Mapping[str, Any]) -> None:
        """Store settings with `values` over the present ones; None removes one."""
        self.materialize()
        self.flushing.made(self.workspace.change_settings(values), relies_on=[layout.WORKSPACE])

    @kept
    def library(self) -> Library:
        """Return the asset kinds that the workspace knows."""
        from molexp._assets.registry import Library

        return Library(self.store, self.plugins)

    # --------------------------------------------------------------------------------------------------- this process

    @property
    def process(self) -> Process:
        """Return this process; after a fork, the child."""
        process = self._process
        if process is None or self._pid != HERE.pid:
            process = self._process = this_process()
            self._pid = process.pid
            self._journal = self._observer = self._flushing = None
        return process

    @property
    def owner(self) -> Owner:
        """Return who this process is."""
        return self.process.owner

    def edited(self, path: str) -> None:
        """Note that this process has edited the entity at `path`."""
        self.process.edited.add(path)

    @property
    def flushing(self) -> Flushing:
        """Return what makes changes durable here."""
        if self._flushing is None or self._pid != HERE.pid:
            self._flushing = self.process.flushing(self.store)
        return self._flushing

    @property
    def journal(self) -> Journal:
        """Return the journal of this process, to announce changes in; make sure that the workspace exists."""
        if not self._writable:
            self._make_writable()
        if self._journal is None or self._pid != HERE.pid:
            process = self.process  # after a fork, the child's
            if not self.durability_given and (wanted := self.workspace.durability()):
                self.store.durability = wanted
            self._journal = open_journal(self.store, process.owner_document, self.materialize)
        return self._journal

    @property
    def observer(self) -> Observer:
        """Return the judge of the owners of attempts."""
        process = self.process
        if self._observer is None:
            from molexp._record.leases import Observer

            may_write = self.workspace.may_be_written() and not self.read_only
            self._observer = Observer(
                self.store, process.owner, lambda: self.index, may_write, given_up=process.given_up
            )
        return self._observer

    @contextmanager
    def deferring(self) -> Iterator[None]:
        """Take nobody for dead meanwhile: a scheduler is asked next, who can tell why."""
        judging = replace(self.observer, defers=False)  # another thread may defer, too, and end first
        self._observer = replace(judging, defers=True)
        try:
            yield
        finally:
            self._observer = judging

    @cached_property
    def lease(self) -> Mapping[str, float]:
        """The seconds between signs of life, and those after which an owner counts as dead without one."""
        from molexp._record.leases import seconds_from_environment

        ttl = seconds_from_environment("MOLEXP_LEASE_TTL", self.store.lease_ttl)
        usual = min(self.store.lease_beat, ttl * self.store.lease_beat / self.store.lease_ttl)
        return {"beat": seconds_from_environment("MOLEXP_LEASE_BEAT", usual), "ttl": ttl}

    @kept
    def index(self) -> Index:
        """Return the reader's index."""
        from molexp._catalog.index.index import Index
        from molexp._catalog.index.place import location_of

        return Index(location_of(self.workspace.id, self.store.url))

    # --------------------------------------------------------------------------------------------------- what runs say

    def elsewhere(self, value: Any) -> str:
        """Return the URL of the workspace that an asset, a run or a row belongs to, if that is another one; else ""."""
        owner = getattr(value, "_library", None) or getattr(value, "_session", None)
        return "" if owner is None or owner.store.url == self.store.url else str(owner.store.url)

    def refuse_others(self, value: Any) -> None:
        """Refuse a question about an asset, a run or a row of another workspace.

        Raises:
            ValueError: it belongs to another workspace; something of this one may have the same name.
        """
        if url := self.elsewhere(value):
            raise ValueError(f"{value!r} belongs to another workspace, {url}: ask the catalog of that one.")

    def state_of(self, run: str) -> RunState:
        """Return all that is true of a run now.

        Raises:
            NotFoundError: There is no such run, or it was deleted.
            CorruptRecordError: Its definition cannot be read.
        """
        from molexp._record.reading import read_run

        self.process.send(self.store, run)
        state = read_run(self.store, run, self.observer)
        if state.edits.deleted:
            raise NotFoundError("run", run, hint=WAS_DELETED)
        return state

    def standing(self, run: str, state: RunState) -> RunStatus:
        """Return the status of a run: what its attempts say, or that a submission which nobody has begun has it."""
        if state.status in (RunStatus.RUNNING, RunStatus.SUCCEEDED):
            return state.status
        from molexp._record.submissions import listed, open_submissions, queued_runs

        there = listed(self.store)  # their documents never change
        if there != self._submissions[0]:
            self._submissions = there, queued_runs(open_submissions(self.store))
        one = self._submissions[1].get(run)
        is_queued = one is not None and one.holds(state.status, len(state.attempts), len(state.edits.cancels))
        return RunStatus.QUEUED if is_queued else state.status

    def document_of(self, run: str) -> dict[str, Any]:
        """Return ``run.json`` of a run as it would be written now, with its status as of now. Raises as `state_of` does."""
        state = self.state_of(run)
        return state.to_document() | {"status": str(self.standing(run, state))}

    def provenance_of(self, state: RunState) -> Mapping[str, Any] | None:
        """Return how the process of a run's newest attempt came to be; None if nothing is known."""
        return own_copy(self.origin(state.attempts[-1].contents.provenance if state.attempts else None))  # type: ignore[no-any-return]

    def origin(self, known: Any) -> Mapping[str, Any] | None:
        """Return the document of a provenance by its id; None if there is none.

        Many runs name one, which is read once: its id is the hash of its content. It is everybody's, so give away a copy.
        """
        if not isinstance(known, str):
            return None
        if (found := self._origins.get(known)) is None:
            found = read_document(self.store, layout.provenance(known))
            if found is not None:
                while len(self._origins) >= _ORIGINS:  # another thread may take the first one out at the same time
                    self._origins.pop(next(iter([*self._origins]), ""), None)
                self._origins[known] = found
        return found

    # --------------------------------------------------------------------------------------------------- in passing

    def drain(self) -> None:
        """Bring what dead writers left into the store, and end what they were at; once, where there are spools."""
        if self._drained or self.read_only or "append" in self.store.capabilities:
            return
        from molexp._storage.spool.locations import spools_of

        if spools_of(self.store.url) and self.workspace.exists():
            self._drained = True
            self._draining = start_beside("molexp-draining", self._drain)

    def gather(self) -> bool:
        """See to it that a query finds what this process has recorded, and what is being drained; False if there is no workspace."""
        if not (self._writable or self.workspace.exists()):
            return False
        if not self.store.capabilities >= AT_ONCE:  # else it lies there already
            self.process.send(self.store)
            draining = self._draining
            if draining is not None and draining is not threading.current_thread():
                draining.join()
        return True

    def _drain(self) -> None:
        from molexp._record.attempts import read_attempt
        from molexp._record.spool_draining import drain

        try:
            for run, number in drain(self.store, self.owner).brought:
                self.observer.settle(run, read_attempt(self.store, layout.folder(run), number))
        except Exception:  # noqa: BLE001, S110 - the next process tries again
            pass

    def compact_if_due(self) -> None:
        """Begin to drain in the background, and to compact in a process of its own, if there is enough to do."""
        self.drain()
        index, is_due = self.index, not self.read_only and time.monotonic() >= self._compacting
        if is_due and index.location and index.is_worth_compacting():
            from molexp._catalog.compaction.in_passing import begin

            begin(self, index)
            self._compacting = time.monotonic() + _PAUSE


def _reopen(store: Store, name: str | None, durability_given: bool, read_only: bool) -> Session:
    """Return the session of a workspace that was pickled, in another process: the same store, that process's plugins."""
    from molexp.plugins import default_manager

    session = Session(store, default_manager(), name, read_only)
    session.durability_given = durability_given
    return session
