"""From keys to paths, and what may stand in the way of making one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress

from molexp.contracts import Store, check_key
from molexp.errors import StoreError, WorkspaceMovedError
from molexp_fs import _files as files
from molexp_fs._errors import Action, translate
from molexp_fs._files import TEMP_PREFIX
from molexp_fs._keys import check_local

REMEMBERED = 4096
"""How many folders a store remembers to have used."""

_WINDOWS = os.name == "nt"
_TRIES = 8  # how often a writer makes its folder anew while somebody else removes it


class Folder:
    """The folder of one store.

    Attributes:
        base: its path with slashes, one at the end.
        durable: whether folders that are made are flushed to the disk at once.
        flushed: folders whose own names are known to be on the disk.
    """

    __slots__ = ("_root", "_store", "_used", "base", "durable", "flushed")

    def __init__(self, folder: str, store: Store, *, durable: bool):
        self.base = folder.replace(os.sep, "/").rstrip("/") + "/"
        self.durable = durable
        self.flushed: set[str] = set()
        self._store = store
        self._root: tuple[int, int] | None = (
            None  # device and inode of the folder that held the workspace when we looked
        )
        self._used: set[str] = set()  # folders that something was made in

    def path(self, key: str) -> str:
        """Return the path of `key`.

        Raises:
            InvalidKeyError: it cannot be a key here.
        """
        check_key(key)
        if TEMP_PREFIX in key or _WINDOWS:
            check_local(key)
        return self.base + key

    def path_to_make(self, key: str) -> str:
        """Return the path of a key about to be made; its folder is made too if this store has not used it before.

        That the folder is missing is only a guess: right, it saves a call that fails; wrong, it costs one that does.
        """
        path = self.path(key)
        folder = path[: path.rfind("/")]
        if folder not in self._used:
            if self._root is None:
                self._root = self._here()
            if len(self._used) >= REMEMBERED:
                self._used.clear()
            try:
                self._make(folder, key)
            except OSError:
                pass  # whoever makes the file meets the same error, and names the key
            self._used.add(folder)
        return path

    def _make(self, folder: str, key: str) -> None:
        """Make `folder` and those above it that are missing, as long as the workspace that was opened still lies here.

        Raises:
            WorkspaceMovedError: it does not; what is missing here is missing for that reason.
        """
        try:
            os.mkdir(folder)
        except FileExistsError:
            return
        except FileNotFoundError:
            self._check_root(key)
            if (above := os.path.dirname(folder)) == folder:
                raise
            files.make_folders(above, durable=self.durable)
            with suppress(FileExistsError):
                os.mkdir(folder)
            self._root = self._here()
        if self.durable:
            files.sync_folder(os.path.dirname(folder))
        self.flushed.discard(folder)

    def _check_root(self, key: str) -> None:
        here, witness = self._here(), self._store.witness
        if witness is None:  # a workspace is about to be made: not where a disk was mounted that it lay on
            if here is None or self._root in (None, here):
                return
        elif here is not None:
            if here == self._root:
                return
            try:
                if witness[1] in files.read(self.base + witness[0], 0, None):
                    return  # the same by another device number: mounted again, or restored
            except OSError:
                pass
        raise WorkspaceMovedError(key, url=self._store.url)

    def _here(self) -> tuple[int, int] | None:
        """Which folder lies at the path, if one does."""
        try:
            found = os.stat(self.base)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def retry(self, error: OSError, key: str, path: str, act: Callable[[], None]) -> None:
        """Remove what stood in the way of writing to `path`, and `act` again.

        Missing folders are made only now: nearly always they are there. An empty folder that bears the key's name is
        a remnant of deleted keys.

        Raises:
            WorkspaceMovedError: the workspace does not lie here any more.
            StoreError: it stands there still.
        """
        for _ in range(_TRIES):
            try:
                if isinstance(error, FileNotFoundError):
                    self._make(files.folder_of_path(path), key)
                elif not (isinstance(error, FileExistsError | IsADirectoryError) and files.remove_empty_folder(path)):
                    break
                return act()
            except OSError as again:
                error = again
        if isinstance(error, FileExistsError) and files.is_folder(path):
            error = IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        raise self.error(error, key, "write") from error

    def error(self, error: OSError, key: str, action: Action) -> StoreError:
        """Return the error of MolExp for `error`; the caller raises it from that."""
        return translate(error, key, self._store.url, action)
