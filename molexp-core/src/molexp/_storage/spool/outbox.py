"""Bringing payloads from the spool into the store, while their writer goes on with something else."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from msgspec import Struct

from molexp._storage.private_files import opener
from molexp._storage.spool.files import Spool, translate
from molexp._storage.spool.spooled_store import SpooledStore
from molexp._values.threads import start_unsignalled
from molexp.contracts import Store
from molexp.errors import CredentialsError, KeyExistsError, MolexpError, StoreError, UnavailableError

_random = random.Random()  # for pauses: the program's own numbers are left as they are
_AT_ONCE = 6  # payloads on their way
_FIRST_PAUSE = 0.5  # seconds before a payload is tried again once the store has given up; doubles up to _LONGEST
_LONGEST = 15.0
_LINGER = 0.05  # seconds that a thread waits for more
_CHUNK = 1 << 20


class OutgoingPayload(Struct, eq=False):
    """A payload in the spool, on its way.

    Attributes:
        number: its number in the spool.
        key: its destination in the store.
        path: its local file.
        exclusive: True if `key` must not exist.
        grows: True if it may grow after it was sent, and is sent again then.
        guard: raises if `key`, which is the writer's own, must not be replaced any more.
        error: the reason that it did not arrive, for now.
        tried: the number of attempts to send it.
        began: when it was last tried, on the process's clock.
    """

    number: int
    key: str
    path: Path
    exclusive: bool
    grows: bool = False
    guard: Callable[[], None] | None = None
    error: MolexpError | None = None
    tried: int = 0
    began: float = 0.0


class Outbox:
    """The payloads that one writer of one attempt has put into its spool, and the threads that send them to the store.

    Args:
        store: the workspace's, by which this process reads what is on its way.
        spool: holds it until it has arrived.
    """

    def __init__(self, store: SpooledStore, spool: Spool) -> None:
        self._store = store
        self._spool = spool
        self._logs: dict[str, Grown] = {}
        store.outboxes.add(self)
        self._changed = threading.Condition()
        self._queue: list[OutgoingPayload] = []
        self._sending: set[str] = set()  # keys
        self._threads = 0
        self._eager = 0  # threads that wait for everything to arrive
        self._closed = False

    # ------------------------------------------------------------------------------------------------------------ putting

    def put(self, key: str, data: bytes, *, guard: Callable[[], None] | None = None) -> None:
        """Keep `data`, which goes to `key`; when this returns it survives the death of this process.

        Args:
            key: its destination. It must not exist, unless there is a guard.
            data: the bytes.
            guard: raises if what lies there must not be replaced any more; asked before that is done.
        """
        with self.opening(key, guard=guard) as file:
            file.write(data)

    def opening(
        self, key: str, *, guard: Callable[[], None] | None = None, held: list[OutgoingPayload] | None = None
    ) -> Opened:
        """Yield a file for the bytes of `key`; when the block ends without an error they are sent, or `held` until `release`."""
        number, path = self._spool.new_file()
        return Opened(self, OutgoingPayload(number, key, path, guard is None, guard=guard), self._store.url, held)

    def release(self, held: Sequence[OutgoingPayload]) -> None:
        """Send files that were held: if that fails, none of them is sent."""
        try:
            for payload in held:
                self.announce(payload)
        except BaseException:
            self.drop(held)
            raise
        for payload in held:
            self.send(payload)

    def drop(self, held: Sequence[OutgoingPayload]) -> None:
        """Give up files that were held."""
        for payload in held:
            if self._store.waiting.get(payload.key) == payload.path:
                self._arrived(payload)
            else:
                payload.path.unlink(missing_ok=True)

    def growing(self, key: str, *, guard: Callable[[], None], first: bytes = b"") -> Grown:
        """Return a file that grows, and goes to `key` as often as it is sent; it begins with what was `first` there."""
        number, path = self._spool.new_file()
        payload = OutgoingPayload(number, key, path, not first, grows=True, guard=guard)
        grown = self._logs[key] = Grown(self, payload, self._store.url, first)
        return grown

    def file_of(self, key: str) -> Path:
        """Return the file that grows and goes to `key`. Others may append to it: that, too, survives the death of this process."""
        return self._logs[key].path

    def bring(self, key: str) -> None:
        """Send the bytes under a key, as they are, to the store.

        Raises:
            StoreError: it does not, for now.
        """
        if (grown := self._logs.get(key)) is not None:
            grown.flush()
        self.settle()

    def refuse_ended(self) -> None:
        """Raise if the spool is given up.

        Raises:
            ContextClosedError: another thread has ended the attempt.
        """
        self._spool.check()

    def announce(self, payload: OutgoingPayload) -> None:
        """Note what a file in the spool is, and let this process read it by its key."""
        self._spool.note(
            "P", {"file": payload.number, "key": payload.key, "exclusive": payload.exclusive, "grows": payload.grows}
        )
        self._store.waiting[payload.key] = payload.path

    def send(self, payload: OutgoingPayload) -> None:
        """Bring a payload into the store, soon. One of the same key that was not sent yet need not be any more."""
        with self._changed:
            for older in [one for one in self._queue if one.key == payload.key and one is not payload]:
                self._queue.remove(older)
                payload.exclusive = older.exclusive
                self._arrived(older)
            if payload not in self._queue:
                self._queue.append(payload)
            self._work(min(_AT_ONCE, len(self._queue) + len(self._sending)))
            self._changed.notify_all()

    def over(self, payload: OutgoingPayload) -> None:
        """Note that a file does not grow any more; if it is not on its way, it has arrived."""
        self._logs.pop(payload.key, None)
        with self._changed:
            payload.grows = False
            if payload not in self._queue and payload.key not in self._sending:
                self._arrived(payload)

    def _work(self, threads: int) -> None:
        """See to it that so many threads are at work."""
        while self._threads < threads:
            self._threads += 1
            start_unsignalled(threading.Thread(target=self._run, name="molexp-outbox", daemon=True))

    # ------------------------------------------------------------------------------------------------------------ arriving

    def settle(self) -> None:
        """Return when everything that was sent has arrived.

        Raises:
            StoreError: something could not be brought there, for now; it is tried again.
            RunSupersededError: the bytes to be replaced belong to an attempt that somebody else has ended.
        """
        asked = time.monotonic()
        with self._changed:
            self._eager += 1
            try:
                while self._queue or self._sending:
                    for payload in self._queue:
                        if payload.error is not None and payload.began > asked:
                            raise payload.error
                        payload.error = None  # of before we asked: the network may be back
                    self._changed.notify_all()
                    self._work(1)
                    self._changed.wait()
            finally:
                self._eager -= 1
                if self._queue and not self._closed:
                    self._work(1)  # the thread tries again, now and then

    def ends(self, end: bytes) -> None:
        """Keep how the attempt ends until that is in the store, and return when everything that was sent has arrived.

        Raises:
            StoreError: something could not be brought there, for now.
        """
        self._spool.note("X", {"end": end.decode()})
        self.settle()

    def close(self) -> None:
        """Send nothing more: everything has arrived, or is left to whoever finds the spool."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while (payload := self._next()) is not None:
            error: MolexpError | None = None
            try:
                if payload.guard is not None and not payload.exclusive:
                    payload.guard()
                deliver(
                    self._store.beneath, payload.key, payload.path, exclusive=payload.exclusive, grows=payload.grows
                )
            except MolexpError as problem:
                error = problem
            except Exception as problem:  # noqa: BLE001 - a thread has nobody to raise to
                error = StoreError(f"Cannot send {payload.key!r}: {problem}", key=payload.key, url=self._store.url)
            with self._changed:
                self._sending.discard(payload.key)
                newer = next((one for one in self._queue if one.key == payload.key), None)
                if error is not None and newer is None:
                    payload.error, payload.tried = error, payload.tried + 1
                    self._queue.append(payload)
                elif newer is payload:
                    payload.exclusive = payload.exclusive and error is not None
                else:
                    if error is not None and newer is not None:
                        newer.exclusive = payload.exclusive  # as far as we know it has not come to be
                    payload.tried, payload.exclusive = 0, False
                    self._arrived(payload)
                self._changed.notify_all()

    def _next(self) -> OutgoingPayload | None:
        """Return the next payload to send; None if there is none and the thread may end."""
        with self._changed:
            while True:
                free = [one for one in self._queue if one.key not in self._sending]
                ready = next((one for one in free if one.error is None), None)
                if ready is None and not self._eager and free and not self._closed:
                    again = min(free, key=_tried)
                    if isinstance(again.error, UnavailableError | CredentialsError):
                        pause = min(_FIRST_PAUSE * 2**again.tried, _LONGEST)
                        if self._changed.wait(_random.uniform(pause / 2, pause)):
                            continue  # something has happened meanwhile
                        ready = again if again in self._queue and again.key not in self._sending else None
                        if ready is None:
                            continue
                if ready is None and not free and not self._closed and self._changed.wait(_LINGER):
                    continue  # there is more to do: to start a thread takes longer than to wait for a moment
                if ready is None:
                    self._threads -= 1
                    self._changed.notify_all()
                    return None
                self._queue.remove(ready)
                self._sending.add(ready.key)
                ready.error, ready.began = None, time.monotonic()
                return ready

    def _arrived(self, payload: OutgoingPayload) -> None:
        """Note that a payload is in the store, or that a newer one has taken its place."""
        if payload.grows:
            return  # until it is over
        with suppress(StoreError):  # else it is sent once more, by whoever finds the spool
            self._spool.note("D", {"file": payload.number})
        if self._store.waiting.get(payload.key) == payload.path:
            del self._store.waiting[payload.key]
        with suppress(OSError):
            payload.path.unlink()


