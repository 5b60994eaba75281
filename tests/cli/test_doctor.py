"""molexp doctor: what is wrong with Python, plugins, the workspace, storage, cache, clock and git, and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import molexp as me
from tests import internals
from tests.cli.helpers import program


def checks(molexp, *arguments):
    found = molexp(*arguments, "doctor", "--json")
    return found.code, {one["name"]: one for one in found.json()["checks"]}


def test_it_says_of_each_thing_whether_it_works(in_lab, molexp):
    done = molexp("doctor")
    assert done.code == 0
    words = [line.split()[:2] for line in done.lines() if not line.startswith(" ")]
    assert {status for status, _ in words} <= {"ok", "warn"}
    assert {name for _, name in words} == {
        *("python", "distributions", "plugin", "workspace", "storage", "clock", "durability", "file", "cache", "git")
    }
    assert "exclusive creation works" in done.out
    assert not list((Path("lab") / ".molexp" / "probe").glob("*")), "it leaves nothing behind"


def test_it_works_without_a_workspace(here, molexp):
    code, found = checks(molexp)
    assert (code, found["workspace"]["status"], found["workspace"]["hint"]) == (0, "ok", "molexp init makes one.")
    assert "storage" not in found
    code, found = checks(molexp, "-w", "nowhere")
    assert (code, found["workspace"]["status"]) == (1, "fail")


def test_a_damaged_workspace_is_a_fault_and_no_hindrance(in_lab, molexp):
    file = Path("lab") / "workspace.json"
    whole = file.read_text()
    for damaged, hint in (
        ('{"type": "works', "fsck --repair"),
        (whole.replace('"schema": 1', '"schema": 99'), "Upgrade"),
    ):
        file.write_text(damaged)
        code, found = checks(molexp)
        assert (code, found["workspace"]["status"]) == (1, "fail")
        assert hint in found["workspace"]["hint"]
        assert found["git"]["status"] == "ok"


def test_a_current_folder_that_was_removed_is_said_as_such(tmp_path, molexp, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    lines = [line for line in molexp("doctor").lines() if line.startswith("fail")]
    assert [line.split(maxsplit=2)[1:] for line in lines] == [
        [name, "the current folder was removed"] for name in ("workspace", "git")
    ]


def test_storage_that_lets_two_create_one_key_is_a_fault(in_lab, molexp, monkeypatch):
    from molexp_fs import LocalStore

    monkeypatch.setattr(LocalStore, "create", LocalStore.write)
    code, found = checks(molexp)
    assert (code, found["storage"]["status"]) == (1, "fail")
    assert "exclusive creation does not work" in found["storage"]["found"]


def test_a_folder_that_cannot_be_written_is_a_fault(in_lab, molexp, monkeypatch):
    from molexp_fs import LocalStore

    def refused(self, key, data):
        raise me.StorePermissionError(key, url=self.url)

    monkeypatch.setattr(LocalStore, "create", refused)
    code, found = checks(molexp)
    assert (code, found["storage"]["status"]) == (1, "fail")
    assert found["storage"]["found"].startswith("No permission to ")
    assert found["storage"]["hint"] not in found["storage"]["found"], "a hint is said once"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists its mounts in a file")
@pytest.mark.parametrize(
    ("sort", "status", "words"),
    [
        ("ext4", "ok", ""),
        ("nfs4", "warn", "a network file system"),
        ("cifs", "warn", "SMB"),
        ("tmpfs", "warn", "memory"),
        ("overlay", "warn", "container"),
        ("fuse.sshfs", "warn", "program"),
    ],
)
def test_the_dangers_of_a_file_system_are_named(in_lab, molexp, tmp_path, monkeypatch, sort, status, words):
    place = str(Path("lab").absolute()).replace(" ", "\\040")
    mounts = tmp_path / "mounts"
    mounts.write_text(f"none / ext4 rw 0 0\nserver:/x {place} {sort} rw 0 0\nother {place}/deeper nfs rw 0 0\n")
    internals.tune(monkeypatch, "the file that lists mounts", str(mounts))
    code, found = checks(molexp)
    assert (code, found["file system"]["status"]) == (0, status)
    assert words in found["file system"]["found"]
    assert bool(found["file system"]["hint"]) == (status == "warn")


@pytest.mark.parametrize(("free", "status"), [(20, "fail"), (200, "warn"), (50_000, "ok")])
def test_a_disk_that_is_nearly_full_is_named(in_lab, molexp, tmp_path, monkeypatch, free, status):
    mounts = tmp_path / "mounts"
    mounts.write_text("none / ext4 rw 0 0\n")
    internals.tune(monkeypatch, "the file that lists mounts", str(mounts))
    real = os.statvfs(".")

    class Full:
        f_frsize, f_blocks, f_bavail, f_files, f_favail = 1 << 20, 100_000, free, real.f_files, real.f_favail

    monkeypatch.setattr(os, "statvfs", lambda _: Full)
    code, found = checks(molexp)
    assert (code, found["file system"]["status"]) == (int(status == "fail"), status)


def test_a_clock_that_is_off_is_named(in_lab, molexp, monkeypatch):
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    found = checks(molexp)[1]["clock"]
    assert (found["status"], found["found"].startswith("3.6e+03 s apart")) == ("warn", True)


def test_a_cache_that_cannot_be_written_is_named(in_lab, here):
    (here / "file").write_text("")
    done = program(here, "doctor", "--json", env={"MOLEXP_CACHE_DIR": str(here / "file" / "cache")})
    found = {one["name"]: one for one in done.json()["checks"]}
    assert found["cache"]["status"] == "warn"
    assert "MOLEXP_CACHE_DIR" in found["cache"]["hint"]


def test_a_risky_durability_and_a_plugin_that_is_not_there_are_named(in_lab, here):
    env = {"MOLEXP_DURABILITY": "never", "MOLEXP_DISABLE_PLUGINS": "none-such"}
    done = program(here, "doctor", "--json", env=env)
    found = [(one["name"], one["status"]) for one in done.json()["checks"]]
    assert ("durability", "warn") in found
    assert ("plugin", "warn") in found


def test_the_commit_of_this_folder_is_named(in_lab, here, molexp):
    assert checks(molexp)[1]["git"]["found"] == "this folder is in no repository"
    subprocess.run(["git", "init", "-q", "."], check=True)
    assert checks(molexp)[1]["git"]["status"] == "warn", "it has no commit yet"
    commit = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"]
    subprocess.run(commit, check=True)
    assert checks(molexp)[1]["git"]["found"].startswith("commit ")
