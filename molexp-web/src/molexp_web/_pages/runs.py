"""The table of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

import molexp as me
from molexp_web._pages.forms import Outcome, fields_of, leading_to
from molexp_web._pages.rendering import check_there, render, url_for, with_query, workspace_of
from molexp_web._table import cells
from molexp_web._table.asking import SIZES, Asked, asked_by, asked_of, columns_of, view_of
from molexp_web._table.filters import OPERATORS, condition, filters_of, query_of, spelled, without
from molexp_web._table.groups import groups_of
from molexp_web._table.listing import counts_of, listing_of
from molexp_web._table.views import save_view, saved_views

_SUGGESTED = 60
_LOOKED_AT = 2000  # names among which they are chosen
_CHOICES = 80  # columns that the chooser lists; others are found by name


def runs_page(request: Request) -> Response:
    """Show a page of the table, or lead to the address that a form means."""
    if (found := _meant(request)) is not None:
        return RedirectResponse(with_query(url_for(request, "runs", workspace=_name(request)), *found), 303)
    workspace, asked, part = workspace_of(request), asked_of(request.query_params), request.query_params.get("part", "")
    known = known_of(request)
    version = workspace.catalog.version()  # before the answer: what changes meanwhile is asked for again
    if part and request.query_params.get("version") == version:
        return Response(status_code=204)
    if asked.group:
        context: dict[str, Any] = {"groups": groups_of(workspace, asked), "listing": None}
    else:
        context = {
            "listing": listing_of(workspace, asked, known, version, counted="counted" in (part, *request.query_params)),
            "groups": None,
        }
    if context["listing"] is not None:
        check_there(request, context["listing"].lines)
    context["version"] = version
    if part:
        return render(request, "runs_live.html", **_common(request, asked), **context)
    return render(
        request,
        "runs.html",
        **_common(request, asked),
        **context,
        **_around(request, workspace, asked, context),
    )


def fields_found(request: Request) -> Response:
    """Suggest columns whose names have a text in them."""
    containing = request.query_params.get("containing", "")[:200]
    found = workspace_of(request).catalog.fields(containing, limit=_LOOKED_AT)
    plain = [name for name in cells.PLAIN if containing.lower() in name]
    names = [name for name in found if not name.startswith("workflow")]
    names.sort(key=lambda name: name.startswith("provenance"))  # that has a name for each package
    return JSONResponse([*plain, *names][:_SUGGESTED])


async def save(request: Request) -> Response:
    """Save a view, and lead to it."""
    form = await fields_of(request)
    asked = asked_of(QueryParams(form.get("query", "")))
    name = await run_in_threadpool(save_view, workspace_of(request), form.get("name", "")[:80], asked)
    place = with_query(url_for(request, "runs", workspace=_name(request)), *asked.pairs())
    return leading_to(request, place, Outcome(f"Saved the view “{name}” for everybody."))


def known_of(request: Request) -> dict[Any, Any]:
    """Return what the application remembers of earlier answers, such as counts; each is right for one version of a catalog."""
    state = request.app.state
    if not hasattr(state, "known"):
        state.known = {}
    return state.known  # type: ignore[no-any-return]  # the state is anything


def _name(request: Request) -> str:
    return str(request.path_params["workspace"])


def _meant(request: Request) -> list[tuple[str, str]] | None:
    """Return the query of the address that a form means: one more filter, or other columns; None if it is no form.

    Raises:
        ValueError: the filter makes no sense.
    """
    params = request.query_params
    asked = asked_of(params)
    if "field" in params:
        if not params["field"].strip():
            return asked.pairs()
        one = condition(params["field"], params.get("operator", "=="), params.get("value", ""))
        return asked.pairs(query=query_of([*filters_of(asked.query), one]))
    if "choose" in params:
        chosen = [*params.getlist("column"), *columns_of(params.get("more", ""))]
        return asked.pairs(columns=tuple(dict.fromkeys(chosen)))
    return None


def _common(request: Request, asked: Asked) -> Mapping[str, Any]:
    """Return what every part of the page needs."""
    base = url_for(request, "runs", workspace=_name(request))

    def to(**changes: Any) -> str:
        return with_query(base, *asked.pairs(**changes))

    def sorted_by(column: str, number: bool) -> str:
        """Return the address of the order by a column: numbers and times from the greatest first, then the other way round."""
        first, second = (f"-{column}", column) if number or column == "created_at" else (column, f"-{column}")
        return to(sort=second if asked.sort == first else first)

    return {
        "asked": asked,
        "base": base,
        "to": to,
        "sorted_by": sorted_by,
        "run_address": lambda path: f"{base}/{quote(path)}",
        "compare": url_for(request, "compare", workspace=_name(request)) if _has(request, "compare") else "",
        "with_status": lambda status: to(query=_with_status(asked.query, status)),
        "without": lambda place: to(query=without(asked.query, place)),
        "live": with_query(base, *asked.pairs(), ("part", "live")),
    }


def _around(request: Request, workspace: me.Workspace, asked: Asked, context: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what stands around the table: the choices of its forms, and saved views."""
    listing = context["listing"]
    names = [*listing.names] if listing else []
    shown = [heading.name for heading in listing.headings] if listing else [*asked.columns]
    offered = [name for name in (*names, *cells.PLAIN, *cells.ORIGIN) if name not in shown]
    offered += [
        f"{one}.{end}"
        for one in names
        if one.startswith("metrics.")
        for end in ("min", "max")
        if f"{one}.{end}" not in shown
    ]
    base = url_for(request, "runs", workspace=_name(request))
    views = saved_views(workspace, known_of(request), context["version"])
    return {
        "shown": shown,
        "offered": offered[:_CHOICES],
        "more_offered": max(0, len(offered) - _CHOICES),
        "suggested": [*map(spelled, [*dict.fromkeys([*shown, *offered])][:_SUGGESTED])],
        "filters": [] if listing else filters_of(asked.query),
        "operators": OPERATORS,
        "sizes": SIZES,
        "views": [
            (name, with_query(base, *asked_by(found)), dict(asked_by(found)) == view_of(asked))
            for name, found in views.items()
        ],
        "fields": url_for(request, "fields", workspace=_name(request)),
        "save": url_for(request, "save_view", workspace=_name(request)),
        "written": with_query("", *asked.pairs(cursors=(), at=0)).removeprefix("?"),
    }


def _with_status(query: str, status: str) -> str:
    """Return a query that asks for another status; for any, with ""."""
    others = [one for one in filters_of(query) if one.field != "status" or one.operator != "=="]
    return query_of([*others, *([f'status == "{status}"'] if status else [])])


def _has(request: Request, route: str) -> bool:
    return any(getattr(one, "name", "") == route for one in request.app.routes)


ROUTES: list[Route] = [
    Route("/w/{workspace}/runs", runs_page, name="runs"),
    Route("/w/{workspace}/fields", fields_found, name="fields"),
    Route("/w/{workspace}/views", save, name="save_view", methods=["POST"]),
]

__all__ = ["ROUTES", "counts_of", "known_of"]
