"""Answer what a workspace holds, which runs match a query, in what they differ, and how their metrics went."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import molexp as me
from molexp_mcp.answers import Answer, cell, table
from molexp_mcp.workspaces import Workspaces

SAMPLE = 300  # newest runs from which fields are described
_VALUES = 6  # distinct texts that are named
_EXPERIMENTS = 25
_POINTS = 500
_GRAMMAR = (
    "A query compares fields with values: params.a > 3 and (status == 'failed' or results.energy < -1.5). There are also "
    "!=, <=, in ('x', 'y'), between 1 and 2, like '%part%', is null, not, and 'good' in tags. To sort downwards, put - before "
    "the field."
)


def describe_workspace(workspaces: Workspaces, experiment: str | None, workspace: str | None, tokens: int) -> Answer:
    """Describe what is in a workspace, and the fields by which its runs can be queried."""
    opened = workspaces.get(workspace)
    answer = Answer(tokens)
    found = me.describe_workspace(opened)
    counts = ", ".join(f"{number} {status}" for status, number in found["statuses"].items()) or "none yet"
    answer.say(
        f"Workspace {_name(workspaces, opened)!r}: {found['projects']} projects, {found['experiments']} experiments, "
        f"{found['runs']} runs ({counts}); {found['archived']} archived runs are left out."
    )
    if len(workspaces.named) > 1:
        answer.say(
            f"Other workspaces: {', '.join(name for name in workspaces.named if workspaces.named[name] is not opened)}."
        )
    if found["unreadable"]:
        answer.say(f"{len(found['unreadable'])} records cannot be read; `molexp fsck` names them.")
    scope = _scope(opened, experiment)
    if not experiment:
        _experiments(answer, opened)
    _fields(answer, opened, scope, found["runs"])
    answer.say(_GRAMMAR)
    return answer


def _name(workspaces: Workspaces, opened: me.Workspace) -> str:
    return next(name for name, workspace in workspaces.named.items() if workspace is opened)


def _scope(opened: me.Workspace, experiment: str | None) -> dict[str, str]:
    """Return the filters for an experiment, by "project/experiment" or its id.

    Raises:
        NotFoundError: there is none; with the nearest names.
    """
    if not experiment:
        return {}
    project, slash, name = experiment.partition("/")
    if not slash:
        known = {one.experiment for one in opened.catalog.totals() if one.experiment}
        if project not in known:  # those without runs are in no catalog
            known.update(name for one in opened.projects for name in one.experiments.ids())
        if project not in known:
            raise me.NotFoundError("experiment", project, where=opened.url, nearest=get_close_matches(project, known))
        return {"experiment": project}
    return {"project": opened.project(project).id, "experiment": opened.project(project).experiment(name).id}


def _experiments(answer: Answer, opened: me.Workspace) -> None:
    totals = sorted(opened.catalog.totals(), key=lambda one: str(one.newest), reverse=True)
    rows = [
        (one.path, one.runs, " ".join(f"{status}={number}" for status, number in one.statuses.items()), one.newest)
        for one in totals
        if one.experiment
    ]
    answer.say("Experiments, those with the newest runs first:")
    missing = answer.data(table(("experiment", "runs", "statuses", "newest run"), rows[:_EXPERIMENTS]))
    if missing or len(rows) > _EXPERIMENTS:
        answer.left_out(f"{len(rows)} experiments in all; name one as `experiment` to see its fields.")


def _fields(answer: Answer, opened: me.Workspace, scope: Mapping[str, str], count: int) -> None:
    rows = opened.catalog.runs(sort="-created_at", limit=SAMPLE, **scope)  # type: ignore[arg-type]  # names of filters
    described = dict[str, list[Any]]()
    for row in rows:
        for name, value in fields_of(row):
            described.setdefault(name, []).append(value)
    where = f"the newest {len(rows)} of {count} runs" if count > len(rows) and not scope else f"{len(rows)} runs"
    answer.say(
        f"Fields of {where}, with type, range and how many runs have it; and status, created_at, tags, experiment:"
    )
    lines = ["field\ttype\tvalues\truns", *(_field(name, values) for name, values in described.items())]
    if missing := answer.data(lines):
        answer.left_out(f"{missing} more fields; name an `experiment`, or raise `max_tokens`.")


def fields_of(row: me.RunRow) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a run that differ from run to run, by the names that queries have for them."""
    for root, values in (("params", row.params), ("results", row.results)):
        for name, value in values.items():
            yield from _leaves(f"{root}.{name}", value)
    for name, summary in row.metrics.items():
        yield f"metrics.{name}.last", summary.get("last")


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _leaves(f"{name}.{key}", below)
    else:
        yield name, value


