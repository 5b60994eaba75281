"""The addresses of the API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import molexp as me
from molexp_web._server.conditional import conditional


def workspaces(request: Request) -> Response:
    """List the workspaces."""
    found = [{"name": name, "url": one.url} for name, one in request.app.state.workspaces.items()]
    return conditional(request, me.to_json(found), "application/json")


ROUTES = [Route("/api/v1/workspaces", workspaces, name="api_workspaces")]
