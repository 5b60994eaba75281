"""``molexp submit``, ``resubmit`` and ``queue``: runs that a queue executes after you have logged out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli import _words
from molexp_cli._failing import INTERRUPTED
from molexp_cli._options import JsonOption, WorkspaceOption, located_with
from molexp_cli._output import prints_aside, say, table, write
from molexp_cli._selection import (
    ConfigOption,
    ExperimentsOption,
    FailedOption,
    OnlyOption,
    OverrideOption,
    ProfileOption,
    ScriptArgument,
    SetOption,
    driven,
    tell_left_out,
)

if TYPE_CHECKING:
    import molexp
    from molexp.scripts import Script
    from molexp.submissions import Preparation, SubmissionRow, Submitted

_Queue = Annotated[
    str | None,
    typer.Option(
        "--queue",
        metavar="NAME",
        show_default=False,
        help="Submit to this queue: local, or one of a plugin, such as slurm. By default, the profile's 'executor'.",
    ),
]
_Most = Annotated[
    int | None,
    typer.Option(
        "--limit",
        "--first",
        metavar="N",
        min=0,
        show_default=False,
        help="Submit at most N runs, the first of those that are left to submit.",
    ),
]
_Bundle = Annotated[
    int, typer.Option("--bundle", metavar="N", min=1, help="Let each job execute N runs, one after the other.")
]
_BundleTime = Annotated[
    str | None,
    typer.Option(
        "--bundle-time",
        metavar="TIME",
        show_default=False,
        help="Let each job execute as many runs as fit into this time, such as 1h, by the longest run so far.",
    ),
]
_Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", metavar="N", min=1, show_default=False, help="Let at most N jobs run at a time."),
]
_GoOn = Annotated[
    bool,
    typer.Option(
        "--go-on",
        help="When all jobs have ended, submit what they had no time for, and the next experiment if all runs succeeded.",
    ),
]
_DryRun = Annotated[
    bool,
    typer.Option("--dry-run", "-n", help="Print the batch script and what it may cost; submit and create nothing."),
]
_Resume = Annotated[
    bool, typer.Option("--resume", help="Of runs that were attempted before, execute only the tasks that need it.")
]
_Walltime = Annotated[
    str | None,
    typer.Option(
        "--walltime",
        metavar="TIME",
        show_default=False,
        help="Give each job this time, such as 2:00:00, or a multiple of the profile's, such as x2.",
    ),
]
_After = Annotated[
    str | None,
    typer.Option(
        "--after", hidden=True, metavar="ID", help="Go on from this submission: repeat nothing that failed in it."
    ),
]
_Rest = Annotated[
    bool,
    typer.Option("--rest", hidden=True, help="With --after: submit only what its bundles had no time for."),
]


def submit(
    ctx: typer.Context,
    script: ScriptArgument,
    queue: _Queue = None,
    bundle: _Bundle = 1,
    bundle_time: _BundleTime = None,
    jobs: _Jobs = None,
    go_on: _GoOn = False,
    dry_run: _DryRun = False,
    resume: _Resume = False,
    walltime: _Walltime = None,
    only: OnlyOption = None,
    failed: FailedOption = False,
    limit: _Most = None,
    experiment: ExperimentsOption = None,
    set_: SetOption = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    after: _After = None,
    rest: _Rest = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Submit the runs of a script's next experiment to a queue, and exit. The queue executes them when it has room.

    Runs that succeeded, are being executed, or are queued already are left out, so you can call it again at any time. Experiments
    after the first unfinished one are not begun: submit again when its runs have succeeded, or add --go-on.

    Examples:
        molexp submit train.py --queue local -j 2
        molexp submit train.py --profile cluster --dry-run
        molexp submit train.py --profile cluster --first 3
        molexp submit train.py --profile cluster --bundle-time 1h -j 50 --go-on

    A profile says what each job gets (resources: cores, memory, walltime) and what the queue is told (scheduler: partition, account).

    Exit codes: 0 everything was submitted, or nothing is left to submit; 4 the queue refused, or did not answer.
    """
    options = {
        "only": only,
        "failed": failed,
        "experiments": experiment,
        "settings": set_,
        "override": override,
        "workspace": workspace,
        "config": config,
        "profile": profile,
        "resume": resume,
    }
    wishes = {
        "queue": queue,
        "limit": limit,
        "bundle": bundle,
        "at_once": jobs,
        "go_on": go_on,
        "after": after or "",
        "rest": rest,
    }
    _submit(ctx, script, options, wishes, bundle_time, walltime, dry_run=dry_run, as_json=as_json)


