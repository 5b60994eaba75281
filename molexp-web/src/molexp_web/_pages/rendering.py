"""Write pages from templates. Every value in them is escaped."""

from __future__ import annotations

import math
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from starlette.requests import Request
from starlette.responses import Response

import molexp as me
from molexp.errors import NotFoundError
from molexp_web._pages.forms import DONE, key_of
from molexp_web._server.conditional import conditional

TEMPLATES = Path(__file__).parent.parent / "templates"
NAVIGATION = (("overview", "Overview"), ("runs", "Runs"), ("compare", "Compare"), ("assets", "Files"))
"""The pages of a workspace that every page leads to, by the names of their routes."""

_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def render(request: Request, template: str, /, **context: Any) -> Response:
    """Return a page, with an ETag: a browser that has it gets 304.

    Besides the context, a template has ``request``, ``workspace`` (its name, or None), ``workspaces`` (all names), ``changes``
    (whether requests may change records), ``may_change`` (and whether those of this workspace can be), ``told`` (what became of a
    form that was sent), ``after`` (the name of what became of the last one), ``here`` (the address of the page), and the functions ``url_for(name, **params)``, ``static(path)`` and
    ``with_query(address, **query)``. ``active`` is the name of the page in the navigation.
    """
    return conditional(request, page(request, template, **context), "text/html; charset=utf-8")


def page(request: Request, template: str, /, **context: Any) -> str:
    """Return the text of a page."""
    state = request.app.state
    known = state.workspaces
    name = request.scope.get("path_params", {}).get("workspace")
    is_known = name in known
    may_change = state.changes and is_known and not known[name].read_only
    every = {
        "request": request,
        "static": lambda path: url_for(request, "static", path=path),
        "home": url_for(request, "first"),
        "navigation": [(route, label) for route, label in NAVIGATION if _has(request, route)],
        "active": _active(request),
        "workspace": name if is_known else None,
        "workspaces": list(known),
        "changes": state.changes,
        "may_change": may_change,
        "change": url_for(request, "change", workspace=name) if may_change else "",
        "form_key": key_of(request) if may_change else "",
        "after": state.outcomes.name if may_change else "",
        "told": state.outcomes.get(request.query_params.get(DONE, "")) if is_known else None,
        "here": with_query(request.url.path, *(one for one in request.query_params.multi_items() if one[0] != DONE)),
        "url_for": lambda route, /, **params: url_for(request, route, **params),
    }
    return environment().get_template(template).render({**every, **context})


def check_there(request: Request, found: object) -> None:
    """Find out why a workspace that had something has nothing any more.

    Args:
        request: the request.
        found: the runs or files that were found, or how many.

    Raises:
        NotFoundError: it has been deleted.
    """
    filled, name = request.app.state.filled, request.path_params["workspace"]
    if found:
        filled.add(name)
    elif name in filled:
        me.Workspace.load(workspace_of(request).url, read_only=True)


def workspace_of(request: Request) -> me.Workspace:
    """Return the workspace that an address names.

    Raises:
        NotFoundError: there is none of this name.
    """
    known: Mapping[str, me.Workspace] = request.app.state.workspaces
    name = str(request.path_params["workspace"])
    if name not in known:
        raise NotFoundError("workspace", name, nearest=[*known])
    return known[name]


def url_for(request: Request, route: str, /, **params: Any) -> str:
    """Return the path of a route, below the prefix of a proxy. It names no host, so it is right behind any proxy.

    Example: ``url_for(request, "run", workspace="lab", project="metals", experiment="cu", run="cu-1")``.
    """
    quoted = {name: value if name == "path" else quote(str(value), safe="") for name, value in params.items()}
    path = request.app.router.url_path_for(route, **quoted)
    return f"{request.scope.get('root_path', '')}{path}"


def with_query(address: str, /, *pairs: tuple[str, Any], **query: Any) -> str:
    """Return an address with a query. A list repeats a name, and what is None or empty is left out."""
    found = [
        (name, one)
        for name, value in (*pairs, *query.items())
        for one in (value if isinstance(value, list | tuple) else [value])
        if one not in (None, "")
    ]
    return f"{address}?{urlencode(found)}" if found else address


def number(value: Any, digits: int = 6) -> str:
    """Return a value as the text of a cell: floats with six digits, texts as they are."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.{digits}g}" if math.isfinite(value) else str(value)
    return str(value) if isinstance(value, str | int) else me.to_json(value)


def size(count: Any) -> str:
    """Return a number of bytes for people."""
    amount = float(count or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def duration(seconds: Any) -> str:
    """Return a duration for people: ``850 ms``, ``4.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None:
        return ""
    amount = max(float(seconds), 0.0)
    if amount < 60:
        return f"{amount * 1000:.0f} ms" if amount < 1 else f"{amount:.1f} s"
    for (unit, length), (below, part) in zip(_UNITS, (*_UNITS[1:], ("s", 1)), strict=True):
        if amount >= length:
            rest = int(amount % length // part)
            return f"{int(amount // length)} {unit}" + (f" {rest} {below}" if rest else "")
    return ""


def moment(value: Any) -> datetime | None:
    """Return a time of the record, or None if it is none."""
    if isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def age(value: Any) -> str:
    """Return how long ago a time was: ``5 min ago``. It changes, so `site.js` writes it anew from ``<time datetime>``."""
    found = moment(value)
    if found is None:
        return ""
    seconds = (datetime.now(UTC) - found).total_seconds()
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now" if seconds < 5 else "less than a minute ago"


def _has(request: Request, route: str) -> bool:
    return any(getattr(one, "name", "") == route for one in request.app.routes)


def _active(request: Request) -> str:
    return str(getattr(request.scope.get("route"), "name", ""))


class _Compiled(jinja2.FileSystemBytecodeCache):
    """Templates as earlier processes of this user compiled them; whatever is wrong with these, they are compiled again.

    What is read here is executed. Jinja looks once at whose folder it is, and changes the mode of whatever a link of another user
    leads to; a server that goes on for weeks may see its folder tidied away, and another user make one of the same name.
    """

    def load_bytecode(self, bucket: Any) -> None:
        """Take the code of a template if there is any."""
        if not _is_ours(self.directory):
            return
        try:
            super().load_bytecode(bucket)
        except Exception:  # noqa: BLE001 - Jinja believes that nothing is ever damaged
            bucket.reset()

    def dump_bytecode(self, bucket: Any) -> None:
        """Keep the code of a template where that can be written."""
        with suppress(OSError):
            if not os.path.lexists(self.directory):
                os.mkdir(self.directory, 0o700)
            if _is_ours(self.directory):
                super().dump_bytecode(bucket)


def _is_ours(folder: str) -> bool:
    """Tell whether a folder is this user's, and nobody else's."""
    if sys.platform == "win32":  # folders for temporary files belong to one user
        return os.path.isdir(folder)
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _compiled() -> jinja2.BytecodeCache | None:
    try:
        folder = tempfile.gettempdir()
    except OSError:  # there is none that can be written to
        return None
    user = "" if sys.platform == "win32" else f"-{os.getuid()}"
    return _Compiled(os.path.join(folder, f"molexp-templates{user}"))


@cache
def environment() -> jinja2.Environment:
    """Return what writes pages from templates."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    made = jinja2.Environment(
        loader=loader,
        autoescape=True,
        auto_reload=False,
        bytecode_cache=_compiled(),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters.update(number=number, size=size, duration=duration, age=age)
    made.globals.update(with_query=with_query)
    return made
