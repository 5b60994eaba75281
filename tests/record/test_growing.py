"""A kind that grows by items: what was flushed is recorded, and survives the death of the process."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
import tracemalloc
from textwrap import dedent

import pytest

import molexp as me
from molexp.contracts import Merges
from molexp.plugins import PluginWarning
from tests.record.helpers import Place, install
from tests.servers.fixtures import moto, proxied

__all__ = ["moto", "proxied"]

SERIES = """
    import os, signal
    from dataclasses import dataclass
    from molexp.contracts import AssetKind
    from molexp.hookspecs import hookimpl

    @dataclass(frozen=True)
    class Fields:
        items: int
        last: float

    class Items:
        def __init__(self):
            self.count, self.last = 0, None

        def append(self, item):
            self.count, self.last = self.count + 1, float(item)
            if self.last == -7:
                os.kill(os.getpid(), signal.SIGINT)
            if self.last == -8:
                return "no bytes"
            return f"{float(item)!r}\\n".encode()

        def fields(self):
            if self.last == -9:
                raise ValueError("no fields")
            return Fields(self.count, self.last)

    class Series(AssetKind[list[float], Fields]):
        name, suffix = "series", ".txt"

        def growing(self):
            return Items()

        def save(self, obj, sink):
            sink.write("".join(f"{item!r}\\n" for item in obj).encode())
            return Fields(len(obj), obj[-1])

        def load(self, source):
            assert source.path().read_bytes() == source.open().read()
            with source.open() as stream:
                assert stream.seek(0, 2) == stream.tell()
                stream.seek(0)
                return [float(line) for line in stream]

        def merge(self, parts):
            return [item for part in parts for item in part]

    @hookimpl
    def molexp_register_asset_kinds():
        return [Series]
