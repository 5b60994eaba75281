"""Large files, long logs and many points: saving and reading them, in CPU seconds, against `cp`, `cat` and the standard library."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Any

from measure import Line, folders, peak_of

import molexp as me


def cpu_seconds() -> float:
    """CPU time of this process and of the children that it has waited for."""
    spent = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def in_turns(
    contenders: Mapping[str, Callable[[int], object]], *, rounds: int, clock: Callable[[], float] = cpu_seconds
) -> dict[str, float]:
    """Least seconds of contenders that take turns, by default of CPU: whatever is more is what others did to the machine."""
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, work in contenders.items():
            os.sync()
            began = clock()
            work(number)
            spent[name].append(clock() - began)
    return {name: min(times) for name, times in spent.items()}


def large_files(where: str, folder: Path, megabytes: int) -> Iterator[Line]:
    """Save, write, import and download one large file."""
    source = folder / "source.bin"
    source.write_bytes(os.urandom(1 << 20) * megabytes)
    lab = me.Workspace(folder / "lab", storage_options={"durability": "never"})
    exp = lab.Project("metals").Experiment("cu")

    def copied(path: Path) -> None:
        subprocess.run(["cp", source, path], check=True)

    def hashed(_: int) -> None:
        with source.open("rb") as file:
            file_digest(file, "sha256")

    with exp.Run(id="one").start() as ctx:

        def written(number: int) -> None:
            with ctx.artifact.writing(f"written-{number}.bin") as path:
                copied(path)

        ctx.artifact.save("first.bin", source)
        first = lab.run("metals/cu/one").asset("first.bin")
        ours: dict[str, Callable[[int], object]] = {
            "save(Path)": lambda number: ctx.artifact.save(f"saved-{number}.bin", source),
            "writing()": written,
            "import_asset()": lambda number: exp.data_assets.import_asset(f"data-{number}", source),
            "download()": lambda number: first.download(folder / f"downloaded-{number}.bin"),
        }
        theirs: dict[str, Callable[[int], object]] = {
            "cp": lambda number: copied(folder / f"copy-{number}.bin"),
            "sha256": hashed,
        }
        found = in_turns(theirs | ours, rounds=4)
    for name in ours:
        ratio = found[name] / (1.3 * found["cp"] + found["sha256"])
        detail = f"{found[name]:.2f} s, cp {found['cp']:.2f} s, SHA-256 {found['sha256']:.2f} s"
        yield Line(f"{megabytes} MB by {name} / 1.3 cp and SHA-256", where, ratio, 1.0, detail)


def long_logs(where: str, folder: Path, megabytes: int) -> Iterator[Line]:
    """Pass a log on in pieces, as `molexp logs` does."""
    run = me.Workspace(folder / "lab").Project("metals").Experiment("cu").Run(id="one")
    lines = "".join(f"step {number} of many, loss={1 / (number + 1)}\n" for number in range(25_000))
    with run.start() as ctx:
        for _ in range(megabytes):
            ctx.log("train").write(lines)
    path = run.asset("train").path

    def passed_on(_: int) -> None:
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as sink:
            assert sink.stdin is not None
            for piece in me.read_logs(run, "train", lines=False):
                sink.stdin.write(piece.data)

    def cat(_: int) -> None:
        with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as first:
            subprocess.run(["cat"], stdin=first.stdout, stdout=subprocess.DEVNULL, check=True)

    found = in_turns({"molexp": passed_on, "cat": cat}, rounds=5)
    detail = f"{found['molexp']:.3f} s, {found['cat']:.3f} s"
    size = path.stat().st_size
    yield Line(f"a log of {size >> 20} MB / cat", where, found["molexp"] / found["cat"], 2.0, detail)
    log = run.log("train")

    def ends(_: int) -> None:
        for _ in range(100):
            log.tail(10)

    def ends_by_hand(_: int) -> None:
        for _ in range(100):
            with path.open("rb") as file:
                file.seek(-8192, os.SEEK_END)
                file.read().decode().splitlines()[-10:]

    found = in_turns({"molexp": ends, "by hand": ends_by_hand}, rounds=5)
    detail = f"{found['molexp'] * 1e4:.0f} us, {found['by hand'] * 1e4:.0f} us"
    ratio = found["molexp"] / found["by hand"]
    yield Line(f"the last 10 lines of a log of {size >> 20} MB / seek by hand", where, ratio, 4.0, detail)


def many_points(where: str, folder: Path, count: int) -> Iterator[Line]:
    """Load metrics into arrays."""
    run = me.Workspace(folder / "lab").Project("metals").Experiment("cu").Run(id="one")
    with run.start() as ctx:
        for step in range(count):
            ctx.metrics.log(step=step, loss=1 / (step + 1))
    metrics = run.asset("metrics")
    assert isinstance(metrics, me.MetricsAsset)

    def by_hand(_: int) -> None:
        columns: dict[str, array[Any]] = {"step": array("q"), "time": array("d"), "loss": array("d")}
        with metrics.path.open("rb") as file:
            for line in file:
                point = json.loads(line)
                for name, column in columns.items():
                    column.append(point[name])

    ours: dict[str, Callable[[int], object]] = {
        "load()": lambda _: metrics.load(),
        "to_columns()": lambda _: metrics.to_columns(),
        "to_pandas()": lambda _: metrics.to_pandas(),
    }
    found = in_turns({"by hand": by_hand} | ours, rounds=3)
    idle = peak_of(_FIND, folder)
    for name in ours:
        what = f"{count:.0e} points by {name}".replace("e+0", "e")
        detail = f"{found[name]:.2f} s, {found['by hand']:.2f} s"
        yield Line(f"{what} / json into arrays by hand", where, found[name] / found["by hand"], 0.5, detail)
        more = peak_of(f"{_FIND}\nfound = metrics.{name}", folder) - idle
        yield Line(f"{what}, MB of memory / 100 MB", where, more / 100, 1.0, f"{more:.0f} MB over the idle process")


def last_values(where: str, folder: Path, runs: int) -> Iterator[Line]:
    """Ask for the last value of a metric of many runs, each with many points."""
    exp = me.Workspace(folder / "lab", storage_options={"durability": "never"}).Project("metals").Experiment("cu")
    for number in range(runs):
        with exp.Run(id=f"run-{number}").start() as ctx:
            for step in range(1000):
                ctx.metrics.log(step=step, loss=1 / (step + number + 1))
    catalog = me.Workspace.load(folder / "lab").catalog
    files = [run.asset("metrics").path for run in exp.runs]

    def asked(_: int) -> None:
        assert len([row.metrics["loss"]["last"] for row in catalog.runs()]) == runs

    def by_hand(_: int) -> None:
        found = []
        for file in files:
            with file.open("rb") as stream:
                stream.seek(-512, os.SEEK_END)
                found.append(json.loads(stream.read().splitlines()[-1])["loss"])
        assert len(found) == runs

    spent = in_turns({"molexp": asked, "by hand": by_hand}, rounds=4)
    detail = f"{spent['molexp']:.2f} s, {spent['by hand']:.2f} s"
    ratio = spent["molexp"] / spent["by hand"]
    yield Line(f"the last metric of {runs} runs of 1 000 points / last lines by hand", where, ratio, 1.5, detail)


_FIND = """
import sys, pandas, molexp
metrics = molexp.Workspace(sys.argv[1] + "/lab").run("metals/cu/one").asset("metrics")
"""


def measure(*, quick: bool) -> Iterator[Line]:
    """Yield the lines of the report."""
    for where, base in folders().items():
        for suite, size in ((large_files, 256), (long_logs, 64), (many_points, 1_000_000), (last_values, 10_000)):
            with tempfile.TemporaryDirectory(dir=base, prefix="molexp-bench-") as folder:
                yield from suite(where, Path(folder), size // 4 if quick else size)
