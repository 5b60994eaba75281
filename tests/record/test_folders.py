"""A kind whose payload is a folder: its files are saved as one, hashed as one, and read as one."""

from __future__ import annotations

import importlib
import os
import resource
import sys
import threading
from pathlib import Path

import pytest

import molexp as me
from molexp.errors import InvalidNameError
from tests.record.helpers import DEADLINE, Place, install
from tests.servers.fixtures import moto

__all__ = ["moto"]

GRID = """
    from pathlib import Path
    from dataclasses import dataclass
    from molexp.contracts import AssetKind, NoFields
    from molexp.hookspecs import hookimpl

    @dataclass(frozen=True)
    class Fields:
        chunks: int = 0

    class Grid(dict):
        pass

    class GridKind(AssetKind[Grid, Fields]):
        name, suffix, payload = "grid", ".grid", "folder"
        types = ("molexp_grids.Grid",)

        def save(self, obj, sink):
            with sink.folder() as folder:
                for name, data in obj.items():
                    path = folder / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    data(path) if callable(data) else path.write_bytes(data)
            getattr(obj, "afterwards", lambda: None)()
            return Fields(len(obj))

        def load(self, source):
            root = source.path()
            return Grid((p.relative_to(root).as_posix(), p.read_bytes()) for p in sorted(root.rglob("*")) if p.is_file())

    class FileOfFolder(GridKind):
        name, payload, types = "wrong", "file", ()

    class Plain(GridKind):
        name, types, fields = "plain", (), NoFields

    class FolderOfFile(GridKind):
        name, types = "crossed", ()

        def save(self, obj, sink):
            sink.write(b"")
            return Fields()

    @hookimpl
    def molexp_register_asset_kinds():
        return [GridKind, FileOfFolder, Plain, FolderOfFile]
"""
FILES = {"zarr.json": b"{}", "c/0/0": b"\0" * 100, "c/0/1": b"\1" * (3 << 20), "c/Ångström": b""}
KEY = "projects/p/experiments/e/runs/r/artifacts/density.grid"


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield install(tmp_path / "site", "molexp-grids", GRID)
    sys.modules.pop("molexp_grids", None)


@pytest.fixture
def grid(plugins):
    return importlib.import_module("molexp_grids").Grid


@pytest.fixture
def their_run(place, plugins):
    return place.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r")


def test_a_folder_is_saved_found_and_loaded(place, plugins, their_run, grid, tmp_path):
    with their_run.start() as ctx:
        saved = ctx.save("density", grid(FILES))
        assert ctx.grid.load("density") == FILES

    asset = place.load(plugins=plugins).run("p/e/r").asset("density")
    assert (asset, asset.key, asset.size, asset.fields.chunks) == (saved, saved.key, 102 + (3 << 20), 4)
    assert (
        asset.key == KEY or "append" not in place.store.capabilities
    )  # there, files wait in a spool, and nobody asks for it
    assert {stat.key: stat.size for stat in place.store.list(asset.key)} == {
        f"{asset.key}/{n}": len(d) for n, d in FILES.items()
    }
    assert asset.load() == FILES
    copy = asset.download(tmp_path / "copy")
    assert {str(p.relative_to(copy)): p.read_bytes() for p in copy.rglob("*") if p.is_file()} == FILES
    assert place.load(plugins=plugins).fsck(read_data=True).findings == ()


def test_the_hash_is_of_names_and_bytes_in_whatever_order_they_were_written(their_run, grid):
    with their_run.start() as ctx:
        one = ctx.grid.save("one", grid(FILES))
        two = ctx.grid.save("two", grid(reversed(FILES.items())))
        renamed = ctx.grid.save(
            "three", grid({"other.json": b"{}", **{n: d for n, d in FILES.items() if n != "zarr.json"}})
        )
    assert one.content_hash == two.content_hash != renamed.content_hash
    assert one.content_hash.startswith("sha256-tree:")


def test_the_record_is_of_what_was_put_though_a_program_still_writes(place, plugins, their_run, grid):
    opened = []
    still = grid({"a": lambda path: opened.append(path.open("wb", buffering=0)), "b": b"1"})
    still.afterwards = lambda: opened[0].write(b"late")
    with their_run.start() as ctx:
        saved = ctx.grid.save("density", still)
    opened[0].write(b", and later")
    opened[0].close()
    assert (saved.size, saved.load()) == (5, {"a": b"late", "b": b"1"})
    assert place.load(plugins=plugins).fsck(read_data=True).findings == ()


