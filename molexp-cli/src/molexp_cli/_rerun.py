"""``molexp rerun``: execute a run once more, with its code of then."""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from molexp_cli._changing import confirm
from molexp_cli._failing import FAILED, INTERRUPTED, REFUSED
from molexp_cli._options import JsonOption, RunArgument, WorkspaceOption, located
from molexp_cli._output import headline, pairs, prints_aside, say, table, write
from molexp_cli._rerun_code import (
    NotRepeatableError,
    checked_out,
    doubts,
    ending_by_signals,
    import_paths,
    repository,
    run_child,
)
from molexp_cli._words import counted, value

if TYPE_CHECKING:
    import molexp


class _Plan(NamedTuple):
    """Name the script or command that repeats a run, and its code: that of a commit, or as it is now."""

    script: str  # relative to the repository with a commit, else a path
    command: list[str]
    folder: str  # relative to the repository; the command runs in it
    commit: str
    state: Mapping[str, Any]
    top: Path | None
    doubts: list[str]


def rerun(
    ctx: typer.Context,
    run: RunArgument,
    script: Annotated[
        str | None,
        typer.Option(
            "--script",
            "-s",
            metavar="FILE",
            show_default=False,
            help="The script that binds the workflow, within the repository. By default, the one that the record names.",
        ),
    ] = None,
    repo: Annotated[
        Path,
        typer.Option(
            "--repo", metavar="FOLDER", show_default=False, help="Your clone of the code. By default, this folder."
        ),
    ] = Path(),
    here: Annotated[bool, typer.Option("--here", help="Use the code as it is now, and make no worktree.")] = False,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into", metavar="FOLDER", show_default=False, help="Check the code out into this folder, and keep it."
        ),
    ] = None,
    without_changes: Annotated[
        bool, typer.Option("--without-changes", help="Do not apply the recorded uncommitted changes.")
    ] = False,
    rtol: Annotated[
        float,
        typer.Option("--rtol", metavar="X", min=0.0, help="Numbers that differ relatively by at most X are equal."),
    ] = 0.0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it starts.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be executed, and execute nothing.")
    ] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Execute a run once more: its parameters, configuration and code, as a new run beside it, and compare the results.

    The code is a git worktree of the commit that the record names, with the uncommitted changes that were recorded; your
    checkout stays as it is, and the worktree is removed at the end. What is not as it was (packages, changes that are not on
    record) is said before it starts. The record may come from somebody else, so you are asked before its code is executed.

    The new run has the tag rerun-of-ID. Runs of workflows and of `molexp exec` can be repeated; others are blocks of a script.

    Examples:
        molexp rerun @latest --dry-run
        molexp rerun metals/cu/70a71d299d353bdd077c --yes
        molexp rerun @latest --script train.py --here
        molexp rerun @latest --repo ~/code/metals --rtol 1e-9 --json

    Exit codes: 0 it ended as before, with equal results; 1 it did not; 4 it cannot be repeated; 130 Ctrl-C.
    """
    import molexp

    opened = located(ctx, workspace)
    old = opened.run(run)
    plan = _planned(molexp.describe_run(old), script, repo, here=here, without_changes=without_changes)
    if dry_run:
        _show_plan(old, plan, as_json)
        return
    for doubt in plan.doubts:
        say(doubt)
    if not yes:
        if not sys.stdin.isatty():
            say(f"nothing was executed: add --yes to execute {_code(plan)}, or --dry-run to look at it")
            raise typer.Exit(REFUSED)
        confirm(f"Execute {_code(plan)}?")
    try:
        with prints_aside(as_json), ending_by_signals():
            new = _execute(opened, old, plan, into)
    except KeyboardInterrupt:
        say("cancelled")
        raise typer.Exit(INTERRUPTED) from None
    _compare(old, new, rtol, as_json)


def _planned(found: Mapping[str, Any], script: str | None, repo: Path, *, here: bool, without_changes: bool) -> _Plan:
    """Return how a run is repeated.

    Raises:
        NotRepeatableError: it cannot be.
    """
    if found.get("imported_from"):
        raise NotRepeatableError("The run was imported, and nobody knows the code that it was executed by.")
    commands = [one for attempt in found["execution_history"] for one in attempt.get("commands") or ()]
    graph = found.get("workflow_graph")
    command = commands[-1] if commands and not graph and not script else {}
    if not graph and not script and not command:
        hint = "If a script binds a workflow to its experiment, name that with --script. Else call your script again."
        raise NotRepeatableError(
            "No attempt at the run executed a workflow or a command: it is a block of a script.", hint
        )
    argv = [str(word) for word in command.get("command") or ()]
    if any("[left out: looks like a secret]" in word for word in argv):
        raise NotRepeatableError("The command had arguments that look like secrets, and are not on record.")
    origin = found.get("origin") or {}
    state = dict(origin.get("git") or {})
    commit = "" if here else str(state.get("commit") or "")
    if not here and not commit:
        why = f" ({state['problem']})" if state.get("problem") else ""
        raise NotRepeatableError(f"The record has no commit of its code{why}.", "Use --here for the code as it is now.")
    top = repository(repo, commit) if commit else None
    if without_changes:
        state.pop("diff", None)
    file = _script(script, graph, top) if not command else ""
    return _Plan(
        file, argv, _folder(str(command.get("cwd") or ""), top), commit, state, top, doubts(origin) if commit else []
    )


def _script(given: str | None, graph: Mapping[str, Any] | None, top: Path | None) -> str:
    """Return the script: as it was given, within the repository, or the one file that defines the tasks on record."""
    if given is not None:
        here = Path(os.path.abspath(given))
        return given if top is None else _within(str(here if here.is_relative_to(top) else top / given), top)
    files = {str(task["file"]) for task in (graph or {}).get("tasks") or () if task.get("file")}
    if len(files) != 1 or top is None:
        known = f" The tasks are defined in {', '.join(sorted(files))}." if files else ""
        raise NotRepeatableError(f"The script that binds the workflow is not known.{known}", "Name it with --script.")
    return _within(os.path.join(top, files.pop()), top)


def _within(path: str, top: Path) -> str:
    """Return a path relative to the repository; a record of somebody else may name any file.

    Raises:
        NotRepeatableError: it lies elsewhere, where no commit has it.
    """
    inside = Path(os.path.normpath(path))
    if not inside.is_relative_to(top):
        hint = "Name a script in it with --script; or use --here for the code as it is now."
        raise NotRepeatableError(f"The script {path!r} does not lie in the repository {str(top)!r}.", hint)
    return str(inside.relative_to(top))


def _folder(recorded: str, top: Path | None) -> str:
    """Return where a command ran, within the repository; its top, if it ran somewhere else."""
    inside = Path(os.path.normpath(recorded)) if recorded else None
    if top is not None and inside is not None and inside.is_relative_to(top):
        return str(inside.relative_to(top))
    return "." if top is not None else recorded or "."


def _code(plan: _Plan) -> str:
    what = plan.script or shlex.join(plan.command)
    where = f" at commit {plan.commit[:12]}" if plan.commit else " as it is now"
    return f"{what}{where}{' with the recorded changes' if plan.commit and plan.state.get('diff') else ''}"


# --------------------------------------------------------------------------------------------------------- executing


def _execute(opened: molexp.Workspace, old: molexp.Run, plan: _Plan, into: Path | None) -> molexp.Run:
    """Make the new run and execute it; returns it."""
    from molexp.scripts import repeat_run

    with _code_of(plan, into) as folder:
        file = folder / plan.script
        if plan.script and not (file.is_file() and (plan.top is None or _lies_in(file, folder))):
            raise NotRepeatableError(
                f"There is no file {plan.script!r} at that commit.", "Name the script with --script."
            )
        new = repeat_run(old)
        new.annotate(tags=[f"rerun-of-{old.id}"], note=f"rerun of {old.path}: {_code(plan)}")
        molexp = [sys.executable, "-m", "molexp_cli", "-w", opened.url]
        if plan.script:
            command, place = [*molexp, "execute", new.path, "--script", str(file)], file.parent
        else:
            command = [*molexp, "exec", old.experiment.path, "--id", new.id, "--", *plan.command]
            place = folder / plan.folder
        paths = import_paths(plan.top, folder) if plan.top is not None else []
        run_child(command, place, paths)
    if new.status == "pending":
        new.delete()
        raise NotRepeatableError(f"{new.path} was not executed, and is deleted.", "The reason stands above.")
    return new


def _lies_in(file: Path, folder: Path) -> bool:
    """Tell whether a file lies in a folder, and is no link that leads out of it."""
    return file.resolve().is_relative_to(folder.resolve())


@contextmanager
def _code_of(plan: _Plan, into: Path | None) -> Iterator[Path]:
    if plan.top is None:
        yield Path.cwd()
        return
    with checked_out(plan.top, plan.state, into) as folder:
        yield folder


def _show_plan(old: molexp.Run, plan: _Plan, as_json: bool) -> None:
    if as_json:
        import molexp

        names = ("script", "command", "commit", "doubts")
        changes = bool(plan.commit and plan.state.get("diff"))
        write(
            molexp.to_json(
                {"run": old.path, **{name: getattr(plan, name) for name in names}, "changes": changes}, pretty=True
            )
        )
        return
    rows = [("run", old.path)]
    rows += [("script", plan.script)] if plan.script else [("command", shlex.join(plan.command)), ("in", plan.folder)]
    rows.append(("code", f"commit {plan.commit}" if plan.commit else "as it is now"))
    if plan.commit:
        diff = str(plan.state.get("diff") or "")
        rows.append(("changes", counted(diff.count("diff --git "), "file") if diff else "none"))
    rows.append(("results", ", ".join(old.results) or "none"))
    pairs(rows)
    for doubt in plan.doubts:
        say(doubt)


# --------------------------------------------------------------------------------------------------------- comparing


def _compare(old: molexp.Run, new: molexp.Run, rtol: float, as_json: bool) -> None:
    """Tell whether the results are equal; exit with 1 if they are not, or the run ended otherwise."""
    before, now = dict(old.results), dict(new.results)
    rows = [(name, *_compared(before, now, name, rtol)) for name in dict.fromkeys((*before, *now))]
    differing = [name for name, _, _, how in rows if how != "equal"]
    same_end = str(old.status) == str(new.status)
    if as_json:
        import molexp

        results = {
            name: {"before": before.get(name), "now": now.get(name), "difference": how} for name, _, _, how in rows
        }
        answer = {"run": old.path, "rerun": new.path, "status": {"before": str(old.status), "now": str(new.status)}}
        write(molexp.to_json({**answer, "equal": same_end and not differing, "results": results}, pretty=True))
    else:
        headline(new.path)
        pairs([("status", f"{new.status}, {'as before' if same_end else f'before: {old.status}'}")])
        if rows:
            write("")
            table(("RESULT", "BEFORE", "NOW", "DIFFERENCE"), rows)
            write(f"{len(rows) - len(differing)} of {len(rows)} results are equal")
    if differing or not same_end:
        raise typer.Exit(FAILED)


def _compared(before: Mapping[str, Any], now: Mapping[str, Any], name: str, rtol: float) -> tuple[str, str, str]:
    """Return a result then, now, and the difference."""
    if name not in before or name not in now:
        return _shown(before, name), _shown(now, name), "only now" if name in now else "only before"
    return _shown(before, name), _shown(now, name), _difference(before[name], now[name], rtol)


def _shown(results: Mapping[str, Any], name: str) -> str:
    return value(results[name]) if name in results else ""


def _difference(then: Any, now: Any, rtol: float) -> str:
    numbers = isinstance(then, int | float) and isinstance(now, int | float) and not isinstance(then, bool)
    if numbers and not isinstance(now, bool):
        if then == now or (math.isnan(then) and math.isnan(now)) or math.isclose(then, now, rel_tol=rtol, abs_tol=0.0):
            return "equal"
        relative = f", relatively {abs((now - then) / then):.2g}" if then else ""
        return f"{now - then:+.6g}{relative}"
    if isinstance(then, Sequence) and isinstance(now, Sequence) and not isinstance(then, str) and len(then) == len(now):
        parts = [_difference(one, other, rtol) for one, other in zip(then, now, strict=True)]
        other = sum(part != "equal" for part in parts)
        return f"{other} of {len(parts)} differ" if other else "equal"
    return "equal" if then == now else "different"
