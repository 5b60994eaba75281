"""A thousand files that are corrupt or foreign, anywhere: answers for the rest, and a list of what could not be read."""

from __future__ import annotations

import os
import random

import pytest

JUNK = [b"", b"{", b"\x00" * 50, b"null", b"[1]", b'{"schema": 1}', b"\xff\xfe\xfd", b'{"type": "void"}', b"not json\n"]
NAMES = [
    ".nfs000001",
    ".DS_Store",
    "Thumbs.db",
    "notes (copy).txt",
    "x~",
    "run.json.bak",
    "1.end.json.tmp",
    "con",
    "Ünïcode",
]
RUNS = 120


@pytest.fixture
def finished(lab, lab_exp):
    for number in range(RUNS):
        with lab_exp.Run({"n": number}, id=f"r{number:03}").start() as ctx:
            ctx.set_result("x", number)
            ctx.artifact.save("a.json", [number])
    return lab


def sprinkle(lab, choice, count: int) -> tuple[set[str], int]:
    """Corrupt and foreign files; returns the runs that may have suffered, and how many files there are."""
    runs = lab.folder / "projects/metals/experiments/cu/runs"
    hit: set[str] = set()
    made = 0
    for _ in range(count):
        kind = choice.randrange(6)
        if kind < 2:  # a record of a run, of the first half of them
            name = f"r{choice.randrange(RUNS // 2):03}"
            file = choice.choice(["run.json", "executions/1.end.json", "executions/1.jsonl", "edits/20260101-bad.json"])
            path = runs / name / file
            hit.add(name)
        elif kind == 2:  # beside the records of the others
            path = runs / f"r{choice.randrange(RUNS // 2, RUNS):03}" / choice.choice(NAMES)
        elif kind == 3:  # among runs, experiments, projects
            path = choice.choice([runs, runs.parent.parent, lab.folder / "projects", lab.folder]) / choice.choice(NAMES)
        elif kind == 4:  # a run that is none
            path = runs / f"ghost-{choice.randrange(50)}" / choice.choice(["run.json", "executions/1.jsonl", "readme"])
        else:  # what is derived
            folder = lab.folder / ".molexp" / choice.choice(["journals", "sealed", "snapshots", "live", "else"])
            suffix = choice.choice([".jsonl", "-000001.jsonl", ".json", ".sqlite3", "~1~2~3"])
            path = folder / f"{choice.randrange(10**6)}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_dir():
            made += not path.exists()
            path.write_bytes(choice.choice(JUNK))
    return hit, made


def test_answers_for_the_rest_and_a_list_of_what_could_not_be_read(finished):
    choice = random.Random(7)
    watching = finished.load()
    assert len(watching.catalog.runs()) == RUNS
    hit, made = sprinkle(finished, choice, 1000)
    assert made > 300
    sound = {f"metals/cu/r{number:03}" for number in range(RUNS)} - {f"metals/cu/{name}" for name in hit}
    assert len(sound) >= RUNS // 2

    for ws in (watching, finished.load()):
        ws.catalog.rebuild()
        found = {row.path: row for row in ws.catalog.runs()}
        assert sound <= found.keys()
        assert all(found[path].results == {"x": int(path[-3:])} for path in sound)
        assert {asset.scope for asset in ws.catalog.assets(kind="artifact")} >= sound
        assert {row.path for row in ws.catalog.runs("results.x >= 60")} >= {
            path for path in sound if path[-3:] >= "060"
        }
        unreadable = ws.catalog.unreadable()
        named = {key.split("/runs/")[1].split("/")[0] for key in unreadable if "/runs/" in key}
        assert named <= hit | set(os.listdir(finished.folder / "projects/metals/experiments/cu/runs"))
        assert not named & {path.rpartition("/")[2] for path in sound}
        assert all(reason for reason in unreadable.values())
        assert ws.catalog.compact().ok
    assert finished.load().catalog.runs("results.x == 100")[0].id == "r100"
    with finished.workspace().project("metals").experiment("cu").Run({"n": -1}, id="after").start() as ctx:
        ctx.set_result("x", -1)
    assert [row.id for row in watching.catalog.runs("results.x < 0")] == ["after"]
