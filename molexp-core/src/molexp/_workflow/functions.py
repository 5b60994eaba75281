"""Plain functions of one context, in the place of workflows: bound to an experiment, or run over a space of parameters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from molexp._executors import main_module
from molexp._executors.process import ProcessExecutor
from molexp._executors.requests import pickled_call, unloadable
from molexp._hierarchy.experiment import Experiment
from molexp._hierarchy.run_rows import RunRow, describe_row
from molexp._record.revisions import checked_replicas
from molexp._values.sweeps import grid
from molexp._values.tables import RUN_COLUMNS, Rows
from molexp._workflow import bindings
from molexp._workflow.builder import workflow_of
from molexp._workflow.driving import Drive
from molexp._workflow.executors import Executors
from molexp._workflow.progress import SweepProgress
from molexp._workflow.scripts import Script
from molexp._workflow.tasks import INLINE
from molexp.contracts import Call
from molexp.errors import ExecutorError

if TYPE_CHECKING:
    from molexp._workflow.context import TaskContext


def bind(experiment: Experiment, function: Callable[[TaskContext], Any]) -> None:
    """Let ``molexp run`` execute a function for each point of an experiment's space; see `Experiment.bind`."""
    bindings.set_workflow(experiment, workflow_of(function))


def sweep(
    experiment: Experiment,
    function: Callable[[TaskContext], Any],
    *,
    space: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]] | None,
    replicas: int | None,
    jobs: int | None,
    on_error: Literal["continue", "stop"],
    executor: str | None,
    progress: bool,
) -> Rows[RunRow]:
    """Run a function once for every point and replica; see `Experiment.sweep`."""
    if on_error not in ("continue", "stop"):
        raise ValueError(f"on_error must be 'continue' or 'stop', not {on_error!r}.")
    workflow = workflow_of(function)
    if executor is not None and executor != INLINE:
        Executors(experiment._session.plugins).check([executor])
        _check_travels(function, executor)
    own = space is None
    points = experiment.space if own else grid(**space) if isinstance(space, Mapping) else space
    times = checked_replicas(points, replicas if replicas is not None else experiment.replicas if own else 1)
    planned = Experiment(
        experiment.project, experiment.id, experiment._definition, [{}] if points is None else list(points), times
    )
    script = Path(getattr(sys.modules.get("__main__"), "__file__", None) or sys.argv[0] or ".")
    drive = Drive(Script(script, ((planned, workflow),), function), stop_on_failure=on_error == "stop")
    with SweepProgress(sys.stderr if progress else None) as observer:
        try:
            drive.execute(jobs=jobs, executor=executor, observer=observer)
        finally:
            observer.conclude(drive.summary)
    return _rows(experiment, [one.path.lower() for one in drive.planned])


def _rows(experiment: Experiment, paths: list[str]) -> Rows[RunRow]:
    """Return the rows of some runs, in order; of those that there are."""
    found = experiment.project.workspace.catalog.runs(experiment=experiment.path, archived=True)
    by_path = {row.path: row for row in found}
    rows = [by_path[path] for path in paths if path in by_path]
    return Rows(rows, describe_row, RUN_COLUMNS, found.unreadable)


def _check_travels(function: Callable[..., Any], executor: str) -> None:
    """Raise if other processes could not find a function, or would start the sweep again, before any run is begun.

    Raises:
        NotPicklableError: they could not find it.
        ExecutorError: the script has no guard.
    """
    name = f"sweep with executor={executor!r}"
    pickled_call(Call(function), name)
    if function.__module__ == "__main__" and not main_module.script():
        raise unloadable(name, f"{function.__qualname__} is defined in a session, not in a file")
    if executor == ProcessExecutor.name and (path := main_module.unguarded()):
        raise ExecutorError(main_module.advice(path), call=name)
