"""Artifacts and checkpoints: objects become files with a record, whole and named as they were saved."""

from __future__ import annotations

import gc
import math
import sys
import unicodedata
from hashlib import sha256
from pathlib import Path
from types import FrameType

import msgspec
import numpy as np
import pytest

import molexp as me

RUN = "projects/metals/experiments/cu/runs/one"

SAVED = {
    "dict": ("cell.json", {"a": 3.6, "b": [1, None, True]}, "json"),
    "list": ("volumes.json", [1.5, 2.5], "json"),
    "tuple": ("pair", (1, 2), "json"),
    "numpy in json": ("e.json", {"e": np.float64(1.5), "v": np.arange(3)}, "json"),
    "nan in json": ("n.json", [float("inf")], "json"),
    "text": ("notes.txt", "α\nβ", "text"),
    "empty text": ("empty.txt", "", "text"),
    "bytes": ("blob.bin", b"\0\xff", "binary"),
    "bytearray": ("blob2.bin", bytearray(b"xy"), "binary"),
}


@pytest.mark.parametrize(("name", "value", "form"), SAVED.values(), ids=SAVED)
def test_what_is_saved_comes_back(place, run, name, value, form):
    with run.start() as ctx:
        asset = ctx.artifact.save(name, value)
        back = ctx.artifact.load(name)

    assert isinstance(asset, me.ArtifactAsset)
    assert (asset.name, asset.kind, asset.version, asset.format) == (name, "artifact", 1, form)
    found = place.load().run("metals/cu/one").asset(name)
    assert found == asset
    assert found.load() == back == {"pair": [1, 2], "e.json": {"e": 1.5, "v": [0, 1, 2]}}.get(name, value)


def test_the_record_of_an_asset(place, run):
    with run.start() as ctx:
        asset = ctx.artifact.save("notes.txt", "text", tags=["final", "b"])

    assert asset.id == "metals/cu/one#1:artifact:notes.txt@1"
    assert asset.scope == "metals/cu/one"
    assert asset.producer == me.Producer("metals/cu/one", 1, None)
    assert asset.key == f"{RUN}/artifacts/notes.txt"
    assert asset.size == 4
    assert asset.content_hash == "sha256:" + sha256(b"text").hexdigest()
    assert asset.tags == {"final", "b"}
    assert asset.created_at.tzinfo is not None
    assert (asset.fields.format, asset.fields.from_file) == ("text", False)
    assert "notes.txt" in asset.describe()
    assert place.load().asset(asset.id) == asset


def test_bytes_can_be_read_in_every_way(place, run):
    with run.start() as ctx:
        asset = ctx.artifact.save("notes.txt", "one\ntwo")
        assert asset.read_bytes() == b"one\ntwo"
        if not place.url.startswith("memory:"):
            assert asset.path.read_text() == "one\ntwo"

    assert asset.read_bytes() == b"one\ntwo"
    with asset.open() as stream:
        assert stream.read(3) == b"one"
        stream.seek(4)
        assert stream.read() == b"two"
    with asset.open("r") as stream:
        assert list(stream) == ["one\n", "two"]
    assert asset.local().read_text() == "one\ntwo"
    if not place.url.startswith("memory:"):
        assert asset.path.read_text() == "one\ntwo"
    else:
        with pytest.raises(me.UnsupportedOperationError):
            _ = asset.path


def test_a_local_copy_lives_as_long_as_the_process(place):
    workspace = place.workspace()
    with workspace.Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        path = ctx.artifact.save("notes.txt", "text").local()
    del workspace, ctx
    gc.collect()

    assert path.read_text() == "text"


def test_a_local_copy_is_of_what_is_there_now(run):
    with run.start() as ctx:
        assert ctx.artifact.save("notes.txt", "first").local().read_text() == "first"
        assert ctx.artifact.save("notes.txt", "second").local().read_text() == "second"


def test_an_asset_is_frozen(run):
    with run.start() as ctx:
        asset = ctx.artifact.save("a.txt", "text")

    with pytest.raises(AttributeError):
        asset.name = "b"


def test_a_path_is_a_copy_of_its_file(run, tmp_path):
    source = tmp_path / "md.traj"
    source.write_bytes(b"x" * 3_000_000)
    with run.start() as ctx:
        asset = ctx.artifact.save("copy.traj", source)
        source.write_bytes(b"changed")

    assert asset.size == 3_000_000
    assert asset.content_hash == "sha256:" + sha256(b"x" * 3_000_000).hexdigest()
    assert asset.read_bytes() == b"x" * 3_000_000


