"""Edits of projects and experiments: their names, and whether they were deleted. Their ids never change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from molexp._record.definitions import deleted, member_ids
from molexp._record.edits import write_edit
from molexp._record.prefetch import look_at
from molexp._record.reading import read_edits

if TYPE_CHECKING:
    from molexp._hierarchy.session import Session
    from molexp.contracts import Store

T = TypeVar("T")

_AT_ONCE = 64  # things that are changed at a time where requests are slow


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

    def done(one: T) -> tuple[T, Exception | None]:
        try:
            change(one)
        except Exception as error:  # noqa: BLE001 - it is told, and the others are changed
            return one, error
        return one, None

    at_once = 1  # the first alone: it makes what all of them use
    while few := [*islice(left, at_once)]:
        yield from store.each(done, few)
        at_once = _AT_ONCE if store.slow else 1


def change_all(store: Store, some: Iterable[T], change: Callable[[T], object]) -> None:
    """Change all things that can be changed; afterwards raise the first error, if there was one."""
    for error in [error for _, error in change_each(store, some, change) if error is not None]:
        raise error
