"""What every entity of one opened workspace shares: its store, its kinds, its journal, its observer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, get_args

from molexp._record.incomplete import is_claim, newest, settled, take_blank
from molexp._record.journal import Journal
from molexp._record.validation import decode_document
from molexp._recording.process import Process, this_process
from molexp._storage import layout, schemas
from molexp._values.documents import check_schema, encode, encode_pretty
from molexp._values.ids import new_token
from molexp._values.numbers import is_number
from molexp._values.process_id import HERE
from molexp._values.times import utc_now
from molexp.contracts import Durability, Store
from molexp.errors import (
    CorruptRecordError,
    KeyExistsError,
    KeyNotFoundError,
    MolexpError,
    NotFoundError,
    UnsupportedOperationError,
    WorkspaceMovedError,
)

if TYPE_CHECKING:
    from molexp._assets.registry import Library
    from molexp._catalog.background import Background
    from molexp._catalog.index.index import Index
    from molexp._record.leases import Observer
    from molexp._storage.durability import Flushing
    from molexp.plugins import PluginManager

DEFAULT_SCHEME = "molexp-1"


class Home:
    """One opened workspace, as its entities share it."""

    def __init__(self, store: Store, plugins: PluginManager, name: str | None, read_only: bool) -> None:
        self.store = store
        self.plugins = plugins
        self.read_only = read_only
        self._library: Library | None = None
        self.given_name = name
        self.origin: Mapping[str, Any] | None = None
        """The ``workspace.json`` of the workspace that this one is to be a copy of, if it does not exist yet."""
        self._document: dict[str, Any] | None = None
        self._writable = False  # known to exist, and not made by a newer MolExp
        self._process: Process | None = None
        self._journal: Journal | None = None
        self._observer: Observer | None = None
        self._flushing: Flushing | None = None
        self._index: Index | None = None
        self._background: Background | None = None
        self._lease: dict[str, float] | None = None
        self.durability_given = False  # by the caller or the environment, which count more than the settings
        self._settings: dict[str, Any] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        from molexp._hierarchy.workspace import reopen_home

        return reopen_home, (self.store, self.given_name, self.durability_given, self.read_only)

    # ---------------------------------------------------------------------------------------------- the workspace itself

    def document(self) -> dict[str, Any]:
        """``workspace.json``.

        Raises:
            NotFoundError: there is no workspace yet.
            CorruptRecordError: it cannot be read.
        """
        if self._document is None:
            try:
                self._know(decode_document(settled(self.store, layout.WORKSPACE), layout.WORKSPACE))
            except KeyNotFoundError:
                raise NotFoundError(
                    "workspace", self.store.url, hint="Create one with molexp.Workspace(URL).materialize()."
                ) from None
        assert self._document is not None
        return self._document

    def _know(self, document: dict[str, Any]) -> None:
        self._document = document
        self.store.witness = (layout.WORKSPACE, str(document.get("id")).encode())

    def exists(self) -> bool:
        """Tell whether there is a workspace; one whose document cannot be read is there, too."""
        try:
            self.document()
        except NotFoundError:
            return False
        except CorruptRecordError:
            pass
        return True

    def must_exist(self) -> None:
        """Raise `NotFoundError` if there is no workspace."""
        with suppress(CorruptRecordError):
            self.document()

    @property
    def id(self) -> str:
        """The workspace's id; "" if there is none, or it cannot be read."""
        try:
            return str(self.document().get("id", ""))
        except (NotFoundError, CorruptRecordError):
            return ""

    def materialize(self) -> None:
        """Create the workspace, once its storage has shown that it keeps exclusive creation; or find it.

        One that was removed since it was opened is created anew, unless a run of this process is going on in it.

        Raises:
            WorkspaceMovedError: it was moved or removed under a run, or another folder lies at its path.
            UnsupportedOperationError: the storage ignores exclusive creation in silence.
            SchemaError: it was made by a newer MolExp.
        """
        if self._document is not None:
            self._look_again(self._document)
        self._make_writable()

    def ready(self) -> None:
        """Make sure that it exists, and is not a newer MolExp's, before the first thing is written."""
        if not self._writable:
            self._make_writable()

    def _look_again(self, known: dict[str, Any]) -> None:
        """Forget what is known of the workspace if it was removed, or if another one lies in its place.

        Raises:
            WorkspaceMovedError: a run of this process is going on in it, which would be torn in two.
        """
        self._document = None
        if self.id != known.get("id"):
            if any(attempt.store is self.store for attempt in self.process.heart.attempts()):
                self._know(known)
                raise WorkspaceMovedError(layout.WORKSPACE, url=self.store.url)
            if self._document is None:
                self.store.witness = None
            self._writable = False
            self._settings = self._index = self._observer = None

    def _make_writable(self) -> None:
        try:
            self.document()
        except NotFoundError:
            self._create()
        except CorruptRecordError:
            if not is_claim(self.store, layout.WORKSPACE):
                raise
            self._create()
        document = self.document()
        check_schema(document, layout.WORKSPACE, schemas.WORKSPACE)
        self.process.opened(self.store.url, str(document.get("id")))
        self._writable = True
        self.background.drain(self)

    def _create(self) -> None:
        from molexp._hierarchy.location import warn_of_outer

        self._probe()
        warn_of_outer(self.store)
        made = {
            "schema": schemas.WORKSPACE,
            "type": "workspace",
            "id": new_token(),
            "name": self.given_name,
            "created_at": utc_now(),
        }
        document = dict(self.origin) if self.origin is not None else made
        try:
            self.store.create(layout.WORKSPACE, encode_pretty(document))
        except KeyExistsError:
            if not take_blank(self.store, layout.WORKSPACE, encode_pretty(document)):
                return  # somebody else was first; theirs is ours
        self._know(document)

    def _may_write(self) -> bool:
        try:
            check_schema(self.document(), layout.WORKSPACE, schemas.WORKSPACE)
        except MolexpError:
            return False
        return not self.read_only

    def _probe(self) -> None:
        key = f"{layout.DERIVED}/probe/{new_token()}"
        first, second = encode({"probe": new_token()}), encode({"probe": new_token()})
        self.store.create(key, first)
        try:
            try:
                self.store.create(key, second)
            except KeyExistsError:
                kept = self.store.read(key)
            else:
                kept = second
        finally:
            self.store.delete(key)
        if kept != first:
            raise UnsupportedOperationError(
                "hold a workspace",
                url=self.store.url,
                hint="It lets two writers create one key: the second creation should have been refused, and was not. "
                "Records would be lost without a word. Use a file system, or an S3 server that honours If-None-Match.",
            )

    # ---------------------------------------------------------------------------------------------------------- settings

    @property
    def settings(self) -> Mapping[str, Any]:
        """The workspace's settings: those of the newest ``settings/<n>.json``."""
        if self._settings is None:
            values = (newest(self.store, (key for _, key in reversed(self._setting_keys()))) or {}).get("values")
            self._settings = values if isinstance(values, dict) else {}
        return self._settings

    def _durability(self) -> Durability | None:
        """Return what the settings say of it; if they cannot be read, the safest."""
        try:
            wanted = self.settings.get("durability")
        except CorruptRecordError:
            return "always"
        return wanted if wanted in get_args(Durability) else None

    def change_settings(self, values: Mapping[str, Any]) -> None:
        """Store settings with `values` over the present ones; None removes one."""
        self.materialize()
        while True:
            self._settings = None
            merged = {name: value for name, value in {**self.settings, **values}.items() if value is not None}
            numbered = self._setting_keys()
            number = numbered[-1][0] + 1 if numbered else 1
            document = {
                "schema": schemas.SETTINGS,
                "type": "settings",
                "token": new_token(),
                "changed_at": utc_now(),
                "values": merged,
            }
            key = f"{layout.SETTINGS}/{number}.json"
            try:
                self.store.create(key, encode_pretty(document))
            except KeyExistsError:
                continue
            self._settings = merged
            self.flushing.made(key, relies_on=[layout.WORKSPACE])
            return

    def _setting_keys(self) -> list[tuple[int, str]]:
        found = []
        for entry in self.store.children(layout.SETTINGS).entries:
            number, _, rest = entry.key.rpartition("/")[2].partition(".")
            if rest == "json" and is_number(number):
                found.append((int(number), entry.key))
        return sorted(found)

    @property
    def library(self) -> Library:
        """What the workspace knows of asset kinds."""
        if self._library is None:
            from molexp._assets.registry import Library

            self._library = Library(self.store, self.plugins)
        return self._library

    # --------------------------------------------------------------------------------------------------- this process

    @property
    def process(self) -> Process:
        """This process; after a fork, the child."""
        if self._process is None or self._process.pid != HERE.pid:
            self._process = this_process()
            self._journal = self._observer = self._flushing = None
        return self._process

    @property
    def flushing(self) -> Flushing:
        """What flushes here."""
        process = self.process
        if self._flushing is None:
            self._flushing = process.flushing(self.store)
        return self._flushing

    @property
    def journal(self) -> Journal:
        """What this process announces here, before it changes anything; makes sure that the workspace exists."""
        self.ready()
        process = self.process  # after a fork, the child's
        if self._journal is None:
            if not self.durability_given and (wanted := self._durability()):
                self.store.durability = wanted
            self._journal = Journal(self.store, process.owner_document, self.materialize)
        return self._journal

    @property
    def observer(self) -> Observer:
        """Judges the owners of attempts."""
        process = self.process
        if self._observer is None:
            from molexp._record.leases import Observer

            self._observer = Observer(self.store, process.owner, lambda: self.index, self._may_write())
        return self._observer

    @property
    def lease(self) -> Mapping[str, float]:
        """Seconds between signs of life, and after which an owner counts as dead without one."""
        if self._lease is None:
            from molexp._record.leases import seconds_from_environment

            ttl = seconds_from_environment("MOLEXP_LEASE_TTL", self.store.lease_ttl)
            usual = min(self.store.lease_beat, ttl * self.store.lease_beat / self.store.lease_ttl)
            beat = seconds_from_environment("MOLEXP_LEASE_BEAT", usual)
            self._lease = {"beat": beat, "ttl": ttl}
        return self._lease

    @property
    def index(self) -> Index:
        """The reader's index."""
        if self._index is None:
            from molexp._catalog.index.index import Index

            self._index = Index(self.id, self.store.url)
        return self._index

    @property
    def background(self) -> Background:
        """What compacts, in passing."""
        if self._background is None:
            from molexp._catalog.background import Background

            self._background = Background()
        return self._background
