"""Runs that go on, look by look: what each look finds, and what changed since the one before. Nothing here prints."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from molexp_cli._options import experiment_named, runs_at

if TYPE_CHECKING:
    import molexp

_OPERATOR = re.compile(r"[<>=!]=?|\b(and|or|not|in|like|is|between)\b")
_GROWING = ("log", "metrics")  # kinds of assets that grow while a run goes on
_DONE = ("succeeded", "failed", "skipped", "cancelled", "reused")  # tasks that are not executed any more
_LATE = timedelta(minutes=2)  # clocks may differ by so much, and ends be found so late


class Live(NamedTuple):
    """A run that goes on, or has just ended.

    Attributes:
        row: as the catalog answers it.
        done: the number of its tasks that are done.
        total: the number of all of them; 0 if it has none.
        step: the newest step of its metrics; None without.
        metrics: the newest values, by name.
        heard: the time at which it last recorded something, in seconds since 1970; None if that is not known.
    """

    row: molexp.RunRow
    done: int
    total: int
    step: int | None
    metrics: Mapping[str, Any]
    heard: float | None

    @property
    def path(self) -> str:
        """The path of the run."""
        return self.row.path

    @property
    def attempt(self) -> Mapping[str, Any]:
        """Its newest attempt."""
        return _attempt(self.row)

    @property
    def silent(self) -> float | None:
        """The seconds for which it has recorded nothing."""
        return None if self.heard is None else max(0.0, time.time() - self.heard)

    def record(self, event: str) -> dict[str, Any]:
        """Return what happened to it, for programs."""
        return {
            "event": event,
            "path": self.path,
            "status": str(self.row.status),
            "attempt": self.attempt.get("attempt"),
            "started_at": self.attempt.get("started_at"),
            "ended_at": self.attempt.get("ended_at"),
            "parameters": self.row.parameters,
            "tasks": {"done": self.done, "total": self.total} if self.total else None,
            "step": self.step,
            "metrics": self.metrics,
            "results": self.row.results,
            "silent": None if self.silent is None else round(self.silent, 1),
            "cause": self.row.cause,
        }


class Look(NamedTuple):
    """A look at the workspace.

    Attributes:
        running: the runs that go on, those that began first at the beginning.
        queued: the number of runs that wait for somebody to execute them.
        begun: those of `running` that were not there at the look before.
        changed: those of `running` that recorded something since.
        ended: runs that have ended since.
        unreadable: keys that could not be read, with the reasons.
    """

    running: Sequence[Live]
    queued: int
    begun: Sequence[Live]
    changed: Sequence[Live]
    ended: Sequence[Live]
    unreadable: Mapping[str, str]


class Watcher:
    """Looks at runs again and again.

    Args:
        workspace: the workspace.
        names: queries, experiments and runs; all runs without.

    Raises:
        NotFoundError: there is no such run.
    """

    def __init__(self, workspace: molexp.Workspace, names: Sequence[str] = ()) -> None:
        self._workspace = workspace
        self._where = _question(workspace, names)
        self._since = datetime.now(UTC)
        self._known: dict[str, Live] = {}
        self._over: set[tuple[str, Any]] = set()
        self._files: dict[str, list[str]] = {}
        self._is_first = True
        self.ended: Counter[str] = Counter()
        """The number of runs that have ended meanwhile, by their status."""

    def look(self) -> Look:
        """Look at the workspace, and return what it finds."""
        since = (self._since - _LATE).isoformat(timespec="seconds").removesuffix("+00:00")
        rows = self._workspace.catalog.runs(self._within(f'status == "running" or ended_at >= "{since}"'))
        going = [row for row in rows if str(row.status) == "running"]
        gone = [row for row in rows if row.status.finished]
        known, self._known = self._known, {row.path: self._live(row) for row in going}
        over = [] if self._is_first else [*self._told(gone), *self._vanished(known, gone)]
        self._over |= {_attempt_of(row) for row in gone}
        self._since = max(self._since, datetime.now(UTC))
        self._is_first = False
        self.ended.update(str(one.row.status) for one in over)
        queued = self._workspace.catalog.run_pages(self._within('status in ("pending", "queued")')).total or 0
        running = sorted(self._known.values(), key=lambda one: str(one.attempt.get("started_at")))
        begun = [one for one in running if _attempt_of(one.row) != _attempt_of(known.get(one.path))]
        changed = [one for one in running if one not in begun and one.row != known[one.path].row]
        return Look(running, queued, begun, changed, over, rows.unreadable)

    def _within(self, condition: str) -> str:
        return f"({condition}) and ({self._where})" if self._where else condition

    def _told(self, rows: Sequence[molexp.RunRow]) -> Iterator[Live]:
        """Yield runs whose attempts have ended and are not told yet."""
        for row in rows:
            if _attempt_of(row) not in self._over:
                yield _live(row, None)

    def _vanished(self, known: Mapping[str, Live], gone: Sequence[molexp.RunRow]) -> Iterator[Live]:
        """Yield runs that went on, and have ended at a time that another clock tells, or were archived meanwhile."""
        there = {*self._known, *(row.path for row in gone)}
        left = [path for path in known if path not in there]
        for row in self._workspace.catalog.runs(runs_at(left), archived=True) if left else ():
            if row.status.finished and _attempt_of(row) not in self._over:
                self._over.add(_attempt_of(row))
                yield _live(row, None)

    def _live(self, row: molexp.RunRow) -> Live:
        """Return a run that goes on, with the time at which it was last heard of."""
        before = self._known.get(row.path)
        if before is None or before.row != row or row.path not in self._files:
            self._files[row.path] = self._growing(row)
        heard = [_changed_at(path) for path in self._files[row.path]]
        if before is not None:
            heard.append(before.heard if before.row == row else time.time())
        elif self._workspace.url.startswith("file:"):
            heard.append(_seconds(_attempt(row).get("started_at")))
        return _live(row, max((one for one in heard if one is not None), default=None))

    def _growing(self, row: molexp.RunRow) -> list[str]:
        """Return the files of logs and metrics of a run, where they are files."""
        from molexp.errors import MolexpError

        if not self._workspace.url.startswith("file:") or row.as_of:
            return []
        try:
            assets = self._workspace.run(row.path).assets
            return [os.fspath(asset.path) for asset in assets if asset.kind in _GROWING]
        except (MolexpError, OSError):
            return []


def _question(workspace: molexp.Workspace, names: Sequence[str]) -> str:
    """Return a query for what is named; "" for all runs."""
    from molexp.errors import NotFoundError

    queries, paths = [], []
    for name in names:
        if re.search(r"\s", name):
            queries.append(f"({name})")
            continue
        try:
            experiment = experiment_named(workspace, name)
            if experiment is not None:
                project, _, own = experiment.path.partition("/")
                queries.append(f"(project == {_quoted(project)} and experiment == {_quoted(own)})")
            else:
                paths.append(workspace.run(name).path)
        except NotFoundError:
            if not _OPERATOR.search(name):
                raise
            queries.append(f"({name})")
    return " or ".join([*queries, *([runs_at(paths)] if paths else [])])


def _quoted(text: str) -> str:
    import molexp

    return molexp.to_json(text)


def _live(row: molexp.RunRow, heard: float | None) -> Live:
    counts = _attempt(row).get("tasks") or {}
    done = sum(counts[status] for status in _DONE if isinstance(counts.get(status), int))
    workflow = row.workflow if isinstance(row.workflow, Mapping) else {}
    names = workflow.get("tasks")
    total = max(len(names) if isinstance(names, list | tuple) else 0, sum(filter(None, counts.values())))
    steps = [one["step"] for one in row.metrics.values() if isinstance(one.get("step"), int)]
    newest = {name: one.get("last") for name, one in row.metrics.items()}
    return Live(row, done, total, max(steps, default=None), newest, heard)


def _attempt(row: molexp.RunRow) -> Mapping[str, Any]:
    return row.execution_history[-1] if row.execution_history else {}


def _attempt_of(found: molexp.RunRow | Live | None) -> tuple[str, Any]:
    """Return what tells an attempt from all others."""
    if found is None:
        return "", None
    row = found.row if isinstance(found, Live) else found
    return row.path, _attempt(row).get("attempt")


def _changed_at(path: str) -> float | None:
    with suppress(OSError):
        return os.stat(path).st_mtime
    return None


def _seconds(moment: Any) -> float | None:
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(str(moment)).timestamp()
    return None