def test_it_has_no_bytes_as_one_stream(their_run, grid):
    with their_run.start() as ctx:
        asset = ctx.grid.save("density", grid(FILES))
        for read in (asset.open, asset.read_bytes):
            with pytest.raises(IsADirectoryError, match="download it"):
                read()


def test_where_its_kind_is_not_installed_it_is_a_folder_all_the_same(place, their_run, grid, tmp_path):
    with their_run.start() as ctx:
        ctx.grid.save("density", grid(FILES))
    unknown = place.load().run("p/e/r").asset("density")
    assert isinstance(unknown, me.UnknownAsset)
    assert (unknown.local() / "c" / "0" / "0").read_bytes() == FILES["c/0/0"]
    assert (unknown.download(tmp_path / "d") / "zarr.json").read_bytes() == b"{}"


def test_a_name_saved_again_has_both_versions(place, plugins, their_run, grid):
    with their_run.start() as ctx:
        for text in (b"1", b"2", b"3"):
            ctx.grid.save("density", grid({"a": text}))
        assert ctx.grid.load("density") == {"a": b"3"}
    run = place.load(plugins=plugins).run("p/e/r")
    assert [(asset.version, asset.load()["a"]) for asset in run.assets] == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert run.asset("density").version == 3
    assert all(asset.key.count("/") <= KEY.count("/") + 1 for asset in run.assets)
    assert place.load(plugins=plugins).fsck(read_data=True).findings == ()


def test_files_of_a_save_that_was_killed_are_not_mixed_with_a_later_one(place, plugins, their_run, grid):
    place.store.create(f"{KEY}/left-over", b"of somebody who was killed")
    with their_run.start() as ctx:
        saved = ctx.grid.save("density", grid({"a": b"1"}))
        assert saved.key != KEY
        assert ctx.grid.load("density") == {"a": b"1"}


def test_a_file_that_is_missing_too_many_or_another_is_noticed(place, plugins, their_run, grid):
    with their_run.start() as ctx:
        key = ctx.grid.save("density", grid(FILES)).key
    for name, data, said in (
        (f"{key}/c/0/0", b"\1" * 100, "its bytes are"),
        (f"{key}/zarr.json", b"{}?", "bytes, and the record of"),
        (f"{key}/more", b"", "its bytes are"),
    ):
        before = place.store.read(name) if place.store.exists(name) else None
        place.store.write(name, data)
        (finding,) = place.load().fsck(read_data=True).findings
        assert (finding.key, said in finding.what) == (key, True), finding
        if said != "its bytes are":
            with pytest.raises(me.HashMismatchError):
                place.load(plugins=plugins).run("p/e/r").asset("density").load()
        place.store.write(name, before) if before is not None else place.store.delete(name)
    for stat in list(place.store.list(key)):
        place.store.delete(stat.key)
    (finding,) = place.load().fsck().findings
    assert "are gone" in finding.what
    with pytest.raises(me.KeyNotFoundError):
        place.load(plugins=plugins).run("p/e/r").asset("density").load()


def test_a_sync_brings_the_files_and_reports_those_that_are_gone(place, plugins, their_run, grid, tmp_path):
    with their_run.start() as ctx:
        key = ctx.grid.save("density", grid(FILES)).key
    report = me.sync_workspace(place.load(), tmp_path / "copy")
    assert report.ok, report
    assert me.Workspace.load(tmp_path / "copy", plugins=plugins).run("p/e/r").asset("density").load() == FILES

    for stat in list(place.store.list(key)):
        place.store.delete(stat.key)
    report = me.sync_workspace(place.load(), tmp_path / "other")
    assert [finding.key for finding in report.unreadable] == [key]


def test_a_task_that_runs_elsewhere_has_its_folder_apart(place, plugins, their_run, grid):
    with their_run.start() as ctx:
        ctx._assets.writer.suffix = "w1"  # as the writer of a worker has
        saved = ctx.grid.save("density", grid({"a": b"1"}))
    assert saved.key != KEY
    assert saved.load() == {"a": b"1"}


