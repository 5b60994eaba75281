"""``molexp why``: explain why a run would be executed or skipped."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli._failing import NOT_FOUND
from molexp_cli._options import (
    JsonOption,
    WorkspaceOption,
    located,
    named_workspace,
    parameters_of,
    parts_of_experiment,
)
from molexp_cli._output import headline, pairs, prints_aside, say, table, write
from molexp_cli._words import settings, short

if TYPE_CHECKING:
    import molexp
    from molexp.scripts import ExplainedRun, ExplainedTask, Script

_NEAREST = 3  # runs that are told in the place of one that is not there


def why(
    ctx: typer.Context,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            show_default=False,
            help="The run's path, the beginning of its id, or @latest; with --set, PROJECT/EXPERIMENT.",
        ),
    ],
    task: Annotated[
        list[str] | None,
        typer.Option("--task", "-t", metavar="TASK", show_default=False, help="Explain only this task. Repeatable."),
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option(
            "--script",
            "-s",
            metavar="FILE",
            show_default=False,
            help="The script that binds the workflow. It is imported to compare its code.",
        ),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            show_default=False,
            help="The run with these parameters. If there is none, the nearest runs are named. Repeatable.",
        ),
    ] = None,
    replica: Annotated[int, typer.Option("--replica", metavar="N", min=0, help="The replica's index, with --set.")] = 0,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Explain why `molexp run` would execute or skip a run, and which of its tasks a resume would execute.

    With --script, it compares code and inputs exactly as a resume does, and executes nothing. Without it, nobody can tell
    whether code has changed. ACTION is reuse, execute, or depends: executed if the output of a task before it changes.

    Examples:
        molexp why @latest --script train.py
        molexp why metals/cu/70a71d299d353bdd077c --script train.py --task relax
        molexp why metals/cu --set a=3.7 --set xc=PBE
        molexp why @latest --script train.py --json | jq .tasks
    """
    from molexp.scripts import explain_run, load_script

    loaded = None
    if script is not None:
        with prints_aside(as_json):
            loaded = load_script(script)
    opened = _workspace(ctx, workspace, loaded)
    if parameters is None:
        found = opened.run(run)
    else:
        project, name = parts_of_experiment(ctx, run, "RUN (with --set)")
        experiment = opened.project(project).experiment(name)
        given = parameters_of(ctx, "--set", parameters)
        run_id = experiment.derived_id(given, replica=replica)
        if run_id not in experiment.runs:
            _tell_nearest(experiment, {**experiment.params, **given}, replica, run_id, as_json)
            raise typer.Exit(NOT_FOUND)
        found = experiment.run(run_id)
    explained = explain_run(found, loaded)
    tasks = _chosen(ctx, explained, task)
    if as_json:
        _write(explained, tasks)
        return
    _show(found, explained, tasks, script)


def _workspace(ctx: typer.Context, workspace: str | None, script: Script | None) -> molexp.Workspace:
    """Return the workspace that is named, else the nearest one, else the script's, which may have the keys of the storage."""
    import molexp

    named = named_workspace(ctx, workspace)
    try:
        return located(ctx, workspace)
    except molexp.NotFoundError:
        if script is None or named:
            raise
        return script.experiments[0][0].project.workspace
    except molexp.StoreError:
        own = script.workspace(molexp.Workspace(named).url) if script and named else None
        if own is None:
            raise
        return own


def _chosen(ctx: typer.Context, explained: ExplainedRun, names: Sequence[str] | None) -> list[ExplainedTask]:
    if not names:
        return list(explained.tasks)
    there = {one.name: one for one in explained.tasks}
    for name in names:
        if name not in there:
            known = ", ".join(there) or "none"
            raise typer.BadParameter(f"there is no task {name!r} of {explained.path}; there are: {known}", ctx=ctx)
    return [there[name] for name in names]


