"""From keys to paths, what may stand in the way of making one, and flushing files and their names to the disk."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import TypeVar

from molexp.contracts import Store, check_key
from molexp.errors import StoreError, StorePermissionError, WorkspaceMovedError
from molexp_fs import _files as files
from molexp_fs._errors import Action, LinkedFolderError, translate
from molexp_fs._files import TEMP_PREFIX
from molexp_fs._keys import check_local, respelled

REMEMBERED = 4096
"""A store remembers at most this many folders that it has checked."""

_WINDOWS = os.name == "nt"
_NAME = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*+").fullmatch  # of nearly all files
_SHORT = 0 if _WINDOWS else 255  # characters up to which a key of such names needs no further look
_T = TypeVar("_T")
_MANY = 16  # files that are flushed faster by flushing all there is
_TRIES = 8  # a writer creates its folder again this often while another process removes it


class Folder:
    """The folder of one store.

    Attributes:
        base: its path with slashes, one at the end.
        durable: True if new folders are flushed to the disk at once.
        traced: True if new folders are remembered, because their names must be flushed later.
        flushed: folders whose own names are known to be on the disk.
        made_in: folders that this store made and did not flush yet, by the folder that they are in.
    """

    __slots__ = ("_plain", "_root", "_store", "base", "durable", "flushed", "made_in", "traced")

    def __init__(self, folder: str, store: Store, *, durable: bool):
        self.base = folder.replace(os.sep, "/").rstrip("/") + "/"
        self.durable = durable
        self.traced = True
        self.flushed: set[str] = set()
        self.made_in: dict[str, list[str]] = {}
        self._store = store
        self._root: tuple[int, int] | None = (
            None  # device and inode of the folder that held the workspace when we looked
        )
        self._plain: set[str] = set()  # folders that are there, and to which no link leads; "" is the store's own

    @property
    def url(self) -> str:
        """The store's URL."""
        return self._store.url

    def path(self, key: str) -> str:
        """Return the path of `key`, and look at nothing.

        Raises:
            InvalidKeyError: it cannot be a key here.
        """
        folder, _, name = key.rpartition("/")
        is_plain = len(key) <= _SHORT and _NAME(name) is not None
        if is_plain and folder not in self._plain:  # as of the first key in a new folder
            above, _, name = folder.rpartition("/")
            is_plain = above in self._plain and _NAME(name) is not None
        if not is_plain:
            check_key(key)
            if TEMP_PREFIX in key or _WINDOWS:
                check_local(key)
        return self.base + key

    def spelled(self, key: str) -> str:
        """Return the path of `key` as it is spelled there.

        Raises:
            InvalidKeyError: it cannot be a key here.
        """
        path = self.path(key)
        return path if key.isascii() else respelled(self.base, key)

    def reach(self, key: str, action: Action = "read") -> str:
        """Return the path of `key`, to which no link leads: each of its folders is looked at once.

        Raises:
            InvalidKeyError: it cannot be a key here.
            KeyNotFoundError: one of its folders is a link, behind which there are no keys.
            SpecialFileError: the same, for a key that is to be written.
        """
        folder, _, name = key.rpartition("/")
        if folder in self._plain and len(key) <= _SHORT and _NAME(name):  # as nearly always
            return self.base + key
        path = self.path(key)
        if folder and folder not in self._plain:
            self._look(folder, key, action)
        return path if action != "read" or key.isascii() else respelled(self.base, key)

    def reach_folder(self, prefix: str) -> str:
        """Return the path of a folder, to which no link leads, or "" if it is missing; see `reach`. Folder "" is the store's own."""
        if not prefix:
            return self.base
        path = self.path(prefix)
        return path if prefix in self._plain or self._look(prefix, prefix, "read") else ""

    def path_to_make(self, key: str) -> str:
        """Return the path of a key about to be made; its folder is made too if this store has not used it before.

        That the folder is missing is only a guess: right, it saves a call that fails; wrong, it costs one that does.

        Raises:
            SpecialFileError: one of its folders is a link.
        """
        path = self.path(key)
        folder = key.rpartition("/")[0]
        if folder not in self._plain:
            if self._root is None:
                self._root = self._here()
            with suppress(OSError):  # whoever makes the file meets the same error, and names the key
                self._make(folder, key)
        return path

    def forget(self) -> None:
        """Look at each folder again: some may be gone, and something else in their place."""
        self._plain.clear()
        self.flushed.clear()
        self.made_in.clear()

    def _make(self, folder: str, key: str) -> None:
        """Make `folder` and those above it that are missing, as long as the workspace that was opened still lies here.

        Raises:
            SpecialFileError: one of them is a link.
            WorkspaceMovedError: it does not; what is missing here is missing for that reason.
        """
        plain = self._plain
        if (above := folder.rpartition("/")[0]) not in plain and above:
            self._look(above, key, "write")
        path = self.base + folder if folder else self.base[:-1] or "/"
        try:
            os.mkdir(path)
        except FileExistsError:
            if folder:
                self._look(folder, key, "write")
            else:
                self.remember(folder)
            return
        except FileNotFoundError:
            self._check_root(key)
            if (upper := os.path.dirname(path)) == path:
                raise
            files.make_folders(upper, durable=self.durable)
            while len(upper) >= len(self.base):
                self.flushed.discard(upper)
                upper = os.path.dirname(upper)
            with suppress(FileExistsError):
                os.mkdir(path)
            self._root = self._here()
        if self.durable:
            files.sync_folder(files.folder_of_path(path))
        elif self.traced:  # its name is to reach the disk when what it holds is flushed
            self.flushed.discard(path)
            self.made_in.setdefault(files.folder_of_path(path), []).append(path)
        if len(plain) < REMEMBERED:
            plain.add(folder)
        else:
            self.remember(folder)

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
        raise WorkspaceMovedError(key, url=self.url)

    def _here(self) -> tuple[int, int] | None:
        """Return which folder lies at the path, if one does."""
        try:
            found = os.stat(self.base)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _look(self, folder: str, key: str, action: Action) -> bool:
        """Look at those of the folders on the way to `folder` that were not seen before; return False if one is missing.

        Raises:
            KeyNotFoundError, SpecialFileError: one of them is a link; see `reach`.
        """
        above = folder.rpartition("/")[0]
        if above and above not in self._plain and not self._look(above, key, action):
            return False
        try:
            found = os.lstat(self.base + folder)
        except OSError as error:
            return not isinstance(error, FileNotFoundError)  # whoever uses it meets the same error
        if (sort := files.sort_of(found)) == files.LINK:
            link = LinkedFolderError(folder, self.base + folder)
            raise self.error(link, key, action) from link
        if sort == files.FOLDER:
            self.remember(folder)
        return True

    def remember(self, folder: str) -> None:
        """Take a folder for one that is there, and to which no link leads."""
        if len(self._plain) >= REMEMBERED:
            self._plain.clear()
            self.made_in.clear()
        self._plain.add(folder)

    def retry(self, error: OSError, key: str, path: str, act: Callable[[], _T]) -> _T:
        """Remove what stood in the way of writing to `path`, `act` again, and return what that does.

        Missing folders are made only now: nearly always they are there. An empty folder that bears the key's name is
        a remnant of deleted keys.

        Raises:
            WorkspaceMovedError: the workspace does not lie here any more.
            StoreError: it stands there still.
        """
        for _ in range(_TRIES):
            try:
                if isinstance(error, FileNotFoundError):
                    self.forget()  # somebody removed a folder that was there
                    self._make(key.rpartition("/")[0], key)
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

    # ------------------------------------------------------------------------------------------------------ flushing

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
            self._flush_names(paths)

    def _everything(self) -> bool:
        """Flush the whole file system by one call, if there is one. Tell whether there is."""
        try:
            return files.sync_all(self.base)
        except FileNotFoundError:
            return True  # and nothing to flush
        except OSError as error:
            raise self.error(error, "", "write") from error

    def _flush_names(self, paths: Iterable[str]) -> None:
        """Flush the folder of each path, once, and the folders above those that were not seen before."""
        known, made_in = self.flushed, self.made_in
        due = set(map(files.folder_of_path, paths))
        lowest = len(self.base) - 1  # the length of the store's own folder
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
        found = self.error(error, path[len(self.base) :], "write")
        if not (isinstance(found, StorePermissionError) and len(path) < len(self.base) - 1):
            raise found from error


class Followed(Folder):
    """The folder of a store, with one key that is a link and is followed for reading, with all links behind it.

    Attributes:
        key: the link.
        outside: True if this link, or one in the folder that it leads to, may lead out of the store.
    """

    __slots__ = ("key", "outside")

    def __init__(self, folder: Folder, key: str, *, outside: bool):
        super().__init__(folder.base, folder._store, durable=folder.durable)
        self.key = key
        self.outside = outside

    def reach(self, key: str, action: Action = "read") -> str:
        """Return the path that `key` leads to; see `Folder.reach`.

        Raises:
            SpecialFileError: it leads out of the store.
        """
        if action != "read" or not (key == self.key or key.startswith(f"{self.key}/")):
            return super().reach(key, action)
        super().reach(self.key)
        path = self.path(key)
        if not self.follows(path):
            raise self.error(files.SpecialError(files.LINK, path), key, action)
        return os.path.realpath(path)

    def reach_folder(self, prefix: str) -> str:
        """Return the path that a folder leads to."""
        return self.reach(prefix) if prefix else self.base

    def follows(self, path: str) -> bool:
        """Tell whether a link may be followed."""
        return self.outside or f"{os.path.realpath(path)}/".replace(os.sep, "/").startswith(self.base)
