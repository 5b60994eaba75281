"""Measure contenders: they take turns in one process, and only ratios are reported.

Each contender is a function that does `count` units of work in a fresh folder. They run in short rounds, one after the
other, so that a slow moment of the machine hits all of them; a contender's figure is the median of its rounds. Nothing is
deleted before the end: some file systems are slow for a while after that.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

Contender = Callable[[Path, int], None]
"""Does `count` units of work in a folder that exists and is empty."""


@attrs.frozen
class Figures:
    """Median microseconds a unit, by contender."""

    micros: Mapping[str, float]

    def ratio(self, ours: str, theirs: str) -> float:
        """Return how many times `theirs` costs what `ours` does, inverted: below 1 means that ours is cheaper."""
        return self.micros[ours] / self.micros[theirs]


def take_turns(contenders: Mapping[str, Contender], *, where: Path, count: int, rounds: int) -> Figures:
    """Measure `contenders` in turns; the first round warms up and does not count."""
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory(dir=where, prefix="molexp-bench-") as base:
        for number in range(rounds + 1):
            for name, work in contenders.items():
                folder = Path(base, f"{name.replace(' ', '-').replace('/', '-')}-{number}")
                folder.mkdir()
                began = time.perf_counter()
                work(folder, count)
                took = time.perf_counter() - began
                if number:
                    spent[name].append(took / count * 1e6)
    return Figures({name: statistics.median(times) for name, times in spent.items()})


def run_fresh(code: str, *arguments: object, **variables: object) -> str:
    """Return what a fresh interpreter that runs `code` prints; it inherits the environment, and `variables`.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    # Modules are compiled once, as on a user's machine; nothing calls home.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", **{name: str(value) for name, value in variables.items()}}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout


def time_fresh(contenders: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Median wall milliseconds of contenders that take turns, each starting one process; the first round warms up."""
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, work in contenders.items():
            began = time.perf_counter()
            work()
            if number:
                spent[name].append((time.perf_counter() - began) * 1e3)
    return {name: statistics.median(times) for name, times in spent.items()}


PRINT_PEAK = """
try:
    with open("/proc/self/status") as status:
        print(next(line for line in status if line.startswith("VmHWM")).split()[1])
except OSError:
    import resource, sys
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak // 1024 if sys.platform == "darwin" else peak)
"""
"""Prints the peak resident kilobytes of the process that runs this; what its parent had does not count."""


def peak_of(code: str, *arguments: object, **variables: object) -> float:
    """Peak resident megabytes of a fresh interpreter that runs `code`."""
    return int(run_fresh(code + PRINT_PEAK, *arguments, **variables).split()[-1]) / 1024


def folders() -> dict[str, Path]:
    """Return where to measure: a disk, and tmpfs where there is one."""
    found = {"disk": Path(tempfile.gettempdir())}
    if (shm := Path("/dev/shm")).is_dir():
        found["tmpfs"] = shm
    return found


@attrs.frozen
class Line:
    """One line of the report: a ratio, and what it is to be at most."""

    what: str
    where: str
    ratio: float
    limit: float
    detail: str = ""
    unit: str = "x"

    @property
    def verdict(self) -> str:
        """PASS, or OVER if it is above its limit."""
        return "PASS" if self.ratio <= self.limit else "OVER"

    def __str__(self) -> str:
        return f"{self.verdict:<4} {self.what:<58} {self.where:<6} {self.ratio:8.2f}{self.unit} (at most {self.limit:g}{self.unit})  {self.detail}"
