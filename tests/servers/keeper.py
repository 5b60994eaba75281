"""Keeps a server for a whole test session, and ends it with the session, however that ends.

`python -m tests.servers.keeper KIND FOLDER PID` starts the server, says "ready" and where it is, and stays until the process PID
is gone. The server itself ends with its standard input, so it goes where the keeper is killed, too.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from tests.servers import ceph, moto_server, s3rver, slurm
from tests.servers.buckets import Server


class Kind(Protocol):
    """A sort of server."""

    def missing(self) -> str: ...
    def command(self, folder: Path, /) -> list[str]: ...


KINDS: dict[str, Kind] = {
    "moto": moto_server,
    "ceph": ceph,
    "s3rver": s3rver,
    "slurm": slurm,
    "slurm-accounting": slurm.Accounting(),
}
KEYS = {"moto": moto_server.KEYS, "ceph": ceph.KEYS, "s3rver": s3rver.KEYS}
ROOT = Path(__file__).resolve().parent.parent.parent
ATTEMPTS = 3  # ports that were free when they were chosen may be taken when they are used


def shared(kind: str, folder: Path, owner: int) -> Server:
    """The S3 server of the session that has `folder`; see `kept`."""
    port = int(kept(kind, folder, owner, lambda port: _server(kind, int(port)).make_bucket()))
    return _server(kind, port)


def kept(kind: str, folder: Path, owner: int, prepare: Callable[[str], object] = lambda _: None) -> str:
    """The address of the server of the session that has `folder`; whoever asks first starts it, and it lives as long as `owner`."""
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / f"{kind}.json"
    with _locked(folder / f"{kind}.lock"):
        if not known.exists():
            where = _start(kind, folder / kind, owner)
            prepare(where)
            known.write_text(json.dumps({"where": where}))
    return str(json.loads(known.read_text())["where"])


def _start(kind: str, folder: Path, owner: int) -> str:
    said = ""
    for _ in range(ATTEMPTS):
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.keeper", kind, str(folder), str(owner)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # what ends the session by signals must not end it first
        )
        assert keeper.stdout is not None
        with keeper.stdout:
            word, _, where = keeper.stdout.readline().partition(" ")
            if word == "ready":
                keeper.returncode = 0  # it outlives us and nobody waits for it, of which Popen would warn
                return where.strip()
            said = f"{word} {where}{keeper.stdout.read()}"
        keeper.wait(300)
    raise RuntimeError(f"{kind} did not start: {said.strip()}")


def _server(kind: str, port: int) -> Server:
    return Server(kind, f"http://127.0.0.1:{port}", *KEYS[kind])


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---------------------------------------------------------------------------------------------------- the keeper itself


def main() -> None:
    kind, folder, owner = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    gone = watch(owner)
    folder.mkdir(exist_ok=True)
    errors = folder / "errors"
    try:
        with errors.open("w") as file:
            process = subprocess.Popen(
                KINDS[kind].command(folder),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env={**os.environ, "TMPDIR": str(folder)},  # that of whoever asked first goes before we do
            )
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready"):
            print(f"{line}{errors.read_text()[-3000:]}", flush=True)
            return
        print(line, end="", flush=True)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)  # nobody reads on
            os.dup2(nowhere.fileno(), 2)
        gone()
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            os.removedirs(folder.parent)  # the session removed them while the server was still writing


def watch(owner: int) -> Callable[[], object]:
    """Something that waits until `owner` is gone."""
    if hasattr(os, "pidfd_open"):
        try:
            descriptors = [os.pidfd_open(owner)]
        except ProcessLookupError:
            return lambda: None
        return partial(select.select, descriptors, [], [])
    return partial(_poll, owner)


def _poll(owner: int) -> None:
    with suppress(ProcessLookupError):
        while True:
            os.kill(owner, 0)
            time.sleep(0.5)


if __name__ == "__main__":
    main()
