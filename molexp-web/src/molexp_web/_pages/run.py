"""One run: why it failed, what went in and came out, its curves, tasks, logs, files, attempts and origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import molexp as me
from molexp.errors import MolexpError
from molexp_cli.restarting import command_line, how_to_restart
from molexp_web._pages.api_links import api_link
from molexp_web._pages.asset_rows import asset_link, file_rows, lineage_link
from molexp_web._pages.charts import chart_settings, kept_query, last_values
from molexp_web._pages.graphs import Node, Picture, laid_out
from molexp_web._pages.record_words import cell, flat, is_number, lines_of, took
from molexp_web._pages.rendering import duration, render, url_for, with_query, workspace_of

_ATTEMPTS = 8  # side by side, the newest
_LINES, _MOST_LINES = 200, 5000  # of a log
_LOG = 1 << 20  # bytes of its end that are kept, however long its lines are
_LAST_LINES = 12  # of a log, beside an error
_VALUES = 500  # parameters, results or metrics that are listed
_DRAWN = 150  # tasks of a graph that is drawn
_TASKS = 300  # in the table
_FILES = 200
_DIFF = 200_000  # letters
_RESTARTING = {
    "resume": "Resume it; tasks that succeeded are not repeated",
    "repeat": "Try again",
    "python": "Try again, in Python, or by the script that started it",
}


def run_page(request: Request) -> Response:
    """Show a run."""
    workspace = workspace_of(request)
    parts = [str(request.path_params[name]) for name in ("project", "experiment", "run")]
    run = workspace.run("/".join(parts))
    found = me.describe_run(run)
    history: Sequence[Mapping[str, Any]] = found["execution_history"]
    newest = history[-1] if history else {}
    logs, problem = _logs(request, run)
    return render(
        request,
        "run.html",
        found=found,
        path=found["path"],
        lineage=lineage_link(request, found["path"]),
        json=api_link(request, "runs", *parts),
        log_address=with_query(api_link(request, "logs"), run=found["path"], name=logs["name"], follow=1)
        if logs
        else "",
        kept_query=lambda *without: kept_query(request, *without),
        project_query=f"project == {me.to_json(found['project'])}",
        experiment_query=f"experiment == {me.to_json(found['project'] + '/' + found['experiment'])}",
        file_query=f"scope == {me.to_json(found['path'])}",
        trace_link=asset_link(request, trace) if (trace := str((found["error"] or {}).get("trace") or "")) else "",
        newest=newest,
        seconds=took(newest.get("started_at"), newest.get("ended_at")),
        goes_on=found["status"] in ("running", "queued"),
        may_cancel=found["status"] in ("running", "queued", "pending"),
        scripts=_scripts(request, run),
        failure=_failure(run, found, logs),
        parameters=_values(found.get("parameters")),
        config=_values(found.get("config")),
        results=_results(request, found.get("results") or {}),
        metrics=last_values(found.get("metrics") or {})[:_VALUES],
        charts=chart_settings(request, {found["path"]: run.id}, found.get("metrics") or {}),
        graph=_graph(found.get("workflow_graph")),
        tasks=_tasks(found["tasks"]),
        task_count=len(found["tasks"]),
        logs=logs,
        log_problem=problem,
        files=file_rows(request, run.assets, _FILES),
        file_count=len(found["assets"]),
        attempts=_attempts(history),
        attempt_count=len(history),
        origin=_origin(found.get("origin") or {}),
        commands=[
            {**one, "line": command_line(one.get("command")), "attempt": attempt.get("attempt")}
            for attempt in history
            for one in attempt.get("commands") or ()
        ],
    )


# ---------------------------------------------------------------------------------------------------------------- values


def _values(found: Mapping[str, Any] | None) -> list[tuple[str, Any, bool]]:
    """Return names, cells, and whether each is a number."""
    pairs = [*flat(found or {})][:_VALUES]
    return [(name, cell(value), is_number(value)) for name, value in pairs]


def _results(request: Request, found: Mapping[str, Any]) -> list[tuple[str, Any, bool, str]]:
    """Return names, cells, whether each is a number, and where it leads."""
    rows = []
    for name, value in [*flat(found)][:_VALUES]:
        if isinstance(value, me.Asset):
            rows.append((name, value.name, False, asset_link(request, value.id)))
        elif isinstance(value, me.Run):
            rows.append((name, value.path, False, run_link(request, value.path)))
        else:
            rows.append((name, cell(value), is_number(value), ""))
    return rows


def run_link(request: Request, path: str) -> str:
    """Return the address of a run's page; "" for what is no path of a run."""
    parts = path.split("/")
    if len(parts) != 3 or not all(parts):
        return ""
    names = dict(zip(("project", "experiment", "run"), parts, strict=True))
    return url_for(request, "run", workspace=request.path_params["workspace"], **names)


