"""The file system that a folder lies on, and the dangers of its sort."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_MOUNTS = "/proc/self/mounts"
_ESCAPED = re.compile(r"\\([0-7]{3})")
_LATE = "Other hosts see changes late: let MOLEXP_LEASE_TTL be longer than the attribute cache (actimeo)."
_GONE = "It is lost when the machine stops: sync what you want to keep, with molexp sync."
_SORTS = {
    **dict.fromkeys(("nfs", "nfs4"), ("a network file system", _LATE)),
    **dict.fromkeys(
        ("cifs", "smb3", "smbfs"), ("a share of SMB", f"{_LATE} A server may lack hard links and flushes.")
    ),
    **dict.fromkeys(("tmpfs", "ramfs", "devtmpfs"), ("memory", _GONE)),
    "overlay": ("the layer of a container", "It is lost with the container: mount a volume for the workspace."),
    "9p": (
        "a share of a virtual machine",
        "Locks and flushes depend on the host: put the workspace on a disk of the machine.",
    ),
    "vfat": ("FAT", "It has neither links nor large files: use another file system."),
    "msdos": ("FAT", "It has neither links nor large files: use another file system."),
}
_FUSE = (
    "a program's file system",
    "What it promises depends on the program: use the bucket or the server itself, by URL.",
)
_PLENTY = 1 << 30  # bytes
_LITTLE = 100 << 20
_SHARE = 0.05


class Place(NamedTuple):
    """Facts about the file system of a folder.

    Attributes:
        sort: its type, as ``ext4``; "" where the system does not tell.
        free: bytes that you may still write.
        size: all its bytes.
        inodes: the share of inodes that is free; 1.0 where there is no limit.
        folds_case: true if it takes names that differ in case alone for one.
    """

    sort: str
    free: int
    size: int
    inodes: float
    folds_case: bool


class Danger(NamedTuple):
    """Something that can cost you data or time, and what to do about it."""

    what: str
    hint: str
    is_acute: bool = False


def look_at_folder(folder: str) -> Place:
    """Return the facts about the file system that an existing folder lies on."""
    folder = os.path.realpath(folder)
    _, sort = max(
        (one for one in _mounts() if folder == one[0] or folder.startswith(one[0].rstrip("/") + "/")),
        key=lambda one: len(one[0]),
        default=("", ""),
    )
    if not hasattr(os, "statvfs"):
        import shutil

        usage = shutil.disk_usage(folder)
        return Place(sort, usage.free, usage.total, 1.0, _folds_case(folder))
    found = os.statvfs(folder)
    inodes = found.f_favail / found.f_files if found.f_files else 1.0
    size = found.f_blocks * found.f_frsize
    return Place(sort, found.f_bavail * found.f_frsize, size, inodes, _folds_case(folder))


def dangers_of(place: Place) -> Iterable[Danger]:
    """Yield the dangers of a file system."""
    sort = _SORTS.get(place.sort) or (_FUSE if place.sort.startswith("fuse") and place.sort != "fuseblk" else None)
    if sort is not None:
        yield Danger(*sort)
    if place.folds_case:
        yield Danger("it does not tell capitals apart", "Give files of a run names that differ in more than case.")
    if place.free < _PLENTY and place.free < _SHARE * place.size:
        acute = place.free < _LITTLE
        yield Danger("nearly full", "Free space: molexp gc shows what of the workspace can go.", acute)
    if place.inodes < _SHARE / 5:
        yield Danger("nearly out of inodes", "Remove small files: molexp gc shows what of the workspace can go.")


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield the mount points and types of the file systems of this machine, where it tells; a later one hides an earlier one."""
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.split() for line in file]
    except OSError:
        return
    for fields in reversed(lines):
        if len(fields) > 2:
            yield _ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[1]), fields[2]


def _folds_case(folder: str) -> bool:
    """Tell whether a name in the folder, or its own, is found in other case, too."""
    above, name = os.path.split(folder)
    if name.swapcase() == name:
        return False
    try:
        return os.path.samefile(folder, os.path.join(above, name.swapcase()))
    except OSError:
        return False
