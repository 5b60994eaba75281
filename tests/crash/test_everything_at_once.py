"""Sixteen writers do everything there is at the same time; a ledger of what was acknowledged tells what must be there.

Runs, further attempts, tags, deletions, imports, redefinitions, garbage collection, compaction, rebuilds, and syncs to and
from three mirrors. Afterwards nothing that was acknowledged is missing, nothing that was deleted is back, in the
workspace and in each mirror; every index, a fresh one too, says what the files say.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

WRITERS, CACHES = 16, 4


def read_ledgers(stage) -> tuple[dict[str, dict[str, Any]], set[str], dict[str, set[str]], list[dict[str, Any]]]:
    """The last acknowledged state of each run, the deleted ones, the tags, and the other entries."""
    runs: dict[str, dict[str, Any]] = {}
    deleted: set[str] = set()
    tags: dict[str, set[str]] = {}
    others = []
    for ledger in sorted(stage.folder.glob("ledger-*.jsonl")):
        for entry in map(json.loads, ledger.read_text().splitlines()):
            if entry["op"] == "run":
                runs[entry["path"]] = entry
            elif entry["op"] == "tag":
                tags.setdefault(entry["path"], set()).add(entry["tag"])
            elif entry["op"] == "delete":
                deleted.add(entry["path"])
            else:
                others.append(entry)
    return {path: entry for path, entry in runs.items() if path not in deleted}, deleted, tags, others


@pytest.mark.parametrize(
    "seconds", [pytest.param(8, marks=pytest.mark.soak), pytest.param(150, marks=pytest.mark.long)]
)
def test_nothing_acknowledged_is_lost_and_nothing_deleted_comes_back(stage, seconds):
    caches = [str(stage.folder / f"cache-{number}") for number in range(CACHES)]
    writers = [
        stage.start("everything", number, seconds, MOLEXP_CACHE_DIR=caches[number % CACHES])
        for number in range(WRITERS)
    ]
    told = [report for writer in writers for report in writer.rest()]
    assert len(told) == WRITERS
    wrong = [line for report in told for line in report["wrong"]]
    assert not wrong, "\n".join([f"{len(wrong)} answers were wrong, such as", *wrong[:10]])
    counts: Counter[str] = sum((Counter(report["counts"]) for report in told), Counter())
    refused: Counter[str] = sum((Counter(report["refused"]) for report in told), Counter())
    print(f"{sum(counts.values())} operations: {dict(counts)}; refused: {dict(refused)}")

    (settled,) = stage.start("settle").rest()
    assert settled["wrong"] == []

    runs, deleted, tags, others = read_ledgers(stage)
    mirrors = [str(mirror) for mirror in stage.folder.glob("mirror-*")]
    looks = [stage.start("report", MOLEXP_CACHE_DIR=cache).rest()[0] for cache in caches]
    looks += [stage.start("report_of", mirror, MOLEXP_CACHE_DIR=caches[0]).rest()[0] for mirror in mirrors]
    for look in looks:
        assert look["files"].keys() == runs.keys(), look["files"].keys() ^ runs.keys()
        for path, (status, results, had, digest) in look["files"].items():
            expected = runs[path]
            assert (status, results, digest) == (expected["status"], {"value": expected["value"]}, expected["hash"])
            assert set(had) == tags.get(path, set())
        shown = {path: found[:2] for path, found in look["files"].items()}
        assert look["catalog"] == shown
        assert look["anew"] == shown
        for entry in others:
            if entry["op"] == "import":
                assert look["data"][entry["name"]][str(entry["version"])] == entry["text"]
        redefined = [entry["params"] for entry in others if entry["op"] == "redefine"]
        assert all(params in redefined or not params for params in look["params"].values())
        assert look["fsck"] == []
    assert deleted
