"""Payloads of kinds that grow by items: each flush records what is there, and that survives ``kill -9``."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from molexp._assets.streams import Growing, open_growing
from molexp._values.ids import new_token
from molexp._values.structuring import record_of
from molexp.errors import AssetExistsError, ContextClosedError, StoreError

if TYPE_CHECKING:
    from molexp._assets.naming import AttemptAssets, Slot
    from molexp.contracts import Appender, AssetKind, Growth


class GrowingPayload(Growing):
    """The payload of a kind that grows by items; its record says how many bytes are whole items that were flushed.

    Args:
        assets: the place of assets that are saved.
        kind: the kind.
        slot: its reserved name.
        growth: encodes the items.
        every: seconds after which an item is followed by a flush.
        tags: free labels.
        given: values for fields, over those that the growth has.
    """

    def __init__(
        self,
        assets: AttemptAssets,
        kind: AssetKind[Any, Any],
        slot: Slot,
        growth: Growth[Any, Any],
        *,
        every: float,
        tags: Iterable[str],
        given: Mapping[str, Any],
    ) -> None:
        super().__init__(assets, slot)
        self._kind = kind
        self._growth = growth
        self._every = every
        self._tags = tuple(tags)
        self._given = dict(given)
        self._due = 0.0
        self._items = threading.RLock()  # of items: the bytes of one come in one piece, and are in the fields
        self._new = False
        self._broken = False

    def append(self, item: Any, /) -> None:
        """Append an item; it is recorded at the next flush, which follows at once if the last one is long ago.

        Raises:
            ContextClosedError: the block, or the attempt, has ended.
        """
        with self._items:
            self._check()
            if self._broken:
                raise StoreError(
                    f"An item of {self._slot.name!r} could not be written: it grows no more.", key=self._slot.key
                )
            data = self._growth.append(item)
            try:
                self.write(data)
            except StoreError:
                self._broken = True  # part of an item may be there: nothing can follow it
                raise
            self._new = True
            if time.monotonic() >= self._due:
                self.flush()

    def flush(self) -> None:
        """Record all that was appended; from now on it survives the death of this process."""
        with self._items:
            super().flush()
            if self._new and self._appender is not None and not self._broken:
                facts = self._facts()
                if self._record:
                    self._record |= facts
                    self._assets.recorder.record({"type": "asset", "asset": self._record})
                else:
                    self._record = self._assets.publish(self._slot, tags=self._tags, **facts)
                self._new = False
            self._due = time.monotonic() + self._every

    def close(self) -> None:
        """Take no more, and make the asset's record final."""
        with self._items:
            if self._appender is None:
                return
            self._appender.close()
            self._appender = self._plain = None
            if self._record:
                if self._broken:
                    size = self._assets.writer.store.stat(self._slot.key).size
                    self._record |= {"size": size, "content_hash": None}
                elif self._new:
                    self._record |= self._facts()
                self._assets.writer.completed(self._record)
            self._slot.growing = None

    @property
    def slot(self) -> Slot:
        """The name that it grows under."""
        return self._slot

    def finish(self) -> None:
        """Record what was appended, and take no more; if the attempt has ended meanwhile, that has done it."""
        with self._items:
            try:
                if self._appender is not None:
                    self.flush()
            finally:
                self.close()
                self._slot.growing = None
                self._check = self._refuse

    def _refuse(self) -> None:
        raise ContextClosedError(
            self._assets.writer.path, why=f"{self._slot.name!r} grows no more: its block has ended"
        )

    def _facts(self) -> dict[str, Any]:
        facts = super()._facts()
        where = f"{self._kind.name} {self._slot.name!r}"
        fields = record_of(self._kind.fields, self._growth.fields(), self._given, where)[1]
        return {**facts, "grown": facts["size"], "fields": fields}

    def _open(self) -> Appender:
        """Open the payload, which is recorded when there is an item in it."""
        self._appender = open_growing(self._assets.writer, self._slot, again=False)
        self._assets.recorder.manage(self)
        self._record = {}
        return self._appender


def begin_to_grow(
    assets: AttemptAssets,
    kind: AssetKind[Any, Any],
    name: str,
    task: str | None,
    growth: Growth[Any, Any],
    *,
    every: float,
    tags: Iterable[str],
    given: Mapping[str, Any],
) -> GrowingPayload:
    """Return the payload of a name that begins to grow; one that grew before in this attempt keeps its bytes, as a version.

    Raises:
        InvalidNameError: the name cannot be used.
        AssetExistsError: another task or kind has it, or it is growing.
    """
    slot = assets.reserve(kind, name, task)
    with assets.writer.lock:
        if slot.growing is not None:
            raise AssetExistsError(name, owner=f"{kind.name} {name!r}, which is growing")
        slot.base = slot.base or slot.key
        if slot.version > 0:
            above, _, last = slot.base.rpartition("/")
            slot.key = f"{above}/{new_token()}/{last}"
        slot.growing = GrowingPayload(assets, kind, slot, growth, every=every, tags=tags, given=given)
        found: GrowingPayload = slot.growing
        return found
