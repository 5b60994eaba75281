"""From keys to paths, what may stand in the way of making one, and listing the keys in folders."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import attrgetter, methodcaller
from typing import TypeVar

from molexp.contracts import Listing, Stat, Store, check_key
from molexp.errors import KeyNotFoundError, StoreError, WorkspaceMovedError
from molexp_fs import _files as files
from molexp_fs._errors import Action, LinkedFolderError, translate
from molexp_fs._files import FOLDER, LINK, TEMP_PREFIX, sort_of
from molexp_fs._keys import check_local, respelled

REMEMBERED = 4096
"""A store remembers at most this many folders that it has checked."""

_WINDOWS = os.name == "nt"  # junctions are folders by their type, and lead somewhere else as links do
_NAME = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*+").fullmatch  # of nearly all files
_SHORT = 0 if _WINDOWS else 255  # characters up to which a key of such names needs no further look
_T = TypeVar("_T")
_LISTED = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*").fullmatch
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
GONE = (FileNotFoundError, NotADirectoryError)
"""Errors of opening a folder that does not exist."""
LOOP = "folder that leads back to one above it"
_NOTHING = Listing((), ())
_key = attrgetter("key")
if sys.platform == "win32":

    def _status(entry: os.DirEntry[str]) -> os.stat_result:
        # A folder has no inodes there, and tells of a file that is open for writing how long it was when that was opened.
        return os.lstat(entry.path)

else:
    _status = methodcaller("stat", follow_symlinks=False)
_Way = tuple[tuple[int, int], ...]
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
        is_plain = len(key) <= _SHORT and _NAME(name) is not None and key[0] != "/"
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
        if folder in self._plain and len(key) <= _SHORT and _NAME(name) and key[0] != "/":  # as nearly always
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
        if (sort := sort_of(found)) == LINK:
            link = LinkedFolderError(folder, self.base + folder)
            raise self.error(link, key, action) from link
        if sort == FOLDER:
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
            raise self.error(files.SpecialError(LINK, path), key, action)
        return os.path.realpath(path)

    def reach_folder(self, prefix: str) -> str:
        """Return the path that a folder leads to."""
        return self.reach(prefix) if prefix else self.base

    def follows(self, path: str) -> bool:
        """Tell whether a link may be followed."""
        return self.outside or f"{os.path.realpath(path)}/".replace(os.sep, "/").startswith(self.base)


# ------------------------------------------------------------------------------------------------------------- listing


def describe(key: str, found: os.stat_result, sort: str | None = None) -> Stat:
    """Return the description of `key`. `sort` is its type, if it is no regular file."""
    version = f"{found.st_mtime_ns:x}-{found.st_ino:x}-{found.st_size:x}"
    if sort := sort_of(found) if sort is None else sort:
        return Stat(key, 0, version, found.st_mtime, sort)
    return Stat(key, found.st_size, version, found.st_mtime)


def children(folder: Folder, prefix: str) -> Listing:
    """List one level. A missing folder is empty."""
    files, folders = _level(folder, prefix, by_name=not _WINDOWS)
    if not files and not folders:
        return _NOTHING
    files.sort(key=_key)
    return Listing(tuple(files), tuple(sorted(folders)) if folders else ())


def walk(folder: Folder, prefix: str) -> Iterator[Stat]:
    """Yield every key below `prefix`. No folder is open while the caller works.

    A folder that is one of those that led to it (a bind mount; where links are followed, a link) is not entered again.
    """
    waiting: list[tuple[str, _Way, os.stat_result | None]] = [(prefix, (), None)]
    while waiting:
        at, way, found = waiting.pop()
        if found is None or not found.st_ino:
            try:
                found = os.stat(folder.base + at)
            except OSError:
                found = None  # the listing says so, or that it is gone
        elif type(folder) is Folder:
            folder.remember(at)  # the folder above has just said that it is no link
        if found is not None and found.st_ino:
            here = found.st_dev, found.st_ino
            if here in way:
                yield describe(at, found, LOOP)
                continue
            way = (*way, here)
        files, folders = _level(folder, at)
        yield from files
        waiting.extend((join(at, name), way, one) for name, one in folders.items())


def _level(
    folder: Folder, prefix: str, *, by_name: bool = False
) -> tuple[list[Stat], dict[str, os.stat_result | None]]:
    """Return the keys and folders of one level; `by_name`, without looking at folders that the kernel calls folders."""
    files: list[Stat] = []
    folders: dict[str, os.stat_result | None] = {}
    inside = f"{prefix}/" if prefix else ""
    try:
        if not (path := folder.reach_folder(prefix)):
            return files, folders
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if not _LISTED(name) and not _is_ours(name):
                    continue
                try:
                    if entry.is_file(follow_symlinks=False):  # nearly all are: the kernel has said so with the name
                        files.append(describe(inside + name, _status(entry), ""))
                    elif by_name and entry.is_dir(follow_symlinks=False):
                        folders[name] = None
                    else:
                        _sort(entry, inside, folder, files, folders)
                except FileNotFoundError:
                    pass  # deleted since the folder was opened, or a link that leads nowhere
    except (*GONE, KeyNotFoundError):
        return files, folders
    except OSError as error:
        raise folder.error(error, prefix, "list") from error
    return files, folders


def _sort(
    entry: os.DirEntry[str], inside: str, folder: Folder, files: list[Stat], folders: dict[str, os.stat_result | None]
) -> None:
    found = _status(entry)
    if (sort := sort_of(found)) == LINK and isinstance(folder, Followed) and folder.follows(entry.path):
        found = os.stat(entry.path)
        sort = sort_of(found)
    if sort == FOLDER:
        folders[entry.name] = found
    else:
        files.append(describe(inside + entry.name, found, sort))


def _is_ours(name: str) -> bool:
    # A name that no key can have is a foreign file's: not UTF-8, or with a backslash or a control character.
    if name.startswith(TEMP_PREFIX) or _FORBIDDEN.search(name):
        return False
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def join(prefix: str, name: str) -> str:
    """Return the key or folder `name` in the folder `prefix`."""
    return f"{prefix}/{name}" if prefix else name
