"""The routes of the API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import molexp as me
from molexp_web._api.declaring import BASE
from molexp_web._api.openapi import describe
from molexp_web._api.operations import CHANGING, READING
from molexp_web._server.conditional import conditional


def openapi(request: Request) -> Response:
    """Describe the API."""
    every = (*READING, *CHANGING) if request.app.state.changes else READING
    document = describe(every, str(request.scope.get("root_path", "")))
    return conditional(request, me.to_json(document), "application/json")


ROUTES = [
    Route(f"{BASE}/openapi.json", openapi, name="api_openapi"),
    *(one.route() for one in (*READING, *CHANGING)),
]
