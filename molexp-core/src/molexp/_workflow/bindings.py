"""The workflow of each experiment in this process, and requests to stop a workflow that is being executed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from molexp.errors import UnboundExperimentError

if TYPE_CHECKING:
    from molexp._hierarchy.experiment import Experiment
    from molexp._workflow.execution import Execution
    from molexp._workflow.workflow import Workflow

_bound: dict[tuple[str, str, str], tuple[Experiment, Workflow]] = {}
"""By workspace, project and experiment: two experiments of one name never share a workflow."""


def _key(experiment: Experiment) -> tuple[str, str, str]:
    from molexp._hierarchy.experiment import Experiment

    if not isinstance(experiment, Experiment):
        raise TypeError(
            f"A workflow is bound to an experiment, as project.Experiment(...) makes it, not to {experiment!r}."
        )
    return experiment._session.store.url, experiment.project.id, experiment.id


def set_workflow(experiment: Experiment, workflow: Workflow) -> None:
    """Bind a workflow to an experiment, in place of the one that was bound before.

    Raises:
        TypeError: it is not a workflow; call the `build` of a builder.
    """
    from molexp._workflow.workflow import Workflow

    if not isinstance(workflow, Workflow):
        raise TypeError(f"Bind a workflow, as WorkflowBuilder.build() makes it, not {workflow!r}.")
    _bound[_key(experiment)] = experiment, workflow


def unset_workflow(experiment: Experiment, workflow: Workflow | None = None) -> None:
    """Undo a binding; with a workflow, only one to that."""
    key = _key(experiment)
    if key in _bound and (workflow is None or _bound[key][1] is workflow):
        del _bound[key]


def get_workflow(experiment: Experiment) -> Workflow:
    """Return the workflow that is bound to an experiment.

    Raises:
        UnboundExperimentError: there is none.
    """
    try:
        return _bound[_key(experiment)][1]
    except KeyError:
        raise UnboundExperimentError(experiment.path) from None


def bound() -> list[tuple[Experiment, Workflow]]:
    """Return every experiment that a workflow is bound to, in the order of the first bindings."""
    return list(_bound.values())


class Stop:
    """A request to stop, from any thread, whenever it comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason = ""
        self._pass_on: Callable[[str], object] | None = None

    def set(self, reason: str) -> None:
        """Make the request; the first reason counts."""
        with self._lock:
            self._reason = self._reason or reason
            if self._pass_on is not None:
                self._pass_on(self._reason)

    @contextmanager
    def stopping(self, execution: Execution) -> Iterator[None]:
        """Stop this execution when the request comes within the block, or at once if it has come."""
        loop = asyncio.get_running_loop()
        with self._lock:
            self._pass_on = lambda reason: loop.call_soon_threadsafe(execution.stop, reason)
            if self._reason:
                self._pass_on(self._reason)
        try:
            yield
        finally:
            with self._lock:
                self._pass_on = None


_listening: ContextVar[Stop | None] = ContextVar("molexp_stop", default=None)


def listen_for(stop: Stop) -> None:
    """Let `stop` stop the workflow that is executed next in this context."""
    _listening.set(stop)


@contextmanager
def stoppable(execution: Execution) -> Iterator[None]:
    """Let the handle stop the execution within the block."""
    stop = _listening.get()
    if stop is None:
        yield
        return
    _listening.set(None)  # not what tasks execute in turn
    with stop.stopping(execution):
        yield
