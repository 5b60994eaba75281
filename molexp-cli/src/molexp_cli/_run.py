"""``molexp run`` and ``molexp execute``: run the experiments of a script, or some of their runs."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli import _words
from molexp_cli._failing import FAILED, INTERRUPTED, LEFT, REFUSED, answer
from molexp_cli._options import JsonOption, WorkspaceOption, located_with, named_workspace
from molexp_cli._output import prints_aside, say, table, write
from molexp_cli._progress import progress
from molexp_cli._selection import (
    ConfigOption,
    ExperimentsOption,
    FailedOption,
    MostOption,
    OnlyOption,
    OverrideOption,
    ProfileOption,
    ScriptArgument,
    SetOption,
    driven,
    tell_left_out,
    tell_redirected,
)
from molexp_cli._summary import show_summary
from molexp_cli._words import settings

if TYPE_CHECKING:
    import molexp
    from molexp.scripts import Event, PlannedRun, Script

ResumeOption = Annotated[
    bool, typer.Option("--resume", help="When a run is executed again, execute only the tasks that need it.")
]
RerunOption = Annotated[
    bool,
    typer.Option(
        "--rerun",
        help="Execute runs that succeeded, too; with --resume, only those of their tasks whose code has changed.",
    ),
]
ChangedOption = Annotated[
    bool,
    typer.Option(
        "--changed",
        help="Also execute runs that succeeded if their code or inputs have changed since, and of these only the tasks "
        "that need it.",
    ),
]
CaptureOption = Annotated[
    bool,
    typer.Option(
        "--capture",
        help="Record what runs print in their logs stdout and stderr. With -j, this needs --executor process.",
    ),
]

_Runs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN...]",
        show_default=False,
        help="One or more runs: their paths, the beginnings of their ids, or @latest.",
    ),
]


def run(
    ctx: typer.Context,
    script: ScriptArgument,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            metavar="N",
            show_default=False,
            help="Execute N runs at a time: by default one, or as many as the executor's queue allows.",
        ),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            metavar="NAME",
            help="Execute whole runs with this executor: inline, process, or one of a plugin. By default, the profile's 'executor'.",
        ),
    ] = None,
    resume: ResumeOption = False,
    rerun: RerunOption = False,
    changed: ChangedOption = False,
    capture: CaptureOption = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait for runs that are left to others, and then go on to the next experiment."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            "-n",
            help="Show what would happen to each run, and why, and execute nothing. (The script is still imported.)",
        ),
    ] = False,
    plan_only: Annotated[
        bool,
        typer.Option(
            "--plan-only",
            help="Create the runs that would be executed, show them, and execute nothing: a scheduler's jobs do, by molexp execute.",
        ),
    ] = False,
    only: OnlyOption = None,
    failed: FailedOption = False,
    experiment: ExperimentsOption = None,
    limit: MostOption = None,
    set_: SetOption = None,
    fail_fast: Annotated[
        bool,
        typer.Option(
            "--fail-fast/--keep-going", help="Begin no further run after a failure, or go on with the others."
        ),
    ] = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Run every point and replica of a script's experiments; skip runs that succeeded before.

    An experiment starts when all runs of the experiments before it have succeeded. Runs that another process is executing
    are left alone. So are runs that `molexp submit` has queued, if the executor has a queue, such as Slurm's.

    Examples:
        molexp run train.py
        molexp run train.py --dry-run
        molexp run train.py -j 4 --executor process
        molexp run train.py --profile gpu --override optimizer.lr=1e-4 --override +note=test
        molexp run train.py --resume
        molexp run train.py --changed
        molexp run train.py --failed --resume
        molexp run train.py --only 'params.lr < 0.01' -e train --limit 10
        molexp run train.py --set lr=1e-3,1e-4 --set optimizer=adam -w scratch
        molexp run train.py --plan-only --json | jq -r '.[].path'

    The script opens a workspace, binds workflows to experiments, and ends with me.entry(ws). MolExp imports it, so code below
    `if __name__ == "__main__":` does not run. A second call finds the same runs and skips those that succeeded. With -w, the
    script gets that workspace in the place of its own.

    Options that choose runs are joined: a run has to meet all of them. -e leaves other experiments out of account; otherwise
    runs that were not chosen and have not succeeded hold back the experiments after them.

    Exit codes: 0 every run that was chosen succeeded, now or earlier; 1 a run failed, or an experiment could not start; 5 runs were left to
    others, and nothing failed, though experiments may wait for them; 3 no planned run matches --only; 130 Ctrl-C.
    """
    if dry_run and plan_only:
        raise typer.BadParameter(
            "--dry-run creates nothing, and --plan-only creates the runs; give one of them", ctx=ctx
        )
    with prints_aside(as_json):  # the script and its tasks may print, which must stay out of the answer
        drive = driven(
            ctx,
            script,
            only=only,
            failed=failed,
            limit=limit,
            experiments=experiment,
            settings=set_,
            override=override,
            workspace=workspace,
            config=config,
            profile=profile,
            resume=resume,
            rerun=rerun,
            changed=changed,
            capture=capture,
            stop_on_failure=fail_fast,
        )
        look = drive.plan if dry_run else drive.create
        planned = look(executor=executor) if dry_run or plan_only else []
    if dry_run or plan_only:
        _show_plan(planned, as_json)
        code = tell_left_out(drive, chosen=len(planned))
        if plan_only and planned:
            _tell_how_to_execute(script, planned)
        raise typer.Exit(code)
    seen: dict[str, str] = {}
    try:
        with prints_aside(as_json), progress() as tell:
            observer = partial(_observe, seen, tell)
            summary = drive.execute(jobs=jobs, executor=executor, observer=observer, wait=wait)
    except KeyboardInterrupt:
        show_summary(drive, seen, as_json)
        say("cancelled")
        raise typer.Exit(INTERRUPTED) from None
    except SystemExit as error:  # a signal that asked us to end
        show_summary(drive, seen, as_json)
        number = getattr(error, "signum", None)
        say(f"interrupted by {signal.Signals(number).name}" if number else "interrupted")
        raise
    show_summary(drive, seen, as_json)
    code = tell_left_out(drive, chosen=len(drive.planned) + len(summary.held))
    if summary.failed:
        raise typer.Exit(FAILED)
    raise typer.Exit(LEFT if summary.left else code)


