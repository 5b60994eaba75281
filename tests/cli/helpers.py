"""Call the command line as its tests do: in this process, where speed matters, or as users do."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs

from tests.repository import ROOT

PROGRAM = Path(sys.executable).parent / "molexp"
WARM = Path(__file__).with_name("warm.py")
DEADLINE = 120.0  # seconds; nothing here takes long, but a test must not hang


@attrs.frozen
class Done:
    """A command line that has ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[str]:
        return self.out.splitlines()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, **(extra or {})}


def spawn(folder: Path, *arguments: str | bytes, env: Mapping[str, str] | None = None, **options: Any) -> Any:
    """Start the program in a process of its own."""
    return subprocess.Popen([PROGRAM, *arguments], cwd=folder, env=environment(env), **options)


def program(
    folder: Path, *arguments: str | bytes, env: Mapping[str, str] | None = None, stdin: bytes = b"", **options: Any
) -> Done:
    """Run the program in a process of its own, to its end."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        cwd=folder,
        env=environment(env),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=DEADLINE,
        **options,
    )
    return Done(done.returncode, done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode())


class Warm:
    """The process of `tests.cli.warm`, which becomes the program again and again."""

    def __init__(self) -> None:
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen([sys.executable, WARM], stdin=its.fileno(), cwd=ROOT)
        self._socket.settimeout(DEADLINE)

    def begin(self, folder: Path, arguments: tuple[str, ...], env: Mapping[str, str], descriptors: list[int]) -> None:
        """Let it become the program with these as its standard streams, or with one of them as its terminal."""
        request = {"folder": str(folder), "arguments": arguments, "env": env}
        socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def end(self) -> int:
        """Wait until the program has ended; return its exit code."""
        return os.waitstatus_to_exitcode(int(self._socket.recv(100)))

    def close(self) -> None:
        self._socket.close()
        self._process.wait(DEADLINE)


@functools.cache
def warm() -> Warm:
    """Return the process that all tests of this process use."""
    made = Warm()
    atexit.register(made.close)
    return made


def forked(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
    """Run the program in a process that was forked when everything was imported, to its end."""
    (out, its_out), (err, its_err) = os.pipe(), os.pipe()
    warm().begin(folder, arguments, environment(env), [os.open(os.devnull, os.O_RDONLY), its_out, its_err])
    with open(out, "rb") as said, open(err, "rb") as complained, ThreadPoolExecutor(1) as pool:
        complaint = pool.submit(complained.read)
        text = said.read().decode("utf-8", "surrogateescape")
        return Done(warm().end(), text, complaint.result().decode())


def eventually(look: Callable[[], Any]) -> Any:
    """Return what `look` finds, once it finds something; other processes cannot tell us the moment."""
    deadline = time.monotonic() + DEADLINE
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came"
        select.select([], [], [], 0.02)
    return found


class Terminal:
    """A terminal with the program in it, forked like that of `forked`. There is one at a time."""

    def __init__(self, folder: Path, *arguments: str, env: Mapping[str, str] | None = None, columns: int = 100) -> None:
        self.text = ""
        self._fd, its = os.openpty()
        settings = {"COLUMNS": str(columns), "LINES": "40", "TERM": "xterm-256color", **(env or {})}
        warm().begin(folder, arguments, environment(settings), [its])

    def wait_for(self, text: str) -> None:
        """Read until the terminal shows `text`."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.text:
            assert time.monotonic() < deadline, f"{text!r} is not in {self.text!r}"
            assert self._read(), f"{text!r} is not in {self.text!r}"

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def end(self) -> int:
        """Read to the end; returns the exit code."""
        while self._read():
            pass
        os.close(self._fd)
        return warm().end()

    def _read(self) -> bool:
        if not select.select([self._fd], [], [], DEADLINE)[0]:
            raise AssertionError(f"nothing more comes after {self.text!r}")
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the program has ended
            return False
        self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)
