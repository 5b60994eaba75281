"""From what drivers of fsspec say, each in its own words, to what a store says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import attrs

from molexp.contracts import Stat
from molexp.errors import CredentialsError, KeyNotFoundError, StoreError, StorePermissionError, UnavailableError
from molexp_s3_store._blocks import BlockReader

_BLOCK = 8 << 20
_TAGS = ("ETag", "etag", "e_tag", "md5Hash", "Content-MD5", "content_md5", "checksum", "sha", "CRC", "Last-Modified")
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "timeModified", "date_time")


def describe(key: str, info: Mapping[str, Any], size: Callable[[], int] = lambda: 0) -> Stat:
    """Return the description of a file. Its version is a hash of what the driver tells about the content and its time."""
    known = [str(info[name]) for name in (*_TAGS, *_TIMES) if info.get(name) is not None]
    length = info.get("size")
    if length is None:
        length = size()
    version = sha256("\n".join([str(length), *known]).encode()).hexdigest()[:32]
    if info.get("islink") or info.get("type") == "link":
        return Stat(key, 0, version, _time(info), "symbolic link")
    return Stat(key, int(length), version, _time(info))


def _time(info: Mapping[str, Any]) -> float:
    for name in _TIMES:
        value = info.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0


@attrs.frozen
class Translated:
    """An error, and whether the same request may succeed in a moment."""

    error: StoreError
    passing: bool = False


def translate(error: Exception, key: str, url: str, options: Mapping[str, Any]) -> Translated:
    """Return the error that a driver's error means. It does not show the driver's options, which may hold secrets."""
    if isinstance(error, StoreError):
        return Translated(error)
    if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception):
        return translate(error.__cause__, key, url, options)  # the driver for HTTP says so of whatever happened
    status = getattr(error, "status", vars(error).get("code"))
    what = f"Cannot read {key or 'the workspace'!r} in {url}: "
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError | KeyError) or status in {404, 410}:
        return Translated(KeyNotFoundError(key, url=url))
    if status == 401 or "credential" in type(error).__name__.lower() or "auth" in type(error).__name__.lower():
        hint = f"{what}the server does not accept the credentials, or wants some. Pass storage_options."
        return Translated(CredentialsError(hint, key=key, url=url))
    if isinstance(error, PermissionError) or status == 403:
        denied = StorePermissionError(key, url=url, action="read")
        denied.args = (f"{what}access is denied. Whoever owns it has to grant it, or pass other storage_options.",)
        return Translated(denied)
    passing = isinstance(error, OSError | TimeoutError) or (
        isinstance(status, int) and status in {408, 429, *range(500, 600)}
    )
    if passing:
        gone = UnavailableError(f"{what}it does not answer ({type(error).__name__}). Try again.", key=key, url=url)
        return Translated(gone, passing=True)
    said = str(error)
    for secret in sorted(_texts(options), key=len, reverse=True):
        said = said.replace(secret, "...")
    return Translated(StoreError(f"{what}{type(error).__name__}: {said.rstrip('.')}.", key=key, url=url))


def _texts(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        return {text for one in value.values() for text in _texts(one)}
    return {value} if isinstance(value, str) and value else set()


class Reader(BlockReader):
    """A seekable stream over a function that fetches from a start to an end, or everything if it cannot do that."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        super().__init__(size)
        self._fetch = fetch

    def load(self, position: int, wanted: int) -> tuple[bytes, int]:
        """Return the next bytes, or the whole file if the server does not support ranges."""
        end = min(position + _BLOCK, self._size)
        data = self._fetch(position, end)
        return data, 0 if len(data) > end - position else position
