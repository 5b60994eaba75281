"""Planning the runs of a script: every point and replica, what is to be done with each, and which of them are chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import Struct, field

from molexp._catalog.refresh.reading import full_row
from molexp._hierarchy.run import Run
from molexp._hierarchy.run_creation import Deriving
from molexp._record.definitions import deleted, member_ids
from molexp._record.submissions import Queued, open_submissions, queued_runs
from molexp._values.plain import plain_parameters
from molexp._values.status import RunStatus
from molexp._workflow.earlier import Codes, Earlier, codes_of
from molexp._workflow.plans import LEAVE, RESUME, SKIP, START, PlannedRun
from molexp._workflow.selection import DELETED, UNREADABLE, Chooser, Points, Selection, chosen_experiments
from molexp.errors import CorruptRecordError, NotFoundError, ScriptError

if TYPE_CHECKING:
    from molexp._hierarchy.experiment import Experiment
    from molexp._record.folding import RunState
    from molexp._workflow.scripts import Script
    from molexp._workflow.workflow import Workflow


class Asked(Struct, frozen=True, kw_only=True):
    """The wishes of whoever drives a script; `Drive` explains each."""

    profile: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    rerun: bool = False
    changed: bool = False
    selection: Selection = Selection()
    settings: Mapping[str, Sequence[Any]] = field(default_factory=dict)


class Decision(NamedTuple):
    """The action for a run, its reason, the changes since it succeeded, how many attempts and cancels there were, and whether it is unreadable."""

    action: str
    why: str
    changed: str = ""
    attempts: int = 0
    cancels: int = 0
    unreadable: bool = False


_NEW: Final = Decision(START, "new"), str(RunStatus.PENDING)


class Planning:
    """Plans the runs of a script.

    Args:
        script: the script.
        asked: the wishes of whoever drives it.

    Attributes:
        experiments: the experiments that are chosen, in order, each with its workflow.
        chooser: remembers what was left out since `restart`.

    Raises:
        NotFoundError: an experiment or a parameter that was named is not there.
        QueryError, TypeError, ValueError: something in the selection makes no sense.
    """

    def __init__(self, script: Script, asked: Asked) -> None:
        self._script = script
        self._asked = asked
        self._several = len({experiment._session.store.url for experiment, _ in script.experiments}) > 1
        chosen = chosen_experiments(script, asked.selection.experiments)
        self.experiments: list[tuple[Experiment, Workflow]] = [one for one in script.experiments if one[0] in chosen]
        self._points = Points(asked.settings, chosen, str(script.path))
        self.restart()

    def restart(self) -> None:
        """Begin to choose anew."""
        self.chooser = Chooser(self._asked.selection)

    def label(self, experiment: Experiment) -> str:
        """Return an experiment's path, and the workspace where there are several."""
        return f"{experiment.path} in {experiment._session.store.url}" if self._several else experiment.path

    def unmet(self, experiment: Experiment) -> str:
        """Return why an experiment cannot begin: a run before it was left out and has not succeeded; else ""."""
        before = (path for name, path in self.chooser.unmet.items() if name != self.label(experiment))
        path = next(before, "")
        return f"run {path}, which was not chosen, has not succeeded" if path else ""

    def whole(self, *, leave_queued: bool) -> list[PlannedRun]:
        """Return every chosen run, in order, as `plan` does."""
        self.restart()
        return [planned for one in self.experiments for planned in self.plan(*one, leave_queued=leave_queued)]

    def plan(self, experiment: Experiment, workflow: Workflow, *, leave_queued: bool) -> Iterator[PlannedRun]:
        """Yield the chosen runs of one experiment, and what is to be done with each.

        Args:
            experiment: the experiment.
            workflow: its workflow.
            leave_queued: leave the runs that an open submission has, and nobody has attempted or cancelled since.
        """
        planned, codes = set[str](), codes_of(workflow)
        deriving = Deriving(experiment, self._asked.profile, self._asked.overrides)
        store = experiment._session.store
        there = set(member_ids(store, experiment.path))
        queued = queued_runs(open_submissions(store)) if leave_queued and there else {}
        for point in self._points.of(experiment):
            if not isinstance(point, Mapping):
                raise ScriptError(
                    str(self._script.path),
                    f"the space of {experiment.path} has {point!r}, which is not a dict of parameters",
                )
            for replica in range(experiment.replicas):
                run_id = deriving.id_of(point, replica)
                if run_id in planned:
                    continue  # two points that are equal are one run
                planned.add(run_id)
                decided, known = decide(self._asked, experiment, run_id, codes) if run_id in there else _NEW
                decided = _unless_queued(decided, queued.get(f"{experiment.path}/{run_id}"))
                found = PlannedRun(
                    experiment=experiment,
                    id=run_id,
                    parameters=dict(point),
                    replica=replica,
                    profile=self._asked.profile,
                    overrides=self._asked.overrides,
                    config=deriving.config,
                    place=store.url if self._several else "",
                    **decided._asdict(),
                )
                if not self.chooser.chooses or self._is_chosen(found, known):
                    yield found

    def _is_chosen(self, planned: PlannedRun, known: RunState | str) -> bool:
        executes = planned.action not in (SKIP, LEAVE)
        document: dict[str, Any]
        if isinstance(known, str):
            document = {"status": known, "id": planned.id, "replica": planned.replica, "profile": planned.profile}
            own = plain_parameters(dict(planned.parameters), "parameters")
            document["parameters"] = {**planned.experiment.own_params, **own}
        elif self.chooser.selection.where is None:
            document = {"status": str(known.status)}
        else:
            document = full_row(planned.experiment._session.store, known, planned.path)
            if self.chooser.asks_for_provenance:
                document["provenance"] = planned.experiment._session.provenance_of(known)
        document["path"] = planned.path
        return self.chooser.takes(self.label(planned.experiment), document, executes=executes)


