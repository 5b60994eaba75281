"""molexp fsck and molexp gc: what messages recommend is there, says what it found, and exits accordingly."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.cli.helpers import Terminal, eventually, spawn

RUN = Path("lab/projects/metals/experiments/cu/runs/one")


@pytest.fixture
def run(in_lab):
    run = in_lab.Project("metals").Experiment("cu", params={"a": 3.6}).Run(id="one")
    with run.start() as ctx:
        ctx.artifact.save("a.txt", "recorded")
    return run


def test_fsck_finds_nothing_where_all_is_well(run, molexp):
    done = molexp("fsck")
    assert (done.code, done.out, done.err) == (0, "fsck: runs 1, findings 0\n", "")
    done = molexp("fsck", "--read-data", "--json")
    assert done.code == 0
    assert done.json()["findings"] == []
    assert done.json()["counts"]["files"] >= 1


def test_fsck_names_what_it_found_and_exits_with_1(run, molexp):
    (RUN / "artifacts" / "a.txt").write_text("recordex")

    assert molexp("fsck").code == 0
    done = molexp("fsck", "--read-data")
    assert done.code == 1
    assert f"  {(RUN / 'artifacts/a.txt').relative_to('lab').as_posix()}: its bytes are sha256:" in done.out
    done = molexp("fsck", "--read-data", "--restart", "--json")
    assert done.code == 1
    assert [finding["done"] for finding in done.json()["findings"]] == [""]


def test_fsck_repairs_only_when_it_is_asked_to(run, molexp):
    (RUN / "run.json").write_text("{ torn")

    assert molexp("fsck").code == 1
    assert (RUN / "run.json").read_text() == "{ torn"
    done = molexp("fsck", "--repair")
    assert done.code == 0
    assert "(written again from an attempt's claim)" in done.out
    assert molexp("fsck").code == 0
    assert run.status == "succeeded"


def test_restart_without_anything_to_restart_is_wrong_usage(run, molexp):
    done = molexp("fsck", "--restart")
    assert done.code == 2
    assert "--read-data" in done.err


def test_fsck_of_no_workspace_says_so(here, molexp):
    done = molexp("-w", "nowhere", "fsck")
    assert done.code == 3
    assert "Traceback" not in done.err


def test_a_scrub_shows_how_far_it_is_and_leaves_nothing_behind_on_ctrl_c(run, tmp_path):
    folder = Path.cwd()
    big = run.experiment.Run(id="big")
    with big.start() as ctx:
        ctx.artifact.save("big.bin", os.urandom(64 << 20))
    cache = {"MOLEXP_CACHE_DIR": str(tmp_path / "cache"), "MOLEXP_WORKSPACE": str(folder / "lab")}

    terminal = Terminal(folder, "fsck", "--read-data", env=cache)
    terminal.wait_for("reading")
    assert terminal.end() == 0
    assert "fsck: runs 2, findings 0" in terminal.text

    cache["MOLEXP_CACHE_DIR"] = str(tmp_path / "other")
    process = spawn(folder, "fsck", "--read-data", env=cache, stderr=-1, stdout=-1)
    eventually(lambda: list((tmp_path / "other").rglob("sync-*.sqlite3")))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode in (0, 130, -signal.SIGINT), err
    assert b"Traceback" not in err


def test_gc_tells_and_frees_only_with_yes(run, molexp):
    assert molexp("gc").code == 0
    assert molexp("gc").out == "gc: found 0, bytes 0, unreadable 0\n"
    run.delete()

    done = molexp("gc")
    assert done.code == 0
    assert "deleted run" in done.out
    assert "`molexp gc --yes`" in done.err
    assert RUN.is_dir()

    done = molexp("gc", "--yes", "--json")
    assert done.code == 0
    assert done.err == ""
    assert done.json()["counts"]["found"] == 1
    assert not RUN.exists()
    assert molexp("gc").out == "gc: found 0, bytes 0, unreadable 0\n"
