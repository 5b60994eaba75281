"""Answer errors: as pages to browsers, and as JSON to programs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import molexp as me
from molexp import errors
from molexp_web._server.headers import HEADERS

API = "/api/"


def refusal(code: str, message: str, hint: str = "") -> dict[str, str]:
    """Return an error as commands have it in their JSON."""
    return {"code": code, "message": message, "hint": hint}


def answer(
    request: Request, status: int, found: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> Response:
    """Return the response for an error."""
    if _wants_json(request):
        return Response(me.to_json({"error": dict(found)}), status, headers, "application/json")
    from molexp_web._pages.rendering import page

    text = page(request, "error.html", status=status, phrase=HTTPStatus(status).phrase, **found)
    return Response(text, status, headers, "text/html")


def _wants_json(request: Request) -> bool:
    path = str(request.scope["path"]).removeprefix(str(request.scope.get("root_path", "")))
    return path.startswith(API) or "application/json" in request.headers.get("accept", "")


def status_of(error: Exception) -> int:
    """Return the status for an error of MolExp."""
    match error:
        case errors.NotFoundError():
            return 404
        case errors.ReadOnlyError():
            return 403
        case errors.AssetExistsError() | errors.ConflictError() | errors.RunError():
            return 409
        case errors.StorePermissionError() | errors.CredentialsError():
            return 403
        case errors.AssetError() | ValueError():
            return 400
        case errors.StoreError():
            return 503
    return 503 if isinstance(error, OSError) else 500


def facts(error: Exception) -> dict[str, str]:
    """Return an error for programs: its code, the message, and the hint."""
    name = type(error).__name__.removesuffix("Error")
    code = "usage" if type(error) is ValueError else re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    hint = str(getattr(error, "hint", ""))
    return refusal(code, str(error).removesuffix(hint).rstrip() or type(error).__name__, hint)


def _ours(request: Request, error: Exception) -> Response:
    return answer(request, status_of(error), facts(error))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_")
    message = error.detail if error.detail != phrase else f"{phrase}: {request.url.path}"
    return answer(request, error.status_code, refusal(code, message), error.headers)


def _bug(request: Request, error: Exception) -> Response:
    hint = "The terminal of `molexp ui` has the traceback."
    return answer(request, 500, refusal("internal", f"{type(error).__name__}: {error}", hint), HEADERS)


HANDLERS: Mapping[Any, Any] = {
    HTTPException: _http,
    errors.MolexpError: _ours,
    ValueError: _ours,
    OSError: _ours,
    Exception: _bug,
}
"""The functions that answer errors, by the class of the error."""