REFUSED = {
    "a link": ({"a": lambda path: path.symlink_to("/etc/passwd")}, ValueError, "'a' of 'density' is a link"),
    "a linked folder": ({"x/a": lambda path: path.symlink_to("/etc")}, ValueError, "'x/a' of 'density' is a link"),
    "a pipe": ({"a": os.mkfifo}, ValueError, "is a link, a pipe or a device"),
    "names that differ in case": ({"a/B": b"", "a/b": b""}, InvalidNameError, "some systems take it for 'a/B'"),
    "a name that no Windows has": ({"a/CON": b""}, InvalidNameError, "a/CON"),
    "a control character": ({"a\nb": b""}, InvalidNameError, "control"),
    "a name in another form": ({"A\u030angstrom": b""}, InvalidNameError, "form NFC"),
    "nothing": ({}, FileNotFoundError, "'density' has no content to save"),
    "only empty folders": ({"a/b": lambda path: path.mkdir()}, FileNotFoundError, "has no content to save"),
    "an error": ({"a": b"1", "b": lambda path: 1 / 0}, ZeroDivisionError, "division"),
}


@pytest.mark.parametrize(("files", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_what_no_workspace_can_hold_is_refused_and_nothing_is_left(lab, plugins, grid, files, error, said):
    with lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r").start() as ctx:
        before = lab.everything().keys()
        with pytest.raises(error, match=said):
            ctx.grid.save("density", grid(files))
        assert lab.everything().keys() == before
        assert ctx.grid.save("density", grid({"x/y": b"1", "x/z": lambda path: path.mkdir()})).key == KEY
    assert [stat.key for stat in lab.store.list(KEY)] == [f"{KEY}/x/y"]


def test_of_a_folder_that_could_not_be_put_as_a_whole_nothing_is_left(place, plugins, their_run, grid):
    """A file goes while the others are being put."""
    paths = []

    def written(path):
        path.write_bytes(b"2")
        paths.append(path)

    broken = grid({"a": b"1", "b": written, "c": b"3"})
    broken.afterwards = lambda: [path.unlink() for path in paths]
    with their_run.start() as ctx:
        with pytest.raises(FileNotFoundError):
            ctx.grid.save("density", broken)
        saved = ctx.grid.save("density", grid({"x": b"1"}))

    assert [stat.key for stat in place.store.list(KEY.removesuffix("/density.grid"))] == [f"{saved.key}/x"]
    assert place.load(plugins=plugins).fsck(read_data=True).findings == ()


def test_a_kind_says_whether_it_writes_a_file_or_a_folder(lab, plugins, grid):
    with lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r").start() as ctx:
        with pytest.raises(TypeError, match="payload = 'folder'"):
            ctx.wrong.save("a", grid(FILES))
        with pytest.raises(TypeError, match=r"sink.folder\(\)"):
            ctx.crossed.save("a", grid(FILES))


def test_a_program_writes_into_a_folder_that_becomes_an_asset(lab, plugins, grid):
    with lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r").start() as ctx:
        with ctx.plain.writing("density") as folder:
            assert isinstance(folder, Path)
            (folder / "a").write_bytes(b"1")
        assert ctx.plain.load("density") == {"a": b"1"}


def test_what_a_failed_save_left_in_the_spool_is_no_part_of_the_next_one(moto, plugins, grid, monkeypatch):
    bucket = moto.fresh()
    place = Place(bucket.url, bucket.storage_options)
    before, later = resource.getrlimit(resource.RLIMIT_FSIZE), threading.Event()
    send = type(place.store).put_file

    def large(path):
        path.write_bytes(bytes(3 << 20))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))  # as if the disk were full from now on

    def slowly(self, path, key, **options):
        assert not key.endswith("/a") or later.wait(DEADLINE)
        send(self, path, key, **options)

    monkeypatch.setattr(type(place.store), "put_file", slowly)
    with place.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r").start() as ctx:
        try:
            with pytest.raises(me.StoreError):
                ctx.grid.save("density", grid({"a": b"1", "b": large}))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        ctx.grid.save("density", grid({"c": b"3"}))
        later.set()
    asset = place.load(plugins=plugins).run("p/e/r").asset("density")
    assert (asset.load(), asset.size) == ({"c": b"3"}, 1)
