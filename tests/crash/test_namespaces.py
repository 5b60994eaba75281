"""Two PID namespaces on one folder, as two containers have: equal pids mean nothing, and only leases tell who is dead."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
WITHOUT_PROC = ("unshare", "--pid", "--fork", "--kill-child")  # /proc is still that of the namespace outside


def refused() -> str:
    """Say why there can be no namespaces here; "" if there can."""
    if shutil.which("unshare") is None:
        return "there is no unshare(1)"
    done = subprocess.run([*CONTAINER, "true"], capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


pytestmark = pytest.mark.skipif(bool(why := refused()), reason=f"PID namespaces are refused: {why}")


def contained(stage, name: str, *arguments: object, prefix: tuple[str, ...] = CONTAINER, **environ: str):
    return stage.start(name, *arguments, prefix=prefix, **environ)


def test_equal_pids_in_two_namespaces_never_reap_each_other(stage):
    one, two = contained(stage, "own", "one"), contained(stage, "own", "two")
    assert [owner.hear() for owner in (one, two)] == [{"attempt": 1, "pid": 1}] * 2

    assert one.ask("look two")["status"] == "running"
    assert two.ask("look one")["status"] == "running"
    for prefix in (CONTAINER, ()):
        watcher = contained(stage, "status", prefix=prefix)
        report = watcher.ask()
        assert report["status"] == "running", report
        assert report["catalog"] == ["running", "running"]
        assert contained(stage, "take_over", 0, prefix=prefix).process.wait(300) != 0

    for owner in (one, two):
        owner.say("leave")
        assert owner.rest() == [{"left": True}]


def test_a_dead_one_in_another_namespace_is_known_by_its_lease_alone(stage):
    owner = contained(stage, "own", MOLEXP_LEASE_BEAT="0.1")
    owner.hear()
    with open(f"/proc/{owner.pid}/ns/pid_for_children", "rb"):  # else the next namespace may be called as this one was
        owner.process.kill()
        assert owner.process.stdout is not None
        assert owner.process.stdout.read() == ""  # its end: all that could write to it are gone

        assert contained(stage, "status").ask()["status"] == "running"
        assert stage.start("status").ask()["status"] == "running"
        watcher = contained(stage, "status", MOLEXP_LEASE_TTL="0.5")
        deadline = time.monotonic() + 300
        while (report := watcher.ask())["status"] == "running":
            assert time.monotonic() < deadline
    assert report["status"] == "interrupted"
    assert "lease" in report["history"][0]["reason"]


def test_a_proc_of_another_namespace_is_not_asked(stage):
    owner = contained(stage, "own", prefix=WITHOUT_PROC)
    assert owner.hear() == {"attempt": 1, "pid": 1}

    assert owner.ask("neighbour")["status"] == "running"

    owner.say("leave")
    assert owner.rest() == [{"left": True}]


def test_within_one_namespace_a_neighbour_is_known(stage):
    owner = contained(stage, "own", "keeper")
    owner.hear()
    began = owner.ask("neighbour-dies")

    assert began["status"] == "interrupted"
    assert "gone" in began["history"][0]["reason"]
    owner.say("leave")
    assert owner.rest() == [{"left": True}]
