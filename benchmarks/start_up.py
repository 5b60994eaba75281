"""Measure the start: ``import molexp``, processes that track or list runs, and help, in CPU time over a bare interpreter."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from measure import Line

import molexp as me

Run: TypeAlias = Callable[[list[str], dict[str, str]], None]

TRACK = """
import sys
import molexp as me
with me.Workspace(sys.argv[1]).Project("metals").Experiment("cu", params={"a": 3.6}).Run().start() as ctx:
    ctx.set_result("energy", -3.72)
    ctx.artifact.save("volumes.json", [11.2, 11.8])
"""

COMMAND = "import sys; from molexp_cli._main import run; sys.exit(run(sys.argv[1:]))"

COMPLETE = "from molexp_cli._main import program; program()"


def to_nowhere(command: list[str], environment: dict[str, str]) -> None:
    """Run a command whose output nobody reads."""
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def on_terminal(command: list[str], environment: dict[str, str]) -> None:
    """Run a command on a terminal."""
    ours, its = os.openpty()
    wide = {**environment, "COLUMNS": "120", "LINES": "40", "TERM": "xterm-256color", "PAGER": ""}
    process = subprocess.Popen(command, env=wide, stdin=its, stdout=its, stderr=its)
    os.close(its)
    with suppress(OSError):  # that is how a terminal ends
        while os.read(ours, 1 << 16):
            pass
    os.close(ours)
    assert process.wait() == 0


def cpu_of(code: str, *arguments: str, rounds: int, run: Run = to_nowhere, **variables: str) -> float:
    """Least CPU milliseconds, children included, of a fresh interpreter that runs `code`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= variables
    best = float("inf")
    for number in range(rounds + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run([sys.executable, "-c", code, *arguments], environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if number:  # the first one compiles
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            best = min(best, spent * 1e3)
    return best


def completing(line: str, rounds: int, cache: str) -> float:
    """Measure the same of a process that a shell asks how a line may go on."""
    return cpu_of(
        COMPLETE,
        rounds=rounds,
        MOLEXP_CACHE_DIR=cache,
        _MOLEXP_COMPLETE="complete_fish",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
        _TYPER_COMPLETE_ARGS=line,
    )


def measure(*, quick: bool) -> list[Line]:
    """Yield the lines of the report, in milliseconds of CPU time."""
    rounds = 5 if quick else 15
    nothing = cpu_of("pass", rounds=rounds)
    imported = cpu_of("import molexp", rounds=rounds) - nothing
    with tempfile.TemporaryDirectory(prefix="molexp-bench-") as folder:
        lab, cache = os.path.join(folder, "lab"), os.path.join(folder, "cache")
        tracked = cpu_of(TRACK, lab, rounds=rounds, MOLEXP_CACHE_DIR=cache) - nothing
        helped = cpu_of(COMMAND, "--help", rounds=rounds) - nothing
        me.Workspace(lab).Project("metals").Experiment("cu").runs.create_many([{"n": number} for number in range(1000)])
        command = ("-w", lab, "runs", "list")
        listed = cpu_of(COMMAND, *command, rounds=rounds, MOLEXP_CACHE_DIR=cache) - nothing
        few = cpu_of(COMMAND, *command, rounds=rounds, run=on_terminal, MOLEXP_CACHE_DIR=cache) - nothing
        most = 20_000 if quick else 100_000
        me.Workspace(lab).Project("metals").Experiment("ag").runs.create_many([{"n": n} for n in range(most - 1000)])
        many = cpu_of(COMMAND, *command, rounds=rounds, run=on_terminal, MOLEXP_CACHE_DIR=cache) - nothing
        completed = {}
        for words in ("show metals/ag/4", "show 4a7", "logs 4a7 ", "runs list params."):
            completed[words] = completing(f"molexp -w {lab} {words}", rounds, cache) - nothing
        slowest = max(completed, key=completed.__getitem__)
    detail = f"bare interpreter {nothing:.0f} ms"
    return [
        Line("import molexp, over a bare interpreter", "", imported, 45.0, detail, unit=" ms"),
        Line("a fresh process that tracks one run, over the same", "", tracked, 110.0, detail, unit=" ms"),
        Line("molexp --help, over a bare interpreter", "", helped, 60.0, detail, unit=" ms"),
        Line("molexp runs list of 1 000, over a bare interpreter", "", listed, 150.0, detail, unit=" ms"),
        Line(f"a shell completes a word, of {most} runs", "", completed[slowest], 100.0, f"{slowest!r}", unit=" ms"),
        Line(
            f"the first page of {most} on a terminal", "that of 1 000", many / few, 1.5, f"{many:.0f} and {few:.0f} ms"
        ),
    ]
