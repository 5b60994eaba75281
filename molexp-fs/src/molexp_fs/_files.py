"""Small steps on plain paths, shared by documents and streams. They raise `OSError` and know no keys."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import cast

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # a module where there is one
if sys.platform == "win32":
    from molexp_fs import _windows

    calls = _windows
else:
    calls = os

TEMP_PREFIX = ".tmp-"
"""Begins the names of files that are still being written, and of nothing else."""

BINARY = getattr(os, "O_BINARY", 0)  # Windows translates line ends without it
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)
CAREFUL = _NO_FOLLOW | _AT_ONCE
"""Flags that follow no link and do not wait for the other end of a pipe; see `open_regular`."""
APPEND = os.O_WRONLY | os.O_APPEND | BINARY | CAREFUL
LAST_STANDARD = 2
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY
_DIRECTORY = getattr(os, "O_DIRECTORY", None)
_RELATIVE = {os.open, os.unlink, os.rmdir} <= os.supports_dir_fd and bool(_DIRECTORY and _NO_FOLLOW)
_ENTER = (getattr(os, "O_PATH", os.O_RDONLY) | _NO_FOLLOW | _DIRECTORY) if _DIRECTORY else 0
_JUNCTION = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", None)


class SpecialError(OSError):
    """There is something that is no regular file.

    Attributes:
        sort: its type, such as "pipe".
    """

    def __init__(self, sort: str, path: str) -> None:
        super().__init__(errno.ENOTSUP, f"it is a {sort}", path)
        self.sort = sort


def sort_of(found: os.stat_result) -> str:
    """Return the type of a file in one or two words, or "" for a regular file."""
    mode = found.st_mode
    if stat.S_ISREG(mode):
        return ""
    if stat.S_ISLNK(mode) or (_JUNCTION and getattr(found, "st_reparse_tag", 0) == _JUNCTION):
        return LINK
    if stat.S_ISDIR(mode):
        return FOLDER
    return "pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"


LINK, FOLDER = "symbolic link", "folder"


def folder_of_path(path: str) -> str:
    """Return the folder part of a path that ends in a key. This is cheaper than ``dirname``."""
    return path[: path.rfind("/")] or "/"


def temp_path(path: str) -> str:
    """Return a name that nobody else uses, in the folder of `path`, so that it can be linked or renamed to it."""
    return f"{path[: path.rfind('/')]}/{TEMP_PREFIX}{os.urandom(8).hex()}"


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`. A single `os.write` may write less, on a nearly full disk or beyond 2 GiB."""
    done = os.write(fd, data)
    if done == len(data):
        return
    with memoryview(data) as view:
        while done < len(view):
            done += os.write(fd, view[done:])


def read(path: str, start: int, length: int | None) -> bytes:
    """Return `length` bytes of the file `path` from `start`, or fewer if the file ends there."""
    fd, found = open_regular(path, os.O_RDONLY)
    try:
        there = found.st_size - start
        want = there if length is None else min(there, length)
        if want <= 0:
            return b""
        if start:
            os.lseek(fd, start, os.SEEK_SET)
        data = os.read(fd, want)
        if len(data) == want:
            return data
        parts = [data]
        while parts[-1] and (want := want - len(parts[-1])) > 0:
            parts.append(os.read(fd, want))
        return b"".join(parts)
    finally:
        os.close(fd)


def open_regular(path: str, flags: int) -> tuple[int, os.stat_result]:
    """Open the regular file at `path`, and return its descriptor and `os.stat_result`.

    Raises:
        SpecialError: it is a link, a pipe, a socket or a device. Nothing was waited for, read or written.
        IsADirectoryError: it is a folder.
    """
    if not _NO_FOLLOW and os.path.lexists(path):  # Windows
        check_regular(os.lstat(path), path)
    try:
        fd = calls.open(path, flags | BINARY | CAREFUL, 0o666)
    except BlockingIOError:  # somebody holds a lease on it, as Samba does, and gives it back
        check_regular(os.lstat(path), path)
        fd = os.open(path, flags | BINARY | _NO_FOLLOW, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EMLINK, errno.EOPNOTSUPP):
            check_regular(os.lstat(path), path)
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            check_regular(found, path)
    except BaseException:
        os.close(fd)
        raise
    return fd, found


def check_regular(found: os.stat_result, path: str) -> None:
    """Raise an error unless this is a regular file."""
    if sort := sort_of(found):
        if sort == FOLDER:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        raise SpecialError(sort, path)


def write_new(path: str, data: bytes, *, durable: bool) -> None:
    """Create `path` exclusively with `data`; leave nothing behind after an error."""
    fd = os.open(path, _NEW, 0o666)
    try:
        try:
            if (done := os.write(fd, data)) != len(data):
                write_all(fd, data[done:])
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)  # before the file gets its name: on NFS, this is what sends the bytes
    except BaseException:
        remove(path)
        raise


def aloof(fd: int) -> int:
    """Return a duplicate of `fd` that is not 0, 1 or 2, and close `fd` if it was.

    If the standard streams were closed, a new file gets their numbers, and C libraries and children would print into it.
    """
    passed = []
    try:
        while fd <= LAST_STANDARD:
            passed.append(fd)
            fd = os.dup(fd)
    finally:
        for other in passed:
            os.close(other)
    return fd


