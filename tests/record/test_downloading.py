"""Copies of assets outside of the workspace: whole and verified, or not there at all."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import molexp as me

LARGE = bytes(range(256)) * 10_000  # more than one piece


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def asset(exp):
    with exp.Run(id="one").start() as ctx, ctx.artifact.writing("deep/large.bin") as path:
        path.write_bytes(LARGE)
    return exp.run("one").asset("deep/large.bin")


@pytest.fixture
def frames(exp, tmp_path):
    """A folder of data, with small files and a large one."""
    (tmp_path / "frames" / "deep").mkdir(parents=True)
    (tmp_path / "frames" / "a.xyz").write_text("a")
    (tmp_path / "frames" / "deep" / "b.xyz").write_text("bb")
    (tmp_path / "frames" / "deep" / "c.bin").write_bytes(LARGE)
    return exp.data_assets.import_asset("frames", tmp_path / "frames")


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


FRAMES = {"a.xyz": b"a", "deep/b.xyz": b"bb", "deep/c.bin": LARGE}


# ----------------------------------------------------------------------------------------------------- where a copy goes


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("", "large.bin"),
        ("copy.bin", "copy.bin"),
        ("new/copy.bin", "new/copy.bin"),
        ("new/", "new/large.bin"),
    ],
)
def test_a_file_goes_to_a_file_or_into_a_folder(asset, out, given, made):
    told: list[int] = []
    path = asset.download(os.path.join(out, given), progress=told.append)
    assert path == out / made
    assert tree(out) == {made: LARGE}
    assert sum(told) == len(LARGE)


def test_without_a_path_it_goes_to_the_current_folder(asset, out, monkeypatch):
    monkeypatch.chdir(out)
    assert asset.download() == out / "large.bin"
    assert asset.download(Path("a") / "b") == out / "a" / "b"


def test_a_folder_is_a_folder(frames, out):
    told: list[int] = []
    assert frames.download(out, progress=told.append) == out / "frames"
    assert frames.download(out / "other", progress=told.append) == out / "other"
    assert tree(out) == {f"{name}/{key}": data for name in ("frames", "other") for key, data in FRAMES.items()}
    assert sum(told) == 2 * frames.size


def test_an_empty_file(exp, out):
    with exp.Run(id="one").start() as ctx:
        ctx.artifact.save("empty.bin", b"")
    assert exp.run("one").asset("empty.bin").download(out).read_bytes() == b""


@pytest.mark.parametrize("action", ["symlink", "hardlink"])
def test_what_is_linked_is_copied(lab_exp, tmp_path, out, action):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "a.xyz").write_text("a")
    asset = lab_exp.data_assets.import_asset("frames", tmp_path / "frames", action=action)
    copy = asset.download(out)
    assert tree(copy) == {"a.xyz": b"a"}
    assert not copy.is_symlink()
    assert (copy / "a.xyz").stat().st_nlink == 1


# ------------------------------------------------------------------------------------------------------ what is there


def test_nothing_is_replaced_unless_it_is_wanted(asset, frames, out):
    (out / "large.bin").write_text("mine")
    (out / "frames").mkdir()
    (out / "frames" / "mine").write_text("mine")
    for one in (asset, frames):
        before = tree(out)
        with pytest.raises(FileExistsError, match="overwrite=True"):
            one.download(out)
        assert tree(out) == before
        one.download(out, overwrite=True)
    assert tree(out) == {"large.bin": LARGE, **{f"frames/{key}": data for key, data in FRAMES.items()}}


def test_what_came_to_be_there_meanwhile_stays(asset, frames, out):
    for one, name in ((asset, "large.bin"), (frames, "frames")):
        with pytest.raises(FileExistsError):
            one.download(out, progress=lambda _, path=out / name: path.exists() or path.write_text("theirs"))
    assert tree(out) == {"large.bin": b"theirs", "frames": b"theirs"}


def test_a_link_is_replaced_and_not_what_it_leads_to(asset, out):
    (out / "file").write_text("mine")
    (out / "link").symlink_to(out / "file")
    with pytest.raises(FileExistsError):
        asset.download(out / "link")
    asset.download(out / "link", overwrite=True)
    assert tree(out) == {"file": b"mine", "link": LARGE}


def test_a_file_is_no_folder(asset, frames, out):
    (out / "large.bin").mkdir()
    (out / "frames").write_text("mine")
    with pytest.raises(IsADirectoryError):
        asset.download(out, overwrite=True)
    with pytest.raises(NotADirectoryError):
        frames.download(out, overwrite=True)
    with pytest.raises(NotADirectoryError):
        asset.download(out / "frames" / "below")
    assert tree(out) == {"frames": b"mine"}


# ------------------------------------------------------------------------------------------------- whole, or not there


def damaged(place, key):
    """Other bytes of the same size, whatever the storage."""
    store = place.workspace()._session.store
    data = store.read(key)
    store.write(key, data[:-1] + bytes([data[-1] ^ 1]))


def test_other_bytes_than_those_recorded_are_refused(place, asset, frames, out):
    (out / "frames").mkdir()
    damaged(place, asset.key)
    damaged(place, f"{frames.key}/deep/b.xyz")
    for one in (asset, frames):
        with pytest.raises(me.HashMismatchError) as caught:
            one.download(out, overwrite=True)
        assert caught.value.recorded == one.content_hash
        assert caught.value.found.startswith(one.content_hash.partition(":")[0])
        assert caught.value.found in str(caught.value)
        assert caught.value.recorded in str(caught.value)
    assert list(out.rglob("*")) == [out / "frames"]


def test_of_what_lies_outside_the_error_says_so(lab_exp, tmp_path, out):
    (tmp_path / "a").write_text("a")
    asset = lab_exp.data_assets.import_asset("a", tmp_path / "a", action="symlink")
    (tmp_path / "a").write_text("b")
    with pytest.raises(me.HashMismatchError, match="import them again"):
        asset.download(out)


def test_what_was_never_hashed_is_copied_as_it_is(exp, out):
    with exp.Run(id="one").start() as ctx:
        ctx.log("relax").append("first")
        ctx.flush()
        log = exp.run("one").asset("relax")
        assert log.content_hash is None
        assert log.download(out / "log").read_bytes() == b"first\n"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_broken_download_leaves_nothing(asset, frames, out, error):
    def stop(_bytes: int) -> None:
        raise error

    for one, name in ((asset, "large.bin"), (frames, "frames")):
        with pytest.raises(error):
            one.download(out, progress=stop)
        assert not (out / name).exists()
        assert one.download(out) == out / name
    assert all(not path.name.startswith(".") for path in out.iterdir()), "nor anything beside it, once it is there"


def test_what_is_gone_is_not_found(place, asset, frames, out):
    store = place.workspace()._session.store
    for stat in [store.stat(asset.key), *store.list(frames.key)]:
        store.delete(stat.key)
    for one in (asset, frames):
        with pytest.raises(me.KeyNotFoundError):
            one.download(out)
    assert list(out.iterdir()) == []


def test_two_that_download_to_one_path_do_not_disturb_each_other(asset, out):
    inner: list[Path] = []

    def another(_bytes: int) -> None:
        if not inner:
            inner.append(out)
            inner[0] = asset.download(out / "copy")

    asset.download(out / "copy", overwrite=True, progress=another)
    assert inner == [out / "copy"]
    assert tree(out) == {"copy": LARGE}


KILLED = """
import os, signal, sys
import molexp as me
asset = me.Workspace(sys.argv[1]).run("metals/cu/one").asset("deep/large.bin")
asset.download(sys.argv[2], progress=lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_what_a_killed_download_left_is_in_nobodys_way(lab, lab_exp, out):
    with lab_exp.Run(id="one").start() as ctx, ctx.artifact.writing("deep/large.bin") as path:
        path.write_bytes(LARGE)
    done = subprocess.run([sys.executable, "-c", KILLED, lab.url, str(out)], check=False)
    assert done.returncode < 0
    (left,) = out.iterdir()
    assert left.name.startswith(".large.bin.")
    lab_exp.run("one").asset("deep/large.bin").download(out)
    assert list(out.iterdir()) == [out / "large.bin"]


# ---------------------------------------------------------------------------------------------------------- to streams


def test_a_stream_gets_the_bytes(place, asset, frames):
    told: list[int] = []
    stream = io.BytesIO()
    asset.copy_to(stream, progress=told.append)
    assert stream.getvalue() == LARGE
    assert sum(told) == len(LARGE)
    with pytest.raises(IsADirectoryError, match="folder"):
        frames.copy_to(stream)
    damaged(place, asset.key)
    with pytest.raises(me.HashMismatchError):
        asset.copy_to(stream)


# ---------------------------------------------------------------------------------------------------------------- uses


def test_whoever_downloads_uses_it(exp, asset, frames, out):
    with exp.Run(id="two").start():
        asset.download(out)
        frames.download(out)
    with exp.Run(id="three").start():
        asset.copy_to(io.BytesIO())
    assert set(exp.run("two").execution_history[0]["used"]) == {asset.id, frames.id}
    assert exp.run("three").execution_history[0]["used"] == [asset.id]


# -------------------------------------------------------------------------------------------- what goes in is told, too


@pytest.mark.parametrize("action", ["copy", "move"])
def test_an_import_tells_its_pieces(exp, tmp_path, action):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "a").write_bytes(LARGE)
    (tmp_path / "frames" / "b").write_bytes(b"b")
    told: list[int] = []
    asset = exp.data_assets.import_asset("frames", tmp_path / "frames", action=action, progress=told.append)
    assert sum(told) == asset.size == len(LARGE) + 1
    assert len(told) > 2


