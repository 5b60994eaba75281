"""The view of each class, for notebooks."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from molexp._html.parts import Html, badge, badges, block, card, facts, folded, moment, size, table, words
from molexp.errors import MolexpError

_ROWS = 20  # rows of a table within a view
_LARGEST = 4 << 20  # bytes of an image that is shown
_TEXT = 2000  # letters of a text that are shown
_IMAGES = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "gif": "gif", "webp": "webp", "svg": "svg+xml"}


def shown(view: Callable[[Any], str], subject: Any) -> str:
    """Return the view of a subject; of one whose record cannot be read, what is wrong with it."""
    try:
        return view(subject)
    except (MolexpError, OSError) as error:
        return card(str(getattr(subject, "path", "") or repr(subject)), ["cannot be shown"], block(str(error)))


# ------------------------------------------------------------------------------------------------------------- the hierarchy


def workspace(ws: Any) -> str:
    """Return the view of a workspace: its projects, with their runs by status."""
    totals = [*ws.catalog.totals()]
    rows = []
    for project in ws.projects:
        own = [one for one in totals if one.project == project.id]
        experiments = sum(1 for one in own if one.experiment)
        rows.append((_named(project), experiments, *_counts(own)))
    more = [ws.url, _many(len(rows), "project"), _many(sum(one.runs for one in totals), "run")]
    columns = ("project", "experiments", *_COUNTED)
    return card("Workspace", more, _some(columns, rows))


def project(one: Any) -> str:
    """Return the view of a project: its experiments, with their runs by status."""
    totals = {found.experiment: found for found in one.workspace.catalog.totals(project=one.id)}
    rows = [(_named(exp), *_counts([totals[exp.id]] if exp.id in totals else [])) for exp in one.experiments]
    more = ["Project", one.name if one.name != one.id else "", _many(len(rows), "experiment")]
    return card(one.id, more, _some(("experiment", *_COUNTED), rows))


def experiment(one: Any) -> str:
    """Return the view of an experiment: its parameters, and its newest runs."""
    rows = one.project.workspace.catalog.runs(experiment=one.path, sort="-created_at")
    statuses = Counter(str(row.status) for row in rows)
    counted = f'<div class="more">{badges(statuses)}</div>' if statuses else ""
    more = ["Experiment", one.name if one.name != one.id else "", _many(len(rows), "run")]
    return card(one.path, more, facts("parameters", one.params), counted, _runs(rows))


def run(one: Any) -> str:
    """Return the view of a run: what went in, what came out, and what became of it."""
    found = one.to_dict()
    history = found.get("execution_history") or [{}]
    newest = history[-1]
    more = ["Run", moment(found.get("created_at")), _took(newest), str(newest.get("host") or "")]
    more += [_many(len(history), "attempt")] if len(history) > 1 else []
    more += [f"tagged {', '.join(found['tags'])}"] if found.get("tags") else []
    metrics = {name: found["last"] for name, found in one.metrics.items()}
    side = f"{facts('parameters', one.parameters)}{facts('results', one.results)}{facts('metrics, last', metrics)}"
    error = newest.get("error")
    problem = (
        f"{error.get('type')}: {error.get('message')}" if isinstance(error, dict) else str(newest.get("reason") or "")
    )
    graph = one.workflow_graph
    assets = one.assets
    listed = [(asset.name, asset.kind, Html(escape(size(asset.size))), moment(asset.created_at)) for asset in assets]
    return card(
        one.path,
        more,
        f'<div class="side">{side}</div>',
        block(problem[:_TEXT]) if found.get("status") != "succeeded" else "",
        folded(f"workflow {graph.name}", graph._repr_html_()) if graph is not None else "",
        folded(_many(len(assets), "asset"), _some(("name", "kind", "size", "created"), listed)) if assets else "",
        folded(_many(len(one.notes), "note"), block("\n".join(str(note.get("text")) for note in one.notes)))
        if one.notes
        else "",
        status=str(found.get("status")),
    )


def asset(one: Any) -> str:
    """Return the view of an asset: an image as such, otherwise what its kind shows, or the beginning of a text."""
    said = one.describe()
    more = [one.kind, "" if said.startswith(f"{one.kind} ") else said, size(one.size), moment(one.created_at), one.id]
    return card(one.name, more, _image(one) or _preview(one) or _beginning(one))


def metrics(one: Any) -> str:
    """Return the view of a run's metrics: the summary of each name."""
    columns = ("last", "step", "min", "min_step", "max", "max_step", "count")
    rows = [(name, *(found.get(column) for column in columns)) for name, found in one.items()]
    return card("Metrics", [_many(len(rows), "name")], _some(("name", *columns), rows))


