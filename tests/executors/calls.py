"""The tests submit these calls by name."""

from __future__ import annotations

import contextvars
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import attrs

COLOUR = contextvars.ContextVar("COLOUR", default="none")


def kill_myself(number: int) -> None:
    os.kill(os.getpid(), number)
    threading.Event().wait()


def abort() -> None:
    signal.signal(signal.SIGABRT, signal.SIG_DFL)
    os.abort()


def pass_by(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=300) as connection:
        connection.recv(1)


def pass_by_deaf(address: tuple[str, int]) -> None:
    """Do not hear what asks to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pass_by(address)


def fork_and_die(address: tuple[str, int]) -> NoReturn:
    """Leave a forked process behind, with copies of all that this one has open."""
    if os.fork() == 0:
        pass_by(address)
    os._exit(7)


def where() -> tuple[str, list[str], int]:
    return str(Path.cwd()), list(sys.path), os.getpid()


def wander(folder: str) -> None:
    os.chdir(folder)
    sys.path.append(folder)


def colour() -> str:
    seen = COLOUR.get()
    COLOUR.set("changed by the call")
    return seen


def opened(path: str) -> Any:
    return Path(path).open()


def chained() -> NoReturn:
    try:
        raise KeyError("the first")
    except KeyError as error:
        second = ValueError("the second")
        second.add_note("a note")
        raise second from error


class Unloadable:
    """Pickled without complaint, and nobody can load it."""

    def __reduce__(self) -> Any:
        return explode, ()


def explode() -> NoReturn:
    raise OSError("cannot be loaded")


def unloadable() -> Unloadable:
    return Unloadable()


@attrs.frozen
class Point:
    x: int


class Adder:
    def __init__(self, by: int) -> None:
        self.by = by

    def add(self, to: int) -> int:
        return self.by + to


def generator() -> Iterator[int]:
    yield 1


def nested() -> Any:
    def inner() -> None: ...

    return inner


async def thread() -> threading.Thread:
    return threading.current_thread()


def promised_thread() -> Any:
    return thread()


def say(text: str) -> None:
    print(text)


def note(path: str, number: int) -> None:
    with Path(path).open("a") as sheet:
        sheet.write(f"{number}\n")


def reads() -> int:
    """Return how often this process has read."""
    return int(Path("/proc/self/io").read_text().split("syscr: ")[1].split()[0])


def meet(ours: str, other: str) -> None:
    """Wait until another call says that it has begun, as this one does."""
    Path(ours).touch()
    deadline = time.monotonic() + 300
    while not Path(other).exists():
        assert time.monotonic() < deadline, f"{other} never begins"
        threading.Event().wait(0.005)


EVENTS: list[threading.Event] = []
"""Set when `wait_here` is entered, and what it waits for."""


def wait_here() -> str:
    entered, leave = EVENTS
    entered.set()
    assert leave.wait(300)
    return "left"
