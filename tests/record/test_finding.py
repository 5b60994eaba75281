"""Finding assets by name: this run, then its experiment, project, workspace; never a sibling."""

from __future__ import annotations

import pytest

import molexp as me


@pytest.fixture
def file(tmp_path):
    def file(text):
        path = tmp_path / f"{text}.txt"
        path.write_text(text)
        return path

    return file


def read(asset):
    return asset.read_bytes().decode()


def test_the_nearest_scope_wins(ws, exp, run, file):
    scopes = [ws.data_assets, exp.project.data_assets, exp.data_assets]
    with run.start() as ctx:
        assert ctx.find_asset("reference") is None
        for number, scope in enumerate(scopes):
            scope.import_asset("reference", file(f"scope {number}"))
            assert read(ctx.find_asset("reference")) == f"scope {number}"
        ctx.artifact.save("reference", "own")
        assert read(ctx.find_asset("reference")) == "own"

    assert [ctx.find_asset("reference", kind=kind).scope for kind in ("data", "artifact")] == [
        "metals/cu",
        "metals/cu/one",
    ]


def test_never_a_sibling_run(exp, run):
    with exp.Run(id="sibling").start() as ctx:
        ctx.artifact.save("secret.txt", "theirs")

    with run.start() as ctx:
        assert ctx.find_asset("secret.txt") is None
        with pytest.raises(me.NotFoundError):
            ctx.asset("secret.txt")


def test_never_another_experiments_data(ws, run, file):
    ws.Project("metals").Experiment("ag").data_assets.import_asset("reference", file("ag"))
    ws.Project("alloys").data_assets.import_asset("reference", file("alloys"))

    with run.start() as ctx:
        assert ctx.find_asset("reference") is None


def test_an_asset_that_must_be_there_is_missed_with_the_nearest_names(exp, run, file):
    exp.data_assets.import_asset("reference-cell", file("x"))
    with run.start() as ctx:
        ctx.artifact.save("volumes.json", [1])
        for wanted, nearest in (("volume.json", "volumes.json"), ("reference-cel", "reference-cell")):
            with pytest.raises(me.NotFoundError, match=rf"metals/cu/one.*Did you mean '{nearest}'"):
                ctx.asset(wanted)
        with pytest.raises(me.NotFoundError, match=r"volumes\.json@7"):
            ctx.asset("volumes.json", version=7)
        with pytest.raises(me.NotFoundError, match="checkpoint asset"):
            ctx.asset("volumes.json", kind="checkpoint")


def test_the_newest_version_or_the_one_asked_for(exp, run, file):
    for number in (1, 2, 3):
        exp.data_assets.import_asset("reference", file(f"v{number}"))

    with run.start() as ctx:
        assert read(ctx.asset("reference")) == "v3"
        assert read(ctx.asset("reference", version=2)) == "v2"
        assert ctx.find_asset("reference", version=4) is None


def test_two_kinds_of_one_name_in_one_scope_are_ambiguous(run):
    with run.start() as ctx:
        ctx.artifact.save("state", "a")
        ctx.checkpoint.save("state", "c")

        with pytest.raises(me.AmbiguousAssetError, match=r"metals/cu/one.*kind='artifact'"):
            ctx.asset("state")
        assert ctx.asset("state", kind="checkpoint").load() == "c"


def test_two_kinds_in_two_scopes_are_not(exp, run, file):
    exp.data_assets.import_asset("state", file("data"))
    with run.start() as ctx:
        ctx.artifact.save("state", "own")

        assert read(ctx.asset("state")) == "own"


def test_earlier_attempts_are_this_run(run):
    with run.start() as ctx:
        ctx.artifact.save("a.txt", "first")
        ctx.artifact.save("b.txt", "first")
    with run.start() as ctx:
        assert ctx.asset("a.txt").load() == "first"
        ctx.artifact.save("a.txt", "second")
        assert ctx.asset("a.txt").load() == "second"
        assert ctx.asset("b.txt").load() == "first"


def test_names_are_found_as_they_are_compared(run):
    with run.start() as ctx:
        ctx.artifact.save("Straße.txt", "text")

        assert ctx.find_asset("STRASSE.TXT").name == "Straße.txt"


def test_a_reader_finds_what_the_run_found(place, run, exp, file):
    exp.data_assets.import_asset("reference", file("data"))
    with run.start() as ctx:
        ctx.artifact.save("a.txt", "text")
    seen = place.load().run("metals/cu/one")

    assert seen.asset("a.txt").load() == "text"
    assert read(seen.asset("reference")) == "data"
    with pytest.raises(me.NotFoundError, match="Did you mean"):
        seen.asset("a.tx")


@pytest.mark.parametrize(
    "id",
    [
        "metals/cu/one#1:artifact:volumes.json@1",
        "metals/cu:data:reference@2",
        ".:data:reference@1",
        "metals/cu/one#2:checkpoint:a@b@1",
    ],
)
def test_an_id_resolves_by_reading(ws, exp, run, file, id):
    ws.data_assets.import_asset("reference", file("ws"))
    exp.data_assets.import_asset("reference", file("one"))
    exp.data_assets.import_asset("reference", file("two"))
    with run.start() as ctx:
        ctx.artifact.save("volumes.json", [1])
    with run.start() as ctx:
        ctx.checkpoint.save("a@b", "x")

    assert ws.asset(id).id == id


@pytest.mark.parametrize(
    "id",
    [
        "",
        "volumes.json",
        "metals/cu/one:",
        "metals/cu/one#x:artifact:a@1",
        "a:b:c@d",
        "../..:data:a@1",
        "a/b/c/d#1:artifact:a@1",
        "a/b#1:artifact:a@1",
        "a/b/c:data:a@1",
    ],
)
def test_what_is_no_id_is_told(ws, id):
    with pytest.raises(ValueError, match="no asset id"):
        ws.asset(id)


@pytest.mark.parametrize("id", ["metals/cu/one#7:artifact:a@1", "metals/xx:data:a@1"])
def test_an_id_of_nothing_is_not_found(ws, run, id):
    with pytest.raises(me.NotFoundError):
        ws.asset(id)
