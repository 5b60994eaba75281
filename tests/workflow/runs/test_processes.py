"""Tasks in processes of their own, under a run: each worker writes to the attempt by a file of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from molexp.errors import NotPicklableError, TaskTimeoutError, WorkerDiedError
from tests.workflow.clock import LIMIT
from tests.workflow.runs import process_tasks as tasks
from tests.workflow.runs.process_tasks import workflow

RUN = "projects/metals/experiments/cu/runs/one"


def fsck_is_silent(lab):
    """Only payloads that superseded tries left behind may be there, which `gc` frees."""
    ws = lab.workspace()
    assert all(found.what.startswith("no record names it") for found in ws.fsck().findings), ws.fsck().findings


def names(run, kind):
    return sorted(asset.name for asset in run.assets if asset.kind == kind)


def test_everything_that_a_context_does_works_there(lab, lab_run):
    spec = workflow(
        (tasks.geometry, {"executor": "inline"}),
        (tasks.energy, {"depends_on": ["geometry"]}),
        (tasks.analysis, {"depends_on": ["energy"]}),
    )
    result = spec.execute_sync(run=lab_run, check=True)

    seen = result.outputs["energy"]
    assert seen["pid"] != os.getpid()
    assert seen["inputs"] == [3.6, 2.0]
    assert seen["params"] == {"a": 3.6, "b": 1}
    assert (seen["task"], seen["retry"], seen["run"]) == ("energy", 0, "metals/cu/one")
    assert seen["found"] == {"by": os.getpid()}
    assert seen["own"] == [1, 2]
    assert seen["absent"] is None
    assert not seen["workdir"].exists()
    assert result.outputs["analysis"] == ([1, 2], True)

    assert lab_run.results == {"energy": -1.5}
    assert lab_run.asset("density.json").load() == [1, 2]
    assert lab_run.logs["scf"].text() == "converged\n"
    assert "in the worker" in lab_run.logs["tasks/energy"].text()
    assert lab_run.logs["shell"].text() == "from the shell\n"
    (metrics,) = [asset for asset in lab_run.assets if asset.kind == "metrics"]
    assert metrics.load()[0]["loss"] == 0.5
    (attempt,) = lab_run.execution_history
    assert attempt["commands"][0]["exit_code"] == 0
    assert attempt["tasks"] == {"succeeded": 3}
    assert all(asset.size == len(asset.read_bytes()) for asset in lab_run.assets)
    assert not list(lab.workspace().fsck().findings)


def test_each_worker_has_a_file_of_its_own_that_the_end_lists(lab, lab_run):
    workflow(
        (tasks.same_name, {"name": "one"}), (tasks.same_name, {"name": "two", "depends_on": ["one"]})
    ).execute_sync(run=lab_run, check=True)

    folder = lab.folder / RUN / "executions"
    files = {f"1/{path.name}": path.stat().st_size for path in (folder / "1").iterdir()}
    assert files
    assert all(name.startswith("1/w-") for name in files)
    folded = lab.document(f"{RUN}/executions/1.end.json")["folded"]
    assert folded == {**files, "1.jsonl": (folder / "1.jsonl").stat().st_size}


def test_two_tasks_of_one_name_are_kept_apart(lab, lab_run):
    """The second does not take the first one's place."""
    chain = [(tasks.same_name, {"name": name, "depends_on": [before] if before else []}) for name, before in CHAIN]
    workflow(*chain).execute_sync(run=lab_run, check=True)

    artifacts = {asset.producer.task: asset for asset in lab_run.assets if asset.kind == "artifact"}
    assert {task: asset.load() for task, asset in artifacts.items()} == {"one": "one", "two": "two", "three": "three"}
    assert artifacts["one"].key == f"{RUN}/artifacts/out.json"
    assert artifacts["three"].key == f"{RUN}/artifacts/three/out.json"
    logs = {asset.producer.task: asset.load() for asset in lab_run.assets if asset.kind == "log"}
    assert logs == {"one": "one\n", "two": "two\n", "three": "three\n"}
    fsck_is_silent(lab)


CHAIN = [("one", None), ("two", "one"), ("three", "two")]


