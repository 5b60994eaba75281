"""Listen."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable
from urllib.parse import quote

from starlette.applications import Starlette

from molexp_web._server.security import ANY_ADDRESS, LOCAL


def hosts_of(host: str) -> list[str]:
    """Return the names that requests may have for a server that listens here."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return [host, *LOCAL] if host == "localhost" else [host]
    if address.is_loopback:
        return [host, *LOCAL]
    if address.is_unspecified:
        return [*LOCAL, ANY_ADDRESS, socket.gethostname(), socket.getfqdn()]
    return [host]


def serve(
    app: Starlette,
    host: str,
    port: int,
    *,
    token: str,
    prefix: str = "",
    show: bool = False,
    told: Callable[[str], object],
) -> None:
    """Listen until the process is asked to end.

    Args:
        app: the application.
        host: listen here.
        port: the port; 0 for any free one.
        token: the token of the address that is told.
        prefix: the path below which a proxy serves.
        show: open the page in a browser.
        told: called with a line that has the address.

    Raises:
        OSError: nobody can listen there.
    """
    import uvicorn

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"{error.strerror} ({host}, port {port}); --port 0 takes a free one") from None
    listener.listen(128)  # whoever is told the address can connect
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a comparison
    place = f"[{name}]" if ":" in name else name
    path = f"/{prefix.strip('/')}/" if prefix.strip("/") else "/"
    address = f"http://{place}:{listener.getsockname()[1]}{path}?token="
    told(f"Listening on {address}{quote(token, safe='')}")
    if show:
        import webbrowser

        ticket = secrets.token_urlsafe(24)  # all users of the machine see the arguments with which a browser starts
        app.state.tickets.add(ticket)
        webbrowser.open(address + ticket)
    # Streams that follow a log go on for ever: nobody waits for them at the end.
    config = uvicorn.Config(
        app,
        http="h11",  # and nobody looks for others, which would be imported
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listener])
