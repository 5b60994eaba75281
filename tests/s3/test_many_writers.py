"""Many processes write to a workspace on S3 at once, some of them are killed: whatever was acknowledged is there."""

from __future__ import annotations

import json
import random
import select
from typing import Any

import pytest

import molexp as me
from tests.crash.compaction_cases import chosen_instant
from tests.record.helpers import Place
from tests.s3.actors import RUNS, payload
from tests.s3.processes import DEADLINE, Actor, Stage

pytestmark = pytest.mark.s3

WRITERS, RACERS, TURNS, KILLS = 8, 16, 4, 50


@pytest.fixture
def stage(s3_server, tmp_path) -> Stage:
    """A workspace on each of the servers, and a folder for what is known of it."""
    bucket = s3_server.fresh()
    return Stage(Place(bucket.url, bucket.storage_options), tmp_path)


def in_catalog(ws: me.Workspace) -> dict[str, Any]:
    """All that the catalog says, as plain values."""
    runs = {row.path: row.document for row in ws.catalog.runs()}
    assets = {row["id"]: {**row, "created_at": str(row["created_at"])} for row in ws.catalog.assets().to_dicts()}
    return {"runs": runs, "assets": assets}


def seen(stage: Stage, monkeypatch, name: str, *, rebuild: bool = False) -> dict[str, Any]:
    """Return what a reader with an index of its own sees, or one that looks at every key."""
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(stage.folder / name))
    ws = stage.place.load()
    if rebuild:
        ws.catalog.rebuild()
    return in_catalog(ws)


def check_catalog(stage: Stage, monkeypatch) -> dict[str, Any]:
    """A fresh reader, one that has been there before, and a rebuild say the same."""
    fresh = seen(stage, monkeypatch, "fresh")
    rebuilt = seen(stage, monkeypatch, "rebuilt", rebuild=True)
    assert fresh["runs"].keys() == rebuilt["runs"].keys()
    assert fresh == rebuilt
    assert seen(stage, monkeypatch, "fresh") == rebuilt
    return rebuilt


def test_eight_processes_lose_nothing(stage, monkeypatch):
    writers = [stage.start("track", str(number), str(RUNS)) for number in range(WRITERS)]
    tracked = {said["run"] for writer in writers for said in writer.rest()}
    assert len(tracked) == WRITERS * RUNS == 200

    found = check_catalog(stage, monkeypatch)
    assert {path.rpartition("/")[2] for path in found["runs"]} == tracked
    assert {document["status"] for document in found["runs"].values()} == {"succeeded"}
    assert len(found["assets"]) == 3 * len(tracked)

    experiment = stage.place.load().project("metals").experiment("cu")
    for number in range(WRITERS):
        for turn in range(RUNS):
            run = experiment.run(f"w{number}-{turn}")
            assert run.results == {"number": turn}
            assert run.asset("number.json").load() == {"writer": str(number), "number": turn}
            assert run.asset("payload.bin").read_bytes() == payload(str(number), turn)
            assert run.asset("relax").read_bytes().count(b"\n") == 10


def test_one_of_many_who_start_a_run_executes_it(stage):
    stage.place.workspace().Project("metals").Experiment("cu", params={}).Run(id="first")
    racers = [stage.start("race", str(number), str(TURNS)) for number in range(RACERS)]
    for turn in range(TURNS):
        for racer in racers:
            assert racer.hear() == {"ready": turn}
        for racer in racers:
            racer.tell()
        said = [racer.hear() or {} for racer in racers]
        executed = [each["executed"] for each in said if "executed" in each]
        assert len(executed) == 1, said
        assert {each["error"] for each in said if "error" in each} <= {"RunBusyError", "RunFinishedError"}, said
        run = stage.place.load().run(f"metals/cu/turn-{turn}")
        assert run.results == {"by": executed[0]}
        assert len(run.execution_history) == 1
    assert [racer.rest() for racer in racers] == [[]] * RACERS


def heard(actors: list[Actor], lines: int) -> list[dict[str, Any]]:
    """The next so many things that they say."""
    said: list[dict[str, Any]] = []
    while len(said) < lines:
        ready, _, _ = select.select(actors, [], [], DEADLINE)
        assert ready, "the writers are silent"
        news = [actor.hear() for actor in ready]
        said += [line for line in news if line is not None]
    return said


def test_what_was_acknowledged_outlives_kills_at_random_instants(stage: Stage, monkeypatch):
    choice = random.Random(7)
    stage.run("track", "before", "2", MOLEXP_CACHE_DIR=str(stage.folder / "writer"))
    readers = [stage.start("refresh", MOLEXP_CACHE_DIR=str(stage.folder / name)) for name in ("one", "other")]
    assert [reader.hear() for reader in readers] == [{"ready": True}] * 2
    told: list[dict[str, Any]] = []

    def begin(number: int) -> Actor:
        return stage.start("track_for_ever", str(number), MOLEXP_CACHE_DIR=str(stage.folder / "writer"))

    writers: list[Actor] = [begin(number) for number in range(3)]
    for number in range(3, KILLS + 3):
        told += heard(writers, choice.randrange(1, 12))
        chosen_instant(choice)
        victim = writers.pop(choice.randrange(len(writers)))
        told += victim.kill()
        writers.append(begin(number))
    for writer in writers:
        told += writer.kill()
    for reader in readers:
        out, err = reader.process.communicate(b"", timeout=300)
        assert reader.process.returncode == 0, err.decode()[-3000:]
        report = json.loads(out.splitlines()[-1])
        assert report["wrong"] == []
        assert report["rounds"] > 0

    found = check_catalog(stage, monkeypatch)
    experiment = stage.place.load().project("metals").experiment("cu")
    assert any("finished" in fact for fact in told)
    for fact in told:
        if name := fact.get("finished"):
            assert found["runs"][f"metals/cu/{name}"]["status"] == "succeeded"
        if name := fact.get("finished") or fact.get("flushed") or fact.get("saved"):  # from the spool, if need be
            run = experiment.run(name)
            assert run.results == {"number": fact["number"]}, fact
            asset = run.asset("number.json")
            assert asset.load() == {"writer": fact["writer"], "number": fact["number"]}
        if "flushed" in fact or "finished" in fact:
            assert f"{fact['writer']} {fact['number']} line 0" in run.asset("relax").read_bytes().decode()
    for document in found["runs"].values():
        assert document["status"] in {"succeeded", "interrupted", "pending", "running"}
