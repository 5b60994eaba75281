"""Deciding which runs a submission gets, and as which batches of jobs. Nothing is written here, and no engine is asked."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from molexp._catalog.query.questions import checked_limit
from molexp._profiles import resolve_profile, resources_of, scheduler_of, use_profiles
from molexp._record.submissions import (
    WATCHER,
    attempted_by,
    read_submission,
    submitted_runs,
    token_of,
)
from molexp._storage import layout
from molexp._submissions.queues import Queues
from molexp._values.status import RunStatus
from molexp._workflow.plans import LEAVE, SKIP, PlannedRun
from molexp.contracts import Batch, Resources
from molexp.errors import MolexpError, ScriptError

if TYPE_CHECKING:
    from molexp._hierarchy.experiment import Experiment
    from molexp._hierarchy.workspace import Workspace
    from molexp._workflow.driving import Drive
    from molexp.contracts import Store

_WATCHING = Resources(walltime=600.0)


class Wishes(Struct, frozen=True, kw_only=True):
    """The wishes of whoever submits.

    Attributes:
        queue: the name of the queue; by default the profile's ``executor``, if there is a queue of that name.
        limit: the number of runs to submit at most; those that are left out do not count.
        bundle: the number of runs of each job, which executes them one after the other.
        bundle_time: instead, the seconds that the runs of a job may take together, by the longest run of the experiment so far.
        at_once: the number of jobs that run at a time at most.
        walltime: seconds, in the place of the profile's.
        longer: a factor for the profile's walltime.
        go_on: the job that watches the others submits what is left then: runs that there was no time for, and the next
            experiment.
        after: the id of the submission that this one goes on from: what failed in it is not repeated.
        rest: take only the runs of that submission whose job ended before it came to them.
        again: take only runs that were attempted or submitted before.
        avoid: names of machines that no job is to run on.

    Example:
        >>> from molexp.submissions import Wishes
        >>> Wishes(queue="local", bundle=10).bundle
        10
    """

    queue: str | None = None
    limit: int | None = None
    bundle: int = 1
    bundle_time: float | None = None
    at_once: int | None = None
    walltime: float | None = None
    longer: float = 1.0
    go_on: bool = False
    after: str = ""
    rest: bool = False
    again: bool = False
    avoid: tuple[str, ...] = ()


class Preparation(Struct, frozen=True):
    """A submission that could be made.

    Attributes:
        runs: the runs that it gets, in order.
        left: runs of the experiment that it leaves out, and the reason.
        more: the number of runs that could be submitted, and are beyond the limit.
        held: experiments that are not begun, and the reason.
        queue: the name of the queue.
        options: the arguments of the queue, from the profile.
        resources: the needs of each job.
        bundle: the number of runs of each job.
        at_once: the number of jobs that run at a time at most; None leaves it to the engine.
        script: the text that the engine would get for its first batch; "" if there are no runs.

    Example:
        >>> from molexp.scripts import Drive
        >>> from molexp.submissions import Wishes, prepare
        >>> prepared = prepare(Drive("train.py"), Wishes(queue="local"))  # doctest: +SKIP
        >>> print(prepared.script, prepared.core_hours)  # doctest: +SKIP
    """

    runs: list[PlannedRun]
    left: dict[str, str]
    more: int
    held: dict[str, str]
    queue: str
    options: Mapping[str, Any]
    resources: Resources
    bundle: int
    at_once: int | None
    script: str

    @property
    def jobs(self) -> int:
        """The number of jobs."""
        return -(-len(self.runs) // self.bundle)

    @property
    def core_hours(self) -> float | None:
        """The core-hours that all jobs use at most; None if their time is not limited."""
        if self.resources.walltime is None:
            return None
        return self.jobs * self.resources.cores * self.resources.tasks * self.resources.walltime / 3600


def prepare(drive: Drive, wishes: Wishes) -> Preparation:
    """Return what a submission would be, by the record as it is now.

    Args:
        drive: the script, and the choice among its runs.
        wishes: the wishes for the jobs.

    Raises:
        ProfileError: no queue is named, or it does not take its options, or the resources make no sense.
        PluginMissingError: there is no such queue; with the nearest names.
        QueueError: the queue cannot do what is asked for.
        ScriptError: the script asks for runs in several workspaces.
        ValueError: a number that makes no sense.
    """
    _check(wishes)
    with use_profiles(drive._profiles):
        config = resolve_profile(drive._profile, drive._overrides)
    chosen, left, held = _choose(drive, wishes)
    more = 0 if wishes.limit is None else max(0, len(chosen) - wishes.limit)
    chosen = chosen[: len(chosen) - more]
    workspace = workspace_of(drive)
    queues = Queues(workspace._session.plugins)
    name = wishes.queue or queues.name_by(config)
    options = dict(scheduler_of(config)) if name == config.get("executor", name) else {}
    queue = queues.get(name, options)
    resources = resources_of(config)
    walltime = wishes.walltime or (resources.walltime and resources.walltime * wishes.longer)
    if wishes.longer != 1.0 and walltime is None:
        raise ValueError("A multiple of the walltime was asked for, and the profile's resources have none.")
    resources = structs.replace(resources, walltime=walltime)
    bundle = wishes.bundle
    if wishes.bundle_time is not None and chosen:
        bundle = max(1, int(wishes.bundle_time // _longest(chosen[0].experiment, wishes)))
    prepared = Preparation(chosen, left, more, held, name, options, resources, bundle, wishes.at_once, "")
    if not chosen:
        return prepared
    batch = batches_of(workspace, drive, prepared, "ID", None, wishes)[0]
    return structs.replace(prepared, script=queue.script(batch))


def _check(wishes: Wishes) -> None:
    checked_limit(wishes.limit)
    if wishes.bundle < 1 or (wishes.at_once is not None and wishes.at_once < 1):
        raise ValueError("The runs of a job, and the jobs at a time, are at least 1.")
    for seconds in (wishes.bundle_time, wishes.walltime):
        if seconds is not None and not 0 < seconds < float("inf"):
            raise ValueError(f"{seconds!r} is no time that a job could have.")
    if not 0 < wishes.longer < 1e6:
        raise ValueError(f"The walltime cannot be {wishes.longer!r} times as long.")


def workspace_of(drive: Drive) -> Workspace:
    """Return the one workspace of a script.

    Raises:
        ScriptError: there are several.
    """
    found = {experiment._session.store.url: experiment.project.workspace for experiment, _ in drive.script.experiments}
    if len(found) > 1:
        raise ScriptError(
            str(drive.script.path), "it has several workspaces; choose experiments of one of them with -e"
        )
    return next(iter(found.values()))


def _choose(drive: Drive, wishes: Wishes) -> tuple[list[PlannedRun], dict[str, str], dict[str, str]]:
    """Return the runs to submit, those of their experiment that are left out, and experiments that cannot begin."""
    chosen: list[PlannedRun] = []
    left: dict[str, str] = {}
    held: dict[str, str] = {}
    begun: Experiment | None = None
    store, after = workspace_of(drive)._session.store, wishes.after
    rest = rest_of(store, after) if wishes.rest else None
    before = submitted_runs(store) if wishes.again else set[str]()
    with use_profiles(drive._profiles):
        plan = drive._planning.whole(leave_queued=True)
    for experiment, planned in groupby(plan, key=lambda run: run.experiment):
        if begun is not None:
            held[experiment.path] = f"it begins when the runs of {begun.path} have succeeded"
            continue
        for run in planned:
            if run.action == SKIP or (rest is not None and rest.get(run.path) != run.cancels):
                continue
            if wishes.again and not (run.attempts or run.cancels or run.path in before):
                left[run.path] = "was never submitted or attempted: `molexp submit` takes it"
                continue
            begun = experiment
            if run.action == LEAVE:
                left[run.path] = run.why
            elif after and rest is None and (why := _is_done_with(run, after)):
                left[run.path] = why
            else:
                chosen.append(run)
    return chosen, left, held


def rest_of(store: Store, submission: str) -> dict[str, int]:
    """Return the runs whose job of a submission ended before it came to them, with their requests to cancel until then.

    Each such job has attempted another run, so this comes to an end. Those of a job that somebody cancelled are none.
    """
    one = read_submission(store, submission, ended=True)
    end = one.end or {}
    never, jobs = end.get("never_started"), end.get("jobs")
    if not isinstance(never, dict):
        return {}
    said = jobs if isinstance(jobs, dict) else {}
    found: dict[str, int] = {}
    for job in range(one.jobs):
        runs = one.runs_of(job)
        if all(run.path in never for run in runs) or "CANCEL" in str(said.get(str(job))).upper():
            continue
        found |= {run.path: run.cancels for run in runs if run.path in never}
    return found


def _is_done_with(run: PlannedRun, after: str) -> str:
    """Return why a run is not repeated when one submission goes on from another: it has had its chance; else ""."""
    if not run.attempts:
        return ""
    history = run.run()._state().history
    if attempted_by(history, after) or history[-1]["status"] != RunStatus.INTERRUPTED:
        return f"{history[-1]['status']} before"
    return ""


def _longest(experiment: Experiment, wishes: Wishes) -> float:
    """Return the seconds of the longest run of an experiment that succeeded; where nobody is there to be told, more than any.

    Raises:
        MolexpError: none has.
    """
    rows = experiment.project.workspace.catalog.runs(experiment=experiment.path, status="succeeded")
    seconds = [row["seconds"] for row in rows if row.get("seconds")]
    if not seconds and wishes.after:
        return float("inf")
    if not seconds:
        raise MolexpError(
            f"No run of {experiment.path} has succeeded yet, so nobody knows how long one takes. "
            "Submit a few first (--limit 3), or say how many runs a job gets (--bundle N)."
        )
    return float(max(seconds))


# ---------------------------------------------------------------------------------------------------------------- batches


def batches_of(
    workspace: Workspace,
    drive: Drive,
    prepared: Preparation,
    submission: str,
    largest: int | None,
    wishes: Wishes,
) -> list[Batch]:
    """Return the batches of a submission; each job finds its number by its index and by where its batch begins.

    All of them together run no more jobs at a time than were asked for, or, if those are too few, one batch follows the other.
    """
    most = largest or prepared.jobs
    found: list[Batch] = []
    for first in range(0, prepared.jobs, most):
        size = min(most, prepared.jobs - first)
        token = token_of(submission, first and len(found) + 1)
        command = [*python(), "-w", workspace.url, "execute", "--script", str(drive.script.path)]
        command += ["--submission", submission, *(["--from", str(first)] if first else [])]
        found.append(
            Batch(
                token=token,
                command=command,
                size=size,
                folder=folder_here(),
                resources=prepared.resources,
                at_once=_share(prepared, first, size, most),
                output=output_of(workspace._session.store, submission, folder_here()),
                title=prepared.runs[0].experiment.path,
                avoid=wishes.avoid,
            )
        )
    return found


def _share(prepared: Preparation, first: int, size: int, most: int) -> int | None:
    """Return how many jobs of a batch may run at a time: all batches are at work for the same time, and each has at least one."""
    at_once, jobs = prepared.at_once, prepared.jobs
    if at_once is None or at_once * most < jobs:  # fewer than there are batches
        return at_once
    return at_once * (first + size) // jobs - at_once * first // jobs


def watching(workspace: Workspace, drive: Drive, submission: str, after: Sequence[str], again: Sequence[str]) -> Batch:
    """Return the job that looks after a submission when all others of it have ended.

    Args:
        workspace: the workspace.
        drive: the script.
        submission: the id of the submission.
        after: the engine's ids of its batches.
        again: the arguments of ``molexp`` that submit what is left; none to submit nothing more.
    """
    ours = ["-w", workspace.url, "queue", "--brief", "--script", str(drive.script.path)]
    return Batch(
        token=token_of(submission, WATCHER),
        command=[*python(), *(again or ours)],
        folder=folder_here(),
        resources=_WATCHING,
        after=tuple(after),
        output=output_of(workspace._session.store, submission, folder_here()),
        title=f"after {submission}",
    )


def python() -> list[str]:
    """Return the command that is ``molexp`` here, and where jobs run.

    Raises:
        MolexpError: the command line is not installed.
    """
    if importlib.util.find_spec("molexp_cli") is None:
        raise MolexpError("Jobs call the command `molexp`, which is not installed: pip install molexp-cli")
    return [sys.executable, "-m", "molexp_cli"]


def folder_here() -> str:
    """Return the working folder of jobs, which is that of this process."""
    return os.getcwd()


def output_of(store: Store, submission: str, folder: str) -> str:
    """Return the folder for what jobs print: beside the workspace's derived files, or else in their working folder.

    It is "" where neither is possible, and what they print is dropped.
    """
    if "local_path" in store.capabilities:
        return str(store.locate(f"{layout.JOB_OUTPUT}/{submission}"))
    return os.path.join(folder, layout.JOB_OUTPUT_ELSEWHERE, submission) if os.access(folder, os.W_OK) else ""
