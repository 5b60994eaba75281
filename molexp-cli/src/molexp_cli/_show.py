"""``molexp show``: show everything on record about one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli import _words
from molexp_cli._failing import NOT_FOUND
from molexp_cli._options import JsonOption, RunArgument, WorkspaceOption, located
from molexp_cli._output import (
    Grid,
    drawable,
    faint,
    headline,
    on_terminal,
    one_line,
    pairs,
    say,
    table,
    tell_unreadable,
    width_of,
    width_of_terminal,
    write,
    write_drawn,
)
from molexp_cli.restarting import command_line, how_to_restart

if TYPE_CHECKING:
    import molexp

_NAMED = 4  # a line of a graph names at most this many tasks
_RESTARTING = {
    "resume": "To resume it",
    "repeat": "To try again",
    "python": "To try again, call the script that started it, or start it in Python",
}


def show(
    ctx: typer.Context,
    run: RunArgument,
    graph: Annotated[
        bool,
        typer.Option("--graph", help="Draw the tasks of its workflow, each with its outcome in the last attempt."),
    ] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show a run: status, parameters, results, attempts, files, tags, and why it ended.

    The graph has one line for each task, below a task that it depends on. If it depends on several, the line names them.

    Examples:
        molexp show metals/cu/cu-large
        molexp show @latest
        molexp show metals/cu/@latest
        molexp show 20261123-08 --json | jq .results
        molexp show @latest --graph
    """
    import molexp

    opened = located(ctx, workspace)
    if graph:
        _draw(opened.run(run), as_json)
        return
    found = molexp.describe_run(opened.run(run))
    if run != found["path"]:  # a search found it, and may have missed others
        tell_unreadable(opened.catalog.runs(limit=0).unreadable)
    for key, reason in found["problems"].items():
        say(reason if key in reason else f"{key}: {reason}")
    if as_json:
        write(molexp.to_json(found, pretty=True))
        return
    above, _, folder = str(found["path"]).rpartition("/")
    headline(f"{above}/{found.get('id') or folder}")
    pairs([*_head(found), *_job(opened, found), *_whence(found)])
    for title, values in (("parameters", "parameters"), ("config", "config"), ("results", "results")):
        if found.get(values):
            write("")
            headline(title)
            pairs([(str(name), _words.value(value)) for name, value in found[values].items()], indent=2)
    _metrics(found)
    _attempts(found["execution_history"], str((found["error"] or {}).get("message") or ""))
    _tasks(found["tasks"])
    _files(found["assets"], str(found["path"]))
    _notes(found.get("notes") or ())
    _traceback(found)
    if (how := how_to_restart(opened.run(found["path"]), found)) is not None:
        say(f"hint: {_RESTARTING[how[0]]}: {how[1]}", prefix="")


def _draw(run: molexp.Run, as_json: bool) -> None:
    import molexp

    graph = run.workflow_graph
    if as_json:
        write(molexp.to_json(graph.to_dict() if graph is not None else None, pretty=True))
    elif graph is not None:
        headline(f"{graph.name}  {graph.workflow_id}  of {run.path}")
        rows = [_row(before, task) for before, task in graph.rows()]
        table(("TASK", "STATUS", "SECONDS", "AFTER", "OPTIONS", "DEFINED"), rows, least=2)
    if graph is None:
        say(f"{run.path} has no graph on record: no attempt executed a workflow, or an older MolExp executed it.")
        raise typer.Exit(NOT_FOUND)


def _row(before: str, task: molexp.GraphTask) -> tuple[str, ...]:
    after = [_words.first(task.depends_on, _NAMED)] if len(task.depends_on) > 1 else []
    if task.map_over is not None:
        after.append(f"each of {task.map_over}")
    return (
        drawable(before) + task.name,
        task.outcome or "not started",
        "" if task.seconds is None else f"{task.seconds:.3g}",
        "; ".join(after),
        _words.settings(task.options),
        f"{task.file or task.kind}:{task.line}" if task.line else task.file or task.kind,
    )