def execute(
    ctx: typer.Context,
    runs: _Runs = None,
    script: Annotated[
        Path | None,
        typer.Option(
            "--script",
            "-s",
            metavar="FILE",
            help="The script that binds the workflow. MolExp never runs a script just because the record names it.",
        ),
    ] = None,
    resume: ResumeOption = False,
    rerun: RerunOption = False,
    skip_done: Annotated[
        bool,
        typer.Option(
            "--skip-done",
            help="Leave runs as they are that succeeded, were cancelled, or are being executed; that is no error.",
        ),
    ] = False,
    capture: CaptureOption = False,
    submission: Annotated[
        str | None,
        typer.Option(
            "--submission",
            metavar="ID",
            show_default=False,
            help="Execute the runs of this process's job in a submission; for jobs of `molexp submit`.",
        ),
    ] = None,
    first: Annotated[
        int, typer.Option("--from", hidden=True, min=0, metavar="N", help="The number of the first job of its batch.")
    ] = 0,
    workspace: WorkspaceOption = None,
) -> None:
    """Execute existing runs in this process, one after the other, for example in the job of a scheduler.

    It is an error if a run is being executed, or if it succeeded before and you give neither --rerun nor --skip-done. The
    runs after it are executed all the same. With -w or MOLEXP_WORKSPACE, the script gets that workspace in the place of its own.

    Examples:
        molexp execute metals/cu/70a71d299d353bdd077c --script train.py
        molexp execute cu-small cu-large --script train.py --skip-done
        molexp -w s3://bucket/lab execute @latest --script train.py --resume

    Exit codes: 0 every run succeeded or was skipped; 1 a run failed; 4 a run could not be executed; 130 Ctrl-C.
    """
    if rerun and skip_done:
        raise typer.BadParameter("--rerun executes what --skip-done leaves as it is; give one of them", ctx=ctx)
    if submission is not None:
        from molexp_cli._queue import work

        if runs or script is None:
            raise typer.BadParameter("--submission needs --script, and no RUN", ctx=ctx)
        opened, loaded = located_with(ctx, workspace, script)
        work(opened, submission, loaded or script, first)
        return
    if not runs:
        raise typer.BadParameter("name the runs", ctx=ctx, param_hint="RUN")
    opened, loaded = located_with(ctx, workspace, script)
    found = [opened.run(run) for run in dict.fromkeys(runs)]
    if script is None:
        raise typer.BadParameter(_unsaid(found[0], opened.url), ctx=ctx)
    if loaded is None:
        from molexp.scripts import load_script

        named = named_workspace(ctx, workspace)
        loaded = load_script(script, workspace=opened.url if named else None, keep_several=True)
    tell_redirected(loaded)
    try:
        codes = [
            _execute(loaded, run, resume=resume, rerun=rerun, skip_done=skip_done, capture=capture) for run in found
        ]
    except KeyboardInterrupt:
        say("cancelled")
        raise typer.Exit(INTERRUPTED) from None
    if code := max(codes):
        raise typer.Exit(code)


