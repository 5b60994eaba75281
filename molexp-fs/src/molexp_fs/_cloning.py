"""Clones of files: they share their blocks with another one until either is written to, so that nothing is copied."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_FICLONE = getattr(fcntl, "FICLONE", 0x4004_9409)  # Python 3.11 has no name for it
_LARGE = 1 << 20  # bytes from which on it is worth it: the source is written to the disk first
_CAN = sys.platform == "linux" and fcntl is not None


def clone_to(source: IO[bytes], path: Path, progress: Callable[[int], Any] | None) -> bool:
    """Make `path` a clone of a file that is large enough to be worth it; tell whether that was done."""
    if not _CAN or os.fstat(source.fileno()).st_size < _LARGE:
        return False
    with path.open("wb") as sink:
        if not clone(source, sink):
            return False
        if progress is not None:
            progress(os.fstat(sink.fileno()).st_size)
    return True


def clone(source: IO[bytes], sink: IO[bytes]) -> bool:
    """Make an empty file a clone of another one; tell whether that was done.

    It is, within one file system of a sort that can: Btrfs, XFS, bcachefs, OCFS2, NFS and SMB where the server's can, and
    layers above them. See ioctl_ficlone(2).
    """
    if not _CAN:
        return False
    try:
        fcntl.ioctl(sink.fileno(), _FICLONE, source.fileno())
    except OSError:  # there are a dozen ways to say that it cannot; whoever copies finds out about the others
        os.ftruncate(sink.fileno(), 0)
        return False
    return True
