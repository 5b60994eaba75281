"""The cache folder does not grow for ever."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress

_UNUSED = 90 * 24 * 3600.0  # seconds after which an index that nobody has changed is removed
_LIMIT = 8 << 30  # bytes that all indexes may take together before the least recently changed ones go


SCRATCH = "molexp-image-"
"""Begins the names of folders in which segments are made, or copied to."""

_ABANDONED = 24 * 3600.0  # seconds after which such a folder is nobody's any more


def make_room(path: str) -> None:
    """Make room for a new index at `path`: remove old indexes of this host, and the oldest if they take too much together.

    They are derived: whoever comes back to such a workspace reads it, or its snapshot, once more.
    """
    folder = os.path.dirname(path)
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".sqlite3") and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    stat = entry.stat(follow_symlinks=False)
                    found.append((stat.st_mtime, stat.st_size, entry.path))
    oldest = time.time() - _UNUSED
    kept = 0
    for modified, size, file in sorted(found, reverse=True):
        kept += size
        if modified < oldest or kept > _LIMIT:
            with suppress(OSError):
                os.unlink(file)


def remove_scratch(folder: str) -> None:
    """Remove what processes that were killed have left beside the indexes."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(SCRATCH) and time.time() - entry.stat().st_mtime > _ABANDONED:
                shutil.rmtree(entry.path, ignore_errors=True)