def _field(name: str, values: Sequence[Any]) -> str:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if numbers and len(numbers) == len(values):
        finite = [value for value in numbers if math.isfinite(value)] or [math.nan]
        kind = "float" if any(isinstance(value, float) for value in numbers) else "int"
        return f"{name}\t{kind}\t{cell(min(finite))} .. {cell(max(finite))}\t{len(values)}"
    kinds = sorted({_kind(value) for value in values})
    texts = [*dict.fromkeys(cell(value, 30) for value in values)]
    more = f" and {len(texts) - _VALUES} more" if len(texts) > _VALUES else ""
    return f"{name}\t{'|'.join(kinds)}\t{', '.join(texts[:_VALUES])}{more}\t{len(values)}"


def _kind(value: Any) -> str:
    names = {"bool": "bool", "int": "int", "float": "float", "str": "text", "NoneType": "null"}
    return names.get(type(value).__name__, "array")


def find_runs(
    workspaces: Workspaces,
    query: str,
    experiment: str | None,
    sort: str | None,
    columns: Sequence[str] | None,
    limit: int,
    archived: bool,
    workspace: str | None,
    tokens: int,
) -> Answer:
    """List the runs that match a query."""
    opened = workspaces.get(workspace)
    filters: dict[str, Any] = {"archived": archived, **_scope(opened, experiment)}
    limit = max(1, min(limit, 1000))
    rows = opened.catalog.runs(query or None, sort=sort, limit=limit, **filters)
    total = len(rows)
    if total == limit:
        total = sum((opened.catalog.run_pages(query or None, **filters).statuses or {}).values())
    answer = Answer(tokens)
    if not rows:
        _nothing(answer, opened, query, filters)
        return answer
    answer.say(f"{len(rows)} of {total} runs that match{f', sorted by {sort}' if sort else ''}:")
    flat = [{"path": row.path, "status": str(row.status), **dict(fields_of(row)), **_plain(row)} for row in rows]
    chosen = [*columns] if columns else _columns(flat)
    lines = table(("path", *chosen), ([row["path"], *(_value(row, name) for name in chosen)] for row in flat))
    missing = answer.data(lines)
    shown = len(rows) - missing
    if missing or total > len(rows):
        answer.left_out(
            f"{total - shown} more runs match: narrow the query, name fewer `columns`, or raise `limit` or `max_tokens`."
        )
    _tell_unknown(answer, opened, query)
    if rows.unreadable:
        answer.left_out(f"{len(rows.unreadable)} records cannot be read and are left out.")
    return answer


def _plain(row: me.RunRow) -> dict[str, Any]:
    return {
        "created_at": row.created_at,
        "tags": " ".join(row.tags),
        "attempts": len(row.execution_history),
        "cause": row.cause,
        "profile": row.profile,
        "replica": row.replica,
    }


def _value(row: Mapping[str, Any], name: str) -> Any:
    """Return the value of a column; a metric's last value may be asked for by its name alone."""
    return row.get(name, row.get(f"{name}.last"))