class Opened:
    """A file of the spool that is being written."""

    def __init__(
        self, outbox: Outbox, payload: OutgoingPayload, url: str, held: list[OutgoingPayload] | None = None
    ) -> None:
        self._outbox = outbox
        self._payload = payload
        self._url = url
        self._held = held
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._file = open(self._payload.path, "xb", buffering=0, opener=opener)
        except OSError as error:
            self._outbox.refuse_ended()
            raise translate(error, self._url, self._payload.path) from error
        return self

    def write(self, data: bytes, /) -> int:
        """Write the next bytes."""
        assert self._file is not None
        _write(self._file, data, self._url)
        return len(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()
        if kind is not None:
            self._payload.path.unlink(missing_ok=True)
        elif self._held is not None:
            self._held.append(self._payload)
        else:
            self._outbox.announce(self._payload)
            self._outbox.send(self._payload)


class Grown:
    """A log in the spool: an appender whose bytes reach the store with every `flush`.

    Attributes:
        path: its file.
    """

    def __init__(self, outbox: Outbox, payload: OutgoingPayload, url: str, first: bytes) -> None:
        self._outbox = outbox
        self._payload = payload
        self._url = url
        self.path = payload.path
        self._sent = len(first) if first else -1
        try:
            self._file: IO[bytes] = open(payload.path, "xb", buffering=0, opener=_appending)  # noqa: SIM115 - closed by `close`
        except OSError as error:
            outbox.refuse_ended()
            raise translate(error, url, payload.path) from error
        try:
            if first:
                _write(self._file, first, url)
            outbox.announce(payload)
        except BaseException:  # the attempt ended meanwhile, or the disk is full
            self._file.close()
            raise

    def write(self, data: bytes) -> None:
        """Append; it survives the death of this process."""
        _write(self._file, data, self._url)

    def flush(self) -> None:
        """Bring it into the store as it is; `Outbox.settle` waits for that."""
        if (size := os.fstat(self._file.fileno()).st_size) != self._sent:
            self._sent = size
            self._outbox.send(self._payload)

    def close(self) -> None:
        """Close the file: no more comes."""
        self.flush()
        self._file.close()
        self._outbox.over(self._payload)


def _appending(path: str, flags: int) -> int:
    return opener(path, flags | os.O_APPEND)


def _write(file: IO[bytes], data: bytes, url: str) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise translate(error, url, file.name) from error


def deliver(store: Store, key: str, path: Path, *, exclusive: bool, grows: bool = False) -> None:
    """Bring a file into the store; that it is there already, by a request whose answer was lost, is fine.

    Raises:
        KeyExistsError: something else is there.
    """
    try:
        store.put_file(path, key, exclusive=exclusive)
    except KeyExistsError:
        if not _begins_with(path, store, key, whole=not grows):
            raise
        if grows:
            store.put_file(path, key)


def _begins_with(path: Path, store: Store, key: str, *, whole: bool) -> bool:
    """Tell whether what lies under a key is the beginning of a file; or the `whole` file."""
    if whole and store.stat(key).size != os.path.getsize(path):
        return False
    with store.open_read(key) as theirs, path.open("rb") as ours:
        while chunk := theirs.read(_CHUNK):
            if ours.read(len(chunk)) != chunk:
                return False
    return True


def _tried(payload: OutgoingPayload) -> int:
    return payload.tried
