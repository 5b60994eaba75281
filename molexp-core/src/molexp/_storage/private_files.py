"""Folders and files of this machine that other users can neither read nor forge: spools, indexes.

Where the system has no owners and modes of files (Windows), the user's profile folder protects them.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

FOLDER = 0o700
FILE = 0o600
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_has_modes = hasattr(os, "geteuid")
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def opener(path: str, flags: int) -> int:
    """Open a file for `open(..., opener=opener)`: no link is followed, and a new file is this user's alone."""
    return os.open(path, flags | _SAFE, FILE)


def make_folder(path: Path) -> None:
    """Make a folder that only this user can list, and take the access from others where it is there already.

    Raises:
        OSError: it cannot be made, or others can put something into it or in its place.
    """
    missing = [path] if not os.path.lexists(path) else []
    while missing and not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for one in reversed(missing):
        with suppress(FileExistsError):
            one.mkdir(mode=FOLDER)
    tighten(path)
    if why := distrusted(path):
        raise PermissionError(errno.EPERM, why, str(path))


def tighten(path: Path) -> None:
    """Take from others what access they have to a folder of this user."""
    with suppress(OSError):
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode) and _has_modes and _is_ours(found) and stat.S_IMODE(found.st_mode) & ~FOLDER:
            path.chmod(FOLDER)


def distrusted(path: Path, *, above: bool = True) -> str:
    """Return why what lies in a folder may be somebody else's; "" if only this user can have put it there.

    Args:
        path: the folder.
        above: True looks at the folders above it, too.
    """
    try:
        found = path.lstat()
    except OSError as error:
        return f"it cannot be looked at ({error.strerror})"
    if not stat.S_ISDIR(found.st_mode):
        return "it is a link" if stat.S_ISLNK(found.st_mode) else "it is not a folder"
    if why := _others(found):
        return why
    for parent in Path(os.path.realpath(path.parent), "x").parents if above and _has_modes else ():
        mode = parent.stat().st_mode  # a group's folders are trusted, as many a home is its group's
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return f"others may replace it: everybody may write to {str(parent)!r}"
    return ""


def check_file(descriptor: int) -> None:
    """Refuse an open file that is not a regular file of this user, under one name, which nobody else may write to.

    Raises:
        PermissionError: it is not.
    """
    found = os.fstat(descriptor)
    why = "it is not a regular file" if not stat.S_ISREG(found.st_mode) else _others(found)
    if not why and found.st_nlink > 1:
        why = "it has another name, too"
    if why:
        raise PermissionError(errno.EPERM, why)


def make_file(path: str) -> None:
    """Make an empty file, private from its first instant, unless there is one; a wider mode of that is taken back.

    A file that is there is not opened: to close it would give up the locks that SQLite has on it in this process.

    Raises:
        OSError: it cannot be made, or what is there is not this user's file.
    """
    make_folder(Path(path).parent)
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        import tempfile

        descriptor, new = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
        os.close(descriptor)
        try:
            os.link(new, path)  # nobody has it open under this name before it is closed here
        except FileExistsError:
            pass
        except OSError:  # no hard links here
            os.replace(new, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(new)
        return
    if not stat.S_ISREG(found.st_mode) or not _is_ours(found):
        raise PermissionError(errno.EPERM, "it is not a file of this user", path)
    if _has_modes and stat.S_IMODE(found.st_mode) & ~FILE:
        os.chmod(path, FILE)


def _others(found: os.stat_result) -> str:
    if not _is_ours(found):
        return f"it belongs to user {found.st_uid}"
    if _has_modes and found.st_mode & _OTHERS_WRITE:
        return f"others may write to it (mode {stat.S_IMODE(found.st_mode):o})"
    return ""


def _is_ours(found: os.stat_result) -> bool:
    user = getattr(os, "geteuid", None)
    return user is None or found.st_uid == user()
