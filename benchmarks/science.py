"""Weights, arrays and tables: saving them, in CPU seconds, against what their libraries take to write the file, and a hash of it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import Line, folders, peak_of
from payloads import in_turns
from safetensors.numpy import save_file

import molexp as me

LAYERS = 25


def weights(megabytes: int) -> dict[str, Any]:
    """Return a state dict of numpy."""
    elements = (megabytes << 20) // 4 // LAYERS
    return {f"layers.{n}.weight": np.arange(n, n + elements, dtype=np.float32) for n in range(LAYERS)}


def saving(
    folder: Path, write: Callable[[Path], object], save: Callable[[Any, str], object], *, rounds: int = 4
) -> tuple[float, float, float]:
    """Return the CPU seconds of writing a file as its library does, of hashing it, and of saving it in a run."""
    run = (
        me.Workspace(folder / "lab", storage_options={"durability": "never"}).Project("p").Experiment("e").Run(id="one")
    )

    def place(number: int) -> Path:
        return folder / f"written-{number}"  # a new file each time, as in the run

    def hashed(number: int) -> None:
        with place(number).open("rb") as file:
            file_digest(file, "sha256")

    with run.start() as ctx:
        found = in_turns(
            {
                "write": lambda number: write(place(number)),
                "hash": hashed,
                "save": lambda number: save(ctx, f"saved-{number}"),
            },
            rounds=rounds,
        )
    return found["write"], found["hash"], found["save"]


def line(what: str, where: str, seconds: tuple[float, float, float], limit: float) -> Line:
    write, hash_, save = seconds
    detail = f"{save:.2f} s, file {write:.2f} s, SHA-256 {hash_:.2f} s"
    return Line(f"{what} / writing the file and SHA-256", where, save / (write + hash_), limit, detail)


def tensors(where: str, folder: Path, megabytes: int) -> Iterator[Line]:
    """Save a state dict at 0.8 times the speed of writing and hashing the file."""
    makers: dict[str, tuple[dict[str, Any], Any]] = {"numpy": (weights(megabytes), save_file)}
    if find_spec("torch") is not None:
        import torch
        from safetensors.torch import save_file as save_torch

        makers["torch"] = ({name: torch.from_numpy(one) for name, one in weights(megabytes).items()}, save_torch)
    for library, (state, write) in makers.items():
        (folder / library).mkdir()
        seconds = saving(
            folder / library,
            lambda path, state=state, write=write: write(state, path),  # type: ignore[misc]
            lambda ctx, name, state=state: ctx.tensors.save(name, state),  # type: ignore[misc]
        )
        yield line(f"state dict of {library}, {megabytes} MB", where, seconds, 1.25)


def durable(where: str, folder: Path, megabytes: int) -> Iterator[Line]:
    """Save a state dict, in wall time, against writing the file and making it as durable as the end of the run does."""
    if where == "tmpfs":
        return  # there is nothing to flush it to
    state = weights(megabytes)

    def write(number: int) -> None:
        place = folder / f"weights-{number}.safetensors"
        save_file(state, place)
        for flushed in (place, folder):
            fd = os.open(flushed, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)

    def save(number: int) -> None:
        with me.Workspace(folder / f"lab-{number}").Project("p").Experiment("e").Run(id="one").start() as ctx:
            ctx.tensors.save("weights", state)

    found = in_turns({"write": write, "save": save}, rounds=5, clock=time.perf_counter)
    what = f"state dict of {megabytes} MB, wall time / writing and flushing the file"
    detail = f"{found['save']:.2f} s, written and flushed {found['write']:.2f} s"
    yield Line(what, where, found["save"] / found["write"], 1.25, detail)


def arrays(where: str, folder: Path, megabytes: int) -> Iterator[Line]:
    """Save one array, whose least, greatest and mean element are found meanwhile."""
    array = np.arange(megabytes << 17, dtype=np.float64)

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, array)

    yield line(f"array, {megabytes} MB", where, saving(folder, write, lambda ctx, name: ctx.save(name, array)), 2.0)


def tables(where: str, folder: Path, rows: int) -> Iterator[Line]:
    """Save a frame, which is made again from the table and compared before it is written."""
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"step": np.arange(rows), **{f"column {n}": random.random(rows) for n in range(8)}})
    seconds = saving(
        folder,
        lambda path: frame.to_parquet(path, engine="pyarrow", compression="zstd"),
        lambda ctx, name: ctx.save(name, frame),
    )
    yield line(f"frame of {rows} rows", where, seconds, 1.5)


_WEIGHTS = """
import sys, numpy, safetensors.numpy, molexp
state = {f"layers.{n}": numpy.ones(int(sys.argv[2]) << 18, numpy.float32) for n in range(5)}
run = molexp.Workspace(sys.argv[1]).Project("p").Experiment("e").Run(id="one")
"""


def memory(where: str, folder: Path, megabytes: int) -> Iterator[Line]:
    """Save a state dict without a second copy of it."""
    idle = peak_of(_WEIGHTS, folder / "idle", megabytes // 5)
    save = f"{_WEIGHTS}\nwith run.start() as ctx: ctx.tensors.save('w', state)"
    more = peak_of(save, folder / "lab", megabytes // 5) - idle
    what = f"state dict of {megabytes} MB, MB of memory / 40 MB"
    yield Line(what, where, more / 40, 1.0, f"{more:.0f} MB over the idle process")


def measure(*, quick: bool) -> Iterator[Line]:
    """Yield the lines of the report."""
    for where, base in folders().items():
        for suite, size in ((tensors, 500), (durable, 500), (memory, 500), (arrays, 256), (tables, 1_000_000)):
            with tempfile.TemporaryDirectory(dir=base, prefix="molexp-bench-") as folder:
                yield from suite(where, Path(folder), size // 4 if quick else size)
