"""A stranger's asset kind has what ours have; where it is not installed, its records stay whole."""

from __future__ import annotations

import importlib

import msgspec
import pytest

import molexp as me
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

    class Trajectory(AssetKind[Frames]):
        name = "trajectory"
        fields = Facts
        suffix = ".xyz"

        def accepts(self, obj):
            return isinstance(obj, Frames)

        def validate(self, obj):
            if not obj:
                raise ValueError("a trajectory has at least one frame")

        def save(self, obj, sink):
            with sink.open() as stream:
                for frame in obj:
                    stream.write(f"{frame}\\n".encode())
            return {"frames": len(obj)}

        def load(self, source):
            with source.open() as stream:
                frames = Frames(stream.read().decode().split())
            assert len(frames) == source.fields["frames"]
            return frames

        def describe(self, asset):
            return f"{asset.frames} frames"

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
        by_name = ctx.trajectory.save("b", kind.Frames(["x"]))
        by_choice = ctx.save("c", kind.Frames(["z"]))
        assert ctx[kind.Trajectory].load("a") == ["x", "y"]
        assert ctx.trajectory.latest() == by_choice
        assert "trajectory" in dir(ctx)

    assert [asset.kind for asset in (by_class, by_name, by_choice)] == ["trajectory"] * 3
    assert (by_class.frames, by_class.box, by_class.tags) == (2, [1.0], {"raw"})
    assert by_class.key == f"{RUN}/artifacts/a.xyz"
    assert by_class.describe() == "2 frames"
    assert type(by_class).__name__ == "TrajectoryAsset"


def test_records_are_typed_in_look_ups_and_in_the_catalog(place, plugins, their_run, kind):
    with their_run.start() as ctx:
        asset = ctx.trajectory.save("a", kind.Frames(["x", "y"]))

    workspace = place.load(plugins=plugins)
    (found,) = workspace.catalog.assets(kind="trajectory")
    assert found == asset == workspace.run("metals/cu/one").asset("a")
    assert found.frames == 2
    assert found.load() == ["x", "y"]
    assert list(workspace.catalog.assets(kind="trajectory").to_dicts()[0]["fields"]) == ["frames", "box"]


def test_what_it_refuses_is_not_recorded(their_run, kind, place):
    with their_run.start() as ctx:
        before = place.everything()
        with pytest.raises(ValueError, match="at least one frame"):
            ctx.trajectory.save("a", kind.Frames())
        with pytest.raises(me.NoKindError, match=r"'a'.* list"):
            ctx.trajectory.save("a", [1, 2])
        with pytest.raises(TypeError, match="no field 'colour'"):
            ctx.trajectory.save("a", kind.Frames(["x"]), colour="red")
        assert [key for key in place.everything() if key not in before and "a.xyz" not in key] == []
        assert ctx.find_asset("a") is None


def test_a_class_that_nobody_registered_is_refused(run):
    class Stray(me.AssetKind[object]):
        name = "stray"

        def save(self, obj, sink):
            return {}

        def load(self, source):
            return None

    with run.start() as ctx, pytest.raises(me.MolexpError, match="molexp_register_asset_kinds"):
        ctx[Stray].save("a", 1)


def test_an_unknown_kind_is_an_attribute_error_that_names_the_nearest(run):
    with run.start() as ctx:
        with pytest.raises(AttributeError, match=r"'artefact'.*Did you mean 'artifact'"):
            ctx.artefact.save("a", "text")
        assert not hasattr(ctx, "trajectory")


def test_a_kind_that_writes_nothing_is_told_so(tmp_path, monkeypatch, place):
    monkeypatch.syspath_prepend(str(tmp_path / "lazy"))
    source = TRAJECTORY.replace("for frame in obj:", "for frame in ():").replace(
        'with sink.open() as stream:\n                for frame in ():\n                    stream.write(f"{frame}\\n".encode())',
        "pass",
    )
    plugins = install(tmp_path / "lazy", "molexp-lazy", source)
    run = place.workspace(plugins=plugins).Project("metals").Experiment("cu").Run(id="one")

    with run.start() as ctx, pytest.raises(TypeError, match="'trajectory' wrote nothing for 'a'"):
        frames = importlib.import_module("molexp_lazy").Frames(["x"])
        ctx.trajectory.save("a", frames)
    assert run.assets == []


# ------------------------------------------------------------------------------------------------------- not installed


def test_without_its_plugin_an_asset_keeps_every_field_and_names_the_writer(place, their_run, kind):
    with their_run.start() as ctx:
        asset = ctx.trajectory.save("a", kind.Frames(["x", "y"]), box=[1.0], tags=["raw"])

    found = place.load().run("metals/cu/one").asset("a")
    assert isinstance(found, me.UnknownAsset)
    assert dict(found.fields) == {"frames": 2, "box": [1.0]}
    assert (found.id, found.kind, found.size, found.tags) == (asset.id, "trajectory", asset.size, frozenset({"raw"}))
    assert found.read_bytes() == b"x\ny\n"
    assert "molexp-trajectories" in found.problem
    with pytest.raises(me.MolexpError, match="molexp-trajectories"):
        found.load()
    (row,) = place.load().catalog.assets(name="a")
    assert row == found


def test_without_its_plugin_the_run_goes_on_and_nothing_is_lost(place, plugins, their_run, kind):
    with their_run.start() as ctx:
        asset = ctx.trajectory.save("a", kind.Frames(["x", "y"]))
    with place.load().run("metals/cu/one").start() as ctx:
        ctx.set_result("second", True)
        assert ctx.asset("a").id == asset.id

    again = place.load(plugins=plugins).run("metals/cu/one")
    assert again.asset("a") == asset
    assert again.asset("a").load() == ["x", "y"]


def test_fields_of_a_newer_version_survive(place, plugins, their_run, kind):
    with their_run.start() as ctx:
        ctx.trajectory.save("a", kind.Frames(["x"]))
    key = f"{RUN}/executions/1.end.json"
    end = place.document(key)
    end["assets"][0]["fields"]["thermostat"] = "nose"
    end["assets"][0]["colour"] = "red"
    place.store.write(key, msgspec.json.encode(end))

    known = place.load(plugins=plugins).run("metals/cu/one").asset("a")
    assert (known.frames, known.load()) == (1, ["x"])
    unknown = place.load().run("metals/cu/one").asset("a")
    assert unknown.fields["thermostat"] == "nose"
    assert unknown.record["colour"] == "red"


@pytest.mark.parametrize("damage", [{"frames": "many"}, {}, None, {"frames": None}])
def test_a_record_that_its_kind_does_not_understand_is_kept_as_unknown(place, plugins, their_run, kind, damage):
    with their_run.start() as ctx:
        ctx.trajectory.save("a", kind.Frames(["x"]))
    key = f"{RUN}/executions/1.end.json"
    end = place.document(key)
    end["assets"][0]["fields"] = damage
    place.store.write(key, msgspec.json.encode(end))

    found = place.load(plugins=plugins).run("metals/cu/one").asset("a")
    assert isinstance(found, me.UnknownAsset)
    assert found.read_bytes() == b"x\n"
    assert len(place.load(plugins=plugins).catalog.assets()) == 1
