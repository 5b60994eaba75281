"""Addresses of the HTTP API, below the prefix of a proxy."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request


def api_link(request: Request, *parts: str) -> str:
    """Return the address of something of this workspace in the API, such as ``metrics``."""
    every = ("api", "v1", "workspaces", str(request.path_params["workspace"]), *parts)
    return f"{request.scope.get('root_path', '')}/{'/'.join(quote(part, safe='') for part in every)}"
