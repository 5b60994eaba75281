"""Files that commands write: complete, or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import typer

from molexp_cli._failing import REFUSED
from molexp_cli._output import say


def refuse_existing(path: Path, *, overwrite: bool, mark: bytes = b"") -> None:
    """Refuse a file that exists, unless it may be replaced, or begins with a mark.

    Raises:
        Exit: it exists.
        BadParameter: it is a folder or a device.
    """
    _check_sort(path)
    if overwrite or not (path.exists() or path.is_symlink()):
        return
    with suppress(OSError):
        if mark and path.is_file():
            with path.open("rb") as file:
                if file.read(len(mark)) == mark:
                    return
    say(f"{str(path)!r} exists already; add --overwrite to replace it.")
    raise typer.Exit(REFUSED)


def _check_sort(path: Path) -> None:
    if path.is_dir():
        raise typer.BadParameter(f"{str(path)!r} is a folder; name a file in it.", param_hint="-o")
    if path.exists() and not path.is_file():
        raise typer.BadParameter(f"{str(path)!r} is a device or a pipe; name a file.", param_hint="-o")


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write to, which takes the place of the path once all is written, or is removed.

    Raises:
        OSError: it cannot be written, or is a folder, a device or a pipe.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):  # to replace a folder fails by itself
        raise FileExistsError(errno.EEXIST, "It is a device or a pipe", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "There is no such folder", str(path.parent))
    target = Path(os.path.realpath(path))  # the target of a link is replaced, not the link
    try:
        made, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
    try:
        os.close(made)
        with open(name, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # the disk is full
        raise


def _umask() -> int:
    found = os.umask(0o077)
    os.umask(found)
    return found
