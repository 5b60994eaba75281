"""What an attempt uses that it did not make: recorded when it finds, loads or opens it, once for each asset and task."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from molexp._recording.current import current_attempt
from molexp._values.times import utc_now
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._recording.writer import Recording
    from molexp.contracts import Store
    from molexp.contracts._assets import Asset


def opens(store: Store, asset: Asset) -> None:
    """The code that is running asks for the bytes of an asset in `store`; outside of an attempt nobody notes that."""
    uses(current_attempt(store), asset, "version" if asset._pinned else "")


def uses(recording: Recording | None, asset: Asset, by: str = "") -> None:
    """Record that an attempt, or a task of it, uses an asset, unless it made that itself.

    `by` says whether it asked for its ``name``, or for exactly this ``version``; "" is that it had the asset.

    It never raises: what can be read may be read, whether or not anything can be recorded still.
    """
    if recording is None or recording.closed:
        return  # before the lock, which a forked child may find taken for ever
    if not asset.id or _made_by(recording, asset) or recording.contents.is_used(asset.id, recording.task, by):
        return
    with suppress(MolexpError), recording.lock:  # a try that is over, a full disk: whoever records next is told
        if not recording.contents.is_used(asset.id, recording.task, by):  # another thread may have come first
            said = {"type": "used", "at": utc_now(), "asset": asset.id}
            recording.record({**said, "by": by} if by else said)


def misses(recording: Recording | None, name: str, kind: str | None, version: int | None) -> None:
    """Record that a task looked for what was not there: a resume looks again."""
    if recording is None or recording.closed or recording.task is None:
        return
    said = {"name": name, "kind": kind, "version": version, "task": recording.task}
    with suppress(MolexpError), recording.lock:
        if not any(said.items() <= known.items() for known in recording.contents.missed):
            recording.record({"type": "missed", "at": utc_now(), **said})


def _made_by(recording: Recording, asset: Asset) -> bool:
    """Tell whether the attempt made it: another of its tasks, ranks or workers did, if not this one."""
    if (producer := asset.producer) is not None:
        return producer.run == recording.path and producer.attempt == recording.number
    return asset.id.startswith(f"{recording.path}#{recording.number}:")
