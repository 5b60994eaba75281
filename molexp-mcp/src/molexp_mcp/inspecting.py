"""Answer what one run is, what it logged, what its files hold, where they come from, and why it failed."""

from __future__ import annotations

import codecs
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

import molexp as me
from molexp.errors import MolexpError, NotFoundError
from molexp_mcp.answers import CHARACTERS, LIMIT, Answer, cell, printable, table
from molexp_mcp.permissions import Permissions
from molexp_mcp.workspaces import Workspaces

_CANDIDATES = 200  # newest runs that succeeded, of which the most similar one is compared with a failed run
_HIDDEN = {"execution_state"}


def show_run(workspaces: Workspaces, run: str, workspace: str | None, tokens: int) -> Answer:
    """Show one run: parameters, results, metrics, attempts, tasks, files, tags, notes and origin."""
    opened = workspaces.get(workspace)
    found = me.describe_run(opened.run(run))
    answer = Answer(tokens)
    answer.say(f"Run {found['path']} is {found['status']}:")
    missing = answer.data(_run_lines(found))
    if missing:
        answer.left_out(f"{missing} more lines: raise `max_tokens`, or use read_log, read_metrics, read_asset.")
    return answer


def _run_lines(found: Mapping[str, Any]) -> Iterable[str]:
    yield from _cause(found)
    yield from _values(found)
    for name, summary in (found.get("metrics") or {}).items():
        yield f"metrics.{name}\t" + " ".join(f"{key}={cell(value)}" for key, value in summary.items())
    for attempt in found["execution_history"]:
        yield "attempt\t" + " ".join(
            f"{name}={cell(attempt[name])}"
            for name in ("attempt", "status", "cause", "started_at", "ended_at", "host", "reason")
            if attempt.get(name) is not None
        )
    for name, task in (found.get("tasks") or {}).items():
        yield f"task\t{name}\t{cell(task.get('status'))}\t{cell(task.get('seconds'))} s"
    for asset in found.get("assets") or ():
        if asset["kind"] not in _HIDDEN:
            yield f"asset\t{asset['name']}\t{asset['kind']}\t{asset.get('size')} bytes\tid={asset['id']}"
    yield from _origin(found.get("origin") or {})


def _cause(found: Mapping[str, Any]) -> list[str]:
    return [f"cause\t{cell(found['cause'])}"] if found.get("cause") else []


def _values(found: Mapping[str, Any]) -> Iterable[str]:
    for title in ("parameters", "results", "config"):
        for name, value in (found.get(title) or {}).items():
            yield f"{title}.{name}\t{cell(value, 300)}"
    if error := found.get("error"):
        yield f"error\t{cell(error.get('type'))}: {cell(error.get('message'), 500)}"
    if tags := found.get("tags"):
        yield f"tags\t{cell(' '.join(tags))}"
    for note in found.get("notes") or ():
        yield f"note\t{cell(note.get('text', note), 500)}"


def _origin(origin: Mapping[str, Any]) -> Iterable[str]:
    git = origin.get("git") or {}
    facts = {
        "git commit": git.get("commit"),
        "uncommitted changes": bool(git.get("diff")) if git else None,
        "python": origin.get("python"),
        "command": " ".join(map(str, origin.get("argv") or ())) or None,
    }
    for name, value in facts.items():
        if value is not None:
            yield f"{name}\t{cell(value, 300)}"


def read_log(
    workspaces: Workspaces, run: str, log: str | None, lines: int, contains: str, workspace: str | None, tokens: int
) -> Answer:
    """Read the end of a log, or the lines that contain a text."""
    found = workspaces.get(workspace).run(run)
    logs = [*found.logs]
    answer = Answer(tokens)
    if not logs:
        answer.say(f"Run {found.path} has no logs.")
        return answer
    name = log or ("log" if "log" in logs else logs[-1])
    if name not in logs:
        raise NotFoundError("log", name, where=found.path, nearest=logs)
    lines = max(1, min(lines, 1000))
    reader = found.log(name)
    text = (
        [line for line in reader.text().splitlines() if contains in line][-lines:] if contains else reader.tail(lines)
    )
    answer.say(f"{'Lines' if contains else 'The end'} of a log of {found.path}. Its name, and those of all its logs:")
    answer.data([f"{name}\t{', '.join(logs)}"])
    answer.say("The lines:")
    missing = answer.data((line.rstrip("\n") for line in text), newest=True)
    if missing or len(text) == lines:
        answer.left_out("Earlier lines are left out: raise `lines` and `max_tokens`, or give `contains`.")
    return answer


