"""Write what grows while a run goes on, such as a log. Every line that was written survives ``kill -9``."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Any, TypeVar

from molexp._assets.builtin_kinds import LogKind
from molexp._assets.logs import LogReader
from molexp._assets.naming import AttemptAssets, Slot
from molexp._recording.writer import Writer
from molexp.contracts import Appender
from molexp.contracts._copying import CHUNK, copy_stream
from molexp.errors import (
    KeyExistsError,
    RunError,
    StoreError,
    TaskEndedError,
)

if TYPE_CHECKING:
    from pathlib import Path

_BATCH = 1 << 16  # bytes that are hashed at a time


def _check_text(given: Any) -> None:
    """Refuse what is no text.

    Raises:
        TypeError: it is not; says how to make it one.
    """
    if not isinstance(given, str):
        how = "data.decode()" if isinstance(given, bytes | bytearray | memoryview) else "str(value)"
        raise TypeError(f"A log takes text, not {type(given).__name__}. Pass {how}.")


class Growing:
    """The payload of an asset that grows until its context ends. Its file is made with the first bytes."""

    def __init__(self, assets: AttemptAssets, slot: Slot) -> None:
        self._assets = assets
        self._slot = slot
        self._check = assets.recorder.check
        self._lock = slot.lock  # a signal's handler may log while its thread does
        self._busy = False
        self._interleaved: list[bytes] = []
        self._hash = sha256()
        self._unhashed = bytearray()
        self._size = 0  # without what is not hashed yet
        self._plain: Appender | None = None  # the appender, while there is nothing to mind but to write
        self._appender: Appender | None = None
        self._record: dict[str, Any] | None = None
        self._torn = False  # part of a line may be there that could not be written
        self._counted = slot.version == 0
        self._shared: Path | None = None
        self._copied: IO[bytes] | None = (
            None  # a file that others append to where keys are no files, as far as it was taken
        )

    def write(self, data: bytes) -> None:
        """Append `data`.

        Raises:
            ContextClosedError: the attempt has ended, or belongs to another process.
        """
        with self._lock:
            self._check()
            if self._busy:  # within a write of this same thread: it comes right after that
                self._interleaved.append(data)
                return
            self._busy = True
            try:
                if (plain := self._plain) is not None:  # as nearly always
                    plain.write(data)
                    self._unhashed += data
                    if len(self._unhashed) >= _BATCH:
                        self._digest()
                else:
                    self._write_first(data)
                while self._interleaved:
                    self._write_first(self._interleaved.pop(0))
            except BaseException as error:  # Ctrl-C, too: the bytes may be there that were not counted
                self._plain = None
                if self._record is not None:  # it was opened
                    self._counted = False
                    self._torn = self._torn or isinstance(error, StoreError)  # part of a line may be there
                raise
            finally:
                self._busy = False

    def _write_first(self, data: bytes) -> None:
        """Append `data`, to a file that has to be opened, that others append to, or that a line may be torn in."""
        appender = self._open() if self._record is None or self._appender is None else self._appender
        if self._copied is not None:
            self._take_copied(appender, self._copied)
        if self._torn:
            data = b"\n" + data
        appender.write(data)
        self._torn = False
        self._unhashed += data
        if self._copied is None:
            self._plain = appender

    def _digest(self) -> Any:
        """Return the hash of all that was counted; hashing many short lines one by one would cost as much as writing them."""
        self._hash.update(self._unhashed)
        self._size += len(self._unhashed)
        self._unhashed.clear()
        return self._hash

    def belongs_to(self, assets: AttemptAssets) -> bool:
        """Tell whether it was made for this one, and not for an earlier retry of the task."""
        return self._assets is assets

    def share(self) -> Path:
        """Return a local path that other programs may append to, too."""
        self._check()
        store = self._assets.writer.store
        with self._lock:
            if self._record is None:
                self._open()
            if self._shared is None:
                if "local_path" in store.capabilities:
                    self._shared = store.local_path(self._slot.key)
                elif (outbox := self._assets.writer.outbox) is not None:
                    self._shared = outbox.file_of(self._slot.key)
                else:
                    import tempfile
                    from pathlib import Path

                    number, name = tempfile.mkstemp(prefix="molexp-log-")
                    self._shared, self._copied = Path(name), os.fdopen(number, "rb")
                    self._plain = None
            return self._shared

    def reader(self) -> LogReader:
        """Return what reads all that was written so far."""
        if self._assets.writer.outbox is not None:  # it is read where it is
            self._take_in()
        else:
            self.flush()
        return LogReader(self._assets.writer.store, self._slot.name, self._slot.key)

    def flush(self) -> None:
        """Let the store see what was written."""
        with self._lock:
            self._take_in()
            appender = self._appender
            if (flush := getattr(appender, "flush", None)) is not None:
                flush()
        if appender is not None and (outbox := self._assets.writer.outbox) is not None:
            outbox.settle()  # without the lock: what is written meanwhile need not wait for the store

    def _take_in(self) -> None:
        """Append what other programs wrote to the copy that they were given."""
        with self._lock:
            if self._appender is not None and self._copied is not None:
                self._take_copied(self._appender, self._copied)

    def close(self) -> None:
        """Take no more, and make the asset's record final."""
        with self._lock:
            if self._appender is None:
                return
            if self._copied is not None:
                self._take_copied(self._appender, self._copied)
                self._copied.close()
                self._copied = None
                os.unlink(str(self._shared))
            elif self._shared is not None or not self._counted:
                self._count()
            self._appender.close()
            self._appender = self._plain = None
            if self._record is not None:
                self._record |= self._facts()
                self._assets.writer.completed(self._record)
            if self._slot.growing is self:
                self._slot.growing = None

    def _facts(self) -> dict[str, Any]:
        """Return what the record says once no more comes."""
        digest = self._digest().hexdigest()
        return {"size": self._size, "content_hash": f"sha256:{digest}"}

    def _open(self) -> Appender:
        if self._appender is None:
            again = self._slot.version > 0
            self._appender = open_growing(self._assets.writer, self._slot, again=again)
        try:
            # Before it is recorded: if the attempt ends meanwhile, the file is closed all the same.
            self._assets.recorder.manage(self)
            self._record = self._assets.publish(self._slot, size=None, content_hash=None, fields={})
        except (RunError, TaskEndedError):  # the attempt or the task ended, or was stopped, meanwhile
            self._appender.close()
            self._appender = None
            raise
        return self._appender

    def _take_copied(self, appender: Appender, copied: IO[bytes]) -> None:
        """Append what others wrote to the copy since the last time."""
        self._digest()
        while chunk := copied.read(CHUNK):
            appender.write(chunk)
            self._unhashed += chunk
            self._digest()

    def _count(self) -> None:
        """Count what is in the file: others appended to it, or a write failed halfway."""
        self._unhashed.clear()
        self._hash = sha256()
        with self._assets.writer.store.open_read(self._slot.key) as file:
            self._size = copy_stream(file, digest=self._hash)


