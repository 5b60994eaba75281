"""Serve by HTTP, for those who have the token."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mcp.server.mcpserver import MCPServer

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def serve(server: MCPServer[Any], host: str, port: int, token: str, *, told: Callable[[str], object]) -> None:
    """Listen until the process is asked to end.

    Args:
        server: the server.
        host: listen here. Requests must name it, so that no other site's page can reach it by a name of its own.
        port: the port; 0 for any free one.
        token: a client must send it.
        told: called with the address and the token.

    Raises:
        OSError: nobody can listen there.
    """
    import uvicorn

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(128)  # whoever is told the address can connect
    app = guarded(server.streamable_http_app(host=host), token)
    told(f"Listening on http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/mcp")
    told(f"Token: {token}")
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def guarded(app: App, token: str) -> App:
    """Return an application that refuses requests without the token."""
    wanted = f"Bearer {token}".encode()

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            if not secrets.compare_digest(given, wanted):
                headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain")]
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                await send({"type": "http.response.body", "body": b"The token is missing or wrong.\n"})
                return
        await app(scope, receive, send)

    return checked
