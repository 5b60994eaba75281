"""Reading files that people write or give: settings and profiles, and what they have copied."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from molexp._values.patterns import late

LIMIT = 1 << 20  # bytes
_DEEP = late(r"(?<![\w.-])(?:[\w-]++[ \t]*+\.[ \t]*+){100}")


def read_small(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a regular file of at most 1 MiB.

    Raises:
        OSError: it is something else, such as a pipe, which might never end; or larger; or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise OSError(errno.EFBIG, f"it is larger than {LIMIT >> 20} MiB", os.fspath(path))
    return data


def refuse_special(path: object) -> None:
    """Refuse what is there, and is neither a file nor a folder: it may never end, and has no content of its own.

    Raises:
        ValueError: it is a pipe, a device or a socket.
    """
    if not isinstance(path, str | os.PathLike):
        return  # it is not on this machine
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        sort = "pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
        raise ValueError(f"{os.fspath(path)!r} is a {sort}, not a file. Write what it gives to a file, and use that.")


def parse_toml(text: str) -> dict[str, Any]:
    """Return what a TOML file says, in time in proportion to its length.

    Raises:
        ValueError: it is no TOML, or has names of more than a hundred parts, for which the parser takes its square.
        RecursionError: it is nested too deep.
    """
    import tomllib

    if _DEEP.search(text):
        raise ValueError("a name has more than 100 parts")
    return tomllib.loads(text)
