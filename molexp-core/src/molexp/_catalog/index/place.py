"""The place of an index and the version of its tables. It imports little, because completion in shells needs it at once."""

from __future__ import annotations

import os
import platform
import re
from hashlib import sha256

from molexp._values.cache_place import cache_folder

VERSION = 12
"""Indexes and segments of another version are not read: what is in them is read from the files again."""

APPLICATION = 0x6D6F6C78  # "molx", in the place where SQLite keeps whose file it is

ELEMENTS = "\x1f"
"""Ends the name under which the elements of a list are."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch


def location_of(workspace: str, url: str) -> str:
    """Return the file for the index of a workspace, by its id and where it lies; "" where there is none."""
    if not workspace or url.startswith("memory:") or not (folder := cache_folder()):
        return ""
    if not _PLAIN(workspace):  # it stands in a stranger's file, and may be a path
        workspace = sha256(workspace.encode(errors="surrogatepass")).hexdigest()[:16]
    return os.path.join(folder, platform.node() or "host", f"{workspace}{_ending(url)}")


def locations_at(url: str) -> list[str]:
    """Return the files of the indexes of all workspaces that this user has seen at a place, the newest first."""
    if not (folder := cache_folder()):
        return []
    folder, ending = os.path.join(folder, platform.node() or "host"), _ending(url)
    try:
        found = [entry for entry in os.scandir(folder) if entry.name.endswith(ending)]
        return [one.path for one in sorted(found, key=lambda one: one.stat().st_mtime_ns, reverse=True)]
    except OSError:
        return []


def _ending(url: str) -> str:
    return f"-{sha256(url.encode()).hexdigest()[:16]}.sqlite3"
