"""Changing many runs: each by itself, so that one that cannot be changed hinders no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from molexp._hierarchy.experiment import Experiment
from molexp._hierarchy.project import Project
from molexp._hierarchy.run import Run
from molexp._hierarchy.scopes import change_each
from molexp._storage import layout
from molexp._values.ids import is_id
from molexp.errors import NotFoundError

if TYPE_CHECKING:
    from molexp._hierarchy.workspace import Workspace


class Changed(NamedTuple):
    """Tell what became of the change of one run.

    Attributes:
        path: the run's path.
        error: the reason that it was not changed; None if it was.

    Example:
        >>> [done] = me.change_runs(ws, ["metals/cu/none"], me.Run.archive)
        >>> type(done.error).__name__
        'NotFoundError'
    """

    path: str
    error: Exception | None = None


def change_runs(workspace: Workspace, paths: Iterable[str], change: Callable[[Run], object]) -> Iterator[Changed]:
    """Change each of many runs, and yield what became of it; the others are changed if one cannot be.

    Nothing is looked up first. Where requests are slow, several runs are changed at the same time, in threads.

    Args:
        workspace: the workspace.
        paths: paths of runs, as rows of the catalog have them.
        change: a method of runs, or a function of one, such as ``me.Run.archive``.

    Example:
        >>> rows = ws.catalog.runs("results.energy < 0")
        >>> done = me.change_runs(ws, [row.path for row in rows], lambda run: run.annotate(tags=["bound"]))
        >>> [(one.path, one.error) for one in done]
        [('metals/cu/cu-small', None)]
    """
    experiments: dict[str, Experiment] = {}

    def one(path: str) -> None:
        change(_run_at(workspace, experiments, path))

    return (Changed(path, error) for path, error in change_each(workspace._session.store, paths, one))


def _run_at(workspace: Workspace, experiments: dict[str, Experiment], path: str) -> Run:
    given, path = path, path.strip("/") if isinstance(path, str) else ""
    above, _, name = path.rpartition("/")
    if not layout.is_run(path) or not all(is_id(part) for part in path.lower().split("/")):
        raise NotFoundError("run", given, where=workspace.url, hint="Give its whole path, as in metals/cu/cu-large.")
    if above not in experiments:
        project, _, experiment = above.partition("/")
        experiments[above] = Experiment(Project(workspace, project, None), experiment, None)
    return Run(experiments[above], name)
