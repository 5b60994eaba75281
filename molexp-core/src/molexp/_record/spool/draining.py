"""Bringing into the store what writers left in their spools when they died."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

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


def drain(store: Store, me: Owner, *, run: str = "", attempt: int = 0) -> Iterable[tuple[str, int]]:
    """Bring what dead writers of this machine left into the store.

    Args:
        store: the workspace's.
        me: who asks.
        run: only what they left of this run's attempt; by default all.
        attempt: the attempt's number.

    Yields:
        Runs and attempts of which something was brought, or which are over.

    Raises:
        StoreError: it cannot be brought there now; it stays where it is.
    """
    for folder in spools_of(store.url):
        if (file := take_over(folder)) is None:
            continue
        with file:
            try:
                left = read_left(folder, file.read())
            except CorruptRecordError:
                continue  # `fsck` names it
            whose = str(left.head.get("run")), int(left.head.get("attempt") or 0)
            if run and whose != (run, attempt):
                continue
            if not files.HAS_LOCKS and not known_dead(Owner.from_dict(left.head.get("owner")), me):
                continue
            if _is_awaited(store, *whose, left):
                _bring(store, whose[0], whose[1], left)
                yield whose
            shutil.rmtree(folder, ignore_errors=True)


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
    for number, data in enumerate([*left.segments, *rest]):
        with suppress(KeyExistsError):  # it arrived
            beneath.create(f"{left.head['segments']}/{left.head['writer']}-{number:06d}.jsonl", data)
    if left.end is not None and not ended:
        with suppress(KeyExistsError):
            beneath.create(end_key(folder, attempt), left.end)


def _bring_payload(store: Store, payload: Payload, *, ended: bool) -> None:
    if not payload.path.exists():
        return  # it arrived, and its writer died before it could say so
    if payload.exclusive or ended:  # what an end names stays as it is
        with suppress(KeyExistsError):
            deliver(store, payload.key, payload.path, exclusive=True, grows=payload.grows and not ended)
    else:
        deliver(store, payload.key, payload.path, exclusive=False)
