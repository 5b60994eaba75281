"""Reach into the core for tests, where neither a public name nor a file gives them a hold: here, and only here."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

import molexp as me
from molexp._catalog.compaction import compaction, in_passing
from molexp._catalog.index.index import Entry, Findings, Folder
from molexp._catalog.index.tables import checksum
from molexp._query.evaluation import matches, reach
from molexp._query.parser import parse
from molexp._queues.files import QueueFiles
from molexp._record.launches import Rank
from molexp._record.owners import Owner
from molexp._sync import follow
from molexp._sync.sync import opened
from molexp._values.file_names import name_for as name_of_output
from molexp._values.groups import GROUPS
from molexp._values.ids import check_payload_name, fold_name
from molexp.plugins import _trial
from molexp.plugins._harms import State
from molexp.plugins._sorts import TYPES_OF_SCIENCE
from tests import warm

__all__ = [
    "GROUPS",
    "LATE",
    "at",
    "be_rank",
    "check_payload_name",
    "checksum",
    "compactions_begun",
    "fold_name",
    "follower",
    "forget_folders",
    "is_true_of",
    "name_of_output",
    "place_of",
    "plans",
    "report_late",
    "report_missing",
    "state_of_process",
    "time_of_followers",
    "trials_stand_still",
    "try_plugins_in_forks",
    "tune",
    "types_of_science",
    "writers_are_silent",
]

LIMITS = {
    "rows that make a full segment": "molexp._catalog.compaction.compaction:ROWS",
    "rows that are worth a compaction": "molexp._catalog.index.index:ROWS",
    "rows that are read from an index itself": "molexp._catalog.compaction.compaction:_FEW",
    "pages that are copied at once": "molexp._catalog.index.database:_STEP",
    "segments beside a full one": "molexp._catalog.compaction.compaction:_PARTS",
    "seconds that a locked index is waited for": "molexp._catalog.index.database:BUSY",
    "bytes of metrics that are read": "molexp._record.metrics:LARGEST",
    "bytes of metrics that are read at a time": "molexp._record.metrics:_PIECE",
    "bytes of metrics from which on they are read by blocks": "molexp._assets.curves:LONG",
    "bytes of a file up to which no blocks are looked for": "molexp._assets.curves:SHORT",
    "points that are read one by one all the same": "molexp._assets.curves:EXACT",
    "points from which on blocks are written": "molexp._assets.metric_blocks_file:LONG",
    "blocks that are written at a time": "molexp._assets.metric_blocks_file:AT_ONCE",
    "points from which on blocks are longer": "molexp._record.metric_blocks:FEW",
    "bytes of memory for points of files that grow": "molexp._assets.metric_files:KEPT",
    "bytes of objects in an output": "molexp._workflow.saved_parts:MOST_BYTES",
    "the file that lists mounts": "molexp._views.file_systems:_MOUNTS",
    "rows of a page": "molexp._catalog.query.paging:_AT_ONCE",
    "rows among which a page is looked for first": "molexp._catalog.query.sql:FIRST",
    "seconds that a first open is silent": "molexp._catalog.refresh.bulk:QUIET",
    "seconds between looks at everything": "molexp._sync.follow:_EVERYTHING",
    "seconds for which a file is young": "molexp._catalog.refresh.walk:_TICK",
    "bytes of memory that a new plugin may take": "molexp.plugins._trial:MEMORY",
    "seconds that a worker has to end its call": "molexp._executors.child:_GRACE",
    "seconds that somebody has to fill a name": "molexp._record.incomplete:MOMENT",
    "runs that are listed where links are not counted": "molexp._catalog.refresh.walk:_FEW",
    "characters of a tag": "molexp._values.ids:TAG_LIMIT",
    "characters of a note": "molexp._record.edits:NOTE_LIMIT",
}
"""Numbers that are too large for a test, and that no setting changes."""

LATE = ("molexp._past", "molexp._queues", "molexp._record.submissions", "molexp._submissions", "molexp._workflow")
"""Modules that `import molexp` leaves to those who need them."""

MOMENTS = {
    "a run is indexed": "molexp._catalog.refresh.reading:read_run",
    "a folder is looked at for the index": "molexp._catalog.refresh.walk:Walker._look",
    "rows are put into a snapshot": "molexp._catalog.compaction.compaction:_add",
    "the index is replaced": "molexp._catalog.index.index:Index.becomes",
    "a question is answered": "molexp._catalog.query.answers:Asking.answer",
    "the documents of an answer are read": "molexp._catalog.query.answers:Asking._documents",
    "an answer about lineage is given": "molexp._catalog.lineage.tracing:Tracer.lineage",
    "a blank workspace may be filled": "molexp._record.workspace:settled",
    "an event is written": "molexp._recording.writer:EventFile.write",
    "fsck reads a run": "molexp._maintenance.fsck:read_run",
    "a sync brings a part of an attempt": "molexp._sync.attempts:Attempt.bring_part",
    "a sync begins a run": "molexp._sync.runs:RunSync.begin",
    "a sync ends a run": "molexp._sync.runs:RunSync.end",
    "a follower makes a pass": "molexp._sync.follow:_Follower.step",
}
"""Calls between which something may happen."""


def tune(monkeypatch: pytest.MonkeyPatch | None, limit: str, value: float | str) -> None:
    """Set one of the `LIMITS`; without a `monkeypatch`, for the rest of this process."""
    holder, name = place_of(LIMITS[limit])
    if monkeypatch is None:
        setattr(holder, name, value)
    else:
        monkeypatch.setattr(holder, name, value)


def at(
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    act: Callable[..., Any],
    *,
    after: bool = False,
    every: bool = False,
    when: Callable[..., bool] = lambda *_: True,
) -> None:
    """Let somebody act at one of the `MOMENTS`, before it or after it, the first time or every time.

    Args:
        monkeypatch: undoes it.
        moment: a key of `MOMENTS`.
        act: what happens; it gets the arguments of the call, and may raise an error.
        after: whether it happens after the call, not before it.
        every: whether it happens at every such call, not at the first alone.
        when: which calls count, by their arguments.
    """
    holder, name = place_of(MOMENTS[moment])
    original = getattr(holder, name)

    def call(*arguments: Any, **options: Any) -> Any:
        if not when(*arguments):
            return original(*arguments, **options)
        if not every:
            monkeypatch.setattr(holder, name, original)
        if not after:
            act(*arguments)
        found = original(*arguments, **options)
        if after:
            act(*arguments)
        return found

    monkeypatch.setattr(holder, name, call)


def place_of(place: str) -> tuple[Any, str]:
    """Return what holds a name, and the name."""
    module, _, path = place.partition(":")
    holder: Any = import_module(module)
    *owners, name = path.split(".")
    for owner in owners:
        holder = getattr(holder, owner)
    return holder, name


# ------------------------------------------------------------------------------------------------------------- plugins


def state_of_process() -> State:
    """Return the state of this process that importing a plugin must not change; `harms` tells what has changed since."""
    return State.now()


def types_of_science() -> dict[str, str]:
    """Return the classes of which the core knows that a kind of molexp-science saves them."""
    return dict(TYPES_OF_SCIENCE)


def try_plugins_in_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new plugins be tried in processes that are forked from one which has imported MolExp: many of them are tried."""
    monkeypatch.setattr(_trial, "subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": warm.Popen}))


