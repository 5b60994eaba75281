"""The first page: the only workspace, or a list of them; and the overview of one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

import molexp as me
from molexp_web._pages.rendering import render, url_for, workspace_of


def first(request: Request) -> Response:
    """Lead to the only workspace, or list them."""
    known = request.app.state.workspaces
    if len(known) == 1:
        return RedirectResponse(url_for(request, "overview", workspace=next(iter(known))), 303)
    return render(request, "workspaces.html", found={name: one.url for name, one in known.items()})


def overview(request: Request) -> Response:
    """Show what is in a workspace."""
    return render(request, "overview.html", found=me.describe_workspace(workspace_of(request)))


ROUTES = [
    Route("/", first, name="first"),
    Route("/w/{workspace}/", overview, name="overview"),
]
