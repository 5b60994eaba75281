"""Try a plugin in a process of its own, with a time limit, before this process imports it.

What a plugin does when it is imported, it does to the whole process: it may hang, end it, print into its answer, or change
what everybody depends on. `molexp.plugins._tried` is the other side.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import IO, Any

import msgspec
from msgspec.structs import replace

from molexp._values.groups import kill_group
from molexp._values.scratch import scratch_file
from molexp.plugins._answers import ONGOING, TIMEOUT, guarding, remember, stamp_of
from molexp.plugins._info import PluginInfo, Trial

MEMORY = 2 << 30  # bytes that importing a plugin may take
PRINTED = 16 << 20  # bytes that it may print

_PROGRAM = "import sys, json; r = json.loads(sys.argv[1]); sys.path[:] = r['path']; from molexp.plugins._tried import main; main(r)"
_SIGKILL = getattr(signal, "SIGKILL", 9)
_FROM_OUTSIDE = {getattr(signal, "SIGHUP", 1), signal.SIGINT, signal.SIGTERM, _SIGKILL}
"""Signals by which schedulers, users and the system end any process: they say nothing of the plugin."""

_SHOWN = 200  # characters of what it printed that are kept
_STARTING = 60.0  # seconds that an interpreter may take to start
_LOOKS = (0.002, 0.02)  # seconds between looks at the process, at first and later
_LONGEST_LOOK = 0.5  # seconds that count, at most, between two looks: if more pass, the machine stood still


def try_out(plugin: PluginInfo, limit: float = 0.0) -> Trial | None:
    """Import a plugin and call its hooks in another process, and remember what that found; None if there can be none."""
    limit = limit or guarding()
    found = _tried(plugin, limit) if limit else None
    if found is None and limit:
        found = _tried(plugin, limit)  # a machine with too much to do may not have started the first
    return found


def _tried(plugin: PluginInfo, limit: float) -> Trial | None:
    stamp = stamp_of(plugin)  # as it is before: it may change meanwhile
    request = {
        "parent": os.getpid(),
        "plugin": [plugin.name, plugin.distribution, plugin.value],
        "path": [one for one in sys.path if isinstance(one, str)],
    }
    with scratch_file() as told, scratch_file() as out, scratch_file() as err:
        command = [sys.executable, "-P", "-c", _PROGRAM, json.dumps({**request, "report": told.fileno()})]
        started = time.monotonic()
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, ONGOING: "1"},
                pass_fds=[told.fileno()],
                start_new_session=True,
            )
        except (OSError, ValueError):
            return None  # no more processes, or none at all
        try:
            stopped = _watch(process, limit, told, (out, err))
        finally:
            kill_group(process.pid, _SIGKILL)
            process.wait()
        found = _judge(_reported(told), process.returncode, stopped, out, time.monotonic() - started)
        if found is not None and (stopped or -process.returncode not in _FROM_OUTSIDE):
            remember(plugin, found, stamp, limit)
        return found


def _watch(process: subprocess.Popen[bytes], limit: float, told: IO[bytes], printed: tuple[IO[bytes], ...]) -> str:
    """Wait for the end of a trial, and return why it was stopped; "" if it was not.

    The limit counts from when the plugin is imported: a machine with much to do takes its time to start an interpreter. The
    time in which the machine stands still, as virtual ones do at times, is not the plugin's.
    """
    left, pause, began, before = limit + _STARTING, _LOOKS[0], False, time.monotonic()
    while True:
        time.sleep(pause)
        if _ended(process):
            return ""
        pause = min(2 * pause, _LOOKS[1])
        now = time.monotonic()
        left -= min(now - before, _LONGEST_LOOK)
        before = now
        if not began and os.fstat(told.fileno()).st_size:
            left, began = limit, True
        if left < 0:
            return f"did not end within {limit:g} s ({TIMEOUT} sets this limit)"
        if _memory(process.pid) > MEMORY:
            return f"took more than {MEMORY >> 20} MiB of memory"
        if sum(os.fstat(one.fileno()).st_size for one in printed) > PRINTED:
            return f"printed more than {PRINTED >> 20} MiB"


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether a process has ended. It keeps its number, and that of its group, until it is waited for."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # this program ignores the ends of its children
        return True


def _memory(pid: int) -> int:
    """Return the bytes of memory that a process has; 0 where the system does not say."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _reported(file: IO[bytes]) -> list[dict[str, Any]]:
    """Return what the process said, as far as it came."""
    file.seek(0)
    found: list[dict[str, Any]] = []
    for line in file.read().splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def _judge(said: list[dict[str, Any]], code: int, stopped: str, out: IO[bytes], seconds: float) -> Trial | None:
    doing = next((one["doing"] for one in reversed(said) if "doing" in one), "")
    if not doing:
        return None  # it never came to the plugin: an interpreter that does not start says nothing of it
    report = next((one for one in said if "trial" in one), None)
    cause = _cause(doing, report, code, stopped)
    out.seek(0)
    printed = out.read(_SHOWN).decode("utf-8", "replace")
    if report is None:
        return Trial(refused=cause, printed=printed, seconds=seconds)
    late = os.fstat(out.fileno()).st_size > report["printed"]
    if not cause and late:
        cause = "it prints on standard output when the program ends"
    trial = msgspec.convert(report["trial"], Trial)
    return replace(trial, refused=trial.refused or cause, printed=printed)


def _cause(doing: str, report: object, code: int, stopped: str) -> str:
    if stopped:
        return f"{doing} {stopped}"
    if code < 0:
        return f"{doing} ended the process by {_signal(-code)}"
    return f"{doing} ended the process with exit code {code}" if code or report is None else ""


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
