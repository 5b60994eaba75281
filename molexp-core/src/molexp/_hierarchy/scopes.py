"""The common part of projects, experiments and runs, and the edits of those that hold others: names, and deletions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from molexp._record.definitions import deleted
from molexp._record.reading import read_edits

if TYPE_CHECKING:
    from molexp._assets.data_assets import DataAssets
    from molexp._hierarchy.session import Session
    from molexp.contracts import Store

T = TypeVar("T")
EntityT = TypeVar("EntityT", bound="Entity")

_AT_ONCE = 64  # things that are changed at a time where requests are slow
_NAMED = 5  # paths that a note names


class Entity:
    """A project, an experiment or a run: it lies at a path of one workspace."""

    path: str
    _session: Session

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entity):
            return NotImplemented
        return (self.path, self._session.store.url) == (other.path, other._session.store.url)

    def __hash__(self) -> int:
        return hash((self.path, self._session.store.url))


class Scope(Entity):
    """A project or an experiment: it has a name, and data of its own."""

    id: str
    _definition: dict[str, Any] | None

    @property
    def name(self) -> str:
        """Its name: as it was first given, or by the last `rename`."""
        first = str((self._definition or {}).get("name") or self.id)
        return read_edits(self._session.store, self.path).name or first

    def rename(self, name: str) -> None:
        """Give it another name. Its id and all paths stay as they are.

        Raises:
            ValueError: the name is empty.
            SchemaError: it was made by a newer MolExp.
        """
        self._check_writable()
        if not isinstance(name, str):
            raise TypeError(f"A name is text, not {name!r}.")
        if not name.strip():
            raise ValueError("The name is empty.")
        self._edit("rename", name=name)

    @property
    def deleted(self) -> bool:
        """Tell whether it was deleted. It is listed all the same while something is in it."""
        return deleted(self._session.store, self.path)

    @property
    def data_assets(self) -> DataAssets:
        """The data that belongs to it."""
        from molexp._assets.data_assets import DataAssets

        return DataAssets(self._session, self.path)

    def _check_writable(self) -> None:
        """Raise if it was made by a newer MolExp, or that cannot be told: nothing is created in it then."""
        raise NotImplementedError

    def _mark(self, *, deleted: bool) -> None:
        """Note that it was deleted, or that it is wanted again."""
        if self.deleted != deleted:
            self._edit("delete" if deleted else "restore")

    def _edit(self, op: str, **values: str) -> None:
        from molexp._record.edits import write_edit

        self._session.ready()
        write_edit(self._session, self.path, op, announced=False, **values)  # the index has nothing of it


def change_each(store: Store, some: Iterable[T], change: Callable[[T], object]) -> Iterator[tuple[T, Exception | None]]:
    """Change things one by one, and yield each with the error that kept it as it was.

    Where requests are slow, several are changed at the same time, in threads.
    """
    left = iter(some)
    at_once = 1  # the first alone: it makes what all of them use
    while few := [*islice(left, at_once)]:
        yield from store.each(lambda one: _tried(one, change), few)
        at_once = _AT_ONCE if store.slow else 1


def change_in_order(some: Iterable[T], change: Callable[[T], object]) -> Iterator[tuple[T, Exception | None]]:
    """Do the same for things whose members are changed by `change_each`: one at a time, wherever they lie."""
    return (_tried(one, change) for one in some)


def _tried(one: T, change: Callable[[T], object]) -> tuple[T, Exception | None]:
    try:
        change(one)
    except Exception as error:  # noqa: BLE001 - it is told, and the others are changed
        return one, error
    return one, None


def raise_first(path: str, done: str, changes: Iterable[tuple[EntityT, Exception | None]]) -> None:
    """Make all changes of what lies in `path`; afterwards raise the first error, with a note of all that could not be changed."""
    wrong = [(one.path, error) for one, error in changes if error is not None]
    if not wrong:
        return
    named = ", ".join(left for left, _ in wrong[:_NAMED])
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    error = wrong[0][1]
    error.add_note(f"{path!r} is not {done}, as this in it could not be: {named}{more}. All else in it was {done}.")
    raise error


def change_all(
    store: Store, path: str, done: str, some: Iterable[EntityT], change: Callable[[EntityT], object]
) -> None:
    """Change all members of `path` that can be changed, as `change_each` does; afterwards raise as `raise_first` does."""
    raise_first(path, done, change_each(store, some, change))
