"""Several runs beside each other: the fields in which they differ, their curves, and parameters against results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import molexp as me
from molexp.errors import MolexpError
from molexp_web._pages.charts import chart_settings, kept_query
from molexp_web._pages.record_words import cell, is_number
from molexp_web._pages.rendering import number, render, with_query, workspace_of
from molexp_web._pages.run import run_link

_BESIDE = 24  # runs that stand beside each other, and whose files are read
_CURVES = 24  # runs whose curves are drawn
_POINTS = 1000  # runs that are drawn as points, and as lines of parallel coordinates
_FIELDS = 400  # rows of the table
_AXES = 24  # numbers among which scatter and parallel coordinates choose
_RARELY = ("id", "created_at", "started_at", "ended_at", "path", "config_hash")  # they always differ
_GROUPS = ("params", "results", "metrics", "config", "provenance")


@dataclass(frozen=True)
class Compared:
    """Runs and their fields.

    Attributes:
        paths: of the runs, the baseline first.
        fields: names, with the values by path.
        total: the number of runs that match.
        notes: in words, what could not be read or found.
    """

    paths: Sequence[str]
    fields: Mapping[str, Mapping[str, Any]]
    total: int
    notes: list[str] = field(default_factory=list)


def compare_page(request: Request) -> Response:
    """Compare the runs that the address names, or that match its query."""
    workspace = workspace_of(request)
    asked = request.query_params
    named = [*dict.fromkeys(one for one in asked.getlist("run") if one)]
    query, baseline, everything = asked.get("q", "").strip(), asked.get("baseline", ""), asked.get("all") == "1"
    notes: list[str] = []
    rows, total = _rows(workspace, named, query, notes)
    if any(row.path == baseline for row in rows):
        rows.sort(key=lambda row: row.path != baseline)
    elif baseline:
        notes.append(f"The baseline {baseline!r} is not among these runs.")
        baseline = ""
    found = _compared(workspace, rows, total, everything, notes)
    metrics = dict.fromkeys(name for row in rows[:_CURVES] for name in row.metrics)
    names = _names(workspace, rows[: max(_BESIDE, _CURVES)])
    return render(
        request,
        "compare.html",
        found=found,
        named=named,
        query=query,
        baseline=baseline,
        everything=everything,
        runs=[_head(request, row, names[row.path], baseline) for row in rows[:_BESIDE]],
        table=_table(found, baseline),
        left_out=max(0, len(found.fields) - _FIELDS),
        hidden_runs=max(0, len(rows) - _BESIDE),
        charts=chart_settings(request, {row.path: names[row.path] for row in rows[:_CURVES]}, metrics),
        axes=_axes(rows) if len(rows) > 2 else None,
        run_address=run_link(request, "PROJECT/EXPERIMENT/RUN"),
        kept_query=lambda *without: kept_query(request, *without),
        switch=_again(request, all="" if everything else "1"),
    )


def _rows(workspace: me.Workspace, named: Sequence[str], query: str, notes: list[str]) -> tuple[list[me.RunRow], int]:
    """Return the rows of the runs: those that are named in their order, then those that match, the newest first."""
    paths: list[str] = []
    for one in named[:_POINTS]:
        try:
            path = workspace.run(one).path
        except MolexpError as error:
            notes.append(str(error))
            continue
        if path not in paths:
            paths.append(path)
    rows: list[me.RunRow] = []
    if paths:
        where = f"path in ({', '.join(map(me.to_json, paths))})"
        by_path = {row.path: row for row in workspace.catalog.runs(where, archived=True)}
        rows = [by_path[path] for path in paths if path in by_path]
    total = len(rows)
    if query:
        matching = workspace.catalog.runs(query, sort="-created_at", limit=_POINTS)
        rows += [row for row in matching if row.path not in paths]
        total = len(rows)
        if len(matching) == _POINTS:
            notes.append(f"At least {_POINTS} runs match; these are the newest. Make the query narrower to see others.")
        for name, nearest in workspace.catalog.unknown_fields(query).items():
            notes.append(f"No run has {name}." + (f" Did you mean {' or '.join(nearest)}?" if nearest else ""))
    return rows, total


def _compared(
    workspace: me.Workspace, rows: Sequence[me.RunRow], total: int, everything: bool, notes: list[str]
) -> Compared:
    """Return the fields: of few runs as the files have them, with their origins; of many as the catalog has them."""
    some = rows[:_BESIDE]
    paths = [row.path for row in some]
    flat = {row.path: dict(row) for row in some}
    fields: dict[str, dict[str, Any]] = {}
    if len(some) >= 2:
        try:
            for one in workspace.compare(*some):
                for name, value in one.items():
                    if name != "path":
                        fields.setdefault(name, {})[str(one["path"])] = value
        except MolexpError as error:
            notes.append(str(error))
    if everything or len(some) == 1:
        for path, one in flat.items():
            for name, value in one.items():
                fields.setdefault(name, {}).setdefault(path, value)
        order = dict.fromkeys(name for one in flat.values() for name in one)
        fields = {name: fields[name] for name in [*order, *(name for name in fields if name not in order)]}
    return Compared(paths, fields, total, notes)


def _names(workspace: me.Workspace, rows: Sequence[me.RunRow]) -> dict[str, str]:
    """Return the names by which runs are shown, short ones, with the experiments if these differ."""
    short = workspace.catalog.short_ids(rows)
    alike = len({row.path.rpartition("/")[0] for row in rows}) == 1
    names = {}
    for row in rows:
        experiment, _, last = row.path.rpartition("/")
        part = short[row.path].rpartition("/")[2]
        name = row.id if part == last else part
        names[row.path] = name if alike else f"{experiment}/{name}"
    return names


def _head(request: Request, row: me.RunRow, name: str, baseline: str) -> dict[str, Any]:
    """Return what stands above the column of a run."""
    others = [one for one in request.query_params.getlist("run") if one and one not in (row.path, row.id)]
    return {
        "path": row.path,
        "name": name,
        "status": str(row.status),
        "link": run_link(request, row.path),
        "is_baseline": row.path == baseline,
        "as_baseline": _again(request, baseline="" if row.path == baseline else row.path),
        "without": _again(request, run=others) if len(others) < len(request.query_params.getlist("run")) else "",
    }


def _again(request: Request, **changed: Any) -> str:
    """Return the address of this page with a change."""
    return with_query(request.url.path, *kept_query(request, *changed), **changed)


def _table(found: Compared, baseline: str) -> list[dict[str, Any]]:
    """Return the rows of the table: a field, with a cell for each run."""
    rows = []
    for name, values in islice(found.fields.items(), _FIELDS):
        base = values.get(baseline)
        numbers = [value for value in values.values() if is_number(value)]
        group, dot, rest = name.partition(".")
        is_drawn = len(numbers) > 1 and not name.endswith(("_step", ".step", ".count"))
        low, high = (min(numbers), max(numbers)) if is_drawn else (None, None)
        rows.append(
            {
                "name": rest if dot and group in _GROUPS else name,
                "group": group if dot and group in _GROUPS else "run",
                "is_number": bool(numbers) and len(numbers) == len(values),
                "cells": [
                    _cell(values.get(path), base if path != baseline else None, low, high) for path in found.paths
                ],
            }
        )
    order = {name: place for place, name in enumerate(("run", *_GROUPS))}
    rows.sort(key=lambda row: order[str(row["group"])])
    return rows


def _cell(value: Any, base: Any, low: Any, high: Any) -> dict[str, Any]:
    """Return a cell: its text, how it differs from the baseline, and where it lies between the least and the greatest."""
    share = None
    if is_number(value) and low is not None and high > low:
        share = round((float(value) - float(low)) / (float(high) - float(low)), 3)
        share = share if share == share else None  # noqa: PLR0124 - NaN
    difference = ""
    if is_number(value) and is_number(base) and value != base:
        difference = f"{'+' if value > base else '−'}{number(abs(value - base), 3)}"
        if isinstance(base, float | int) and base and abs(value - base) < 1e6 * abs(base):
            difference += f" ({'+' if value > base else '−'}{abs(value - base) / abs(base):.0%})"
    return {"text": number(cell(value)), "difference": difference, "share": share}


def _axes(rows: Sequence[me.RunRow]) -> dict[str, Any] | None:
    """Return numbers by which runs are drawn: parameters that differ, then results and last values of metrics."""
    flat = [dict(row) for row in rows]
    names = dict.fromkeys(name for one in flat for name in one if _drawn(name))
    columns: list[dict[str, Any]] = []
    for name in names:
        values = [one.get(name) for one in flat]
        if len({str(value) for value in values}) < 2 or any(isinstance(value, list | dict) for value in values):
            continue
        if not name.startswith("params.") and not any(map(is_number, values)):
            continue
        columns.append({"name": name, "values": [_plain(value) for value in values]})
    params = [one for one in columns if one["name"].startswith("params.")][: _AXES // 2]
    others = [one for one in columns if not one["name"].startswith("params.")][: _AXES - len(params)]
    if not (params or others) or len(params) + len(others) < 2:
        return None
    return {
        "runs": [row.path for row in rows],
        "columns": [*params, *others],
        "statuses": [str(row.status) for row in rows],
    }


def _drawn(name: str) -> bool:
    return (
        name.startswith(("params.", "results."))
        or (name.startswith("metrics.") and name.endswith(".last"))
        or name == "seconds"
    )


def _plain(value: Any) -> Any:
    """Return a value that JavaScript reads as it is: a finite number, a text or None."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e300 else None
    return None if value is None else str(value)[:80]


ROUTES: list[Route] = [Route("/w/{workspace}/compare", compare_page, name="compare")]
