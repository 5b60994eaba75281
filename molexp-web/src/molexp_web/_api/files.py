"""Send the bytes of assets, so that nothing in them is executed."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from typing import IO
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

import molexp as me
from molexp_web._api.declaring import Asked
from molexp_web._pages.previews import OUTSIDE, lies_outside
from molexp_web._server.conditional import has, tag_of
from molexp_web._server.headers import ASSET_POLICY, PDF_POLICY

_PIECE = 1 << 18
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_ODD = re.compile(r"[^\w.+-]", re.ASCII)
_CODE = re.compile(r"(javascript|ecmascript|css|x-python|x-sh)")
_TEXTS = {"log", "md", "rst", "toml", "yaml", "yml", "ini", "cfg", "xyz", "extxyz", "cif", "pdb", "jsonl", "out", "inp"}


def content(asked: Asked) -> Response:
    """Send the bytes of an asset."""
    asset = asked.workspace.asset(asked.part("id"))
    if lies_outside(asset):
        raise HTTPException(403, OUTSIDE)
    kind = type_of(asset)
    file = asset.open()
    try:
        size = file.seek(0, 2)
        tag = tag_of(f"{asset.id} {asset.content_hash} {size}".encode()).removeprefix("W/")  # ranges need a strong one
        headers = {
            "accept-ranges": "bytes",
            "cache-control": "private, no-cache",
            "content-disposition": _disposition(asset, download=asked["download"]),
            "content-security-policy": PDF_POLICY if kind == "application/pdf" else ASSET_POLICY,
            "etag": tag,
        }
        if has(asked.request, tag):
            file.close()
            return Response(status_code=304, headers=headers)
        span = _span(asked, size, tag)
        if span is None:
            file.close()
            headers["content-range"] = f"bytes */{size}"
            return Response(status_code=416, headers=headers)
        start, stop = span
        status = 200
        if (start, stop) != (0, size) or ("range" in asked.request.headers and _is_range(asked, tag)):
            headers["content-range"], status = f"bytes {start}-{stop - 1}/{size}", 206
        headers["content-length"] = str(stop - start)
        if asked.request.method == "HEAD":  # nothing would be sent, and all of it read
            file.close()
            return Response(status_code=status, headers=headers, media_type=kind)
        return StreamingResponse(_pieces(file, start, stop), status, headers, kind)
    except BaseException:
        file.close()
        raise


def _is_range(asked: Asked, tag: str) -> bool:
    headers = asked.request.headers
    fits = headers.get("if-range", tag) == tag
    return fits and _RANGE.fullmatch(headers.get("range", "").strip()) is not None


def _span(asked: Asked, size: int, tag: str) -> tuple[int, int] | None:
    """Return the first byte to send and the one behind the last; None if there are no such bytes."""
    if not _is_range(asked, tag):
        return 0, size  # of several ranges, the whole is sent, as RFC 9110 allows
    first, last = _RANGE.fullmatch(asked.request.headers["range"].strip()).groups()  # type: ignore[union-attr]  # it matches
    if not first:
        if not last:
            return 0, size
        return (max(size - int(last), 0), size) if int(last) and size else None
    start, stop = int(first), min(int(last) + 1, size) if last else size
    return (start, stop) if start < size and start < stop else None


def _pieces(file: IO[bytes], start: int, stop: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < stop and (data := file.read(min(_PIECE, stop - start))):
            start += len(data)
            yield data


def type_of(asset: me.Asset) -> str:
    """Return the type of an asset's bytes for a browser. Code is text: no page of ours can execute it."""
    name = asset.key.rpartition("/")[2]
    guessed, encoding = mimetypes.guess_type(_ODD.sub("_", name))  # of "data:TYPE,", it would return any TYPE
    if encoding or (guessed is None and name.rpartition(".")[2].lower() not in _TEXTS):
        return "application/octet-stream"
    if guessed is None or _CODE.search(guessed):
        return "text/plain; charset=utf-8"
    return f"{guessed}; charset=utf-8" if guessed.startswith("text/") or guessed == "application/json" else guessed


def _disposition(asset: me.Asset, *, download: bool) -> str:
    name = asset.name if "." in asset.name else asset.key.rpartition("/")[2]
    return f"{'attachment' if download else 'inline'}; filename*=UTF-8''{quote(name, safe='')}"
