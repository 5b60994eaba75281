"""Profiles: what a profile with overrides amounts to, which file counts, and what a run keeps of it."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import molexp as me
from molexp.scripts import Profiles, find_profiles, parse_override, use_profiles
from tests.record.profile_files import SOLVERS, config, write
from tests.values.strategies import plain_values

# ------------------------------------------------------------------------------------------------------------- resolving


def test_a_profile_is_laid_over_the_defaults(here):
    assert config(here, SOLVERS, "tight") == {"solver": {"tol": 1e-9, "steps": 100}, "device": "cpu"}
    assert (
        config(here, SOLVERS, "plain")
        == config(here, SOLVERS)
        == {
            "solver": {"tol": 1e-3, "steps": 100},
            "device": "cpu",
        }
    )


def test_a_profile_is_laid_over_those_it_extends_from_left_to_right(here):
    text = """
        defaults: {a: 0, b: 0, c: 0, d: 0}
        profiles:
          one: {a: 1, b: 1, c: 1}
          two: {b: 2, c: 2}
          both: {extends: [one, two], c: 3}
    """
    assert config(here, text, "both") == {"a": 1, "b": 2, "c": 3, "d": 0}


def test_lists_are_replaced_and_null_is_a_value(here):
    text = """
        defaults: {layers: [1, 2], solver: {tol: 1}}
        profiles: {other: {layers: [3], solver: null}}
    """
    assert config(here, text, "other") == {"layers": [3], "solver": None}


def test_what_a_profile_replaced_does_not_come_back(here):
    text = """
        defaults: {solver: {tol: 1, steps: 2}}
        profiles:
          none: {solver: off}
          again: {extends: none, solver: {tol: 3}}
    """
    assert config(here, text, "again") == {"solver": {"tol": 3}}


def test_one_that_is_extended_on_two_ways_counts_once_where_it_comes_first(here):
    text = """
        profiles:
          base: {lr: 1, x: 1}
          slow: {extends: base, lr: 0.1}
          wide: {extends: base, width: 8}
          both: {extends: [slow, wide]}
    """
    assert config(here, text, "both") == {"lr": 0.1, "x": 1, "width": 8}


def test_a_ladder_of_profiles_costs_no_more_than_its_steps(here):
    steps = "".join(f"  p{n + 1}: {{extends: [p{n}, p{n}], n: {n}}}\n" for n in range(60))
    assert config(here, f"profiles:\n  p0: {{first: 1}}\n{steps}", "p60") == {"first": 1, "n": 59}


def test_nobody_changes_what_others_resolve(here):
    profiles = Profiles.read(write(here, SOLVERS))
    profiles.resolve("gpu")["solver"]["tol"] = 5
    assert profiles.resolve("gpu", {"solver.steps": 7})["solver"] == {"tol": 1e-9, "steps": 7}
    assert profiles.resolve("gpu")["solver"] == {"tol": 1e-9, "steps": 100}
    assert profiles.names == ("plain", "tight", "gpu")


def test_a_profile_that_cannot_be_resolved_hinders_only_those_that_use_it(here):
    text = "defaults: {a: 1}\nprofiles:\n  good: {b: 2}\n  bad: {extends: godo}\n  worse: {extends: bad}\n  text: no\n"
    assert config(here, text) == {"a": 1}
    assert config(here, text, "good") == {"a": 1, "b": 2}
    for name, words in (("bad", "extends 'godo', .* 'good'"), ("worse", "'bad' extends 'godo'"), ("text", "a mapping")):
        with pytest.raises(me.ProfileError, match=words):
            config(here, text, name)


def test_an_unknown_profile_names_the_nearest(here):
    profiles = Profiles.read(write(here, SOLVERS))
    with pytest.raises(me.ProfileError, match=r"no profile 'gpus'\. Did you mean 'gpu'\?") as caught:
        profiles.resolve("gpus")
    assert caught.value.nearest == ("gpu",)
    with pytest.raises(me.ProfileError, match="It has 'plain', 'tight', 'gpu'"):
        profiles.resolve("cluster")


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
numbers_below_names = st.dictionaries(st.sampled_from("abc"), leaves, max_size=3)
alike = st.dictionaries(st.sampled_from("xyz"), numbers_below_names, max_size=3)
"""Mappings of one shape: where one has a mapping, no other has a plain value."""

mappings = st.dictionaries(st.sampled_from("abc"), plain_values, max_size=4)


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    """Return what a profile amounts to that is laid over defaults."""
    folder = tmp_path_factory.mktemp("merged")

    def merged(base, over):
        return config(folder, json.dumps({"defaults": base, "profiles": {"over": over}}), "over", name="molcfg.json")

    return merged


@given(some=mappings)
def test_merging_with_nothing_changes_nothing(merged, some):
    assert merged(some, {}) == merged({}, some) == merged(some, some) == some


@given(a=alike, b=alike, c=alike)
def test_merging_is_associative_among_mappings_of_one_shape(merged, a, b, c):
    assert merged(merged(a, b), c) == merged(a, merged(b, c))


@given(base=mappings, over=mappings)
def test_what_is_laid_over_wins_and_nothing_else_is_lost(merged, base, over):
    both = merged(base, over)
    assert both.keys() == base.keys() | over.keys()
    assert merged(both, over) == both
    for key, value in over.items():
        if not (isinstance(value, dict) and isinstance(base.get(key), dict)):
            assert both[key] == value
    assert all(both[key] == value for key, value in base.items() if key not in over)


# ------------------------------------------------------------------------------------------------------------- overrides


def test_an_override_sets_a_value_by_its_dotted_name(here):
    assert config(here, SOLVERS, "gpu", {"solver.tol": 0.5})["solver"] == {"tol": 0.5, "steps": 100}
    assert config(here, SOLVERS, "gpu", {"solver": {"kind": "cg"}})["solver"] == {"kind": "cg"}


def test_an_override_of_what_is_not_there_names_the_nearest(here):
    with pytest.raises(me.ProfileError, match=r"'solver\.tol'.*To add it, write '\+solver\.tl'") as caught:
        config(here, SOLVERS, "gpu", {"solver.tl": 0.5})
    assert caught.value.nearest[0] == "solver.tol"


def test_a_plus_adds_what_is_not_there_and_sets_what_is(here):
    added = config(here, SOLVERS, "gpu", {"+solver.kind": "cg", "+mesh.size.x": 3, "+device": "tpu"})
    assert added["solver"] == {"tol": 1e-9, "steps": 100, "kind": "cg"}
    assert (added["mesh"], added["device"]) == ({"size": {"x": 3}}, "tpu")


def test_a_key_with_dots_is_reached_as_it_is_written(here):
    text = """
        defaults:
          a.b: 1
          a: {b: 2, c.d: 3}
          e.f: {g: 4}
    """
    overridden = config(here, text, None, {"a.b": 10, "a.c.d": 30, "e.f.g": 40, "+e.f.h": 50})
    assert overridden == {"a.b": 10, "a": {"b": 2, "c.d": 30}, "e.f": {"g": 40, "h": 50}}


@pytest.mark.parametrize("name", ["+device.name", "+solver.tol.unit", "+solver..x", "+.a"])
def test_an_override_that_leads_nowhere_is_refused(here, name):
    with pytest.raises(me.ProfileError, match=name[1:].replace(".", r"\.")):
        config(here, SOLVERS, "gpu", {name: 1})


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("a.b=1", "a.b", 1),
        ("lr=1e-3", "lr", 0.001),
        ("+new=true", "+new", True),
        ("a=null", "a", None),
        ("a=", "a", None),
        ("a=no", "a", "no"),
        ("a=[1, x, 1e-3]", "a", [1, "x", 0.001]),
        ("a={tol: 1e-9, kind: cg}", "a", {"tol": 1e-9, "kind": "cg"}),
        ("a='1'", "a", "1"),
        ('a="x\\ty"', "a", "x\ty"),
        (" a = two words ", "a", "two words"),
        ("a=x=y", "a", "x=y"),
        ("a=#fff", "a", "#fff"),
        ("a=b: c", "a", "b: c"),
        ("a=*x", "a", "*x"),
    ],
)
def test_an_override_from_a_command_line_is_read_like_yaml(text, name, value):
    found = parse_override(text)
    assert found == (name, value)
    assert type(found[1]) is type(value)


@given(plain_values.filter(lambda value: "\x7f" not in str(value)))
def test_an_override_in_json_comes_back_as_it_was(value):
    assert parse_override(f"a.b={json.dumps(value)}") == ("a.b", value)


@pytest.mark.parametrize(
    "text", ["a", "=1", "+=1", "a=[1", "a={b: 1, b: 2}", "a=.nan", "a=1e999", "a='x", 'a="\\ud800"']
)
def test_an_override_that_cannot_be_read_is_shown(text):
    with pytest.raises(me.ProfileError) as caught:
        parse_override(text)
    assert repr(text) in str(caught.value)


# ----------------------------------------------------------------------------------------------------- which file counts


@pytest.mark.parametrize("name", ["molcfg.yaml", "molcfg.yml", "molcfg.toml", "molcfg.json"])
def test_a_file_beside_the_script_comes_before_one_in_the_current_directory(here, tmp_path, name):
    beside = tmp_path / "beside"
    beside.mkdir()
    assert find_profiles(beside / "script.py", cwd=here) is None
    write(here, json.dumps({"defaults": {"where": "here"}}), "molcfg.json")
    found = find_profiles(beside / "script.py", cwd=here)
    assert found is not None
    assert found.file == str(here / "molcfg.json")
    write(beside, "defaults.where = 'beside'" if name.endswith("toml") else '{"defaults": {"where": "beside"}}', name)
    found = find_profiles(beside / "script.py", cwd=here)
    assert found is not None
    assert (found.file, found.resolve()) == (str(beside / name), {"where": "beside"})


def test_a_file_that_was_given_comes_before_any_other(here):
    write(here, SOLVERS)
    given = write(here, "defaults: {x: 1}", "other.yml")
    found = find_profiles(here / "script.py", given)
    assert found is not None
    assert found.resolve() == {"x": 1}
    with pytest.raises(me.ProfileError, match=r"nowhere\.yaml: there is no such file"):
        find_profiles(here / "script.py", "nowhere.yaml")


def test_two_files_in_one_folder_are_refused(here):
    write(here, SOLVERS)
    write(here, "", "molcfg.toml")
    with pytest.raises(me.ProfileError, match=r"molcfg\.yaml: there is molcfg\.toml beside it.*--config"):
        find_profiles(cwd=here)


# --------------------------------------------------------------------------------------------------------- a run's config


def test_a_run_keeps_its_profile_and_what_it_amounts_to(place, exp, here):
    write(here, SOLVERS)
    run = exp.Run(id="one", profile="gpu", overrides={"solver.steps": 7})
    expected = {"solver": {"tol": 1e-9, "steps": 7}, "device": "cuda"}

    write(here, "defaults: {everything: different}")
    found = place.load().run("metals/cu/one")
    assert (found.profile, found.config) == (run.profile, run.config) == ("gpu", expected)
    document = place.document("projects/metals/experiments/cu/runs/one/run.json")
    assert (document["profile"], document["config"]) == ("gpu", expected)
    assert document["config_hash"] != exp.Run(id="two").to_dict()["config_hash"]


def test_profiles_that_amount_to_the_same_are_the_same_run(exp, here):
    text = """
        defaults: {tol: 1}
        profiles:
          laptop: {tol: 2, executor: local}
          cluster: {tol: 2.0, executor: slurm, resources: {gpus: 4}, scheduler: {queue: long}}
          other: {tol: 3}
    """
    write(here, text)
    laptop = exp.derived_run({"b": 1}, profile="laptop")
    cluster = exp.derived_run({"b": 1}, profile="cluster")

    assert cluster == laptop == exp.derived_run({"b": 1}, profile="other", overrides={"tol": 2})
    assert cluster.config == {"tol": 2, "executor": "local"}  # as it was when the run was made
    assert exp.derived_run({"b": 1}, profile="other") != laptop
    assert exp.derived_run({"b": 1}) != laptop


def test_a_run_that_names_neither_profile_nor_override_looks_for_no_file(exp, here):
    write(here, "this is: [no profile file")

    assert exp.Run({"b": 1}).config == {}
    with pytest.raises(me.ProfileError, match=r"molcfg\.yaml"):
        exp.Run(profile="gpu")


def test_a_derived_run_is_the_one_that_the_command_line_makes_defaults_included(exp, here):
    write(here, SOLVERS)

    run = exp.derived_run({"b": 1})
    assert run.config["solver"] == {"tol": 1e-3, "steps": 100}
    with use_profiles(find_profiles(cwd=here)):
        assert exp.derived_run({"b": 1}) == run
    assert exp.derived_id({"b": 1}) == run.id


def test_overrides_alone_are_laid_over_the_defaults_of_the_file(exp, here):
    write(here, SOLVERS)

    assert exp.Run(overrides={"device": "tpu"}).config == {"solver": {"tol": 1e-3, "steps": 100}, "device": "tpu"}
    with pytest.raises(me.ProfileError, match="Did you mean 'device'"):
        exp.Run(overrides={"devise": "tpu"})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"profile": 5}, "A profile is named by text, not by int"),
        ({"overrides": ["a=1"]}, "Overrides are a mapping of dotted names to values, not ['a=1']"),
        ({"overrides": {1: 2}}, "Overrides are a mapping of dotted names to values, not {1: 2}"),
    ],
)
def test_profiles_and_overrides_of_other_types_are_refused_and_nothing_is_written(place, exp, given, says):
    before = place.record()
    with pytest.raises(TypeError, match=re.escape(says)):
        exp.Run(id="one", **given)
    with pytest.raises(TypeError, match=re.escape(says)):
        exp.derived_run(**given)
    assert place.record() == before


def test_overrides_are_free_where_there_is_no_file(exp, here):
    assert exp.Run(overrides={"a.b": 1, "+a.c": 2}).config == {"a": {"b": 1, "c": 2}}


def test_a_profile_without_a_file_is_told_and_nothing_is_written(place, exp, here):
    before = place.everything()
    with pytest.raises(me.ProfileError, match=r"'gpu' cannot be resolved.*Write molcfg\.yaml"):
        exp.Run(id="one", profile="gpu")
    assert place.everything() == before


def test_profiles_in_use_count_for_every_run(exp, here):
    write(here, "profiles: {gpu: {from: the current directory}}")
    profiles = Profiles.read(write(here, SOLVERS, "other.yaml"))
    defaults = {"solver": {"tol": 1e-3, "steps": 100}, "device": "cpu"}

    with use_profiles(profiles):
        assert exp.Run().config == exp.derived_run().config == defaults
        assert [run.config for run in exp.runs.create_many([{"b": 1}])] == [defaults]
        assert exp.derived_run(profile="gpu").config["device"] == "cuda"
        assert exp.derived_run().profile is None
    assert exp.Run().config == {}
    assert exp.Run(profile="gpu").config == {"from": "the current directory"}


def test_none_in_use_is_none_whatever_lies_there(exp, here):
    write(here, SOLVERS)

    with use_profiles(None):
        assert exp.Run().config == {}
        assert exp.Run(overrides={"free": 1}).config == {"free": 1}
        with pytest.raises(me.ProfileError, match="no profile file"):
            exp.Run(profile="gpu")


def test_a_run_that_exists_agrees_with_the_defaults_in_use(exp, here):
    run = exp.Run({"b": 1}, id="one")

    with use_profiles(Profiles.read(write(here, SOLVERS))):
        assert exp.Run(id="one") == run
        with pytest.raises(me.ConflictError):
            exp.Run(id="one", profile="gpu")


def test_a_script_finds_the_file_beside_it_and_reads_yaml_only_where_there_is_some(tmp_path, interpreter):
    folder = tmp_path / "study"
    folder.mkdir()
    write(folder, "profiles.gpu.device = 'cuda'", "molcfg.toml")
    code = """
        import sys, molexp as me
        exp = me.Workspace("memory://x").Project("p").Experiment("e")
        print(exp.Run().config, "tomllib" in sys.modules)
        print(exp.Run(profile="gpu").config, "yaml" in sys.modules)
    """
    write(folder, code, "study.py")
    run = "import runpy, sys; sys.argv = ['study.py']; runpy.run_path('study/study.py', run_name='__main__')"

    child = interpreter(run)
    assert (child.out, child.err) == ("{} False\n{'device': 'cuda'} False\n", "")
