"""Runs that were executed before anybody recorded them: their dates, bytes and origin, and what a kill leaves."""

from __future__ import annotations

import math
import os
import sys
from datetime import UTC, datetime, timedelta, timezone

import numpy
import pandas
import pytest

import molexp as me
from molexp.errors import ConflictError, InvalidNameError, SerializationError, UnsupportedOperationError
from tests import warm
from tests.record.helpers import Place

THEN, LATER = "2021-03-04T05:06:07.000000Z", "2021-03-04T05:08:07.500000Z"


@pytest.fixture
def old(tmp_path):
    """A folder of results, as a script left it."""
    folder = tmp_path / "old" / "a3.5"
    folder.mkdir(parents=True)
    (folder / "energy.json").write_text('{"energy": -3.72}')
    (folder / "out.log").write_bytes(b"converged\r\n")
    return folder


def record(exp, old, **more):
    files = {path.name: path for path in sorted(old.iterdir())}
    known = {"started_at": THEN, "ended_at": LATER, "results": {"energy": -3.72}, "files": files, "origin": old}
    return exp.record_past_run({"b": 2}, **{**known, **more})


def test_it_is_a_run_of_then(exp, ws, old):
    run = record(exp, old, tags=["old"], metrics=[{"step": 5, "loss": 0.5}, {"step": 6, "loss": 0.25, "time": 1e9}])
    assert (run.status, run.created_at, run.parameters, run.results) == (
        "succeeded",
        THEN,
        {"a": 3.6, "b": 2},
        {"energy": -3.72},
    )
    assert run == exp.derived_run({"b": 2})
    assert {asset.name: asset.read_bytes() for asset in run.assets if asset.kind == "artifact"} == {
        "energy.json": b'{"energy": -3.72}',
        "out.log": b"converged\r\n",
    }
    assert (run.asset("energy.json").load(), run.tags) == ({"energy": -3.72}, {"old"})
    assert run.metrics.last == {"loss": 0.25}
    assert [point["step"] for point in run.metrics.to_dicts()] == [5, 6]
    (row,) = ws.catalog.runs("imported == true and seconds == 120.5")
    assert (row.path, row.created_at) == (run.path, THEN)


def test_it_has_the_id_that_it_is_given(exp, old):
    run = record(exp, old, id="a3.5")
    assert (run.path, run.created_at, run.parameters) == (f"{exp.path}/a3.5", THEN, {"a": 3.6, "b": 2})
    assert record(exp, old, id="a3.5") == run
    assert len(exp.runs) == 1
    with pytest.raises(ConflictError, match="different definition"):
        exp.record_past_run({"b": 3}, id="a3.5", ended_at=LATER)
    with pytest.raises(InvalidNameError, match="run id"):
        record(exp, old, id="a/b")


def test_its_metrics_and_results_are_those_that_were_given(exp, old):
    points = [{"loss": 1.0, "odd": {"$float": "x"}}, {"loss": math.nan, "time": 2.0}, {"loss": -math.inf, "step": 7}]
    run = record(exp, old, results={"loss": math.nan}, metrics=points)
    found = run.asset("metrics").load()
    assert [point["step"] for point in found] == [0, 1, 7]
    assert (found[0]["odd"], math.isnan(found[1]["loss"]), found[2]["loss"]) == ({"$float": "x"}, True, -math.inf)
    assert (run.metrics.last["loss"], run.metrics["loss"]["count"]) == (-math.inf, 3)
    assert math.isnan(run.results["loss"])


def test_its_steps_and_times_are_taken_as_tables_have_them(exp, old):
    then = datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)
    steps = [numpy.int64(-1), 1.0, numpy.float64(2), 3]
    points = [{"step": step, "time": time} for step, time in zip(steps, [then, THEN, 1e9, None], strict=True)]
    found = record(exp, old, metrics=[{**point, "loss": 1} for point in points]).asset("metrics").load()
    assert [point["step"] for point in found] == [-1, 1, 2, 3]
    assert [point.get("time") for point in found] == [then.timestamp(), then.timestamp(), 1e9, None]


def test_its_origin_is_named_and_nothing_else_is_made_up(exp, ws, old):
    run = record(exp, old)
    (attempt,) = run.execution_history
    assert [attempt.get(name) for name in ("host", "pid", "user", "provenance")] == [None] * 4
    assert run.provenance is None
    origin = run.to_dict()["imported_from"]
    assert origin == attempt["imported_from"]
    assert origin["folder"] == str(old)
    assert origin.keys() == {"folder", "host", "pid", "user", "command", "at"}
    assert len(ws.catalog.runs(f"imported_from.folder == '{old}'")) == 1


def test_its_origin_may_be_a_url_which_is_recorded_without_secrets(exp):
    place = "https://ada:hunter2@tracking.example.org/#/experiments/1/runs/6cee3a"
    run = exp.record_past_run({"b": 3}, origin=place)
    folder = run.to_dict()["imported_from"]["folder"]
    assert folder.endswith("@tracking.example.org/#/experiments/1/runs/6cee3a")
    assert folder.startswith("https://")
    assert "hunter2" not in folder
    assert exp.record_past_run({"b": 3}, origin=place) == run


def test_a_second_time_adds_nothing(exp, place, old):
    record(exp, old)
    before = place.record()
    assert record(exp, old).results == {"energy": -3.72}
    assert place.record() == before


@pytest.mark.parametrize(
    ("status", "cause"), [("failed", None), ("cancelled", "cancel"), ("interrupted", None), ("succeeded", None)]
)
def test_every_end_is_kept(exp, old, status, cause):
    run = record(exp, old, status=status, reason="exit code 1")
    assert (run.status, run.cause, run.execution_history[0]["reason"]) == (status, cause, "exit code 1")