# --------------------------------------------------------------------------------------------------------------- failure


def _failure(run: me.Run, found: Mapping[str, Any], logs: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what is said first of a run that did not succeed; None of one that did, or goes on."""
    status = found["status"]
    if status not in ("failed", "interrupted", "cancelled"):
        return None
    error = found["error"] or {}
    history = found["execution_history"]
    newest = history[-1] if history else {}
    reason = str(newest.get("reason") or "")
    said = str(error.get("message") or "")
    how = how_to_restart(run, found)
    return {
        "type": error.get("type") or "",
        "message": said or reason,
        "reason": reason if said and said not in reason else "",
        "cause": found.get("cause") or "",
        "task": error.get("task") or "",
        "frames": lines_of(str(error.get("frames") or "").splitlines()),
        "trace": error.get("trace") or "",
        "tail": lines_of(logs["lines"][-_LAST_LINES:]) if logs else "",
        "log": logs["name"] if logs else "",
        "resume": (_RESTARTING[how[0]], how[1]) if how is not None else None,
    }


def _scripts(request: Request, run: me.Run) -> list[str]:
    """Return the scripts by which the run may be executed; first that from which its workflow came."""
    names = [*request.app.state.scripts]
    if len(names) < 2:
        return names
    try:
        source = run.experiment.workflow_source or ""
    except MolexpError:  # its document cannot be read
        source = ""
    return sorted(names, key=lambda name: name != PurePath(source).name)


# ----------------------------------------------------------------------------------------------------------------- tasks


def _graph(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the picture of a workflow; of a large one, its facts alone."""
    if not found or "problem" in found:
        return dict(found) if found else None
    tasks = found["tasks"]
    picture: Picture | None = None
    if len(tasks) <= _DRAWN:
        edges = [(source, target, "") for source, target in found["edges"]]
        picture = laid_out((_node(task) for task in tasks), edges)
    return {"name": found["name"], "workflow_id": found["workflow_id"], "picture": picture, "count": len(tasks)}


def _node(task: Mapping[str, Any]) -> Node:
    status = str(task.get("status") or "")
    items = task.get("items") or {}
    seconds = task.get("seconds")
    words = [status or "not started", duration(seconds) if seconds is not None else ""]
    if items:
        words[0] = f"{sum(items.values())} × " + ", ".join(f"{status}" for status in sorted(items))
    place = f"{task['file']}:{task['line']}" if task.get("file") and task.get("line") else str(task.get("kind") or "")
    after = ", ".join(task.get("depends_on") or ())
    said = [f"{task['name']}: {', '.join(filter(None, words))}", f"after {after}" if after else "", place]
    return Node(
        id=task["name"],
        label=task["name"],
        below=", ".join(filter(None, words)),
        look=status or "pending",
        title="; ".join(filter(None, said)),
        link=f"#task-{task['name']}",
        shape="many" if task.get("map_over") else "",
    )


def _tasks(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the table of tasks: those that failed first where there are many."""
    rows = [
        {
            "name": name,
            "status": "reused" if one.get("reused") else str(one.get("status")),
            "seconds": one.get("seconds") if is_number(one.get("seconds")) else None,
            "retries": one.get("retries") or "",
            "started_at": one.get("started_at"),
            "reason": str(one.get("reason") or _where(one) or one.get("why") or one.get("not_restorable") or ""),
            "output": cell(one["output"]) if "output" in one else "",
        }
        for name, one in found.items()
    ]
    if len(rows) > _TASKS:
        rows.sort(key=lambda row: row["status"] in ("succeeded", "reused"))
    return rows[:_TASKS]


def _where(one: Mapping[str, Any]) -> str:
    """Return where a task is that has not ended, if its executor has told."""
    if one.get("status") not in ("queued", "running"):
        return ""
    told = (f"on {one['host']}" if one.get("host") else "", f"job {one['job']}" if one.get("job") else "")
    return ", ".join(filter(None, told))


# ------------------------------------------------------------------------------------------------------------------ logs


def _logs(request: Request, run: me.Run) -> tuple[dict[str, Any] | None, str]:
    """Return the end of the log that the address names, and the names of all; and what is wrong with it, in words."""
    logs = run.logs
    names = sorted(logs, key=lambda name: (name.startswith("tasks/"), name))
    if not names:
        return None, ""
    wanted = request.query_params.get("log", "")
    name = (
        wanted
        if wanted in logs
        else next((one for one in ("stderr", "stdout") if one in logs and not wanted), names[0])
    )
    count = _count(request.query_params.get("tail"), _LINES, _MOST_LINES)
    try:
        lines = _end(run, name, count)
        if not lines and name == "stderr" and not wanted and len(names) > 1:  # nothing is in it
            name = "stdout" if "stdout" in logs else names[0]
            lines = _end(run, name, count)
        problem = ""
    except MolexpError as error:
        lines, problem = [], str(error)
    address = request.url.path
    return {
        "name": name,
        "lines": lines,
        "text": lines_of(lines),
        "more": with_query(address, log=name, tail=min(count * 5, _MOST_LINES)) if len(lines) >= count else "",
        "all": [(one, with_query(address, log=one)) for one in names],
    }, problem


def _end(run: me.Run, name: str, count: int) -> list[str]:
    """Return the last lines of a log; a carriage return ends none, as in a terminal."""
    data = bytearray()
    for piece in me.read_logs(run, name, lines=False, tail=count):
        data += piece.data
        del data[:-_LOG]
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    return (lines[:-1] if lines[-1] == "" else lines)[-count:]


def _count(text: str | None, default: int, most: int) -> int:
    return max(1, min(int(text), most)) if text and text.isascii() and text.isdigit() and len(text) < 9 else default


# -------------------------------------------------------------------------------------------------------------- attempts


def _attempts(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Return the newest attempts side by side: for each fact that any has, the cells; the first are the numbers."""
    some = history[-_ATTEMPTS:]
    rows: list[tuple[str, list[Any]]] = [
        ("attempt", [one.get("attempt") for one in some]),
        ("status", [one.get("status") for one in some]),
        ("cause", [one.get("cause") or "" for one in some]),
        ("started", [one.get("started_at") or "" for one in some]),
        ("duration", [took(one.get("started_at"), one.get("ended_at")) for one in some]),
        ("ended", [_ended(one) for one in some]),
        ("reason", [one.get("reason") or "" for one in some]),
        ("tasks", [", ".join(f"{n} {s}" for s, n in sorted((one.get("tasks") or {}).items())) for one in some]),
        ("host", [one.get("host") or "" for one in some]),
        ("user", [one.get("user") or "" for one in some]),
        ("process", [one.get("pid") or "" for one in some]),
        ("job", [one.get("job") or "" for one in some]),
    ]
    return [(name, cells) for name, cells in rows if any(one not in ("", None) for one in cells)]


def _ended(one: Mapping[str, Any]) -> str:
    how = "last seen " if one.get("found_at") else "not after " if one.get("ended_by") else ""
    return f"{how}{str(one.get('ended_at') or '')[:19].replace('T', ' ')}".strip() if one.get("ended_at") else ""


# ---------------------------------------------------------------------------------------------------------------- origin


def _origin(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the origin of the newest attempt: facts, packages, and the uncommitted changes."""
    git = found.get("git")
    git = git if isinstance(git, Mapping) else {}
    packages = found.get("packages")
    diff = git.get("diff")
    return {
        "facts": [*_facts(found, git)],
        "packages": sorted(packages.items()) if isinstance(packages, Mapping) else [],
        "diff": diff[:_DIFF] if isinstance(diff, str) else "",
        "problem": str(found.get("problem") or git.get("problem") or ""),
    }


def _facts(found: Mapping[str, Any], git: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if git.get("commit"):
        yield "commit", f"{git['commit']}{', with changes that are not committed' if git.get('dirty') else ''}"
    for name in ("branch", "remote"):
        if git.get(name):
            yield name, str(git[name])
    if found.get("python"):
        yield "python", f"{found.get('implementation') or 'Python'} {found['python']}"
    known = {"schema", "type", "python", "implementation", "git", "packages", "problem"}
    for name, value in flat({name: value for name, value in found.items() if name not in known}):
        if value not in (None, "", [], {}):
            yield name.replace("_", " "), str(cell(value))


ROUTES: list[Route] = [Route("/w/{workspace}/runs/{project}/{experiment}/{run}", run_page, name="run")]
