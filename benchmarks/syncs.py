"""Copies of a workspace: a sync that brings everything, one that finds nothing new, and the import of a folder.

Against ``rsync -a``, which flushes nothing and compares no hashes, in CPU seconds of the process and its children. MolExp works
in this process, which has been started; how long that takes, `start_up` measures.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from measure import Line, folders

import molexp as me


def measure(*, quick: bool) -> list[Line]:
    """Yield the lines of the report."""
    if shutil.which("rsync") is None:
        print("rsync is not installed: left out", file=sys.stderr)
        return []
    lines = []
    for where, folder in folders().items():
        with tempfile.TemporaryDirectory(dir=folder, prefix="molexp-bench-") as base:
            lines += _compare(Path(base), where, runs=300 if quick else 2000, rounds=3 if quick else 5)
    return lines


def _compare(base: Path, where: str, *, runs: int, rounds: int) -> list[Line]:
    os.environ["MOLEXP_CACHE_DIR"] = str(base / "cache")
    source, tree = base / "source", base / "tree"
    exp = me.Workspace(source).Project("p").Experiment("e")
    for number in range(runs):
        with exp.Run(id=f"r{number}").start() as ctx:
            ctx.set_result("x", number)
            ctx.artifact.save("a.txt", "x")
            ctx.log("l").append("line")
        (tree / f"{number % 10}").mkdir(parents=True, exist_ok=True)
        (tree / f"{number % 10}/{number}.txt").write_text("x" * 1000)

    def rsync(origin: Path, copy: Path) -> None:
        subprocess.run(["rsync", "-a", "--exclude=.molexp", f"{origin}/", str(copy)], check=True)

    def sync(_: Path, copy: Path) -> None:
        assert me.sync_workspace(source, copy).ok

    def bring(_: Path, copy: Path) -> None:
        me.Workspace(copy).data_assets.import_asset("tree", tree)

    kinds: Mapping[str, tuple[Path, Callable[[Path, Path], None], bool, float]] = {
        "sync of all runs / rsync": (source, sync, True, 2.0),
        "sync that finds nothing new / rsync": (source, sync, False, 1.2),
        "import of a folder / rsync": (tree, bring, True, 2.0),
    }
    lines = []
    for number, (what, (origin, ours, anew, limit)) in enumerate(kinds.items()):
        spent: dict[str, list[float]] = {"molexp": [], "rsync": []}
        for turn in range(rounds + 1):
            for name, work in (("molexp", ours), ("rsync", rsync)):
                copy = base / f"{name}-{number}-{turn if anew else 0}"
                before = _cpu()
                work(origin, copy)
                if turn:
                    spent[name].append(_cpu() - before)
        median = {name: statistics.median(found) for name, found in spent.items()}
        detail = ", ".join(f"{name} {one / runs * 1e6:.0f} us" for name, one in median.items()) + f" each of {runs}"
        lines.append(Line(what, where, median["molexp"] / median["rsync"], limit, detail))
    return lines


def _cpu() -> float:
    """Return the CPU seconds that this process and its children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