@pytest.mark.parametrize("action", ["move", "symlink", "hardlink"])
def test_an_import_without_a_copy_tells_what_it_reads(lab_exp, tmp_path, action):
    (tmp_path / "a").write_bytes(LARGE)
    told: list[int] = []
    lab_exp.data_assets.import_asset("a", tmp_path / "a", action=action, progress=told.append)
    assert sum(told) == len(LARGE)


def test_an_import_that_is_ended_leaves_nothing(place, exp, tmp_path):
    (tmp_path / "a").write_bytes(LARGE)
    before = place.record()

    def stop(_bytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exp.data_assets.import_asset("a", tmp_path / "a", action="move", progress=stop)
    assert place.record() == before
    assert (tmp_path / "a").exists()


# ------------------------------------------------------------------------------------------------- finding what is meant


def test_the_data_of_a_scope_by_its_path(ws, exp):
    assert ws.data_assets_of("").scope == ws.data_assets_of(".").scope == ""
    assert ws.data_assets_of("metals").scope == "metals"
    assert ws.data_assets_of("metals/cu/").scope == "metals/cu"
    with pytest.raises(me.NotFoundError, match="'metals'"):
        ws.data_assets_of("metls")
    with pytest.raises(me.NotFoundError, match="'cu'"):
        ws.data_assets_of("metals/cuu")
    with pytest.raises(ValueError, match="no scope of data"):
        ws.data_assets_of("metals/cu/one")


def test_an_asset_of_a_run_by_name(ws, asset):
    assert ws.asset("@latest:deep/large.bin") == ws.asset("metals/cu/one:deep/large.bin") == asset
    with pytest.raises(me.NotFoundError, match=r"Did you mean 'deep/large\.bin'"):
        ws.asset("one:deep/lagre.bin")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("metals/cu/one#1:artifact:deep/lagre.bin@1", "Did you mean 'metals/cu/one#1:artifact:deep/large.bin@1'"),
        ("metals/cu:data:frmaes@1", "Did you mean 'metals/cu:data:frames@1'"),
        ("metals/cu:data:frames@7", "Did you mean 'metals/cu:data:frames@1'"),
        ("metals/cu/two#1:artifact:a@1", "There is no run 'metals/cu/two'"),
        ("metls:data:frames@1", "There is no project 'metls'"),
        ("metals/ag:data:frames@1", "There is no experiment 'metals/ag'"),
    ],
)
def test_an_id_that_is_not_there_is_compared_with_those_that_are(ws, asset, frames, asked, says):
    with pytest.raises(me.NotFoundError) as caught:
        ws.asset(asked)
    assert says in str(caught.value)


def test_an_asset_as_a_dict(asset):
    found = asset.to_dict()
    assert (found["id"], found["size"], found["producer"], found["attempt"]) == (
        asset.id,
        len(LARGE),
        "metals/cu/one",
        1,
    )
    assert found["fields"] == {"format": "binary", "from_file": True, "external": False}