def decide(asked: Asked, experiment: Experiment, run_id: str, codes: Codes) -> tuple[Decision, RunState | str]:
    """Decide what to do with a run, from one reading of it; return that, too, or a word in the place of its status."""
    run = Run(experiment, run_id)
    try:
        state = run._state()
    except NotFoundError:
        if deleted(experiment._session.store, f"{experiment.path}/{run_id}"):
            return Decision(SKIP, "was deleted"), DELETED
        return _NEW
    except CorruptRecordError as error:
        return Decision(LEAVE, f"cannot be read: {error}", unreadable=True), UNREADABLE
    return _decide_by(asked, run, state, codes), state


def _unless_queued(decided: Decision, queued: Queued | None) -> Decision:
    if queued is None or decided.action in (SKIP, LEAVE) or not queued.is_of(decided.attempts, decided.cancels):
        return decided
    return decided._replace(action=LEAVE, why=f"is queued by the submission {queued.submission}")


def _decide_by(asked: Asked, run: Run, state: RunState, codes: Codes) -> Decision:
    found = state.to_document()
    status = RunStatus(found["status"])
    history = found["execution_history"]
    newest = history[-1] if history else {}
    if newest.get("problem") and not asked.rerun:
        why = f"cannot be read: its newest attempt has a problem ({newest['problem']}); --rerun executes it again"
        return Decision(LEAVE, why, unreadable=True)
    if status is RunStatus.RUNNING:
        where = f" elsewhere, as of {as_of}," if (as_of := found.get("as_of")) else ""
        why = f"is being executed{where} by process {newest.get('pid')} on {newest.get('host')}"
        return Decision(LEAVE, why)
    if status is RunStatus.PENDING:
        return Decision(START, "was not started yet")
    again, counts = RESUME if asked.resume else START, (len(history), len(state.edits.cancels))
    if status is not RunStatus.SUCCEEDED:
        return Decision(again, f"{status} before", "", *counts)
    changed = Earlier.of(run, state.attempts).changed_since(newest.get("workflow"), codes)
    why = f"succeeded before{changed and ', and '}{changed}"
    if not asked.rerun:
        again = RESUME if changed and asked.changed else SKIP
    return Decision(again, why, changed, *counts)
