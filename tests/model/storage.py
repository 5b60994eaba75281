"""A store in memory whose every operation is a step of the simulation, in as many parts as on real storage."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from molexp._storage.memory import MemoryStore, _describe, _File
from molexp.contracts import Appender, Listing, Stat, check_key
from molexp.errors import KeyExistsError, KeyMovedError, KeyNotFoundError, StoreError, UnavailableError
from tests.model.scheduler import Simulation

T = TypeVar("T")

_NOWHERE = "/nonexistent/molexp-model"


class HostileStore(MemoryStore):
    """A view of the keys of one trial.

    - ``file``: can append. An append opens, writes, and looks at the name, in three steps; a rename is a link and an
      unlink; a listing reads names, and then looks at each.
    - ``local``: the same with local paths, so that what the kernel says of the dead is believed.
    - ``segment``: cannot append; a request of a crashed process may still come to effect.
    """

    def __init__(self, name: str, variant: str, simulation: Simulation) -> None:
        super().__init__(name, append=variant != "segment")
        self.simulation = simulation
        self._late = variant == "segment"
        self.lease_ttl: float = simulation.temper.ttl
        self.lease_beat: float = simulation.temper.ttl / 6
        if variant == "local":
            self.capabilities = self.capabilities | {"local_path"}
        self.slow = self.late_effects = variant != "local"

    # ----------------------------------------------------------------------------------------------------------- reading

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.simulation.before("read", key)
        return super().read(key, start, length)

    def stat(self, key: str) -> Stat:
        self.simulation.before("stat", key)
        return super().stat(key)

    def children(self, prefix: str = "") -> Listing:
        simulation = self.simulation
        simulation.before("list", prefix)
        first = super().children(prefix)
        if not simulation.chance(simulation.temper.split):
            return first
        simulation.before("list on", prefix)
        return self._mixed(first, super().children(prefix))

    def _mixed(self, first: Listing, second: Listing) -> Listing:
        """List keys; one that came or went meanwhile may or may not be seen, and sizes are those of each look."""
        coin = self.simulation.random.random
        before = {entry.key: entry for entry in first.entries}
        after = {entry.key: entry for entry in second.entries}
        found = []
        for key in sorted({*before, *after}):
            if key in before and key in after:
                found.append((before if coin() < 0.5 else after)[key])
            elif key in after and coin() < 0.5:
                found.append(after[key])
            elif key in before and self._late and coin() < 0.5:
                found.append(before[key])
        steady = set(first.folders) & set(second.folders)
        moving = set(first.folders) ^ set(second.folders)
        folders = sorted(steady | {name for name in sorted(moving) if coin() < 0.5})
        return Listing(tuple(found), tuple(folders))

    # ---------------------------------------------------------------------------------------------------------- changing

    def write(self, key: str, data: bytes) -> None:
        self._change("write", key, lambda: super(HostileStore, self).write(key, data))

    def create(self, key: str, data: bytes) -> None:
        self._change("create", key, lambda: super(HostileStore, self).create(key, data))

    def delete(self, key: str) -> None:
        self._change("delete", key, lambda: super(HostileStore, self).delete(key))

    def _change(self, what: str, key: str, effect: Callable[[], T]) -> T:
        simulation = self.simulation
        simulation.before(what, key, late=self._afterwards(what, key, effect) if self._late else None)
        if simulation.chance(simulation.temper.fault):
            self._fail(what, key, effect)
        try:
            result = effect()
        except StoreError as error:
            simulation.note(simulation.running, f"  {type(error).__name__}", key)
            raise
        simulation.after(what, key)
        return result

    def _fail(self, what: str, key: str, effect: Callable[[], T]) -> None:
        """The storage does not answer; what was asked for may have been done, or be done later."""
        simulation = self.simulation
        draw = simulation.random.random()
        if draw < 0.4:
            try:
                effect()
            except StoreError:
                pass
        elif draw < 0.6 and self._late:
            simulation.ghosts.append(self._afterwards(what, key, effect))
        simulation.note(simulation.running, "  Unavailable", f"{what} {key}{', but done' if draw < 0.4 else ''}")
        raise UnavailableError(f"no answer for {key!r}", key=key, url=self.url)

    def _afterwards(self, what: str, key: str, effect: Callable[[], T]) -> Callable[[], None]:
        def land() -> None:
            self.simulation.note(None, f"late {what}", key)
            try:
                effect()
            except StoreError as error:
                self.simulation.note(None, f"  {type(error).__name__}", key)

        return land

    # --------------------------------------------------------------------------------------------------------- appending

    def append(self, key: str, data: bytes) -> None:
        check_key(key)
        simulation = self.simulation
        simulation.before("append", key)
        file = self._file(key)
        if simulation.chance(simulation.temper.split):
            simulation.before("append: write", key)
        self._grow(file, key, data)
        simulation.before("append: look", key)
        if self._space.files.get(key) is not file:
            simulation.note(simulation.running, "  KeyMovedError", key)
            raise KeyMovedError(key, url=self.url)
        simulation.after("append", key)

    def _grow(self, file: _File, key: str, data: bytes) -> None:
        simulation = self.simulation
        if simulation.chance(simulation.temper.crash / 2):
            self._extend(file, data[: simulation.random.randrange(len(data))])
            simulation.crash("append", key)
        if simulation.chance(simulation.temper.fault):
            self._extend(file, data[: simulation.random.randrange(len(data))])
            simulation.note(simulation.running, "  Unavailable", f"in the midst of {key}")
            raise UnavailableError(f"no answer for {key!r}", key=key, url=self.url)
        self._extend(file, data)

    def open_append(self, key: str, *, exclusive: bool = False, first: bytes = b"") -> Appender:
        assert exclusive, "nothing else is done"
        self._change("claim", key, lambda: super(HostileStore, self).create(key, first))
        return _Appender(self, key, self._file(key))

    def rename(self, key: str, new: str) -> None:
        simulation = self.simulation
        simulation.before("rename", f"{key} to {new}")
        file = self._file(key)
        if self._space.files.get(new, file) is not file:
            raise KeyExistsError(new, url=self.url)
        self._space.put(new, file)
        simulation.before("rename: unlink", key)
        if self._space.files.get(key) is not file:
            simulation.note(simulation.running, "  KeyNotFoundError", key)
            raise KeyNotFoundError(key, url=self.url)
        self._space.drop(key)
        simulation.after("rename", key)

    # ------------------------------------------------------------------------------------------------------- local paths

    def locate(self, key: str) -> str:
        """Nowhere, so that folders never look as if anybody had changed them: announcements have to do."""
        return f"{_NOWHERE}/{check_key(key)}"

    def local_path(self, key: str) -> Path:
        """A copy as it is now."""
        file = self._space.files.get(key)
        if file is None or "local_path" not in self.capabilities:
            return Path(_NOWHERE, key)
        path = Path(tempfile.gettempdir(), f"model-{sha256(bytes(file.data)).hexdigest()[:16]}")
        path.write_bytes(file.data)
        return path

    # ---------------------------------------------------------------------------------------- behind everybody's back

    def peek(self, key: str) -> bytes:
        """The bytes under a key, without a step."""
        return bytes(self._space.files[key].data)

    def names(self, prefix: str) -> list[str]:
        """All keys that begin like this, without a step."""
        return sorted(key for key in self._space.files if key.startswith(prefix))

    def spoil(self, key: str, data: bytes | None) -> None:
        """Put something in the place of a key, or nothing, without a step."""
        if data is None:
            self._space.drop(key)
        else:
            self._space.put(key, _File(data, next(self._space.versions)))

    def described(self, key: str) -> Stat:
        """Return what there is of a key, without a step."""
        return _describe(key, self._space.files[key])


class _Appender:
    def __init__(self, store: HostileStore, key: str, file: _File) -> None:
        self._store = store
        self._key = key
        self._file: _File | None = file

    def write(self, data: bytes) -> None:
        assert self._file is not None
        self._store.simulation.before("record", self._key)
        self._store._grow(self._file, self._key, data)
        self._store.simulation.after("record", self._key)

    def close(self) -> None:
        self._file = None
