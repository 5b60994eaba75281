"""Handles travel to other processes: by URL and path, never with secrets or with what belongs to a process."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

import molexp as me


def track(run: me.Run) -> str:
    """Do what a worker of a pool does with a run that it was sent."""
    with run.start() as ctx:
        ctx.set_result("square", ctx.params["x"] ** 2)
    return str(run.status)


def test_runs_are_sent_to_a_pool_of_processes(tmp_path):
    exp = me.Workspace(tmp_path).Project("p").Experiment("e", space=[{"x": x} for x in range(4)])
    runs = exp.runs.create_many(exp.space or ())

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(track, runs)) == ["succeeded"] * 4

    assert [run.results for run in runs] == [{"square": x * x} for x in range(4)]


def test_every_handle_is_equal_after_the_journey(exp):
    run = exp.Run({"b": 1}, id="one")
    handles = [exp.project.workspace, exp.project, exp, run]
    if exp._session.store.url.startswith("memory:") and "append" not in exp._session.store.capabilities:
        return  # the option is not part of the URL

    assert pickle.loads(pickle.dumps(handles)) == handles


def test_what_reads_goes_on_reading_after_the_journey(lab_run, tmp_path):
    ws = lab_run.experiment.project.workspace
    (tmp_path / "table.csv").write_text("1,2")
    ws.data_assets.import_asset("table", tmp_path / "table.csv")
    catalog, data, projects = pickle.loads(pickle.dumps((ws.catalog, ws.data_assets, ws.projects)))

    assert [row.path for row in catalog.runs()] == [lab_run.path]
    answers = [catalog.runs(), catalog.assets(), catalog.totals()]
    for answer, there in zip(answers, pickle.loads(pickle.dumps(answers)), strict=True):
        assert there.to_dicts() == answer.to_dicts() != []
    assert data["table"].read_bytes() == b"1,2"
    assert projects.ids() == ["metals"]


@pytest.mark.parametrize("what", ["ctx", "ctx.log('train')", "ctx.metrics", "ctx.artifact", "{'deep': [ctx]}"])
@pytest.mark.parametrize("travel", [pickle.dumps, copy.deepcopy])
def test_what_records_stays_in_its_process_and_says_what_to_send(lab_run, what, travel):
    with lab_run.start() as ctx:
        ctx.log("train").append("one")
        ctx.metrics.log(loss=1)
        with pytest.raises(TypeError, match=r"metals/cu/.* Send what is needed of it, such as ctx.params or ctx.run"):
            travel(eval(what, {"ctx": ctx}))
        assert pickle.loads(pickle.dumps((ctx.run, ctx.params))) == (ctx.run, ctx.params)


def test_an_asset_can_be_read_after_the_journey(lab_run):
    with lab_run.start() as ctx:
        asset = ctx.artifact.save("volumes.json", [1, 2])

    assert pickle.loads(pickle.dumps(asset)).load() == [1, 2]


def test_a_space_that_can_be_iterated_once_stays_where_it_is(lab_exp):
    exp = lab_exp.project.Experiment("once", space=({"x": x} for x in range(2)))

    assert pickle.loads(pickle.dumps(exp)).space is None
    assert [point["x"] for point in exp.space or ()] == [0, 1]


def test_a_read_only_workspace_stays_one(lab_run, lab):
    there = pickle.loads(pickle.dumps(lab.load(read_only=True)))

    assert there.read_only
    assert [run.id for run in there.project("metals").experiment("cu").runs] == ["one"]
    assert isinstance(lab_run._session.store.local_path("x"), Path)
