"""Totals, descriptions of a workspace, and changes of many runs."""

from __future__ import annotations

import os
from collections import Counter, defaultdict

import pytest

import molexp as me


@pytest.fixture
def metals(ws):
    for name in ("cu", "ag"):
        exp = ws.Project("metals").Experiment(name)
        for number in range(3):
            with exp.Run({"n": number}, id=f"{name}-{number}").start() as ctx:
                ctx.artifact.save("data.bin", b"x" * 100)
        exp.Run(id=f"{name}-waits")
    ws.run("cu-0").archive()
    ws.run("cu-1").delete()
    ws.Project("empty").Experiment("nothing")
    return ws


def test_totals_count_runs_by_status_without_archived_and_deleted_ones(metals):
    ag, cu = metals.catalog.totals()
    assert (ag.path, ag.runs, ag.statuses, ag.archived) == ("metals/ag", 4, {"pending": 1, "succeeded": 3}, 0)
    assert (cu.path, cu.runs, cu.statuses, cu.archived) == ("metals/cu", 2, {"pending": 1, "succeeded": 1}, 1)
    assert ag.size >= 300
    assert ag.newest == metals.run("ag-waits").created_at
    assert metals.catalog.totals(project="empty") == []


def test_data_of_a_project_has_totals_of_its_own(metals, tmp_path):
    file = tmp_path / "reference.csv"
    file.write_bytes(b"x" * 1000)
    metals.project("metals").data_assets.import_asset("reference", file)
    first = metals.catalog.totals(project="metals")[0]
    assert (first.path, first.runs, first.size) == ("metals", 0, 1000)
    assert first.to_dict()["path"] == "metals"


def counted(ws):
    """Count runs by status, archived ones, and bytes of assets, by reading all of them."""
    runs: defaultdict[str, Counter[str]] = defaultdict(Counter)
    sizes: Counter[str] = Counter()
    for row in ws.catalog.runs("archived == false"):
        runs[f"{row.project}/{row.experiment}"][str(row.status)] += 1
    for row in ws.catalog.runs("archived == true"):
        runs[f"{row.project}/{row.experiment}"]["archived"] += 1
    for asset in ws.catalog.assets():
        sizes["/".join(asset.scope.split("/")[:2])] += asset.size or 0
    return {path: (dict(runs[path]), sizes[path]) for path in runs.keys() | sizes.keys()}


def test_totals_are_those_of_every_run_and_asset_whatever_was_done(place, metals, tmp_path, monkeypatch):
    file = tmp_path / "reference.csv"
    for scope in (metals, metals.project("metals"), metals.project("metals").experiment("ag")):
        file.write_text("x" * 1000)
        scope.data_assets.import_asset("reference", file)
    with metals.run("ag-0").start() as ctx:
        ctx.artifact.save("more.bin", b"x" * 5000)
    with pytest.raises(ZeroDivisionError), metals.run("ag-waits").start():
        1 / 0  # noqa: B018 - it fails
    metals.run("ag-1").archive()
    metals.run("ag-2").delete()
    metals.run("cu-0").unarchive()
    metals.run("cu-2").cancel()

    for ws in (metals, place.load()):
        totals = {one.path: one for one in ws.catalog.totals()}
        archived = {path: {"archived": one.archived} if one.archived else {} for path, one in totals.items()}
        found = {path: ({**one.statuses, **archived[path]}, one.size) for path, one in totals.items()}
        assert found == counted(ws)
        statuses = sum((Counter(one.statuses) for one in totals.values()), Counter())
        assert ws.catalog.run_pages().statuses == statuses
        both = statuses + Counter(str(row.status) for row in ws.catalog.runs("archived == true"))
        assert ws.catalog.run_pages(archived=True).statuses == both
        assert ws.catalog.verify().ok
    metals.catalog.rebuild()
    assert {one.path: one for one in metals.catalog.totals()} == totals


def test_totals_follow_what_others_do(place, metals):
    assert metals.catalog.totals(project="metals")[1].runs == 2
    place.load().project("metals").experiment("cu").Run(id="more")
    assert metals.catalog.totals(project="metals")[1].runs == 3


def test_a_description_of_a_workspace_says_what_is_in_it(metals):
    found = me.describe_workspace(metals)
    assert (found["url"], found["id"], found["schema"]) == (metals.url, metals.id, 1)
    assert (found["projects"], found["experiments"], found["runs"], found["archived"]) == (2, 3, 6, 1)
    assert found["statuses"] == {"pending": 2, "succeeded": 4}
    assert found["newest"]["path"] == "metals/ag/ag-waits"
    assert (found["writers"], found["unreadable"]) == ([], {})


def test_a_description_names_who_executes_runs_now(metals):
    exp = metals.project("metals").experiment("ag")
    with exp.Run(id="one").start(), exp.Run(id="two").start():
        (writer,) = me.describe_workspace(metals)["writers"]
    assert writer["pid"] == os.getpid()
    assert writer["runs"] == ["metals/ag/one", "metals/ag/two"]
    assert writer["since"]
    assert me.describe_workspace(metals)["writers"] == []


def test_a_run_that_cannot_be_changed_hinders_no_other(metals):
    paths = ["metals/ag/ag-0", "metals/ag/none", "metals/none/ag-0", "ag-1", "metals/ag/AG-1"]
    done = list(me.change_runs(metals, paths, me.Run.archive))
    assert [one.path for one in done] == paths
    assert [type(one.error) for one in done] == [type(None), *[me.NotFoundError] * 3, type(None)]
    assert [metals.run(f"ag-{number}").archived for number in range(3)] == [True, True, False]


def test_many_runs_are_changed_by_several_at_a_time_and_none_twice(place, ws):
    exp = ws.Project("p").Experiment("e")
    runs = exp.runs.create_many([{"n": number} for number in range(70)])
    paths = [run.path for run in runs]
    assert [one.path for one in me.change_runs(ws, paths, lambda run: run.annotate(note="seen"))] == paths
    assert all(one.error is None for one in me.change_runs(ws, paths[:40], me.Run.delete))

    again = place.load()
    assert [len(row.document["notes"]) for row in again.catalog.runs()] == [1] * 30
    assert len(again.project("p").experiment("e").runs) == 30
    assert again.catalog.verify().ok
