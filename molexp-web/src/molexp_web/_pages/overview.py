"""The first page: the only workspace, or a list of them; and the overview of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from molexp_web._pages.rendering import check_there, render, url_for, with_query, workspace_of
from molexp_web._pages.runs import known_of
from molexp_web._table.listing import MANY
from molexp_web._table.summary import activity_of, experiments_of, summary_of


def first(request: Request) -> Response:
    """Lead to the only workspace, or list them."""
    known = request.app.state.workspaces
    if len(known) == 1:
        return RedirectResponse(url_for(request, "overview", workspace=next(iter(known))), 303)
    return render(request, "workspaces.html", found={name: one.url for name, one in known.items()})


def overview(request: Request) -> Response:
    """Show what runs, what failed, what is new, and what there is in a workspace."""
    workspace, part = workspace_of(request), request.query_params.get("part", "")
    base, runs = (url_for(request, route, workspace=request.path_params["workspace"]) for route in ("overview", "runs"))
    if part == "later":
        return render(request, "overview_later.html", runs=runs, **_later(request))
    version = workspace.catalog.version()
    if part and request.query_params.get("version") == version:
        return Response(status_code=204)
    summary = summary_of(workspace, known_of(request))
    context: dict[str, Any] = {
        "summary": summary,
        "total": sum(summary.counts.values()),
        "version": version,
        "runs": runs,
        "run_address": lambda path: f"{runs}/{quote(path)}",
        "live": with_query(base, part="live"),
        "later": with_query(base, part="later"),
        "whole": with_query(base, all="1"),
    }
    check_there(request, context["total"])
    if part:
        return render(request, "overview_live.html", **context)
    is_large = (
        context["total"] > MANY and "all" not in request.query_params
    )  # the page does not wait for counts of the whole index
    return render(
        request,
        "overview.html",
        place=workspace.url,
        title=workspace.name or request.path_params["workspace"],
        at_once=not is_large,
        **context,
        **({} if is_large else _later(request)),
    )


def _later(request: Request) -> Mapping[str, Any]:
    workspace = workspace_of(request)
    experiments, left_out = experiments_of(workspace)
    days = activity_of(workspace, known_of(request))
    return {"experiments": experiments, "left_out": left_out, "days": days, "recent": sum(day.runs for day in days)}


ROUTES = [
    Route("/", first, name="first"),
    Route("/w/{workspace}/", overview, name="overview"),
]
