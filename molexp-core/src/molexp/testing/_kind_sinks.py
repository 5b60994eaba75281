"""A payload of an asset kind in a folder of this machine: a sink and a source, without a workspace."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any


class LocalPayload:
    """A sink and a source in one.

    Args:
        place: the path of the payload; nothing is there yet, or something that another sink wrote.
        name: the asset's name.
        fields: the fields that a kind reads.
        schema: the schema that wrote it.
    """

    distribution = "molexp-kit 1.0"

    def __init__(self, place: Path, name: str = "a", fields: Any = None, schema: int = 1) -> None:
        self.place = place
        self.name = name
        self.fields = fields
        self.schema = schema

    def write(self, data: bytes) -> None:
        """Write the whole payload."""
        self.place.write_bytes(data)

    def open(self) -> Any:
        """Return a stream to read what is there, or one to write to."""
        return self.place.open("rb") if self.place.exists() else self._stream()

    @contextmanager
    def _stream(self) -> Iterator[IO[bytes]]:
        stream = io.BytesIO()
        yield stream
        self.place.write_bytes(stream.getvalue())

    def path(self) -> Any:
        """Return the path to read from, or one to write a file to."""
        return self.place if self.place.exists() else self._path()

    @contextmanager
    def _path(self) -> Iterator[Path]:
        yield self.place

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give an empty folder to write to."""
        self.place.mkdir()
        yield self.place

    def digest(self) -> str:
        """Return a hash of what is there, names and bytes."""
        whole = sha256()
        for path in sorted([self.place, *self.place.rglob("*")] if self.place.is_dir() else [self.place]):
            if path.is_file():
                whole.update(f"{path.relative_to(self.place).as_posix()}\n".encode() + path.read_bytes())
        return whole.hexdigest()


class FullDisk(LocalPayload):
    """A sink on a disk that is full."""

    def write(self, data: bytes) -> None:
        """Raise `OSError`."""
        raise _full()

    @contextmanager
    def _stream(self) -> Iterator[Any]:
        yield _FullStream()

    @contextmanager
    def _path(self) -> Iterator[Path]:
        yield self.place / "no" / "folder"
        raise _full()

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Raise `OSError` at the end."""
        self.place.mkdir()
        yield self.place
        raise _full()


class _FullStream(io.BytesIO):
    def write(self, data: Any, /) -> int:
        raise _full()


def _full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")
