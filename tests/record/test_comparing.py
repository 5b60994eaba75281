"""ws.compare: a row for each run, with the fields in which they differ."""

from __future__ import annotations

import math
import sqlite3

import pytest

import molexp as me

RUNS = "projects/metals/experiments/cu/runs"


def track(exp, name, parameters, results=(), **options):
    """A run that succeeded, with results."""
    run = exp.Run(parameters, id=name, **options)
    with run.start() as ctx:
        for key, value in dict(results).items():
            ctx.set_result(key, value)
    return run


@pytest.fixture
def two(exp):
    """Two runs that differ in a parameter and a result."""
    return track(exp, "one", {"lr": 0.1}, {"loss": 2, "n": 1}), track(exp, "two", {"lr": 0.2}, {"loss": 3, "n": 1})


def differences(ws, *runs):
    """Return the columns beside the path."""
    return [{name: value for name, value in row.items() if name != "path"} for row in ws.compare(*runs)]


def test_a_row_for_each_run_with_only_what_differs(ws, two):
    rows = ws.compare(*two)

    assert isinstance(rows, me.Rows)
    assert rows.to_dicts() == [
        {"path": "metals/cu/one", "params.lr": 0.1, "results.loss": 2},
        {"path": "metals/cu/two", "params.lr": 0.2, "results.loss": 3},
    ]
    assert [list(row) for row in rows] == [["path", "params.lr", "results.loss"]] * 2
    assert rows.columns == ("path", "params.lr", "results.loss")
    assert [row["path"] for row in ws.compare(*reversed(two))] == ["metals/cu/two", "metals/cu/one"], (
        "as they were given"
    )


def test_runs_are_named_as_everywhere(ws, two):
    expected = ws.compare(*two)

    assert ws.compare("metals/cu/one", "metals/cu/two") == expected
    assert ws.compare("one", "metals/cu/@latest") == expected
    assert ws.compare(*ws.catalog.runs()) == expected
    with pytest.raises(me.NotFoundError, match="Did you mean 'metals/cu/one'"):
        ws.compare("metals/cu/onee", "two")


def test_there_are_at_least_two(ws, two):
    with pytest.raises(ValueError, match="at least two runs to compare; none was given"):
        ws.compare()
    with pytest.raises(ValueError, match="at least two runs to compare; only 'metals/cu/one' was given"):
        ws.compare(two[0])


def test_a_run_does_not_differ_from_itself(ws, two):
    assert ws.compare(two[0], two[0]).to_dicts() == [{"path": "metals/cu/one"}] * 2


PAIRS_OF_VALUES = [
    (1, 1.0, False),
    (1, True, True),
    (0, False, True),
    (1, "1", True),
    (float("nan"), float("nan"), False),
    (float("nan"), None, True),
    (float("inf"), float("-inf"), True),
    ([1, {"a": float("nan"), "b": 2}], [1.0, {"b": 2.0, "a": float("nan")}], False),
    ([1, 2], [2, 1], True),
    (2**80, 2**80 + 1, True),
    (2**53, float(2**53), False),
    ({}, 1, True),
]


def test_values_are_equal_as_canonical_json_is_and_nan_is_equal(ws, exp):
    cases = {f"x{number:02}": case for number, case in enumerate(PAIRS_OF_VALUES)}
    track(exp, "one", {}, {name: one for name, (one, _, _) in cases.items()})
    track(exp, "two", {}, {name: two for name, (_, two, _) in cases.items()})
    found = differences(ws, "one", "two")

    assert [list(row) for row in found] == [[f"results.{name}" for name, (*_, differ) in cases.items() if differ]] * 2
    for name, (one, two, differ) in cases.items():
        if differ and one == one:  # noqa: PLR0124 - not NaN
            assert [row[f"results.{name}"] for row in found] == [one, two]


def test_a_value_is_what_queries_compare(ws, exp):
    with exp.Run({}, id="one").start() as ctx:
        asset = ctx.artifact.save("a.json", [1])
        ctx.set_result("best", asset)
        ctx.set_result("gap", float("nan"))
    track(exp, "two", {}, {"gap": 1})
    one, _ = differences(ws, "one", "two")

    assert one["results.best"] == asset.id
    assert math.isnan(one["results.gap"])
    assert me.to_json(ws.compare("one", "two")).count('{"$float":"nan"}') == 1


def test_what_a_run_does_not_have_is_missing_in_its_row(ws, exp):
    track(exp, "one", {"opt": {"name": "adam", "beta": 1}, "seed": 1})
    track(exp, "two", {"opt": 3}, {"loss": 1})

    assert differences(ws, "one", "two") == [
        {"params.opt.name": "adam", "params.opt.beta": 1, "params.seed": 1},
        {"params.opt": 3, "results.loss": 1},
    ]
    pandas = pytest.importorskip("pandas")
    frame = ws.compare("one", "two").to_pandas()
    assert list(frame.columns) == [
        "path", "params.opt.name", "params.opt.beta", "params.seed", "params.opt", "results.loss",
    ]  # fmt: skip
    assert pandas.isna(frame.loc[1, "params.seed"])
    assert frame.loc[1, "results.loss"] == 1


def test_fields_stand_in_one_order_whichever_run_has_them(ws, exp):
    track(exp, "one", {"a": 1}, profile=None)
    track(exp, "two", {"b": 1}, {"x": 1}, overrides={"tol": 1})
    exp.run("one").annotate(tags=["best"])

    assert ws.compare("one", "two").columns == ("path", "params.a", "params.b", "results.x", "tags", "config.tol")


