"""From keys to paths, and what may stand in the way of making one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from molexp.contracts import check_key
from molexp.errors import StoreError
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
        url: the store's, for errors.
        durable: whether folders that are made are flushed to the disk at once.
    """

    __slots__ = ("_used", "base", "durable", "url")

    def __init__(self, folder: str, url: str, *, durable: bool):
        self.base = folder.replace(os.sep, "/").rstrip("/") + "/"
        self.url = url
        self.durable = durable
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
            if len(self._used) >= REMEMBERED:
                self._used.clear()
            try:
                files.make_folders(folder, durable=self.durable)
            except OSError:
                pass  # whoever makes the file meets the same error, and names the key
            self._used.add(folder)
        return path

    def retry(self, error: OSError, key: str, path: str, act: Callable[[], None]) -> None:
        """Remove what stood in the way of writing to `path`, and `act` again.

        Missing folders are made only now: nearly always they are there. An empty folder that bears the key's name is
        a remnant of deleted keys.

        Raises:
            StoreError: it stands there still.
        """
        for _ in range(_TRIES):
            try:
                if isinstance(error, FileNotFoundError):
                    files.make_folders(files.folder_of_path(path), durable=self.durable)
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
        return translate(error, key, self.url, action)
