"""Ending runs by real processes and signals, and reading what is on record then."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from tests import warm

PROGRAM = Path(sys.executable).parent / "molexp"
DEADLINE = float(os.environ.get("ENDS_DEADLINE", "300"))  # seconds; a cell takes a few

Facts = tuple[str, str | None, str]
"""Status, cause, and reason."""

HEAD = """
import asyncio, os, pathlib, resource, signal, sys, time
import molexp as me
from molexp.workflow import WorkflowBuilder

if group := os.environ.get("MEMORY_GROUP"):
    pathlib.Path(group, "cgroup.procs").write_text(str(os.getpid()))

def tell(name, text=""):
    pathlib.Path(name + ".tmp").write_text(str(text) or str(os.getpid()))
    os.rename(name + ".tmp", name)

def wait():
    tell("ready")
    while True:
        time.sleep(0.01)

def fill():
    tell("ready")
    return bytearray(1 << 31)

ws = me.Workspace(os.environ["LAB"])
exp = ws.Project("p").Experiment("e")
wf = WorkflowBuilder(name="w")
"""


@attrs.frozen
class Place:
    """Describe the place where a cell is played."""

    folder: Path
    url: str
    environment: Mapping[str, str]

    @property
    def said(self) -> str:
        """Return what came to standard error."""
        return (self.folder / "stderr").read_text(errors="replace")[-2000:]

    def wait_for(self, name: str, process: subprocess.Popen[bytes]) -> int:
        """The process id that a script told in a file of this name."""
        until = time.monotonic() + DEADLINE
        path = self.folder / name
        while not path.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"{name!r} never came: {self.said}")
            time.sleep(0.01)
        return int(path.read_text())


Act = Callable[[Place, subprocess.Popen[bytes]], None]


def send(name: str, *, to: str = "") -> Act:
    """A signal as soon as the work goes on: to the process that was started, or to who told its id in a file."""

    def act(place: Place, process: subprocess.Popen[bytes]) -> None:
        ready = place.wait_for("ready", process)
        os.kill(ready if to == "ready" else process.pid, getattr(signal, name))

    return act


def terminal(name: str) -> Act:
    """A signal to all processes of a terminal's foreground group, as by Ctrl-C."""

    def act(place: Place, process: subprocess.Popen[bytes]) -> None:
        place.wait_for("ready", process)
        os.killpg(process.pid, getattr(signal, name))

    return act


def let_it_end(place: Place, process: subprocess.Popen[bytes]) -> None:
    """Do nothing to it."""


@attrs.frozen
class End:
    """One way to end, and what is to be on record.

    Attributes:
        name: what happens.
        code: the script, after `HEAD`.
        status: of the run.
        cause: of its end.
        reason: a pattern that the reason has to match.
        act: what is done to the process.
        command: how the script is started; by default as a script.
        environment: variables of the process.
        reader: variables of whoever looks afterwards.
        needs: "memory" for a control group of a limited size.
        quick: whether the default suite plays it.
    """

    name: str
    code: str
    status: str
    cause: str | None
    reason: str = ""
    act: Act = let_it_end
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = attrs.field(factory=dict)
    reader: Mapping[str, str] = attrs.field(factory=dict)
    needs: str = ""
    quick: bool = False


READ = """
import json, os, molexp as me
(run,) = me.Workspace.load(os.environ["LAB"]).project("p").experiment("e").runs
print(json.dumps([run.status, run.cause, (run.execution_history or [{}])[-1].get("reason") or ""]))
"""


def play(end: End, place: Place) -> Facts:
    """Let it happen; returns what is on record then."""
    if end.needs == "memory":
        with limited_memory() as group:
            return _play(end, place, {"MEMORY_GROUP": str(group)})
    return _play(end, place, {})


def _play(end: End, place: Place, more: Mapping[str, str]) -> Facts:
    (place.folder / "script.py").write_text(HEAD + end.code)
    environment = {**os.environ, **place.environment, "LAB": place.url, "MOLEXP_CACHE_DIR": str(place.folder / "cache")}
    command = [str(PROGRAM), *end.command] if end.command else [sys.executable, "script.py"]
    if end.command[:1] == ("exec",):
        environment["MOLEXP_WORKSPACE"] = place.url
        warm.run([sys.executable, "-c", HEAD], check=True, env=environment, cwd=place.folder)
    with (place.folder / "stderr").open("wb") as stderr:  # no pipe, which what is left running would hold open
        process = subprocess.Popen(
            command,
            cwd=place.folder,
            env={**environment, **end.environment, **more},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        end.act(place, process)
        process.wait(DEADLINE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    read = [sys.executable, "-c", READ]
    done = warm.run(read, check=False, env={**environment, **end.reader}, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{end.name}: nothing on record\n{place.said}\n{done.stderr}")
    status, cause, reason = json.loads(done.stdout)
    return status, cause, reason


def is_right(end: End, found: Facts) -> bool:
    """Tell whether that was to be on record."""
    return found[:2] == (end.status, end.cause) and re.search(end.reason, found[2]) is not None


@contextmanager
def limited_memory() -> Iterator[Path]:
    """A control group of 300 MiB.

    Raises:
        OSError: this process may not make one.
    """
    (line,) = [line for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line] or [""]
    if line:
        group, limits = Path("/sys/fs/cgroup/memory" + line.split(":")[2]), ["memory.limit_in_bytes"]
        limits += ["memory.memsw.limit_in_bytes"]
    else:
        own = Path("/proc/self/cgroup").read_text().split("::")[1].strip()
        group, limits = Path("/sys/fs/cgroup" + own), ["memory.max", "memory.swap.max"]
    group /= f"molexp-ends-{os.getpid()}"
    group.mkdir()
    try:
        (group / limits[0]).write_text(str(300 << 20))
        with suppress(OSError):  # no swap is counted here
            (group / limits[1]).write_text(str(300 << 20) if line else "0")
        yield group
    finally:
        until = time.monotonic() + 300
        while time.monotonic() < until:
            with suppress(OSError):  # who is in it has been killed, and may not be gone yet
                group.rmdir()
                break
            time.sleep(0.05)


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
