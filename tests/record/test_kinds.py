"""A stranger's asset kind has what ours have; where it is not installed, its records stay whole."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys

import msgspec
import pytest

import molexp as me
from molexp.contracts import NoFields
from molexp.plugins import PluginManager
from tests.record.helpers import install

TRAJECTORY = """
    import attrs
    from molexp.contracts import AssetKind
    from molexp.hookspecs import hookimpl

    @attrs.frozen
    class Facts:
        frames: int
        box: list[float] = attrs.Factory(list)

    class Frames(list):
        pass

    class Trajectory(AssetKind[Frames, Facts]):
        name = "walk"
        suffix = ".xyz"

        def accepts(self, obj):
            return isinstance(obj, Frames)

        def validate(self, obj):
            if not obj:
                raise ValueError("a walk has at least one frame")

        def save(self, obj, sink):
            with sink.open() as stream:
                for frame in obj:
                    stream.write(f"{frame}\\n".encode())
            return Facts(len(obj))

        def load(self, source):
            with source.open() as stream:
                frames = Frames(stream.read().decode().split())
            assert len(frames) == source.fields.frames
            return frames

        def describe(self, asset):
            return f"{asset.fields.frames} frames"

    @hookimpl
    def molexp_register_asset_kinds():
        return [Trajectory]