def read_asset(
    workspaces: Workspaces, asset: str, run: str | None, offset: int, workspace: str | None, tokens: int
) -> Answer:
    """Read the beginning of a file, or describe it if it is no text."""
    opened = workspaces.get(workspace)
    found = opened.run(run).asset(asset) if run else opened.asset(asset)
    answer = Answer(tokens)
    answer.say(f"An asset of {found.size} bytes, its kind, name and id, and what is in it:")
    answer.data([f"{cell(found.kind)}\t{cell(found.name, 300)}\t{printable(found.id)}"])
    try:
        with found.open() as file:
            file.seek(offset)
            data = file.read(min(tokens, LIMIT) * CHARACTERS)
    except (OSError, MolexpError) as error:
        answer.data(_description(found).splitlines())
        answer.say("Its bytes cannot be read here:")
        answer.data(str(error).splitlines())
        return answer
    if b"\0" in data:
        answer.say("It is no text.")
        answer.data(_description(found).splitlines())
        return answer
    text = _piece(data, answer.room, is_last=offset + len(data) >= (found.size or 0))
    answer.data(line.rstrip("\r\n") for line in text.splitlines(keepends=True))
    end = offset + len(text.encode("utf-8", "surrogateescape"))
    if end < (found.size or 0):
        answer.left_out(f"It goes on: call again with offset={end}.")
    return answer


def _piece(data: bytes, room: int, *, is_last: bool) -> str:
    """Return the text that there is room for, in whole lines if it can be. A byte that is no UTF-8 remains one, escaped.

    The beginning of a character that goes on behind the bytes is left to the next piece.
    """
    whole = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(data, is_last)
    text = whole[: bisect_left([*accumulate(len(printable(one)) for one in whole)], room)]
    return text if text == whole else text[: text.rfind("\n") + 1] or text


def _description(asset: me.Asset) -> str:
    try:
        return asset.describe()
    except Exception as error:  # noqa: BLE001 - the kind is a stranger's
        return f"It cannot be described: {type(error).__name__}: {error}"


def trace_lineage(workspaces: Workspaces, of: str, workspace: str | None, tokens: int) -> Answer:
    """Show what a run or an asset was made from, and what was made from it."""
    opened = workspaces.get(workspace)
    lineage = opened.catalog.lineage(of)
    answer = Answer(tokens)
    answer.say(f"Lineage of {of!r}:")
    missing = answer.data(str(lineage).splitlines())
    if missing:
        answer.left_out(f"{missing} more lines: raise `max_tokens`, or ask for one of the nodes.")
    return answer


def explain_failure(workspaces: Workspaces, run: str, workspace: str | None, tokens: int) -> Answer:
    """Say why a run did not succeed: error, traceback, last lines of logs, and the difference to the nearest success."""
    opened = workspaces.get(workspace)
    failed = opened.run(run)
    found = me.describe_run(failed)
    answer = Answer(tokens)
    answer.say(f"Run {found['path']} is {found['status']}.")
    if found["status"] == "succeeded":
        answer.say("There is no failure to explain; earlier attempts are in show_run.")
        return answer
    last = found["execution_history"][-1] if found["execution_history"] else {}
    error = found.get("error") or {}
    answer.data(
        [
            *_cause(found),
            *(f"{name}\t{cell(value, 500)}" for name, value in error.items() if name != "traceback" and value),
            *([f"reason\t{cell(last['reason'], 500)}"] if last.get("reason") else []),
        ]
    )
    _difference(answer, opened, failed)
    _traceback(answer, error)
    _ends_of_logs(answer, failed)
    answer.left_out("read_log has more of its logs, show_run its parameters and files.")
    return answer