def _show(run: molexp.Run, explained: ExplainedRun, tasks: Sequence[ExplainedTask], script: Path | None) -> None:
    headline(explained.path)
    rows = [("status", explained.status or "there is no such run"), ("molexp run", _action(explained))]
    if explained.changed:
        rows.append(("molexp run --changed", "executes what has changed"))
    if any(one.why.endswith("its code changed") for one in tasks) and (commit := _commit(run)):
        rows.append(("executed at", commit))
    pairs(rows)
    if tasks:
        write("")
        headline("tasks, if it is resumed")
        table(("TASK", "ACTION", "WHY", "AFTER", "CODE"), [_row(one) for one in tasks], least=3)
    if script is None and any(one.action == "unknown" for one in tasks):
        source = run.experiment.workflow_source
        named = f" (the record names {source!r})" if source else ""
        say(f"hint: Add --script FILE to compare the code as it is now{named}.", prefix="")


def _action(explained: ExplainedRun) -> str:
    words = {"start": "executes it", "resume": "executes it", "skip": "skips it", "leave": "leaves it alone"}
    return f"{words.get(explained.action, explained.action)}: {explained.why}"


def _row(task: ExplainedTask) -> tuple[str, ...]:
    place = f"{task.file}:{task.line}" if task.file and task.line else task.file or ""
    return (
        task.name,
        task.action,
        task.why,
        ", ".join(task.upstream),
        f"{task.function} in {place}" if task.function and place else place,
    )


def _commit(run: molexp.Run) -> str:
    """Return the commit at which its newest attempt was executed."""
    git = (run.provenance or {}).get("git") or {}
    if not git.get("commit"):
        return ""
    return f"commit {git['commit'][:12]}{' with changes' if git.get('dirty') else ''}"


def _write(explained: ExplainedRun, tasks: Sequence[ExplainedTask]) -> None:
    import molexp

    names = ("path", "status", "action", "why", "changed")
    of_tasks = ("name", "action", "why", "upstream", "function", "file", "line")
    found: dict[str, Any] = {name: getattr(explained, name) for name in names}
    found["tasks"] = [{name: getattr(one, name) for name in of_tasks} for one in tasks]
    write(molexp.to_json(found, pretty=True))


# ------------------------------------------------------------------------------------------------- runs that are missing


def _tell_nearest(
    experiment: molexp.Experiment, wanted: Mapping[str, Any], replica: int, run_id: str, as_json: bool
) -> None:
    """Tell which runs of an experiment differ least from one that is not there, and in which parameters."""
    import molexp

    wanted = {**wanted, "replica": replica}
    rows = experiment.project.workspace.catalog.runs(experiment=experiment.path, archived=True)
    nearest = heapq.nsmallest(_NEAREST, rows, key=lambda row: _distance(_differing(wanted, row)))
    differing = [(row.path, str(row.status), _differing(wanted, row)) for row in nearest]
    if as_json:
        told = [
            {
                "path": path,
                "status": status,
                "differs": {name: {"wanted": want, "is": got} for name, want, got in found},
            }
            for path, status, found in differing
        ]
        answer = {
            "path": f"{experiment.path}/{run_id}",
            "status": None,
            "action": "start",
            "why": "new",
            "nearest": told,
        }
        write(molexp.to_json(answer, pretty=True))
        return
    say(f"there is no run of {experiment.path} with {settings(wanted)}; its id would be {run_id}")
    if not differing:
        say(f"{experiment.path} has no runs")
        return
    rows_of = [
        (
            path,
            status,
            ", ".join(f"{name}={short(got)} instead of {short(want)}" for name, want, got in found)
            or "its configuration",
        )
        for path, status, found in differing
    ]
    table(("NEAREST", "STATUS", "DIFFERS IN"), rows_of)


def _differing(wanted: Mapping[str, Any], row: molexp.RunRow) -> list[tuple[str, Any, Any]]:
    """Return the parameters in which a run differs: the name, the wanted value, and its own; None for a missing one."""
    found = {**row.parameters, "replica": row.replica}
    names = dict.fromkeys((*wanted, *found))
    return [(name, wanted.get(name), found.get(name)) for name in names if wanted.get(name) != found.get(name)]


def _distance(differing: Sequence[tuple[str, Any, Any]]) -> tuple[int, float]:
    """Return how far a run is: in how many parameters it differs, and by how much where they are numbers."""
    numbers = [
        (want, got) for _, want, got in differing if isinstance(want, int | float) and isinstance(got, int | float)
    ]
    far = sum(abs(want - got) / (abs(want) + abs(got) or 1) for want, got in numbers)
    return len(differing), far + len(differing) - len(numbers)
