"""How everything here is measured: contenders take turns in one process, and only ratios are reported.

Each contender is a function that does `count` units of work in a fresh folder. They run in short rounds, one after the
other, so that a slow moment of the machine hits all of them; a contender's figure is the median of its rounds. Nothing is
deleted before the end: some file systems are slow for a while after that.
"""

from __future__ import annotations

import statistics
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
        """How many times `theirs` costs what `ours` does, inverted: below 1 means that ours is cheaper."""
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


def folders() -> dict[str, Path]:
    """Where to measure: a disk, and tmpfs where there is one."""
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

    def __str__(self) -> str:
        verdict = "ok  " if self.ratio <= self.limit else "OVER"
        return f"{verdict} {self.what:<58} {self.where:<6} {self.ratio:8.2f}{self.unit} (at most {self.limit:g}{self.unit})  {self.detail}"
