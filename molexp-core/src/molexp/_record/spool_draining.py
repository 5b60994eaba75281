"""Bringing into the store what writers left in their spools when they died."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from molexp._record.attempts import read_claim
from molexp._record.owners import Owner, known_dead
from molexp._storage import layout, private_files
from molexp._storage.layout import end_key
from molexp._storage.spool import files
from molexp._storage.spool.files import Left, Payload, read_left, take_over
from molexp._storage.spool.locations import distrusted_of, spools_of
from molexp._storage.spool.outbox import deliver
from molexp._storage.spool.spooled_store import SpooledStore
from molexp._values.ids import is_id
from molexp.contracts import check_key
from molexp.errors import CorruptRecordError, InvalidKeyError, KeyExistsError

if TYPE_CHECKING:
    from molexp.contracts import Store

_NO_PAYLOADS = (layout.EDITS, layout.EXECUTIONS)  # folders of a run that hold its documents
_PROVENANCE = re.compile(rf"{layout.PROVENANCE}/([0-9a-f]{{64}})\.json")


class Drained(Struct):
    """Count what came of draining.

    Attributes:
        brought: runs and numbers of attempts of which something was brought, or which are over.
        held: true if somebody else is bringing some of it at this moment.
    """

    brought: list[tuple[str, int]] = field(default_factory=list)
    held: bool = False


def drain(store: Store, me: Owner, *, run: str = "", attempt: int = 0, let_go: bool = False) -> Drained:
    """Bring what dead writers of this machine left into the store.

    Args:
        store: the workspace's.
        me: the process that asks.
        run: only what they left of this run's attempt; by default all.
        attempt: the attempt's number.
        let_go: true if its owner is known to be dead: whoever holds its spool now is bringing it.

    Raises:
        StoreError: it cannot be brought there now; it stays where it is.
    """
    drained = Drained()
    for folder in spools_of(store.url):
        with suppress(CorruptRecordError, OSError):  # `fsck` names it; or it is gone
            _drain_one(store, me, folder, (run, attempt), let_go, drained)
    return drained


def _drain_one(store: Store, me: Owner, folder: Path, wanted: tuple[str, int], let_go: bool, drained: Drained) -> None:
    if (file := take_over(folder)) is None:
        with files.open_lines(folder) as held:
            left = read_left(folder, held.read())
        dead = let_go or known_dead(Owner.from_dict(left.head.get("owner")), me)
        drained.held = drained.held or bool(dead and (not wanted[0] or _of(left) == wanted))
        return
    with file:
        left = read_left(folder, file.read())
        whose = _of(left)
        if wanted[0] and whose != wanted:
            return
        if not left.head.get("locked") and not known_dead(Owner.from_dict(left.head.get("owner")), me):
            return
        check_left(left, store.url)
        if _is_awaited(store, *whose, left):
            _bring(store, whose[0], whose[1], left)
            drained.brought.append(whose)
        shutil.rmtree(folder, ignore_errors=True)


def is_let_go(url: str, run: str, attempt: int) -> bool:
    """Tell whether the owner of an attempt had a spool on this machine that is there still, and whose lock it holds no more.

    The kernel takes a lock from a process that dies, also where it counts its processes differently from ours, as in a
    container that was started again.
    """
    for folder in spools_of(url):
        with suppress(CorruptRecordError, OSError):
            if (file := take_over(folder)) is not None:
                with file:
                    left = read_left(folder, file.readline())
                if _of(left) == (run, attempt) and left.head.get("locked") and left.head.get("claim"):
                    return True
    return False


def check_left(left: Left, url: str) -> None:
    """Refuse a spool that says what no writer says: it goes below its run, and nowhere else.

    Raises:
        CorruptRecordError: it was damaged, or made by somebody else.
    """
    (run, attempt), head = _of(left), left.head
    folder = layout.folder(run)
    writer, segments = head.get("writer"), layout.segments(folder, attempt)
    why = ""
    if head.get("url") != url:
        why = f"it is of {head.get('url')!r}"
    elif not layout.is_run(run) or not all(map(is_id, run.split("/"))) or attempt < 1:
        why = f"{run!r} is no run, or {attempt} no attempt"
    elif head.get("segments") != segments or not isinstance(writer, str) or not is_id(writer):
        why = f"its events do not belong in {segments!r}"
    for payload in left.payloads:
        why = why or _refusal(payload, layout.payloads(folder, attempt))
    if why:
        raise CorruptRecordError(str(left.folder / files.LINES), why)


def _refusal(payload: Payload, payloads: str) -> str:
    """Return why a payload is not sent: an attempt writes what it produces, and once and for all the provenance of its process."""
    named = _PROVENANCE.fullmatch(payload.key)
    kind, slash, _ = payload.key.removeprefix(f"{payloads}/").partition("/")
    try:
        check_key(payload.key)
        with open(payload.path, "rb", opener=private_files.opener) as file:
            private_files.check_file(file.fileno())
            whole = not named or (payload.exclusive and sha256(file.read()).hexdigest() == named[1])
    except InvalidKeyError as error:
        return str(error)
    except FileNotFoundError:
        return ""  # it arrived, and its writer died before it could say so
    except OSError as error:
        return f"{payload.path.name!r}, for {payload.key!r}, is not sent: {error.strerror}"
    below = payload.key.startswith(f"{payloads}/") and bool(slash) and kind not in _NO_PAYLOADS
    if named or below:
        return "" if whole else f"{payload.key!r} is not what its name says"
    return f"{payload.key!r} is not for the attempt to write"


def _of(left: Left) -> tuple[str, int]:
    attempt = left.head.get("attempt")
    return str(left.head.get("run")), attempt if isinstance(attempt, int) else 0


def abandoned(url: str) -> Iterator[tuple[str, str]]:
    """Yield the spools of a workspace that nobody holds: their folders' names, and what is in them."""
    for folder, why in distrusted_of(url):
        yield f"{folder} (local spool)", f"it is not believed, and nothing of it is sent: {why}"
    for folder in spools_of(url):
        try:
            if (file := take_over(folder)) is None:
                continue
            with file:
                left = read_left(folder, file.read())
            check_left(left, url)
        except CorruptRecordError as error:
            yield f"{folder.name} (local spool)", str(error)
            continue
        events = sum(part.count(b"\n") for part in [*left.segments, left.rest])
        what = f"{events} events and {len(left.payloads)} files of {left.head.get('run')} wait here for the store"
        yield f"{folder.name} (local spool)", what


def _is_awaited(store: Store, run: str, attempt: int, left: Left) -> bool:
    """Tell whether the attempt that it is of is there, and not another one by that name: runs are deleted, and freed."""
    claim = read_claim(store, layout.folder(run), attempt)
    token = left.head.get("claim")
    return bool(claim) and (token is None or token == claim.get("token"))


def _bring(store: Store, run: str, attempt: int, left: Left) -> None:
    beneath = store.beneath if isinstance(store, SpooledStore) else store
    folder = layout.folder(run)
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
            beneath.create(layout.segment_key(f"{left.head['segments']}/{left.head['writer']}", number), data)


def _bring_payload(store: Store, payload: Payload, *, ended: bool) -> None:
    if not payload.path.exists():
        return  # it arrived, and its writer died before it could say so
    if payload.exclusive or ended:  # a payload that an end names stays as it is
        with suppress(KeyExistsError):
            deliver(store, payload.key, payload.path, exclusive=True, grows=payload.grows and not ended)
    else:
        deliver(store, payload.key, payload.path, exclusive=False)
