"""A run's parameters and its id: fresh and sortable, given, or derived from what it is."""

from __future__ import annotations

import time
from copy import deepcopy
from textwrap import dedent
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import molexp as me
from tests.record.helpers import Place, install


def test_parameters_are_the_experiments_overridden_by_its_own(place, ws):
    exp = ws.Project("metals").Experiment("cu", params={"a": 3.6, "k": {"x": 1, "y": 2}})
    run = exp.Run({"a": 3.7, "k": {"x": 5}, "b": 1}, id="one")

    assert run.parameters == {"a": 3.7, "k": {"x": 5}, "b": 1}
    assert run.own_parameters == {"a": 3.7, "k": {"x": 5}, "b": 1}
    found = place.load().run("metals/cu/one")
    assert found.parameters == run.parameters
    document = place.document("projects/metals/experiments/cu/runs/one/run.json")
    assert document["parameters"] == {"a": 3.7, "k": {"x": 5}, "b": 1}


def test_own_parameters_are_stored_beside_the_merged(place, exp):
    exp.Run({"b": 1}, id="one")

    document = place.document("projects/metals/experiments/cu/runs/one/run.json")
    assert document["own_parameters"] == {"b": 1}
    assert document["parameters"] == {"a": 3.6, "b": 1}


def test_a_run_cannot_change_what_others_see(exp):
    given = {"list": [1]}
    run = exp.Run(given, id="one")
    given["list"].append(2)
    run.parameters["list"].append(3)

    assert run.parameters["list"] == [1]


def test_without_an_id_it_is_always_a_new_run(exp):
    runs = [exp.Run({"b": 1}) for _ in range(5)]

    assert len({run.id for run in runs}) == 5
    assert len(exp.runs) == 5


def test_fresh_ids_sort_by_time(exp):
    ids = []
    for _ in range(20):
        ids.append(exp.Run().id)
        if len(ids) == 10:
            time.sleep(0.002)

    assert ids == sorted(ids)
    assert [run.id for run in exp.runs] == ids
    assert ids[0].startswith(time.strftime("20"))


def test_replicas_are_told_apart(exp):
    first, second = exp.derived_run({"b": 1}), exp.derived_run({"b": 1}, replica=1)

    assert first != second
    assert (first.replica, second.replica) == (0, 1)


# --------------------------------------------------------------------------------------------------------------- derived


def test_a_derived_run_is_found_again(exp):
    first = exp.derived_run({"b": 1, "c": [1, 2]})

    assert exp.derived_run({"c": [1, 2], "b": 1.0}) == first
    assert exp.derived_run({"b": 2, "c": [1, 2]}) != first
    assert exp.derived_run({"b": True, "c": [1, 2]}) != first


def test_its_id_depends_on_project_experiment_and_merged_parameters(ws):
    cu = ws.Project("metals").Experiment("cu", params={"a": 1})
    ids = {
        cu.derived_run().id,
        cu.derived_run({"a": 2}).id,
        ws.Project("metals").Experiment("ag", params={"a": 1}).derived_run().id,
        ws.Project("alloys").Experiment("cu", params={"a": 1}).derived_run().id,
    }

    assert len(ids) == 4


def test_the_configuration_counts_less_the_reserved_keys(exp):
    plain = exp.derived_run({"b": 1})

    assert exp.derived_run({"b": 1}, overrides={"solver.tol": 1e-9}).id != plain.id


def test_laptop_to_cluster_keeps_the_id(ws):
    ids = []
    for number, overrides in enumerate((None, {"executor": "slurm", "resources.cpus": 8, "scheduler.queue": "long"})):
        exp = me.Workspace(f"memory://cluster-{number}").Project("metals").Experiment("cu")
        ids.append(exp.derived_run({"b": 1}, overrides=overrides).id)

    assert ids[0] == ids[1]


def test_its_id_is_the_same_in_every_process(interpreter, tmp_path):
    """The id does not depend on the hash seed, the order of keys, the folder."""
    code = """
        import os, molexp as me
        exp = me.Workspace(os.environ["LAB"] + os.environ["N"]).Project("metals").Experiment("cu", params={"a": 3.6})
        print(exp.derived_run(eval(os.environ["P"])).id)
    """
    children = [
        interpreter(code, N="1", P="{'x': 1, 'y': {'p': 0.1, 'q': None}}", PYTHONHASHSEED="1"),
        interpreter(code, N="2", P="{'y': {'q': None, 'p': 0.1}, 'x': 1.0}", PYTHONHASHSEED="2"),
    ]

    ids = {child.out.strip() for child in children}
    assert ids == {"e71ab3db3e6edddf9176"}, children


def test_a_space_with_replicas_becomes_runs_in_order(exp):
    runs = exp.runs.create_many([{"b": 1}, {"b": 2}], replicas=2)

    assert [(run.parameters["b"], run.replica) for run in runs] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert list(exp.runs.create_many([{"b": 1}, {"b": 2}], replicas=2)) == list(runs)
    assert len(exp.runs) == 4


def test_the_scheme_is_recorded_on_each_run(place, exp):
    derived, given = exp.derived_run({"b": 1}), exp.Run(id="one")

    folder = "projects/metals/experiments/cu/runs"
    assert place.document(f"{folder}/{derived.id}/run.json")["id_scheme"] == "molexp-1"
    assert place.document(f"{folder}/{given.id}/run.json")["id_scheme"] is None