def _metrics(found: Mapping[str, Any]) -> None:
    if metrics := found.get("metrics"):
        write("")
        headline("metrics")
        columns = ("last", "step", "min", "min_step", "max", "max_step", "count")
        rows = [
            (name, *(_words.short(one[column]) if column in one else "" for column in columns))
            for name, one in metrics.items()
        ]
        table(("NAME", "LAST", "STEP", "MIN", "AT STEP", "MAX", "AT STEP", "COUNT"), rows)
        if found.get("metrics_left_out"):
            write(f"and at least {found['metrics_left_out']} more names without a summary; the file has their points")


def _head(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "status", _words.standing(found["status"], found.get("as_of"))
    if found.get("cause"):
        yield "cause", str(found["cause"])
    error = found.get("error")
    if error is not None:
        yield "error", f"{error.get('type')}: {error.get('message')}"
        if error.get("task"):
            yield "task", str(error["task"])
        if error.get("traceback"):
            yield "traceback", str(error["traceback"])
    yield (
        "created",
        f"{_words.moment(found.get('created_at'))}, {_words.age(str(found.get('created_at')))}".rstrip(", "),
    )
    history = found["execution_history"]
    if history and (took := _words.took(history[-1].get("started_at"), history[-1].get("ended_at"))):
        yield "duration", took if len(history) == 1 else f"{took} of attempt {len(history)}"


def _job(opened: molexp.Workspace, found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the job of a scheduler that made the newest attempt, and where that printed."""
    newest: Mapping[str, Any] = (found["execution_history"] or ({},))[-1]
    said = newest.get("submission")
    submission = said if isinstance(said, dict) else {}
    if job := submission.get("engine_job") or newest.get("job"):
        yield "job", str(job)
    if submission:
        from molexp.submissions import job_output

        if printed := job_output(opened.run(found["path"])):
            yield "printed", printed


def _whence(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if found.get("replica"):
        yield "replica", str(found["replica"])
    if found.get("profile"):
        yield "profile", str(found["profile"])
    if found.get("tags"):
        yield "tags", " ".join(found["tags"])
    if found.get("archived"):
        yield "archived", "yes"
    yield from _imported(found.get("imported_from") or {})
    yield from _origin(found.get("origin") or {})
    yield "workspace", str(found["workspace"])


def _imported(origin: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not origin:
        return
    yield "imported from", str(origin.get("folder") or "the past")
    who = f"by {origin.get('user')} on {origin.get('host')}"
    yield "imported", f"{_words.moment(origin.get('at'))} {who}" if origin.get("at") else f"not to the end, {who}"


def _origin(origin: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if origin.get("problem"):
        yield "provenance", str(origin["problem"])
    git = origin.get("git")
    if isinstance(git, dict) and git.get("commit"):
        yield "git", f"{git['commit'][:12]}{' with changes' if git.get('dirty') else ''}"
    elif isinstance(git, dict) and git.get("problem"):
        yield "git", str(git["problem"])
    if origin.get("python"):
        yield "python", f"{origin['python']} on {origin.get('platform')}"


def _tasks(tasks: Mapping[str, Mapping[str, Any]]) -> None:
    if tasks:
        write("")
        headline("tasks")
        rows = [
            (
                name,
                "reused" if one.get("reused") else str(one.get("status")),
                f"{one['seconds']:.3f}" if isinstance(one.get("seconds"), int | float) else "",
                str(one.get("retries") or ""),
                str(one.get("reason") or _where(one) or one.get("why") or one.get("not_restorable") or "").partition(
                    "\n"
                )[0],
            )
            for name, one in tasks.items()
        ]
        table(("TASK", "STATUS", "SECONDS", "RETRIES", "REASON"), rows)


def _where(one: Mapping[str, Any]) -> str:
    """Return where a task is that has not ended, if its executor has told."""
    if one.get("status") not in ("queued", "running"):
        return ""
    told = (f"on {one['host']}" if one.get("host") else "", f"job {one['job']}" if one.get("job") else "")
    return ", ".join(
        (*filter(None, told), *([f"requeued {_words.counted(one['restarts'], 'time')}"] if one.get("restarts") else []))
    )


def _attempts(history: list[Mapping[str, Any]], told: str) -> None:
    if not history:
        return
    write("")
    headline("attempts")
    drawn = on_terminal()
    titles = ["ATTEMPT", "STATUS", "STARTED", "TIME" if drawn else "ENDED", "HOST", "PID", "CAUSE", "REASON"]
    rows = [_attempt(one, drawn, told.partition("\n")[0]) for one in history]
    shown = [n for n, title in enumerate(titles) if not drawn or title != "REASON" or any(row[n] for row in rows)]
    table([titles[n] for n in shown], [[row[n] for n in shown] for row in rows])
    commands = [
        (str(one.get("attempt")), _exit(command), command_line(command.get("command")))
        for one in history
        for command in one.get("commands") or ()
    ]
    if commands:
        write("")
        headline("commands")
        table(("ATTEMPT", "EXIT", "COMMAND"), commands)


def _traceback(found: Mapping[str, Any]) -> None:
    if frames := (found["error"] or {}).get("frames"):
        write("")
        headline("traceback")
        write(str(frames))


def _attempt(one: Mapping[str, Any], drawn: bool, told: str) -> list[str]:
    """Return the cells of an attempt; on a terminal, with how long it took, and without a message that stands above."""
    ended, reason = _ended(one), str(one.get("reason") or "").partition("\n")[0]
    if drawn:
        whole = not (one.get("found_at") or one.get("ended_by"))
        ended = _words.took(one.get("started_at"), one.get("ended_at")) if whole else ended
        reason = "" if told and told in reason else reason
    return [
        str(one.get("attempt")),
        _words.standing(one.get("status"), one.get("as_of")),
        _words.moment(one.get("started_at")),
        ended,
        str(one.get("host") or ""),
        str(one.get("pid") or ""),
        str(one.get("cause") or ""),
        reason,
    ]


def _ended(attempt: Mapping[str, Any]) -> str:
    """Return the time of its end. An attempt that was found dead has its last sign of life, or when it was found."""
    how = "last seen " if attempt.get("found_at") else "not after " if attempt.get("ended_by") else ""
    return how + _words.moment(attempt.get("ended_at"))


def _exit(command: Mapping[str, Any]) -> str:
    return "timed out" if command.get("timed_out") else str(command.get("exit_code"))


def _files(assets: list[Mapping[str, Any]], path: str) -> None:
    """Print the files, on a terminal by their places in the run's folder."""
    if assets:
        write("")
        run = f"/runs/{path.rpartition('/')[2]}/"
        place = str(assets[0]["location"]).partition(run)[0] + run if on_terminal() else ""
        headline(f"files in {place}" if place else "files")
        rows = [
            (
                str(one["name"]),
                str(one["kind"]),
                str(one["attempt"]),
                _words.size(one["size"]),
                str(one["location"]).removeprefix(place),
            )
            for one in assets
        ]
        _table_of_files(("NAME", "KIND", "ATTEMPT", "SIZE", "LOCATION"), rows)


def _table_of_files(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table whose cells stay in one piece, to be copied: on a narrow terminal, locations stand below the rest."""
    drawn = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(width_of, column)) for column in zip(columns, *drawn, strict=True)]
    if not on_terminal() or sum(widths) + 2 * (len(widths) - 1) <= width_of_terminal():
        table(columns, rows, least=len(columns))
        return
    grid = Grid(columns[:-1], ["bold"] * len(widths[1:]), widths[:-1], [False] * len(widths[1:]))
    lines = grid.draw([row[:-1] for row in drawn]).splitlines()
    places = [faint(columns[-1]).rstrip(), *(row[-1] for row in drawn)]
    write_drawn("".join(f"{line}\n  {place}\n" for line, place in zip(lines, places, strict=True)))


def _notes(notes: Any) -> None:
    if notes:
        write("")
        headline("notes")
        pairs([(_words.moment(note.get("at")), str(note.get("text"))) for note in notes], indent=2)
