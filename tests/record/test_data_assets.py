"""Data assets: files and folders imported for others to use, by name and version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import molexp as me

ACTIONS = ["copy", "move", "symlink", "hardlink"]
ON_FILES = pytest.mark.parametrize("action", ACTIONS)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "features.parquet"
    path.write_bytes(b"features")
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "frames" / "deep").mkdir(parents=True)
    (tmp_path / "frames" / "a.xyz").write_text("a")
    (tmp_path / "frames" / "deep" / "b.xyz").write_text("bb")
    return tmp_path / "frames"


def tree(path: Path):
    return {p.relative_to(path).as_posix(): p.read_text() for p in path.rglob("*") if p.is_file()}


# ------------------------------------------------------------------------------------------------------- the four actions


@ON_FILES
def test_a_file_by_each_action(lab_exp, file, action):
    asset = lab_exp.data_assets.import_asset("feature-cache", file, action=action, tags=["v1"])

    assert isinstance(asset, me.DataAsset)
    assert (asset.name, asset.version, asset.scope, set(asset.tags)) == ("feature-cache", 1, "metals/cu", {"v1"})
    assert (asset.size, asset.files, asset.directory, asset.producer) == (8, 1, False, None)
    assert asset.external == (action in ("symlink", "hardlink"))
    assert asset.content_hash == "sha256:5b8a8b56dada6ce7567442b4935298df7de2badd7becdcf4915a59487338ca4b"
    assert asset.source == str(file)
    assert asset.read_bytes() == b"features"
    assert asset.load().read_bytes() == b"features"
    assert file.exists() == (action != "move")
    assert lab_exp.data_assets["feature-cache"] == asset


@ON_FILES
def test_a_folder_by_each_action(lab_exp, folder, action):
    expected = tree(folder)
    asset = lab_exp.data_assets.import_asset("frames", folder, action=action)

    assert (asset.size, asset.files, asset.directory) == (3, 2, True)
    assert tree(asset.path) == expected
    assert asset.load() == asset.path
    assert folder.exists() == (action != "move")
    if action == "move":
        assert not folder.exists()
    else:
        assert tree(folder) == expected


@pytest.mark.parametrize("action", ["copy", "move"])
def test_copy_and_move_work_on_every_store(place, exp, file, action):
    asset = exp.data_assets.import_asset("feature-cache", file, action=action)

    assert asset.read_bytes() == b"features"
    assert place.load().project("metals").experiment("cu").data_assets["feature-cache"] == asset
    assert file.exists() == (action == "copy")
    assert asset.local().read_bytes() == b"features"


@pytest.mark.parametrize("action", ["symlink", "hardlink"])
def test_what_the_store_cannot_do_is_refused_and_nothing_is_written(tmp_path, file, action):
    workspace = me.Workspace("memory://links").materialize()

    with pytest.raises(me.UnsupportedOperationError, match="link"):
        workspace.data_assets.import_asset("feature-cache", file, action=action)
    assert list(workspace.data_assets) == []
    assert file.exists()


def test_copies_are_independent_links_are_not(lab_exp, file, tmp_path):
    copied = lab_exp.data_assets.import_asset("copied", file)
    linked = lab_exp.data_assets.import_asset("linked", file, action="symlink")
    file.write_bytes(b"changed!")

    assert copied.read_bytes() == b"features"
    with pytest.warns(UserWarning, match="outside of the workspace"):
        assert linked.read_bytes() == b"changed!"
    assert os.path.islink(linked.path)


def test_an_unknown_action_is_refused(place, exp, file):
    before = place.record()

    with pytest.raises(ValueError, match="copy, move, symlink, hardlink"):
        exp.data_assets.import_asset("a", file, action="link")
    assert place.record() == before


# ------------------------------------------------------------------------------------------------------------- versions


def test_other_content_is_the_next_version(place, exp, file):
    first = exp.data_assets.import_asset("feature-cache", file)
    file.write_bytes(b"better features")
    second = exp.data_assets.import_asset("feature-cache", file)

    assert (first.version, second.version) == (1, 2)
    assert (first.read_bytes(), second.read_bytes()) == (b"features", b"better features")
    assert exp.data_assets["feature-cache"] == second
    assert exp.data_assets.get("feature-cache", version=1) == first
    assert exp.data_assets.versions("feature-cache") == [first, second]


def test_equal_content_returns_the_version_that_exists(place, exp, file, tmp_path):
    first = exp.data_assets.import_asset("feature-cache", file)
    before = place.record()
    (tmp_path / "other.bin").write_bytes(b"features")

    again = exp.data_assets.import_asset("feature-cache", tmp_path / "other.bin")

    assert again == first
    assert place.record() == before


def test_equal_content_that_is_moved_removes_the_source_all_the_same(exp, file):
    first = exp.data_assets.import_asset("feature-cache", file)

    assert exp.data_assets.import_asset("feature-cache", file, action="move") == first
    assert not file.exists()
    assert first.read_bytes() == b"features"


@ON_FILES
@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_equal_content_mends_a_version_that_lost_its_bytes(lab_exp, file, folder, action, damage):
    for name, source, lost in (("feature-cache", file, ""), ("frames", folder, "deep/b.xyz")):
        first = lab_exp.data_assets.import_asset(name, source)
        if damage == "gone":
            (first.path / lost).unlink()
        else:
            path = first.path / lost
            path.write_bytes(b"-" if damage == "cut" else path.read_bytes().swapcase())

        again = lab_exp.data_assets.import_asset(name, source, action=action)

        assert (again.version, again.content_hash) == (2, first.content_hash)
    assert lab_exp.data_assets["feature-cache"].read_bytes() == b"features"
    assert tree(lab_exp.data_assets["frames"].path) == {"a.xyz": "a", "deep/b.xyz": "bb"}


@pytest.mark.parametrize("name", ["features.parquet", "frames"])
@pytest.mark.parametrize("before", ["symlink", "hardlink"])
def test_what_was_linked_and_is_moved_then_is_in_the_workspace(lab_exp, file, folder, tmp_path, name, before):
    lab_exp.data_assets.import_asset("data", tmp_path / name, action=before)
    assert lab_exp.data_assets.import_asset("data", tmp_path / name, action=before).version == 1

    moved = lab_exp.data_assets.import_asset("data", tmp_path / name, action="move")

    assert (moved.version, moved.external, (tmp_path / name).exists()) == (2, False, False)
    assert [one.stat().st_size for one in sorted(moved.path.rglob("*.xyz")) or [moved.path]] in ([8], [1, 2])


def test_a_link_that_leads_nowhere_by_now_is_made_again(lab_exp, file):
    lab_exp.data_assets.import_asset("feature-cache", file, action="symlink")
    elsewhere = file.rename(file.with_name("elsewhere"))

    assert lab_exp.data_assets.import_asset("feature-cache", elsewhere, action="symlink").read_bytes() == b"features"


@pytest.mark.parametrize("before", ["symlink", "hardlink"])
def test_a_link_behind_which_something_else_lies_by_now_is_not_returned(lab_exp, file, folder, before):
    for name, source, changed in (("feature-cache", file, file), ("frames", folder, folder / "a.xyz")):
        kept = lab_exp.data_assets.import_asset("kept", source)
        lab_exp.data_assets.import_asset(name, source, action=before)
        changed.write_bytes(changed.read_bytes().swapcase())

        again = lab_exp.data_assets.import_asset(name, kept)
        assert (again.version, again.content_hash, again.external) == (2, kept.content_hash, False)


def test_links_are_files_once_they_were_sent_elsewhere(lab, lab_exp, file, folder):
    def bring(data):
        return [data.import_asset(name, source).version for name, source in (("one", file), ("all", folder))]

    lab_exp.data_assets.import_asset("one", file, action="symlink")
    lab_exp.data_assets.import_asset("all", folder, action="symlink")
    me.sync_workspace(lab.url, "memory://links-sent")

    assert bring(me.Workspace.load("memory://links-sent").project("metals").experiment("cu").data_assets) == [1, 1]


@pytest.mark.parametrize("action", ["copy", "symlink", "hardlink"])
def test_an_asset_of_the_workspace_is_imported_once(lab_run, action):
    with lab_run.start() as ctx:
        made = ctx.artifact.save("a.txt", "a")
    data = lab_run.experiment.data_assets

    assert [data.import_asset("a", made, action=action).version for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("source", [".", "..", "../.."])
def test_a_workspace_is_not_moved_into_itself(tmp_path, source):
    folder = tmp_path / "group" / "labs" / "lab"
    ws = me.Workspace(folder).materialize()
    with pytest.raises(ValueError, match="holds this workspace"):
        ws.data_assets.import_asset("all", folder / source, action="move")
    assert me.Workspace.load(folder).fsck().findings == ()


@pytest.mark.parametrize("action", ["copy", "move"])
def test_what_a_file_manager_leaves_in_a_folder_is_no_content_of_it(lab_exp, folder, action):
    first = lab_exp.data_assets.import_asset("frames", folder)
    (first.path / ".DS_Store").write_text("foreign")

    assert lab_exp.data_assets.import_asset("frames", folder, action=action) == first


def test_folders_are_equal_by_names_and_content(exp, folder):
    first = exp.data_assets.import_asset("frames", folder)
    assert exp.data_assets.import_asset("frames", folder) == first

    (folder / "a.xyz").rename(folder / "c.xyz")
    assert exp.data_assets.import_asset("frames", folder).version == 2


def test_one_name_in_each_scope(ws, exp, file):
    assets = [scope.data_assets.import_asset("x", file) for scope in (ws, exp.project, exp)]

    assert [asset.scope for asset in assets] == ["", "metals", "metals/cu"]
    assert len({asset.id for asset in assets}) == 3


# ------------------------------------------------------------------------------------------------------------ bad input


def test_a_missing_source_is_told_and_nothing_is_written(place, ws, tmp_path):
    with pytest.raises(me.NotFoundError, match=r"nowhere\.bin"):
        ws.data_assets.import_asset("a", tmp_path / "nowhere.bin")
    assert place.everything() == {}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="NO PIPES HERE")
def test_a_pipe_or_a_device_is_refused_as_one(place, run, tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder/pipe"):
        os.mkfifo(path)
    data = run.experiment.data_assets
    for source, sort in ((tmp_path / "pipe", "pipe"), (tmp_path / "folder", "pipe"), ("/dev/zero", "device")):
        with pytest.raises(ValueError, match=f"is a {sort}, not a file. Write what it gives to a file"):
            data.import_asset("x", source)
    with run.start() as ctx, pytest.raises(ValueError, match="is a pipe, not a file"):
        ctx.artifact.save("x", tmp_path / "pipe")
    assert (list(data), run.assets) == ([], [])


def test_an_empty_folder_is_told_and_nothing_is_written(place, ws, tmp_path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(ValueError, match="no files"):
        ws.data_assets.import_asset("a", tmp_path / "empty")
    assert place.everything() == {}


def test_a_link_that_leads_nowhere_is_told(place, exp, folder):
    (folder / "dangling").symlink_to("nowhere")
    before = place.record()

    with pytest.raises(me.NotFoundError, match="dangling"):
        exp.data_assets.import_asset("frames", folder, action="move")
    assert place.record() == before
    assert (folder / "a.xyz").exists()


@pytest.mark.parametrize("name", ["", "../a", "/a", "a\0", "nul", "x" * 500])
def test_a_bad_name_is_refused_and_nothing_is_written(place, ws, file, name):
    with pytest.raises(me.InvalidNameError):
        ws.data_assets.import_asset(name, file, action="move")
    assert place.everything() == {}
    assert file.exists()


def test_a_link_among_the_files_is_imported_as_what_it_shows(lab_exp, folder, tmp_path):
    (tmp_path / "outside.txt").write_text("outside")
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "up").symlink_to(folder)

    asset = lab_exp.data_assets.import_asset("frames", folder, action="move")

    assert tree(asset.path) == {"a.xyz": "a", "deep/b.xyz": "bb", "link.txt": "outside"}
    assert not os.path.islink(asset.path / "link.txt")
    assert (tmp_path / "outside.txt").read_text() == "outside"


def test_a_source_with_an_awkward_name(lab_exp, tmp_path):
    source = tmp_path / 'a: "b" *?.bin'
    source.write_bytes(b"x")

    assert lab_exp.data_assets.import_asset("a", source).read_bytes() == b"x"


def test_a_relative_or_home_source(lab_exp, file, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setenv("HOME", str(tmp_path))
        one = lab_exp.data_assets.import_asset("a", "features.parquet")
        two = lab_exp.data_assets.import_asset("b", "~/features.parquet")

    assert one.source == two.source == str(file)


# ----------------------------------------------------------------------------------------------------------- collection


def test_they_are_a_mapping(exp, file):
    for name in ("b", "a", "A name, free text"):
        exp.data_assets.import_asset(name, file)

    assert set(exp.data_assets) == {"a", "b", "A name, free text"}
    assert len(exp.data_assets) == 3
    assert "a" in exp.data_assets
    assert "c" not in exp.data_assets
    assert exp.data_assets.get("c") is None
    assert {asset.name for asset in exp.data_assets.values()} == set(exp.data_assets)
    with pytest.raises(me.NotFoundError, match="Did you mean 'A name, free text'"):
        exp.data_assets["A name, free txt"]
    with pytest.raises(LookupError):
        exp.data_assets["c"]


def test_from_within_a_run(run, file):
    with run.start() as ctx:
        asset = ctx.run.experiment.data_assets.import_asset("feature-cache", file, action="move")
        assert ctx.find_asset("feature-cache") == asset
        ctx.set_result("cache", asset)

    assert run.results["cache"] == asset


def test_they_are_in_the_catalog(place, ws, exp, file):
    asset = exp.data_assets.import_asset("feature-cache", file)

    assert list(ws.catalog.assets(kind="data")) == [asset]
    assert list(place.load().catalog.assets(scope="metals/cu")) == [asset]