def test_keys_with_dots_have_the_names_that_queries_give_them(ws, exp):
    track(exp, "one", {"m": {"x": 1}, "m.x": 2})
    track(exp, "two", {"m": {"x": 3}, "m.x": 2})
    track(exp, "three", {"m": {"x": 2}})

    assert differences(ws, "one", "two") == [{}, {}], "the longer key is the one that is found"
    assert differences(ws, "one", "three") == [{}, {}]


def test_status_tags_replica_profile_and_the_rest_are_compared_ids_and_times_are_not(ws, exp):
    track(exp, "one", {})
    exp.run("one").annotate(tags=["best", "a"])
    with pytest.raises(ZeroDivisionError), exp.Run({}, id="two", replica=2).start():
        1 / 0  # noqa: B018
    with exp.Run({}, id="two").start():
        pass
    exp.run("two").archive()
    ws.Project("metals").Experiment("ag").Run({"a": 3.6, "b": 1}, id="three")

    one, two = differences(ws, "one", "two")
    assert one == {"tags": ["a", "best"], "replica": 0, "archived": False, "attempts": 1}
    assert two == {"tags": [], "replica": 2, "archived": True, "attempts": 2}
    one, three = differences(ws, "one", "three")
    assert (one["experiment"], three["experiment"]) == ("cu", "ag")
    assert (one["status"], three["status"]) == ("succeeded", "pending")
    assert "host" in one
    assert "host" not in three
    always = {"id", "token", "created_at", "started_at", "ended_at", "pid", "seconds", "config_hash", "own_parameters"}
    assert not {name.rpartition(".")[2] for name in (*one, *three)} & always


def test_profiles_and_configurations(ws, exp, here):
    (here / "molcfg.toml").write_text("[defaults]\ntol = 1\n[profiles.fast]\ntol = 2\n")
    track(exp, "one", {}, profile="fast")
    track(exp, "two", {}, overrides={"tol": 3})
    track(exp, "plain", {})

    assert differences(ws, "one", "two") == [{"profile": "fast", "config.tol": 2}, {"config.tol": 3}]
    assert differences(ws, "one", "plain")[0] == {"profile": "fast", "config.tol": 2}


def origin(place, name, **changes):
    """Write the provenance of a run's attempt anew, as if its process had run other code."""
    end = f"{RUNS}/{name}/executions/1.end.json"
    known = place.document(end)["provenance"]
    document = place.document(f"provenance/{known}.json") | changes
    place.store.create(f"provenance/{name}.json", me.to_json(document).encode())
    place.change(end, provenance=name)


def test_where_they_came_from(place, ws, two):
    git = {"commit": "c1", "branch": "main", "remote": None, "dirty": True}
    origin(place, "one", python="3.11.9", packages={"numpy": "2.1", "scipy": "1.1"}, git={**git, "diff": "-a\n+b\n"})
    origin(
        place,
        "two",
        python="3.12.1",
        packages={"numpy": "2.2", "scipy": "1.1", "ase": "3"},
        git={**git, "diff": "-a\n"},
    )

    one, two_ = differences(ws, *two)
    assert one["provenance.python"] == "3.11.9"
    assert (one["provenance.packages.numpy"], two_["provenance.packages.numpy"]) == ("2.1", "2.2")
    assert "provenance.packages.ase" not in one
    assert two_["provenance.packages.ase"] == "3"
    assert one["provenance.git.diff"].startswith("sha256:")
    assert one["provenance.git.diff"] != two_["provenance.git.diff"]
    assert {name for name in one if name.startswith("provenance.")} == {
        "provenance.python", "provenance.packages.numpy", "provenance.git.diff",
    }  # fmt: skip
    assert not [name for name in one if "scipy" in name or "commit" in name]


@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_without_the_document_of_its_provenance_a_run_is_compared_all_the_same(place, ws, two, damage):
    origin(place, "one", python="3.11.9")
    if damage == "gone":
        place.store.delete("provenance/one.json")
    else:
        place.store.write("provenance/one.json", b'{"python"')

    one, two_ = differences(ws, *two)
    assert (one["params.lr"], two_["params.lr"]) == (0.1, 0.2)
    assert not [name for name in one if name.startswith("provenance")]
    assert "provenance.python" in two_


def test_a_live_run_is_compared_as_it_is_now(ws, exp, two):
    with exp.Run({"lr": 0.1}, id="three").start() as ctx:
        ctx.set_result("loss", 2)
        ctx.set_result("n", 1)
        ctx.flush()
        found = differences(ws, "one", ctx.run)
        assert {name: found[1][name] for name in found[1] if not name.startswith("provenance")} == {"status": "running"}


def test_it_reads_the_files_and_needs_no_index(ws, two, monkeypatch):
    def broken(*_arguments, **_options):
        raise sqlite3.DatabaseError("no index today")

    monkeypatch.setattr(sqlite3, "connect", broken)
    assert [row["params.lr"] for row in ws.compare("metals/cu/one", two[1])] == [0.1, 0.2]


def test_a_run_that_was_deleted_is_not_there(ws, two):
    two[0].delete()
    with pytest.raises(me.NotFoundError, match="deleted"):
        ws.compare(*two)
