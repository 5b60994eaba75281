"""Races: several threads, and several processes, at one key."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from molexp.contracts import Store
from molexp.errors import KeyMovedError, KeyNotFoundError
from molexp.testing import _store_workers as workers
from molexp.testing._store_base import StoreBackDoor, copy_of, need

CALLERS = 4
ROUNDS = 25
PATIENCE = 300  # seconds for callers to meet on a machine that is busy; only a store that fails takes them


class RaceTests(StoreBackDoor, abstract=True):
    """One winner, whole values, nothing acknowledged is lost. Each caller has a copy of the store of its own."""

    # --------------------------------------------------------------------------------------------------------- create

    def test_one_of_many_threads_creates(self, store: Store) -> None:
        won = _in_threads(workers.create_each, store, ROUNDS)
        self.check_winners(store, won, ROUNDS)

    def test_one_of_many_processes_creates(self, store: Store) -> None:
        self.need_processes()
        won = _in_processes(workers.create_each, store, ROUNDS)
        self.check_winners(store, won, ROUNDS)

    def test_one_of_many_exclusive_streams_wins(self, store: Store) -> None:
        won = _in_threads(workers.stream_each, store, ROUNDS)
        self.check_winners(store, won, ROUNDS)

    def check_winners(self, store: Store, won: list[list[int]], rounds: int) -> None:
        """Check that each round was won once, by the caller whose value is there."""
        assert sorted(number for mine in won for number in mine) == list(range(rounds))
        for who, mine in enumerate(won):
            for number in mine:
                assert self.raw_read(store, f"race/{number}") == workers.value(who * 1000 + number)
        assert self.raw_keys(store) == {f"race/{number}" for number in range(rounds)}

    def test_making_the_same_folders_is_no_conflict(self, store: Store) -> None:
        made = _in_threads(workers.create_beside, store, ROUNDS)
        expected = {f"deep/{number}/a/b/{who}" for who in range(CALLERS) for number in range(ROUNDS)}
        assert [*map(len, made)] == [ROUNDS] * CALLERS
        assert self.raw_keys(store) == expected

    # ---------------------------------------------------------------------------------------------------------- write

    def test_threads_read_one_whole_value_while_others_replace_it(self, store: Store) -> None:
        store.write("hot", workers.value(0))
        _in_threads(workers.replace_or_read, store, 60)
        assert self.raw_keys(store) == {"hot"}

    def test_processes_read_one_whole_value_while_others_replace_it(self, store: Store) -> None:
        self.need_processes()
        store.write("hot", workers.value(0))
        _in_processes(workers.replace_or_read, store, 60)
        assert self.raw_keys(store) == {"hot"}

    def test_a_created_key_is_whole_when_it_is_first_seen(self, store: Store) -> None:
        _in_threads(workers.create_or_watch, store, 40)

    # --------------------------------------------------------------------------------------------------------- append

    def test_a_reader_sees_a_beginning_of_what_is_appended(self, store: Store) -> None:
        need(store, "append")
        store.create("log", b"")
        whole = b"".join(workers.line(number) for number in range(300))
        done = threading.Event()

        def write() -> None:
            try:
                for number in range(300):
                    copy.append("log", workers.line(number))
            finally:
                done.set()

        copy = copy_of(store)
        with ThreadPoolExecutor(1) as pool:
            writer = pool.submit(write)
            while not done.is_set():
                assert whole.startswith(store.read("log"))
            writer.result()
        assert self.raw_read(store, "log") == whole

    def test_no_acknowledged_line_is_lost_when_the_file_is_renamed(self, store: Store) -> None:
        """Sealing: whoever renames the file reads, afterwards, all that its writer was told is written."""
        need(store, "append")
        writer = copy_of(store)
        for number in range(ROUNDS):
            store.create(f"journal/{number}", b"")
            started, renamed = threading.Event(), threading.Event()
            with ThreadPoolExecutor(1) as pool:
                lines = pool.submit(_append_until_moved, writer, f"journal/{number}", started, renamed)
                try:
                    assert started.wait(PATIENCE)
                    store.rename(f"journal/{number}", f"sealed/{number}")
                    sealed = store.read(f"sealed/{number}")
                finally:
                    renamed.set()  # ends the writer, whatever happened here
                acknowledged = b"".join(workers.line(at) for at in range(lines.result()))
            assert sealed.startswith(acknowledged)
            assert not store.exists(f"journal/{number}")

    def test_one_of_many_threads_renames(self, store: Store) -> None:
        need(store, "append")
        for number in range(ROUNDS):
            store.create(f"from/{number}", workers.line(number))
        won = _in_threads(workers.rename_each, store, ROUNDS)
        assert sorted(number for mine in won for number in mine) == list(range(ROUNDS))
        assert self.raw_keys(store) == {f"to/{number}-{who}" for who, mine in enumerate(won) for number in mine}

    # -------------------------------------------------------------------------------------------------------- helpers

    def need_processes(self) -> None:
        """Skip where a copy in another process reaches another place."""
        if not self.shared_by_processes:
            pytest.skip("its copies in other processes do not share its keys (shared_by_processes is False)")


def _append_until_moved(store: Store, key: str, started: threading.Event, renamed: threading.Event) -> int:
    """Append lines until the file is renamed; return how many were acknowledged."""
    number = 0
    while True:
        late = renamed.is_set()
        try:
            store.append(key, workers.line(number))
        except (KeyMovedError, KeyNotFoundError):
            return number
        assert not late, "a line that was appended after the file was renamed was acknowledged"
        number += 1
        started.set()


def _in_threads(work: Callable[..., list[int]], store: Store, rounds: int) -> list[list[int]]:
    barrier = threading.Barrier(CALLERS, timeout=PATIENCE)
    with _eager_threads(), ThreadPoolExecutor(CALLERS) as pool:
        futures = [pool.submit(work, copy_of(store), who, rounds, barrier) for who in range(CALLERS)]
        return _results(futures, barrier)


@contextmanager
def _eager_threads() -> Iterator[None]:
    """Let threads take turns as often as possible: what can go wrong between two steps then does."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _in_processes(work: Callable[..., list[int]], store: Store, rounds: int) -> list[list[int]]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(CALLERS, timeout=PATIENCE)
    # pytest's own main module is not imported again by the children: they find the workers by their module's name.
    with ProcessPoolExecutor(CALLERS, context, workers.hold, (barrier,)) as pool:
        futures = [pool.submit(workers.with_held, work, store, who, rounds) for who in range(CALLERS)]
        return _results(futures, barrier)


def _results(futures: list[Future[list[int]]], barrier: threading.Barrier) -> list[list[int]]:
    for future in futures:
        future.add_done_callback(lambda done: barrier.abort() if done.exception() else None)
    errors = [error for future in futures if (error := future.exception())]
    # The first to fail breaks the barrier for the others; its error is the one to show.
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]
