"""Attempts as documents: claims, events and ends, read back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from operator import attrgetter
from typing import Any

from molexp._record.document_types import VOID, check_shape, is_void
from molexp._record.folding import AttemptFacts, Contents, absurd
from molexp._record.owners import Owner
from molexp._storage import key_patterns, layout
from molexp._storage.layout import claim_key, copy_keys, end_key
from molexp._values.documents import count, decode_lines, decode_object, is_count
from molexp._values.patterns import late
from molexp._values.status import RunStatus
from molexp._values.times import parse_time, utc_now, utc_text
from molexp.contracts import Listing, Stat, Store
from molexp.errors import (
    CorruptRecordError,
    KeyNotFoundError,
    RunBusyError,
    RunSupersededError,
    StoreError,
)

_KEY = attrgetter("key")
_ATTEMPT = late(key_patterns.ATTEMPT)
_SEGMENT = late(key_patterns.SEGMENT)
_WRITER = late(key_patterns.WRITER)
_COPY = late(key_patterns.COPY)
_AT = late(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")  # as `utc_now` writes times, whose order is that of texts


def attempt_numbers(listing: Listing) -> list[int]:
    """Return the attempts that an ``executions`` folder shows, oldest first."""
    names = (entry.key.rpartition("/")[2] for entry in listing.entries)
    return sorted({int(match[1]) for match in map(_ATTEMPT.fullmatch, names) if match})


def attempts_to_read(executions: str, stats: Iterable[Stat]) -> list[str]:
    """Return what `read_attempts` reads, for a listing of all keys below an ``executions`` folder: ends, else claims and events."""
    names = [stat.key.removeprefix(f"{executions}/") for stat in stats]
    ended = {match[1] for name in names if layout.is_end(name) and (match := _ATTEMPT.fullmatch(name))}
    wanted = []
    for name in names:
        top, _, rest = name.partition("/")
        if rest:
            written = (_SEGMENT if top.endswith(".s") else _WRITER).fullmatch(rest)
            is_read = written is not None and top.removesuffix(".s") not in ended
        else:
            match = _ATTEMPT.fullmatch(name) or _COPY.fullmatch(name)
            is_read = match is not None and (layout.is_end(name) or match[1] not in ended)
        if is_read:
            wanted.append(f"{executions}/{name}")
    return wanted


def read_attempts(store: Store, run_folder: str, cover: dict[str, int] | None = None) -> list[AttemptFacts]:
    """Return every attempt at a run, oldest first. What cannot be read of one is its `problem`.

    Args:
        store: the store.
        run_folder: the run's folder.
        cover: filled with the files that are read, and at most their sizes; what was fenced reads as absent.
    """
    listing = store.children(layout.executions(run_folder))
    numbers, sizes, attempts = set[int](), {} if cover is None else cover, list[AttemptFacts]()
    for entry in listing.entries:
        if match := _ATTEMPT.fullmatch(entry.key, entry.key.rfind("/") + 1):
            numbers.add(int(match[1]))
            if entry.size != len(VOID):
                sizes[match[0]] = entry.size
    for number in sorted(numbers):
        attempts.append(attempt := _read_attempt(store, run_folder, number, listing))
        if attempt.problem and (name := attempt.problem_key.rpartition("/")[2]) in sizes:
            sizes[name] = 0  # whoever can read what could not be read here knows more, however small it is
    return attempts


def read_attempt(store: Store, run_folder: str, number: int) -> AttemptFacts:
    """Return one attempt, as `read_attempts` reads it."""
    return _read_attempt(store, run_folder, number, store.children(layout.executions(run_folder)))


def _read_attempt(store: Store, run_folder: str, number: int, listing: Listing) -> AttemptFacts:
    problem, key = "", end_key(run_folder, number)
    if key in map(_KEY, listing.entries):
        try:
            end = check_shape(decode_object(store.read(key), key), key, "end")
            facts = of_end(end, number, _late(store, run_folder, number, listing, end.get("folded")))
            return _anchored(facts, run_folder)
        except CorruptRecordError as error:
            problem = str(error)
    facts = _of_events(store, run_folder, number, listing)
    if problem:
        facts.ended, facts.status, facts.problem, facts.problem_key = True, RunStatus.INTERRUPTED, problem, key
    return _anchored(facts, run_folder)


def _anchored(facts: AttemptFacts, run_folder: str) -> AttemptFacts:
    """Return the same, of a run that was moved or copied by hand: its payloads are those that lie in its folder now."""
    assets = facts.contents.assets
    if not facts.problem and (reason := next(filter(None, map(absurd, assets.values())), "")):
        facts.problem, facts.problem_key = reason, (end_key if facts.ended else claim_key)(run_folder, facts.number)
    scope = next(iter(assets.values()), {}).get("scope")
    if not isinstance(scope, str) or not layout.is_run(scope) or (was := layout.folder(scope)) == run_folder:
        return facts
    facts.contents.assets = {
        key: {**record, "key": key}
        for key, record in (
            (run_folder + key.removeprefix(was) if key.startswith(f"{was}/") else key, record)
            for key, record in assets.items()
        )
    }
    return facts


def named_in_end(end: Mapping[str, Any], run_folder: str) -> dict[str, str]:
    """Return the files that an end names, where they lie now, with what it says of their bytes; "" where it says nothing."""
    facts = AttemptFacts(0, dict(end), Contents.of_end(end), RunStatus.SUCCEEDED, ended=True)
    assets = _anchored(facts, run_folder).contents.assets.values()
    named = {str(record.get("key")): str(record.get("content_hash") or "") for record in assets}
    folded, executions = end.get("folded"), layout.executions(run_folder)
    for name, segments in folded.items() if isinstance(folded, dict) else ():
        if ".s/" in name and is_count(segments) and segments > 0:
            named[layout.segment_key(f"{executions}/{name}", segments - 1)] = ""
        elif "/" in name:
            named[f"{executions}/{name}"] = ""
    return named


def of_end(end: dict[str, Any], number: int, late: dict[str, int]) -> AttemptFacts:
    """Return the attempt that has this end, and these bytes of late events."""
    return AttemptFacts(number, end, Contents.of_end(end), RunStatus(end.get("status", "")), True, late)


def _late(store: Store, run_folder: str, number: int, listing: Listing, folded: Any) -> dict[str, int]:
    """Return bytes of events that an end did not fold, by key: they came after it."""
    if not isinstance(folded, dict):
        return {}
    late = {}
    for entry in listing.entries:
        if entry.key == claim_key(run_folder, number) and is_count(known := folded.get(layout.claim_name(number))):
            late[entry.key] = _beyond(store, entry, known)
    for folder in (str(number), f"{number}.s"):
        if folder in listing.folders:
            for entry in store.children(f"{layout.executions(run_folder)}/{folder}").entries:
                file = entry.key.rpartition("/")[2]
                if match := _SEGMENT.fullmatch(file):
                    is_folded = int(match[2]) < count(folded.get(f"{folder}/{match[1]}"))
                    late[entry.key] = 0 if is_folded else entry.size
                else:
                    late[entry.key] = _beyond(store, entry, count(folded.get(f"{folder}/{file}")))
    return {key: extra for key, extra in late.items() if extra > 0}


def _beyond(store: Store, entry: Stat, counted: int) -> int:
    """Return how many bytes lie beyond those that were counted; zero bytes are padding, which a writer does not know of.

    Nor is a claim late that was written again from the end.
    """
    if entry.size <= counted:
        return 0
    data = store.read(entry.key)
    first = data[: data.find(b"\n") + 1]
    if any("mended" in claim for claim in decode_lines(first, entry.key)[0]):
        counted = max(counted, len(first))
    written = len(data) - data.count(0)
    return written - counted if written >= counted else len(data[counted:].strip(b"\0"))


def _of_events(store: Store, run_folder: str, number: int, listing: Listing, key: str = "") -> AttemptFacts:
    contents = Contents()
    key = key or claim_key(run_folder, number)
    try:
        lines, length, broken = decode_lines(store.read(key), key)
    except KeyNotFoundError:
        lines, length, broken = [], 0, 0
    folded = {layout.claim_name(number): length}
    head = lines[0] if lines and lines[0].get("type") == "claim" else {}
    contents.provenance = head.get("provenance")
    if lines and is_void(lines[0]):
        is_copied = copy_keys(run_folder, number)[0] in map(_KEY, listing.entries)
        return _of_copy(store, run_folder, number, listing) if is_copied else _void(number)
    for event in lines[1:] if head else lines:
        contents.add(event)
    seen, bad, executions = [_said_at(lines)], {key: broken} if broken else {}, layout.executions(run_folder)
    for entry in writer_files(store, executions, number, listing):
        events, length, broken = decode_lines(store.read(entry.key), entry.key)
        if broken:
            bad[entry.key] = broken
        for event in events:
            contents.add(event)
        seen.append(_said_at(events))
        name = entry.key.removeprefix(f"{executions}/")
        if match := _SEGMENT.fullmatch(entry.key.rpartition("/")[2]):
            folded[name.removesuffix(f"-{match[2]}.jsonl")] = int(match[2]) + 1
        else:
            folded[name] = length
    facts = AttemptFacts(number, dict(head, folded=folded), contents, RunStatus.RUNNING, False, seen=max(seen))
    if bad:
        facts.problem_key = next(iter(bad))
        facts.problem = f"{bad[facts.problem_key]} of its lines are no events"
    return facts


def _of_copy(store: Store, run_folder: str, number: int, listing: Listing) -> AttemptFacts:
    """Return an attempt that goes on elsewhere, as a sync has brought it."""
    key, events = copy_keys(run_folder, number)
    try:
        as_of = decode_object(store.read(key), key).get("as_of")
        if not isinstance(as_of, str) or not _AT.fullmatch(as_of):
            raise CorruptRecordError(key, f"its as_of is {as_of!r:.40} where a time belongs")
        facts = _of_events(store, run_folder, number, listing, events)
    except (CorruptRecordError, KeyNotFoundError) as error:
        # if it is not there, it has ended since it was listed, or was freed
        return _void(number, key, str(error)) if isinstance(error, CorruptRecordError) else _void(number)
    if facts.void or not facts.head.get("owner"):
        problem = "the events beside it cannot be read; the next sync brings them again"
        return _void(number, key, problem) if store.exists(key) else _void(number)  # else it has ended since
    facts.as_of = as_of
    return facts


def _void(number: int, key: str = "", problem: str = "") -> AttemptFacts:
    """Return what stands for an attempt whose number was fenced, or of which there is no more than what cannot be read."""
    facts = AttemptFacts(number, {}, Contents(), RunStatus.INTERRUPTED, ended=True, void=True)
    facts.problem, facts.problem_key = problem, key
    return facts


def is_arriving(store: Store, run_folder: str) -> bool:
    """Tell whether a sync holds the number of an attempt of which it has not brought the end."""
    listing = store.children(layout.executions(run_folder))
    there = {entry.key for entry in listing.entries}
    waiting = (one for one in attempt_numbers(listing) if end_key(run_folder, one) not in there)
    keys_of = (claim_key(run_folder, number) for number in waiting)
    return any(line.get("reserved_for") for key in keys_of for line in decode_lines(store.read(key), key)[0][:1])


def read_claim(store: Store, run_folder: str, number: int) -> dict[str, Any]:
    """Return an attempt's claim; empty if it is missing, torn or corrupt."""
    key = claim_key(run_folder, number)
    try:
        lines, _, _ = decode_lines(store.read(key), key)
    except KeyNotFoundError:
        return {}
    return lines[0] if lines and lines[0].get("type") == "claim" else {}


