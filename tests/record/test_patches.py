"""Uncommitted changes are on record as a patch that `git apply` takes at a clone of the commit."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.record.test_git import PLAIN, described, git, pytestmark, repository

__all__ = ["pytestmark"]


def recorded(tmp_path: Path, folder: Path, **environ: str) -> dict[str, Any]:
    (found,) = described(tmp_path, folder, **environ)
    return found


def files(folder: Path) -> dict[str, tuple[bytes | str, bool]]:
    """Return what a working tree holds, links and permissions included."""
    return {
        str(path.relative_to(folder)): (
            os.readlink(path) if path.is_symlink() else path.read_bytes(),
            os.access(path, os.X_OK),
        )
        for path in folder.rglob("*")
        if not path.is_dir() and ".git" not in path.parts
    }


def applied(tmp_path: Path, folder: Path, found: dict[str, Any]) -> Path:
    """A clone of the commit on record, with the patch."""
    clone = tmp_path / f"clone-of-{folder.name}"
    options = ("-c", "protocol.file.allow=always", "-c", "core.autocrlf=false")
    if found["commit"]:
        git(tmp_path, *options, "clone", "-q", "--recurse-submodules", str(folder), str(clone))
        git(clone, "checkout", "-q", found["commit"])
    else:
        git(tmp_path, "init", "-q", str(clone))
    patch = found["diff"].encode(found.get("diff_encoding", "utf-8"))
    for words in (["--check"], []):
        command = ["git", "apply", "--whitespace=nowarn", *words, "-"]
        done = subprocess.run(command, cwd=clone, input=patch, capture_output=True, check=False, env=PLAIN)
        assert done.returncode == 0, done.stderr.decode() + found["diff"]
    return clone


def binary(folder: Path) -> None:
    (folder / "image.bin").write_bytes(bytes(range(256)) * 4)
    (folder / "new.bin").write_bytes(b"\0\1\2\n")
    git(folder, "add", "new.bin")
    (folder / "old.bin").unlink()


def renamed(folder: Path) -> None:
    git(folder, "mv", "long.txt", "sub dir/renamed.txt")
    git(folder, "mv", "image.bin", "moved.bin")
    (folder / "moved.bin").write_bytes(bytes(range(255)) * 4)


def modes(folder: Path) -> None:
    (folder / "a.txt").chmod(0o755)
    (folder / "run.sh").chmod(0o644)


def line_ends(folder: Path) -> None:
    (folder / "dos.txt").write_bytes(b"one\r\ntwo!\r\nthree\r\n")
    (folder / "a.txt").write_bytes(b"one\r")
    (folder / "open.txt").write_bytes(b"no newline at the end\n")
    (folder / "long.txt").write_bytes((folder / "long.txt").read_bytes().rstrip(b"\n"))


def odd_names(folder: Path) -> None:
    for name in ("with blank.txt", "tab\t.txt", 'quote".txt', "é.txt", "back\\slash.txt", " lead.txt", "-x.txt"):
        (folder / name).write_text("new\n")
    git(folder, "add", "-A")


def other_encodings(folder: Path) -> None:
    (folder / "latin.txt").write_bytes("Größe\nneu\n".encode("latin-1"))
    (folder / "a.txt").write_text("Größe\n")


def links(folder: Path) -> None:
    (folder / "a.txt").unlink()
    (folder / "a.txt").symlink_to("long.txt")


def new_sources(folder: Path) -> None:
    (folder / "src/deep").mkdir(parents=True)
    (folder / "src/deep/model.py").write_bytes(b"x = 1\r\ny = 'no newline'")
    (folder / "src/__init__.py").write_text("")
    for name in ("é b.py", "tab\t.py", 'quote".py', "back\\slash.py", "Makefile"):
        (folder / name).write_text("\n\nx = 'é'\n")
    (folder / "job.sh").write_text("#!/bin/sh\n")
    (folder / "job.sh").chmod(0o755)


CHANGES = [binary, renamed, modes, line_ends, odd_names, other_encodings, links, new_sources]


@pytest.fixture
def folder(tmp_path):
    made = repository(tmp_path / "r", **{"long.txt": "".join(f"line {n}\n" for n in range(50)), "dos.txt": "one\n"})
    (made / "sub dir").mkdir()
    (made / "sub dir/b.txt").write_text("b\n")
    (made / "dos.txt").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    (made / "open.txt").write_bytes(b"no newline at the end")
    (made / "latin.txt").write_bytes("Größe\nalt\n".encode("latin-1"))
    (made / "image.bin").write_bytes(bytes(range(256)) * 3)
    (made / "old.bin").write_bytes(b"\0old")
    (made / "run.sh").write_text("#!/bin/sh\n")
    (made / "run.sh").chmod(0o755)
    git(made, "add", "-A")
    git(made, "commit", "-q", "-m", "second")
    return made


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_patch_gives_what_was_there(tmp_path, folder, change):
    change(folder)
    found = recorded(tmp_path, folder)
    assert (found["dirty"], found["diff_truncated"]) == (True, False)
    assert files(applied(tmp_path, folder, found)) == files(folder)


def test_all_at_once_too_whatever_is_configured(tmp_path, folder):
    for change in (new_sources, other_encodings, modes, binary):
        change(folder)
    odd_names(folder)
    for name, value in {
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "diff.renames": "copies",
        "diff.context": "0",
        "diff.relative": "true",
        "diff.submodule": "log",
        "core.quotePath": "false",
        "color.ui": "always",
        "diff.colorMoved": "default",
        "diff.wsErrorHighlight": "all",
        "diff.suppressBlankEmpty": "true",
        "status.relativePaths": "true",
    }.items():
        git(folder, "config", name, value)
    found = recorded(tmp_path, folder)
    assert files(applied(tmp_path, folder, found)) == files(folder)


def test_of_a_folder_below_it_is_all_of_it(tmp_path, folder):
    new_sources(folder)
    (folder / "a.txt").write_text("two\n")
    found = recorded(tmp_path, folder / "src")
    assert files(applied(tmp_path, folder, found)) == files(folder)


def test_a_repository_without_a_commit_says_so_and_has_its_sources(tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "staged.txt").write_text("staged\n")
    git(folder, "add", "staged.txt")
    (folder / "new.py").write_text("x = 1\n")
    found = recorded(tmp_path, folder)
    assert (found["commit"], found["problem"]) == (None, "the repository has no commit yet")
    assert files(applied(tmp_path, folder, found)) == files(folder)


def test_submodules_are_in_it_and_in_theirs(tmp_path, folder):
    inner = repository(tmp_path / "inner")
    outer = repository(tmp_path / "outer")
    add = ("-c", "protocol.file.allow=always", "submodule", "add", "-q")
    git(outer, *add, str(inner), "in ner")
    git(outer, "commit", "-q", "-m", "second")
    git(folder, *add, str(outer), "outer")
    git(folder, "-c", "protocol.file.allow=always", "submodule", "update", "-q", "--init", "--recursive")
    git(folder, "commit", "-q", "-m", "third")
    (folder / "outer/a.txt").write_text("two\n")
    (folder / "outer/in ner/a.txt").write_text("three\n")
    (folder / "outer/in ner/new.py").write_text("x = 1\n")
    found = recorded(tmp_path, folder)
    assert found["dirty"]
    assert found["submodules"]["outer"]["commit"] == git(folder / "outer", "rev-parse", "HEAD").strip()
    assert found["submodules"]["outer"]["submodules"]["in ner"]["untracked"] == ["new.py"]
    assert files(applied(tmp_path, folder, found)) == files(folder)


def test_a_submodule_at_another_commit_is_named_with_it(tmp_path, folder):
    inner = repository(tmp_path / "inner")
    git(folder, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "sub")
    git(folder, "commit", "-q", "-m", "third")
    (folder / "sub/a.txt").write_text("two\n")
    git(folder / "sub", "commit", "-q", "-a", "-m", "more")
    commit = git(folder / "sub", "rev-parse", "HEAD").strip()
    found = recorded(tmp_path, folder)
    assert found["submodules"]["sub"]["commit"] == commit
    assert f"+Subproject commit {commit}" in found["diff"]
    applied(tmp_path, folder, found)


def test_what_is_too_large_is_left_out_whole_and_named(tmp_path, folder):
    (folder / "a.txt").write_text("two\n")
    (folder / "image.bin").write_bytes(os.urandom(100_000))
    (folder / "long.txt").write_text("".join(f"other line {n}\n" for n in range(80_000)))
    (folder / "large.py").write_text("x = 1\n" * 20_000)
    (folder / "zz.py").write_text("x = 1\n")
    found = recorded(tmp_path, folder)
    assert found["diff_truncated"]
    assert found["diff_omitted"] == ["a/long.txt b/long.txt", "a/image.bin b/image.bin"]
    assert found["untracked"] == ["large.py", "zz.py"]
    there = files(applied(tmp_path, folder, found))
    assert there["a.txt"] == files(folder)["a.txt"]
    assert there["zz.py"] == files(folder)["zz.py"]
    assert "large.py" not in there


def test_what_is_no_source_is_named_alone(tmp_path, folder):
    (folder / "data.csv").write_text("private, but no source\n")
    (folder / "model.py").write_bytes(b"\xff\xfe no text")
    (folder / "pipe.py").symlink_to("/etc/hostname")
    os.mkfifo(folder / "fifo.py")
    (folder / ".gitignore").write_text("ignored.py\n")
    (folder / "ignored.py").write_text("x = 'ignored'\n")
    (folder / "lab").mkdir()
    (folder / "lab/workspace.json").write_text("{}")
    (folder / "lab/deep").mkdir()
    (folder / "lab/deep/artifact.py").write_text("x = 'of a run'\n")
    found = recorded(tmp_path, folder)
    assert "diff" not in found
    assert {"data.csv", "model.py", "pipe.py", "lab/"} <= {*found["untracked"]}


def test_secrets_stay_out_and_the_rest_applies(tmp_path, folder):
    (folder / "secrets.yaml").write_text("token: hunter2hunter2\n")
    (folder / ".env.py").write_text("ok = 1\n")
    (folder / "conf.py").write_text("password = 'hunter2hunter2'\nx = 1\n")
    (folder / "a.txt").write_text("two\n")
    git(folder, "add", "secrets.yaml")
    found = recorded(tmp_path, folder)
    assert "hunter2" not in json.dumps(found)
    assert found["diff_left_out"] == 3
    there = files(applied(tmp_path, folder, found))
    assert b"x = 1" in there["conf.py"][0]
    assert there["a.txt"] == (b"two\n", False)
    assert "secrets.yaml" not in there


def test_nothing_of_it_is_recorded_where_nobody_wants_it(tmp_path, folder):
    new_sources(folder)
    (folder / "a.txt").write_text("two\n")
    found = recorded(tmp_path, folder, MOLEXP_GIT_DIFF="0")
    assert found["dirty"]
    assert "diff" not in found


# ---------------------------------------------------------------------------------------------------------- strangers


@pytest.mark.parametrize("how", ["core.worktree", "submodule", "link", "history"])
def test_the_files_of_another_repository_are_not_read(tmp_path, how):
    private = repository(tmp_path / "private", **{"key.txt": "only its owner may read this\n"})
    (private / "key.txt").write_text("nor that\n")
    folder = repository(tmp_path / "r")
    if how == "core.worktree":
        git(folder, "config", "core.worktree", str(private))
    else:
        path = "../private" if how == "submodule" else "sub"
        (folder / ".gitmodules").write_text(f'[submodule "s"]\n\tpath = {path}\n\turl = x\n')
    if how == "link":
        (folder / "sub").symlink_to(private)
    if how == "history":
        (folder / "sub").mkdir()
        (folder / "sub/.git").write_text(f"gitdir: {private}/.git\n")
    found = recorded(tmp_path, folder)
    assert "only its owner" not in json.dumps(found)
    assert "nor that" not in json.dumps(found)
