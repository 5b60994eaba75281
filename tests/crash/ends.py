"""Ways in which a run ends, each really gone with real processes and signals; `tools/ends.py` prints what came of them."""

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
from textwrap import dedent, indent

import attrs

PROGRAM = Path(sys.executable).parent / "molexp"
DEADLINE = float(os.environ.get("ENDS_DEADLINE", "120"))  # seconds; a cell takes a few

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
BLOCK = "with exp.Run(id='one').start() as ctx:\n"
IN_A_LOOP = """
async def main():
    {how} exp.Run(id="one").start():
        tell("ready")
        await asyncio.sleep(300)

{run}
"""
TASK = """
@wf.task({options})
def work(ctx):
{body}

wf.build().bind_to(exp)
me.entry(ws)
"""
DIRECT = """
if __name__ == "__main__":
    wf.build().execute_sync(run=exp.Run(id="one"))
"""


@attrs.frozen
class Place:
    """Where a cell is played."""

    folder: Path
    url: str
    environment: Mapping[str, str]

    @property
    def said(self) -> str:
        """What came to standard error."""
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


def block(body: str) -> str:
    return BLOCK + indent(dedent(body).strip() or "pass", "    ")


def task(body: str, options: str = "", more: str = DIRECT) -> str:
    return TASK.format(options=options, body=indent(dedent(body).strip(), "    ")) + more


def looped(how: str, run: str) -> str:
    return IN_A_LOOP.format(how=how, run=run)


ASYNCIO_RUN = "asyncio.run(main())"
LOOP = "loop = asyncio.new_event_loop(); loop.run_until_complete(main())"
GROUP = """
async def outer():
    async with asyncio.TaskGroup() as group:
        group.create_task(main()); group.create_task(asyncio.sleep(300))
asyncio.run(outer())
"""
PROCESS = "executor='process'"
DRIVE = ("run", "script.py", "--executor", "process")
EXEC = ("exec", "p/e", "--id", "one")
SLEEP = ("--", "sh", "-c", "touch ready.tmp; echo $$ > ready.tmp; mv ready.tmp ready; exec sleep 300")
SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_START_TIME": "1", "SLURM_JOB_END_TIME": "2"}
GONE = r"process \d+ on \S+ is (gone|a zombie)"

