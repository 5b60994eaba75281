"""Flush files and their names to the disk, so that they survive a power loss."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from molexp.errors import StorePermissionError
from molexp_fs import _files as files
from molexp_fs._folder import REMEMBERED, Folder

_MANY = 16  # files that are flushed faster by flushing all there is


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
        for path in paths if content else ():
            try:
                files.sync_file(path)
            except OSError as error:
                self._pass_over(error, path)
        if names:
            self._names(paths)

    def _everything(self) -> bool:
        """Flush the whole file system by one call, if there is one. Tell whether there is."""
        try:
            return files.sync_all(self._folder.base)
        except FileNotFoundError:
            return True  # and nothing to flush
        except OSError as error:
            raise self._folder.error(error, "", "write") from error

    def _names(self, paths: Iterable[str]) -> None:
        """Flush the folder of each path, once, and the folders above those that were not seen before."""
        known, made_in = self._folder.flushed, self._folder.made_in
        due = set(map(files.folder_of_path, paths))
        lowest = len(self._folder.base) - 1  # the length of the store's own folder
        new: list[str] = []
        for folder in due - known:
            above = folder
            while above not in known and len(above) >= lowest:
                new.append(above)
                known.add(above)
                above = files.folder_of_path(above)
                due.add(above)
        if len(known) >= REMEMBERED:
            known.clear()
        try:
            for folder in sorted(due, key=len, reverse=True):
                inner = made_in.pop(folder, ())
                try:
                    files.sync_folder(folder)
                except OSError as error:
                    self._pass_over(error, folder)
                known.update(inner)
        except BaseException:
            known.difference_update(new)
            raise

    def _pass_over(self, error: OSError, path: str) -> None:
        """Ignore files that were deleted, and folders above the store that we may not open."""
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return
        found = self._folder.error(error, path[len(self._folder.base) :], "write")
        if not (isinstance(found, StorePermissionError) and len(path) < len(self._folder.base) - 1):
            raise found from error
