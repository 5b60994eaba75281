"""The overview of a workspace: what runs, what failed, what is new, and how much was done each day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import molexp as me
from molexp_web._table import cells
from molexp_web._table.asking import Asked
from molexp_web._table.listing import counts_of, keep, short

DAYS = 30
"""Days of the activity."""

LISTED = 8  # runs of each list
_METRICS = 3
_ERROR = 160  # characters
_HEIGHT = 64  # of the tallest bar
_EXPERIMENTS = 100


class Item(NamedTuple):
    """A run in a list of the overview.

    Attributes:
        row: the run.
        name: its short name.
        since: the time at which it started, ended or was created, whatever the list is about.
        told: values that say how it does: names and cells.
        error: the reason why it failed, in a line.
    """

    row: me.RunRow
    name: str
    since: str
    told: Sequence[tuple[str, cells.Cell]] = ()
    error: str = ""


class Day(NamedTuple):
    """A bar of the activity.

    Attributes:
        day: the day, such as ``2026-01-31``, in UTC.
        runs: the number of runs that were created on it.
        failed: the number of those that failed or were interrupted.
        height: the height of its bar.
        wrong: the part of that for those that failed.
    """

    day: str
    runs: int
    failed: int
    height: float
    wrong: float


class Summary(NamedTuple):
    """The lists of an overview."""

    counts: Mapping[str, int]
    running: Sequence[Item]
    failed: Sequence[Item]
    newest: Sequence[Item]


def summary_of(workspace: me.Workspace, known: dict[Any, Any]) -> Summary:
    """Return the lists of an overview.

    Args:
        workspace: the workspace.
        known: the findings of earlier questions.
    """
    catalog = workspace.catalog
    counts = counts_of(workspace, Asked(), known, catalog.version(), surely=True) or {}
    running = catalog.runs(status="running", sort="-started_at", limit=LISTED) if counts.get("running") else ()
    wrong = counts.get("failed") or counts.get("interrupted")
    failed = catalog.runs(status=("failed", "interrupted"), sort="-ended_at", limit=LISTED) if wrong else ()
    newest = catalog.runs(sort="-created_at", limit=LISTED) if counts else ()
    return Summary(
        counts,
        [Item(row, short(row), _attempt(row, "started_at"), _metrics(row)) for row in running],
        [Item(row, short(row), _attempt(row, "ended_at"), (), error_of(row)) for row in failed],
        [Item(row, short(row), row.created_at, _values(row)) for row in newest],
    )


def error_of(row: me.RunRow) -> str:
    """Return the reason why the newest attempt of a run failed, in a line."""
    newest = row.execution_history[-1] if row.execution_history else {}
    error = newest.get("error")
    if isinstance(error, Mapping) and error.get("type"):
        text = f"{error['type']}: {error.get('message') or ''}"
    else:
        text = str(newest.get("reason") or row.cause or "")
    line = " ".join(text[: _ERROR * 4].split())
    return line if len(line) <= _ERROR else f"{line[: _ERROR - 1]}…"


def _attempt(row: me.RunRow, name: str) -> str:
    return str((row.execution_history[-1] if row.execution_history else {}).get(name) or row.created_at)


def _metrics(row: me.RunRow) -> list[tuple[str, cells.Cell]]:
    """Return the last values of its first metrics, and the greatest step of these."""
    found = [*islice(row.metrics.items(), _METRICS)]
    told = [(name, cells.cell(one.get("last"), digits=4)) for name, one in found]
    steps = [step for _, one in found if isinstance(step := one.get("step"), int | float)]
    return [*told, ("step", cells.cell(max(steps)))] if steps else told


def _values(row: me.RunRow) -> list[tuple[str, cells.Cell]]:
    found = [*islice(row.params.items(), _METRICS), *islice(row.results.items(), _METRICS - 1)]
    return [(name, cells.cell(value, digits=4)) for name, value in found if not isinstance(value, Mapping)]


def activity_of(workspace: me.Workspace, known: dict[Any, Any]) -> list[Day]:
    """Return a bar for each of the last days, the last of which is today.

    Args:
        workspace: the workspace.
        known: the findings of earlier questions; to count reads the row of each run in the index, so it is done once for a state.
    """
    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=ago)).isoformat() for ago in range(DAYS - 1, -1, -1)]
    key = ("days", workspace.url, workspace.catalog.version(), days[0])
    if (counts := known.get(key)) is None:
        counts = workspace.catalog.run_pages(f'created_at >= "{days[0]}"').days or {}
        keep(known, key, counts)
    totals = [sum(counts.get(day, {}).values()) for day in days]
    wrong = [sum(counts.get(day, {}).get(status, 0) for status in ("failed", "interrupted")) for day in days]
    scale = _HEIGHT / (max(totals) or 1)
    return [
        Day(day, total, bad, round(max(total * scale, 2), 1) if total else 0, round(bad * scale, 1))
        for day, total, bad in zip(days, totals, wrong, strict=True)
    ]


def experiments_of(workspace: me.Workspace) -> tuple[list[Any], int]:
    """Return the totals of the experiments with the newest runs, and the number of those that are left out."""
    found = [one for one in workspace.catalog.totals() if one.experiment and (one.runs or one.archived)]
    found.sort(key=lambda one: one.newest, reverse=True)
    return found[:_EXPERIMENTS], max(0, len(found) - _EXPERIMENTS)
