"""Naming the workspaces that `molexp run` drives for a script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from molexp._hierarchy.experiment import Experiment
    from molexp._hierarchy.workspace import Workspace


class Entries(Struct):
    """The workspaces that a script has named while it was imported.

    Attributes:
        workspaces: the workspaces, in order.
        order: the experiments to run, in order; None: those that are bound to workflows, as they were bound.
    """

    workspaces: list[Workspace] = field(default_factory=list)
    order: list[Experiment] | None = None


_collecting: ContextVar[Entries | None] = ContextVar("molexp_entries", default=None)


def entry(*workspaces: Workspace, order: Sequence[Experiment] | None = None) -> None:
    """Let ``molexp run script.py`` find what is to be run; when the script runs in any other way, this does nothing.

    Args:
        workspaces: every experiment of theirs that is bound to a workflow is run.
        order: the experiments to run, in this order; by default in the order in which they were bound.

    Raises:
        TypeError: something else than workspaces, or none.

    Example:
        >>> me.entry(ws)  # as the last line of a script
    """
    from molexp._hierarchy.experiment import Experiment
    from molexp._hierarchy.workspace import Workspace

    for workspace in workspaces:
        if not isinstance(workspace, Workspace):
            raise TypeError(f"me.entry takes workspaces, as in me.entry(ws), not {workspace!r}.")
    if not workspaces:
        raise TypeError("me.entry needs the workspace to run: me.entry(ws).")
    for experiment in order or ():
        if not isinstance(experiment, Experiment):
            raise TypeError(f"order=[...] lists experiments, not {experiment!r}.")
    entries = _collecting.get()
    if entries is not None:
        entries.workspaces += [workspace for workspace in workspaces if workspace not in entries.workspaces]
        if order is not None:
            entries.order = [*(entries.order or ()), *order]


@contextmanager
def collecting() -> Iterator[Entries]:
    """Yield what `entry` names within this block."""
    entries = Entries()
    token = _collecting.set(entries)
    try:
        yield entries
    finally:
        _collecting.reset(token)
