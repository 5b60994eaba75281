"""The catalog answers "runs where ...", "assets where ...", with the names that the record has."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import molexp as me


@pytest.fixture
def lab_of_runs(ws, tmp_path):
    """Runs of every status, with parameters, results, tags and assets."""
    cu = ws.Project("metals").Experiment("cu", params={"a": 3.6})
    ag = ws.Project("metals").Experiment("ag")
    other = ws.Project("alloys").Experiment("cu")
    for number, loss in enumerate((0.3, 0.1, 0.2)):
        with cu.Run({"lr": 10.0**-number, "opt": {"name": "adam", "beta": number}}, id=f"r{number}").start() as ctx:
            ctx.set_result("loss", loss)
            ctx.set_result("nested", {"deep": number})
            ctx.artifact.save("model.json", {"n": number}, tags=["best"] if number == 1 else [])
            ctx.log("train").append("line")
    with pytest.raises(ZeroDivisionError), ag.Run({"lr": 1}, id="bad").start():
        1 / 0  # noqa: B018
    other.Run({"lr": 1}, id="new")
    cu.run("r1").annotate(tags=["best", "paper"])
    cu.run("r2").annotate(tags=["paper"])
    (tmp_path / "ref.txt").write_text("reference")
    cu.data_assets.import_asset("reference", tmp_path / "ref.txt")
    return ws


def ids(rows):
    return [row.id for row in rows]


# ----------------------------------------------------------------------------------------------------------------- runs


RUNS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["r0", "r1", "r2", "bad", "new"]),
    ({"project": "metals"}, ["r0", "r1", "r2", "bad"]),
    ({"experiment": "cu"}, ["r0", "r1", "r2", "new"]),
    ({"experiment": "metals/cu"}, ["r0", "r1", "r2"]),
    ({"project": "alloys", "experiment": "cu"}, ["new"]),
    ({"status": "succeeded"}, ["r0", "r1", "r2"]),
    ({"status": ["failed", "pending"]}, ["bad", "new"]),
    ({"status": me.RunStatus.FAILED}, ["bad"]),
    ({"status": []}, []),
    ({"params": {"lr": 1}}, ["r0", "bad", "new"]),
    ({"params": {"lr": 1.0, "a": 3.6}}, ["r0"]),
    ({"params": {"opt.name": "adam"}}, ["r0", "r1", "r2"]),
    ({"params": {"opt": {"beta": 1, "name": "adam"}}}, ["r1"]),
    ({"params": {"nowhere": None}}, []),
    ({"tags": ["paper"]}, ["r1", "r2"]),
    ({"tags": ["paper", "best"]}, ["r1"]),
    ({"tags": "best"}, ["r1"]),
    ({"project": "nowhere"}, []),
    ({"limit": 2}, ["r0", "r1"]),
    ({"limit": 0}, []),
    ({"sort": "results.loss"}, ["r1", "r2", "r0", "bad", "new"]),
    ({"sort": "-results.loss"}, ["r0", "r2", "r1", "bad", "new"]),
    ({"sort": "results.loss", "limit": 1}, ["r1"]),
    ({"sort": "params.lr", "status": "succeeded"}, ["r2", "r1", "r0"]),
    ({"sort": "-parameters.lr", "status": "succeeded"}, ["r0", "r1", "r2"]),
    ({"sort": "id"}, ["bad", "new", "r0", "r1", "r2"]),
    ({"sort": "-created_at"}, ["new", "bad", "r2", "r1", "r0"]),
]


def test_runs_that_match_all_of_what_is_given(lab_of_runs, place):
    for ws in (lab_of_runs, place.load()):
        assert [(filters, ids(ws.catalog.runs(**filters))) for filters, _ in RUNS] == RUNS


def test_an_unknown_status_is_told_with_the_nearest(ws):
    with pytest.raises(ValueError, match=r"Unknown status 'suceeded'.*Did you mean 'succeeded'"):
        ws.catalog.runs(status="suceeded")
    with pytest.raises(ValueError, match="'done'"):
        ws.catalog.runs(status=["failed", "done"])


def test_an_unknown_filter_is_an_error(ws):
    with pytest.raises(TypeError, match="statuses"):
        ws.catalog.runs(statuses="failed")


def test_rows_have_the_names_of_run_json(lab_of_runs, place):
    (row,) = lab_of_runs.catalog.runs(params={"lr": 0.1})
    document = place.document("projects/metals/experiments/cu/runs/r1/run.json")

    assert row.path == "metals/cu/r1"
    assert (row.id, row.project, row.experiment) == ("r1", "metals", "cu")
    assert row.status is me.RunStatus.SUCCEEDED
    assert row.parameters == row.params == document["parameters"]
    assert row.results == document["results"] == {"loss": 0.1, "nested": {"deep": 1}}
    assert (row.replica, row.profile, row.config, row.workflow) == (0, None, {}, None)
    assert row.created_at == document["created_at"]
    assert row.provenance == document["provenance"]
    assert row.tags == ("best", "paper")
    assert list(row.execution_history) == document["execution_history"]


def test_what_you_do_to_the_origin_of_one_run_changes_no_other(ws, exp):
    for _ in range(2):
        with exp.Run().start():
            pass
    one, two = ws.catalog.runs()
    known = copy.deepcopy(ws.run(two.path).provenance)
    assert known
    assert known == two.origin == one.origin
    for given in (
        one.origin,
        one["provenance.packages"],
        ws.run(one.path).provenance,
        me.describe_run(ws.run(one.path))["origin"],
    ):
        given.clear()
    assert two.origin == ws.run(two.path).provenance == known


def test_a_row_is_a_snapshot(lab_of_runs):
    (row,) = lab_of_runs.catalog.runs(status="pending")
    with lab_of_runs.run(row.path).start():
        pass

    assert row.status == "pending"
    assert lab_of_runs.catalog.runs(project="alloys")[0].status == "succeeded"
    with pytest.raises(AttributeError):
        row.status = "failed"


def test_a_row_leads_to_its_run(lab_of_runs):
    row = lab_of_runs.catalog.runs()[0]

    assert lab_of_runs.run(row.path).results == row.results


def test_rows_are_a_sequence(lab_of_runs):
    rows = lab_of_runs.catalog.runs()

    assert len(rows) == 5
    assert ids(rows[1:3]) == ["r1", "r2"]
    assert rows[-1].id == "new"
    assert rows == list(rows)
    assert "5 rows" in repr(rows) or "RunRow" in repr(rows)
    assert not lab_of_runs.catalog.runs(project="nowhere")


def test_rows_as_dicts(lab_of_runs):
    found = lab_of_runs.catalog.runs(status="succeeded").to_dicts()

    assert [row["results"]["loss"] for row in found] == [0.3, 0.1, 0.2]
    assert found[0]["parameters"]["opt"] == {"name": "adam", "beta": 0}


def test_rows_as_a_frame(lab_of_runs):
    pandas = pytest.importorskip("pandas")
    frame = lab_of_runs.catalog.runs().to_pandas()

    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == 5
    assert {
        "id",
        "path",
        "status",
        "params.lr",
        "params.a",
        "params.opt.name",
        "results.loss",
        "results.nested.deep",
    } <= set(frame)
    assert list(frame["status"][:3]) == ["succeeded"] * 3
    assert frame["results.loss"].dropna().tolist() == [0.3, 0.1, 0.2]
    assert frame.set_index("id")["params.lr"]["r1"] == 0.1
    assert frame["tags"][1] == ["best", "paper"]


def test_no_rows_are_an_empty_frame(ws):
    pytest.importorskip("pandas")

    assert len(ws.materialize().catalog.runs().to_pandas()) == 0


def test_rows_as_a_table_for_jupyter(lab_of_runs):
    lab_of_runs.project("metals").experiment("cu").Run({"<script>": "<b>"}, id="evil")
    html = lab_of_runs.catalog.runs()._repr_html_()

    assert ">params.lr</th>" in html
    assert "● succeeded</span></td>" in html
    assert "<script>" not in html
    assert "<b>" not in html


def test_a_long_table_says_how_much_more_there_is(ws):
    exp = ws.Project("metals").Experiment("cu")
    for _ in range(52):
        exp.Run()

    html = ws.catalog.runs()._repr_html_()
    assert html.count("<tr>") == 51
    assert "2 more rows" in html


def test_nan_and_references_come_back_in_rows(place, exp):
    with exp.Run(id="one").start() as ctx:
        ctx.set_result("loss", float("nan"))
        ctx.set_result("best", float("inf"))

    row = place.load().catalog.runs()[0]
    assert (repr(row.results["loss"]), row.results["best"]) == ("nan", float("inf"))


# --------------------------------------------------------------------------------------------------------------- assets


ASSETS: list[tuple[dict[str, Any], int]] = [
    ({}, 8),
    ({"kind": "artifact"}, 3),
    ({"kind": "log"}, 3),
    ({"kind": "data"}, 1),
    ({"kind": "error_trace"}, 1),
    ({"kind": "nowhere"}, 0),
    ({"name": "model.json"}, 3),
    ({"name": "model.json", "kind": "log"}, 0),
    ({"scope": "metals/cu/r1"}, 2),
    ({"scope": "metals/cu"}, 1),
    ({"scope": ""}, 0),
    ({"producer": "metals/cu/r1"}, 2),
    ({"producer": "metals/ag/bad"}, 1),
    ({"limit": 3}, 3),
]


def test_assets_that_match_all_of_what_is_given(lab_of_runs, place):
    for ws in (lab_of_runs, place.load()):
        assert [(filters, len(ws.catalog.assets(**filters))) for filters, _ in ASSETS] == ASSETS


def test_the_producer_may_be_the_run(lab_of_runs):
    run = lab_of_runs.run("metals/cu/r1")

    (asset,) = lab_of_runs.catalog.assets(producer=run, kind="artifact")
    assert isinstance(asset, me.ArtifactAsset)
    assert asset == run.asset("model.json")
    assert asset.load() == {"n": 1}
    assert asset.tags == {"best"}


def test_assets_as_a_frame_and_a_table(lab_of_runs):
    pytest.importorskip("pandas")
    assets = lab_of_runs.catalog.assets()
    frame = assets.to_pandas()

    assert {
        "id",
        "name",
        "kind",
        "version",
        "scope",
        "producer",
        "key",
        "size",
        "content_hash",
        "fields.format",
    } <= set(frame)
    assert sorted(frame["kind"].unique()) == ["artifact", "data", "error_trace", "log"]
    assert "model.json" in assets._repr_html_()


def test_only_the_newest_version_of_a_replaced_name(place, run):
    with run.start() as ctx:
        ctx.artifact.save("a.txt", "1")
        ctx.artifact.save("a.txt", "2")

    (asset,) = place.load().catalog.assets()
    assert asset.version == 2


def test_all_versions_of_data_and_payloads_of_all_attempts(ws, exp, run, tmp_path):
    for text in "12":
        (tmp_path / "a.txt").write_text(text)
        exp.data_assets.import_asset("a", tmp_path / "a.txt")
        with run.start() as ctx:
            ctx.artifact.save("a.txt", text)

    assert [(asset.kind, asset.version) for asset in ws.catalog.assets(kind="data")] == [("data", 1), ("data", 2)]
    assert [asset.producer.attempt for asset in ws.catalog.assets(kind="artifact")] == [1, 2]


def test_rows_whose_column_is_no_number_come_last(ws, exp):
    for name, loss in (("a", float("nan")), ("b", 2.0), ("c", None), ("d", 1.0)):
        with exp.Run(id=name).start() as ctx:
            ctx.set_result("loss", loss)

    assert ids(ws.catalog.runs(sort="results.loss")) == ["d", "b", "a", "c"]
    assert ids(ws.catalog.runs(sort="-results.loss")) == ["b", "d", "a", "c"]


def test_the_names_of_fields_are_known_without_reading_runs(lab, lab_exp):
    with lab_exp.Run({"lr": 0.1, "layers": [64, 64], "model": {"Depth": 3}}).start() as ctx:
        ctx.set_result("final loss", 2.0)
        ctx.metrics.log({"val/loss": 1.0})
        ctx.artifact.save("points.json", [1], tags=["good"])
    catalog = lab.load().catalog

    assert {"params.lr", "params.layers", "results.final loss", "metrics.val/loss"} <= {*catalog.fields()}
    assert catalog.fields("LOSS") == ["metrics.val/loss", "results.final loss"]
    assert catalog.fields("depth", limit=1) == ["params.model.Depth"]
    lab_exp.Run({"Größe": 1})
    assert catalog.fields("GRÖSSE") == ["params.Größe"]
    assert not [name for name in catalog.fields() if name.startswith("@") or "layers." in name]
    with pytest.raises(ValueError, match="below 0"):
        catalog.fields(limit=-1)


def test_the_version_changes_when_an_answer_may_and_only_then(lab, lab_exp):
    def version():
        return lab.load().catalog.version()

    seen = [version()]
    run = lab_exp.Run({"n": 1})
    seen.append(version())
    with run.start() as ctx:
        seen.append(version())
        ctx.set_result("loss", 1.0)
        seen.append(version())
    seen.append(version())
    run.annotate(tags=["good"])
    seen.append(version())
    assert len({*seen}) == len(seen)
    assert version() == version() == seen[-1]
