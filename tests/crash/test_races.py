"""Sixteen processes do the same thing at the same instant: one of them does it, or each does it once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from tests.crash import checks
from tests.crash.conftest import Actor, Stage

RACERS = 16
TURNS = 3


class Field:
    """All who race: the same processes for all tests, because to start them takes most of the time."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.racers: list[Actor] = []

    def race(self, folder: Path, what: str, turns: int) -> Iterator[list[dict[str, Any]]]:
        racers, self.racers = self.racers or [self.stage.start("race", number) for number in range(RACERS)], []
        gates = [folder / f"gate-{turn}" for turn in range(turns)]
        for gate in gates:
            os.mkfifo(gate)
        held = [os.open(gate, os.O_RDWR) for gate in gates]
        for racer in racers:
            racer.say(json.dumps({"folder": str(folder / "lab"), "what": what, "gates": [*map(str, gates)]}))
        for turn, holding in enumerate(held):
            for racer in racers:
                assert racer.hear() == {"ready": turn}
            os.close(holding)  # all of them are let go at once
            yield [racer.hear() for racer in racers]
        self.racers = racers  # who did all that was asked is asked again


@pytest.fixture(scope="module")
def field(tmp_path_factory, crash_site):
    stage = Stage(tmp_path_factory.mktemp("field"), crash_site)
    field = Field(stage)
    yield field
    for racer in field.racers:
        assert racer.rest() == []
    stage.close()


@pytest.fixture
def race(field: Field, stage: Stage) -> Callable[..., Iterator[list[dict[str, Any]]]]:
    """Let all race for each of the turns; returns what they reported, turn by turn."""

    def run(what: str, turns: int = TURNS) -> Iterator[list[dict[str, Any]]]:
        return field.race(stage.folder, what, turns)

    return run


def test_one_of_all_who_start_a_run_executes_it(race, stage):
    for turn, reports in enumerate(race("start", turns=6)):
        executed = [report["executed"] for report in reports if "executed" in report]
        refused = [report["error"] for report in reports if "error" in report]

        assert len(executed) == 1, reports
        assert len(refused) == RACERS - 1
        assert set(refused) <= {"RunBusyError", "RunFinishedError"}, reports
        run = me.Workspace.load(stage.lab).run(f"metals/cu/turn-{turn}")
        assert run.status == "succeeded"
        assert len(run.execution_history) == 1
        assert run.results == {"by": executed[0]}
        assert run.asset("who.json").load() == {"by": executed[0]}


def test_all_who_create_a_hierarchy_get_the_same(race, stage):
    for turn, reports in enumerate(race("create")):
        assert len({report["token"] for report in reports}) == 1, reports
        folder = stage.folder / f"lab-{turn}"
        assert checks.check_record(me.Workspace.load(folder), folder) == {"metals/cu/x": "pending"}
        assert [row.path for row in me.Workspace.load(folder).catalog.runs()] == ["metals/cu/x"]
        assert not list((folder / ".molexp").glob("probe/*")), "a probe was left behind"


def test_one_of_all_who_define_an_experiment_differently_does(race, stage):
    for turn, reports in enumerate(race("define")):
        defined = [report["defined"] for report in reports if "defined" in report]

        assert len(defined) == 1, reports
        assert [report["conflict"] for report in reports if "conflict" in report] == defined * (RACERS - 1)
        assert me.Workspace.load(stage.lab).project("metals").experiment(f"turn-{turn}").params == {"a": defined[0]}


def test_each_of_all_who_revise_an_experiment_makes_a_revision(race, stage):
    numbers = [report["revision"] for reports in race("revise") for report in reports]

    assert sorted(numbers) == list(range(2, 2 + RACERS * TURNS))


def test_each_of_all_who_import_makes_a_version(race, stage):
    for turn, reports in enumerate(race("import")):
        assert sorted(report["version"] for report in reports) == list(range(1, RACERS + 1)), reports
        assert all(report["content"] == report["mine"] for report in reports)
        versions = me.Workspace.load(stage.lab).project("metals").experiment("cu").data_assets.versions(f"ref-{turn}")
        found = {asset.version: asset.read_bytes().decode() for asset in versions}
        assert found == {report["version"]: report["mine"] for report in reports}
        checks.check_assets(stage.lab, versions)


def test_all_who_import_equal_content_get_one_version(race, stage):
    for turn, reports in enumerate(race("import-equal")):
        assert {report["version"] for report in reports} == {1}, reports
        assert len({report["key"] for report in reports}) == 1
        assert {report["content"] for report in reports} == {f"content {turn}"}
        folder = stage.lab / "projects/metals/experiments/cu/data" / f"ref-{turn}"
        payloads = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json"]
        assert len(payloads) == 1, "the bytes of an import that came second were left"


def test_the_edits_of_all_count(race, stage):
    for turn, reports in enumerate(race("annotate")):
        assert [report["tagged"] for report in reports] == list(range(RACERS))
        run = me.Workspace.load(stage.lab).run(f"metals/cu/turn-{turn}")
        assert run.tags == {f"tag-{number}" for number in range(RACERS)}
        assert sorted(note["text"] for note in run.notes) == sorted(f"note of {number}" for number in range(RACERS))