def _execute(script: Script, run: molexp.Run, *, resume: bool, rerun: bool, skip_done: bool, capture: bool) -> int:
    """Execute a run, and return the exit code for it."""
    import molexp
    from molexp.scripts import execute_one

    if skip_done and run.status in ("succeeded", "cancelled", "running"):
        say(f"{run.path} is left as it is: {run.status}")
        return 0
    say(f"run {run.path}")
    try:
        result = execute_one(script, run, resume=resume, if_succeeded="rerun" if rerun else "error", capture=capture)
    except molexp.RunFinishedError as error:
        say(f"{error.run} succeeded {'meanwhile' if skip_done else 'before; add --rerun to execute it again'}")
        return 0 if skip_done else REFUSED
    except molexp.MolexpError as error:
        if skip_done and isinstance(error, molexp.RunBusyError):
            say(f"{run.path} is left as it is: {error}")
            return 0
        return answer(error, ()) or REFUSED
    say(f"{run.path} {result.status}{': ' + result.reason if result.reason else ''}")
    return 0 if result.status == "succeeded" else FAILED


def _unsaid(run: molexp.Run, url: str) -> str:
    """Return an error with the command to type. The record may come from a stranger, so its script is only shown."""
    source = run.experiment.workflow_source
    command = f"molexp -w {shlex.quote(url)} execute {run.path} --script {shlex.quote(source or 'SCRIPT')}"
    named = f"the record names {source!r}; check it first" if source else "the record names none"
    return f"name the script that binds the workflow of {run.experiment.path} ({named}): {command}"


def _tell_how_to_execute(script: Path, planned: list[PlannedRun]) -> None:
    """Print the command that executes a run that was created."""
    one = planned[0]
    url = one.experiment.project.workspace.url
    command = ["molexp", "-w", url, "execute", one.path, "--script", str(script), "--skip-done"]
    say(f"{_words.counted(len(planned), 'run')} to execute, each by a command such as\n{shlex.join(command)}")


def _show_plan(planned: list[PlannedRun], as_json: bool) -> None:
    if as_json:
        import molexp

        write(molexp.to_json([_described(run) for run in planned]))
        return
    rows = [(run.label, run.action, run.why, settings(run.parameters), str(run.replica)) for run in planned]
    table(("RUN", "ACTION", "WHY", "PARAMETERS", "REPLICA"), rows)


def _described(run: PlannedRun) -> dict[str, Any]:
    return {
        "path": run.path,
        "action": run.action,
        "why": run.why,
        "changed": run.changed,
        "parameters": dict(run.parameters),
        "replica": run.replica,
        "profile": run.profile,
        "overrides": dict(run.overrides),
    }


def _observe(seen: dict[str, str], tell: Callable[[Event], None], event: Event) -> None:
    """Keep the parameters of a run that did not succeed, for the summary, and tell of the event."""
    if event.what == "ended" and event.status not in ("succeeded", "skipped"):
        seen[event.path] = settings(event.parameters)
    tell(event)
