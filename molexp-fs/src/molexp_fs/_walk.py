"""Listings: from folders to keys."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from molexp.contracts import Listing, Stat
from molexp_fs._errors import translate
from molexp_fs._files import TEMP_PREFIX

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*").fullmatch
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
GONE = (FileNotFoundError, NotADirectoryError)
"""What a folder answers that is not there."""
_NOTHING = Listing((), ())


def describe(key: str, found: os.stat_result) -> Stat:
    """Return what `found` says about `key`."""
    version = f"{found.st_mtime_ns:x}-{found.st_ino:x}-{found.st_size:x}"
    return Stat(key, found.st_size, version, found.st_mtime)


def children(base: str, prefix: str, url: str) -> Listing:
    """List one level; a folder that is not there has nothing in it."""
    files, folders = _level(base, prefix, url)
    if not files and not folders:
        return _NOTHING
    return Listing(tuple(sorted(files, key=_key)), tuple(sorted(folders)))


def walk(base: str, prefix: str, url: str) -> Iterator[Stat]:
    """Yield every key below `prefix`, holding no folder open while the caller is busy."""
    waiting = [prefix]
    while waiting:
        at = waiting.pop()
        files, folders = _level(base, at, url)
        yield from files
        waiting.extend(join(at, name) for name in folders)


def _level(base: str, prefix: str, url: str) -> tuple[list[Stat], list[str]]:
    files: list[Stat] = []
    folders: list[str] = []
    inside = f"{prefix}/" if prefix else ""
    try:
        with os.scandir(base + prefix) as entries:
            for entry in entries:
                name = entry.name
                if not _PLAIN(name) and not _is_ours(name):
                    continue
                try:
                    if entry.is_file(follow_symlinks=False):  # nearly all are: the kernel has said so with the name
                        files.append(describe(inside + name, entry.stat(follow_symlinks=False)))
                    else:
                        _sort(entry, inside, base, prefix, files, folders)
                except FileNotFoundError:
                    pass  # deleted since the folder was opened, or a link that leads nowhere
    except GONE:
        return files, folders
    except OSError as error:
        raise translate(error, prefix, url, "list") from error
    return files, folders


def _sort(entry: os.DirEntry[str], inside: str, base: str, prefix: str, files: list[Stat], folders: list[str]) -> None:
    if entry.is_file():
        files.append(describe(inside + entry.name, entry.stat()))
    elif entry.is_dir() and not (entry.is_symlink() and _loops(entry.path, base, prefix)):
        folders.append(entry.name)


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


def _loops(path: str, base: str, prefix: str) -> bool:
    """Whether the linked folder `path` is one of those that led to it."""
    target = os.stat(path)
    above = base
    ways = [base]
    for name in prefix.split("/") if prefix else ():
        above += name + "/"
        ways.append(above)
    return any(os.path.samestat(target, os.stat(way)) for way in ways)


def join(prefix: str, name: str) -> str:
    """Return the key or folder `name` in the folder `prefix`."""
    return f"{prefix}/{name}" if prefix else name


def _key(stat: Stat) -> str:
    return stat.key