def trials_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an hour pass between any two looks at a plugin that is tried."""
    hours = count(0, 3600)
    monkeypatch.setattr(_trial, "time", SimpleNamespace(**{**vars(time), "monotonic": lambda: float(next(hours))}))


# ----------------------------------------------------------------------------------------------------- the local queue


def runners_leave_during_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever looks at the local queue go on only when its runner has left, once it has read what became of the jobs."""
    jobs = QueueFiles.jobs

    def jobs_then(self: QueueFiles, batch: Any) -> Any:
        found = jobs(self, batch)
        while self.has_runner():
            time.sleep(0.01)
        return found

    monkeypatch.setattr(QueueFiles, "jobs", jobs_then)


# --------------------------------------------------------------------------------------------------------- the catalog


def writers_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all writers be on a machine that cannot be asked, and silent for as long as it takes."""
    owner_of, elsewhere, clock = compaction._owner, Owner(host="elsewhere", pid=1), count(0, 10**4)
    monkeypatch.setattr(compaction, "_owner", lambda *known: elsewhere if owner_of(*known) else None)
    monkeypatch.setattr(compaction, "boot_clock", lambda: next(clock))


def compactions_begun(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list that gets a session for each compaction that would begin in passing; none does."""
    begun: list[bytes] = []
    monkeypatch.setattr(in_passing, "_start", begun.append)
    return begun


def forget_folders(ws: me.Workspace) -> None:
    """Let an index believe that no folder is as it was."""
    for key in ws._session.index.known().folders:
        ws._session.index.apply(Findings(folders={key: Folder("gone")}))


def traced(ws: me.Workspace, ask: Callable[[], object]) -> list[str]:
    """Return what SQLite is asked for a question."""
    asked: list[str] = []
    connection = ws._session.index._connect()
    connection.set_trace_callback(asked.append)
    try:
        ask()
    finally:
        connection.set_trace_callback(None)
    return asked


def plans(ws: me.Workspace, ask: Callable[[], object]) -> list[str]:
    """Return how SQLite finds the rows of a question."""
    asked = traced(ws, ask)
    connection = ws._session.index._connect()
    found = [f"EXPLAIN QUERY PLAN {sql}" for sql in asked if sql.startswith(("SELECT e.id FROM", "SELECT a.id FROM"))]
    return [str(row[3]) for sql in found for row in connection.execute(sql)]


def report_late(ws: me.Workspace, path: str, document: Mapping[str, Any], cover: Mapping[str, Any]) -> None:
    """Tell an index what somebody read of a run a while ago."""
    ws._session.index.apply(Findings([Entry(path, dict(document), False, dict(cover))]))


def report_missing(ws: me.Workspace, path: str, exists: Callable[[str], bool]) -> None:
    """Tell an index that somebody did not find a run a while ago."""
    ws._session.index.apply(Findings(gone={path}), exists=exists)


def is_true_of(query: str, fields: Mapping[str, Any]) -> bool:
    """Tell whether a query is true of a run, by the evaluator that needs no SQL."""
    return matches(parse(query), lambda field: reach(fields, field.parts))


# --------------------------------------------------------------------------------------------------- ranks and followers


def be_rank(monkeypatch: pytest.MonkeyPatch, exp: me.Experiment, index: int, size: int) -> None:
    """Let this process be one rank of a launch."""
    process = exp._session.process
    monkeypatch.setattr(process, "rank", Rank(index, size, "srun", "4711/0", exact=True))
    monkeypatch.setattr(process, "_counts", {})


@contextmanager
def follower(source: me.Workspace, destination: me.Workspace | str) -> Iterator[Any]:
    """Give what `me.follow_workspace` makes its passes with; ``step(None)`` is one pass."""
    with opened(source, destination, merge=False) as pair:
        yield follow._Follower(pair)


def time_of_followers(monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
    """Let followers take the time from `clock`, and wait by it."""
    monkeypatch.setattr(follow, "time", clock)
    monkeypatch.setattr(follow, "threading", clock)