"""


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return install(tmp_path / "site", "molexp-trajectories", TRAJECTORY)


@pytest.fixture
def kind(plugins):
    return importlib.import_module("molexp_trajectories")


@pytest.fixture
def their_run(place, plugins):
    return place.workspace(plugins=plugins).Project("metals").Experiment("cu").Run(id="one")


RUN = "projects/metals/experiments/cu/runs/one"


def test_by_class_by_name_and_by_choice(their_run, kind):
    with their_run.start() as ctx:
        by_class = ctx[kind.Trajectory].save("a", kind.Frames(["x", "y"]), box=[1.0], tags=["raw"])
        by_name = ctx.walk.save("b", kind.Frames(["x"]))
        by_choice = ctx.save("c", kind.Frames(["z"]))
        assert ctx[kind.Trajectory].load("a") == ["x", "y"]
        assert ctx.walk.latest() == by_choice
        assert "walk" in dir(ctx)

    assert [asset.kind for asset in (by_class, by_name, by_choice)] == ["walk"] * 3
    assert (by_class.fields.frames, by_class.fields.box, by_class.tags) == (2, [1.0], {"raw"})
    assert by_class.key == f"{RUN}/artifacts/a.xyz"
    assert by_class.describe() == "2 frames"


def test_records_are_typed_in_look_ups_and_in_the_catalog(place, plugins, their_run, kind):
    with their_run.start() as ctx:
        asset = ctx.walk.save("a", kind.Frames(["x", "y"]))

    workspace = place.load(plugins=plugins)
    (found,) = workspace.catalog.assets(kind="walk")
    assert found == asset == workspace.run("metals/cu/one").asset("a")
    assert found.fields.frames == 2
    assert found.load() == ["x", "y"]
    assert list(workspace.catalog.assets(kind="walk").to_dicts()[0]["fields"]) == ["frames", "box"]


def test_an_asset_is_found_by_its_name_and_kind_or_the_name_of_that(place, plugins, their_run, kind):
    with their_run.start() as ctx:
        saved = ctx.walk.save("a", kind.Frames(["x"]))
        ctx.checkpoint.save("a", [1])
        for one in (kind.Trajectory, "walk"):
            assert ctx.asset("a", kind=one) == ctx.find_asset("a", kind=one) == saved
        assert ctx.find_asset("b", kind=kind.Trajectory) is None
        with pytest.raises(me.AmbiguousAssetError):
            ctx.asset("a")
    run = place.load(plugins=plugins).run("metals/cu/one")
    assert run.asset("a", kind=kind.Trajectory) == run.asset("a", kind="walk") == saved
    with pytest.raises(me.NotFoundError, match="There is no walk asset 'b'"):
        run.asset("b", kind=kind.Trajectory)


def test_what_it_refuses_is_not_recorded(their_run, kind, place):
    with their_run.start() as ctx:
        before = place.everything()
        with pytest.raises(ValueError, match="at least one frame"):
            ctx.walk.save("a", kind.Frames())
        with pytest.raises(me.NoKindError, match=r"'a'.* list"):
            ctx.walk.save("a", [1, 2])
        with pytest.raises(TypeError, match="no field 'colour' of walk 'a'; there are: frames, box"):
            ctx.walk.save("a", kind.Frames(["x"]), colour="red")
        assert [key for key in place.everything() if key not in before and "a.xyz" not in key] == []
        assert ctx.find_asset("a") is None


def test_a_class_that_nobody_registered_is_refused(run):
    class Stray(me.AssetKind[object, NoFields]):
        name = "stray"

        def save(self, obj, sink):
            return NoFields()

        def load(self, source):
            return None

    with run.start() as ctx, pytest.raises(me.MolexpError, match="molexp_register_asset_kinds"):
        ctx[Stray].save("a", 1)


@pytest.mark.parametrize("no_kind", [int, "artifact"])
def test_what_is_no_kind_is_an_error_that_says_what_belongs_there(run, no_kind):
    with run.start() as ctx, pytest.raises(TypeError, match="takes the class of an asset kind, not"):
        ctx[no_kind].save("a", 1)


def test_an_unknown_kind_is_an_attribute_error_that_names_the_nearest(run):
    with run.start() as ctx:
        with pytest.raises(AttributeError, match=r"'artefact'.*Did you mean 'artifact'"):
            ctx.artefact.save("a", "text")
        assert not hasattr(ctx, "walk")


def test_a_kind_that_writes_nothing_is_told_so(tmp_path, monkeypatch, place):
    monkeypatch.syspath_prepend(str(tmp_path / "lazy"))
    source = TRAJECTORY.replace("for frame in obj:", "for frame in ():").replace(
        'with sink.open() as stream:\n                for frame in ():\n                    stream.write(f"{frame}\\n".encode())',
        "pass",
    )
    plugins = install(tmp_path / "lazy", "molexp-lazy", source)
    run = place.workspace(plugins=plugins).Project("metals").Experiment("cu").Run(id="one")

    with run.start() as ctx, pytest.raises(TypeError, match="'walk' wrote nothing for 'a'"):
        frames = importlib.import_module("molexp_lazy").Frames(["x"])
        ctx.walk.save("a", frames)
    assert run.assets == []


# ------------------------------------------------------------------------------------------------------- not installed


def test_without_its_plugin_an_asset_keeps_every_field_and_names_the_writer(place, their_run, kind):
    with their_run.start() as ctx:
        asset = ctx.walk.save("a", kind.Frames(["x", "y"]), box=[1.0], tags=["raw"])

    found = place.load().run("metals/cu/one").asset("a")
    assert isinstance(found, me.UnknownAsset)
    assert dict(found.fields) == {"frames": 2, "box": [1.0]}
    assert (found.id, found.kind, found.size, found.tags) == (asset.id, "walk", asset.size, frozenset({"raw"}))
    assert found.read_bytes() == b"x\ny\n"
    assert "molexp-trajectories" in found.problem
    with pytest.raises(me.MolexpError, match="molexp-trajectories"):
        found.load()
    (row,) = place.load().catalog.assets(name="a")
    assert row == found


def test_without_its_plugin_the_run_goes_on_and_nothing_is_lost(place, plugins, their_run, kind):
    with their_run.start() as ctx:
        asset = ctx.walk.save("a", kind.Frames(["x", "y"]))
    with place.load().run("metals/cu/one").start() as ctx:
        ctx.set_result("second", True)
        assert ctx.asset("a").id == asset.id

    again = place.load(plugins=plugins).run("metals/cu/one")
    assert again.asset("a") == asset
    assert again.asset("a").load() == ["x", "y"]


def test_fields_of_a_newer_version_survive(place, plugins, their_run, kind):
    with their_run.start() as ctx:
        ctx.walk.save("a", kind.Frames(["x"]))
    key = f"{RUN}/executions/1.end.json"
    end = place.document(key)
    end["assets"][0]["fields"]["thermostat"] = "nose"
    end["assets"][0]["colour"] = "red"
    place.store.write(key, msgspec.json.encode(end))

    known = place.load(plugins=plugins).run("metals/cu/one").asset("a")
    assert (known.fields.frames, known.load()) == (1, ["x"])
    unknown = place.load().run("metals/cu/one").asset("a")
    assert unknown.fields["thermostat"] == "nose"
    assert unknown.record["colour"] == "red"


@pytest.mark.parametrize("damage", [{"frames": "many"}, {}, None, {"frames": None}])
def test_a_record_that_its_kind_does_not_understand_is_kept_as_unknown(place, plugins, their_run, kind, damage):
    with their_run.start() as ctx:
        ctx.walk.save("a", kind.Frames(["x"]))
    key = f"{RUN}/executions/1.end.json"
    end = place.document(key)
    end["assets"][0]["fields"] = damage
    place.store.write(key, msgspec.json.encode(end))

    found = place.load(plugins=plugins).run("metals/cu/one").asset("a")
    assert isinstance(found, me.UnknownAsset)
    assert found.read_bytes() == b"x\n"
    assert len(place.load(plugins=plugins).catalog.assets()) == 1


# ------------------------------------------------------------------------------------------------ schemas of the record

AGED = """
    from dataclasses import dataclass
    from molexp.contracts import AssetKind
    from molexp.hookspecs import hookimpl

    @dataclass(frozen=True)
    class Fields:
        FIELD: int
        unit: str = "A"

    class Aged(AssetKind[int, Fields]):
        name = "aged"
        schema = SCHEMA

        def save(self, obj, sink):
            sink.write(obj.to_bytes(2, "little" if self.schema == 1 else "big"))
            return Fields(obj)

        def load(self, source):
            with source.open() as stream:
                return int.from_bytes(stream.read(), "little" if source.schema == 1 else "big")

        def upgrade(self, fields, schema):
            assert schema == 1
            return {"count": fields["n"], "unit": "nm"}

        def describe(self, asset):
            return f"{asset.fields.count} of {asset.distribution}"

    @hookimpl
    def molexp_register_asset_kinds():
        return [Aged]
