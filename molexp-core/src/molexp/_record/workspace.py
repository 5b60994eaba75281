"""The document of a workspace, ``workspace.json``, and its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, get_args

from molexp._record.document_types import decode_document
from molexp._record.incomplete import is_blank, is_claim, newest, numbered, settled, take_blank
from molexp._storage import layout, schemas
from molexp._values.documents import check_schema, encode, encode_pretty, refuse_newer
from molexp._values.ids import slug
from molexp._values.times import new_token, utc_now
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


class WorkspaceDocument:
    """The document and the settings of the workspace on one store; both are read once.

    Args:
        store: The workspace's.
        name: The name that it gets if it is created.
    """

    def __init__(self, store: Store, name: str | None) -> None:
        if name is not None:
            slug(name)  # it makes no id, and is as free as names that do
        self._store = store
        self.given_name = name
        self.origin: Mapping[str, Any] | None = None
        """The document of the workspace that this one becomes a copy of, if it does not exist yet."""
        self._document: dict[str, Any] | None = None
        self._stays_blank = False
        self._settings: dict[str, Any] | None = None

    def read(self) -> dict[str, Any]:
        """Return ``workspace.json``.

        Raises:
            NotFoundError: There is no workspace yet.
            CorruptRecordError: It cannot be read.
        """
        if self._document is None:
            try:
                self._know(decode_document(self._bytes(), layout.WORKSPACE))
            except KeyNotFoundError:
                raise NotFoundError(
                    "workspace", self._store.url, hint="Create one with molexp.Workspace(URL).materialize()."
                ) from None
        assert self._document is not None
        return self._document

    def _bytes(self) -> bytes:
        """Return what is stored; it is waited only once until somebody fills a blank document."""
        waited, self._stays_blank = self._stays_blank, False
        data = self._store.read(layout.WORKSPACE) if waited else settled(self._store, layout.WORKSPACE)
        self._stays_blank = is_blank(data)
        return data

    def _know(self, document: dict[str, Any]) -> None:
        self._document = document
        self._store.witness = (layout.WORKSPACE, str(document.get("id")).encode())

    def exists(self) -> bool:
        """Tell whether there is a workspace; one whose document cannot be read is there, too."""
        if self._document is None:
            try:
                self.must_exist()
            except NotFoundError:
                return False
        return True

    def must_exist(self) -> None:
        """Raise `NotFoundError` if there is no workspace."""
        with suppress(CorruptRecordError):
            self.read()

    @property
    def id(self) -> str:
        """Return the workspace's id; "" if there is none, or it cannot be read."""
        try:
            return str(self.read().get("id", ""))
        except (NotFoundError, CorruptRecordError):
            return ""

    def was_replaced(self, is_in_use: Callable[[], bool]) -> bool:
        """Tell whether the workspace that was known has been removed, or another one lies in its place; forget it then.

        Raises:
            WorkspaceMovedError: It was, and this process has a run in it, which would be torn in two.
        """
        known = self._document
        if known is None:
            return False
        self._document = None
        if self.id == known.get("id"):
            return False
        if is_in_use():
            self._know(known)
            raise WorkspaceMovedError(layout.WORKSPACE, url=self._store.url)
        if self._document is None:
            self._store.witness = None
        self._settings = None
        return True

    def find_or_create(self) -> None:
        """Create the workspace, once its storage has shown that it keeps exclusive creation; or find it.

        Raises:
            UnsupportedOperationError: The storage ignores exclusive creation in silence.
            SchemaError: It was made by a newer MolExp.
        """
        try:
            self.read()
        except NotFoundError:
            self._create()
        except CorruptRecordError:
            if not is_claim(self._store, layout.WORKSPACE):
                raise
            self._create()
        check_schema(self.read(), layout.WORKSPACE, schemas.WORKSPACE)

    def _create(self) -> None:
        from molexp._record.enclosing import warn_of_outer

        self._probe()
        warn_of_outer(self._store)
        made = {
            "schema": schemas.WORKSPACE,
            "type": "workspace",
            "id": new_token(),
            "name": self.given_name,
            "created_at": utc_now(),
        }
        document = dict(self.origin) if self.origin is not None else made
        try:
            self._store.create(layout.WORKSPACE, encode_pretty(document))
        except KeyExistsError:
            if not take_blank(self._store, layout.WORKSPACE, encode_pretty(document)):
                return  # somebody else was first; theirs is ours
        self._know(document)

    def may_be_written(self) -> bool:
        """Tell whether this version of MolExp may write to the workspace."""
        try:
            check_schema(self.read(), layout.WORKSPACE, schemas.WORKSPACE)
        except MolexpError:
            return False
        return True

    def _probe(self) -> None:
        key = f"{layout.DERIVED}/probe/{new_token()}"
        first, second = encode({"probe": new_token()}), encode({"probe": new_token()})
        self._store.create(key, first)
        try:
            try:
                self._store.create(key, second)
            except KeyExistsError:
                kept = self._store.read(key)
            else:
                kept = second
        finally:
            self._store.delete(key)
        if kept != first:
            raise UnsupportedOperationError(
                "hold a workspace",
                url=self._store.url,
                hint="It lets two writers create one key: the second creation should have been refused, and was not. "
                "Records would be lost without a word. Use a file system, or an S3 server that honours If-None-Match.",
            )

    # ---------------------------------------------------------------------------------------------------------- settings

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return the settings: those of the newest ``settings/<n>.json``."""
        if self._settings is None:
            values = self._newest_settings().get("values")
            self._settings = values if isinstance(values, dict) else {}
        return self._settings

    def _newest_settings(self) -> dict[str, Any]:
        keys = numbered(self._store, layout.SETTINGS).values()
        return newest(self._store, reversed(keys)) or {}

    def durability(self) -> Durability | None:
        """Return the durability that the settings ask for; if they cannot be read, the safest."""
        try:
            wanted = self.settings.get("durability")
        except CorruptRecordError:
            return "always"
        return wanted if wanted in get_args(Durability) else None

    def change_settings(self, values: Mapping[str, Any]) -> str:
        """Store settings with `values` over the present ones, where None removes one; return their key.

        Raises:
            SchemaError: a newer MolExp wrote the present ones.
        """
        while True:
            self._settings = None
            last = max(numbered(self._store, layout.SETTINGS), default=0)
            refuse_newer(self._newest_settings(), f"{layout.SETTINGS}/{last}.json", schemas.SETTINGS)
            merged = {name: value for name, value in {**self.settings, **values}.items() if value is not None}
            document = {
                "schema": schemas.SETTINGS,
                "type": "settings",
                "token": new_token(),
                "changed_at": utc_now(),
                "values": merged,
            }
            key = f"{layout.SETTINGS}/{last + 1}.json"
            with suppress(KeyExistsError):
                self._store.create(key, encode_pretty(document))
                self._settings = merged
                return key
