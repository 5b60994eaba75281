"""Reading payloads: a seekable stream, and files by parallel ranges."""

from __future__ import annotations

import io
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import attrs

from molexp.errors import KeyNotFoundError, StoreError, UnavailableError
from molexp_s3_store._blocks import BlockReader
from molexp_s3_store._client import Client
from molexp_s3_store._errors import Answer

if TYPE_CHECKING:
    from concurrent.futures import Future

    from obstore import ObjectMeta

BLOCK = 8 << 20
_AHEAD = 4  # ranges of a file that are on their way at a time

Progress = Callable[[int], Any]


@attrs.frozen
class Part:
    """Some bytes of an object, and which object it was."""

    data: bytes
    size: int
    tag: str


def fetch(client: Client, key: str, start: int = 0, length: int | None = None) -> Part:
    """Read bytes from `start` on. Beyond the end there are none.

    Raises:
        KeyNotFoundError: there is nothing.
    """
    options: Any = None
    if length is not None:
        options = {"range": (start, start + length)}
    elif start:
        options = {"range": {"offset": start}}

    def request(native: Any) -> Part:
        try:
            found = native.get(key, options=options)
            meta = found.meta
            return Part(found.bytes().to_bytes(), meta["size"], meta["e_tag"] or "")
        except Exception as error:
            if options is not None and Answer(error).status == 416:  # beyond the end, or the object is empty
                return describe(client, key)
            raise

    if length == 0:
        return describe(client, key)
    return client.ask("read", key, request)


def look(client: Client, key: str) -> ObjectMeta:
    """Return the metadata of an object.

    Raises:
        KeyNotFoundError: there is nothing.
    """
    try:
        return client.ask("read", key, lambda native: native.head(key))
    except (KeyNotFoundError, UnavailableError):
        raise
    except StoreError as error:
        try:
            fetch(client, key, 0, 1)  # a refused HEAD has no body to say why
        except KeyNotFoundError:
            pass
        except StoreError as reason:
            raise reason from error
        raise


def describe(client: Client, key: str) -> Part:
    """Return an object without its bytes."""
    meta = look(client, key)
    return Part(b"", meta["size"], meta["e_tag"] or "")


class Reader(BlockReader):
    """An object as a seekable stream. Every read returns bytes of the same version."""

    def __init__(self, client: Client, key: str) -> None:
        first = fetch(client, key, 0, BLOCK)
        super().__init__(first.size, first.data)
        self._client = client
        self._key = key
        self._tag = first.tag

    def load(self, position: int, wanted: int) -> tuple[bytes, int]:
        """Return the next bytes of the object that was opened."""
        part = fetch(self._client, self._key, position, max(BLOCK, wanted))
        if part.tag != self._tag:
            raise changed(self._key, self._client.url)
        return part.data, position


def changed(key: str, url: str) -> StoreError:
    """Return the error for an object that was replaced while it was read."""
    return StoreError(f"{key!r} in {url} was replaced while it was being read; read it again.", key=key, url=url)


def download(client: Client, key: str, path: Path, progress: Progress | None = None) -> None:
    """Copy an object to a file. An interrupted download resumes if the object is still the same."""
    first = fetch(client, key, 0, BLOCK)
    if first.size <= len(first.data):
        path.write_bytes(first.data)
        if progress is not None:
            progress(first.size)
        return
    with _partial(path, first.tag) as (file, part):
        done = file.seek(0, io.SEEK_END)
        if done < len(first.data) or done > first.size:
            file.seek(0)
            file.truncate()
            file.write(first.data)
            done = len(first.data)
        if progress is not None:
            progress(done)
        for data in _ranges(client, key, done, first):
            file.write(data)
            file.flush()
            if progress is not None:
                progress(len(data))
        file.close()
        part.replace(path)


def _ranges(client: Client, key: str, start: int, first: Part) -> Iterator[bytes]:
    """Yield the bytes from `start` on, in order, and read some ranges ahead."""
    starts = iter(range(start, first.size, BLOCK))
    waiting: deque[Future[Part]] = deque()
    over = threading.Event()
    try:
        for at in starts:
            length = min(BLOCK, first.size - at)
            waiting.append(client.submit(over, fetch, client, key, at, length))
            if len(waiting) >= _AHEAD:
                yield _checked(waiting.popleft().result(), key, client, first)
        while waiting:
            yield _checked(waiting.popleft().result(), key, client, first)
    finally:
        over.set()


def _checked(part: Part, key: str, client: Client, first: Part) -> bytes:
    if part.tag != first.tag:
        raise changed(key, client.url)
    return part.data


def _open_part(path: Path) -> IO[bytes]:
    """Open the file that an earlier download left, or create it. A link there is not followed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, 0o600), "ab+")


@contextmanager
def _partial(path: Path, tag: str) -> Iterator[tuple[IO[bytes], Path]]:
    """Open the partial file of a download, named after the object. A file that another process writes to is left alone."""
    try:
        import fcntl
    except ImportError:  # no way to know whether another process is at it
        fcntl = None  # type: ignore[assignment]
    name = re.sub(r"[^A-Za-z0-9]", "", tag)[:40]
    part = path.with_name(f".{path.name[:100]}.{name}.part")
    if fcntl is None or not name:
        part = part.with_name(f"{part.name}{os.getpid()}")
    file = _open_part(part)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                part = part.with_name(f"{part.name}{os.getpid()}")
                file = _open_part(part)
        yield file, part
    except (KeyNotFoundError, StoreError) as error:
        if "replaced" in str(error):  # nobody will go on with it
            part.unlink(missing_ok=True)
        raise
    finally:
        file.close()
