"""A storage backend, installed as a plugin of its own, that kills its process at a chosen operation.

``killing:///folder`` is a `LocalStore` in ``/folder``. ``KILL_AT`` is the number of the operation (1, 2, ...), counted
over the process; ``KILL_SIDE`` is ``before``, ``after`` or ``torn`` (an append leaves half of its bytes; other operations
die before). ``COUNT_TO`` names a file that gets the name of every operation, one a line. After the first reading of a key
that ends in ``PAUSE_AFTER`` the process says so to the descriptor ``PAUSE_TELL``, and waits until ``PAUSE_WAIT`` closes.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar, Self

from molexp.contracts import Appender, Listing, Stat, Store, StreamWriter
from molexp.hookspecs import hookimpl
from molexp_fs import LocalStore


class Killer:
    """Counts operations, and ends the process at one of them."""

    def __init__(self) -> None:
        self.at = int(os.environ.get("KILL_AT", "0"))
        self.side = os.environ.get("KILL_SIDE", "before")
        self.count = 0
        self.lock = threading.Lock()
        self.names = os.environ.get("COUNT_TO", "")

    def turn(self, name: str) -> bool:
        """Count an operation; whether it is the one."""
        with self.lock:
            self.count += 1
            if self.names:
                with open(self.names, "a", encoding="utf-8") as file:
                    file.write(name + "\n")
            return self.count == self.at

    def around(self, name: str, act: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        """Do what an operation does, or die before, within or after it."""
        mine = self.turn(name)
        if mine and self.side == "torn" and half is not None:
            half()
        if mine and self.side != "after":
            die()
        try:
            return act()
        finally:
            if mine:
                die()


def die() -> None:
    """Be killed, by the kernel: nothing is unwound and nothing flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


class KillingAppender:
    """An `Appender` whose every call counts."""

    def __init__(self, inner: Appender, killer: Killer) -> None:
        self.inner = inner
        self.killer = killer

    def write(self, data: bytes) -> None:
        self.killer.around(
            "appender.write", lambda: self.inner.write(data), lambda: self.inner.write(data[: len(data) // 2])
        )

    def close(self) -> None:
        self.killer.around("appender.close", self.inner.close)


class KillingWriter:
    """A `StreamWriter` whose every call counts."""

    def __init__(self, inner: StreamWriter, killer: Killer) -> None:
        self.inner = inner
        self.killer = killer

    def write(self, data: bytes, /) -> int:
        return int(self.killer.around("writer.write", lambda: self.inner.write(data)) or len(data))

    def __enter__(self) -> Self:
        self.killer.around("writer.enter", self.inner.__enter__)
        return self

    def __exit__(self, *error: object) -> None:
        self.killer.around("writer.exit", lambda: self.inner.__exit__(*error))  # type: ignore[arg-type]


class KillingStore(Store):
    """A `LocalStore` whose every operation counts."""

    schemes: ClassVar[tuple[str, ...]] = ("killing",)

    def __init__(self, folder: str) -> None:
        self.inner = LocalStore.open(folder, {})
        self.url = f"killing://{folder}"
        self.folder = folder
        self.capabilities = self.inner.capabilities
        self.slow, self.late_effects = self.inner.slow, self.inner.late_effects
        self.killer = Killer()

    @classmethod
    def open(cls, url: str, options: Mapping[str, Any]) -> Self:
        if options:
            raise TypeError(f"no options are known: {sorted(options)}")
        return cls(url.removeprefix("killing://"))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder,)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        data = bytes(self.killer.around("read", lambda: self.inner.read(key, start, length)))
        if (suffix := os.environ.get("PAUSE_AFTER")) and key.endswith(suffix):
            del os.environ["PAUSE_AFTER"]
            os.write(int(os.environ["PAUSE_TELL"]), b".")
            os.read(int(os.environ["PAUSE_WAIT"]), 1)
        return data

    def write(self, key: str, data: bytes) -> None:
        self.killer.around("write", lambda: self.inner.write(key, data))

    def create(self, key: str, data: bytes) -> None:
        self.killer.around("create", lambda: self.inner.create(key, data))

    def stat(self, key: str) -> Stat:
        found: Stat = self.killer.around("stat", lambda: self.inner.stat(key))
        return found

    def delete(self, key: str) -> None:
        self.killer.around("delete", lambda: self.inner.delete(key))

    def list(self, prefix: str = "") -> Iterator[Stat]:
        found: Iterator[Stat] = self.killer.around("list", lambda: iter([*self.inner.list(prefix)]))
        return found

    def children(self, prefix: str = "") -> Listing:
        found: Listing = self.killer.around("children", lambda: self.inner.children(prefix))
        return found

    def open_read(self, key: str) -> IO[bytes]:
        found: IO[bytes] = self.killer.around("open_read", lambda: self.inner.open_read(key))
        return found

    def open_write(self, key: str, **options: Any) -> StreamWriter:
        return KillingWriter(self.inner.open_write(key, **options), self.killer)

    def locate(self, key: str) -> str:
        return self.inner.locate(key)

    def sync(self, keys: Iterable[str], **options: Any) -> None:
        self.killer.around("sync", lambda: self.inner.sync(keys, **options))

    def append(self, key: str, data: bytes) -> None:
        self.killer.around(
            "append", lambda: self.inner.append(key, data), lambda: self.inner.append(key, data[: len(data) // 2])
        )

    def open_append(self, key: str, **options: Any) -> Appender:
        opened = self.killer.around("open_append", lambda: self.inner.open_append(key, **options))
        return KillingAppender(opened, self.killer)

    def rename(self, key: str, new: str) -> None:
        self.killer.around("rename", lambda: self.inner.rename(key, new))

    def link_from(self, path: Path, key: str) -> None:
        self.killer.around("link_from", lambda: self.inner.link_from(path, key))

    def symlink_from(self, path: Path, key: str) -> None:
        self.killer.around("symlink_from", lambda: self.inner.symlink_from(path, key))

    def local_path(self, key: str) -> Path:
        return self.inner.local_path(key)


@hookimpl
def molexp_register_storage_backends() -> Iterable[type[Store]]:
    """Register the scheme ``killing``."""
    return [KillingStore]
