"""Call the command line as its tests do: in this process, where speed matters, or as users do."""

from __future__ import annotations

import codecs
import json
import os
import select
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from tests import warm

PROGRAM = warm.PROGRAM
DEADLINE = 300.0  # seconds; nothing here takes long, but a test must not hang


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
    return warm.Popen([PROGRAM, *arguments], cwd=folder, env=environment(env), **options)


def program(
    folder: Path,
    *arguments: str | bytes,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float = DEADLINE,
    **options: Any,
) -> Done:
    """Run the program in a process of its own, to its end."""
    done = warm.run(
        [PROGRAM, *arguments],
        cwd=folder,
        env=environment(env),
        input=stdin,
        capture_output=True,
        timeout=timeout,
        **options,
    )
    return Done(done.returncode, done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode())


def eventually(look: Callable[[], Any]) -> Any:
    """Return what `look` finds, once it finds something; other processes cannot tell us the moment.

    Between two looks it waits for as long as one takes, or else looking would keep a busy machine from what it looks for.
    """
    deadline = time.monotonic() + DEADLINE
    while True:
        began = time.monotonic()
        if found := look():
            return found
        now = time.monotonic()
        assert now < deadline, "it never came"
        select.select([], [], [], max(0.02, now - began))


class Terminal:
    """A terminal with the program in it."""

    def __init__(self, folder: Path, *arguments: str, env: Mapping[str, str] | None = None, columns: int = 100) -> None:
        self.text = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode  # a letter may come in two pieces
        self._fd, its = os.openpty()
        settings = {"COLUMNS": str(columns), "LINES": "40", "PAGER": "", "TERM": "xterm-256color", **(env or {})}
        self._process = warm.Popen(
            [PROGRAM, *arguments],
            cwd=folder,
            env=environment(settings),
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
        os.close(its)

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
        return int(self._process.wait(DEADLINE))

    def _read(self) -> bool:
        if not select.select([self._fd], [], [], DEADLINE)[0]:
            raise AssertionError(f"nothing more comes after {self.text!r}")
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the program has ended
            return False
        self.text += self._decode(data).replace("\r\n", "\n")
        return bool(data)
