"""Explain why a run would be executed or skipped, and each of its tasks: a resume that executes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from molexp._hierarchy.run import Run
from molexp._values.copies import own_copy
from molexp._values.plain import restore
from molexp._workflow import bindings
from molexp._workflow.earlier import Codes, Earlier, codes_of
from molexp._workflow.planning import Asked, decide
from molexp._workflow.results import SUCCEEDED
from molexp._workflow.reusing import INPUTS_CHANGED, Kept, Reusing, why_again
from molexp.errors import UnboundExperimentError

if TYPE_CHECKING:
    from molexp._record.folding import RunState
    from molexp._workflow.scripts import Script
    from molexp._workflow.tasks import TaskSpec
    from molexp._workflow.workflow import Workflow


class ExplainedTask(Struct, frozen=True, kw_only=True):
    """The fate of a task in a resume, and the reason.

    Attributes:
        name: the task's name.
        action: ``reuse`` its output, ``execute`` it, or ``depends``: it is executed if the output of a task changes that is
            executed before it. ``unknown`` without a script, whose code would tell.
        why: the reason, for people.
        upstream: the tasks whose outputs have changed, or may.
        function: the name of its function, as it is now; None if it has none.
        file: the file of the function.
        line: its line.
    """

    name: str
    action: Literal["reuse", "execute", "depends", "unknown"]
    why: str
    upstream: tuple[str, ...] = ()
    function: str | None = None
    file: str | None = None
    line: int | None = None


class ExplainedRun(Struct, frozen=True, kw_only=True):
    """The fate of a run in a call of ``molexp run``, and the reasons.

    Attributes:
        path: the run's path.
        status: its status; None if it is not there.
        action: ``start``, ``resume``, ``skip`` or ``leave``, as `PlannedRun` has it.
        why: the reason, for people.
        changed: the changes, certain or possible, since it succeeded; "" if there are none.
        tasks: the tasks, each after those that it depends on; of a script's workflow, else those on record.
    """

    path: str
    status: str | None
    action: str
    why: str
    changed: str
    tasks: tuple[ExplainedTask, ...]


def explain_run(run: Run, script: Script | None = None) -> ExplainedRun:
    """Explain why ``molexp run`` would execute or skip a run, and which of its tasks a resume would execute. Nothing is executed.

    Args:
        run: the run.
        script: the script that binds the workflow, imported. Without one, nobody can tell whether code has changed.

    Raises:
        UnboundExperimentError: the script binds nothing to the run's experiment.

    Example:
        >>> from molexp.scripts import explain_run
        >>> explain_run(run).why
        'succeeded before'
    """
    workflow = _workflow_of(run, script)
    codes = codes_of(workflow) if workflow is not None else Codes("", {})
    decided, known = decide(Asked(), run.experiment, run.id, _as_recorded(run) if workflow is None else codes)
    if isinstance(known, str):
        return ExplainedRun(path=run.path, status=None, action=decided.action, why=decided.why, changed="", tasks=())
    tasks = _of_record(known) if workflow is None else _of_workflow(workflow, codes, run, known)
    return ExplainedRun(
        path=run.path,
        status=str(known.status),
        action=decided.action,
        why=decided.why,
        changed=decided.changed,
        tasks=tuple(tasks),
    )


def _workflow_of(run: Run, script: Script | None) -> Workflow | None:
    if script is None:
        return None
    bound = (workflow for experiment, workflow in script.experiments if experiment.path == run.experiment.path)
    if (found := next(bound, None)) is not None:
        return found
    with suppress(UnboundExperimentError):
        return bindings.get_workflow(run.experiment)
    raise UnboundExperimentError(run.experiment.path)


def _as_recorded(run: Run) -> Codes:
    """Return the codes of a workflow that nobody has changed: without a script, nothing else is known of it."""
    history = run.execution_history
    return Codes(str(history[-1].get("workflow") or "") if history else "", {})


def _of_record(state: RunState) -> list[ExplainedTask]:
    unknown = "only the script tells whether its code has changed"
    return [
        ExplainedTask(name=name, action="unknown", why=unknown)
        if record.get("status") == SUCCEEDED
        else ExplainedTask(name=name, action="execute", why=why_again(record.get("status")))
        for name, record in state.tasks().items()
    ]


def _of_workflow(workflow: Workflow, codes: Codes, run: Run, state: RunState) -> list[ExplainedTask]:
    definition = state.definition
    given = {name: own_copy(restore(definition.get(name) or {})) for name in ("parameters", "config")}
    earlier = Earlier.of(run, state.attempts)
    reusing = Reusing(run, earlier, codes, params=given["parameters"], config=given["config"])
    explaining = _Explaining(workflow, codes, earlier, reusing)
    order = TopologicalSorter({name: spec.depends_on for name, spec in workflow.tasks.items()})
    return [explaining.task(workflow.tasks[name]) for name in order.static_order()]


class _Explaining:
    """Looks at the tasks of a workflow in order, as an execution that resumes does."""

    def __init__(self, workflow: Workflow, codes: Codes, earlier: Earlier, reusing: Reusing) -> None:
        self._codes = codes
        self._earlier = earlier
        self._reusing = reusing
        self._outputs: dict[str, Any] = {}  # of the tasks that hold
        self._places = {task.name: task for task in workflow.graph.tasks}

    def task(self, spec: TaskSpec) -> ExplainedTask:
        """Return what would become of a task."""
        waits = tuple(name for name in spec.depends_on if name not in self._outputs)
        if waits:
            why = self._refused(spec)
            depending = f"it is executed if the output of {' or '.join(map(repr, waits))} changes"
            return self._explained(spec, "execute" if why else "depends", why or depending, waits)
        why, output = self._mapped(spec) if spec.map_over is not None else self._look(spec, None, None)
        if why:
            upstream = self._newer(spec) if why.endswith(INPUTS_CHANGED) else ()
            return self._explained(spec, "execute", why, upstream)
        self._outputs[spec.name] = output
        return self._explained(spec, "reuse", "unchanged", ())

    def _explained(self, spec: TaskSpec, action: Any, why: str, upstream: tuple[str, ...]) -> ExplainedTask:
        place = self._places[spec.name]
        where = {"function": place.function, "file": place.file, "line": place.line}
        return ExplainedTask(name=spec.name, action=action, why=why, upstream=upstream, **where)  # type: ignore[arg-type]

    def _refused(self, spec: TaskSpec) -> str:
        """Return why a task is executed whatever comes of the tasks before it; "" if nothing is known."""
        labels = [spec.name]
        if spec.map_over is not None:
            labels = [one for one in self._earlier.records if one.startswith(f"{spec.name}[")] or labels
        code = self._codes.tasks[spec.name]
        return next(filter(None, (self._reusing.refused(label, code) for label in labels)), "")

    def _look(self, spec: TaskSpec, index: int | None, item: Any) -> tuple[str, Any]:
        label = spec.name if index is None else f"{spec.name}[{index}]"
        kept = self._reusing.look(label, self._reusing.sign(spec, index, item))
        return ("", kept.output) if isinstance(kept, Kept) else (kept, None)

    def _mapped(self, spec: TaskSpec) -> tuple[str, Any]:
        """Return why items of a mapped task are executed, or their outputs."""
        items = list(self._outputs[str(spec.map_over)])
        looked = [self._look(spec, index, item) for index, item in enumerate(items)]
        again = [(index, why) for index, (why, _) in enumerate(looked) if why]
        if not again:
            self._reusing.aggregate(spec.name, len(items))
            return "", [output for _, output in looked]
        index, why = again[0]
        return f"{len(again)} of {len(items)} items, the first is {spec.name}[{index}]: {why}", None

    def _newer(self, spec: TaskSpec) -> tuple[str, ...]:
        """Return the tasks whose outputs are newer than the last execution of one that has them for inputs; else all."""
        label = spec.name if spec.map_over is None else f"{spec.name}[0]"
        since = str(self._at(label).get("started_at") or "")
        newer = tuple(name for name in spec.depends_on if str(self._at(name).get("at") or "") > since)
        return newer or spec.depends_on

    def _at(self, label: str) -> Mapping[str, Any]:
        return self._earlier.records.get(label) or {}
