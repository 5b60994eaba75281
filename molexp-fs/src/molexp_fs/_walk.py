"""List the keys in folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from operator import attrgetter

from molexp.contracts import Listing, Stat
from molexp.errors import KeyNotFoundError
from molexp_fs._files import FOLDER, LINK, TEMP_PREFIX, sort_of
from molexp_fs._folder import Folder, Followed

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*").fullmatch
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
GONE = (FileNotFoundError, NotADirectoryError)
"""Errors of opening a folder that does not exist."""
LOOP = "folder that leads back to one above it"
_NOTHING = Listing((), ())
_JUNCTIONS = os.name == "nt"  # folders by their type, which lead somewhere else as links do
_key = attrgetter("key")
_Way = tuple[tuple[int, int], ...]


def describe(key: str, found: os.stat_result, sort: str | None = None) -> Stat:
    """Return the description of `key`. `sort` is its type, if it is no regular file."""
    version = f"{found.st_mtime_ns:x}-{found.st_ino:x}-{found.st_size:x}"
    if sort := sort_of(found) if sort is None else sort:
        return Stat(key, 0, version, found.st_mtime, sort)
    return Stat(key, found.st_size, version, found.st_mtime)


def children(folder: Folder, prefix: str) -> Listing:
    """List one level. A missing folder is empty."""
    files, folders = _level(folder, prefix, by_name=not _JUNCTIONS)
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
                if not _PLAIN(name) and not _is_ours(name):
                    continue
                try:
                    if entry.is_file(follow_symlinks=False):  # nearly all are: the kernel has said so with the name
                        files.append(describe(inside + name, entry.stat(follow_symlinks=False), ""))
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
    found = entry.stat(follow_symlinks=False)
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
