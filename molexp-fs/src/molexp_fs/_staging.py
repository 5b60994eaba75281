"""A file that a program writes beside those of a store, and that becomes one of them without being copied."""

from __future__ import annotations

import os
import signal
import stat

from molexp_fs import _files as files
from molexp_fs._folder import Folder
from molexp_fs._writing import Naming

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

KNOWS_WRITERS = hasattr(fcntl, "F_SETLEASE")
"""True if the kernel tells whether anybody has a file open for writing."""


class File:
    """A `molexp.contracts.StagedFile` in a folder ``.tmp-...``, beside the key that it was staged for."""

    def __init__(self, folder: Folder, naming: Naming, key: str):
        path = folder.reach(key, "write")
        self._place = files.temp_path(path)
        try:
            os.mkdir(self._place)
        except OSError as error:
            folder.retry(error, key, path, lambda: os.mkdir(self._place))
        from pathlib import Path

        self.path = Path(self._place, path.rpartition("/")[2])
        self._folder = folder
        self._naming = naming

    def take(self) -> bool:
        """Tell whether it is a file of no other name, which nobody can write to; it gets the mode of any new file.

        A file that somebody still has open for writing, or mapped into memory, might change when its hash is on record.
        """
        try:
            fd, found = files.open_regular(os.fspath(self.path), os.O_RDONLY)
        except OSError:  # a link, or nothing; whoever copies it finds out
            return False
        try:
            if found.st_nlink > 1 or not _has_no_writer(fd):
                return False
            files.claim(other := f"{self._place}/{files.TEMP_PREFIX}mode")
            os.fchmod(fd, stat.S_IMODE(os.stat(other).st_mode))
            if self._naming.durable:
                os.fsync(fd)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    def publish(self, key: str, *, exclusive: bool) -> None:
        """Give the file its name."""
        publish(self._folder, self._naming, os.fspath(self.path), key, exclusive=exclusive)

    def drop(self) -> None:
        """Remove the folder."""
        from shutil import rmtree

        rmtree(self._place, ignore_errors=True)


def publish(folder: Folder, naming: Naming, temp: str, key: str, *, exclusive: bool) -> None:
    """Give the file `temp` the name of `key`. It may keep its own; the caller removes that.

    Raises:
        KeyExistsError: something is there, with `exclusive`.
        StoreError: nothing was changed.
    """
    path = folder.reach(key, "write")
    act = naming.publish if exclusive else naming.replace
    try:
        act(temp, path)
    except OSError as error:
        folder.retry(error, key, path, lambda: act(temp, path))


def _has_no_writer(fd: int) -> bool:
    """Tell whether a lease for reading is granted, which is while nobody has the file open for writing; see fcntl(2)."""
    try:
        fcntl.fcntl(
            fd, fcntl.F_SETSIG, signal.SIGURG
        )  # told if somebody opens it this instant; SIGIO would end the process
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True