"""
KEY = "projects/p/experiments/e/runs/r/artifacts/md.txt"


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield install(tmp_path / "site", "molexp-series", SERIES)
    sys.modules.pop("molexp_series", None)


@pytest.fixture
def their_run(place, plugins):
    return place.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r")


def found(place, plugins, name="md"):
    return place.load(plugins=plugins).run("p/e/r").asset(name)


def test_it_is_one_asset_of_all_items(place, plugins, their_run):
    with their_run.start() as ctx, ctx.series.growing("md", tags=["raw"]) as items:
        for item in range(1000):
            items.append(item)
    asset = found(place, plugins)
    assert (asset.key, asset.fields.items, asset.fields.last, asset.tags, asset.version) == (KEY, 1000, 999, {"raw"}, 1)
    assert asset.load() == [float(item) for item in range(1000)]
    assert asset.size == asset.grown == len(asset.read_bytes())
    assert place.load().fsck(read_data=True).findings == ()
    (row,) = place.load(plugins=plugins).catalog.assets("items > 999")
    assert row == asset


def test_every_flush_records_what_is_there(place, plugins, their_run):
    with their_run.start() as ctx, ctx.series.growing("md", every=3600) as items:
        seen = []
        for item in range(3):
            items.append(item)
            seen.append(ctx.asset("md").fields.items)
        items.flush()
        seen.append(ctx.asset("md").fields.items)
        assert ctx.series.load("md") == [0, 1, 2]
    assert seen == [1, 1, 1, 3]


def test_with_every_0_each_item_is_recorded(their_run):
    with their_run.start() as ctx, ctx.series.growing("md", every=0) as items:
        for item in range(3):
            items.append(item)
            assert ctx.series.load("md") == [*range(item + 1)]


def test_what_was_appended_before_an_error_is_recorded(place, plugins, their_run):
    with pytest.raises(ZeroDivisionError), their_run.start() as ctx, ctx.series.growing("md", every=3600) as items:
        items.append(1)
        items.append(2)
        items.append(1 / 0)
    assert found(place, plugins).load() == [1, 2]


def test_a_run_that_ends_within_the_block_has_recorded_all(place, plugins, their_run):
    ctx = their_run.start()
    growing = ctx.series.growing("md", every=3600)
    items = growing.__enter__()
    items.append(1)
    items.append(2)
    ctx.finish()
    with pytest.raises(me.RunError):
        items.append(3)
    assert found(place, plugins).load() == [1, 2]
    assert found(place, plugins).fields.items == 2
    assert place.load().fsck(read_data=True).findings == ()


def test_an_item_that_cannot_be_encoded_is_left_out(their_run):
    with their_run.start() as ctx, ctx.series.growing("md") as items:
        items.append(1)
        with pytest.raises(ValueError, match="could not convert"):
            items.append("text")
        items.append(2)
        items.flush()
        assert ctx.series.load("md") == [1, 2]


INTERRUPTS, NO_BYTES, NO_FIELDS = -7, -8, -9


def test_after_ctrl_c_amid_an_item_the_record_is_of_the_items_that_are_there(place, plugins, their_run):
    with (
        pytest.raises(KeyboardInterrupt),
        their_run.start() as ctx,
        ctx.series.growing("md", every=3600) as items,
    ):
        for item in (1, 2, 3, INTERRUPTS):
            items.append(item)
    asset = found(place, plugins)
    assert (asset.fields.items, asset.fields.last, asset.load()) == (3, 3, [1, 2, 3])
    assert place.load().fsck(read_data=True).findings == ()


def test_after_an_item_that_is_counted_and_not_there_it_grows_no_more(place, plugins, their_run):
    with their_run.start() as ctx, ctx.series.growing("md", every=3600) as items:
        items.append(1)
        items.append(2)
        with pytest.raises(TypeError):
            items.append(NO_BYTES)
        with pytest.raises(me.StoreError, match="it grows no more"):
            items.append(4)
    asset = found(place, plugins)
    assert (asset.fields.items, asset.load()) == (2, [1, 2])
    assert place.load().fsck(read_data=True).findings == ()


def test_a_kind_whose_fields_fail_leaves_nothing_and_the_name_is_free(place, plugins, their_run):
    with their_run.start() as ctx:
        with pytest.raises(ValueError, match="no fields"), ctx.series.growing("md") as items:
            items.append(NO_FIELDS)
        with ctx.series.growing("md") as items:
            items.append(1)
    assert [asset.load() for asset in place.load(plugins=plugins).run("p/e/r").assets] == [[1]]
    assert place.load().fsck(read_data=True).findings == ()


def test_a_kind_whose_fields_fail_at_the_end_prevents_no_end(place, plugins, their_run):
    ctx = their_run.start()
    growing = ctx.series.growing("md", every=3600)
    items = growing.__enter__()
    items.append(1)
    items.append(NO_FIELDS)
    with pytest.warns(PluginWarning, match="The last items of 'md' are not recorded.*ValueError: no fields"):
        ctx.finish("succeeded")
    assert place.load().run("p/e/r").status == "succeeded"
    assert found(place, plugins).load() == [1]
    assert place.load().fsck(read_data=True).findings == ()


@pytest.mark.filterwarnings("ignore::molexp.plugins.PluginWarning")
def test_a_kind_whose_fields_fail_at_the_end_of_the_block_frees_the_name(place, plugins, their_run):
    with their_run.start() as ctx:
        with pytest.raises(ValueError, match="no fields"), ctx.series.growing("md", every=3600) as items:
            items.append(1)
            items.append(NO_FIELDS)
        with ctx.series.growing("md") as items:
            items.append(3)
    assert [asset.load() for asset in place.load(plugins=plugins).run("p/e/r").assets] == [[1], [3]]


def test_without_an_item_there_is_no_asset_and_the_name_is_free(place, plugins, their_run):
    with their_run.start() as ctx:
        with ctx.series.growing("md"):
            pass
        assert ctx.find_asset("md") is None
        ctx.artifact.save("md.txt", "text")
    assert place.load().fsck().findings == ()


def test_after_its_block_it_grows_no_more_and_the_name_begins_a_version(place, plugins, their_run):
    with their_run.start() as ctx:
        with ctx.series.growing("md") as items:
            items.append(1)
            with pytest.raises(me.AssetError, match="which is growing"), ctx.series.growing("md"):
                pass
        with pytest.raises(me.RunError, match="grows no more"):
            items.append(2)
        with ctx.series.growing("md") as items:
            items.append(3)
    assets = place.load(plugins=plugins).run("p/e/r").assets
    assert [(asset.version, asset.load()) for asset in assets] == [(1, [1]), (2, [3])]
    assert found(place, plugins).load() == [3]
    assert place.load().fsck(read_data=True).findings == ()


def test_each_attempt_has_its_part_and_loading_joins_them(place, plugins, their_run):
    for first in (1, 3):
        with their_run.start() as ctx, ctx.series.growing("md") as items:
            items.append(first)
            items.append(first + 1)
    assert found(place, plugins).load() == [1, 2, 3, 4]
    assert [part.load() for part in found(place, plugins).earlier] == [[1, 2]]
    with their_run.start(fresh=True) as ctx, ctx.series.growing("md") as items:
        items.append(5)
    assert found(place, plugins).load() == [5]
    with their_run.start() as ctx:
        ctx.series.save("md", [6.0])
    assert found(place, plugins).load() == [6]


def test_given_fields_are_checked_before_there_is_anything(place, their_run):
    with their_run.start() as ctx:
        with pytest.raises(TypeError, match="no field 'lst' of series 'md'"), ctx.series.growing("md", lst=1):
            pass
        with pytest.raises(me.NoKindError, match=r"ctx\.artifact\.save"), ctx.artifact.growing("md"):
            pass
        with ctx.series.growing("md", last=-1.0) as items:
            items.append(3)
        assert ctx.asset("md").fields.last == -1


def test_memory_does_not_grow_with_the_items(lab, plugins):
    run = lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r")
    with run.start() as ctx, ctx.series.growing("md", every=0.01) as items:
        items.append(0)
        tracemalloc.start()
        for item in range(100_000):
            items.append(item)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2_000_000
    assert lab.load(plugins=plugins).run("p/e/r").asset("md").fields.items == 100_001


@pytest.mark.parametrize("every", [0, 3600])
def test_a_copy_that_is_made_while_it_grows_has_the_items_that_were_flushed(lab, copy, plugins, every):
    run = lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r")
    with run.start() as ctx, ctx.series.growing("md", every=every) as items:
        for last in (1, 2, 3):
            items.append(last)
            assert me.sync_workspace(lab.url, copy.url).ok
            seen = copy.load(plugins=plugins).run("p/e/r")
            recorded = last if not every else 1
            assert (seen.status, seen.asset("md").fields.items) == ("running", recorded)
            assert seen.asset("md").load() == [*range(1, recorded + 1)]
    assert me.sync_workspace(lab.url, copy.url).ok
    assert copy.load(plugins=plugins).run("p/e/r").asset("md").load() == [1, 2, 3]
    assert copy.load().fsck(read_data=True).findings == ()


def test_it_grows_while_the_network_is_away(moto, proxied, plugins):
    bucket, proxy = proxied(moto.fresh())
    place = Place(bucket.url, {**bucket.storage_options, "retry_timeout": 0.5})
    with place.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r").start() as ctx:
        with ctx.series.growing("md", every=0) as items:
            items.append(1)
            proxy.down()
            items.append(2)
            assert ctx.series.load("md") == [1, 2]
            with pytest.raises(me.StoreError):
                items.flush()
            items.append(3)
        proxy.up()
    assert (found(place, plugins).load(), found(place, plugins).fields.items) == ([1, 2, 3], 3)


def test_on_s3_it_is_sent_when_that_is_asked_for_and_survives_kill_9_here(moto, plugins, tmp_path):
    bucket = moto.fresh()
    place = Place(bucket.url, bucket.storage_options)
    code = """
        import json, os, signal, sys
        import molexp as me
        from molexp.plugins import PluginManager

        installed = [*sys.path]
        sys.path.append("site")
        import molexp_series

        workspace = me.Workspace(
            sys.argv[1], storage_options=json.loads(sys.argv[2]), plugins=PluginManager(path=installed, extra=[molexp_series])
        )
        with workspace.Project("p").Experiment("e").Run(id="r").start() as ctx, ctx.series.growing("md", every=0) as items:
            for item in range(100):
                items.append(item)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", dedent(code), place.url, json.dumps(place.options)]
    done = subprocess.run(command, check=False, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    assert not place.store.exists(KEY)  # it is in the spool

    run = place.load(plugins=plugins).run("p/e/r")
    assert run.status == "interrupted"
    assert (run.asset("md").fields.items, run.asset("md").load()) == (100, [*map(float, range(100))])
    assert place.load().fsck(read_data=True).findings == ()


def test_in_memory_the_items_are_dropped():
    ctx = me.Context()
    with ctx.series.growing("md") as items:
        items.append(1)
        items.flush()


def test_what_was_flushed_survives_kill_9(lab, plugins, script, tmp_path):
    done = script(
        """
        import os, signal, sys
        import molexp as me
        from molexp.plugins import PluginManager

        installed = [*sys.path]
        sys.path.append("site")
        import molexp_series

        workspace = me.Workspace(os.environ["LAB"], plugins=PluginManager(path=installed, extra=[molexp_series]))
        with workspace.Project("p").Experiment("e").Run(id="r").start() as ctx, ctx.series.growing("md", every=3600) as items:
            for item in range(500):
                items.append(item)
            items.flush()
            items.append(500)
            with open(ctx.asset("md").path, "ab") as file:
                file.write(b"half an it")
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert done.code == -signal.SIGKILL, done

    run = lab.load(plugins=plugins).run("p/e/r")
    assert run.status == "interrupted"
    for workspace in (lab.load(plugins=plugins), lab.load(plugins=plugins)):
        asset = workspace.run("p/e/r").asset("md")
        assert (asset.fields.items, asset.load()) == (500, [float(item) for item in range(500)])
    with lab.workspace(plugins=plugins).run("p/e/r").start() as ctx, ctx.series.growing("md") as items:
        items.append(-1)
    assert lab.load(plugins=plugins).run("p/e/r").asset("md").load() == [*map(float, range(500)), -1]
    assert lab.load(plugins=plugins).fsck(read_data=True).findings == ()


def test_a_kind_that_merges_says_so(plugins):
    assert issubclass(importlib.import_module("molexp_series").Series, Merges)
