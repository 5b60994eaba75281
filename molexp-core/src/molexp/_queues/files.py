"""The folder of the local queue: batches, what became of their jobs, and the runner that is at work on them.

Every file has one writer. A batch is there as soon as its ``batch.json`` is, which appears whole. The runner of the day, and
nobody else, appends to ``jobs.jsonl``. Runners are numbered; the next one begins when the last one has ended or is dead.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from json import dumps, loads  # these keep names and variables that are not UTF-8
from pathlib import Path
from shutil import rmtree
from subprocess import DEVNULL, Popen
from typing import Any

from msgspec import Struct, convert, field, json, to_builtins

from molexp._record.owners import Owner, known_dead, this_owner
from molexp._values.times import new_token

BATCHES, RUNNERS = "batches", "runners"


class StoredBatch(Struct):
    """A batch as it lies in the folder."""

    token: str
    command: list[str]
    size: int
    folder: str
    at: float
    cores: int  # of each job
    limit: int  # the most cores that all jobs may have when one of these starts
    at_once: int
    walltime: float | None = None
    after: list[str] = field(default_factory=list)
    output: str = ""


class JobFacts(Struct):
    """One job, by what the runners said of it: when it began, as which process, and how it ended."""

    owner: Mapping[str, Any] | None = None
    began: float = 0.0
    ended: bool = False
    code: int | None = None
    word: str = ""


class QueueFiles:
    """The folder of the queue of one user on one machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.me: Owner = this_owner()

    # ------------------------------------------------------------------------------------------------------------- batches

    def add(self, batch: StoredBatch, environment: Mapping[str, str]) -> None:
        """Put a batch there; it exists with the last step."""
        folder = self.root / BATCHES / batch.token
        folder.mkdir(mode=0o700, parents=True)
        secrets = dumps(dict(environment)).encode()  # it may have some: it goes with the last job
        try:
            _write(folder / "environment.json", secrets)
            _write(folder / "batch.json", dumps(to_builtins(batch)).encode())
        except OSError:
            rmtree(folder, ignore_errors=True)  # no runner will
            raise

    def batches(self) -> dict[str, StoredBatch]:
        """Return the batches by their tokens, the oldest first."""
        found = []
        for name in self._names(BATCHES):
            with suppress(OSError):
                found.append(convert(loads((self.root / BATCHES / name / "batch.json").read_bytes()), StoredBatch))
        return {batch.token: batch for batch in sorted(found, key=lambda one: one.at)}

    def has(self, token: str) -> bool:
        """Tell whether there is, or is about to be, a batch with this token."""
        with suppress(FileNotFoundError):
            os.stat(self.root)  # a folder that cannot be read says nothing of what is in it
        return bool(token) and os.path.lexists(self.root / BATCHES / token)

    def environment(self, token: str) -> dict[str, str]:
        """Return the environment in which a batch was submitted."""
        with suppress(OSError):
            return dict(loads((self.root / BATCHES / token / "environment.json").read_bytes()))
        return {}

    def forget_environment(self, token: str) -> None:
        """Delete it, once the last job has begun."""
        with suppress(OSError):
            (self.root / BATCHES / token / "environment.json").unlink()

    def jobs(self, batch: StoredBatch) -> list[JobFacts]:
        """Return what became of each job of a batch."""
        found = [JobFacts() for _ in range(batch.size)]
        for line in self._lines(batch.token):
            job = found[line["job"]]
            if "owner" in line:
                job.owner, job.began = line["owner"], line["at"]
            else:
                job.ended, job.code, job.word = True, line.get("code"), line["word"]
        return found

    def _lines(self, token: str) -> Iterator[dict[str, Any]]:
        with suppress(OSError):
            for line in (self.root / BATCHES / token / "jobs.jsonl").read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):  # a runner that was killed may have left half of one
                    yield json.decode(line)

    def say(self, token: str, line: Mapping[str, Any]) -> None:
        """Append what became of a job; for runners."""
        with open(self.root / BATCHES / token / "jobs.jsonl", "a+b") as file:
            file.seek(max(file.tell() - 1, 0))
            if file.read(1) not in (b"", b"\n"):
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
            file.write(json.encode(line) + b"\n")

    # ------------------------------------------------------------------------------------------------------------- cancels

    def cancel(self, token: str, job: int | None) -> None:
        """Ask for the end of a job, or of all jobs of a batch."""
        folder = self.root / BATCHES / token
        if folder.is_dir():
            _write(folder / f"cancel-{'all' if job is None else job}-{new_token()}", b"")

    def cancelled(self, batch: StoredBatch) -> set[int]:
        """Return the jobs of which somebody asked for the end."""
        found: set[int] = set()
        for name in self._names(f"{BATCHES}/{batch.token}"):
            if name.startswith("cancel-"):
                which = name.split("-")[1]
                found |= set(range(batch.size)) if which == "all" else {int(which)}
        return found

    # ------------------------------------------------------------------------------------------------------------- runners

    def claim(self) -> int:
        """Become the runner; returns its number, or 0 if there is one that is alive."""
        (self.root / RUNNERS).mkdir(mode=0o700, parents=True, exist_ok=True)
        number = self._newest_runner()
        if number and not self._has_left(number):
            return 0
        temporary = self.root / RUNNERS / f".{new_token()}"
        _write(temporary, json.encode(self.me.to_dict()))
        try:
            os.link(temporary, self.root / RUNNERS / str(number + 1))
        except FileExistsError:
            return 0
        finally:
            temporary.unlink()
        for old in range(1, number - 1):  # the last two tell all that anybody needs
            for name in (str(old), f"{old}.end"):
                (self.root / RUNNERS / name).unlink(missing_ok=True)
        return number + 1

    def leave(self, number: int) -> None:
        """Note that a runner begins nothing more."""
        _write(self.root / RUNNERS / f"{number}.end", b"")

    def ensure_runner(self) -> None:
        """Start a runner in a session of its own, unless there is one that is alive."""
        if self.has_runner():
            return
        (self.root / RUNNERS).mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.root / "runner.log", "ab") as log:
            command = [sys.executable, "-m", "molexp._queues.runner", str(self.root)]
            Popen(command, stdin=DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True).wait()

    def has_runner(self) -> bool:
        """Tell whether a runner is at work."""
        number = self._newest_runner()
        return bool(number) and not self._has_left(number)

    def _newest_runner(self) -> int:
        return max((int(name) for name in self._names(RUNNERS) if name.isdecimal()), default=0)

    def _has_left(self, number: int) -> bool:
        if (self.root / RUNNERS / f"{number}.end").exists():
            return True
        try:
            owner = json.decode((self.root / RUNNERS / str(number)).read_bytes())
        except OSError:
            return True  # a newer one has deleted it
        return self.is_dead(owner)

    def is_dead(self, owner: Mapping[str, Any]) -> bool:
        """Tell whether a process is gone: this machine says so, or has been started again since."""
        one = Owner.from_dict(owner)
        rebooted = one.host == self.me.host and bool(one.boot) and one.boot != self.me.boot
        return rebooted or bool(known_dead(one, self.me))

    def _names(self, folder: str) -> list[str]:
        try:
            return os.listdir(self.root / folder)
        except FileNotFoundError:
            return []


def _write(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all, and that nobody else may read."""
    temporary = path.with_name(f".{path.name}-{new_token()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    temporary.rename(path)
