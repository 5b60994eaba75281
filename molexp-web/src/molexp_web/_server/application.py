"""Put the application together."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import molexp as me
from molexp_web._api.curves import KnownCurves
from molexp_web._pages.forms import Outcomes
from molexp_web._pages.rendering import url_for
from molexp_web._server import failing
from molexp_web._server.conditional import accepts_gzip
from molexp_web._server.files import Files
from molexp_web._server.security import LOCAL, Guard

PAGES = ("overview", "runs", "run", "compare", "assets", "lineage", "changing")
"""The modules of `molexp_web._pages` that have `ROUTES`."""

API = ("routes",)
"""The modules of `molexp_web._api` that have `ROUTES`."""

STATIC = Path(__file__).parent.parent / "static"


def application(
    workspaces: Mapping[str, me.Workspace],
    *,
    token: str | None = None,
    changes: bool = False,
    prefix: str = "",
    hosts: Iterable[str] = LOCAL,
    scripts: Iterable[Path] = (),
) -> Starlette:
    """Return an ASGI application with all pages and the HTTP API.

    Args:
        workspaces: the workspaces by their names in addresses.
        token: whoever asks must have it; with None, everybody who can connect gets answers.
        changes: allow requests that change the record. They need the token.
        prefix: the path below which a proxy serves the application, such as ``/lab``.
        hosts: names that a request's ``Host`` may have. Others are refused: a foreign name that leads here is an attack.
        scripts: if changes are allowed, runs may be executed by the workflows that these Python files bind.

    Raises:
        ValueError: there is no workspace, or changes are allowed to everybody.

    Example:
        >>> from molexp_web import application
        >>> application({"lab": ws}, token="a long random text").state.changes
        False
    """
    if not workspaces:
        raise ValueError("There must be at least one workspace.")
    if changes and not token:
        raise ValueError("Changes need a token: without one, everybody who can connect could make them.")
    root = f"/{prefix.strip('/')}" if prefix.strip("/") else ""
    app = Starlette(
        routes=[*_routes()],
        middleware=[Middleware(Guard, token=token, changes=changes, prefix=root, hosts=frozenset(hosts))],
        exception_handlers=failing.HANDLERS,
    )
    app.router.redirect_slashes = False  # it would name the host and scheme that a proxy asks for
    app.state.workspaces, app.state.changes, app.state.token = dict(workspaces), changes, token
    app.state.scripts = {script.name: script.resolve() for script in scripts} if changes else {}
    app.state.curves, app.state.outcomes, app.state.changing = KnownCurves(), Outcomes(), Lock()
    app.state.tickets = set()  # each is taken once in place of the token
    app.state.filled = set()  # names of workspaces in which something was found
    app.state.started = secrets.token_hex(4)  # another version may answer differently: no ETag outlives this one
    return app


def named(workspaces: Iterable[me.Workspace]) -> dict[str, me.Workspace]:
    """Return workspaces by name: the last part of each one's URL, with a number where several have the same."""
    found: dict[str, me.Workspace] = {}
    for workspace in workspaces:
        name = base = workspace.url.rstrip("/").rpartition("/")[2] or "workspace"
        number = 1
        while name in found:
            number += 1
            name = f"{base}-{number}"
        found[name] = workspace
    return found


def _routes() -> Iterable[BaseRoute]:
    for package, names in (("_pages", PAGES), ("_api", API)):
        for name in names:
            module: Any = import_module(f"molexp_web.{package}.{name}")
            yield from module.ROUTES
    yield Route("/w/{workspace}", _with_slash)
    yield Mount("/static", _small(Files(directory=STATIC)), name="static")


def _with_slash(request: Request) -> Response:
    return RedirectResponse(url_for(request, "overview", workspace=request.path_params["workspace"]), 308)


def _small(app: ASGIApp) -> ASGIApp:
    """Compress files, and have browsers ask whether they are current: after an upgrade they are others."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["cache-control"] = "no-cache"
                headers.add_vary_header("accept-encoding")
            await send(message)

        await (compressed if accepts_gzip(scope) else app)(scope, receive, sending)

    compressed = GZipMiddleware(app, minimum_size=1000, compresslevel=9)
    return asked
