"""molexp assets add: a file or folder becomes data of a workspace."""

from __future__ import annotations

import pytest

import molexp as me
from tests.cli.helpers import Terminal

LARGE = bytes(range(256)) * 40_000


@pytest.fixture
def scopes(in_lab, here):
    in_lab.Project("metals").Experiment("cu")
    (here / "reference.json").write_text("[1]")
    (here / "frames" / "deep").mkdir(parents=True)
    (here / "frames" / "a.xyz").write_text("a")
    (here / "frames" / "deep" / "b.xyz").write_text("bb")
    (here / "big.bin").write_bytes(LARGE)
    return in_lab


@pytest.mark.parametrize(
    ("scope", "made"),
    [
        ("", ".:data:reference.json@1"),
        (".", ".:data:reference.json@1"),
        ("metals", "metals:data:reference.json@1"),
        ("metals/cu", "metals/cu:data:reference.json@1"),
    ],
)
def test_a_file_becomes_data_of_a_scope(scopes, molexp, here, scope, made):
    done = molexp("assets", "add", "reference.json", "--to", scope)
    assert (done.code, done.out, done.err) == (0, f"{made}\n", ""), "no bar where nobody looks"
    asset = scopes.asset(made)
    assert asset.read_bytes() == b"[1]"
    assert asset.source == str(here / "reference.json")
    assert (here / "reference.json").exists()


def test_a_folder_with_a_name_and_tags_that_is_moved(scopes, molexp, here):
    done = molexp("assets", "add", "frames/", "--to", "metals", "--name", "training", "-t", "a", "--tag", "b", "--move")
    assert done.out == "metals:data:training@1\n"
    asset = scopes.asset("metals:data:training@1")
    assert (asset.files, asset.size, asset.tags, asset.directory) == (2, 3, {"a", "b"}, True)
    assert not (here / "frames").exists()


def test_other_content_is_the_next_version_and_the_same_is_none(scopes, molexp, here):
    add = ("assets", "add", "reference.json", "--to", ".", "--name", "reference")
    assert molexp(*add).out == molexp(*add).out == ".:data:reference@1\n"
    (here / "reference.json").write_text("[2]")
    assert molexp(*add).out == ".:data:reference@2\n"


def test_json_has_every_field(scopes, molexp):
    found = molexp("assets", "add", "frames", "--to", "metals/cu", "--json").json()
    assert (found["id"], found["scope"], found["fields"]["files"]) == ("metals/cu:data:frames@1", "metals/cu", 2)
    assert found["content_hash"].startswith("sha256-tree:")


def test_what_was_added_is_found_by_runs_and_comes_back(scopes, molexp, here):
    (made,) = molexp("assets", "add", "frames", "--to", "metals").lines()
    with scopes.project("metals").experiment("cu").Run(id="one").start() as ctx:
        assert ctx.asset("frames").id == made
    assert molexp("assets", "get", made, "copy").code == 0
    assert (here / "copy" / "deep" / "b.xyz").read_text() == "bb"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["reference.json"], 2, "--to"),
        (["--to", "."], 2, "FILE_OR_FOLDER"),
        (["nowhere", "--to", "."], 3, "There is no file or folder to import"),
        (["reference.json", "--to", "metls"], 3, "Did you mean 'metals'"),
        (["reference.json", "--to", "metals/cuu"], 3, "Did you mean 'cu'"),
        (["reference.json", "--to", "metals/cu/one"], 2, "no scope of data"),
        (["reference.json", "--to", ".", "--name", "../a"], 2, "../a"),
        (["reference.json", "--to", ".", "--name", ""], 2, "empty"),
        (["empty", "--to", "."], 2, "There are no files"),
        (["lab/workspace.json", "--to", ".", "--move"], 2, "part of the record"),
    ],
)
def test_what_cannot_be_is_explained(scopes, molexp, here, arguments, code, says):
    (here / "empty").mkdir()
    done = molexp("assets", "add", *arguments)
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert done.err.startswith("molexp: ")
    assert list(scopes.catalog.assets()) == []


def test_a_workspace_is_not_made_by_the_way(molexp, here):
    (here / "a").write_text("a")
    done = molexp("-w", "new", "assets", "add", "a", "--to", ".")
    assert done.code == 3
    assert not (here / "new").exists()


@pytest.mark.parametrize("source", ["big.bin", "linked"])
def test_on_a_terminal_there_is_a_bar_and_then_the_id(scopes, here, source):
    (here / "linked").mkdir()
    (here / "linked" / "big").symlink_to(here / "big.bin")
    (here / "linked" / "up").symlink_to(here / "linked")
    terminal = Terminal(here, "assets", "add", source, "--to", "metals")
    terminal.wait_for(f"metals:data:{source}@1\n")
    assert terminal.end() == 0
    assert f"10.2/{'10.2' if source == 'big.bin' else '?'} MB" in terminal.text
    assert me.Workspace("lab").asset(f"metals:data:{source}@1").size == len(LARGE)
