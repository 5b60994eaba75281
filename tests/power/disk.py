"""A store on a disk that may lose its power: what was not flushed is there, gone, torn, or there in part and in no order.

Names and contents are kept apart, as a file system keeps them. Until `sync` says otherwise, a key may bear after a cut any
file that it has borne since its name was flushed last, or none; and a file may have, of what was written to it since its
contents were flushed last, all, nothing, a part, or zeros in its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from molexp._recording.process import this_process
from molexp._storage.memory import MemoryStore, _File, _Space
from molexp.contracts import Appender, Durability, check_key
from molexp.errors import UnavailableError

_OFF = 3600.0  # seconds until the power is back


class PowerCut(UnavailableError):
    """The power is gone; nothing that is asked of the store from now on is done."""


class _Disk(_Space):
    """The keys as programs see them, and what a cut may leave of them."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed: dict[_File, int] = {}  # bytes that are on the disk
        self.borne: dict[str, list[_File | None]] = {}  # what a key bears after a cut: one of these
        self.left = -1  # operations until the power is cut; below 0, it is not
        self.dead = False

    def spend(self) -> None:
        if self.dead or self.left == 0:
            self.dead = True
            raise PowerCut("There is no power.")
        self.left -= 1

    def put(self, key: str, file: _File) -> None:
        super().put(key, file)
        self.borne.setdefault(key, [None]).append(file)

    def drop(self, key: str) -> _File:
        self.borne.setdefault(key, [None]).append(None)
        return super().drop(key)


class DiskStore(MemoryStore):
    """Keys on a disk that may lose its power.

    Args:
        name: of the disk.
        durability: as of any store.
        left: after so many changes, the power is cut; below 0, it is not.
    """

    def __init__(self, name: str = "", *, durability: Durability = "end", left: int = -1) -> None:
        disk = _Disk()
        disk.left = left
        with self._spaces_lock:
            self._spaces[name] = disk
        super().__init__(name)
        self.disk = disk
        self.durability = durability

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a disk stays where it is")

    # ---------------------------------------------------------------------------------------------------------- changing

    def _at_once(self, key: str) -> None:
        if self.durability == "always":
            self._flush(key, content=True, names=True)

    def write(self, key: str, data: bytes) -> None:
        self.disk.spend()
        super().write(key, data)
        self._at_once(key)

    def create(self, key: str, data: bytes) -> None:
        self.disk.spend()
        super().create(key, data)
        self._at_once(key)

    def delete(self, key: str) -> None:
        self.disk.spend()
        super().delete(key)
        self._at_once(key)

    def rename(self, key: str, new: str) -> None:
        self.disk.spend()
        super().rename(key, new)
        self._at_once(key)
        self._at_once(new)

    def append(self, key: str, data: bytes) -> None:
        self.disk.spend()
        super().append(key, data)
        self._at_once(key)

    def open_append(self, key: str, *, exclusive: bool = False, first: bytes = b"") -> Appender:
        self.disk.spend()
        appender = super().open_append(key, exclusive=exclusive, first=first)
        self._at_once(key)
        return appender

    def _extend(self, file: _File, data: bytes) -> None:
        self.disk.spend()
        super()._extend(file, data)
        if self.durability == "always":
            self.disk.flushed[file] = len(file.data)

    def sync(self, keys: Iterable[str], *, content: bool = True, names: bool = True) -> None:
        if self.durability != "end":
            return
        wanted = [check_key(key) for key in keys]
        if content:  # before the names, each of which may be the last thing that happens
            for key in wanted:
                self._flush(key, content=True, names=False)
        if names:
            for key in wanted:
                self._flush(key, content=False, names=True)

    def _flush(self, key: str, *, content: bool, names: bool) -> None:
        self.disk.spend()
        file = self.disk.files.get(key)
        if content and file is not None:
            self.disk.flushed[file] = len(file.data)
        if names:
            self.disk.borne[key] = [file]

    # -------------------------------------------------------------------------------------------------------------- a cut

    def forget_attempts(self) -> None:
        """The process that wrote is gone, with the power."""
        heart = this_process().heart
        for attempt in heart.attempts():
            if attempt.store is self:
                heart.remove(attempt)

    def after_a_cut(self, name: str, random: Random) -> DiskStore:
        """Return what is found on the disk when the power is back."""
        found = DiskStore(name, durability=self.durability)
        for key, candidates in sorted(self.disk.borne.items()):
            file = random.choice(candidates) if random.random() < 0.7 else candidates[random.choice((0, -1))]
            if file is not None:
                found.disk.put(key, _File(self._content(file, random), next(found.disk.versions)))
        for key, file in found.disk.files.items():
            file.modified -= _OFF
            found.disk.flushed[file] = len(file.data)
            found.disk.borne[key] = [file]
        return found

    def _content(self, file: _File, random: Random) -> bytes:
        flushed = self.disk.flushed.get(file, 0)
        rest = bytes(file.data[flushed:])
        part = random.choice((0, 0, random.randint(0, len(rest)), len(rest)))
        zeros = random.random() < 0.1
        return bytes(file.data[:flushed]) + (bytes(part) if zeros else rest[:part])
