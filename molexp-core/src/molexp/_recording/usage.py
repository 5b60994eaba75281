"""Assets that an attempt uses and did not make are recorded when it finds, loads or opens them, once for each task."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from molexp._recording.current import current_recorder
from molexp._values.times import utc_now
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._recording.writer import Recorder
    from molexp.contracts import Store
    from molexp.contracts._assets import Asset


def opens(store: Store, asset: Asset) -> None:
    """Record that the code which is running opens an asset in `store`. Outside of an attempt this does nothing."""
    uses(current_recorder(store), asset, "version" if asset._pinned else "")


def uses(recorder: Recorder | None, asset: Asset, by: str = "") -> None:
    """Record that an attempt, or a task of it, uses an asset, unless it made that itself.

    `by` says whether it asked for its ``name``, or for exactly this ``version``; "" is that it had the asset.

    It never raises: what can be read may be read, whether or not anything can be recorded still.
    """
    if recorder is None or recorder.writer.closed:
        return  # before the lock, which a forked child may find taken for ever
    if not asset.id or _made_by(recorder, asset) or recorder.writer.contents.is_used(asset.id, recorder.task, by):
        return
    with suppress(MolexpError), recorder.writer.lock:  # a try that is over, a full disk: whoever records next is told
        if not recorder.writer.contents.is_used(asset.id, recorder.task, by):  # another thread may have come first
            said = {"type": "used", "at": utc_now(), "asset": asset.id}
            recorder.record({**said, "by": by} if by else said)


def misses(recorder: Recorder | None, name: str, kind: str | None, version: int | None) -> None:
    """Record that a task looked for what was not there: a resume looks again."""
    if recorder is None or recorder.writer.closed or recorder.task is None:
        return
    said = {"name": name, "kind": kind, "version": version, "task": recorder.task}
    with suppress(MolexpError), recorder.writer.lock:
        if not any(said.items() <= known.items() for known in recorder.writer.contents.missed):
            recorder.record({"type": "missed", "at": utc_now(), **said})


def _made_by(recorder: Recorder, asset: Asset) -> bool:
    """Tell whether the attempt made it: another of its tasks, ranks or workers did, if not this one."""
    if (producer := asset.producer) is not None:
        return producer.run == recorder.writer.path and producer.attempt == recorder.writer.number
    return asset.id.startswith(f"{recorder.writer.path}#{recorder.writer.number}:")
