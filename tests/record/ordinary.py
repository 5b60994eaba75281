"""Do what ordinary programs do with processes, threads, signals and event loops; run as a script, with a run or without.

``ordinary.py NAME TIMES [WORKSPACE]``. Each idiom is done so often, and prints nothing but ``done`` at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

FORK = multiprocessing.get_context("fork")


def pool() -> None:
    with FORK.Pool(2) as workers:
        assert workers.map(abs, range(-4, 0)) == [4, 3, 2, 1]


def pool_of_short_lives() -> None:
    with FORK.Pool(2, maxtasksperchild=1) as workers:
        assert workers.map(abs, range(-4, 0)) == [4, 3, 2, 1]


def pool_left_early() -> None:
    with FORK.Pool(2) as workers:
        assert next(workers.imap(abs, range(-100, 0))) == 100


def terminate() -> None:
    process = FORK.Process(target=time.sleep, args=(3000,))
    process.start()
    process.terminate()
    process.join()
    assert process.exitcode == -signal.SIGTERM


def executor() -> None:
    with ProcessPoolExecutor(2, mp_context=FORK) as workers:
        assert list(workers.map(abs, range(-4, 0))) == [4, 3, 2, 1]


def _load(indices: Any, batches: Any) -> None:
    while (index := indices.get()) is not None:
        batches.put([index] * 8)


def loader() -> None:
    """As a DataLoader does it: workers with queues, some of them left behind with work to do."""
    indices, batches = FORK.Queue(), FORK.Queue()
    workers = [FORK.Process(target=_load, args=(indices, batches), daemon=True) for _ in range(2)]
    for worker in workers:
        worker.start()
    for index in range(8):
        indices.put(index)
    for _ in range(4):
        assert len(batches.get()) == 8
    for worker in workers:
        worker.terminate()
        worker.join()
    for waiting in (indices, batches):
        waiting.cancel_join_thread()
        waiting.close()


def fork_in_a_thread() -> None:
    codes: queue.SimpleQueue[int] = queue.SimpleQueue()

    def fork() -> None:
        pid = os.fork()
        if not pid:
            signal.pause()
            os._exit(1)
        os.kill(pid, signal.SIGTERM)
        codes.put(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    threads = [threading.Thread(target=fork) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [codes.get(), codes.get()] == [-signal.SIGTERM] * 2


def command() -> None:
    assert subprocess.run(["true"], check=True).returncode == 0
    process = subprocess.Popen(["sleep", "3000"], preexec_fn=os.getpid)  # noqa: PLW1509 - an idiom, and another way to fork
    process.terminate()
    assert process.wait() == -signal.SIGTERM


def alarm() -> None:
    heard = []
    before = signal.signal(signal.SIGALRM, lambda number, _: heard.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    while not heard:
        time.sleep(0.001)
    signal.signal(signal.SIGALRM, before)


def own_handler() -> None:
    """A program that handles SIGTERM itself, and puts back what was there."""
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    os.kill(os.getpid(), signal.SIGTERM)
    while not heard:
        time.sleep(0.001)
    signal.signal(signal.SIGTERM, before)


def threads() -> None:
    with ThreadPoolExecutor(4) as workers:
        assert sorted(workers.map(abs, range(-4, 0))) == [1, 2, 3, 4]


def children() -> None:
    """A program that waits until it has no children any more. Git may be one of them, as the run begins."""
    processes = [subprocess.Popen(["true"]) for _ in range(2)]
    found = set()
    with contextlib.suppress(ChildProcessError):
        while True:
            found.add(os.wait()[0])
    assert found >= {process.pid for process in processes}
    for process in processes:
        process.returncode = 0  # of which Popen knows nothing


def ctrl_c() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("nothing came")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_ctrl_c())
        raise AssertionError("nothing came")


async def _ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(3000)


def waiting_for_a_signal() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.kill(os.getpid(), signal.SIGTERM)
    assert signal.sigwait({signal.SIGTERM}) == signal.SIGTERM
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def pipeline() -> None:
    """A program that ends with its reader: whatever a run installs does not reach it."""
    process = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as lines:
        assert lines.readline() == b"y\n"
    assert process.wait() in (-signal.SIGPIPE, 1)


async def _tasks() -> None:
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR2, heard.set)
    os.kill(os.getpid(), signal.SIGUSR2)
    await asyncio.wait_for(heard.wait(), 300)
    loop.remove_signal_handler(signal.SIGUSR2)
    task = asyncio.create_task(asyncio.sleep(3000))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    process = await asyncio.create_subprocess_exec("sleep", "3000")
    process.terminate()
    assert await process.wait() == -signal.SIGTERM


def event_loop() -> None:
    asyncio.run(_tasks())


IDIOMS: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        pool,
        pool_of_short_lives,
        pool_left_early,
        terminate,
        executor,
        loader,
        fork_in_a_thread,
        command,
        alarm,
        own_handler,
        threads,
        children,
        ctrl_c,
        waiting_for_a_signal,
        pipeline,
        event_loop,
    )
}


def repeat(name: str, times: int) -> None:
    for _ in range(times):
        IDIOMS[name]()
    print("done")


if __name__ == "__main__":
    name, times, *workspace = sys.argv[1:]
    if workspace:
        import molexp as me

        with me.Workspace(workspace[0]).Project("p").Experiment("e").Run().start() as ctx:
            ctx.shell(["true"])
            repeat(name, int(times))
    else:
        repeat(name, int(times))
