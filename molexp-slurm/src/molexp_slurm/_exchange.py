"""The files by which an executor and its jobs talk: calls, the news that they began, and answers.

A batch has a folder. The submitter writes ``calls/<index>`` and deletes it to take a call back. The job writes ``said/<index>.began`` and
``said/<index>.answer``, each whole by renaming, and the submitter deletes what it has read, so that a look costs what is new.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from molexp.contracts import Call
from molexp_slurm._site import Site

# The shell says at once that the job has begun: Python takes a while to start. Whatever happens then, happens to the call alone.
_BEGINNING = (
    'printf "%s\\n" "$(uname -n)" "$MOLEXP_JOB_ID" "${SLURM_RESTART_COUNT:-0}" "$SLURM_JOB_ID" >"$1/said/.$MOLEXP_JOB_INDEX" && '
    'mv -f -- "$1/said/.$MOLEXP_JOB_INDEX" "$1/said/$MOLEXP_JOB_INDEX.began"; '
    'shift; exec "$@"'
)


class Began(NamedTuple):
    """The news that a call begins."""

    host: str
    job: str
    restarts: int
    number: str = ""  # of the job alone, as the claim of a run has it; `job` names array and index


class Exchange:
    """The folder of one batch.

    Args:
        folder: its path, which the nodes see, too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._calls = folder / "calls"
        self._said = folder / "said"

    @property
    def token(self) -> str:
        """The token of the batch."""
        return self.folder.name

    @property
    def output(self) -> str:
        """The folder for what jobs print."""
        return str(self.folder / "output")

    def command(self, site: Site) -> Sequence[str]:
        """Return the command of its jobs."""
        python = site.python or sys.executable
        folder = str(self.folder)
        return ("/bin/sh", "-c", _BEGINNING, "job", folder, python, "-P", "-m", "molexp_slurm._worker", folder)

    def make(self, calls: Sequence[tuple[Call, bytes]]) -> None:
        """Make the folder with its calls; others can neither read nor write it."""
        self.folder.mkdir(parents=True, mode=0o700)
        for folder in (self._calls, self._said, self.folder / "output"):
            folder.mkdir()
        for index, (_, data) in enumerate(calls):
            (self._calls / str(index)).write_bytes(data)
        keys = {call.key: index for index, (call, _) in enumerate(calls) if call.key}
        _put(self.folder / "batch.json", json.dumps({"schema": 1, "keys": keys}).encode())

    def keys(self) -> Mapping[str, int]:
        """Return the keys of its calls, and their indices."""
        try:
            said = json.loads((self.folder / "batch.json").read_bytes())
            return {str(key): int(index) for key, index in said["keys"].items()} if said["schema"] == 1 else {}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}

    def call(self, index: int) -> bytes | None:
        """Return a call; None if it was taken back."""
        try:
            return (self._calls / str(index)).read_bytes()
        except FileNotFoundError:
            return None

    def put_answer(self, index: int, answer: bytes) -> None:
        """Leave the answer of a call."""
        _put(self._said / f"{index}.answer", answer)

    def take_back(self, index: int) -> None:
        """Let a call not be made, if it has not begun."""
        (self._calls / str(index)).unlink(missing_ok=True)

    def news(self) -> Iterator[tuple[int, Began | bytes]]:
        """Yield which calls began, and which are answered, since the last look."""
        try:
            with os.scandir(self._said) as entries:
                names = [entry.name for entry in entries]
        except OSError:
            return
        # The beginning of a call is told before its answer.
        for name in sorted(names, key=lambda one: not one.endswith(".began")):
            index, _, what = name.partition(".")
            if not index.isdecimal():
                continue
            try:
                data = (self._said / name).read_bytes()
                (self._said / name).unlink()
            except OSError:
                continue  # the next look finds it
            yield int(index), _began(data) if what == "began" else data

    def printed(self, index: int) -> str:
        """Return the last lines that a job printed."""
        try:
            with (Path(self.output) / f"{self.token}.{index}.out").open("rb") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - 2000, 0))
                return file.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def remove(self) -> None:
        """Remove the folder, and the one around it if that was the last."""
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.parent.rmdir()
        except OSError:
            pass


def exchanges_in(folder: Path) -> Iterable[Exchange]:
    """Return the batches whose folders are there."""
    try:
        return [Exchange(path) for path in sorted(folder.iterdir()) if (path / "batch.json").is_file()]
    except OSError:
        return []


def _began(data: bytes) -> Began:
    host, job, restarts, number = [*data.decode("utf-8", "replace").split("\n"), "", "", ""][:4]
    return Began(host, job, int(restarts) if restarts.isdecimal() else 0, number)


def _put(path: Path, data: bytes) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_bytes(data)
    new.replace(path)
