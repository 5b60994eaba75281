"""What an attempt uses that it did not make: recorded when it finds, loads or opens it, once for each asset and task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from molexp._record.current import current_attempt
from molexp._values.times import utc_now
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._record.assets import Asset
    from molexp._record.writer import Recording
    from molexp.contracts import Store


def opens(store: Store, asset: Asset) -> None:
    """The code that is running asks for the bytes of an asset in `store`; outside of an attempt nobody notes that."""
    uses(current_attempt(store), asset)


def uses(recording: Recording | None, asset: Asset) -> None:
    """Record that an attempt, or a task of it, uses an asset, unless it made that itself.

    It never raises: what can be read may be read, whether or not anything can be recorded still.
    """
    if recording is None or recording.inert or recording.closed:
        return  # before the lock, which a forked child may find taken for ever
    if not asset.id or _made_by(recording, asset) or recording.contents.is_used(asset.id, recording.task):
        return
    try:
        with recording.lock:
            if not recording.contents.is_used(asset.id, recording.task):  # another thread may have come first
                recording.record({"type": "used", "at": utc_now(), "asset": asset.id})
    except MolexpError:  # a try that is over, a request to cancel, a full disk: whoever records next is told
        pass


def _made_by(recording: Recording, asset: Asset) -> bool:
    """Whether the attempt made it: another of its tasks, ranks or workers did, if not this one."""
    if (producer := asset.producer) is not None:
        return producer.run == recording.path and producer.attempt == recording.number
    return asset.id.startswith(f"{recording.path}#{recording.number}:")
