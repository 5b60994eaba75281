"""`Asset.local`: a path for libraries that want a file, whole for whoever asks, on every storage."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import molexp as me
from molexp.errors import HashMismatchError, KeyNotFoundError

CONTENT = os.urandom(1 << 16) * 64


def in_memory(request) -> me.Workspace:
    return me.Workspace(f"memory://{request.node.nodeid.encode().hex()}")


def tree(path: Path) -> dict[str, str]:
    return {one.relative_to(path).as_posix(): one.read_text() for one in path.rglob("*") if one.is_file()}


@pytest.fixture
def saved(request) -> me.Asset:
    with in_memory(request).Project("p").Experiment("e").Run().start() as ctx:
        asset = ctx.artifact.save("big.bin", CONTENT)
    assert asset is not None
    return asset


def test_every_thread_gets_all_bytes_and_they_are_fetched_once(saved):
    together = threading.Barrier(8)

    def ask(_: int) -> tuple[Path, bytes]:
        together.wait()
        path = saved.local()
        return path, path.read_bytes()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))

    assert {data == CONTENT for _, data in answers} == {True}
    assert all(ours.samefile(saved.local()) for ours, _ in answers)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
def test_a_forked_child_has_copies_of_its_own(saved):
    here = saved.local()
    asking, answering = os.pipe()
    if (child := os.fork()) == 0:
        os.write(answering, f"{saved.local()}\n{saved.local().read_bytes() == CONTENT}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    path, same = os.read(asking, 4096).decode().split("\n")
    os.close(asking)
    os.close(answering)

    assert same == "True"
    assert path != str(here)
    assert here.read_bytes() == CONTENT


def test_a_copy_that_somebody_removed_is_fetched_again(saved):
    saved.local().unlink()
    assert saved.local().read_bytes() == CONTENT


def test_what_did_not_come_whole_is_no_copy(saved):
    store = saved._library.store
    store.write(saved.key, CONTENT[:-1])
    for _ in range(2):
        with pytest.raises(HashMismatchError):
            saved.local()
    store.write(saved.key, CONTENT)
    assert saved.local().read_bytes() == CONTENT


def test_a_folder_of_data_on_every_store(place, exp, tmp_path):
    folder = tmp_path / "frames"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.xyz").write_text("a")
    (folder / "deep" / "b.xyz").write_text("b")
    expected = tree(folder)
    asset = exp.data_assets.import_asset("frames", folder)

    assert tree(asset.local()) == tree(asset.load()) == expected
    assert tree(asset.download(tmp_path / "copy")) == expected
    assert asset.local() == asset.local()
    for read in (asset.open, asset.read_bytes):
        with pytest.raises(IsADirectoryError, match="download"):
            read()


def test_what_a_run_writes_is_no_folder(run):
    with run.start() as ctx, pytest.raises(IsADirectoryError, match="import it"), ctx.artifact.writing("z") as path:
        path.mkdir()


def test_a_folder_goes_from_one_workspace_to_another(request, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("x")
    asset = in_memory(request).data_assets.import_asset("d", tmp_path / "d")
    again = me.Workspace(tmp_path / "lab").data_assets.import_asset("d", asset)

    assert tree(again.local()) == {"x": "x"}
    assert again.content_hash == asset.content_hash


def test_what_is_gone_is_an_error_on_every_store(place, exp, run, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("x")
    folder = exp.data_assets.import_asset("d", tmp_path / "d")
    with run.start() as ctx:
        file = ctx.artifact.save("a.txt", "text")
    store = place.load()._session.store
    store.delete(file.key)
    store.delete(f"{folder.key}/x")
    store.prune(folder.key)

    for asset in (file, folder):
        with pytest.raises(KeyNotFoundError):
            asset.local()
