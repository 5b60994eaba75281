"""A strict reader of the interface tries these."""

from __future__ import annotations

import pytest

import molexp as me


def test_an_update_changes_what_is_given_and_keeps_the_rest(place):
    project = place.workspace().Project("p")
    project.Experiment("e", params={"a": 1}, space=[{"i": 1}], replicas=3, workflow_source="train.py")
    key = "projects/p/experiments/e/experiment.json"
    place.change(key, lab_book="p. 12")
    first = place.document(key)

    project.Experiment("e", params={"a": 2}, update=True)

    second = place.document("projects/p/experiments/e/experiment.2.json")
    assert (second["params"], second["revision"], second["lab_book"]) == ({"a": 2}, 2, "p. 12")
    for name in ("space", "replicas", "workflow_source", "name"):
        assert second[name] == first[name], name


def test_an_update_of_the_space_alone_is_a_revision(place):
    project = place.workspace().Project("p")
    project.Experiment("e", params={"a": 1}, space=[{"i": 1}])
    project.Experiment("e", space=[{"i": 1}, {"i": 2}], update=True)
    project.Experiment("e", space=[{"i": 1}, {"i": 2}], update=True)

    again = place.workspace().project("p").experiment("e")
    assert (again.space, again.params, again.revision) == ([{"i": 1}, {"i": 2}], {"a": 1}, 2)


@pytest.mark.parametrize("level", ["projects/p/project.json", "projects/p/experiments/e/experiment.json"])
def test_nothing_is_created_below_what_a_newer_version_made(place, level):
    place.workspace().Project("p").Experiment("e").Run(id="one")
    place.change(level, schema=99)
    before = place.everything()
    project = place.workspace().project("p")

    with pytest.raises(me.SchemaError, match=level):
        if level.endswith("project.json"):
            project.Experiment("new")
        else:
            project.experiment("e").Run(id="new")

    assert place.everything() == before


def test_a_sweep_with_a_bad_point_creates_no_run(exp):
    with pytest.raises(me.SerializationError, match=r"space\[1\]\.z"):
        exp.runs.create_many([{"z": 1}, {"z": float("nan")}])

    assert list(exp.runs) == []


def test_where_a_run_is_executed_makes_no_other_run_of_it(exp):
    exp.Run(id="one", overrides={"executor": "slurm", "basis": "def2"})

    assert exp.Run(id="one", overrides={"executor": "local", "basis": "def2"}).config["executor"] == "slurm"
    with pytest.raises(me.ConflictError):
        exp.Run(id="one", overrides={"executor": "slurm", "basis": "sto-3g"})


def test_a_column_that_no_run_has_is_named_with_the_nearest(exp):
    with exp.Run(id="one").start() as ctx:
        ctx.set_result("emin", 1.0)
    catalog = exp.project.workspace.catalog

    with pytest.raises(ValueError, match=r"no.*'results.emni'.*'results.emin'|No run.*results\.emin"):
        catalog.runs(sort="results.emni")
    with pytest.raises(ValueError, match="limit"):
        catalog.runs(limit=-1)
    with pytest.raises(ValueError, match="limit"):
        catalog.assets(limit=-1)


def test_sorting_by_a_result_that_nobody_has_yet_is_no_mistake(exp):
    exp.Run(id="one")

    assert [row.id for row in exp.project.workspace.catalog.runs(sort="-results.emin")] == ["one"]


def test_a_log_that_is_not_there_is_like_any_key_that_is_not_there(run):
    with run.start() as ctx:
        ctx.log("relax").append("a line")

    assert "relax" in run.logs
    assert "scf" not in run.logs
    assert run.logs.get("scf") is None
    with pytest.raises(KeyError, match="relax"):
        run.logs["relx"]


@pytest.mark.parametrize("mode", ["w", "a", "r+b", "rt"])
def test_an_asset_is_only_read(run, mode):
    with run.start() as ctx:
        asset = ctx.artifact.save("a.txt", "text")

    with pytest.raises(ValueError, match="does not change"):
        asset.open(mode)


def test_a_time_to_live_brings_a_beat_that_fits_it(monkeypatch, exp):
    monkeypatch.setenv("MOLEXP_LEASE_TTL", "3")
    with exp.Run(id="one").start():
        pass
    home = exp.project.workspace._session
    usual = home.store.lease_ttl / home.store.lease_beat  # six beats, on files
    assert home.lease == {"beat": 3 / usual, "ttl": 3.0}


def test_a_table_of_nothing_has_its_columns(exp):
    frame = exp.project.workspace.catalog.runs(status="failed").to_pandas()

    assert list(frame[["id", "status", "created_at"]].columns) == ["id", "status", "created_at"]


def test_a_table_keeps_integers_beside_gaps(exp):
    for number, parameters in enumerate(({"seed": 4873214862074861313, "n": 1}, {})):
        exp.Run(parameters, id=f"r{number}")
    frame = exp.project.workspace.catalog.runs(sort="id").to_pandas()

    assert frame["params.seed"][0] == 4873214862074861313
    assert frame["params.seed"].isna().tolist() == [False, True]
    assert str(frame["params.n"].dtype) == "Int64"


def test_a_program_that_is_not_there_is_an_error_that_says_what_to_look_at(run):
    with run.start() as ctx, pytest.raises(FileNotFoundError) as caught:
        ctx.shell(["no-such-program"])

    assert "PATH" in "".join(caught.value.__notes__)
