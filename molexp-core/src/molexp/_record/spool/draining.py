"""Bringing into the store what writers left in their spools when they died."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from molexp._record import keys
from molexp._record.attempts import end_key, read_claim
from molexp._record.identity import Owner, known_dead
from molexp._record.spool import files
from molexp._record.spool.files import Left, Payload, read_left, take_over
from molexp._record.spool.outbox import SpooledStore, deliver
from molexp._record.spool.places import spools_of
from molexp.errors import CorruptRecordError, KeyExistsError

if TYPE_CHECKING:
    from molexp.contracts import Store


@attrs.define
class Drained:
    """What came of it.

    Attributes:
        brought: runs and numbers of attempts of which something was brought, or which are over.
        held: whether somebody else is bringing some of it at this moment.
    """

    brought: list[tuple[str, int]] = attrs.field(factory=list)
    held: bool = False


def drain(store: Store, me: Owner, *, run: str = "", attempt: int = 0) -> Drained:
    """Bring what dead writers of this machine left into the store.

    Args:
        store: the workspace's.
        me: who asks.
        run: only what they left of this run's attempt; by default all.
        attempt: the attempt's number.

    Raises:
        StoreError: it cannot be brought there now; it stays where it is.
    """
    drained = Drained()
    for folder in spools_of(store.url):
        with suppress(CorruptRecordError, OSError):  # `fsck` names it; or it is gone
            _drain_one(store, me, folder, (run, attempt), drained)
    return drained


def _drain_one(store: Store, me: Owner, folder: Path, wanted: tuple[str, int], drained: Drained) -> None:
    if (file := take_over(folder)) is None:
        left = read_left(folder, (folder / files.LINES).read_bytes())
        dead = known_dead(Owner.from_dict(left.head.get("owner")), me)
        drained.held = drained.held or bool(dead and (not wanted[0] or _of(left) == wanted))
        return
    with file:
        left = read_left(folder, file.read())
        whose = _of(left)
        if wanted[0] and whose != wanted:
            return
        if not files.HAS_LOCKS and not known_dead(Owner.from_dict(left.head.get("owner")), me):
            return
        if _is_awaited(store, *whose, left):
            _bring(store, whose[0], whose[1], left)
            drained.brought.append(whose)
        shutil.rmtree(folder, ignore_errors=True)


def _of(left: Left) -> tuple[str, int]:
    return str(left.head.get("run")), int(left.head.get("attempt") or 0)


def abandoned(url: str) -> Iterator[tuple[str, str]]:
    """The spools of a workspace that nobody holds: their folders' names, and what is in them."""
    for folder in spools_of(url):
        if (file := take_over(folder)) is None:
            continue
        with file:
            try:
                left = read_left(folder, file.read())
            except CorruptRecordError as error:
                yield f"{folder.name} (local spool)", str(error)
                continue
        events = sum(part.count(b"\n") for part in [*left.segments, left.rest])
        what = f"{events} events and {len(left.payloads)} files of {left.head.get('run')} wait here for the store"
        yield f"{folder.name} (local spool)", what


def _is_awaited(store: Store, run: str, attempt: int, left: Left) -> bool:
    """Whether the attempt that it is of is there, and not another one by that name: runs are deleted, and freed."""
    claim = read_claim(store, keys.folder(run), attempt)
    token = left.head.get("claim")
    return bool(claim) and (token is None or token == claim.get("token"))


def _bring(store: Store, run: str, attempt: int, left: Left) -> None:
    beneath = store.beneath if isinstance(store, SpooledStore) else store
    folder = keys.folder(run)
    ended = beneath.exists(end_key(folder, attempt))
    for payload in left.payloads:
        _bring_payload(beneath, payload, ended=ended)
    rest = [left.rest] if left.rest else []
    if left.end is not None:
        with suppress(KeyExistsError):
            beneath.create(end_key(folder, attempt), left.end)
        if beneath.read(end_key(folder, attempt)) == left.end:
            rest = []  # it repeats them
    for number, data in enumerate([*left.segments, *rest]):
        with suppress(KeyExistsError):  # it arrived
            beneath.create(f"{left.head['segments']}/{left.head['writer']}-{number:06d}.jsonl", data)


def _bring_payload(store: Store, payload: Payload, *, ended: bool) -> None:
    if not payload.path.exists():
        return  # it arrived, and its writer died before it could say so
    if payload.exclusive or ended:  # what an end names stays as it is
        with suppress(KeyExistsError):
            deliver(store, payload.key, payload.path, exclusive=True, grows=payload.grows and not ended)
    else:
        deliver(store, payload.key, payload.path, exclusive=False)
