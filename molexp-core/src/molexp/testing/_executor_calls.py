"""Functions that executors under test run, in a module of their own: workers find them by name."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import sys
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, NoReturn


def add(*terms: int, scale: int = 1) -> int:
    """Return a number that depends on every argument."""
    return sum(place * term for place, term in enumerate(terms, 1)) * scale


async def add_later(*terms: int, scale: int = 1) -> int:
    """Return the same, after the event loop had a turn."""
    await asyncio.sleep(0)
    return add(*terms, scale=scale)


def promise(*terms: int, scale: int = 1) -> Awaitable[int]:
    """Return the same by a plain function."""
    return add_later(*terms, scale=scale)


class Callable:
    """The same, by an object."""

    def __call__(self, *terms: int, scale: int = 1) -> int:
        return add(*terms, scale=scale)


class Unlucky(Exception):  # noqa: N818 - a name that tests look for
    """An error with a fact of its own."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step

    def __str__(self) -> str:
        return f"unlucky at step {self.step}"


class Stubborn(Exception):  # noqa: N818 - a name that tests look for
    """An error that can be pickled and not loaded."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(f"{message} at step {step}")


def unlucky() -> NoReturn:
    """Raise an error with a fact."""
    raise Unlucky(7)


def stubborn() -> NoReturn:
    """Raise an error that does not travel."""
    raise Stubborn("stubborn", 8)


async def unlucky_later() -> NoReturn:
    """Raise it from a coroutine."""
    await asyncio.sleep(0)
    raise Unlucky(7)


def leave(code: int) -> NoReturn:
    """Ask the interpreter to exit."""
    raise SystemExit(code)


def interrupt() -> NoReturn:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


def give(value: Any) -> Any:
    """Return the value."""
    return value


def unpicklable() -> Any:
    """Return what no pickle can hold."""
    return lambda: 1


def process_id() -> int:
    """Return the number of the process that makes the call."""
    return os.getpid()


def die(code: int) -> NoReturn:
    """End the process at once."""
    os._exit(code)


def pass_gate(address: tuple[str, int], patience: float, value: Any) -> Any:
    """Report at the gate, wait until it lets through, and return `value`."""
    with socket.create_connection(address, timeout=patience) as connection:
        connection.recv(1)
    return value


def pass_gate_and_tell(address: tuple[str, int], patience: float) -> tuple[str, int]:
    """Report at the gate, wait until it lets through, and return the machine and the number of this process."""
    pass_gate(address, patience, None)
    return platform.node(), os.getpid()


def pass_gate_and_die(address: tuple[str, int], patience: float, code: int) -> NoReturn:
    """Report at the gate, wait until it lets through, and end the process."""
    pass_gate(address, patience, None)
    os._exit(code)


def shout(size: int) -> int:
    """Print so many characters, in every way, and return their number."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.write("x" * size + "\n")
        stream.flush()
    for descriptor in (1, 2):
        with suppress(OSError):
            os.write(descriptor, b"printed by a call\n")
    return size
