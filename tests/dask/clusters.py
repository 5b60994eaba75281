"""A Dask cluster of real processes, as its command-line tools start them: a scheduler, and workers that may be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_QUIET = {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error", "DASK_DISTRIBUTED__WORKER__DAEMON": "true"}
_PATIENCE = 300.0


class Cluster:
    """One scheduler and its workers, without nannies unless that is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        listening = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(self.file))
        self.scheduler = self._start("scheduler", "--port", "0", *listening)
        self.address: str = self._address()

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{what}-{len(self.processes)}.log").open("wb")
        command = [sys.executable, "-m", "distributed.cli.dask_" + what, *options]
        with log:
            process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, env={**os.environ, **_QUIET}, start_new_session=True
            )
        self.processes.append(process)
        return process

    def _address(self) -> str:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                return str(json.loads(self.file.read_text())["address"])
            except (OSError, ValueError):
                assert self.scheduler.poll() is None, self.logs()
                threading.Event().wait(0.02)
        raise AssertionError(self.logs())

    def worker(self, threads: int = 1, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        local = ("--local-directory", str(self.folder / "space"), "--no-dashboard", "--memory-limit", "0")
        nanny = () if "--nanny" in options else ("--no-nanny",)
        return self._start("worker", self.address, "--nthreads", str(threads), *local, *nanny, *options)

    def wait_for_workers(self, number: int) -> None:
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(number, timeout=_PATIENCE)

    def ask(self, function: Any) -> Any:
        """Return what a function says of the scheduler."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            return client.run_on_scheduler(function)

    def logs(self) -> str:
        return "\n".join(file.read_text(errors="replace") for file in self.folder.glob("*.log"))

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def cluster(folder: Path, workers: int, threads: int = 1) -> Iterator[Cluster]:
    """Give a cluster with so many workers, each of so many threads."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Cluster(folder)
    try:
        for _ in range(workers):
            found.worker(threads)
        found.wait_for_workers(workers)
        yield found
    finally:
        found.close()
