"""Rules for the keys of a store."""

from __future__ import annotations

import re
from typing import Any, Protocol

from molexp._values.patterns import late
from molexp.errors import InvalidKeyError

_KEY_LIMIT = 1024  # bytes, the limit of S3 keys
_SEGMENT_LIMIT = 255  # bytes, NAME_MAX of the common file systems
_PLAIN = re.compile(r"\.?[A-Za-z0-9_~-][A-Za-z0-9_.~-]*+(?:/\.?[A-Za-z0-9_~-][A-Za-z0-9_.~-]*+)*+").fullmatch
_FORBIDDEN = late(r"[\x00-\x1f\x7f\\]|(?:^|/)\.{0,2}(?:/|$)")


def check_key(key: str) -> str:
    """Return `key`, or refuse it before any I/O.

    A key is one or more segments joined by single slashes. Segments are neither empty nor ``.`` nor ``..``, hold no
    control character and no backslash, and take at most 255 bytes in UTF-8; a key takes at most 1024.

    Raises:
        InvalidKeyError: with the reason.

    Example:
        >>> from molexp.contracts import check_key
        >>> check_key("a/notes.txt")
        'a/notes.txt'
    """
    if len(key) <= _SEGMENT_LIMIT and _PLAIN(key):  # nearly all of them; the rest costs five times as much
        return key
    _check_each_rule(key)
    return key


def _check_each_rule(key: str) -> None:
    if _FORBIDDEN.search(key):
        if not key:
            raise InvalidKeyError(key, "it is empty")
        if key.startswith("/"):
            raise InvalidKeyError(key, "it is absolute; keys are relative to the workspace")
        if "\\" in key:
            raise InvalidKeyError(key, "it has a backslash")
        if re.search(r"[\x00-\x1f\x7f]", key):
            raise InvalidKeyError(key, "it has a control character")
        raise InvalidKeyError(key, "it has an empty, '.' or '..' segment")
    if len(key) > 63 or not key.isascii():  # a shorter one cannot exceed 255 bytes
        try:
            size = len(key.encode())
        except UnicodeEncodeError:
            raise InvalidKeyError(key, "it cannot be encoded in UTF-8") from None
        if size > _KEY_LIMIT:
            raise InvalidKeyError(key, f"it takes {size} bytes; at most {_KEY_LIMIT} are allowed")
        if any(len(segment.encode()) > _SEGMENT_LIMIT for segment in key.split("/")):
            raise InvalidKeyError(key, f"a segment takes more than {_SEGMENT_LIMIT} bytes")


class RemotePath(Protocol):
    """A ``UPath`` of universal_pathlib, as `Asset.path` is one where assets are not local files.

    Example:
        >>> from molexp.contracts import RemotePath
        >>> def url(path: RemotePath) -> str:
        ...     return f"{path.protocol}: {path}"
    """

    @property
    def protocol(self) -> str:
        """The scheme of its URL."""

    @property
    def storage_options(self) -> Any:
        """The options that fsspec needs to reach it."""
