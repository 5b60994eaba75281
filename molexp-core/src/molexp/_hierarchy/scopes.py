"""Edits of projects and experiments: their names, and whether they were deleted. Their ids never change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from molexp._record.definitions import deleted, member_ids
from molexp._record.edits import write_edit
from molexp._record.prefetch import look_at
from molexp._record.reading import read_edits

if TYPE_CHECKING:
    from molexp._hierarchy.experiment import Experiment
    from molexp._hierarchy.session import Session
    from molexp._hierarchy.workspace import Workspace


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


def hidden_runs(experiment: Experiment) -> list[str]:
    """Return the paths of the runs of an experiment that were deleted, and not freed yet."""
    store = look_at(experiment._session.store, experiment.path)
    paths = [f"{experiment.path}/{name}" for name in member_ids(store, experiment.path)]
    return [path for path in paths if deleted(store, path)]


def change_all(workspace: Workspace, paths: Iterable[str], change: str) -> None:
    """Change runs by a method of theirs; afterwards raise the first error, if there was one."""
    from molexp._hierarchy.changing import change_runs
    from molexp._hierarchy.run import Run

    failed = [one.error for one in change_runs(workspace, paths, getattr(Run, change)) if one.error is not None]
    if failed:
        raise failed[0]
