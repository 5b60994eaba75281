"""Payloads of kinds that grow by items: each flush records what is there, and that survives ``kill -9``."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from molexp._assets.streams import Growing, open_growing
from molexp._values.structuring import record_of
from molexp._values.times import new_token
from molexp.errors import AssetExistsError, ContextClosedError, StoreError

if TYPE_CHECKING:
    from molexp._assets.naming import AttemptAssets, Slot
    from molexp.contracts import Appender, AssetKind, Growth


class GrowingPayload(Growing):
    """The payload of a kind that grows by items; its record says how many bytes are whole items that were flushed.

    Args:
        assets: the place of assets that are saved.
        slot: its reserved name.
        every: seconds after which an item is followed by a flush.
        tags: free labels.
        given: values for fields, over those that the growth has.
    """

    def __init__(
        self,
        assets: AttemptAssets,
        slot: Slot,
        *,
        every: float,
        tags: Iterable[str],
        given: Mapping[str, Any],
    ) -> None:
        super().__init__(assets, slot)
        self._kind = slot.kind
        self._growth: Growth[Any, Any] = cast("Any", slot.kind).growing()  # encodes the items
        self._every = every
        self._tags = tuple(tags)
        self._given = dict(given)
        self._due = 0.0
        self._items = threading.RLock()  # of items: the bytes of one come in one piece, and are in the fields
        self._new = False
        self._broken = False
        self._whole: tuple[int, Any] | None = None  # the bytes and the fields of the items that are all there

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
            before = None
            if self._appender is not None:
                before = self._size + len(self._unhashed), self._growth.fields()
            encoded = False
            try:
                data = self._growth.append(item)
                encoded = True
                if before is None:
                    self._fields(self._growth.fields())  # fields that cannot be recorded leave nothing
                self.write(data)
            except BaseException as error:
                if encoded or not isinstance(error, Exception):  # it is counted, and may not be there, or in part
                    self._broken, self._whole = True, before
                raise
            self._new = True
            if time.monotonic() >= self._due:
                self._note()

    def flush(self) -> None:
        """Record all that was appended, and let the store see it."""
        with self._items:
            super().flush()
            self._note()

    def _note(self) -> None:
        """Record all that was appended; from now on it survives the death of this process."""
        if self._new and self._appender is not None:
            if self._assets.writer.outbox is None:  # else it is safe in the spool, and the computation need not wait
                super().flush()
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
                if self._new or self._broken:
                    self._record |= self._last_facts()
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
                    self._note()
            finally:
                self._check = self._refuse
                self._slot.growing = None
                self.close()

    def _refuse(self) -> None:
        raise ContextClosedError(
            self._assets.writer.path, why=f"{self._slot.name!r} grows no more: its block has ended"
        )

    def _fields(self, found: Any) -> Mapping[str, Any]:
        return record_of(self._kind.fields, found, self._given, f"{self._kind.name} {self._slot.name!r}")[1]

    def _facts(self) -> dict[str, Any]:
        if self._whole is not None:
            grown, fields = self._whole
            return {**self._rest(), "grown": grown, "fields": self._fields(fields)}
        facts = super()._facts()
        return {**facts, "grown": facts["size"], "fields": self._fields(self._growth.fields())}

    def _last_facts(self) -> dict[str, Any]:
        """Return what the record says at the end of the attempt, which no mistake of a kind prevents."""
        try:
            return self._facts()
        except StoreError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's code
            from molexp.plugins import PluginWarning

            text = f"{type(error).__name__}: {error}"
            warnings.warn(
                PluginWarning(
                    f"The last items of {self._slot.name!r} are not recorded, for want of their fields: {text}"
                ),
                stacklevel=2,
            )
            return self._rest()

    def _rest(self) -> dict[str, Any]:
        """Return what the record says of a payload that has more than whole items."""
        return {"size": self._assets.writer.store.stat(self._slot.key).size, "content_hash": None}

    def _open(self) -> Appender:
        """Open the payload, which is recorded when there is an item in it."""
        appender = open_growing(self._assets.writer, self._slot, again=False)
        try:
            self._assets.recorder.manage(self)
        except BaseException:  # the attempt or the task ended meanwhile
            appender.close()
            raise
        self._appender, self._record = appender, {}
        return appender


def begin_to_grow(
    assets: AttemptAssets,
    kind: AssetKind[Any, Any],
    name: str,
    task: str | None,
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
        slot.growing = GrowingPayload(assets, slot, every=every, tags=tags, given=given)
        found: GrowingPayload = slot.growing
        return found
