"""Large files are copied whole, as they were when they were read, and their record says what lies there."""

from __future__ import annotations

import os
import threading
import tracemalloc
from array import array
from hashlib import sha256
from typing import Any

import pytest

import molexp as me
from molexp.contracts import AssetKind, NoFields
from molexp.hookspecs import hookimpl

PIECE = 1 << 17
SMALL = 1 << 20
SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, SMALL, SMALL + 1, 3 * SMALL + 5]


def content(size):
    """Return bytes of which no two pieces are equal."""
    numbers = array("I", range(size // 4 + 1))
    return numbers.tobytes()[:size]


def hash_of(data):
    return f"sha256:{sha256(data).hexdigest()}"


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_any_size_is_saved_imported_and_downloaded(place, run, tmp_path, size):
    data = content(size)
    source = tmp_path / "source.bin"
    source.write_bytes(data)
    told: list[int] = []
    with run.start() as ctx:
        saved = ctx.artifact.save("saved.bin", source)
        with ctx.artifact.writing("written.bin") as path:
            path.write_bytes(data)
        run.experiment.data_assets.import_asset("imported", source, progress=told.append)

    assets = [run.asset(name) for name in ("saved.bin", "written.bin", "imported")]
    assert [(asset.size, asset.content_hash) for asset in assets] == [(size, hash_of(data))] * 3
    assert saved.content_hash == hash_of(data)
    assert sum(told) == size
    for number, asset in enumerate(assets):
        fetched: list[int] = []
        assert asset.download(tmp_path / f"{number}.bin", progress=fetched.append).read_bytes() == data
        assert sum(fetched) == size


def test_a_sparse_file_is_saved_with_its_zeros(lab_run, tmp_path):
    source = tmp_path / "sparse.bin"
    with source.open("wb") as file:
        file.write(b"begin")
        file.truncate(5 * SMALL)
        file.seek(4 * SMALL)
        file.write(b"amid")
    with lab_run.start() as ctx:
        asset = ctx.artifact.save("sparse.bin", source)
    assert asset.read_bytes() == source.read_bytes()
    assert asset.content_hash == hash_of(source.read_bytes())


@pytest.mark.parametrize("change", ["grows", "is overwritten", "shrinks"])
def test_of_a_file_that_changes_meanwhile_the_record_says_what_was_copied(lab_exp, tmp_path, change):
    """Nobody can have all of it as it was at one time, but the record is true of what lies in the workspace."""
    source = tmp_path / "source.bin"
    source.write_bytes(content(3 * SMALL))
    told: list[int] = []

    def changed(count):
        if not told:
            with source.open("r+b") as file:
                if change == "grows":
                    file.seek(0, os.SEEK_END)
                    file.write(b"more" * SMALL)
                elif change == "is overwritten":
                    file.write(b"\xff" * (3 * SMALL))
                else:
                    file.truncate(SMALL)
        told.append(count)

    asset = lab_exp.data_assets.import_asset("data", source, progress=changed)
    assert asset.size == sum(told)
    assert asset.content_hash == hash_of(asset.path.read_bytes())


def test_a_copy_that_is_ended_leaves_nothing(lab, lab_exp, tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(content(3 * SMALL))

    def enough(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lab_exp.data_assets.import_asset("data", source, progress=enough)
    assert [entry.key for entry in lab.store.list() if "data" in entry.key and not entry.key.endswith(".json")] == []
    assert [*lab.store.leftovers(-1)] == []


class Pieces(AssetKind[Any, NoFields]):
    """Lists of buffers, one after the other; what can be called is called."""

    name = "pieces"

    def save(self, obj, sink):
        with sink.open() as stream:
            size = 0
            for piece in obj:
                if callable(piece):
                    piece()
                else:
                    size += memoryview(piece).nbytes
                    assert stream.write(piece) == memoryview(piece).nbytes
                assert stream.tell() == size
        return NoFields()

    def load(self, source):
        with source.open() as stream:
            return stream.read()


class Plugin:
    @hookimpl
    def molexp_register_asset_kinds(self):
        return [Pieces]


PLUGIN = me.PluginManager(extra=[Plugin()])


@pytest.mark.parametrize("before", [[], [b"little"], [bytes(SMALL - 1)]], ids=["nothing", "little", "much"])
def test_buffers_of_any_size_arrive_in_their_order(place, before):
    large = content(3 * SMALL + 5)
    numbers = array("d", range(SMALL // 4))
    rows = memoryview(content(4 * SMALL)).cast("B", (2 * SMALL, 2))
    pieces = [
        *before,
        bytearray(large),
        b"",
        b"1",
        numbers,
        memoryview(large)[::2],
        rows,
        b"2" * SMALL,
        memoryview(b"3"),
    ]
    with place.workspace(plugins=PLUGIN).Project("p").Experiment("e").Run(id="one").start() as ctx:
        asset = ctx.pieces.save("data", pieces)
    assert asset.load() == b"".join(bytes(piece) for piece in pieces)
    assert asset.content_hash == hash_of(asset.load())
    assert asset.size == len(asset.load())


def test_of_a_buffer_that_changes_meanwhile_the_record_says_what_was_written(lab):
    buffer = bytearray(24 * SMALL)
    stop = threading.Event()

    def change():
        while not stop.is_set():
            buffer[::4096] = bytes([buffer[0] ^ 1]) * (len(buffer) // 4096)

    thread = threading.Thread(target=change)
    with lab.workspace(plugins=PLUGIN).Project("p").Experiment("e").Run(id="one").start() as ctx:
        thread.start()
        try:
            asset = ctx.pieces.save("data", [buffer])
        finally:
            stop.set()
            thread.join()
    assert asset.content_hash == hash_of(asset.path.read_bytes())


@pytest.mark.parametrize("fault", ["raises", "is interrupted"])
def test_a_large_save_that_fails_leaves_nothing_and_no_thread(lab, fault):
    ws = lab.workspace(plugins=PLUGIN)
    threads = threading.active_count()

    def fail():
        raise ZeroDivisionError if fault == "raises" else KeyboardInterrupt

    with ws.Project("p").Experiment("e").Run(id="one").start() as ctx:
        with pytest.raises((ZeroDivisionError, KeyboardInterrupt)):
            ctx.pieces.save("data", [content(24 * SMALL), fail, content(24 * SMALL)])
        assert threading.active_count() == threads
        assert ctx.pieces.save("data", [b"again"]).load() == b"again"
    assert [asset.name for asset in ws.run("p/e/one").assets] == ["data"]
    assert [*lab.store.leftovers(-1)] == []


def test_of_a_large_buffer_only_pieces_are_copied_where_no_thread_hashes_it(lab, monkeypatch):
    buffer = memoryview(content(40 * SMALL))

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with lab.workspace(plugins=PLUGIN).Project("p").Experiment("e").Run(id="one").start() as ctx:
        ctx.pieces.save("first", [b"imports what is needed"])
        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", refuse)
            tracemalloc.start()
            try:
                asset = ctx.pieces.save("data", [buffer])
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
    assert asset.content_hash == hash_of(buffer)
    assert peak < 20 * SMALL


def test_what_only_makes_a_large_save_faster_may_be_missing(lab, script):
    """A program without ctypes, and with no descriptor left but that of the file itself."""
    done = script(
        f"""
        import os, resource, sys
        import molexp as me
        from molexp.contracts import AssetKind, NoFields
        from molexp.hookspecs import hookimpl

        sys.modules["ctypes"] = None

        class Large(AssetKind):
            name = "large"
            def save(self, obj, sink):
                with sink.open() as stream:
                    stream.write(obj[:1])
                    stream.write(obj[1:])
                return NoFields()
            def load(self, source):
                return source.open().read()

        class Plugin:
            @hookimpl
            def molexp_register_asset_kinds(self):
                return [Large]

        ws = me.Workspace({lab.url!r}, plugins=me.PluginManager(extra=[Plugin()]))
        with ws.Project("p").Experiment("e").Run().start() as ctx:
            ctx.large.save("first", bytes({SMALL} * 17))
            limits, taken = resource.getrlimit(resource.RLIMIT_NOFILE), os.dup(0)
            os.close(taken)
            resource.setrlimit(resource.RLIMIT_NOFILE, (taken + 1, limits[1]))
            second = ctx.large.save("second", bytes({SMALL} * 2))
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            print(second.content_hash)
        """
    )
    assert (done.out.split(), done.err) == ([hash_of(bytes(SMALL * 2))], "")
