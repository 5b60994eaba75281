"""A worker's children, and those of a run's `ctx.shell`, die with it; what a task leaves behind on purpose does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.crash.ending import DEADLINE, Act, End, Place, fresh, play
from tests.crash.ends import DRIVE, EXEC, PROCESS, SLEEP, task
from tests.repository import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX")

STARTS = """
import subprocess
tell("ready")
tell("plain", subprocess.Popen(["sleep", "3000"]).pid)
ctx.shell("echo $$ > shell.tmp; mv shell.tmp shell; exec sleep 3000", cwd='.')
"""
STARTED = ("ready", "plain", "shell")


def state(pid: int) -> str:
    """The state letter of a process; "" if there is none."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1]


def wait_until_dead(pid: int) -> None:
    until = time.monotonic() + DEADLINE
    while state(pid) not in ("", "Z"):
        assert time.monotonic() < until, f"process {pid} is left running"
        time.sleep(0.02)


def when_both_run(number: str, to: str) -> Act:
    def act(place: Place, process: subprocess.Popen[bytes]) -> None:
        worker = place.wait_for("ready", process)
        for name in ("plain", "shell"):
            assert state(place.wait_for(name, process)) not in ("", "Z")
        os.kill(worker if to == "worker" else process.pid, getattr(signal, number))

    return act


@pytest.mark.parametrize(
    ("act", "command"),
    [
        pytest.param(when_both_run("SIGKILL", "worker"), (), id="kill -9 of the worker"),
        pytest.param(when_both_run("SIGTERM", "worker"), (), id="kill of the worker"),
        pytest.param(when_both_run("SIGKILL", "parent"), (), id="kill -9 of the parent"),
        pytest.param(when_both_run("SIGINT", "parent"), (), id="Ctrl-C"),
        pytest.param(when_both_run("SIGKILL", "parent"), DRIVE, id="kill -9 of molexp run"),
        pytest.param(when_both_run("SIGKILL", "worker"), DRIVE, id="kill -9 of a worker of molexp run"),
        pytest.param(when_both_run("SIGINT", "parent"), DRIVE, id="Ctrl-C of molexp run"),
    ],
)
def test_what_a_worker_started_dies_with_it(tmp_path: Path, act: Act, command: tuple[str, ...]) -> None:
    code = task(STARTS, "" if command else PROCESS, *([""] if command else []))
    place = Place(tmp_path, str(tmp_path / "lab"), {})
    play(End("", code, "", None, act=act, command=command), place)

    for name in STARTED:
        wait_until_dead(int((tmp_path / name).read_text()))


def test_what_a_worker_started_dies_with_it_when_its_time_is_over(tmp_path: Path) -> None:
    for limit in (3.0, 20.0, 100.0):  # the longer ones where it takes long to start all of that
        folder = fresh(tmp_path / str(limit))
        code = task(STARTS, f"timeout={limit}, {PROCESS}")
        play(End("", code, "", None), Place(folder, str(folder / "lab"), {}))
        if all((folder / name).exists() for name in STARTED):
            break

    for name in STARTED:
        wait_until_dead(int((folder / name).read_text()))


@pytest.mark.parametrize(
    "end",
    [
        End("ctx.shell", task("ctx.shell('echo $$ > tmp; mv tmp ready; exec sleep 3000', cwd='.')"), "", None),
        End("molexp exec", "", "", None, command=(*EXEC, *SLEEP)),
    ],
    ids=lambda end: end.name,
)
def test_a_command_dies_with_the_run_that_is_killed(tmp_path: Path, end: End) -> None:
    def kill(place: Place, process: subprocess.Popen[bytes]) -> None:
        place.wait_for("ready", process)
        process.kill()

    play(End("", end.code, "", None, act=kill, command=end.command), Place(tmp_path, str(tmp_path / "lab"), {}))

    wait_until_dead(int((tmp_path / "ready").read_text()))


def test_what_a_task_leaves_behind_goes_on(tmp_path: Path) -> None:
    body = "import subprocess\ntell('left', subprocess.Popen(['sleep', '3000']).pid)"
    play(End("", task(body, PROCESS), "", None), Place(tmp_path, str(tmp_path / "lab"), {}))

    left = int((tmp_path / "left").read_text())
    try:
        assert state(left) not in ("", "Z")
    finally:
        with suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)


CLOSES = """
import os, sys, molexp as me
from tests.internals import GROUPS
GROUPS.add(2**31 - 2)  # nobody's
GROUPS.prepare()
os.closerange(3, 100)  # as programs do that become daemons
files = [open(f"{number}", "xb", buffering=0) for number in range(20)]
GROUPS.add(2**31 - 3)
GROUPS.remove(2**31 - 3)
for file in files:
    assert os.fstat(file.fileno()).st_size == 0
    file.write(b"mine")
"""


def test_files_of_who_closed_all_descriptors_are_left_alone(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CLOSES],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


WITHOUT_WITNESS = """
import os, signal, molexp as me

def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""

signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as programs do whose output goes to `head`
with me.Workspace("lab").Project("p").Experiment("e").Run(id="r").start() as ctx:
    ctx.shell("true")
    mine = {link(f"/proc/self/fd/{number}") for number in range(3, 100)} - {""}
    (witness,) = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and link(f"/proc/{pid}/fd/0") in mine]
    os.kill(witness, signal.SIGKILL)
    while link(f"/proc/{witness}/fd/0"):
        pass
    ctx.shell("true")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the witness in /proc")
def test_sigpipe_ends_nobody_who_says_something_to_a_witness_that_was_killed(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_WITNESS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