def open_aloof(path: str, flags: int) -> int:
    """Open `path`, as an ``opener``, for longer than one operation: see `aloof`."""
    return aloof(os.open(path, flags, 0o666))


def claim(path: str) -> None:
    """Create `path` empty and exclusively."""
    os.close(os.open(path, _NEW, 0o666))


@contextmanager
def claimed(path: str) -> Iterator[Callable[[], bool]]:
    """Create `path` empty and exclusively. Yield a function that tells whether the name still means this file."""
    fd = os.open(path, _NEW, 0o666)
    try:
        yield lambda: _is_at(fd, path)  # held open, for some file systems number files as they are looked at
    finally:
        os.close(fd)


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def remove_empty(path: str) -> None:
    """Unlink `path` if nothing is in it."""
    with suppress(OSError):
        if os.lstat(path).st_size == 0:
            calls.unlink(path)


def remove(path: str) -> None:
    """Unlink `path` if possible. Use it where another error is being raised already."""
    with suppress(OSError):
        calls.unlink(path)


def same_file(one: str, other: str) -> bool:
    """Tell whether two names are of one inode, without following symbolic links."""
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except OSError:
        return False


def path_now(fd: int, name: str) -> str:
    """Return the path by which the open file `fd` is found now under `name`; "" where the system does not tell."""
    try:
        if hasattr(fcntl, "F_GETPATH"):  # macOS
            path = os.fsdecode(fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
        else:
            path = os.readlink(f"/proc/self/fd/{fd}")
        path = f"{folder_of_path(path)}/{name}"  # of a file that was made without a name, only its folder is told
        return path if os.path.samestat(os.stat(path), os.fstat(fd)) else ""  # it may lie where no path leads
    except OSError:
        return ""


@contextmanager
def holding(base: str, name: str) -> Iterator[tuple[str, int | None]]:
    """Hold the folder of `name` open, and yield the name with a ``dir_fd`` that stays valid while folders are renamed.

    Below `base`, no link is followed. Systems without such descriptors get the path instead.

    Raises:
        NotADirectoryError: one of the folders is a link, or no folder.
    """
    if not _RELATIVE:
        yield base + name, None
        return
    *folders, last = name.split("/")
    fd = os.open(base, _ENTER & ~_NO_FOLLOW)
    try:
        for folder in folders:
            inner = os.open(folder, _ENTER, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield last, fd
    finally:
        os.close(fd)


def unlink(base: str, name: str) -> None:
    """Remove the file `name` below `base`. No link on the way is followed, not even one that appears meanwhile."""
    with holding(base, name) as (last, fd):
        calls.unlink(last, dir_fd=fd)


def make_folders(folder: str, *, durable: bool) -> None:
    """Create `folder` and those above it that are missing."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        return
    except FileNotFoundError:
        above = os.path.dirname(folder)
        if above == folder:
            raise
        make_folders(above, durable=durable)
        with suppress(FileExistsError):
            os.mkdir(folder)
    if durable:
        sync_folder(os.path.dirname(folder))


def remove_empty_folder(path: str) -> bool:
    """Remove `path` if it is an empty folder, which may stand in the way of a key. Tell whether it was removed."""
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def is_folder(path: str) -> bool:
    """Tell whether `path` is a folder, and not a link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def sync_file(path: str) -> None:
    """Flush a file to the disk. A link or a special file has no bytes to flush."""
    # Windows flushes only what is open for writing.
    flags = os.O_RDONLY if _DIRECTORY is not None else os.O_RDWR | BINARY
    try:
        fd = os.open(path, flags | CAREFUL)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError:
        if sort_of(os.lstat(path)) in ("", FOLDER):
            raise


def sync_all(folder: str) -> bool:
    """Flush the whole file system of `folder`. Return False if this system has no call for it."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        return False
    fd = os.open(folder, os.O_RDONLY)
    try:
        if call(fd):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), folder)
    finally:
        os.close(fd)
    return True


def begin_flush(fd: int, start: int, size: int) -> None:
    """Tell the system to write bytes of a file to the disk, and wait for nothing. Where there is no call for it, do nothing.

    An error of the disk is told by the flush that waits, as ever: this call takes none of them (see sync_file_range(2)).
    """
    if sys.platform.startswith("linux"):
        call = _sync_file_range()
        if call is not None:
            call(fd, start, size, _BEGIN_WRITING)


_BEGIN_WRITING = 2  # SYNC_FILE_RANGE_WRITE


@cache
def _sync_file_range() -> Callable[..., int] | None:
    try:
        import ctypes

        found = getattr(ctypes.CDLL(None), "sync_file_range", None)
    except (ImportError, OSError):  # this Python has no ctypes, or its C library is not to be had
        return None
    if found is not None:
        found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return cast("Callable[..., int] | None", found)


def sync_folder(folder: str) -> None:
    """Flush the names in a folder to the disk, where folders can be flushed."""
    if _DIRECTORY is None:
        return
    fd = os.open(folder, os.O_RDONLY | _DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot, and need not
            raise
    finally:
        os.close(fd)