def read_end(store: Store, run_folder: str, number: int) -> dict[str, Any] | None:
    """Return an attempt's end; None if it has none."""
    key = end_key(run_folder, number)
    try:
        return decode_object(store.read(key), key)
    except KeyNotFoundError:
        return None


def repeated_definition(store: Store, run_folder: str, number: int) -> dict[str, Any]:
    """Return the definition of the run that an attempt's claim and end repeat; empty if neither can be read."""
    found = read_claim(store, run_folder, number).get("definition")
    if not found:
        with suppress(CorruptRecordError):
            found = (read_end(store, run_folder, number) or {}).get("definition")
    with suppress(CorruptRecordError):
        return check_shape(dict(found), f"{run_folder}/run.json") if isinstance(found, dict) else {}
    return {}


def superseded(path: str, number: int, end: Mapping[str, Any]) -> RunSupersededError:
    """Return the error for an owner whose attempt has an end that it did not make."""
    by = end.get("ended_by") or {}
    who = f"process {by.get('pid')} on {by.get('host')}" if by else "itself"
    return RunSupersededError(path, attempt=number, status=str(end.get("status")), by=who)


def busy(path: str, attempt: AttemptFacts) -> RunBusyError:
    """Return the error that says who is at work on a run; of a malformed claim, what can be read of it."""
    owner = Owner.from_dict(attempt.head.get("owner"))
    try:
        age = max(0.0, time.time() - parse_time(attempt.head["started_at"]).timestamp())
    except (KeyError, TypeError, ValueError, AttributeError):
        age = 0.0
    return RunBusyError(
        path, attempt=attempt.number, host=owner.host, pid=owner.pid, age=age, as_of=attempt.as_of or None
    )


