"""What has to reach the disk before a power loss: files, and the names they bear."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from contextlib import nullcontext, suppress

from molexp.errors import StorePermissionError
from molexp_fs import _files as files
from molexp_fs._folder import REMEMBERED, Folder

_MANY = 100  # files that are flushed faster by flushing all there is


class Syncing:
    """Flushes the files of one store, and the folders that name them."""

    __slots__ = ("_folder",)

    def __init__(self, folder: Folder):
        self._folder = folder

    def flush(self, paths: Collection[str], *, content: bool, names: bool) -> None:
        """Flush the bytes of each file, then the names.

        Raises:
            StoreError: it could not be done.
        """
        if len(paths) >= _MANY and self._everything():
            return
        if content:
            self._contents(paths)
        if names:
            self._names(paths)

    def _everything(self) -> bool:
        """Flush the whole file system by one call, where there is one; returns whether there is."""
        try:
            return files.sync_all(self._folder.base)
        except FileNotFoundError:
            return True  # and nothing to flush
        except OSError as error:
            raise self._folder.error(error, "", "write") from error

    def _contents(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._flush(files.sync_file, path)

    def _names(self, paths: Iterable[str]) -> None:
        """Flush the folder of each path, once, and the folders above those that were not seen before."""
        known = self._folder.flushed
        due = dict.fromkeys(map(files.folder_of_path, paths))
        lowest = len(self._folder.base) - 1  # the length of the store's own folder
        new: list[str] = []
        for folder in tuple(due):
            above = folder
            while above not in known and len(above) >= lowest:
                new.append(above)
                known.add(above)
                above = os.path.dirname(above) or "/"
                due[above] = None
        if len(known) >= REMEMBERED:
            known.clear()
        try:
            for folder in sorted(due, key=len, reverse=True):
                inner = self._folder.made_in.pop(folder, ())
                with suppress(StorePermissionError) if len(folder) < lowest else nullcontext():
                    self._flush(files.sync_folder, folder)  # above the store we may have no business
                known.update(inner)
        except BaseException:
            known.difference_update(new)
            raise

    def _flush(self, act: Callable[[str], None], path: str) -> None:
        try:
            act(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._folder.error(error, path[len(self._folder.base) :], "write") from error
