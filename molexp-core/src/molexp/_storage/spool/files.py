"""The files of one writer's spool, and how they are read again.

``spool`` has lines, each begun by a letter: ``H`` who writes and for which attempt, ``E`` an event, ``S`` so many of the
events that no segment has yet make up the next one, ``P`` a payload that lies beside it, ``D`` one that has arrived, ``X``
how the attempt ends. Beside it lie the payloads, by their numbers.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from msgspec import Struct, field

from molexp._storage import private_files, schemas
from molexp._storage.spool import locations
from molexp._values.documents import decode_object, encode_line
from molexp.errors import ContextClosedError, CorruptRecordError, StorageFullError, StoreError

try:
    import fcntl
except ImportError:  # Windows: the owner's process says whether it lives
    fcntl = None  # type: ignore[assignment]

LINES = "spool"


_open: weakref.WeakSet[Spool] = weakref.WeakSet()


def _let_go() -> None:
    """Close the lock in a forked child: it says that the parent lives, so it must not be held here as well."""
    for spool in [*_open]:
        spool.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


class Spool:
    """The spool of a writer that lives. Made with the first thing that is put there."""

    def __init__(self, url: str, name: str, head: Mapping[str, Any]) -> None:
        self._url = url
        self._name = name
        self._head = {"schema": schemas.SPOOL, **head, "url": url}
        self._folder: Path | None = None
        self._path = ""
        self._descriptor = -1
        self._count = 0
        self._gone = False
        self._lock = threading.Lock()

    def event(self, line: bytes) -> None:
        """Keep an event; it survives the death of this process."""
        self._add(b"E" + line)

    def note(self, kind: str, document: Mapping[str, Any]) -> None:
        """Keep something else; see the module's docstring."""
        self._add(kind.encode() + encode_line(document))

    def new_file(self) -> tuple[int, Path]:
        """Return a number and a path for a payload."""
        with self._lock:
            folder = self._ready()
            self._count += 1
            return self._count, folder / str(self._count)

    def check(self) -> None:
        """Raise if it was removed.

        Raises:
            ContextClosedError: it was.
        """
        with self._lock:
            self._ready()

    def remove(self) -> None:
        """Remove the spool: everything is in the store."""
        with self._lock:
            self._gone = True
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)  # first: a lock that is free says that we are dead
                self.let_go()
                if os.name == "nt":  # on systems that remove nothing that is open
                    shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def let_go(self) -> None:
        """Close it, without a word: it is another process's, or removed."""
        descriptor, self._descriptor = self._descriptor, -1  # first: soon its number is that of another file
        if descriptor >= 0:
            os.close(descriptor)

    def _ready(self) -> Path:
        if self._folder is not None:
            return self._folder
        if self._gone:  # another thread has ended the attempt meanwhile
            raise ContextClosedError(str(self._head["run"]), why=f"attempt {self._head['attempt']} has ended")
        try:
            folder = locations.make(self._url, self._name)
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
            self._path = str(folder / LINES)
            self._descriptor = private_files.opener(self._path, flags)
        except OSError as problem:
            raise StoreError(
                f"Nothing can be kept on this machine until it is in {self._url}: {problem}. "
                f"Set {locations.VARIABLE} to a folder of yours that nobody else can write to.",
                url=self._url,
            ) from problem
        locked = False
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks: the owner's process says whether it lives
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # whoever looks holds it for as long as it is empty
                locked = True
        self._write(b"H" + encode_line({**self._head, "locked": locked}))
        self._folder = folder
        _open.add(self)
        return folder

    def _add(self, line: bytes) -> None:
        with self._lock:
            self._ready()
            self._write(line)

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            raise translate(error, self._url, self._path) from error
        if written < len(line):
            os.write(self._descriptor, b"\n")  # whoever reads it sees a torn line
            raise translate(OSError(errno.ENOSPC, "no space left"), self._url, self._path)


