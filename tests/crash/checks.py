"""Check what must hold of a workspace whatever happened to its writers. Runs in a process that was no writer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import molexp as me
from molexp_fs import LocalStore


def open_with(folder: Path, cache: Path) -> me.Workspace:
    """The workspace, as a process sees it whose index lies in `cache`."""
    os.environ["MOLEXP_CACHE_DIR"] = str(cache)
    return me.Workspace.load(folder)


def answers(ws: me.Workspace) -> dict[str, Any]:
    """All that the catalog says, as plain values."""
    runs = {row.path: row.document for row in ws.catalog.runs()}
    assets = {row["id"]: {**row, "created_at": str(row["created_at"])} for row in ws.catalog.assets().to_dicts()}
    return {"runs": runs, "assets": assets}


def rebuilt(folder: Path, cache: Path) -> dict[str, Any]:
    """Return what the catalog says after a rebuild from the files alone."""
    ws = open_with(folder, cache)
    ws.catalog.rebuild()
    return answers(ws)


def check_files(folder: Path, *, fragments: bool = False) -> None:
    """No half-written file is visible: documents parse, whole lines parse, and no key is a temporary file.

    With `fragments`, what did not fit on the disk may have left a part of its line, closed by the next one.
    """
    for entry in LocalStore.open(str(folder), {}).list():
        assert "/.tmp-" not in f"/{entry.key}", f"a temporary file is visible: {entry.key}"
        data = (folder / entry.key).read_bytes()
        assert len(data) == entry.size, entry.key
        if entry.key.endswith(".json"):
            json.loads(data)
        elif entry.key.endswith(".jsonl"):
            for line in data[: data.rfind(b"\n") + 1].splitlines():
                try:
                    json.loads(line)
                except ValueError:
                    assert fragments, f"{entry.key} has a line that is no JSON"


def check_assets(folder: Path, records: Iterable[me.Asset]) -> None:
    """Every payload that a record names is there, with its size and, where one was taken, its hash."""
    for asset in records:
        path = folder / asset.key
        assert path.exists(), f"{asset.id} names bytes that are missing"
        if path.is_file():
            data = path.read_bytes()
            assert len(data) == asset.size, f"{asset.id}: {len(data)} bytes, not {asset.size}"
            if asset.content_hash is not None:
                assert asset.content_hash == "sha256:" + sha256(data).hexdigest(), f"{asset.id}: other bytes"


def all_runs(ws: me.Workspace) -> list[me.Run]:
    """Every run, by the files."""
    return [run for project in ws.projects for experiment in project.experiments for run in experiment.runs]


def all_data(ws: me.Workspace) -> list[me.Asset]:
    """Every version of all imported data, by the files."""
    scopes = [ws.data_assets]
    for project in ws.projects:
        scopes.append(project.data_assets)
        scopes += [experiment.data_assets for experiment in project.experiments]
    return [version for data in scopes for name in data for version in data.versions(name)]


def check_record(ws: me.Workspace, folder: Path, *, fragments: bool = False, late: bool = False) -> dict[str, str]:
    """Everything that the files say hangs together; returns the status of every run.

    With `late`, there may be events after an attempt's end.
    """
    check_files(folder, fragments=fragments)
    found = {}
    for run in all_runs(ws):
        found[run.path] = str(run.status)
        check_assets(folder, run.assets)
        history = run.execution_history
        assert [entry["attempt"] for entry in history] == list(range(1, len(history) + 1)), history
        for entry in history[:-1]:
            assert entry["status"] in ("succeeded", "failed", "cancelled", "interrupted"), entry
    check_assets(folder, all_data(ws))
    wrong = [finding for finding in ws.fsck().findings if not _harmless(finding, folder, fragments, late)]
    assert not wrong, wrong
    return found


def _harmless(finding: Any, folder: Path, fragments: bool, late: bool) -> bool:
    """Return what a kill may leave and nobody suffers from.

    The empty folder of a run whose creation did not come to its file; a ``run.json`` that its writer did not live to
    update, which is for people only; a payload that is complete and whose record was still to be written; late events
    and fragments of lines, if there may be any.
    """
    if finding.what == "it does not show the newest end" or finding.what.startswith("no record names it"):
        return True
    if finding.what.startswith("a folder without a run"):
        return not any(
            path.is_file() and path.parent.name != "edits"  # that a run is deleted is copied before the run
            for path in (folder / finding.key).rglob("*")
            if not path.name.startswith(".tmp-")
        )
    return (late and " bytes came after " in finding.what) or (fragments and "lines are no events" in finding.what)


def check_catalog(folder: Path, caches: Mapping[str, Path], scratch: Path) -> dict[str, Any]:
    """Every index, however old, answers as one that was built anew, and that as the files."""
    truth = rebuilt(folder, scratch)
    for name, cache in caches.items():
        found = answers(open_with(folder, cache))
        for what in ("runs", "assets"):
            assert found[what].keys() == truth[what].keys(), (name, what, found[what].keys() ^ truth[what].keys())
            for key, value in truth[what].items():
                assert found[what][key] == value, (name, key, found[what][key], value)
    ws = open_with(folder, scratch)
    by_files = {run.path: str(run.status) for run in all_runs(ws)}
    assert by_files == {path: document["status"] for path, document in truth["runs"].items()}
    ids = {asset.id for run in all_runs(ws) for asset in run.assets} | {asset.id for asset in all_data(ws)}
    assert ids == truth["assets"].keys(), ids ^ truth["assets"].keys()
    return truth
