"""The worker's part: each call is made in a process beside the worker, and stopped when nobody wants it any more."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import pickle
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from distributed import WorkerPlugin, get_worker

from molexp.executors import ProcessExecutor, unpacked_call
from molexp_dask._begun import BEGUN

NAME = "molexp"
LOST = b"lost "
"""The beginning of an answer that says which worker had begun the call, and was lost."""
ENDED = b"ended "
"""The beginning of an answer that has the pickled error of the process beside the worker."""
_SCRIPTS = ("dask", "dask-worker", "dask-spec")
_IDLE = 300.0  # seconds after which the processes of a session that makes no calls are ended


class _Session:
    """The processes for the calls of one executor: its code may be another than that of the next."""

    def __init__(self, threads: int) -> None:
        self.processes = ProcessExecutor(workers=threads)
        self.calls = 0
        self.end: asyncio.TimerHandle | None = None


class Calls(WorkerPlugin):
    """The calls of one worker."""

    name = NAME
    idempotent = True

    def setup(self, worker: Any) -> None:
        """Remember the worker, and let it have children: Dask starts its workers as daemons, which may have none."""
        self._worker = worker
        self._running: dict[str, asyncio.Future[Any]] = {}
        self._sessions: dict[str, _Session] = {}
        getattr(multiprocessing.current_process(), "_config", {})["daemon"] = False
        _forget_dasks_script()

    async def teardown(self, worker: Any) -> None:
        """End the processes."""
        for name in [*self._sessions]:
            await self.drop(name)

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Stop a call that nobody wants any more."""
        if finish == "released" and (running := self._running.get(key)) is not None:
            running.cancel()

    async def make(self, key: str, data: bytes, session: str, topic: str) -> bytes:
        """Make a call, and return its answer."""
        task = self._worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":  # between its turn and this line, where `transition` knew nothing
            return b""
        if before := (task.annotations or {}).get(BEGUN):
            return LOST + str(before).encode()
        found = self._session(session)
        call = unpacked_call(data)
        self._worker.log_event(
            [BEGUN, topic] if topic else BEGUN,
            {"key": key, "worker": self._worker.address, "host": platform.node()},
        )
        running = self._running[key] = asyncio.ensure_future(found.processes.submit(call))
        try:
            await asyncio.wait({running})
            if running.cancelled():
                return b""
            outcome = running.result()
            if outcome.error is not None:
                return ENDED + pickle.dumps(outcome.error)
            answer: bytes = outcome.value
            return answer
        finally:
            running.cancel()
            self._running.pop(key, None)
            self._leave(session, found)

    def _session(self, name: str) -> _Session:
        if (found := self._sessions.get(name)) is None:
            found = self._sessions[name] = _Session(self._worker.state.nthreads)
        found.calls += 1
        if found.end is not None:
            found.end.cancel()
        return found

    def _leave(self, name: str, session: _Session) -> None:
        session.calls -= 1
        if not session.calls:
            loop = asyncio.get_running_loop()
            session.end = loop.call_later(_IDLE, lambda: loop.create_task(self.drop(name)))

    async def drop(self, name: str) -> None:
        """End the processes of an executor."""
        if (found := self._sessions.pop(name, None)) is not None:
            if found.end is not None:
                found.end.cancel()
            await found.processes.close()


def _forget_dasks_script() -> None:
    """Let the main module be an empty one, where it is Dask's own: each child would import it, and all of Dask, again."""
    main = sys.modules["__main__"]
    file = Path(getattr(main, "__file__", None) or "")
    named = getattr(getattr(main, "__spec__", None), "name", "").startswith(("dask.", "distributed."))
    if named or file.stem in _SCRIPTS or file.parent.parts[-2:] == ("distributed", "cli"):
        sys.modules["__main__"] = ModuleType("__main__")


async def perform(key: str, data: bytes, session: str, topic: str) -> bytes:
    """Make a packed call on this worker; the task that Dask schedules."""
    calls = get_worker().plugins[NAME]
    assert isinstance(calls, Calls)
    return await calls.make(key, data, session, topic)


def fall_silent() -> None:
    """Log nothing more: a worker that ends with its cluster may find that the scheduler has ended before it."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


async def drop(session: str, dask_worker: Any) -> None:
    """End the processes of a session on one worker."""
    await dask_worker.plugins[NAME].drop(session)
