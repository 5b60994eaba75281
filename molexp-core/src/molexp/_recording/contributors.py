"""Contributions of processes other than the coordinator: workers and ranks, each in a file of its own.

``executions/<n>/w-<token>.jsonl``, or segments in ``executions/<n>.s/`` on storage without append.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from molexp._record.folding import Contents
from molexp._recording.writer import EventFile, EventLog, Writer
from molexp._storage import layout, schemas
from molexp._storage.layout import claim_name, executions, segment_key, segments, writer_name
from molexp._values.documents import decode_lines, encode_line
from molexp._values.times import new_token, utc_now
from molexp.contracts import Store
from molexp.errors import KeyNotFoundError

if TYPE_CHECKING:
    from molexp._recording.process import Process

_SHORT = 8  # characters of a writer's token that its logs are named by


class Contribution(Writer):
    """One process's contribution to an attempt that another one coordinates."""

    def __init__(self, store: Store, process: Process, path: str, number: int, of_rank: int = 0) -> None:
        self.token: str = new_token()
        folder = layout.folder(path)
        line = {
            "schema": schemas.ATTEMPT,
            "type": "writer",
            "token": self.token,
            "at": utc_now(),
            "owner": process.owner_document,
            "invocation": process.invocation,
        }
        if of_rank:
            line["rank"] = of_rank
        log: EventLog
        if "append" in store.capabilities:
            log = EventFile(store, f"{executions(folder)}/{writer_name(number, self.token)}", encode_line(line))
        else:
            from molexp._storage.spool.writer import EventSegments

            head = {"run": path, "attempt": number, "owner": process.owner_document}
            log = EventSegments(store, segments(folder, number), self.token, head)
            log.write(line)
        super().__init__(store, process, path, number, Contents(), log)
        self.suffix: str = self.token[:_SHORT]
        self.known = Everybody(self).records

    def completed(self, record: Mapping[str, Any]) -> None:
        """Record the final record of a payload that grew, so that the coordinator learns it."""
        with self.lock:
            if not self.closed:
                self._log.write({"type": "asset", "asset": record})

    def close(self) -> None:
        """Complete what was recorded, and record nothing more."""
        if self.closed or not self._begin_to_end():
            return
        self._close_handles()
        with self.lock:
            self._log.close()
            self._state = "ended"


class Everybody:
    """The asset records of an attempt, whoever of its writers made them."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._contents = Contents()
        self._folded: dict[str, int] = {}
        self._lock = threading.Lock()

    def records(self) -> Iterable[Mapping[str, Any]]:
        """Return the records as they are now; each time what was added since is read."""
        writer = self._writer
        if not writer.closed:
            writer.flush()
        with self._lock:
            store, folder, number = writer.store, writer.folder, writer.number
            if "append" in store.capabilities:  # else the coordinator's events are segments, like all writers'
                fold_file(store, folder, claim_name(number), self._contents, self._folded)
            for token in writers(store, folder, number):
                take_in(store, folder, number, token, self._contents, self._folded)
            return list(self._contents.assets.values())


def take_in(store: Store, run_folder: str, number: int, token: str, contents: Contents, folded: dict[str, int]) -> None:
    """Fold what a writer has recorded since `folded` was brought up to date, and bring it up to date."""
    if "append" in store.capabilities:
        fold_file(store, run_folder, writer_name(number, token), contents, folded)
        return
    name = f"{number}.s/{token}"
    count = folded.get(name, 0)
    while True:
        key = segment_key(f"{executions(run_folder)}/{name}", count)
        try:
            lines, _, _ = decode_lines(store.read(key), key)
        except KeyNotFoundError:
            break
        for event in lines:
            contents.add(event)
        count += 1
    folded[name] = count


def fold_file(store: Store, run_folder: str, name: str, contents: Contents, folded: dict[str, int]) -> None:
    """Fold what a file of events holds beyond what was folded of it."""
    key = f"{executions(run_folder)}/{name}"
    start = folded.get(name, 0)
    try:
        lines, length, _ = decode_lines(store.read(key, start), key)
    except KeyNotFoundError:
        return
    folded[name] = start + length
    for event in lines:
        contents.add(event)


def writers(store: Store, run_folder: str, number: int) -> list[str]:
    """Return the tokens of an attempt's other writers, as its folders show them."""
    found = dict[str, None]()
    for folder in (f"{number}", f"{number}.s"):
        for entry in store.children(f"{executions(run_folder)}/{folder}").entries:
            file = entry.key.rpartition("/")[2]
            if folder == str(number) and file.startswith("w-") and file.endswith(".jsonl"):
                found[file[2:-6]] = None
            elif folder != str(number) and file.endswith(".jsonl"):
                found[file.rpartition("-")[0]] = None
    return list(found)


def writer_of(name: str) -> str:
    """Return the token of the writer of a file in `folded`."""
    file = name.rpartition("/")[2]
    return file.removeprefix("w-").removesuffix(".jsonl")