def _traceback(answer: Answer, error: Mapping[str, Any]) -> None:
    lines = str(error.get("traceback") or "").splitlines()
    if lines:
        answer.say("The end of the traceback:")
        answer.data(lines[-15:], newest=True)


def _ends_of_logs(answer: Answer, run: me.Run) -> None:
    for name in [*run.logs][:3]:
        if lines := run.log(name).tail(5):
            answer.say("The end of a log:")
            answer.data([f"[{name}]", *(line.rstrip("\n") for line in lines)], newest=True)


def _difference(answer: Answer, opened: me.Workspace, failed: me.Run) -> None:
    project, experiment, _ = failed.path.split("/")
    rows = opened.catalog.runs(
        project=project, experiment=experiment, status="succeeded", sort="-created_at", limit=_CANDIDATES
    )
    if not rows:
        answer.say("No run of its experiment has succeeded, so there is nothing to compare it with.")
        return
    own = dict(failed.parameters)
    nearest = min(rows, key=lambda row: _distance(own, row.params))
    compared = opened.compare(failed, nearest)
    answer.say(
        "It differs from the run that succeeded and has the most similar parameters in (this run, then that one):"
    )
    answer.data(
        [
            f"nearest success\t{nearest.path}",
            *(
                f"{name}\t{cell(compared[0].get(name))}\t{cell(compared[1].get(name))}"
                for name in compared.columns
                if name.startswith(("params", "config", "host", "provenance", "profile"))
            ),
        ]
    )


def _distance(own: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    return sum(own.get(name) != other.get(name) for name in {*own, *other})


def describe_workflow(
    workspaces: Workspaces,
    permissions: Permissions,
    experiment: str,
    script: str | None,
    workspace: str | None,
    tokens: int,
) -> Answer:
    """Show the tasks of the workflow of an experiment: from the record, or from a script that may be imported."""
    opened, exp = workspaces.get(workspace), workspaces.experiment(experiment, workspace)
    answer = Answer(tokens)
    graph: me.WorkflowGraph | None
    if script:
        graph = bound(permissions, exp, script).graph
        answer.say(f"The workflow that {script} binds to {exp.path} now:")
    else:
        rows = opened.catalog.runs(project=exp.project.id, experiment=exp.id, sort="-created_at", limit=1)
        graph = opened.run(rows[0].path).workflow_graph if rows else None
        answer.say(f"The workflow of the newest run of {exp.path}, as it was recorded:")
    if graph is None:
        answer.say("There is none on record. Name a `script` that binds one, if this server allows it.")
        return answer
    answer.data([f"workflow\t{graph.name}\t{graph.workflow_id}", *_tasks(graph)])
    answer.say("Parameters that the experiment fixes, and those of its points:")
    answer.data([f"{name}\t{cell(value)}" for name, value in exp.params.items()] + _space(exp))
    return answer


def _tasks(graph: me.WorkflowGraph) -> list[str]:
    columns = ("task", "after", "over", "options", "file", "outcome")
    return table(
        columns,
        (
            (
                task.name,
                " ".join(task.depends_on),
                task.map_over,
                dict(task.options) or None,
                f"{task.file}:{task.line}" if task.file else None,
                task.outcome,
            )
            for task in graph.tasks
        ),
    )


def _space(exp: me.Experiment) -> list[str]:
    values = dict[str, list[str]]()
    for number, point in enumerate(exp.space or ()):
        if number == 1000:
            break
        for name, value in point.items():
            if (text := cell(value, 30)) not in (known := values.setdefault(str(name), [])):
                known.append(text)
    return [f"{name}\t{', '.join(known[:12])}" for name, known in values.items()]


def bound(permissions: Permissions, exp: me.Experiment, script: str) -> Any:
    """Import a script that is allowed, and return the workflow that it binds to an experiment.

    Raises:
        NotAllowedError: the script may not be imported.
        UnboundExperimentError: it binds none to this experiment.
    """
    from molexp.scripts import load_script
    from molexp.workflow import Workflow

    load_script(permissions.script(script))
    return Workflow.for_experiment(exp)