def test_a_path_to_json_loads_as_json(run, tmp_path):
    (tmp_path / "in.json").write_text('{"a": 1}')
    with run.start() as ctx:
        ctx.artifact.save("cell.json", tmp_path / "in.json")

    assert run.asset("cell.json").load() == {"a": 1}


def test_a_missing_file_is_an_error_and_leaves_the_name_free(place, run, tmp_path):
    with run.start() as ctx:
        before = place.everything()
        with pytest.raises(FileNotFoundError):
            ctx.artifact.save("a.txt", tmp_path / "nowhere.txt")
        assert place.everything() == before
        ctx.checkpoint.save("a.txt", "text")


def test_a_folder_says_what_to_do(run, tmp_path):
    with run.start() as ctx, pytest.raises(me.NoKindError, match="import_asset"):
        ctx.artifact.save("folder", tmp_path)


def test_a_text_that_names_an_existing_file_asks_for_a_path(run, tmp_path):
    (tmp_path / "md.traj").write_text("frames")
    with run.start() as ctx:
        with pytest.raises(me.NoKindError, match=r"pass Path\('.*md.traj'\)"):
            ctx.artifact.save("md.traj", str(tmp_path / "md.traj"))
        with pytest.raises(TypeError, match=r"pass Path\("):
            ctx.checkpoint.save("md.traj", str(tmp_path / "md.traj"))
        ctx.artifact.save("other", str(tmp_path / "nowhere.traj"))


@pytest.mark.parametrize(
    ("value", "kind"), [(object(), "object"), (3, "int"), (np.float64(3), "numpy.float64"), (None, "NoneType")]
)
def test_anything_else_names_the_type_and_the_kinds(place, run, value, kind):
    with run.start() as ctx:
        before = place.everything()
        with pytest.raises(me.NoKindError, match=rf"'x'.* {kind}\b") as caught:
            ctx.artifact.save("x", value)
        assert {"artifact", "checkpoint"} <= set(caught.value.kinds)
        assert "writing(" in str(caught.value)
        with pytest.raises(me.NoKindError, match=kind):
            ctx.save("x", value)
        assert place.everything() == before


def test_save_chooses_the_kind_that_accepts(run):
    with run.start() as ctx:
        assert ctx.save("a.json", {"a": 1}).kind == "artifact"
        assert ctx.save("b", b"state", kind="checkpoint", step=7).step == 7
        with pytest.raises(me.PluginMissingError, match="'walk'"):
            ctx.save("c", b"x", kind="walk")


def test_what_json_cannot_carry_is_named_by_its_path(run):
    with run.start() as ctx, pytest.raises(me.SerializationError, match=r"cell\.json\.a\[0\] \(object\)"):
        ctx.artifact.save("cell.json", {"a": [object()]})


# ------------------------------------------------------------------------------------------------- files of other people

