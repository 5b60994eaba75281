"""Edits of projects and experiments: their names, and whether they were deleted. Their ids never change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from molexp._record.definitions import deleted, is_run, member_ids
from molexp._record.looking import look_at
from molexp._record.reading import read_edits
from molexp.errors import NotFoundError

if TYPE_CHECKING:
    from molexp._hierarchy.session import Session
    from molexp.contracts import Store

T = TypeVar("T")
PlacedT = TypeVar("PlacedT", bound="Placed")

_AT_ONCE = 64  # things that are changed at a time where requests are slow
_NAMED = 5  # paths that a note names


class Placed(Protocol):
    """Describe what has a path: a run, or an experiment."""

    @property
    def path(self) -> str: ...


class Deletable(Placed, Protocol):
    """Describe what can be deleted, too."""

    _session: Session

    def delete(self) -> None: ...


def name_of(session: Session, path: str, first: str) -> str:
    """Return the name of a project or experiment, which was `first` when it was made."""
    return read_edits(session.store, path).name or first


def rename(session: Session, path: str, name: str) -> None:
    """Give a project or experiment another name.

    Raises:
        TypeError, ValueError: it is no text, or an empty one.
    """
    if not isinstance(name, str):
        raise TypeError(f"A name is text, not {name!r}.")
    if not name.strip():
        raise ValueError("The name is empty.")
    _write(session, path, "rename", name=name)


def mark_deleted(session: Session, path: str) -> None:
    """Note that a project or experiment was deleted."""
    if not deleted(session.store, path):
        _write(session, path, "delete")


def mark_restored(session: Session, path: str) -> None:
    """Note that a project or experiment is wanted again."""
    if deleted(session.store, path):
        _write(session, path, "restore")


def _write(session: Session, path: str, op: str, **values: str) -> None:
    from molexp._record.edits import write_edit

    session.ready()
    write_edit(session, path, op, announced=False, **values)  # the index has nothing of it


def hidden_runs(session: Session, path: str) -> list[str]:
    """Return the ids of the runs of an experiment that were deleted, and not freed yet."""
    store = look_at(session.store, path)
    return [name for name in member_ids(store, path) if deleted(store, f"{path}/{name}")]


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


def delete_once(run: Deletable) -> None:
    """Delete a run, unless somebody else did so since it was found."""
    try:
        run.delete()
    except NotFoundError:
        if is_run(run._session.store, run.path):
            raise


def _tried(one: T, change: Callable[[T], object]) -> tuple[T, Exception | None]:
    try:
        change(one)
    except Exception as error:  # noqa: BLE001 - it is told, and the others are changed
        return one, error
    return one, None


def raise_first(path: str, done: str, changes: Iterable[tuple[PlacedT, Exception | None]]) -> None:
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
    store: Store, path: str, done: str, some: Iterable[PlacedT], change: Callable[[PlacedT], object]
) -> None:
    """Change all members of `path` that can be changed, as `change_each` does; afterwards raise as `raise_first` does."""
    raise_first(path, done, change_each(store, some, change))
