"""``molexp exec``: track any command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli._failing import EXEC_FAILED, FAILED, INTERRUPTED, TIMED_OUT, USAGE, answer
from molexp_cli._options import WorkspaceOption, located, parameters_of, parts_of_experiment
from molexp_cli._output import prints_aside, say, write
from molexp_cli._words import first

if TYPE_CHECKING:
    import molexp

_SHOWN = 10  # a line names at most this many saved files


def execute(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="PROJECT/EXPERIMENT",
            show_default=False,
            help="The experiment to put the run into; created if missing.",
        ),
    ],
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", show_default=False, help="The command to run, after '--'.")
    ],
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Set a parameter; values are read as YAML, and b.c=1 sets c within b. Repeatable.",
        ),
    ] = None,
    id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="ID",
            help="The run's id. If the run exists, this is another attempt. By default, a new run.",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", metavar="TAG", help="Tag the run. Repeatable.")
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATTERN",
            help="Save new or changed files that match, such as '*.xyz', or all in a folder, such as traj/, as artifacts. "
            "Repeatable.",
        ),
    ] = None,
    input: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="PATH",
            help="Record the hash of a file or folder that the command reads; with --skip-done, it counts. Repeatable.",
        ),
    ] = None,
    skip_done: Annotated[
        bool,
        typer.Option(
            "--skip-done",
            help="Execute nothing if the same command with the same parameters and inputs has succeeded before.",
        ),
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", help="Kill the command and its child processes after this time."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Answer in JSON; what the command prints goes to standard error.")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Track a command as a run, with its arguments, exit code, output and files.

    MolExp shows what the command prints, and keeps it in the logs stdout and stderr. The run fails if the command does not
    exit with 0. Ctrl-C and SIGTERM are passed on to the command. It has 20 seconds to end, or until you send them again.

    Examples:
        molexp exec metals/cu --set a=3.6 -- xtb mol.xyz --opt
        molexp exec metals/cu --set cell.a=3.6 --set 'scales=[0.98, 1.0]' --tag test -- ./relax.sh
        molexp exec metals/cu --id cu-large --output '*.xyz' --output 'out/**/*.log' -- xtb mol.xyz
        molexp exec metals/cu --skip-done --input mol.xyz --output traj/ -- xtb mol.xyz --md
        molexp -w s3://bucket/lab exec metals/cu --timeout 3600 -- python train.py

    Exit codes: that of the command, or 128 + n if signal n ended it; 124 timeout; 125 an error in MolExp itself; 126 the
    command cannot be executed; 127 the command was not found; 130 Ctrl-C; 143 SIGTERM.
    """
    if "--" not in ctx.find_root().obj:
        raise typer.BadParameter(
            "add '--' before the command, so that its options are not mistaken for those of molexp", ctx=ctx
        )
    project, name = parts_of_experiment(ctx, target)
    import molexp

    try:
        experiment = located(ctx, workspace, create=True).Project(project).Experiment(name)
        with prints_aside(as_json):
            done = molexp.track_command(
                experiment,
                command,
                parameters=parameters_of(ctx, "--set", parameters) or None,
                id=id,
                tags=tag or (),
                outputs=output or (),
                timeout=timeout,
                on_start=lambda run: say(f"run {run.path}"),
                skip_done=skip_done,
                inputs=input or (),
            )
    except (KeyboardInterrupt, molexp.RunCancelledError):
        say("cancelled")
        raise typer.Exit(INTERRUPTED) from None
    except SystemExit as error:  # a signal that asked us to end
        say(f"interrupted: {error}")
        raise
    except Exception as error:
        code = answer(error, ctx.find_root().obj)
        if code is None:
            raise
        raise typer.Exit(code if code == USAGE else EXEC_FAILED) from None
    if as_json:
        write(molexp.to_json(_described(done)))
    if output and not done.artifacts and not done.unsaved and not done.skipped:
        say(f"warning: no new or changed file matches --output {' '.join(map(repr, output))}")
    _report(done)


def _described(done: molexp.TrackedCommand) -> dict[str, Any]:
    return {
        "path": done.run.path,
        "status": str(done.run.status),
        "attempt": done.attempt,
        "exit_code": done.exit_code,
        "skipped": done.skipped,
        "problem": done.problem,
        "artifacts": [asset.name for asset in done.artifacts],
        "unsaved": dict(done.unsaved),
    }


def _report(done: molexp.TrackedCommand) -> None:
    if done.skipped:
        say(f"{done.run.path} is left as it is: it succeeded before")
        return
    saved = f", saved {first([asset.name for asset in done.artifacts], _SHOWN)}" if done.artifacts else ""
    if not done.problem:
        say(f"{done.run.path} succeeded{saved}")
        return
    say(f"{done.run.path} failed{saved}: {done.problem.partition(chr(10))[0]}")
    raise typer.Exit(TIMED_OUT if done.exit_code is None else done.exit_code or FAILED)
