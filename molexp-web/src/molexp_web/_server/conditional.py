"""Send again only what changed."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

_NEVER = re.compile(r"q\s*=\s*0(\.0*)?")
_SMALL = 1024


def tag_of(data: bytes) -> str:
    """Return an ETag for what these bytes stand for."""
    return f'W/"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'


def conditional(
    request: Request,
    body: str | bytes,
    media_type: str,
    headers: Mapping[str, str] | None = None,
    *,
    tag: str | None = None,
) -> Response:
    """Return a response with an ETag, compressed if the client takes that; 304 if the client has it.

    Args:
        request: the request.
        body: the body.
        media_type: its type.
        headers: further headers.
        tag: the ETag; by default one of the body.
    """
    data = body.encode("utf-8", "replace") if isinstance(body, str) else body
    tag = tag or tag_of(data)
    every = {"etag": tag, "cache-control": "private, no-cache", "vary": "accept-encoding, cookie", **(headers or {})}
    if has(request, tag):
        return Response(status_code=304, headers=every)
    if len(data) > _SMALL and accepts_gzip(request.scope):
        data = gzip.compress(data, 4, mtime=0)
        every["content-encoding"] = "gzip"
    return Response(data, headers=every, media_type=media_type)


def has(request: Request, tag: str) -> bool:
    """Tell whether the client has what this tag names."""
    given = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return tag.removeprefix("W/") in given or "*" in given


def accepts_gzip(scope: Scope) -> bool:
    """Tell whether the client takes compressed answers."""
    for one in Headers(scope=scope).get("accept-encoding", "").lower().split(","):
        name, _, weight = one.partition(";")
        if name.strip() == "gzip":
            return _NEVER.fullmatch(weight.strip()) is None
    return False