G = TypeVar("G", bound=Growing)


def grow(assets: AttemptAssets, kind: str, name: str, task: str | None, make: Callable[[AttemptAssets, Slot], G]) -> G:
    """Return the growing payload of this name, the same one for all who ask; one that is not there yet is made by `make`.

    Raises:
        InvalidNameError: the name cannot be used.
        AssetExistsError: another task or kind has it.
    """
    slot = assets.reserve(assets.library.kind(kind), name, task)
    with assets.writer.lock:
        if slot.growing is None or not slot.growing.belongs_to(assets):
            slot.growing = make(assets, slot)
        found: G = slot.growing
        return found


def open_growing(writer: Writer, slot: Slot, *, again: bool) -> Appender:
    """Open a payload for appending, under a name of the writer's own if another writer of the attempt has it.

    Args:
        writer: the writer.
        slot: the name of the payload.
        again: it was begun before, and goes on.
    """
    store = writer.store
    if (outbox := writer.outbox) is not None:
        first = store.read(slot.key) if again else b""
        return outbox.growing(slot.key, guard=writer.refuse_ended, first=first)
    if again:  # an earlier retry of the task made it
        return store.open_append(slot.key)
    for other in slot.fallbacks:
        try:
            return store.open_append(slot.key, exclusive=True)
        except KeyExistsError:
            slot.key = other
    return store.open_append(slot.key, exclusive=True)


class LogHandle(io.TextIOBase):
    """A log that is written to, ``ctx.log("train")``: `append` for lines, or ``print(..., file=ctx.log("train"))``.

    What was written survives the death of this process; where files cannot be appended to, what was flushed does.
    Without a run it is dropped.

    Example:
        >>> with exp.Run().start() as ctx:
        ...     log = ctx.log("relax")
        ...     log.append("step 1")
        ...     print("step 2", file=log)
        ...     log.tail(1)
        ['step 2']
    """

    def __init__(self, assets: AttemptAssets | None, name: str, task: str | None) -> None:
        self._growing = None if assets is None else grow(assets, LogKind.name, name, task, Growing)
        self._log_name = name

    @property
    def name(self) -> str:
        """The log's name."""
        return self._log_name

    def append(self, text: str) -> None:
        """Write `text` as a line of its own (or several, if it has line breaks)."""
        if type(text) is not str:
            _check_text(text)
        if (growing := self._growing) is not None:
            line = text if text[-1:] == "\n" else text + "\n"
            growing.write(line.encode() if line.isascii() else line.encode("utf-8", "backslashreplace"))

    def write(self, text: str, /) -> int:
        """Write `text` as it is."""
        if type(text) is not str:
            _check_text(text)
        if self._growing is not None and text:
            self._growing.write(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def writable(self) -> bool:
        """Tell that it is."""
        return True

    def flush(self) -> None:
        """Let the store see what was written; where files can be appended to, it does already."""
        if self._growing is not None:
            self._growing.flush()

    def close(self) -> None:
        """Do nothing: the log is open as long as its context."""

    def text(self) -> str:
        """Return all that was written so far."""
        return "" if self._growing is None else self._growing.reader().text()

    def tail(self, n: int = 10) -> list[str]:
        """Return the last `n` lines; only the end of the log is read for them."""
        return [] if self._growing is None else self._growing.reader().tail(n)