def resubmit(
    ctx: typer.Context,
    script: ScriptArgument,
    queue: _Queue = None,
    bundle: _Bundle = 1,
    jobs: _Jobs = None,
    dry_run: _DryRun = False,
    resume: _Resume = False,
    walltime: _Walltime = None,
    experiment: ExperimentsOption = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    after: _After = None,
    rest: _Rest = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Submit again what was attempted or submitted and has not succeeded, and only that; not on machines on which a job was lost.

    Examples:
        molexp resubmit train.py --profile cluster --walltime x2
        molexp resubmit train.py --profile cluster --resume --dry-run

    Exit codes: as for molexp submit.
    """
    options = {
        "experiments": experiment,
        "override": override,
        "workspace": workspace,
        "config": config,
        "profile": profile,
        "resume": resume,
    }
    wishes = {"queue": queue, "bundle": bundle, "at_once": jobs, "after": after or "", "rest": rest, "again": True}
    _submit(ctx, script, options, wishes, None, walltime, dry_run=dry_run, as_json=as_json, avoids=True)


def _submit(
    ctx: typer.Context,
    script: Path,
    options: dict[str, Any],
    wishes: dict[str, Any],
    bundle_time: str | None,
    walltime: str | None,
    *,
    dry_run: bool,
    as_json: bool,
    avoids: bool = False,
) -> None:
    from molexp.submissions import Wishes, failed_hosts, prepare, submit

    if bundle_time is not None:
        wishes["bundle_time"] = _seconds(ctx, "--bundle-time", bundle_time)
    if walltime is not None and walltime.startswith("x"):
        wishes["longer"] = _factor(ctx, walltime)
    elif walltime is not None:
        wishes["walltime"] = _seconds(ctx, "--walltime", walltime)
    with prints_aside(as_json):
        drive = driven(ctx, script, **options)
        if avoids:
            wishes["avoid"] = failed_hosts(drive)
        asked = Wishes(**wishes)
        if dry_run:
            prepared = prepare(drive, asked)
        else:
            done = submit(drive, asked, again=ctx.find_root().obj or ())
            prepared = done.prepared
    if as_json:
        _write_json(prepared, None if dry_run else done)
    else:
        _show(prepared, None if dry_run else done)
    tell_left_out(drive, chosen=len(prepared.runs) + len(prepared.left) + prepared.more)


def _show(prepared: Preparation, done: Submitted | None) -> None:
    for path, why in [*prepared.left.items()][:_SHOWN]:
        say(f"{path} {why}")
    if len(prepared.left) > _SHOWN:
        say(f"and {_words.counted(len(prepared.left) - _SHOWN, 'run')} more are left out")
    if prepared.more:
        say(f"{_words.counted(prepared.more, 'run')} {'is' if prepared.more == 1 else 'are'} left for another call")
    for path, why in prepared.held.items():
        say(f"{path} is not submitted: {why}")
    if not prepared.runs:
        say("nothing to submit")
        return
    size = f"{_words.counted(len(prepared.runs), 'run')} in {_words.counted(prepared.jobs, 'job')}"
    cost = "" if prepared.core_hours is None else f", at most {prepared.core_hours:.4g} core-hours"
    if done is None:
        write(prepared.script.rstrip("\n"))
        say(f"would submit {size} to {prepared.queue}{cost}")
        return
    write(done.id)
    say(f"submitted {size} to {prepared.queue} as {', '.join(done.ids)}{cost}")
    say("`molexp queue` tells what becomes of them")


_SHOWN = 5  # runs that are left out, and told one by one


def _write_json(prepared: Preparation, done: Submitted | None) -> None:
    import molexp

    found = {
        "submission": done.id if done else "",
        "ids": list(done.ids) if done else [],
        "queue": prepared.queue,
        "runs": [run.path for run in prepared.runs],
        "jobs": prepared.jobs,
        "core_hours": prepared.core_hours,
        "left": prepared.left,
        "more": prepared.more,
        "held": prepared.held,
        "script": prepared.script,
    }
    write(molexp.to_json(found))


def _seconds(ctx: typer.Context, option: str, text: str) -> float:
    from molexp.contracts import Resources

    try:
        return float(Resources.of({"walltime": text}).walltime or 0.0)
    except ValueError:
        message = f"{text!r} is no time, such as 90min, 1h or 1:30:00"
        raise typer.BadParameter(message, ctx=ctx, param_hint=option) from None


def _factor(ctx: typer.Context, text: str) -> float:
    try:
        return float(text[1:])
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no multiple, such as x2", ctx=ctx, param_hint="--walltime") from None


# ------------------------------------------------------------------------------------------------------------------ queue


def queue(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Show submissions that have ended, too.")] = False,
    no_ask: Annotated[bool, typer.Option("--no-ask", help="Show what is on record; do not ask the queue.")] = False,
    brief: Annotated[bool, typer.Option("--brief", hidden=True, help="Leave out reasons.")] = False,
    script: Annotated[
        Path | None, typer.Option("--script", hidden=True, metavar="FILE", help="It may have the keys of the storage.")
    ] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Ask the queues about all submissions that are open, and show what they say.

    The record is brought up to date: a run whose job is over is no longer running, and a submission of which nothing is queued or
    running has ended. `molexp runs list` shows queued runs without asking anybody.

    Examples:
        molexp queue
        molexp queue --all
        molexp queue --no-ask --json
    """
    from molexp.submissions import reconcile, submissions

    here, _ = located_with(ctx, workspace, script)
    rows = [] if no_ask else reconcile(here)
    if no_ask or every:
        rows = submissions(here, ended=every)
    show_submissions(rows, as_json=as_json, brief=brief)


def show_submissions(rows: Sequence[SubmissionRow], *, as_json: bool, brief: bool = False) -> None:
    """Show submissions."""
    if as_json:
        import molexp

        write(molexp.to_json(rows))
        return
    if not rows:
        say("no submission is open")
        return
    columns = ("SUBMISSION", "QUEUE", "JOB", "EXPERIMENT", "RUNS", "JOBS")
    table(
        columns, [(row.id, row.queue, " ".join(row.ids), row.experiment, str(row.runs), _states(row)) for row in rows]
    )
    for row in rows:
        if row.why and not brief:
            said = f"{row.queue} says: " if not row.open and row.states else ""
            say(f"{row.id}: {said}{row.why}")
        if "failed" in row.states and row.output and (found := _printed(row.output)) is not None:
            told = "" if found else " nothing"
            say(f"{row.id}: its jobs printed{told} into {row.output}{'' if found else ': do their machines see it?'}")


def _printed(folder: str) -> bool | None:
    """Tell whether jobs have printed something into a folder; None if it is not there."""
    try:
        with os.scandir(folder) as entries:
            return any(entries)
    except FileNotFoundError:
        return None
    except OSError:
        return True


def _states(row: SubmissionRow) -> str:
    told = ", ".join(f"{count} {state}" for state, count in row.states.items()) or str(row.jobs)
    return told if row.open else f"ended: {told}"


# ------------------------------------------------------------------------------------------------------------------- jobs


def work(workspace: molexp.Workspace, submission: str, script: Script | Path, first: int) -> None:
    """Be a job of a submission."""
    from molexp.submissions import execute_job

    try:
        code = execute_job(workspace, submission, script=script, first=first, tell=say)
    except KeyboardInterrupt:
        say("cancelled")
        raise typer.Exit(INTERRUPTED) from None
    if code:
        raise typer.Exit(code)
