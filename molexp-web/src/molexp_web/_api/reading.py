"""Answer with the documents that commands print with ``--json``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import molexp as me
from molexp_web._api.declaring import Asked

MOST_COMPARED = 200


def workspaces(asked: Asked) -> Any:
    """List the workspaces."""
    return [{"name": name, "url": one.url} for name, one in asked.request.app.state.workspaces.items()]


def workspace(asked: Asked) -> Any:
    """Describe a workspace."""
    return me.describe_workspace(asked.workspace)


def projects(asked: Asked) -> Any:
    """List projects."""
    opened = asked.workspace
    totals: dict[str, list[me.Totals]] = {}
    for one in opened.catalog.totals():
        totals.setdefault(one.project, []).append(one)
    filled = {one.path for some in totals.values() for one in some if one.runs or one.archived}
    found = []
    for project in opened.projects:
        summed = _summed(totals.get(project.id, ()))
        if _is_shown(project, summed, archived=asked["archived"]):
            experiments = sum(one.path in filled or not one.deleted for one in project.experiments)
            found.append({**_named(project), "experiments": experiments, **summed})
    return found


def experiments(asked: Asked) -> Any:
    """List experiments."""
    opened, project = asked.workspace, asked["project"]
    within = [opened.project(project)] if project else [*opened.projects]
    totals = {one.path: [one] for one in opened.catalog.totals(project=within[0].id if project else None)}
    found = [(one, _summed(totals.get(one.path, ()))) for each in within for one in each.experiments]
    return [{**_named(one), **summed} for one, summed in found if _is_shown(one, summed, archived=asked["archived"])]


def _named(one: me.Project | me.Experiment) -> dict[str, Any]:
    return {"id": one.id, "path": one.path, "name": one.name}


def _is_shown(one: me.Project | me.Experiment, summed: dict[str, Any], *, archived: bool) -> bool:
    """Tell whether it is listed: not if it was deleted, or has archived runs alone."""
    if not (summed["runs"] or summed["archived"]):
        return not one.deleted
    return bool(archived or summed["runs"])


def _summed(totals: Iterable[me.Totals]) -> dict[str, Any]:
    some, statuses = [*totals], dict[str, int]()
    for one in some:
        for status, count in one.statuses.items():
            statuses[str(status)] = statuses.get(str(status), 0) + count
    return {
        "runs": sum(statuses.values()),
        "statuses": statuses,
        "archived": sum(one.archived for one in some),
        "newest": max((one.newest for one in some), default="") or None,
        "size": sum(one.size for one in some),
    }


def runs(asked: Asked) -> Any:
    """List runs."""
    catalog, limit = asked.workspace.catalog, int(asked["limit"])
    filters: dict[str, Any] = {
        "project": asked["project"] or None,
        "experiment": asked["experiment"] or None,
        "status": asked["status"] or None,
        "tags": asked["tag"],
        "archived": asked["archived"],
        "sort": asked["sort"] or None,
    }
    where = asked["q"].strip() or None
    found = catalog.runs(where, **filters, limit=limit + 1, after=asked["cursor"] or None)
    page = found[:limit]
    columns: list[str] = [name for one in asked["columns"] for name in one.split(",") if name.strip()]
    rows = [{"path": row.path, **{name: row.get(name) for name in columns}} for row in page] if columns else page.to_dicts()  # fmt: skip
    answer = {
        "runs": rows,
        "next": page[-1].path if len(found) > limit else None,
        "archived": found.archived,
        "unreadable": dict(found.unreadable),
    }
    if asked["count"]:
        answer["total"] = catalog.run_pages(where, **{**filters, "sort": None}).total
    return answer


def fields(asked: Asked) -> Any:
    """List the fields that queries may have."""
    return asked.workspace.catalog.fields(asked["containing"], limit=int(asked["limit"]))


def run(asked: Asked) -> Any:
    """Describe a run."""
    return me.describe_run(_run(asked))


def graph(asked: Asked) -> Any:
    """Show the workflow's graph of a run."""
    found = _run(asked).workflow_graph
    return found.to_dict() if found is not None else None


def _run(asked: Asked) -> me.Run:
    return asked.workspace.run("/".join(asked.part(name) for name in ("project", "experiment", "run")))


def compare(asked: Asked) -> Any:
    """Compare runs."""
    opened, where = asked.workspace, asked["q"].strip()
    named: list[Any] = asked["run"]
    if len(named) > MOST_COMPARED:
        raise ValueError(f"At most {MOST_COMPARED} runs are compared, not {len(named)}.")
    matching = opened.catalog.runs(where, limit=max(int(asked["limit"]) - len(named), 0)) if where else ()
    some = [*named, *matching]
    return opened.compare(*some) if some else []


def lineage(asked: Asked) -> Any:
    """Show the origin and the use of a run or an asset."""
    up, down = asked["up"], asked["down"]
    return asked.workspace.catalog.lineage(asked["of"], upstream=up or not down, downstream=down or not up).to_dict()


def assets(asked: Asked) -> Any:
    """List assets."""
    offset, limit = int(asked["cursor"]), int(asked["limit"])
    found = asked.workspace.catalog.assets(
        asked["q"].strip() or None,
        kind=asked["kind"] or None,
        name=asked["name"] or None,
        scope=asked["scope"],
        producer=asked["producer"] or None,
        sort=asked["sort"] or None,
        limit=offset + limit + 1,
    )
    page = found[offset : offset + limit]
    goes_on = len(found) > offset + limit
    return {
        "assets": page.to_dicts(),
        "next": str(offset + limit) if goes_on else None,
        "unreadable": dict(found.unreadable),
    }


def asset(asked: Asked) -> Any:
    """Describe an asset."""
    found = asked.workspace.asset(asked.part("id"))
    return {**found.to_dict(), "description": found.describe()}
