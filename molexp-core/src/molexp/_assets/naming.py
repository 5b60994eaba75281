"""Name the assets of an attempt, choose their keys, and write their records."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from molexp._assets.payloads import PayloadSink
from molexp._assets.registry import Library
from molexp._record.rank_events import FIRST
from molexp._recording.writer import Recorder, Writer
from molexp._storage.layout import asset_id
from molexp._values.ids import above, check_payload_name, payload_names
from molexp._values.times import new_token, utc_now
from molexp.contracts import AssetKind
from molexp.contracts._assets import Asset, Producer
from molexp.errors import AssetExistsError

if TYPE_CHECKING:
    from molexp._assets.data_assets import DataAssets
    from molexp._assets.folders import FolderSink
    from molexp._assets.lookup import Finder


OUTPUT = "output:"
"""The mark of a name under which an object is saved because a task returned it; no other name has a colon."""


def is_output(record: Mapping[str, Any]) -> bool:
    """Tell whether an asset is what a task returned, also as JSON that is too large for the record."""
    name, producer = str(record.get("name")), record.get("producer")
    task = producer.get("task") if isinstance(producer, Mapping) else None
    return name.startswith(OUTPUT) or (record.get("kind") == "checkpoint" and name == f"outputs/{task}.json")


class Slot(Struct):
    """A name of an attempt: what holds it, and where."""

    kind: AssetKind[Any, Any]
    name: str
    task: str | None
    key: str
    fallbacks: tuple[str, ...] = ()
    apart: str = ""  # its name there, if that is another one
    version: int = 0
    base: str = ""  # the key of its first version, where every version has one of its own
    growing: Any = None
    summary: Any = None  # of what is logged under it
    lock: Any = field(default_factory=threading.RLock)  # one save of a name at a time


class AttemptAssets:
    """The assets of one attempt, as one writer makes them.

    Args:
        writer: the attempt's.
        library: the workspace's kinds.
        scopes: returns the data of the run's experiment, project and workspace.
        recorder: records them; the writer itself by default.
        whole: the assets that the run itself makes, for those that a task of it makes.
    """

    def __init__(
        self,
        writer: Writer,
        library: Library,
        scopes: Callable[[], Iterable[DataAssets]],
        recorder: Recorder | None = None,
        whole: AttemptAssets | None = None,
    ) -> None:
        self.writer = writer
        self.recorder: Recorder = writer if recorder is None else recorder
        self.library = library
        self._scopes = scopes
        self._whole = whole
        self._slots: dict[str, Slot] = whole._slots if whole is not None else {}
        self._folders: dict[str, int] = whole._folders if whole is not None else {}  # that names lie in: how many

    def __reduce__(self) -> tuple[Any, ...]:  # contexts, logs, metrics and accessors have one
        raise TypeError(
            f"A context of the run {self.writer.path!r}, its logs and its metrics cannot be sent to another process, nor "
            "copied: they record for the process that started the run. Send what is needed of it, such as ctx.params or "
            "ctx.run, and record here what comes back."
        )

    def of(self, recorder: Recorder) -> AttemptAssets:
        """Return the same for another recorder of its writer: names that one took, none takes."""
        return AttemptAssets(self.writer, self.library, self._scopes, recorder, self._whole or self)

    @cached_property
    def finder(self) -> Finder:
        """The lookup of assets of the run, and of data of its experiment, project and workspace."""
        if self._whole is not None:
            return self._whole.finder
        from molexp._assets.lookup import Finder

        writer = self.writer
        return Finder(self.library, writer.path, writer.folder, self._scopes, writer.known, writer.number)

    def reserve(self, kind: AssetKind[Any, Any], name: str, task: str | None) -> Slot:
        """Take `name` for `kind` and `task`, or find that they have it already.

        Raises:
            InvalidNameError: the name cannot be used, or would leave the folder.
            AssetExistsError: another kind or task has it.
        """
        if type(name) is not str:
            name = check_payload_name(name, f"{kind.name} name")
        name, payload, folded, folders = payload_names(name, kind.name, kind.folder, kind.suffix)
        with self.writer.lock:
            self.recorder.check()
            if (slot := self._slots.get(folded)) is not None:
                if slot.task != task or slot.kind.name != kind.name:
                    whom = f"task {slot.task!r}" if slot.task else f"{slot.kind.name} {slot.name!r} of this run"
                    raise AssetExistsError(name, owner=whom)
                return slot
            if folded in self._folders or not self._slots.keys().isdisjoint(folders):
                raise self._file_or_folder(folded, folders, name)
            for folder in folders:
                self._folders[folder] = self._folders.get(folder, 0) + 1
            base = f"{self.writer.payloads}/{kind.folder}"
            slot = self._slots[folded] = Slot(kind, name, task, f"{base}/{payload}")
            writer = self.writer.suffix
            if writer or task:
                slot.fallbacks = self._fallbacks(kind, base, payload, task)
            if writer:
                slot.apart = self._apart(kind, name) if task is None else ""
                aside = writer != FIRST if slot.apart else bool(self.writer.outbox)
                if aside and kind.folder == "logs":
                    # Others may have logs of that name: the plain one is the coordinator's.
                    slot.key = slot.fallbacks[0]
            return slot

    def _apart(self, kind: AssetKind[Any, Any], name: str) -> str:
        """Return the name of what another writer of the attempt has the name of, in keeping with where it is put."""
        writer = self.writer.suffix
        return f"{name}.{writer}" if kind.folder == "logs" else f"{writer}/{name}"

    def _fallbacks(self, kind: AssetKind[Any, Any], base: str, payload: str, task: str | None) -> tuple[str, ...]:
        """Return where a payload goes if another writer of the attempt has its name, or an earlier try of the task had."""
        writer = self.writer.suffix
        if writer and kind.folder == "logs":
            stem = f"{base}/{payload.removesuffix(kind.suffix)}"
            return f"{stem}.{writer}{kind.suffix}", f"{stem}.{new_token()}{kind.suffix}"
        return f"{base}/{task or writer}/{payload}", f"{base}/{task or writer}/{new_token()}/{payload}"

    def reserve_output(self, kind: AssetKind[Any, Any], name: str, task: str) -> Slot:
        """Take a name for what a task returned: one with the mark of outputs, which nobody can give to anything else."""
        with self.writer.lock:
            self.recorder.check()
            own = f"{OUTPUT}{kind.name}:{name}"
            if (slot := self._slots.get(own)) is None:
                key = f"{self.writer.payloads}/checkpoints/outputs/{new_token()}/{task}{kind.suffix}"
                slot = self._slots[own] = Slot(kind, f"{OUTPUT}{name}", task, key)
            return slot

    def release(self, slot: Slot) -> None:
        """Give up a name under which nothing was saved."""
        if slot.version == 0:
            with self.writer.lock:
                for folded in [folded for folded, kept in self._slots.items() if kept is slot]:
                    del self._slots[folded]  # in place: those of all tasks have them in common
                    for folder in above(folded):
                        self._folders[folder] -= 1
                        if not self._folders[folder]:
                            del self._folders[folder]

    def sink(self, slot: Slot) -> PayloadSink | FolderSink:
        """Return where the payload of a reserved name is written."""
        if slot.kind.payload == "folder":
            from molexp._assets.folders import FolderSink

            slot.base = slot.base or slot.key
            plain = slot.version == 0 and not self.writer.suffix
            guard, store = self.writer.refuse_ended, self.writer.store
            return FolderSink(store, slot.name, slot.base, plain=plain, outbox=self.writer.outbox, guard=guard)
        replacing = partial(self._replacing, slot) if slot.version > 0 else None
        outbox = self.writer.outbox if self.writer.alone else None  # else a name may turn out to be taken
        return PayloadSink(
            self.writer.store,
            slot.name,
            slot.key,
            fallbacks=slot.fallbacks,
            replacing=replacing,
            outbox=outbox,
            guard=self.writer.refuse_ended,
        )

    def _replacing(self, slot: Slot, size: int, content_hash: str) -> None:
        """Say what is about to replace a payload: whoever ends the attempt can tell which record its bytes bear out."""
        if self.writer.outbox is None or not self.writer.alone:  # else it is asked before it leaves the outbox
            self.recorder.check()
            self.writer.refuse_ended()
        self.recorder.record({"type": "replacing", "key": slot.key, "size": size, "content_hash": content_hash})

    def publish(
        self,
        slot: Slot,
        *,
        size: int | None,
        content_hash: str | None,
        fields: Mapping[str, Any],
        tags: Iterable[str] = (),
        grown: int | None = None,
    ) -> dict[str, Any]:
        """Record an asset whose bytes are complete (or, with no size yet, still growing); returns its record.

        Of one that grows by items, `grown` is the number of bytes that are whole ones.
        """
        writer, kind = self.writer, slot.kind
        slot.version += 1
        name = slot.apart if slot.apart and slot.key in slot.fallbacks else slot.name
        record = {
            "id": asset_id(writer.path, writer.number, kind.name, name, slot.version),
            "name": name,
            "kind": kind.name,
            "schema": kind.schema,
            "version": slot.version,
            "scope": writer.path,
            "producer": {"run": writer.path, "attempt": writer.number, "task": slot.task},
            "created_at": utc_now(),
            "key": slot.key,
            "size": size,
            "content_hash": content_hash,
            "tags": sorted(tags),
            "distribution": self.library.info(type(kind)).distribution,
            "fields": fields,
        }
        if grown is not None:
            record["grown"] = grown
        self.recorder.record({"type": "asset", "asset": record})
        return record

    def asset(self, slot: Slot, record: Mapping[str, Any], fields: Any) -> Asset:
        """Return the asset of a record that was just made."""
        return self.library.info(type(slot.kind)).asset_class(
            id=record["id"],
            name=record["name"],
            kind=slot.kind.name,
            version=slot.version,
            scope=record["scope"],
            producer=Producer(record["scope"], self.writer.number, slot.task),
            created_at=datetime.fromisoformat(record["created_at"]),
            key=slot.key,
            size=record["size"],
            content_hash=record["content_hash"],
            fields=fields,
            tags=frozenset(record["tags"]),
            schema=record["schema"],
            distribution=record["distribution"],
            _library=self.library,
        )

    def _file_or_folder(self, folded: str, folders: Iterable[str], name: str) -> AssetExistsError:
        """Return the error for a name that would be a file and a folder of other names."""
        slot = next(slot for other, slot in self._slots.items() if other in folders or other.startswith(f"{folded}/"))
        return AssetExistsError(name, owner=f"{slot.kind.name} {slot.name!r}: a name is a file or a folder, not both")
