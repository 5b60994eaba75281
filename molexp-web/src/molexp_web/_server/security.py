"""Refuse whoever has no token, whoever came by a foreign name, and what another site's page asks for."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from molexp_web._server.failing import answer, refusal
from molexp_web._server.headers import HEADERS

LOCAL = ("127.0.0.1", "localhost", "::1")
ANY_ADDRESS = "*"
"""Among hosts: every address in numbers. No name can be made to lead to another machine if there is none."""

_READING = ("GET", "HEAD")
_STATIC = "/static/"


class Guard:
    """Middleware that every request passes first.

    Attributes:
        token: the token, or None if there is none.
        changes: other methods than GET and HEAD are allowed.
        prefix: the path below which a proxy serves, without a slash at its end.
        hosts: the names that a ``Host`` may have, without a port.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, changes: bool, prefix: str, hosts: frozenset[str]) -> None:
        self.app, self.token, self.changes, self.prefix = app, token, changes, prefix
        self.hosts = frozenset(host.lower().strip("[]") for host in hosts)
        # Cookies are shared by all ports of a host, so each server has a name of its own.
        self.cookie = f"molexp-{hashlib.sha256((token or '').encode()).hexdigest()[:12]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        scope = self._placed(scope)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope)
        response = self._refused(request) or self._entered(request)
        await (response or self.app)(scope, receive, sending)

    def _placed(self, scope: Scope) -> Scope:
        """Return the scope with the prefix in its path, whether the proxy has taken it away or not."""
        path = str(scope["path"])
        if self.prefix and path != self.prefix and not path.startswith(f"{self.prefix}/"):
            path = self.prefix + path
        return {**scope, "path": path, "root_path": self.prefix}

    def _refused(self, request: Request) -> Response | None:
        headers = request.headers
        if not self._knows(host := headers.get("host", "")):
            named = _without_port(host)
            return answer(request, 421, refusal("wrong_host", f"Nobody is known here by the name {named!r}.",
                "Use the address that `molexp ui` printed, or start it with --allow-host and this name."))  # fmt: skip
        site, origin = headers.get("sec-fetch-site", ""), headers.get("origin")
        if request.method in _READING:
            return None
        if (origin is not None and not self._is_ours(origin, host)) or site in ("cross-site", "same-site"):
            return answer(request, 403, refusal("wrong_origin", "A page of another site sent this request.",
                "Send it from a page of this server, or by a program without an Origin."))  # fmt: skip
        if not self.changes:
            return answer(request, 403, refusal("changes_not_allowed", "This server changes nothing.",
                "Whoever starts it can add --allow-changes."))  # fmt: skip
        if origin is None and not _bearer(headers):
            return answer(request, 403, refusal("wrong_origin", "The request has no Origin.",
                "A program sends the token as 'Authorization: Bearer TOKEN' instead."))  # fmt: skip
        return None

    def _knows(self, host: str) -> bool:
        name = _without_port(host)
        if name in self.hosts:
            return True
        if ANY_ADDRESS not in self.hosts:
            return False
        try:
            ip_address(name)
        except ValueError:
            return False
        return True

    def _is_ours(self, origin: str, host: str) -> bool:
        """Tell whether a page of this server sent it, which a proxy may know by another name that is allowed.

        Another port of the same name may be another user's server, and has our cookie.
        """
        try:
            place = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        name = _without_port(host)
        by_proxy = name in LOCAL or name == host.lower()
        return place == host.lower() or (by_proxy and place.strip("[]") in self.hosts.difference(LOCAL))

    def _entered(self, request: Request) -> Response | None:
        """Return an answer to whoever has no token, or comes with one in the address; None for everybody else."""
        path = str(request.scope["path"]).removeprefix(self.prefix)  # not of a URL, which the Host has a part in
        if self.token is None or path.startswith(_STATIC):
            return None
        pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in pairs if name == "token"]
        if given and self._may_enter(request, given[-1], self.token):
            query = urlencode([pair for pair in pairs if pair[0] != "token"])
            redirect = RedirectResponse(self._place(request, query), 303)
            secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
            redirect.set_cookie(
                self.cookie, self.token, path=self.prefix or "/", httponly=True, samesite="strict", secure=secure
            )
            redirect.headers["cache-control"] = "no-store"
            return redirect
        if _equal(_bearer(request.headers), self.token) or _equal(self._kept(request.headers), self.token):
            return None
        found = refusal("no_token", "The token is missing or wrong." if given else "The token is missing.",
            "Open the address that `molexp ui` printed. A program sends 'Authorization: Bearer TOKEN'.")  # fmt: skip
        return answer(request, 401, found, {"www-authenticate": "Bearer", "cache-control": "no-store"})

    def _may_enter(self, request: Request, given: str, token: str) -> bool:
        if request.method not in _READING:
            return False
        if _equal(given, token):
            return True
        tickets: set[str] = request.app.state.tickets
        if request.method == "GET" and given in tickets:
            tickets.discard(given)
            return True
        return False

    def _place(self, request: Request, query: str) -> str:
        path = "/" + request.scope["path"].lstrip("/\\")  # a path of two slashes would be another host
        return quote(path) + (f"?{query}" if query else "")

    def _kept(self, headers: Headers) -> str:
        try:
            found: Mapping[str, object] = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        return str(getattr(found.get(self.cookie), "value", ""))


def _without_port(host: str) -> str:
    """Return the name in a ``Host``, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _bearer(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _equal(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())
