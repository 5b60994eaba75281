"""Functions of the racing callers, in a module of their own: processes import it and nothing of pytest."""

from __future__ import annotations

import threading
from collections.abc import Callable

from molexp.contracts import Store
from molexp.errors import KeyExistsError, KeyNotFoundError

_held: list[threading.Barrier] = []  # in a worker process only: a barrier can be handed to it at its start alone


def hold(barrier: threading.Barrier) -> None:
    """Keep the barrier that the callers meet at; a pool's initializer."""
    _held.append(barrier)


def with_held(work: Callable[..., list[int]], store: Store, who: int, rounds: int) -> list[int]:
    """Call `work` with the barrier that this process holds."""
    return work(store, who, rounds, _held[0])


def value(number: int) -> bytes:
    """Return a value that shows whether it is whole, of up to 400 kB: large enough that writing it takes a while."""
    return b"%08d" % number * (500 + number % 7 * 8000)


def check_whole(data: bytes) -> None:
    """Fail unless `data` is one of the values."""
    assert len(data) >= 8, f"only {len(data)} bytes of a value"
    number = int(data[:8])
    assert data == value(number), f"{len(data)} bytes that begin like value {number}, which has {len(value(number))}"


def line(number: int) -> bytes:
    """Return one line of a journal."""
    return b"%06d " % number + b"x" * (number % 50) + b"\n"


def create_each(store: Store, who: int, rounds: int, barrier: threading.Barrier) -> list[int]:
    """Try to create each key at the same time as the others; return which ones this caller won."""
    won = []
    for number in range(rounds):
        barrier.wait()
        try:
            store.create(f"race/{number}", value(who * 1000 + number))
            won.append(number)
        except KeyExistsError:
            check_whole(store.read(f"race/{number}"))  # the loser reads what the winner wrote, at once and whole
    return won


def stream_each(store: Store, who: int, rounds: int, barrier: threading.Barrier) -> list[int]:
    """Do the same by exclusive streams."""
    won = []
    for number in range(rounds):
        data = value(who * 1000 + number)
        try:
            with store.open_write(f"race/{number}", exclusive=True) as sink:
                sink.write(data[:100])
                sink.write(data[100:])
                barrier.wait()
            won.append(number)
        except KeyExistsError:
            check_whole(store.read(f"race/{number}"))
    return won


def create_beside(store: Store, who: int, rounds: int, barrier: threading.Barrier) -> list[int]:
    """Create a key of one's own in a folder that everybody makes at the same time."""
    for number in range(rounds):
        barrier.wait()
        store.create(f"deep/{number}/a/b/{who}", b"")
    return list(range(rounds))


def replace_or_read(store: Store, who: int, rounds: int, barrier: threading.Barrier) -> list[int]:
    """Replace the value in half of the callers, and read it in the others, which begin each round together."""
    for number in range(rounds):
        barrier.wait()
        if who % 2:
            for _ in range(4):
                check_whole(store.read("hot"))
                with store.open_read("hot") as source:
                    check_whole(source.read())
        else:
            store.write("hot", value(who * 1000 + number))
    return []


def create_or_watch(store: Store, who: int, rounds: int, barrier: threading.Barrier) -> list[int]:
    """Create keys in one caller, and read each in the others as soon as it is there."""
    for number in range(rounds):
        barrier.wait()
        if who == 0:
            store.create(f"seen/{number}", value(number))
        else:
            _watch(store, f"seen/{number}", barrier)
        barrier.wait()
    return []


def _watch(store: Store, key: str, barrier: threading.Barrier) -> None:
    while True:
        made = barrier.n_waiting > 0 or barrier.broken  # somebody has created or seen it, so it is there from now on
        try:
            return check_whole(store.read(key))
        except KeyNotFoundError:
            if made:
                raise


def rename_each(store: Store, who: int, rounds: int, barrier: threading.Barrier) -> list[int]:
    """Try to rename each key to a name of one's own; return which ones this caller renamed."""
    won = []
    for number in range(rounds):
        barrier.wait()
        try:
            store.rename(f"from/{number}", f"to/{number}-{who}")
            won.append(number)
        except KeyNotFoundError:
            continue
    return won