def translate(error: OSError, url: str, path: str | os.PathLike[str]) -> StoreError:
    """Return the error of MolExp for one of the local disk."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        detail = f"{error.strerror}; {locations.VARIABLE} sets another folder"
        return StorageFullError(os.fspath(path), url=f"the local spool of {url}", detail=detail)
    why = f"{error.strerror or error}: {os.fspath(path)!r}"
    return StoreError(
        f"The local spool of {url} cannot be written: {why}. Set {locations.VARIABLE} to another folder.", url=url
    )


class Payload(Struct):
    """A file in the spool.

    Attributes:
        key: its destination in the store.
        path: its local file.
        exclusive: True if `key` must not exist.
        grows: True for a log, which is written again as it grows.
    """

    key: str
    path: Path
    exclusive: bool
    grows: bool


class Left(Struct):
    """The spool that a writer left behind.

    Attributes:
        folder: its spool.
        head: facts about the writer and the attempt that it wrote for.
        segments: lines of the segments that were sent, or were about to be.
        rest: lines of events that came after them.
        payloads: files that had not arrived.
        end: the attempt's end, as it was to be created.
    """

    folder: Path
    head: dict[str, Any]
    segments: list[bytes] = field(default_factory=list)
    rest: bytes = b""
    payloads: list[Payload] = field(default_factory=list)
    end: bytes | None = None


def read_left(folder: Path, data: bytes) -> Left:
    """Read a spool's lines; one that makes no sense costs that line alone.

    Raises:
        CorruptRecordError: it does not say whose it is.
    """
    reader: _Reader | None = None
    for line in data.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break  # torn
        try:
            if reader is not None:
                reader.read(line[:1], line[1:])
            elif line.startswith(b"H"):
                reader = _Reader(Left(folder, decode_object(line[1:], LINES)))
        except (CorruptRecordError, KeyError, TypeError, ValueError):
            continue
    if reader is None:
        raise CorruptRecordError(str(folder / LINES), "it does not say whose it is")
    return reader.result()


class _Reader:
    """Takes the lines of one spool."""

    def __init__(self, left: Left) -> None:
        self._left = left
        self._events: list[bytes] = []
        self._waiting: dict[int, Payload] = {}

    def read(self, kind: bytes, text: bytes) -> None:
        if kind == b"E":
            self._events.append(text)
            return
        document = decode_object(text, LINES)
        if kind == b"S":
            count = int(document["lines"])
            self._left.segments.append(b"".join(self._events[:count]))
            del self._events[:count]
        elif kind == b"P":
            number, exclusive, grows = int(document["file"]), bool(document["exclusive"]), bool(document["grows"])
            path = self._left.folder / str(number)
            self._waiting[number] = Payload(str(document["key"]), path, exclusive, grows)
        elif kind == b"D":
            self._waiting.pop(int(document["file"]), None)
        elif kind == b"X":
            self._left.end = str(document["end"]).encode()

    def result(self) -> Left:
        self._left.rest = b"".join(self._events)
        self._left.payloads = [*self._waiting.values()]
        return self._left


def open_lines(folder: Path) -> IO[bytes]:
    """Open the lines of a spool.

    Raises:
        CorruptRecordError: somebody else may have written them.
        OSError: they cannot be opened.
    """
    path = folder / LINES
    try:
        file = open(path, "r+b", opener=private_files.opener)  # noqa: SIM115 - its lock lasts as long as it is open
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CorruptRecordError(str(path), f"it is not believed: {error.strerror}") from error
    try:
        private_files.check_file(file.fileno())
    except PermissionError as error:
        file.close()
        raise CorruptRecordError(str(path), f"it is not believed: {error.strerror}") from None
    return file


def take_over(folder: Path) -> IO[bytes] | None:
    """Open the spool of a writer that does not hold it any more; None while it does, or if somebody else took it over.

    Raises:
        CorruptRecordError: somebody else may have written it.
    """
    try:
        file = open_lines(folder)
    except OSError:
        return None
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        except OSError:
            pass  # a file system without locks
    return file
