"""Bytes that are not the recorded ones are noticed by whoever reads them all; what may differ is told apart."""

from __future__ import annotations

import io
import pickle

import pytest

import molexp as me
from tests.record.helpers import install

KEY = "projects/metals/experiments/cu/runs/one/artifacts/a.txt"


@pytest.fixture
def saved(place, run):
    with run.start() as ctx:
        ctx.artifact.save("a.txt", "what was recorded")
    return place.load().run(run.path).asset("a.txt")


READ = {
    "load": lambda asset: asset.load(),
    "read_bytes": lambda asset: asset.read_bytes(),
}
OTHER = {
    "flipped": b"what was recordet",
    "cut off": b"what was",
    "empty": b"",
    "longer": b"what was recorded, and more",
}


@pytest.mark.parametrize("how", READ)
@pytest.mark.parametrize("what", OTHER)
def test_other_bytes_are_not_taken_for_the_recorded_ones(place, saved, how, what):
    assert READ[how](saved) in ("what was recorded", b"what was recorded")
    place.store.write(KEY, OTHER[what])

    with pytest.raises(me.HashMismatchError, match=r"The bytes of 'a\.txt'") as caught:
        READ[how](saved)

    error = caught.value
    assert error.key == KEY
    assert error.recorded in (saved.content_hash, f"{saved.size} bytes")
    assert error.found not in ("", error.recorded)
    assert "`molexp fsck --read-data`" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    with saved.open() as stream:
        assert stream.read() == OTHER[what], "as it is"


@pytest.mark.parametrize("what", OTHER)
def test_a_local_path_is_refused_where_its_size_or_a_copy_tells(place, saved, what):
    place.store.write(KEY, OTHER[what])
    if "local_path" in place.store.capabilities and what == "flipped":
        assert saved.local().read_bytes() == OTHER[what], "nobody has read it"
        return

    with pytest.raises(me.HashMismatchError):
        saved.local()


def test_what_is_large_is_checked_as_it_is_read(place, run):
    data = bytes(range(256)) * 10_000
    with run.start() as ctx:
        ctx.artifact.save("a.txt", data)
    asset = place.load().run(run.path).asset("a.txt")
    assert asset.load() == data
    place.store.write(KEY, data[:-1] + b"\0")

    with pytest.raises(me.HashMismatchError):
        asset.load()


STREAM = """
    from molexp.contracts import AssetKind, NoFields
    from molexp.hookspecs import hookimpl

    class StreamKind(AssetKind):
        name = "stream"

        def save(self, obj, sink):
            sink.write(obj)
            return NoFields()

        def load(self, source):
            return source.open()

    @hookimpl
    def molexp_register_asset_kinds():
        return [StreamKind]
"""


def test_a_kind_reads_from_a_stream_like_any_other(lab, tmp_path, monkeypatch):
    """It may go to and fro, ask for the descriptor, and read a part: only what is read in order to its end is checked."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    ws = lab.workspace(plugins=install(tmp_path / "site", "molexp-stream", STREAM))
    with ws.Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        asset = ctx.stream.save("a", b"0123456789" * 100_000)

    with asset.load() as stream:
        assert stream.read(10) == b"0123456789"
        assert stream.seek(-4, io.SEEK_END) == 999_996
        assert stream.read() == b"6789"
        assert stream.seek(0) == stream.tell() == 0
        assert len(stream.read()) == 1_000_000
        assert isinstance(stream.fileno(), int)
    lab.store.write(asset.key, b"x" * 1_000_000)
    with asset.load() as stream:
        assert stream.read(10) == b"x" * 10
    with asset.load() as stream, pytest.raises(me.HashMismatchError):
        while stream.read(999):
            pass


def test_a_name_that_was_saved_again_is_read_as_it_is_now(place, run):
    with run.start() as ctx:
        first = ctx.artifact.save("a.txt", "first")
        ctx.flush()
        seen = place.load().run(run.path).asset("a.txt")
        ctx.artifact.save("a.txt", "second, which is longer")
        ctx.flush()
        assert seen.load() == first.load() == "second, which is longer"
    assert seen.read_bytes() == b"second, which is longer"
    place.store.write(KEY, b"neither")
    with pytest.raises(me.HashMismatchError):
        seen.load()


def test_what_came_late_to_a_log_is_no_damage(place, run):
    with run.start() as ctx:
        ctx.log("train").append("one")
        ctx.metrics.log(loss=1)
    log = place.load().run(run.path).asset("train")
    place.store.write(log.key, b"one\nlate\n")
    assert log.load() == "one\nlate\n"
    place.store.write(log.key, b"onx\nlate\n")
    with pytest.raises(me.HashMismatchError):
        log.load()


def test_what_changes_outside_is_told_and_read(lab, lab_exp, tmp_path):
    outside = tmp_path / "shared.txt"
    outside.write_bytes(b"then")
    data = lab_exp.data_assets.import_asset("shared", outside, action="symlink")
    outside.write_bytes(b"now, and longer")

    for read in (data.read_bytes, lambda: data.load().read_bytes(), lambda: data.local().read_bytes()):
        with pytest.warns(UserWarning, match="'shared' lie outside of the workspace.*import them again"):
            assert read() == b"now, and longer"


def test_a_log_that_is_still_being_written_is_read(place, run):
    with run.start() as ctx:
        ctx.log("train").append("one")
        ctx.flush()
        log = place.load().run(run.path).asset("train")
        ctx.log("train").append("two")
        ctx.flush()
        assert log.load() == "one\ntwo\n"
