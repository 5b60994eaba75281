"""Reading files that people write: settings and profiles."""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import Any

LIMIT = 1 << 20  # bytes
_DEEP = re.compile(r"(?<![\w.-])(?:[\w-]++[ \t]*+\.[ \t]*+){100}")


def read_small(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file of at most 1 MiB.

    Raises:
        OSError: it is something else, such as a pipe, which might never end; or larger; or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise OSError(errno.EFBIG, f"it is larger than {LIMIT >> 20} MiB", os.fspath(path))
    return data


def parse_toml(text: str) -> dict[str, Any]:
    """What a TOML file says, in time in proportion to its length.

    Raises:
        ValueError: it is no TOML, or has names of more than a hundred parts, for which the parser takes its square.
        RecursionError: it is nested too deep.
    """
    import tomllib

    if _DEEP.search(text):
        raise ValueError("a name has more than 100 parts")
    return tomllib.loads(text)