def _said_at(events: Iterable[Mapping[str, Any]]) -> str:
    """Return the latest time that events name, as they are written here; "" for none."""
    return max((at for event in events if isinstance(at := event.get("at"), str) and _AT.fullmatch(at)), default="")


def last_sign(store: Store, facts: AttemptFacts, beat: str = "") -> str:
    """Return the last sign of life of an attempt without an end: its claim, an event, a beat, or what was written to a log."""
    signs = [facts.seen, beat, *(text for text in [facts.head.get("started_at")] if isinstance(text, str))]
    for record in facts.contents.assets.values():
        if record.get("size") is None:
            with suppress(StoreError):
                signs.append(utc_text(store.stat(str(record.get("key"))).modified))
    return min(max(sign for sign in ["", *signs] if _AT.fullmatch(sign) or not sign), utc_now())


def writer_files(store: Store, executions: str, number: int, listing: Listing) -> Iterator[Stat]:
    """Yield what an attempt's other writers, and segments, have written; not copies that a file synchroniser made of conflicts."""
    for name in (str(number), f"{number}.s"):
        if name in listing.folders:
            for entry in store.children(f"{executions}/{name}").entries:
                if (_SEGMENT if name.endswith(".s") else _WRITER).fullmatch(entry.key.rpartition("/")[2]):
                    yield entry
