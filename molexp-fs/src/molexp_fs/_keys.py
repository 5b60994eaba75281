"""Rules for keys that become files, in addition to those of the contract."""

from __future__ import annotations

import os
import unicodedata

from molexp.errors import InvalidKeyError
from molexp_fs._files import TEMP_PREFIX

_NOT_ON_WINDOWS = frozenset('<>:"|?*')


def check_local(key: str) -> None:
    """Refuse a key that a temporary file could have, or that Windows takes for something else.

    Raises:
        InvalidKeyError: with the reason.
    """
    for segment in key.split("/"):
        if segment.startswith(TEMP_PREFIX):
            raise InvalidKeyError(key, f"names that begin with {TEMP_PREFIX!r} are those of temporary files")
        if os.name == "nt" and (_NOT_ON_WINDOWS.intersection(segment) or segment[-1] in ". "):
            raise InvalidKeyError(key, f"Windows has no file called {segment!r}")


def folded(key: str) -> str:
    """Return what `key` is on a file system that ignores case and Unicode composition."""
    return unicodedata.normalize("NFC", key).casefold()


def respelled(base: str, key: str) -> str:
    """Return the path of `key` below `base`, or of what is there under another spelling of it in Unicode.

    HFS+, some shares and archivers decompose the letters of names: "é" becomes "e" and an accent.
    """
    path = base + key
    if os.path.lexists(path):
        return path
    at = base.rstrip("/")
    for part in key.split("/"):
        if at + "/" != base and os.path.islink(at):
            return path  # no link leads to a key
        if not part.isascii() and not os.path.lexists(f"{at}/{part}"):
            try:
                names = os.listdir(f"{at}/")
            except OSError:
                return path
            wanted = unicodedata.normalize("NFC", part)
            spelled = [name for name in names if unicodedata.normalize("NFC", name) == wanted]
            if not spelled:
                return path
            at = f"{at}/{spelled[0]}"
        else:
            at = f"{at}/{part}"
    return at
