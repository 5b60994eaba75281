"""Files: a list by query and kind, and the page of one, with a preview, its origin and its users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import molexp as me
from molexp_web._extending import extensions
from molexp_web._pages.asset_rows import bytes_link, lineage_link, row_of
from molexp_web._pages.previews import preview_of
from molexp_web._pages.record_words import cell, flat, is_number
from molexp_web._pages.rendering import check_there, render, url_for, with_query, workspace_of
from molexp_web._pages.run import run_link
from molexp_web._server.conditional import conditional
from molexp_web._server.headers import ASSET_POLICY
from molexp_web.panels import Panel

_PAGE = 50  # rows
_PAGES = 200
_USERS = 50
_COLUMNS = 6  # fields of a kind that are columns
_KINDS = (
    "artifact",
    "checkpoint",
    "data",
    "log",
    "metrics",
    "error_trace",
    "figure",
    "image",
    "structure",
    "trajectory",
    "table",
    "array",
    "tensors",
    "zarr",
)
_SORTED = ("name", "kind", "size", "created_at")


def assets_page(request: Request) -> Response:
    """List the files that match a query."""
    workspace = workspace_of(request)
    asked = request.query_params
    query, kind, sort = asked.get("q", "").strip(), asked.get("kind", ""), asked.get("sort", "")
    number = int(page) if (page := asked.get("page", "1")).isascii() and page.isdigit() and len(page) < 5 else 1
    number = min(max(1, number), _PAGES)
    problem = ""
    found: Sequence[me.Asset] = ()
    try:
        found = workspace.catalog.assets(query or None, kind=kind or None, sort=sort or None, limit=number * _PAGE + 1)
    except ValueError as error:  # a query that cannot be understood, or a column that there is not
        problem = str(error)
    check_there(request, found)
    shown = [row_of(request, asset) for asset in found[(number - 1) * _PAGE : number * _PAGE]]
    for row in shown:
        row["run"] = run_link(request, row["producer"] or row["scope"] or "")
    columns = _columns(shown) if kind else []
    seen = (row["kind"] for row in shown)  # to ask which kinds there are would be slow
    every = dict.fromkeys(filter(None, (*_KINDS, kind, *seen)))
    address = request.url.path
    kept = {"q": query, "kind": kind, "sort": sort}
    return render(
        request,
        "assets.html",
        rows=shown,
        columns=columns,
        query=query,
        kind=kind,
        sort=sort,
        kinds=[(one, with_query(address, q=query, kind=one)) for one in every],
        every_kind=with_query(address, q=query),
        sorts={name: _sorted(address, kept, name) for name in (*_SORTED, *columns)},
        page=number,
        before=with_query(address, **{**kept, "page": number - 1 if number > 2 else ""}) if number > 1 else "",
        after=with_query(address, **kept, page=number + 1) if len(found) > number * _PAGE and number < _PAGES else "",
        problem=problem,
        pages=[
            (one, url_for(request, "plugin_page", workspace=request.path_params["workspace"], name=one))
            for one in extensions(request).pages
        ],
    )


def _sorted(address: str, kept: Mapping[str, str], name: str) -> str:
    """Return the address that sorts by a column; downwards, if it is sorted upwards now."""
    return with_query(address, **{**kept, "sort": f"-{name}" if kept["sort"] == name else name})


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the fields of a kind that become columns: those that most of the rows have."""
    names = dict.fromkeys(name for row in rows for name in row["fields"])
    counts = {name: sum(1 for row in rows if name in row["fields"]) for name in names}
    return sorted(names, key=lambda name: -counts[name])[:_COLUMNS]


def asset_page(request: Request) -> Response:
    """Show one file."""
    workspace = workspace_of(request)
    asset = workspace.asset(str(request.path_params["id"]))
    plugins = extensions(request)
    shown = preview_of(asset, plugins.of_kind(asset.kind, asset))
    facts = asset.to_dict()
    lineage = workspace.catalog.lineage(asset, upstream=False)
    users = [node for node in lineage.downstream if node.kind == "run"]
    return render(
        request,
        "asset.html",
        asset=facts,
        in_python=f"ws.asset({asset.id!r}).load()",
        fields=[(name, cell(value), is_number(value)) for name, value in flat(facts["fields"])],
        preview=shown,
        parts=[part_link(request, number, id=asset.id) for number in range(len(shown.panels))],
        bytes=bytes_link(request, asset.id),
        lineage=lineage_link(request, asset.id),
        run=run_link(request, facts["producer"] or ""),
        scope=run_link(request, facts["scope"] or ""),
        users=[(node, run_link(request, node.id)) for node in users[:_USERS]],
        more_users=max(0, len(users) - _USERS),
        faults=plugins.faults,
    )


def part_link(request: Request, number: int, **of: str) -> str:
    """Return the address of what a panel shows beside text: an image, a document, or atoms."""
    return with_query(url_for(request, "part", workspace=request.path_params["workspace"]), **of, part=number)


def part(request: Request) -> Response:
    """Return what a panel of an asset, or of a page, shows: bytes that execute nothing, wherever they come from."""
    workspace, asked = workspace_of(request), request.query_params
    if "page" in asked:
        panels: Sequence[Panel] = extensions(request).page(asked["page"], workspace, dict(asked))
    else:
        asset = workspace.asset(asked.get("id", ""))
        panels = preview_of(asset, extensions(request).of_kind(asset.kind, asset)).panels
    number = asked.get("part", "")
    if not (number.isascii() and number.isdigit()) or len(number) > 3 or int(number) >= len(panels):
        raise HTTPException(404)
    panel = panels[int(number)]
    if panel.png:
        content, type_ = panel.png, "image/png"
    elif panel.html:
        content, type_ = panel.html.encode("utf-8", "replace"), "text/html; charset=utf-8"
    else:
        content, type_ = panel.structure.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    headers = {"content-security-policy": ASSET_POLICY, "x-content-type-options": "nosniff"}
    return conditional(request, content, type_, headers)


def plugin_page(request: Request) -> Response:
    """Show a page of a plugin."""
    name = str(request.path_params["name"])
    plugins = extensions(request)
    if name not in plugins.pages:
        raise HTTPException(404, f"No plugin has the page {name!r}. There are: {', '.join(plugins.pages) or 'none'}.")
    asked = {key: value for key, value in request.query_params.items() if key not in ("page", "part")}
    panels = plugins.page(name, workspace_of(request), asked)
    parts = [part_link(request, number, page=name, **asked) for number in range(len(panels))]
    return render(request, "plugin.html", name=name, panels=panels, parts=parts, faults=plugins.faults)


ROUTES: list[Route] = [
    Route("/w/{workspace}/assets", assets_page, name="assets"),
    Route("/w/{workspace}/part", part, name="part"),
    Route("/w/{workspace}/assets/{id:path}", asset_page, name="asset"),
    Route("/w/{workspace}/pages/{name}", plugin_page, name="plugin_page"),
]