def test_one_that_was_executed_or_comes_from_elsewhere_is_left_alone(exp, old, tmp_path):
    with exp.derived_run({"b": 2}).start():
        pass
    with pytest.raises(ConflictError, match="an attempt that was executed"):
        record(exp, old)
    exp.record_past_run({"b": 3}, origin=old)
    with pytest.raises(ConflictError, match="recorded from"):
        exp.record_past_run({"b": 3}, origin=tmp_path)
    assert exp.record_past_run({"b": 3}, replica=1, origin=tmp_path).replica == 1


def test_a_run_of_the_past_can_be_executed_again(exp, old):
    run = record(exp, old, status="failed")
    with run.start() as ctx:
        ctx.set_result("energy", -3.8)
    assert (run.status, run.results, len(run.execution_history)) == ("succeeded", {"energy": -3.8}, 2)
    assert "imported_from" not in run.to_dict()
    assert record(exp, old).results == {"energy": -3.8}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"status": "running"}, ValueError),
        ({"ended_at": "yesterday"}, ValueError),
        ({"ended_at": THEN, "started_at": LATER}, ValueError),
        ({"started_at": float("nan")}, ValueError),
        ({"results": {"x": object()}}, SerializationError),
        ({"results": {"": 1}}, InvalidNameError),
        ({"status": "done"}, ValueError),
        ({"results": [1]}, TypeError),
        ({"metrics": [{"step": 0.5}]}, ValueError),
        ({"metrics": [{"step": math.nan}]}, ValueError),
        ({"metrics": [{"time": math.nan}]}, ValueError),
        ({"metrics": [{"time": "noon"}]}, ValueError),
        ({"metrics": [{"time": pandas.NaT}]}, ValueError),
        ({"started_at": pandas.NaT}, ValueError),
        ({"metrics": {"loss": [1, 2]}}, TypeError),
        ({"files": {"x": "/nowhere/at/all"}}, FileNotFoundError),
        ({"files": {"x": "/"}}, IsADirectoryError),
    ],
)
def test_after_wrong_input_there_is_no_run(exp, old, given, error):
    with pytest.raises(error):
        record(exp, old, **given)
    assert len(exp.runs) == 0


def test_times_are_taken_in_any_form(lab_exp):
    moment = datetime(2021, 3, 4, 6, 6, 7, tzinfo=timezone(timedelta(hours=1)))
    forms = [moment, moment.isoformat(), moment.timestamp(), moment.astimezone(UTC).replace(tzinfo=None)]
    runs = [lab_exp.record_past_run({"n": n}, started_at=form) for n, form in enumerate(forms)]
    assert {run.created_at for run in runs} == {THEN}


def test_linked_files_take_no_space_and_say_that_they_are_external(lab, lab_exp, old):
    run = record(lab_exp, old, link=True)
    asset = run.asset("out.log")
    assert os.path.samefile(asset.path, old / "out.log")
    assert (asset.fields.external, asset.read_bytes()) == (True, b"converged\r\n")
    assert lab.workspace().fsck(read_data=True).ok
    (old / "out.log").write_bytes(b"changed by n")
    with pytest.warns(UserWarning, match="outside of the workspace"):
        run.asset("out.log").read_bytes()


def test_what_cannot_be_linked_is_said(old):
    exp = me.Workspace("memory://past").Project("p").Experiment("e")
    with pytest.raises(UnsupportedOperationError):
        record(exp, old, link=True)
    run = exp.derived_run({"b": 2})
    assert (run.status, run.execution_history[0]["reason"]) == (
        "interrupted",
        "what was known of it was not recorded to the end",
    )
    assert record(exp, old).results == {"energy": -3.72}


KILLED = """
import os, signal, sys
import molexp as me
from molexp.plugins import default_manager

store = default_manager().storage_backend("file")
left = int(sys.argv[1])

def counted(original):
    def call(self, *given, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *given, **options)
    return call

for name in ("create", "write", "append", "open_append", "open_write", "delete", "rename"):
    setattr(store, name, counted(getattr(store, name)))
files = {"energy.json": sys.argv[3] + "/energy.json", "out.log": sys.argv[3] + "/out.log"}
exp = me.Workspace(sys.argv[2]).Project("metals").Experiment("cu", params={"a": 3.6})
exp.record_past_run({"b": 2}, started_at="2021-03-04T05:06:07", results={"energy": -3.72}, files=files, origin=sys.argv[3])
"""


def test_a_kill_at_any_operation_leaves_nothing_that_claims_to_be_whole(tmp_path, old):
    program = tmp_path / "program.py"
    program.write_text(KILLED)
    statuses, code, operations = [], -9, 0
    while code == -9:
        lab = Place(str(tmp_path / f"lab{operations}"))
        code = warm.run([sys.executable, program, str(operations), lab.url, str(old)], cwd=tmp_path).returncode
        exp = lab.workspace().Project("metals").Experiment("cu", params={"a": 3.6})
        before = [run.status for run in exp.runs]
        if before == ["succeeded"]:
            (run,) = exp.runs
            assert len(run.assets) == 2
        run = record(exp, old)
        assert (run.status, run.created_at, run.results) == ("succeeded", THEN, {"energy": -3.72})
        assert run.asset("out.log").read_bytes() == b"converged\r\n"
        assert {one["status"] for one in run.execution_history[:-1]} <= {"interrupted"}
        found = (
            lab.workspace().fsck(read_data=True).findings
        )  # as with any run, the kill may have come before `run.json`
        assert {finding.key.rpartition("/")[2] for finding in found} <= {"run.json"}
        statuses += before
        operations += 1
    assert code == 0
    assert {*statuses} == {"pending", "interrupted", "succeeded"}
