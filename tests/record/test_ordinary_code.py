"""Within a run, ordinary code runs as it does without one: processes, signals, threads, event loops."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm
from tests.record import ordinary

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are not forked there")
SCRIPT = Path(ordinary.__file__)
DEADLINE = 300  # seconds; a process that waits for ever is what this is about


@pytest.mark.parametrize("name", ordinary.IDIOMS)
@pytest.mark.parametrize(
    "times", [pytest.param(20, id="a few times"), pytest.param(400, id="often", marks=pytest.mark.long)]
)
def test_an_idiom_works_within_a_run(tmp_path, name, times):
    command = [sys.executable, str(SCRIPT), name, str(times), str(tmp_path / "lab")]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parent.parent.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE, env=environment)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


INSTALLED = """
import asyncio, atexit, gc, json, logging, os, signal, sys, threading, warnings
import molexp as me
import msgspec

def installed():
    handlers = {signal.Signals(n).name: str(signal.getsignal(n)) for n in signal.valid_signals() if n < 32}
    return {
        "hooks": [str(hook) for hook in (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook)],
        "traces": [str(trace) for trace in (sys.gettrace(), sys.getprofile(), threading.gettrace())],
        "streams": [str(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "handlers": handlers,
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "wakeup": signal.set_wakeup_fd(-1),
        "policy": str(type(asyncio.get_event_loop_policy())),
        "logging": [str(logging.root.handlers), logging.root.level],
        "filters": str(warnings.filters),
        "environment": dict(os.environ),
        "folder": [os.getcwd(), os.umask(0o22)],
        "switch": sys.getswitchinterval(),
        "gc": [gc.isenabled(), gc.get_threshold()],
        "recursion": sys.getrecursionlimit(),
        "children": open(f"/proc/self/task/{os.getpid()}/children").read(),
    }

exp = me.Workspace(sys.argv[1]).Project("p").Experiment("e")
before = installed()
with exp.Run().start() as ctx:
    ctx.set_result("x", 1)
    ctx.log("train").append("a line")
    ctx.shell(["true"])
    within = installed()
after = installed()
print(json.dumps([before, within, after]))
"""
WARNINGS = {"SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"}


@pytest.mark.skipif(sys.platform != "linux", reason="children are listed by Linux")
def test_a_run_installs_handlers_of_warnings_that_nobody_handles_and_nothing_else(tmp_path):
    command = [sys.executable, "-c", INSTALLED, str(tmp_path / "lab")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE, cwd=tmp_path)

    before, within, after = json.loads(done.stdout)
    within["children"] = ""  # git, perhaps, which is asked where the code comes from
    for found in (within, after):
        changed = {name for name, handler in found["handlers"].items() if handler != before["handlers"][name]}
        assert changed <= WARNINGS
        assert {**found, "handlers": None} == {**before, "handlers": None}


WORKER = """
import json, multiprocessing, signal, sys
import molexp as me

def handled():
    return [n.name for n in signal.valid_signals() if n != signal.SIGINT and callable(signal.getsignal(n))]

def work(_):
    run = me.Workspace(sys.argv[1]).Project("p").Experiment("e").Run()
    with run.start() as ctx:
        ctx.shell(["true"])
        within = handled()
    return within, handled()

with multiprocessing.get_context("fork").Pool(1) as pool:
    print(json.dumps([pool.map(work, [1, 2]), [*pool.apply(signal.pthread_sigmask, (signal.SIG_BLOCK, []))]]))
"""


def test_a_worker_of_a_pool_handles_signals_only_while_it_executes_a_run(tmp_path):
    """Pools end their workers by SIGTERM. One that is noted for a handler, as the worker begins to wait, never ends it."""
    done = warm.run(
        [sys.executable, "-c", WORKER, str(tmp_path / "lab")], capture_output=True, text=True, timeout=DEADLINE
    )
    runs, mask = json.loads(done.stdout or "null") or pytest.fail(done.stderr)
    assert mask == []
    for within, after in runs:
        assert (WARNINGS.issubset(within), after) == (True, [])