def _columns(flat: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns to show: the status, and the fields that are not the same for all."""
    names = dict.fromkeys(name for row in flat for name in row if "." in name)
    if len(flat) > 1:
        names = {name: None for name in names if len({str(row.get(name)) for row in flat}) > 1}
    return ["status", *names]


def _nothing(answer: Answer, opened: me.Workspace, query: str, filters: Mapping[str, Any]) -> None:
    answer.say("No run matches.")
    misses = opened.catalog.near_misses(query or None, **filters)
    if misses:
        answer.say("Runs that meet each condition alone:")
        answer.data(f"{miss.condition}\t{miss.runs} runs{near(miss)}" for miss in misses)
    _tell_unknown(answer, opened, query)


def near(miss: me.NearMiss) -> str:
    """Return the values that are similar to what a condition asks for."""
    return f"; similar values: {', '.join(miss.nearest)}" if miss.nearest else ""


def _tell_unknown(answer: Answer, opened: me.Workspace, query: str) -> None:
    """Tell which fields of a query no run has, and those that are similar."""
    if unknown := opened.catalog.unknown_fields(query) if query else {}:
        answer.say("No run has these fields of the query; those that runs have and that are similar stand beside them:")
        answer.data(f"{name}\t{', '.join(map(cell, near))}" for name, near in unknown.items())


def compare_runs(workspaces: Workspaces, runs: Sequence[str], query: str, workspace: str | None, tokens: int) -> Answer:
    """Show in what runs differ."""
    opened = workspaces.get(workspace)
    named: list[Any] = [*runs]
    answer = Answer(tokens)
    if query:
        found = opened.catalog.runs(query, limit=21)
        named += found[:20]
        if len(found) > 20:
            answer.left_out("More than 20 runs match; the first 20 are compared. Narrow the query for others.")
    compared = opened.compare(*named)
    names = [column for column in compared.columns if column != "path"]
    answer.say(
        f"{len(names)} fields differ among {len(compared)} runs:" if names else f"{len(compared)} runs are the same."
    )
    paths = [str(row["path"]) for row in compared]
    missing = answer.data(table(("field", *paths), ((name, *(row.get(name) for row in compared)) for name in names)))
    if missing:
        answer.left_out(f"{missing} more fields differ: compare fewer runs, or raise `max_tokens`.")
    return answer


def read_metrics(
    workspaces: Workspaces,
    runs: Sequence[str],
    names: Sequence[str] | None,
    points: int,
    steps: tuple[float | None, float | None],
    workspace: str | None,
    tokens: int,
) -> Answer:
    """Show the curves of metrics, thinned."""
    opened = workspaces.get(workspace)
    answer = Answer(tokens)
    points = max(4, min(points, _POINTS))
    lines, unknown = list[str](), list[str]()
    for name in runs:
        run = opened.run(name)
        metrics = run.metrics
        curves = _curves(metrics, steps) if steps != (None, None) else _whole_curves(metrics, names or ())
        for metric in names or metrics:
            if metric in metrics:
                lines.append(_curve(f"{run.path}\t{metric}", metrics[metric], curves.get(metric, (0, [], [])), points))
            else:
                unknown.append(f"{run.path} has no metric {metric!r}; it has {', '.join(metrics) or 'none'}.")
    answer.say(
        f"Curves as step:value, at most {points} points each; of more, the least and greatest of each stretch stay."
    )
    missing = answer.data(lines)
    for sentence in unknown[:5]:
        answer.data([sentence])
    if missing:
        answer.left_out(f"{missing} more curves: name fewer `runs` or `names`, fewer `points`, or raise `max_tokens`.")
    return answer


Curve = tuple[int, list[float], list[float]]  # the number of points; steps and values of some


def _whole_curves(metrics: me.RunMetrics, names: Sequence[str]) -> dict[str, Curve]:
    """Return the curves, with more points than an answer has room for."""
    curves = dict[str, Curve]()
    for one in metrics.curves(names):
        known, steps, values = curves.get(one.name, (0, [], []))
        count, more, others, _ = one.thinned(4 * _POINTS)
        curves[one.name] = (
            known + count,
            [*steps, *more],
            [*values, *(math.nan if other is None else other for other in others)],
        )
    return curves


def _curves(metrics: me.RunMetrics, steps: tuple[float | None, float | None]) -> dict[str, Curve]:
    """Return the points between two steps that are numbers."""
    first, last = (-math.inf if steps[0] is None else steps[0]), (math.inf if steps[1] is None else steps[1])
    columns = metrics.to_columns()
    curves = dict[str, Curve]()
    for name, step, value in zip(columns["name"], columns["step"], columns["value"], strict=True):
        if step is not None and first <= step <= last and isinstance(value, int | float):
            count, some, values = curves.get(name, (0, [], []))
            some.append(step)
            values.append(value)
            curves[name] = count + 1, some, values
    return curves


def _curve(title: str, summary: Mapping[str, Any], curve: Curve, points: int) -> str:
    count, steps, values = curve
    shown = " ".join(
        f"{cell(step)}:{cell(value)}" for step, value in zip(*me.downsample(steps, values, points), strict=True)
    )
    facts = " ".join(f"{name}={cell(summary.get(name))}" for name in ("last", "min", "max"))
    return f"{title}\t{count} points\t{facts}\t{shown}"