# ------------------------------------------------------------------------------------------------------------------- answers


def rows(some: Any) -> str:
    """Return the view of rows: a table of the columns in which anything stands."""
    names, flat, count = some._shown()
    kept = [name for name in names if any(one.get(name) not in (None, [], "") for one in flat)]
    cells = ([_status(name, one.get(name)) for name in kept] for one in flat)
    return card(_many(count, "row"), (), table(kept, cells, count - len(flat)))


def comparison(some: Any) -> str:
    """Return the view of a comparison: a line for each field that differs, and a column for each run."""
    names, flat, _ = some._shown()
    fields = [name for name in names if name != "path"]
    cells = ([name, *(_of_run(name, one.get(name)) for one in flat)] for name in fields)
    paths = [str(one.get("path")) for one in flat]
    alike = len({path.rpartition("/")[0] for path in paths}) == 1
    heads = ["", *(path.rpartition("/")[2] if alike else path for path in paths)]
    return card(f"{_many(len(flat), 'run')} compared", [_many(len(fields), "field") + " differ"], table(heads, cells))


def lineage(one: Any) -> str:
    """Return the view of a lineage: its tree."""
    return card(f"Lineage of {one.of.label}", (), block(str(one)))


# --------------------------------------------------------------------------------------------------------------------- parts


_COUNTED = ("runs", "by status", "size", "newest")


def _counts(totals: Iterable[Any]) -> tuple[Any, ...]:
    own = [*totals]
    statuses: Counter[str] = Counter()
    for one in own:
        statuses.update(one.statuses)
    newest = max((one.newest for one in own), default="")
    return statuses.total(), Html(badges(statuses)), Html(escape(size(sum(one.size for one in own)))), moment(newest)


def _runs(found: Any) -> str:
    """Return a table of runs: of their parameters only those that differ."""
    newest = found[:_ROWS]
    flat = [dict(row) for row in newest]
    names = dict.fromkeys(name for row in flat for name in row if name.startswith(("params.", "results.")))
    names |= dict.fromkeys(
        name for row in flat for name in row if name.startswith("metrics.") and name.endswith(".last")
    )
    differing = [name for name in names if len({words(row.get(name)) for row in flat}) > 1 or len(flat) == 1]
    cells = (
        (row["id"], Html(badge(row["status"])), moment(row.get("created_at")), *(row.get(name) for name in differing))
        for row in flat
    )
    return table(("run", "status", "created", *differing), cells, len(found) - len(newest)) if flat else ""


def _some(names: tuple[str, ...], every: list[Any]) -> str:
    return table(names, every[:_ROWS], max(0, len(every) - _ROWS)) if every else '<div class="more">nothing yet</div>'


def _named(one: Any) -> str:
    return str(one.id) if one.name == one.id else f"{one.id} ({one.name})"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _status(name: str, value: Any) -> Any:
    if name == "created_at":
        return moment(value)
    return Html(badge(str(value))) if name == "status" and value else value


def _of_run(name: str, value: Any) -> str:
    found = _status(name, value)
    return found if isinstance(found, Html) else words(found)  # numbers stand on the left, too


def _took(attempt: Mapping[str, Any]) -> str:
    from datetime import datetime

    try:
        ended, began = (datetime.fromisoformat(attempt[name]) for name in ("ended_at", "started_at"))
        return f"{(ended - began).total_seconds():.3g} s"
    except (KeyError, TypeError, ValueError):
        return ""


def _image(one: Any) -> str:
    kind = _IMAGES.get(one.name.rpartition(".")[2].lower())
    if kind is None or one.kind == "data" or one.size > _LARGEST:
        return ""
    return _picture(one.read_bytes(), kind, one.name)


def _preview(one: Any) -> str:
    found = one.preview()
    if found is None:
        return ""
    if found.png:
        return _picture(found.png, "png", one.name) if len(found.png) <= _LARGEST else ""
    if found.html:  # a stranger's: in a frame that executes nothing
        return f'<iframe sandbox="" srcdoc="{escape(found.html)}" style="width:100%;height:24em;border:0"></iframe>'
    return block(found.text[:_TEXT])


def _picture(data: bytes, kind: str, name: str) -> str:
    return f'<img src="data:image/{kind};base64,{base64.b64encode(data).decode()}" alt="{escape(name)}"/>'


def _beginning(one: Any) -> str:
    """Return the beginning of a small file of text, as JSON and logs are."""
    if one.size > _LARGEST or one.kind not in ("artifact", "log", "error_trace"):
        return ""
    if one.kind == "artifact" and getattr(one, "format", "binary") == "binary":
        return ""
    return block(one.read_bytes().decode("utf-8", "replace")[:_TEXT])
