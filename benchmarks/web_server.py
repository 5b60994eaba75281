"""Servers of pages, as processes that are measured from outside, and what a browser loads from them."""

from __future__ import annotations

import gzip
import http.client
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs

import molexp_web

_SERVE = "import sys; from molexp_cli._main import run; sys.exit(run(['ui', '--port', '0', '-w', sys.argv[1]]))"
_WAIT = "import time; print(flush=True); time.sleep(60)"
_LOADED = {".js", ".mjs", ".css", ".html", ".svg", ".wasm", ".zip", ".gz"}
"""Suffixes of files that a browser loads; those in an archive are compressed already."""


@attrs.frozen
class Server:
    """A process that serves pages, with the processes that it started."""

    process: subprocess.Popen[str]
    port: int
    token: str = ""

    def get(self, path: str, etag: str = "") -> tuple[int, bytes, str, int]:
        """Return status, bytes as they are sent, ETag, and the bytes of status line and headers."""
        return self._send("GET", path, {"If-None-Match": etag})

    def ask(self, path: str, question: Any) -> Any:
        """Return what is answered to JSON that is posted, which is JSON, too."""
        status, body, _, _ = self._send("POST", path, {"Content-Type": "application/json"}, json.dumps(question))
        assert status == 200, body[:300]
        return json.loads(plain(body))

    def _send(
        self, method: str, path: str, headers: dict[str, str], body: str | None = None
    ) -> tuple[int, bytes, str, int]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        headers = {"Accept-Encoding": "gzip", "Authorization": f"Bearer {self.token}", **headers}
        connection.request(method, path, body, headers={name: value for name, value in headers.items() if value})
        answer = connection.getresponse()
        data = answer.read()
        head = sum(len(name) + len(value) + 4 for name, value in answer.getheaders()) + 20
        connection.close()
        return answer.status, data, answer.getheader("etag") or "", head

    @property
    def cpu(self) -> float:
        """Milliseconds that the processes have computed."""
        tasks = [task for one in self._processes() for task in Path(f"/proc/{one}/task").glob("*/schedstat")]
        return sum(int(one.read_text().split()[0]) for one in tasks) / 1e6

    @property
    def peak(self) -> float:
        """Peak resident megabytes, added up over the processes."""
        status = [Path(f"/proc/{one}/status").read_text() for one in self._processes()]
        return sum(int(text.partition("VmHWM:")[2].split()[0]) for text in status) / 1024

    def _processes(self) -> list[int]:
        found = [self.process.pid]
        for one in found:  # it grows meanwhile
            for task in Path(f"/proc/{one}/task").glob("*/children"):
                with suppress(OSError):
                    found += [int(child) for child in task.read_text().split()]
        return found


@contextmanager
def serving(lab: Path) -> Iterator[Server]:
    """Serve the pages of a workspace."""
    process = subprocess.Popen([sys.executable, "-c", _SERVE, str(lab)], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = urlsplit(process.stderr.readline().removeprefix("Listening on ").strip())
        assert address.port is not None
        yield Server(process, address.port, parse_qs(address.query)["token"][0])
    finally:
        process.terminate()
        process.communicate()


def bare() -> float:
    """Return the CPU milliseconds of an interpreter that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", _WAIT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    spent = Server(process, 0).cpu
    process.kill()
    process.communicate()
    return spent


def plain(body: bytes) -> bytes:
    """Return what was sent, as it was before it was compressed."""
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body


def compressed(files: Iterable[Path] | None = None) -> dict[str, float]:
    """Return the compressed kilobytes of files that a browser loads, by name: without an argument of our own."""
    if files is None:
        files = (Path(molexp_web.__file__).parent / "static").rglob("*")
    return {
        str(one): (one.stat().st_size if one.suffix in (".zip", ".gz") else len(gzip.compress(one.read_bytes(), 9)))
        / 1e3
        for one in files
        if one.suffix in _LOADED and one.is_file()
    }
