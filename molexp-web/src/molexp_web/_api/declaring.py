"""Declare an operation of the API once: its route, the checks of its parameters and its description come from that."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import molexp as me
from molexp_web._pages.rendering import workspace_of
from molexp_web._server.bodies import body_of
from molexp_web._server.conditional import conditional, has, tag_of

BASE = "/api/v1"
WORKSPACE = "/workspaces/{workspace}"
_LONGEST = 65_536  # characters of a parameter
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no", "")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a query.

    Attributes:
        name: its name in addresses.
        says: its description.
        type: ``string``, ``integer``, ``number`` or ``boolean``.
        many: it may be repeated.
        default: the value if it is not given.
        least: the least number.
        most: the greatest number.
        needed: it must be given.
    """

    name: str
    says: str
    type: str = "string"
    many: bool = False
    default: Any = None
    least: float | None = None
    most: float | None = None
    needed: bool = False

    def read(self, given: list[str]) -> Any:
        """Return the value that an address gives.

        Raises:
            ValueError: it cannot be understood; the error names the parameter.
        """
        if any(len(one) > _LONGEST for one in given):
            raise ValueError(f"The parameter {self.name!r} is longer than {_LONGEST} characters.")
        if not given:
            if self.needed:
                raise ValueError(f"The parameter {self.name!r} is missing: {self.says}")
            return [] if self.many else self.default
        values = [self._value(one) for one in given]
        return values if self.many else values[-1]

    def _value(self, text: str) -> Any:
        match self.type:
            case "integer" | "number":
                return self._number(text)
            case "boolean":
                if (word := text.strip().lower()) in (*_TRUE, *_FALSE):
                    return word in _TRUE
                raise ValueError(f"The parameter {self.name!r} is true or false, not {text[:80]!r}.")
        return text

    def _number(self, text: str) -> float:
        try:
            found: float = int(text) if self.type == "integer" else float(text)
        except ValueError:
            found = math.nan
        least, most = (-math.inf if self.least is None else self.least), (math.inf if self.most is None else self.most)
        if not (math.isfinite(found) if isinstance(found, float) else True) or not least <= found <= most:
            what = "whole number" if self.type == "integer" else "number"
            span = f" from {self.least} to {self.most}" if self.most is not None else f" from {self.least}" if self.least is not None else ""  # fmt: skip
            raise ValueError(f"The parameter {self.name!r} is a {what}{span}, not {text[:80]!r}.")
        return found


@dataclass(frozen=True)
class Asked:
    """A request of the API whose parameters were read.

    Attributes:
        request: the request.
        given: the values of the parameters by name.
        body: the request's body.
    """

    request: Request
    given: Mapping[str, Any]
    body: bytes = b""

    def __getitem__(self, name: str) -> Any:
        return self.given[name]

    @property
    def workspace(self) -> me.Workspace:
        """The workspace that the address names; `NotFoundError` if there is none."""
        return workspace_of(self.request)

    def part(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[name])


Answering = Callable[[Asked], Any]


@dataclass(frozen=True)
class Operation:
    """An operation of the API.

    Attributes:
        path: its path below `BASE`, with ``{names}`` of its parts.
        answer: returns the document, or a response.
        summary: one line on it.
        parameters: of the query.
        returns: the description of the document.
        method: of HTTP.
        media_type: of the answer.
        versioned: the document depends on the catalog alone, so the catalog's version tells whether it changed.
        body: the schema of the request's body.
    """

    path: str
    answer: Answering
    summary: str
    parameters: tuple[Parameter, ...] = ()
    returns: str = ""
    method: str = "GET"
    media_type: str = "application/json"
    versioned: bool = False
    body: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The name of the operation: of its function."""
        return self.answer.__name__

    def route(self) -> Route:
        """Return the route."""
        endpoint = self._with_body if self.body is not None else self._endpoint
        return Route(f"{BASE}{self.path}", endpoint, methods=[self.method], name=f"api_{self.name}")

    async def _with_body(self, request: Request) -> Response:
        return await run_in_threadpool(self._endpoint, request, await body_of(request))

    def _endpoint(self, request: Request, body: bytes = b"") -> Response:
        asked = Asked(request, self._read(request), body)
        if self.versioned:
            tag = tag_of(f"{request.app.state.started} {asked.workspace.catalog.version()} {request.url}".encode())
            if has(request, tag):
                return conditional(request, b"", self.media_type, tag=tag)
            return conditional(request, me.to_json(self.answer(asked)), self.media_type, tag=tag)
        found = self.answer(asked)
        return found if isinstance(found, Response) else conditional(request, me.to_json(found), self.media_type)

    def _read(self, request: Request) -> dict[str, Any]:
        known = {one.name: one for one in self.parameters}
        given = request.query_params
        for name in given:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"There is no parameter {name[:80]!r}.{hint} There are: {', '.join(known) or 'none'}.")
        return {name: one.read(given.getlist(name)) for name, one in known.items()}
