"""Writing a payload that is a folder of files: complete, and hashed as it is put, before anything names it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from molexp._assets.payloads import written_twice
from molexp._storage.hashing import folder_hash, hashed
from molexp._values.ids import check_payload_name, fold_name
from molexp._values.times import new_token
from molexp.contracts import Store
from molexp.errors import InvalidNameError, StoreError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from molexp._storage.spool.outbox import Outbox, OutgoingPayload
    from molexp.contracts import StagedFile


class FolderSink:
    """Write one payload of a kind whose payload is a folder. It is seen when it is published, under a key of its own.

    A version keeps its folder when the name is saved again: no store replaces a folder at once.

    Args:
        store: the store.
        name: the name that people give to the payload.
        key: the key that it gets, if nothing is there.
        plain: the writer may have that key: no other writer of the attempt can take it, and no version did.
        outbox: takes the files until they are in the store.
        guard: raises if nothing may be written any more.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        key: str,
        *,
        plain: bool,
        outbox: Outbox | None = None,
        guard: Callable[[], None],
    ) -> None:
        self.name = name
        self.key: str = key
        self.size: int = 0
        self.content_hash: str = ""
        self.written: bool = False
        self._files: dict[str, Path] = {}
        self._staged: StagedFile | None = None
        self._store = store
        self._plain = plain
        self._outbox = outbox
        self._guard = guard

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give an empty local folder to write files to, which are taken when the block ends without an error."""
        if self.written:
            raise written_twice(self.name)
        self.abandon()
        self._staged = self._store.stage(self.key)
        path = self._staged.path
        path.mkdir()
        yield path
        self._files = dict(_files_of(path, self.name))
        self.size = sum(one.stat().st_size for one in self._files.values())
        self.written = True

    def write(self, data: bytes) -> NoReturn:
        """Raise, always: a folder is written as one."""
        _refuse_file(self.name)

    def open(self) -> AbstractContextManager[IO[bytes]]:
        """Raise, always: a folder is written as one."""
        _refuse_file(self.name)

    def path(self) -> AbstractContextManager[Path]:
        """Raise, always: a folder is written as one."""
        _refuse_file(self.name)

    def publish(self) -> None:
        """Give the files their keys, once everything that the record will say is known to be right.

        Size and hash are those of what was put, also if a program still writes to a file. Of a folder that could not be put as a
        whole, nothing is left.
        """
        try:
            above, _, last = self.key.rpartition("/")
            if self._outbox is None:  # else the store may be out of reach, and is asked nothing
                self._guard()
            if self._outbox is not None or not self._plain or self._is_taken():
                self.key = f"{above}/{new_token()}/{last}"
            self.size, hashes = 0, list[tuple[str, str]]()
            held: list[OutgoingPayload] = []
            keys = [f"{self.key}/{name}" for name in self._files]
            try:
                for key, (name, path) in zip(keys, self._files.items(), strict=True):
                    size, digest = self._put(path, key, held)
                    self.size += size
                    hashes.append((name, digest))
                if self._outbox is not None:
                    self._outbox.release(held)
            except BaseException:
                self._take_back(keys[: len(hashes) + 1], held)
                raise
            self.content_hash = folder_hash(hashes)
            self._store.sync(keys)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Drop what was written and not published."""
        staged, self._staged = self._staged, None
        if staged is not None:
            staged.drop()

    def _is_taken(self) -> bool:
        # A process that was killed may have left files.
        return next(iter(self._store.list(self.key)), None) is not None or self._store.exists(self.key)

    def _put(self, path: Path, key: str, held: list[OutgoingPayload]) -> tuple[int, str]:
        box = self._outbox
        opened = box.opening(key, held=held) if box is not None else self._store.open_write(key, exclusive=True)
        with path.open("rb") as source, opened as sink:
            return hashed(source, sink)

    def _take_back(self, keys: Sequence[str], held: Sequence[OutgoingPayload]) -> None:
        """Remove the files that were put before one could not be."""
        if self._outbox is not None:
            self._outbox.drop(held)
            return
        for key in keys:
            with suppress(StoreError):  # else `fsck` names it; the error that is on its way says more
                self._store.delete(key)


def _refuse_file(name: str) -> NoReturn:
    raise TypeError(f"The payload of {name!r} is a folder: its kind writes it with `with sink.folder() as path`.")


def _files_of(root: Path, asset: str) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder by their names in it, in order; folders without files are left out.

    Raises:
        InvalidNameError: a name that some system cannot hold, or that is equal to another one but for case or form.
        FileNotFoundError: there are none.
        ValueError: a link, a pipe or a device.
    """
    seen: dict[str, str] = {}
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted([*names, *(one for one in folders if Path(folder, one).is_symlink())]):
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if not stat.S_ISREG(path.lstat().st_mode):
                raise ValueError(f"{relative!r} of {asset!r} is a link, a pipe or a device: a payload has files alone.")
            if (normal := check_payload_name(relative, "a file's name")) != relative:
                raise InvalidNameError("a file's name", relative, f"it is not in the form NFC; call it {normal!r}")
            if (other := seen.setdefault(fold_name(relative), relative)) != relative:
                raise InvalidNameError(
                    "a file's name", relative, f"some systems take it for {other!r}, which is there, too"
                )
            yield relative, path
    if not seen:
        raise FileNotFoundError(f"Nothing was written to {root}: {asset!r} has no content to save.")
