"""Stores that are wrong in one way each; `tests.kits.planted_stores` says which check catches each of them."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import pytest

from molexp.contracts import Listing, Stat, Store
from molexp.errors import InvalidKeyError, KeyExistsError
from molexp_fs import LocalStore
from tests.stores.test_local import LocalStoreTests


class Meeting:
    """Lets a thread stop between two steps until another one comes, so that what can go wrong does, once."""

    def __init__(self) -> None:
        self.alone = threading.get_ident()  # that of the test, whom nobody joins
        self.changed = threading.Condition()
        self.arrived = self.steps = self.looks = 0

    def meet(self) -> None:
        """Stop the first thread until there is a second one."""
        with self.changed:
            self.arrived += self._joined()
            self._wait(lambda: self.arrived > 1)

    @contextmanager
    def look(self) -> Iterator[None]:
        """Look at what those leave who stop between two steps, when one does."""
        with self.changed:
            self._wait(lambda: self.steps > 0)
        try:
            yield
        finally:
            with self.changed:
                self.looks += self._joined()
                self.changed.notify_all()

    def step(self) -> None:
        """Stop until somebody has looked."""
        with self.changed:
            self.steps += self._joined()
            self._wait(lambda: self.looks > 0)

    def _joined(self) -> bool:
        return threading.get_ident() != self.alone

    def _wait(self, so: Callable[[], bool]) -> None:
        self.changed.notify_all()
        if self._joined():
            assert self.changed.wait_for(so, timeout=300), "nobody came"


class Broken(LocalStoreTests, abstract=True):
    kind: type[LocalStore] = LocalStore
    shared_by_processes = False

    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch) -> Store:
        if hasattr(self.kind, "meeting"):
            monkeypatch.setattr(self.kind, "meeting", Meeting())
        return self.kind.open(str(tmp_path / "lab"), {})


class LostWrite(LocalStore):
    def write(self, key: str, data: bytes) -> None:
        if not self.exists(key):
            super().write(key, data)


class TestLostWrite(Broken):
    kind = LostWrite


class CheckThenWrite(LocalStore):
    meeting = Meeting()

    def create(self, key: str, data: bytes) -> None:
        if self.exists(key):
            raise KeyExistsError(key, url=self.url)
        self.meeting.meet()
        super().write(key, data)


class TestCheckThenWrite(Broken):
    kind = CheckThenWrite


class OverwritingCreate(LocalStore):
    def create(self, key: str, data: bytes) -> None:
        super().write(key, data)


class TestOverwritingCreate(Broken):
    kind = OverwritingCreate


class _Torn(LocalStore):
    """Its files are written in two steps."""

    meeting: Meeting

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        with self.meeting.look():
            return super().read(key, start, length)

    def open_read(self, key: str) -> BinaryIO:
        return io.BytesIO(self.read(key))

    def fill(self, file: IO[bytes], data: bytes) -> None:
        file.write(data[: len(data) // 2])
        self.meeting.step()
        file.write(data[len(data) // 2 :])


class TornWrite(_Torn):
    meeting = Meeting()

    def write(self, key: str, data: bytes) -> None:
        path = self.local_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb", buffering=0) as file:
            self.fill(file, data)


class TestTornWrite(Broken):
    kind = TornWrite


class TornCreate(_Torn):
    meeting = Meeting()

    def create(self, key: str, data: bytes) -> None:
        path = self.local_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("xb", buffering=0)
        except FileExistsError:
            raise KeyExistsError(key, url=self.url) from None
        with file:
            self.fill(file, data)


class TestTornCreate(Broken):
    kind = TornCreate


class StaleList(LocalStore):
    """Remembers a listing until it changes something itself."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.seen: dict[str, list[Stat]] = {}

    def list(self, prefix: str = "") -> Iterator[Stat]:
        if prefix not in self.seen:
            self.seen[prefix] = [*super().list(prefix)]
        return iter(self.seen[prefix])

    def write(self, key: str, data: bytes) -> None:
        super().write(key, data)
        self.seen.clear()


class TestStaleList(Broken):
    kind = StaleList


class PrefixConfusion(LocalStore):
    """Takes a prefix for text."""

    def list(self, prefix: str = "") -> Iterator[Stat]:
        if prefix:
            super().list(prefix)
        return (stat for stat in super().list() if stat.key.startswith(prefix))


class TestPrefixConfusion(Broken):
    kind = PrefixConfusion


class ShortListing(LocalStore):
    """Forgets that there is a second page."""

    def children(self, prefix: str = "") -> Listing:
        found = super().children(prefix)
        return Listing(found.entries[:1000], found.folders[:1000])


class TestShortListing(Broken):
    kind = ShortListing


class _InPlace:
    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("wb")

    def write(self, data: bytes) -> int:
        return self.file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


class StreamInPlace(LocalStore):
    def open_write(self, key: str, *, exclusive: bool = False) -> Any:
        if exclusive:
            return super().open_write(key, exclusive=True)
        return _InPlace(self.local_path(key))


class TestStreamInPlace(Broken):
    kind = StreamInPlace


class SilentStore(LocalStore):
    """Tells nobody how far it is."""

    def put_file(self, path: Path, key: str, *, exclusive: bool = False, progress: Any = None) -> None:
        super().put_file(path, key, exclusive=exclusive)


class TestSilentStore(Broken):
    kind = SilentStore


class TrustingAppend(LocalStore):
    """Keeps the path unchecked, and makes a file that was renamed away anew."""

    def append(self, key: str, data: bytes) -> None:
        path = self.locate("x")[:-1] + key
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "ab") as file:
            file.write(data)


class TestTrustingAppend(Broken):
    kind = TrustingAppend


class OverwritingRename(LocalStore):
    def rename(self, key: str, new: str) -> None:
        self.stat(key)
        target = self.local_path(new)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.local_path(key), target)


class TestOverwritingRename(Broken):
    kind = OverwritingRename


class BoastfulStore(LocalStore):
    """Declares what it cannot do."""

    def symlink_from(self, path: Path, key: str) -> None:
        raise self._unsupported("symlink files", "symlink")


class TestBoastfulStore(Broken):
    kind = BoastfulStore


class FollowingStore(LocalStore):
    """Follows whatever link there is."""

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return Path(self.locate(key)).read_bytes()[start:][:length]

    def list(self, prefix: str = "") -> Iterator[Stat]:
        return LocalStore.list(self.through(prefix or "x"), prefix)


class TestFollowingStore(Broken):
    kind = FollowingStore


class DenyingStore(LocalStore):
    """Does not look through a link when it is asked to, or looks through every one."""

    def through(self, key: str, *, outside: bool = True):
        return super().through("data") if outside else self


class TestDenyingStore(Broken):
    kind = DenyingStore


class SecretiveStore(LocalStore):
    """Does what it does not declare."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.capabilities = frozenset()


class TestSecretiveStore(Broken):
    kind = SecretiveStore


class CarelessStore(LocalStore):
    """Ignores options, and lets its errors carry what nobody should see."""

    @classmethod
    def open(cls, url: str, options: Mapping[str, Any]):
        return super().open(url, {})

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        try:
            return super().read(key, start, length)
        except InvalidKeyError:
            raise
        except Exception as error:
            error.args = (f"{error.args[0]} (password: hunter2)",)
            raise


class TestCarelessStore(Broken):
    kind = CarelessStore
    secrets = ("hunter2",)