FOREIGN = {
    "nan": (b'{"loss": NaN, "max": -Infinity}', {"loss": "nan", "max": "-inf"}),
    "beyond a float": (b"[1e400]", ["inf"]),
    "a byte order mark": (b"\xef\xbb\xbf[1]", [1]),
    "utf-16": ('{"a": "ä"}'.encode("utf-16"), {"a": "ä"}),
    "a float's tag": (b'{"$float": "nan"}', {"$float": "nan"}),
    "a dict's tag": (b'{"$dict": [["a", 1]]}', {"$dict": [["a", 1]]}),
    "half a pair of surrogates": (b'["\\ud800"]', ["\ud800"]),
    "many levels": (b"[" * 300 + b"]" * 300, None),
    "as ours": (b'{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
}


def told(value):
    """NaN equals nothing; its text does."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: told(item) for key, item in value.items()}
    return [told(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", ["artifact", "checkpoint"])
@pytest.mark.parametrize(("data", "value"), FOREIGN.values(), ids=FOREIGN)
def test_a_file_is_read_as_its_owner_reads_it(place, run, tmp_path, data, value, kind):
    (tmp_path / "theirs.json").write_bytes(data)
    with run.start() as ctx:
        given = getattr(ctx, kind).save("given.json", tmp_path / "theirs.json")
        with getattr(ctx, kind).writing("written.json") as path:
            path.write_bytes(data)

    found = place.load().run("metals/cu/one")
    for name in ("given.json", "written.json"):
        asset = found.asset(name)
        assert asset.read_bytes() == data
        assert (asset.format, asset.from_file) == ("json", True)
        if value is not None:
            assert told(asset.load()) == value
        else:
            assert repr(asset.load()) == "[" * 300 + "]" * 300
    assert found.asset("given.json") == given


@pytest.mark.parametrize("data", [b'{"a": 1}\n{"a": 2}\n', b"", b"{", b"\xff\xfe\xff", b"[" * 10**5])
def test_a_file_that_is_no_json_is_not_blamed_on_the_record(run, tmp_path, data):
    (tmp_path / "theirs.json").write_bytes(data)
    with run.start() as ctx:
        asset = ctx.artifact.save("theirs.json", tmp_path / "theirs.json")

    with pytest.raises(me.AssetError, match=r"'theirs.json' is a file as it was given.*read_bytes\(\)"):
        asset.load()
    assert asset.read_bytes() == data


def test_what_was_recorded_before_records_told_files_apart_is_read_as_it_was(lab, lab_run, tmp_path):
    (tmp_path / "nan.json").write_bytes(b"[NaN]")
    with lab_run.start() as ctx:
        ctx.artifact.save("ours.json", [float("inf")])
        ctx.artifact.save("nan.json", tmp_path / "nan.json")
    key = f"{RUN}/executions/1.end.json"
    end = lab.document(key)
    for record in end["assets"]:
        record["fields"].pop("from_file", None)
    lab.store.write(key, msgspec.json.encode(end))

    found = lab.load().run("metals/cu/one")
    assert found.asset("ours.json").load() == [float("inf")]
    assert told(found.asset("nan.json").load()) == ["nan"]


# ------------------------------------------------------------------------------------------------------------- writing


def test_writing_gives_a_local_path(run):
    with run.start() as ctx:
        with ctx.artifact.writing("md.traj", tags=["raw"]) as path:
            assert isinstance(path, Path)
            assert path.name == "md.traj"
            assert not path.exists()
            path.write_bytes(b"frames")
            assert ctx.find_asset("md.traj") is None, "its bytes are complete before it is named"
        asset = ctx.asset("md.traj")

    assert (asset.read_bytes(), asset.tags) == (b"frames", {"raw"})
    assert not path.exists()


def test_an_error_while_writing_leaves_nothing(place, run):
    with run.start() as ctx:
        before = place.everything()
        with pytest.raises(ZeroDivisionError), ctx.artifact.writing("md.traj") as path:
            path.write_bytes(b"half a frame")
            1 / 0  # noqa: B018
        assert place.everything() == before
        assert ctx.find_asset("md.traj") is None
        with pytest.raises(FileNotFoundError, match="Nothing was written"), ctx.artifact.writing("md.traj"):
            pass
        with ctx.artifact.writing("md.traj") as path:
            path.write_bytes(b"all")
        assert ctx.asset("md.traj").version == 1


def test_an_unknown_field_is_refused(run):
    with run.start() as ctx:
        with pytest.raises(TypeError, match=r"no field 'temperature' of artifact 'a.txt'; there are: format"):
            ctx.artifact.save("a.txt", "text", temperature=300)
        with pytest.raises(TypeError, match="temperature"), ctx.artifact.writing("b.txt", temperature=300) as path:
            path.write_text("text")
    assert run.assets == []


# --------------------------------------------------------------------------------------------------------------- names


def test_saving_a_name_again_makes_a_version_that_replaces_the_bytes(place, run):
    with run.start() as ctx:
        first = ctx.artifact.save("a.txt", "first, and longer")
        second = ctx.artifact.save("a.txt", "second")

    assert (first.version, second.version) == (1, 2)
    assert first.key == second.key
    assert place.store.read(second.key) == b"second"
    assert run.asset("a.txt") == second
    assert [asset.id for asset in run.assets] == [second.id]
    with pytest.raises(me.NotFoundError, match="replaced by version 2"):
        place.load().asset(first.id)


ESCAPES = [
    "../a",
    "a/../../b",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a//b",
    "a/",
    "a\\b",
    "a\0b",
    "C:x",
    "nul",
    "a.",
    "x" * 300,
]


@pytest.mark.parametrize("name", ESCAPES)
def test_a_name_that_escapes_or_cannot_be_stored_is_refused_and_nothing_is_written(place, run, name):
    with run.start() as ctx:
        before = place.everything()
        for save in (ctx.artifact.save, ctx.checkpoint.save):
            with pytest.raises(me.InvalidNameError):
                save(name, "text")
        with pytest.raises(me.InvalidNameError), ctx.artifact.writing(name) as path:
            path.write_text("text")
        assert place.everything() == before


def test_names_may_have_folders(place, run):
    with run.start() as ctx:
        ctx.artifact.save("frames/0001/cell.json", [1])

    assert place.store.read(f"{RUN}/artifacts/frames/0001/cell.json") == b"[\n  1\n]\n"


@pytest.mark.parametrize(
    ("first", "second"), [("Cell.json", "cell.JSON"), ("straße", "STRASSE"), ("é", unicodedata.normalize("NFD", "é"))]
)
def test_names_that_some_file_systems_confuse_are_one_name(run, first, second):
    with run.start() as ctx:
        ctx.artifact.save(first, "1")
        again = ctx.artifact.save(second, "2")
        found = ctx.asset(second)

    assert again.version == 2
    assert found.load() == "2"
    assert len(run.assets) == 1


def test_a_name_costs_the_same_however_many_names_a_run_has(lab_run):
    def calls(name: str) -> int:
        count = 0

        def note(frame: FrameType, event: str, arg: object) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(note)
        try:
            ctx.artifact.save(name, name)
        finally:
            sys.setprofile(None)
        return count

    with lab_run.start() as ctx:
        few = min(calls(f"first/{number}") for number in range(5))
        for number in range(300):
            ctx.artifact.save(f"more/{number}", "")
        many = min(calls(f"last/{number}") for number in range(5))

    assert many == few


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("A/b", "a"), ("a/b/c", "a/b")])
def test_a_name_is_a_file_or_a_folder(place, run, first, second):
    with run.start() as ctx:
        ctx.artifact.save(first, "text")
        ctx.flush()
        before = place.everything()
        with pytest.raises(me.AssetExistsError, match="a file or a folder"):
            ctx.artifact.save(second, "text")
        assert place.everything() == before


def test_two_kinds_may_have_one_name_and_then_it_is_ambiguous(run):
    with run.start() as ctx:
        ctx.artifact.save("state", "a")
        ctx.checkpoint.save("state", "c")
        assert ctx.checkpoint.load("state") == "c"
        with pytest.raises(me.AmbiguousAssetError, match="artifact, checkpoint") as caught:
            ctx.find_asset("state")

    assert caught.value.kinds == ("artifact", "checkpoint")
    assert run.asset("state", kind="artifact").load() == "a"


# --------------------------------------------------------------------------------------------------------- checkpoints


def test_latest_is_the_newest_checkpoint_of_earlier_attempts_too(run):
    with pytest.raises(ZeroDivisionError), run.start() as ctx:
        assert ctx.checkpoint.latest() is None
        ctx.checkpoint.save("step-1", b"1", step=1)
        ctx.checkpoint.save("step-2", b"2", step=2)
        assert ctx.checkpoint.latest().step == 2
        1 / 0  # noqa: B018
    with run.start() as ctx:
        resumed = ctx.checkpoint.latest()
        assert (resumed.name, resumed.step, resumed.load()) == ("step-2", 2, b"2")
        assert ctx.checkpoint.load("step-1") == b"1"
        ctx.checkpoint.save("step-3", b"3", step=3)
        assert ctx.checkpoint.latest().step == 3


def test_a_checkpoint_saved_again_is_the_latest(run):
    with run.start() as ctx:
        ctx.checkpoint.save("a", b"1")
        ctx.checkpoint.save("b", b"2")
        ctx.checkpoint.save("a", b"3")

        assert ctx.checkpoint.latest().load() == b"3"


def test_without_a_run_saving_is_harmless(tmp_path):
    ctx = me.Context()

    assert ctx.artifact.save("a.txt", "text") is None
    assert ctx.save("a", {"a": 1}) is None
    with ctx.artifact.writing("a.txt") as path:
        path.write_text("text")
    assert ctx.find_asset("a.txt") is None
    with pytest.raises(me.NotFoundError):
        ctx.artifact.load("a.txt")
    ctx.log("train").append("line")
    ctx.metrics.log(loss=1)
    assert ctx.shell(["true"]) == 0
    assert ctx.run is None
