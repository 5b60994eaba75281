"""Measure the start: ``import molexp``, processes that track or list runs, and help, in CPU time over a bare interpreter."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile

from measure import Line

import molexp as me

TRACK = """
import sys
import molexp as me
with me.Workspace(sys.argv[1]).Project("metals").Experiment("cu", params={"a": 3.6}).Run().start() as ctx:
    ctx.set_result("energy", -3.72)
    ctx.artifact.save("volumes.json", [11.2, 11.8])
"""

COMMAND = "import sys; from molexp_cli._main import run; sys.exit(run(sys.argv[1:]))"


def cpu_of(code: str, *arguments: str, rounds: int, **variables: str) -> float:
    """Least CPU milliseconds, children included, of a fresh interpreter that runs `code`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= variables
    best = float("inf")
    for number in range(rounds + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-c", code, *arguments]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if number:  # the first one compiles
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            best = min(best, spent * 1e3)
    return best


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
        listed = cpu_of(COMMAND, "-w", lab, "runs", "list", rounds=rounds, MOLEXP_CACHE_DIR=cache) - nothing
    detail = f"bare interpreter {nothing:.0f} ms"
    return [
        Line("import molexp, over a bare interpreter", "", imported, 45.0, detail, unit=" ms"),
        Line("a fresh process that tracks one run, over the same", "", tracked, 110.0, detail, unit=" ms"),
        Line("molexp --help, over a bare interpreter", "", helped, 60.0, detail, unit=" ms"),
        Line("molexp runs list of 1 000, over a bare interpreter", "", listed, 150.0, detail, unit=" ms"),
    ]