"""


@pytest.fixture
def aged(tmp_path, monkeypatch):
    """Returns the plugin in its first or second version, of which the latter has renamed a field."""

    def version(number: int):
        sys.modules.pop("molexp_aged", None)
        site = tmp_path / f"site{number}"
        monkeypatch.syspath_prepend(str(site))
        source = AGED.replace("SCHEMA", str(number)).replace("FIELD", "n" if number == 1 else "count")
        return install(site, "molexp-aged", source, version=f"{number}.0")

    yield version
    sys.modules.pop("molexp_aged", None)


def saved_by(place, plugins, run: str):
    with place.workspace(plugins=plugins).Project("p").Experiment("e").Run(id=run).start() as ctx:
        return ctx.aged.save("a", 258)


def test_an_older_record_has_upgraded_fields_and_is_loaded_by_its_schema(place, aged):
    saved_by(place, aged(1), "old")
    plugins = aged(2)
    saved_by(place, plugins, "new")

    for run, schema, unit in (("old", 1, "nm"), ("new", 2, "A")):
        asset = place.load(plugins=plugins).run(f"p/e/{run}").asset("a")
        assert (asset.load(), asset.schema, asset.fields.count, asset.fields.unit) == (258, schema, 258, unit)
        assert asset.describe() == f"258 of molexp-aged {schema}.0"


def test_queries_see_upgraded_fields(place, aged):
    saved_by(place, aged(1), "old")
    plugins = aged(2)
    saved_by(place, plugins, "new")
    assets = place.load(plugins=plugins).catalog.assets

    assert [asset.producer.run for asset in assets("count == 258")] == ["p/e/old", "p/e/new"]
    assert [asset.producer.run for asset in assets('unit == "nm"', kind="aged")] == ["p/e/old"]
    assert [asset.producer.run for asset in assets(sort="-unit")] == ["p/e/old", "p/e/new"]
    assert list(assets("count == 258 and n is not null")) == []


def test_queries_see_the_default_of_a_field_that_an_older_record_lacks(place, tmp_path, monkeypatch):
    """A field is added without another schema, which what was written before does not say."""

    def version(number: int, more: str):
        monkeypatch.delitem(sys.modules, "molexp_aged", raising=False)
        monkeypatch.syspath_prepend(str(site := tmp_path / f"site{number}"))
        source = AGED.replace("SCHEMA", "1").replace("FIELD", "count").replace('unit: str = "A"', more)
        return install(site, "molexp-aged", source, version=f"1.{number}")

    unit, maker = 'unit: str = "A"', "maker: str | None = None"
    saved_by(place, version(0, maker), "old")
    plugins = version(1, f"{unit}; tags_: tuple[int, ...] = (7,); {maker}")
    saved_by(place, plugins, "new")
    assets = place.load(plugins=plugins).catalog.assets

    old, new = assets(kind="aged")
    assert (old.fields, old.schema, old.distribution) == (new.fields, 1, "molexp-aged 1.0")
    for where in ('unit == "A"', "7 in tags_", "maker is null", 'unit == "A" and count == 258 or maker == "me"'):
        assert [asset.producer.run for asset in assets(where)] == ["p/e/old", "p/e/new"], where
        assert [asset.producer.run for asset in assets(where, kind="aged", sort="-unit")] == ["p/e/old", "p/e/new"]
    for where in ('unit != "A"', "unit is null", "not 7 in tags_", 'unit < "A"'):
        assert list(assets(where)) == [], where
    sys.modules.pop("molexp_aged", None)


def test_a_question_about_no_field_of_a_kind_imports_none(place, aged):
    saved_by(place, aged(1), "old")
    aged(2)
    assets = place.load(plugins=PluginManager(path=[*sys.path])).catalog.assets
    assert list(assets("size > 1000 and not kind == 'log'", sort="-created_at")) == []
    assert "molexp_aged" not in sys.modules
    assert list(assets("fields.count == 1")) == []
    assert "molexp_aged" in sys.modules


def test_a_newer_record_is_unknown_says_who_wrote_it_and_is_not_loaded(place, aged):
    saved_by(place, aged(2), "new")

    found = place.load(plugins=aged(1)).run("p/e/new").asset("a")
    assert isinstance(found, me.UnknownAsset)
    assert found.problem == "it was written by molexp-aged 2.0 with schema 2, and molexp-aged 1.0 knows those up to 1"
    assert (found.fields, found.read_bytes()) == ({"count": 258, "unit": "A"}, b"\1\2")
    assert found.describe() == "aged 'a', 2 bytes"
    with pytest.raises(me.AssetError, match="schema 2"):
        found.load()


# -------------------------------------------------------------------------------------------------------- as a value


def test_assets_are_equal_hashable_and_picklable(place, plugins, their_run, kind):
    with their_run.start() as ctx:
        saved = ctx.walk.save("a", kind.Frames(["x"]), box=[1.0])
        other = ctx.walk.save("b", kind.Frames(["x"]), box=[1.0])
    found = place.load(plugins=plugins).run("metals/cu/one").asset("a")
    unknown = place.load().run("metals/cu/one").asset("a")

    assert len({saved, found, unknown, other}) == 2
    assert saved != other
    assert saved != saved.id


def test_assets_of_plugins_pickle_as_ours_do(lab, plugins, kind):
    with lab.workspace(plugins=plugins).Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        saved = ctx.walk.save("a", kind.Frames(["x"]), box=[1.0])
    copied = pickle.loads(pickle.dumps(saved))
    assert (copied, copied.fields, copied.read_bytes()) == (saved, saved.fields, b"x\n")


def test_an_asset_that_is_unpickled_without_its_plugin_is_unknown_and_says_what_its_record_says(lab, plugins, kind):
    with lab.workspace(plugins=plugins).Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        saved = ctx.walk.save("a", kind.Frames(["x"]), box=[1.0], tags=["t"])
    program = "import sys, pickle; from pathlib import Path; a = pickle.loads(Path(sys.argv[1]).read_bytes()); "
    told = "print([type(a).__name__, a.id, a.fields, a.record['fields'], sorted(a.tags), a.created_at, a.read_bytes(), a.problem])"
    again = "; assert pickle.loads(pickle.dumps(a)) == a"
    path = lab.folder.parent / "asset.pickle"
    path.write_bytes(pickle.dumps(saved))
    done = subprocess.run(
        [sys.executable, "-c", program + told + again, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    fields = {"frames": 1, "box": [1.0]}
    problem = f"the kind 'walk' is not installed; it was written by {saved.distribution}"
    wanted = ["UnknownAsset", saved.id, fields, fields, ["t"], saved.created_at, b"x\n", problem]
    assert done.stdout == f"{wanted}\n"


# ------------------------------------------------------------------------------------------------------- in the catalog


def test_assets_are_sorted_by_columns_and_by_fields_of_kinds(place, plugins, their_run, kind):
    with their_run.start() as ctx:
        for name, frames in (("b", 2), ("a", 3), ("c", 1)):
            ctx.walk.save(name, kind.Frames("x" * frames))
        ctx.artifact.save("d.json", [1])
    assets = place.load(plugins=plugins).catalog.assets

    assert [asset.name for asset in assets(sort="frames")] == ["c", "b", "a", "d.json"]
    assert [asset.name for asset in assets(kind=kind.Trajectory, sort="-fields.frames", limit=2)] == ["a", "b"]
    assert [asset.name for asset in assets("frames < 3", sort="-name")] == ["c", "b"]
    assert [asset.name for asset in assets(sort="-name", limit=2)] == ["d.json", "c"]
    with pytest.raises(ValueError, match=r"No asset has the column 'framez'. Did you mean 'frames'"):
        assets(sort="framez")