@pytest.mark.parametrize("how", ["raise", "kill"])
def test_no_retry_fails_for_what_the_ones_before_it_left(lab, lab_exp, how):
    run = lab_exp.Run({"fails": 3, "how": how}, id="one")
    spec = workflow(
        (tasks.stubborn, {"retries": 3, "backoff": 0}),
        (tasks.find_state, {"depends_on": ["stubborn"]}),
    )
    result = spec.execute_sync(run=run, check=True)

    assert result.outputs["stubborn"] == result.tasks["stubborn"].retries == 3
    assert result.outputs["find_state"] == ({"retry": 3}, {3})
    assert run.results == {"try3": 1}
    assert names(run, "artifact") == ["large.bin", "state.json"]
    assert run.asset("state.json").load() == {"retry": 3}
    logs = "".join(asset.load() for asset in run.assets if asset.kind == "log")
    assert sorted(logs.splitlines()) == ["try 0", "try 1", "try 2", "try 3"]
    assert names(run, "error_trace") == [
        "tasks/stubborn/error-trace",
        "tasks/stubborn/error-trace-1",
        "tasks/stubborn/error-trace-2",
    ]
    fsck_is_silent(lab)


def test_a_failed_task_keeps_what_it_recorded(lab, lab_run):
    result = workflow(tasks.failing).execute_sync(run=lab_run)

    assert isinstance(result.tasks["failing"].error, ValueError)
    assert lab_run.results == {"before": 1}
    assert lab_run.logs["failing"].text() == "try 0\n"
    trace = lab_run.asset("tasks/failing/error-trace").load()
    assert 'raise ValueError("not converged")' in trace
    assert "process_tasks.py" in trace
    assert not list(lab.workspace().fsck().findings)


def test_a_worker_that_is_killed_fails_its_task_and_no_other(lab, lab_run):
    result = workflow(
        tasks.dying,
        (tasks.same_name, {"name": "beside"}),
        (tasks.same_name, {"name": "after", "depends_on": ["beside"]}),
        (tasks.total, {"depends_on": ["dying"]}),
    ).execute_sync(run=lab_run)

    error = result.tasks["dying"].error
    assert isinstance(error, WorkerDiedError)
    assert result.by_status("succeeded") == ("beside", "after")
    assert result.tasks["total"].status == "skipped"
    assert lab_run.results == {"last": "words"}
    assert lab_run.logs["dying"].text() == "last words\n"
    (attempt,) = lab_run.execution_history
    assert attempt["error"]["type"].endswith("WorkerDiedError")
    assert attempt["error"]["task"] == "dying"
    assert all(asset.size == len(asset.read_bytes()) for asset in lab_run.assets)
    fsck_is_silent(lab)


def test_a_worker_that_takes_too_long_is_killed_and_its_records_are_kept(lab, lab_exp, tmp_path, clock):
    mark = tmp_path / "mark"
    run = lab_exp.Run({"mark": str(mark)}, id="one")
    with clock.skipping(mark):
        result = workflow((tasks.endless, {"timeout": LIMIT})).execute_sync(run=run)

    assert isinstance(result.tasks["endless"].error, TaskTimeoutError)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)
    assert run.results == {"endless": 1}
    assert run.logs["endless"].text() == "begun\n"
    fsck_is_silent(lab)


def test_mapped_tasks_and_resume(lab_run):
    spec = workflow(tasks.numbers, (tasks.square, {"map_over": "numbers"}), (tasks.total, {"depends_on": ["square"]}))
    result = spec.execute_sync(run=lab_run, check=True)

    assert result.outputs["total"] == 30
    assert lab_run.results == {"square0": 1, "square1": 4, "square2": 9, "square3": 16}
    again = spec.execute_sync(run=lab_run, resume=True)
    assert again.executed == ()
    assert again.outputs["total"] == 30
    assert not Path(lab_run.asset("execution-state").path.parent, "2").exists()  # no worker was started


def test_what_cannot_travel_says_so(lab_run):
    result = workflow((lambda ctx: 1, {"name": "nameless", "retries": 3})).execute_sync(run=lab_run)

    outcome = result.tasks["nameless"]
    assert isinstance(outcome.error, NotPicklableError)
    assert outcome.retries == 0
    assert lab_run.status == "failed"


def test_without_a_run_the_helpers_are_harmless():
    assert workflow(tasks.same_name).execute_sync(check=True).outputs["same_name"] == "same_name"
