"""Give files their names: only when they are complete, and exclusively on request."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from molexp.contracts import Capability
from molexp_fs import _files as files
from molexp_fs._errors import NO_LINK, NO_TMPFILE

_NAMELESS = os.O_WRONLY | getattr(os, "O_TMPFILE", 0)
_HAS_NAMELESS = hasattr(os, "O_TMPFILE") and os.link in os.supports_dir_fd
_HAS_LINKS = hasattr(os, "link")
_NO_FOLLOW = {"follow_symlinks": False} if _HAS_LINKS and os.link in os.supports_follow_symlinks else {}


class Naming:
    """The ways to name files on one file system. It learns which ones work by using them.

    Methods take paths and raise `OSError`. The caller creates missing folders.

    Attributes:
        durable: True if every change is flushed to the disk before the method returns.
        nameless: True if a file can be written before it has a name, so that a killed process leaves nothing.
        links: True if the file system has hard links.
    """

    __slots__ = ("durable", "links", "nameless")

    def __init__(self, *, durable: bool):
        self.durable = durable
        self.nameless = _HAS_NAMELESS
        self.links = _HAS_LINKS

    def create(self, path: str, data: bytes) -> None:
        """Create `path` with `data`, exclusively."""
        if self.nameless and (fd := self._create_nameless(path, data, _NAMELESS)) is not None:
            os.close(fd)
            return
        temp = files.temp_path(path)
        files.write_new(temp, data, durable=self.durable)
        try:
            self.publish(temp, path)
        finally:
            files.remove(temp)

    def write(self, path: str, data: bytes) -> None:
        """Replace `path`, or create it, with `data`."""
        temp = files.temp_path(path)
        files.write_new(temp, data, durable=self.durable)
        try:
            os.replace(temp, path)
        except BaseException:
            files.remove(temp)
            raise
        if self.durable:
            self._flush(path)

    def replace(self, temp: str, path: str) -> None:
        """Give `temp` the name `path`, replacing any file there."""
        os.replace(temp, path)
        self._flush(path)

    def publish(self, temp: str, path: str) -> None:
        """Give `temp` the name `path` exclusively. The name `temp` may remain; the caller removes it."""
        if not (self.links and self._link(temp, path)):
            self._claim_and_replace(temp, path)
            self.links = False  # only now: a folder that denies everything says nothing about links
        self._flush(path)

    def rename(self, path: str, target: str, unlink: Callable[[], None]) -> None:
        """Rename `path`, which `unlink` removes, to `target` exclusively.

        With links the file gets its new name before it loses the old one. Of several callers, the one that removes
        the old name has renamed the file; the others get `FileNotFoundError`.
        """
        if self.links and self._link(path, target):
            try:
                unlink()
            except FileNotFoundError:
                if os.lstat(target).st_nlink > 1:  # the faster caller chose another name; this one is superfluous
                    files.remove(target)
                raise
        else:
            self._claim_and_replace(path, target)
        self._flush(target)
        self._flush(path)

    def open_append(self, path: str, *, exclusive: bool, first: bytes) -> int:
        """Open `path` for appending, creating it if it is not there; with `exclusive`, only then, and with `first`."""
        if exclusive and first:
            if self.nameless and (fd := self._create_nameless(path, first, _NAMELESS | os.O_APPEND)) is not None:
                return fd
            self.create(path, first)
            return os.open(path, files.APPEND)
        if exclusive:
            fd = os.open(path, files.APPEND | os.O_CREAT | os.O_EXCL, 0o666)
        else:
            fd, _ = files.open_regular(path, files.APPEND | os.O_CREAT)
        try:
            if first:
                files.write_all(fd, first)
            if self.durable:
                self._flush(path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _create_nameless(self, path: str, data: bytes, flags: int) -> int | None:
        """Create `path` without a temporary name and return it open; None if that is not possible here."""
        try:
            fd = os.open(path[: path.rfind("/")] or "/", flags, 0o666)
        except OSError as error:
            if error.errno not in NO_TMPFILE:
                raise
            self.nameless = False
            return None
        try:
            if (done := os.write(fd, data)) != len(data):
                files.write_all(fd, data[done:])
            if self.durable:
                os.fsync(fd)
            try:
                # A directory descriptor, which an absolute path leaves unused, makes Python call linkat(2) with the
                # flag that follows the link in /proc; see open(2) under O_TMPFILE.
                os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=0, follow_symlinks=True)
            except FileExistsError:
                raise
            except OSError:
                self.nameless = False  # no /proc, or such links denied; the other way works or meets the same error
                os.close(fd)
                return None
            if self.durable:
                self._flush(path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    @staticmethod
    def _link(path: str, new: str) -> bool:
        try:
            os.link(path, new, **_NO_FOLLOW)
        except FileExistsError:
            if not files.same_file(path, new):  # else it was our own request, replayed after its answer was lost
                raise
        except OSError as error:
            if error.errno in NO_LINK:
                return False
            raise
        return True

    @staticmethod
    def _claim_and_replace(path: str, new: str) -> None:
        """Give a file its new name where it cannot be linked: claim the name, then replace the empty claim.

        Readers wait a moment for the owner of a claim. Then they assume that it is dead and take the claim. So a process
        that was paused here checks that the claim is still its own.
        """
        if os.name == "nt":  # there, this is exclusive
            os.rename(path, new)
            return
        with files.claimed(new) as is_ours:
            if not is_ours():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
        try:
            os.replace(path, new)
        except BaseException:
            files.remove_empty(new)
            raise

    def _flush(self, path: str) -> None:
        if self.durable:
            files.sync_folder(files.folder_of_path(path))


def capabilities() -> frozenset[Capability]:
    """Return the capabilities of a folder on this operating system."""
    found: set[Capability] = {"append", "local_path"}
    if hasattr(os, "link"):
        found.add("link")
    if hasattr(os, "symlink"):
        found.add("symlink")
    return frozenset(found)
