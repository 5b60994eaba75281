"""Find and remove temporary files of killed processes, and empty folders."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from molexp_fs._files import FOLDER, TEMP_PREFIX, claim, holding, remove, sort_of, temp_path
from molexp_fs._folder import GONE, join


def leftovers(base: str, older_than: float, now: float, unreadable: dict[str, OSError]) -> Iterator[str]:
    """Yield the temporary files that nobody wrote to for so many seconds; note which folders cannot be read."""
    for name, found in _temporary(base, "", unreadable):
        if now - found.st_mtime > older_than:
            yield name


def remove_leftover(base: str, name: str) -> None:
    """Remove a temporary file, or folder; one that has something in it stays.

    Raises:
        FileNotFoundError: it is gone, or has something in it.
    """
    with holding(base, name) as (last, fd):
        try:
            os.unlink(last, dir_fd=fd)
        except (IsADirectoryError, PermissionError) as error:
            try:
                os.rmdir(last, dir_fd=fd)
            except NotADirectoryError:
                raise error from None
            except OSError as full:
                raise FileNotFoundError(full.errno, full.strerror, name) from full


def _temporary(
    base: str, prefix: str, unreadable: dict[str, OSError], inside: bool = False
) -> Iterator[tuple[str, os.stat_result]]:
    # Symbolic links are not followed: they may lead out of the store.
    try:
        with os.scandir(base + prefix) as entries:
            found = list(entries)
    except GONE:
        return
    except OSError as error:
        unreadable[prefix] = error
        return
    for entry in found:
        name, status = join(prefix, entry.name), None
        if inside or entry.name.startswith(TEMP_PREFIX):
            try:
                status = entry.stat(follow_symlinks=False)  # of a folder, as it is before anything in it is removed
            except FileNotFoundError:
                continue  # its writer has just finished
            except OSError as error:  # a folder that may be listed, and no more
                unreadable[prefix] = error
        if entry.is_dir(follow_symlinks=False):
            yield from _temporary(base, name, unreadable, status is not None)
        if status is not None:
            yield name, status


def clock(base: str) -> float:
    """Return the time that stamps the files in `base`: a file server's may differ from this machine's."""
    temp = temp_path(base + "x")
    try:
        claim(temp)
    except OSError:
        return time.time()  # nothing can be written there, so nothing will be removed either
    try:
        return os.stat(temp).st_mtime
    finally:
        remove(temp)


def prune(base: str, folder: str) -> bool:
    """Remove the empty folders in `folder`, and itself if nothing is left; return whether it is gone.

    Links are left alone, and nothing behind one is removed, also if it takes the place of a folder meanwhile.
    """
    try:
        with os.scandir(base + folder) as entries:
            folders = [entry.name for entry in entries if sort_of(entry.stat(follow_symlinks=False)) == FOLDER]
            inner = [
                name for name in folders if not name.startswith(TEMP_PREFIX)
            ]  # a program is about to write in those
        for name in inner:
            prune(base, join(folder, name))
        if folder:
            with holding(base, folder) as (name, fd):
                os.rmdir(name, dir_fd=fd)  # refuses a folder with anything in it
    except OSError:
        return False
    return True
