"""Starts the processes of `actors`, and hears what they say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs

from tests import warm
from tests.record.helpers import Place
from tests.servers.buckets import Bucket

ROOT = Path(__file__).resolve().parent.parent.parent
DEADLINE = 300


class Actor:
    """A process that says lines of JSON."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    def fileno(self) -> int:
        """For `select`: what it says is read without a buffer, so nothing waits elsewhere."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def hear(self) -> dict[str, Any] | None:
        """The next thing that it says; None once it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def tell(self) -> None:
        """Send a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def rest(self) -> list[dict[str, Any]]:
        """All else that it says to its end, which is a good one."""
        out, err = self.process.communicate(timeout=DEADLINE)
        assert self.process.returncode == 0, err.decode()[-3000:]
        return [json.loads(line) for line in out.splitlines()]

    def kill(self) -> list[dict[str, Any]]:
        """Kill it, as the kernel does when memory is short; what it had said."""
        os.kill(self.pid, signal.SIGKILL)
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        self.process.wait(DEADLINE)
        self.close()
        return [json.loads(line) for line in out[: out.rfind(b"\n") + 1].splitlines()]

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@attrs.frozen
class Stage:
    """A workspace, and a folder where processes keep what they know of it."""

    place: Place
    folder: Path

    def direct(self, bucket: Bucket) -> Place:
        """The place without the proxy."""
        return Place(bucket.url, {**self.place.options, "endpoint_url": bucket.server.url})

    def start(self, name: str, *arguments: str, **environ: str) -> Actor:
        return Actor(
            warm.Popen(
                [sys.executable, "-m", "tests.s3.actors", name, *arguments],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env={
                    **os.environ,
                    "PLACE": json.dumps({"url": self.place.url, "options": self.place.options}),
                    **environ,
                },
            )
        )

    def run(self, name: str, *arguments: str, **environ: str) -> list[dict[str, Any]]:
        """Start it, and let it end."""
        return self.start(name, *arguments, **environ).rest()