SCHEME = """
    from molexp.contracts import RunIdScheme
    from molexp.hookspecs import hookimpl

    class Readable(RunIdScheme):
        name = "readable"
        def derive(self, identity):
            return "-".join(f"{key}-{value}" for key, value in sorted(identity.parameters.items()))

    @hookimpl
    def molexp_register_run_id_schemes():
        return [Readable]
"""


def test_a_scheme_is_chosen_by_the_workspaces_settings(tmp_path, monkeypatch, place):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    plugins = install(tmp_path / "site", "readable-ids", dedent(SCHEME))
    workspace = place.workspace(plugins=plugins)
    exp = workspace.Project("metals").Experiment("cu")
    before = exp.derived_run({"b": 1})
    assert before.id != "b-1", "installing a scheme changes nothing by itself"

    workspace.configure(run_id_scheme="readable")

    assert exp.derived_run({"b": 1}).id == "b-1"
    assert place.load(plugins=plugins).project("metals").experiment("cu").derived_run({"b": 1}).id == "b-1"
    with pytest.raises(me.PluginMissingError, match="readable"):
        place.load().project("metals").experiment("cu").derived_run({"b": 1})
    assert place.load().run(before.path).id == before.id


# --------------------------------------------------------------------------------------------------------- configuration


def test_overrides_are_resolved_and_stored_with_the_run(place, exp):
    run = exp.Run(id="one", overrides={"solver.tol": 1e-9, "solver.steps": 10, "device": "cpu"})
    config = {"solver": {"tol": 1e-9, "steps": 10}, "device": "cpu"}

    assert run.config == place.load().run("metals/cu/one").config == config
    with run.start() as ctx:
        assert ctx.config == config
        assert ctx.params == {"a": 3.6}
    document = place.document("projects/metals/experiments/cu/runs/one/run.json")
    assert document["config"] == config
    assert document["config_hash"] != exp.Run(id="two").to_dict()["config_hash"]


def test_the_configuration_is_always_a_mapping(run):
    assert run.config == {}
    with run.start() as ctx:
        assert ctx.config == {}


@pytest.mark.parametrize("overrides", [{"a": 1, "a.b": 2}, {"x": float("nan")}])
def test_overrides_that_make_no_sense_are_told_and_nothing_is_written(place, exp, overrides):
    before = place.everything()
    with pytest.raises(ValueError, match=r"a\.b|overrides\.x"):
        exp.Run(id="one", overrides=overrides)
    assert place.everything() == before


def test_a_profile_that_cannot_be_resolved_is_told_and_nothing_is_written(place, exp):
    before = place.everything()
    with pytest.raises(me.MolexpError, match="'gpu'"):
        exp.Run(id="one", profile="gpu")
    assert place.everything() == before


def test_a_scheme_that_derives_one_id_for_different_runs_is_found_out(tmp_path, monkeypatch, place):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    collides = SCHEME.replace('"readable"', '"same"').replace("return ", 'return "same" or ', 1)
    plugins = install(tmp_path / "site", "colliding-ids", dedent(collides))
    workspace = place.workspace(plugins=plugins)
    workspace.configure(run_id_scheme="same")
    exp = workspace.Project("metals").Experiment("cu")
    first = exp.derived_run({"a": 1})

    assert exp.derived_run({"a": 1.0}).path == first.path
    for another in ({"parameters": {"a": 2}}, {"parameters": {"a": 1}, "replica": 1}):
        with pytest.raises(me.ConflictError, match="scheme 'same' derives one id for both"):
            exp.derived_run(**another)
    with pytest.raises(me.ConflictError, match="scheme 'same'"):
        exp.runs.create_many([{"a": 5}, {"a": 6}])
    with pytest.raises(me.ConflictError, match="scheme 'same'"):
        workspace.Project("metals").Experiment("fe").runs.create_many([{"a": 5}, {"a": 6}])


@pytest.mark.parametrize("key", ["$ref", "$float", "$dict", "$"])
def test_names_that_begin_with_a_dollar_are_what_was_given(place, exp, key):
    parameters = {"schema": {key: "#/mol"}}
    (swept,) = exp.runs.create_many([parameters])
    derived, own = exp.derived_run(parameters), exp.Run(parameters)

    assert swept.path == derived.path
    assert derived.id == exp.derived_id(parameters)
    for run in (derived, own):
        assert place.load().run(run.path).parameters["schema"] == {key: "#/mol"}
        with run.start() as ctx:
            assert ctx.params["schema"] == {key: "#/mol"}


def spoil(value):
    """Change everything that can be changed in a value, however deep."""
    if isinstance(value, dict):
        for item in value.values():
            spoil(item)
        value["spoilt"] = value.pop(next(iter(value)), None) if value else True
    elif isinstance(value, list):
        for item in value:
            spoil(item)
        value.append("spoilt")


VALUES = st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(shared=VALUES, own=VALUES)
@settings(max_examples=30)
def test_what_a_block_does_to_what_it_is_given_stays_in_the_block(shared, own):
    place = Place(f"memory://spoilt-{uuid4()}")
    exp = place.workspace().Project("metals").Experiment("cu", params={"shared": shared})
    points = me.grid(own=[own], n=[1, 2])
    before = [{"shared": deepcopy(shared), **deepcopy(point)} for point in points]
    runs = exp.runs.create_many(points)
    for run, parameters in zip(runs, before, strict=True):
        with run.start() as ctx:
            assert ctx.params == parameters
            for value in (ctx.params, ctx.config, run.parameters, run.own_parameters, exp.params, points):
                spoil(value)

    for run, parameters in zip(runs, before, strict=True):
        assert run.parameters == parameters
        assert place.load().run(run.path).parameters == parameters
        assert exp.run(run.id).start().params == parameters