ENDS = (
    End("a block", block("pass"), "succeeded", None, quick=True),
    End("an exception", block("raise ValueError('no')"), "failed", "exception", "ValueError: no", quick=True),
    End("sys.exit(3)", block("sys.exit(3)"), "failed", "exception", "SystemExit: 3"),
    End("sys.exit(0)", block("sys.exit(0)"), "succeeded", None),
    End(
        "a memory limit (ulimit -v)",
        block("resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))\nfill()"),
        "failed",
        "out_of_memory",
        "MemoryError",
    ),
    End("a memory limit (control group)", block("fill()"), "interrupted", "out_of_memory", GONE, needs="memory"),
    End("left behind", "ctx = exp.Run(id='one').start()", "interrupted", "owner_died", "its process ended", quick=True),
    End("os._exit", block("os._exit(0)"), "interrupted", "owner_died", GONE),
    End("Ctrl-C", block("wait()"), "cancelled", "cancel", "KeyboardInterrupt", terminal("SIGINT"), quick=True),
    End("kill", block("wait()"), "interrupted", "signal", "received SIGTERM", send("SIGTERM"), quick=True),
    End("kill -HUP", block("wait()"), "interrupted", "signal", "received SIGHUP", send("SIGHUP")),
    End("kill -USR1", block("wait()"), "interrupted", "signal", "received SIGUSR1", send("SIGUSR1")),
    End("kill -XCPU", block("wait()"), "interrupted", "signal", "received SIGXCPU", send("SIGXCPU")),
    End("kill -9", block("wait()"), "interrupted", "owner_died", GONE, send("SIGKILL"), quick=True),
    End(
        "cancel",
        block("me.Workspace.load(os.environ['LAB']).run('p/e/one').cancel('too expensive')\nwait()"),
        "cancelled",
        "cancel",
        "too expensive",
        environment={"MOLEXP_LEASE_BEAT": "0.1"},
    ),
    End(
        "the time limit of a Slurm job",
        block("wait()"),
        "interrupted",
        "walltime",
        "received SIGTERM",
        send("SIGTERM"),
        environment=SLURM,
    ),
    End(
        "a Slurm job that is started again",
        block("wait()"),
        "interrupted",
        "superseded",
        "job 7 was requeued",
        send("SIGKILL"),
        environment={"SLURM_JOB_ID": "7"},
        reader={"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "1"},
    ),
    *(
        End(f"{word} under {name}", looped(how, run), status, cause, reason, act)
        for name, how, run in (
            ("asyncio.run, async with", "async with", ASYNCIO_RUN),
            ("asyncio.run, with", "with", ASYNCIO_RUN),
            ("run_until_complete", "async with", LOOP),
            ("a task group", "async with", GROUP),
        )
        for word, act, status, cause, reason in (
            ("Ctrl-C", send("SIGINT"), "cancelled", "cancel", "CancelledError|KeyboardInterrupt"),
            ("kill", send("SIGTERM"), "interrupted", "signal", "received SIGTERM"),
        )
    ),
    End(
        "a cancelled task of an event loop",
        looped("async with", "async def outer():\n    await asyncio.wait_for(main(), 0.2)\nasyncio.run(outer())"),
        "cancelled",
        "cancel",
        "CancelledError",
    ),
    End("a task's exception", task("raise ValueError('no')"), "failed", "exception", "task 'work' failed: ValueError"),
    End(
        "a task's MemoryError", task("raise MemoryError"), "failed", "out_of_memory", "task 'work' failed: MemoryError"
    ),
    End(
        "a task's time-out (thread)", task("time.sleep(2)", "timeout=0.1"), "failed", "timeout", "ran longer than 0.1 s"
    ),
    End(
        "a task's time-out (process)",
        task("wait()", f"timeout=1.0, {PROCESS}"),
        "failed",
        "timeout",
        "ran longer than 1 s",
        quick=True,
    ),
    End(
        "a command's time-out",
        task("ctx.shell(['sleep', '300'], timeout=0.2)"),
        "failed",
        "timeout",
        "longer than 0.2 s",
    ),
    End("a command's kill", task("ctx.shell('kill -9 $$')"), "failed", "signal", "CommandError"),
    End("Ctrl-C, a task in a thread", task("wait()"), "cancelled", "cancel", "", terminal("SIGINT")),
    End(
        "Ctrl-C, a task in a worker", task("wait()", PROCESS), "cancelled", "cancel", "", terminal("SIGINT"), quick=True
    ),
    End(
        "kill, a task in a worker",
        task("wait()", PROCESS),
        "interrupted",
        "signal",
        "received SIGTERM",
        send("SIGTERM"),
    ),
    End("kill -9, a task in a worker", task("wait()", PROCESS), "interrupted", "owner_died", GONE, send("SIGKILL")),
    End(
        "KeyboardInterrupt in a worker",
        task("raise KeyboardInterrupt", PROCESS),
        "cancelled",
        "cancel",
        "KeyboardInterrupt",
    ),
    End(
        "kill of a worker",
        task("wait()", PROCESS),
        "failed",
        "signal",
        "was killed by SIGTERM",
        send("SIGTERM", to="ready"),
    ),
    End(
        "kill of a worker in a command",
        task("ctx.shell('echo $PPID > tmp; mv tmp ready; exec sleep 300', cwd='.')", PROCESS),
        "failed",
        "signal",
        "was killed by SIGTERM",
        send("SIGTERM", to="ready"),
    ),
    End(
        "kill -9 of a worker",
        task("wait()", PROCESS),
        "failed",
        "signal",
        "was killed by SIGKILL",
        send("SIGKILL", to="ready"),
        quick=True,
    ),
    End(
        "a worker's memory limit (control group)",
        task("fill()", PROCESS),
        "failed",
        "out_of_memory",
        "because the memory was full",
        needs="memory",
    ),
    *(
        End(f"{word}, runs in {name}", task("wait()", more=""), status, cause, reason, act, command)
        for name, command in (("molexp run", ("run", "script.py")), ("workers of molexp run", DRIVE))
        for word, act, status, cause, reason in (
            ("Ctrl-C", terminal("SIGINT"), "cancelled", "cancel", ""),
            ("kill", send("SIGTERM"), "interrupted", "signal", "received SIGTERM"),
            ("kill -9", send("SIGKILL"), "interrupted", "owner_died", GONE),
        )
    ),
    End(
        "kill of a worker of molexp run",
        task("wait()", more=""),
        "interrupted",
        "signal",
        "received SIGTERM",
        send("SIGTERM", to="ready"),
        DRIVE,
    ),
    End(
        "kill -9 of a worker of molexp run",
        task("wait()", more=""),
        "interrupted",
        "signal",
        r"process \d+ was killed by SIGKILL",
        send("SIGKILL", to="ready"),
        DRIVE,
        quick=True,
    ),
    End(
        "the memory limit of a worker of molexp run",
        task("fill()", more=""),
        "interrupted",
        "out_of_memory",
        "because the memory was full",
        command=DRIVE,
        needs="memory",
    ),
    End("molexp exec, exit 3", "", "failed", "exception", "exit code 3", command=(*EXEC, "--", "sh", "-c", "exit 3")),
    End(
        "molexp exec, a killed command",
        "",
        "failed",
        "signal",
        "SIGKILL",
        command=(*EXEC, "--", "sh", "-c", "kill -9 $$"),
    ),
    End(
        "molexp exec, time-out",
        "",
        "failed",
        "timeout",
        "ran longer than 0.5 s",
        command=(*EXEC, "--timeout", "0.5", "--", "sleep", "300"),
    ),
    End("molexp exec, Ctrl-C", "", "cancelled", "cancel", "", terminal("SIGINT"), (*EXEC, *SLEEP)),
    End("molexp exec, kill", "", "interrupted", "signal", "received SIGTERM", send("SIGTERM"), (*EXEC, *SLEEP)),
    End("molexp exec, kill -9", "", "interrupted", "owner_died", GONE, send("SIGKILL"), (*EXEC, *SLEEP)),
)


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
        subprocess.run([sys.executable, "-c", HEAD], check=True, env=environment, cwd=place.folder)
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
    done = subprocess.run(read, check=False, env={**environment, **end.reader}, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{end.name}: nothing on record\n{place.said}\n{done.stderr}")
    status, cause, reason = json.loads(done.stdout)
    return status, cause, reason


def is_right(end: End, found: Facts) -> bool:
    """Whether that is what was to be on record."""
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
        until = time.monotonic() + 20
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
