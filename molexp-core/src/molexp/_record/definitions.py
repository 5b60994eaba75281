"""Get or create: one document that defines an entity, created exclusively by whoever comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from molexp._record.document_types import VOID, check_shape, is_defined
from molexp._record.incomplete import is_claim, settled, take_blank
from molexp._storage import layout
from molexp._storage.durability import above
from molexp._values.documents import decode_object, encode_pretty
from molexp._values.ids import check_id, is_id, nearest, slug
from molexp.errors import CorruptRecordError, InvalidKeyError, KeyExistsError, KeyNotFoundError, NotFoundError

if TYPE_CHECKING:
    from molexp._record.folding import Edits
    from molexp._record.session import Session
    from molexp.contracts import Store


def read_document(store: Store, key: str, *, wait: bool = False) -> dict[str, Any] | None:
    """Return the document, or None; with `wait`, for a moment for whoever has claimed its name only.

    Raises:
        CorruptRecordError: it cannot be read.
    """
    try:
        return check_shape(decode_object(settled(store, key) if wait else store.read(key), key), key)
    except (KeyNotFoundError, InvalidKeyError):  # a record may name anything
        return None


def get_or_create(session: Session, path: str, make: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], bool]:
    """Return the document of the entity at `path`, and whether this call created it.

    Raises:
        CorruptRecordError: it cannot be read, and is no claim that nobody has come to fill.
    """
    key = layout.document(path)
    try:
        if (found := read_document(session.store, key, wait=True)) is not None:
            return found, False
        if "/" in path and _has_runs(session.store, path):
            raise _gone(key)  # to make it anew would give new runs other parameters than the old ones have
    except CorruptRecordError:
        if not session.store.exists(key) or not is_claim(session.store, key) or member_ids(session.store, path):
            raise
    if "/" in path:
        session.ready()
    else:
        session.materialize()  # a project is missing also when the whole workspace was removed
    document = make()
    try:
        session.store.create(key, encode_pretty(document))
    except KeyExistsError:
        if not take_blank(session.store, key, encode_pretty(document)):
            return check_shape(decode_object(session.store.read(key), key), key), False
    session.flushing.defined(key, relies_on=above(path))
    return document, True


def get_or_know(session: Session, path: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """Return the same; None if it is there and cannot be read: what a project says is not needed to make runs below it."""
    try:
        return get_or_create(session, path, make)[0]
    except CorruptRecordError as error:
        if error.key != layout.document(path):
            raise
        return None


def look_up(store: Store, parent: str, id: str) -> dict[str, Any] | None:
    """Return the document of a project or experiment; None if that cannot be read, and what lies below it can.

    Raises:
        NotFoundError: with the nearest names.
    """
    if not is_id(id):
        raise not_there(store, parent, id)
    path = f"{parent}/{id}" if parent else id
    try:
        found = read_document(store, layout.document(path))
    except CorruptRecordError:
        return None
    if found is None and not is_there(store, path):
        raise not_there(store, parent, id)
    return found


def not_there(store: Store, parent: str, id: object) -> NotFoundError:
    """Return the error for an id of nothing that lies in `parent`, with the nearest ids."""
    what = layout.ENTITIES[layout.depth(parent) + 1]
    close = nearest(id, member_ids(store, parent)) if isinstance(id, str) else ()
    where = repr(parent) if parent else store.url
    return NotFoundError(what, str(id), where=where, nearest=[other for other in close if other != id])


def require(store: Store, path: str) -> dict[str, Any]:
    """Return the same, where what the document says is needed.

    Raises:
        CorruptRecordError: it cannot be read, or is gone.
    """
    if (found := read_document(store, key := layout.document(path), wait=True)) is None:
        raise _gone(key)
    return found


def _has_runs(store: Store, path: str) -> bool:
    """Tell whether an experiment has a run that can be read."""
    from molexp._record.reading import read_definition

    for name in member_ids(store, path):
        with suppress(NotFoundError, CorruptRecordError):
            return bool(read_definition(store, f"{path}/{name}", {}))
    return False


def _gone(key: str) -> CorruptRecordError:
    return CorruptRecordError(key, "it is gone, and what lies below it is not")


def is_there(store: Store, path: str) -> bool:
    """Tell whether there is a project or experiment at `path`: its document, or what lies below it."""
    return store.exists(layout.document(path)) or bool(member_ids(store, path))


def is_listed(store: Store, path: str) -> bool:
    """Tell whether there is a project or experiment at `path`, and whether it was not deleted or has something all the same."""
    listing = store.children(layout.folder(path))
    is_defined = any(entry.key == layout.document(path) for entry in listing.entries)
    if is_defined and (
        layout.EDITS not in listing.folders or layout.DATA in listing.folders or not deleted(store, path)
    ):
        return True
    members = member_ids(store, path)
    if layout.is_experiment(path) or not is_defined:
        return bool(members)
    return any(is_listed(store, f"{path}/{name}") for name in members)


def choose_id(name: str, id: str | None, what: str) -> str:
    """Return the id that was given, or the slug of the name.

    Raises:
        InvalidNameError: neither can be used.
    """
    return check_id(id, f"{what} id") if id is not None else slug(name)


def member_ids(store: Store, path: str, special: dict[str, str] | None = None) -> list[str]:
    """Return the ids one level below `path`, as their folders show; foreign folders are not ids.

    Args:
        store: The workspace's.
        path: a scope's.
        special: filled with links and the like that lie among the folders, and what they are.
    """
    found = []
    listing = store.children(layout.members(path))
    if special is not None:
        special.update((entry.key, entry.special) for entry in listing.entries if entry.special)
    for name in listing.folders:
        try:
            found.append(check_id(name))
        except ValueError:
            continue
    return found


class Entity(Protocol):
    """Describe what a collection holds."""

    id: str


E = TypeVar("E", bound=Entity)


class Members(Generic[E]):
    """The entities one level below another, read anew each time.

    Example:
        >>> ws.projects.ids()
        ['metals']
        >>> "metals" in ws.projects
        True
    """

    def __init__(self, store: Store, path: str, make: Callable[[str], E]) -> None:
        self._store = store
        self._path = path
        self._make = make

    def ids(self) -> list[str]:
        """Return their ids, sorted."""
        above = f"{self._path}/" if self._path else ""
        return [name for name in member_ids(self._store, self._path) if is_listed(self._store, above + name)]

    def __iter__(self) -> Iterator[E]:
        return (self._make(name) for name in self.ids())

    def __len__(self) -> int:
        return len(self.ids())

    def __contains__(self, member: object) -> bool:
        name = member if isinstance(member, str) else getattr(member, "id", None)
        return name in self.ids()

    def __getitem__(self, id: str) -> E:
        if id not in self:
            raise NotFoundError("member", id, where=repr(self._path), nearest=nearest(id, self.ids()))
        return self._make(id)

    def __repr__(self) -> str:
        return f"<{', '.join(self.ids()) or 'none'}>"


WAS_DELETED = (
    "It was deleted. `molexp restore` (`Workspace.restore`) brings it back, until `molexp gc --yes` has freed it."
)
"""The hint for a run that is hidden."""


def deleted(store: Store, path: str) -> bool:
    """Tell whether the entity at `path` was deleted."""
    from molexp._record.reading import read_edits

    return read_edits(store, path).deleted


def reread(store: Store, path: str, known: dict[str, Any]) -> tuple[dict[str, Any], Edits]:
    """Return the definition of a run with what anybody has added since it was read as `known`, and its edits."""
    from molexp._record.reading import read_definition, read_edits

    edits = read_edits(store, path)
    try:
        return read_definition(store, path, {}), edits
    except (CorruptRecordError, NotFoundError):  # it is torn, or gone
        return known, edits


def is_run(store: Store, path: str) -> bool:
    """Tell whether there is a run at a path, deleted ones aside."""
    return (is_defined(store, path) or has_attempts(store, path)) and not deleted(store, path)


def has_attempts(store: Store, path: str) -> bool:
    """Tell whether a run whose definition is missing has files of attempts, other than numbers that were given up."""
    return any(entry.size != len(VOID) for entry in store.children(layout.executions(layout.folder(path))).entries)
