"""A thread with an event loop and Dask's client, to which all event loops of an executor send their calls."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from molexp.contracts import Call, Outcome, Progress
from molexp.errors import ExecutorError
from molexp.executors import pack, unpack
from molexp_dask._cluster import Place, connect
from molexp_dask._needs import unmet

_T = TypeVar("_T")

_PATIENCE = 10.0  # seconds that workers have to end the processes of a session


class Inbox:
    """Functions for an event loop, which other threads wake once for all that come while it is busy."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], object]] = []

    def put(self, function: Callable[[], object]) -> None:
        """Let the event loop call a function soon; one that is closed does not."""
        with self._lock:
            self._waiting.append(function)
            if len(self._waiting) > 1:
                return
        try:
            self.loop.call_soon_threadsafe(self._take)
        except RuntimeError:  # the loop is closed: nobody waits
            with self._lock:
                self._waiting.clear()

    def _take(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for function in waiting:
            function()


class _Work:
    """One call: its task in the thread, and whether anybody waits for it."""

    task: asyncio.Task[Outcome] | None = None
    dropped = False

    def drop(self) -> None:
        """Stop it, or let it never begin."""
        self.dropped = True
        if self.task is not None:
            self.task.cancel()


class Session:
    """The thread; it starts with the first call, and the client in it.

    Args:
        place: the place of the cluster.
        workers: the number of calls at a time; None: all.
    """

    def __init__(self, place: Place, workers: int | None) -> None:
        self.pid = os.getpid()
        self._place = place
        self._limit = asyncio.Semaphore(workers) if workers is not None else None
        self._token = os.urandom(8).hex()
        self._topic = f"molexp-{self._token}"
        self._client: Any = None
        self._cluster: Any = None
        self._closed = False
        self._calls: dict[str, Call] = {}  # those that wait to be told where they began, by Dask's key
        self._used: Counter[str] = Counter()
        self._met: set[tuple[tuple[str, float], ...]] = set()  # resources that workers were found to declare
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._ours = Inbox(self._loop)
        self._theirs: Inbox | None = None  # of the event loop that came last
        self._connecting: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._turn, name="molexp-dask", daemon=True)
        self._thread.start()

    def _turn(self) -> None:
        if hasattr(
            signal, "pthread_sigmask"
        ):  # a cluster starts from here, and Ctrl-C is for us, who end it in good order
            resource_tracker.ensure_running()  # at its start it would undo what comes next
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    # ------------------------------------------------------------------------------------------- for other event loops

    async def run(self, what: Callable[[Session], Coroutine[Any, Any, _T]]) -> _T:
        """Run something on the event loop of the thread."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(what(self), self._loop))

    async def call(self, call: Call, needs: Mapping[str, float]) -> Outcome:
        """Make a call on a worker."""
        try:
            data = pack(call)  # here, where the call was made up
        except Exception as error:  # noqa: BLE001 - pickling runs foreign code
            return Outcome(error=error)
        if self._closed:
            return Outcome(error=_closed(call))
        loop = asyncio.get_running_loop()
        if (theirs := self._theirs) is None or theirs.loop is not loop:
            theirs = self._theirs = Inbox(loop)
        done: asyncio.Future[Outcome] = loop.create_future()
        work = _Work()

        def begin() -> None:
            if not work.dropped:
                work.task = self._loop.create_task(self._call(call, data, needs, work))
                work.task.add_done_callback(settle)

        def settle(task: asyncio.Task[Outcome]) -> None:
            outcome = Outcome(error=_closed(call)) if task.cancelled() else task.result()
            theirs.put(lambda: None if done.done() else done.set_result(outcome))

        self._ours.put(begin)
        try:
            return await done
        except asyncio.CancelledError:
            work.dropped = True  # at once: its turn may come before the thread hears of it
            self._ours.put(work.drop)
            raise

    def close(self) -> None:
        """Stop what is running, and end the thread; from any other thread, or by the garbage collector in this one."""
        if self._closed or self.pid != os.getpid():
            return
        self._closed = True
        end = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        if threading.current_thread() is not self._thread:
            with suppress(Exception):  # the cluster is gone
                end.result(2 * _PATIENCE)
            self._thread.join(_PATIENCE)

    # ------------------------------------------------------------------------------------------------- in the thread

    async def check(self, needs: Mapping[str, float]) -> None:
        """Raise `ValueError` unless a worker declares these resources, or there is none yet."""
        await self._connected()
        if trouble := await self._unmet(needs):
            raise ValueError(trouble)

    async def _unmet(self, needs: Mapping[str, float]) -> str:
        asked = tuple(sorted(needs.items()))
        if not needs or asked in self._met:
            return ""
        known = await self._client.scheduler.identity()
        trouble = unmet(needs, [worker.get("resources", {}) for worker in known["workers"].values()])
        if not trouble:
            self._met.add(asked)
        return trouble

    async def _connected(self) -> None:
        """Wait for the client; if it cannot be had, nobody tries again before the executor was closed."""
        if self._connecting is None:
            self._connecting = asyncio.ensure_future(self._connect())
        await asyncio.shield(self._connecting)

    async def _connect(self) -> None:
        from molexp_dask._begun import Begun
        from molexp_dask._worker import Calls

        self._client, self._cluster = await connect(self._place)
        try:
            await self._client.register_plugin(Begun())
            await self._client.register_plugin(Calls())
            await _awaited(self._client.subscribe_topic(self._topic, self._hear))
        except Exception as error:
            raise ExecutorError(_unfit(self._place, error), call="") from error

    async def _call(self, call: Call, data: bytes, needs: Mapping[str, float], work: _Work) -> Outcome:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if call.told is not None:
                call.tell(Progress("queued"))
            await self._connected()
            if needs and (trouble := await self._unmet(needs)):
                return Outcome(error=ExecutorError(trouble, call=call.name))
            if self._limit is None:
                return await self._made(call, data, needs)
            async with self._limit:
                if work.dropped:
                    raise asyncio.CancelledError
                return await self._made(call, data, needs)
        except asyncio.CancelledError:
            if self._closed:
                return Outcome(error=_closed(call))
            raise
        except Exception as error:  # noqa: BLE001 - whatever Dask raises is the outcome
            return Outcome(error=error if isinstance(error, ExecutorError) else _lost(call, error))
        finally:
            self._tasks.discard(task)

    async def _made(self, call: Call, data: bytes, needs: Mapping[str, float]) -> Outcome:
        """Have a worker make a call, and wait for the answer."""
        from molexp_dask._worker import ENDED, LOST, perform

        key = self._key(call)
        topic = self._topic if call.started is not None or call.told is not None else ""
        if topic:
            self._calls[key] = call
        future = self._client.submit(
            perform, key, data, self._token, topic, key=key, pure=False, resources=needs or None, retries=0
        )
        try:
            answer: bytes = await future
        except asyncio.CancelledError as error:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                await _awaited(future.cancel())
                raise
            return Outcome(error=_lost(call, error))
        finally:
            self._calls.pop(key, None)
            future.release()
        if answer.startswith(LOST):
            return Outcome(error=_lost_with(call, answer[len(LOST) :].decode()))
        if answer.startswith(ENDED):
            return Outcome(error=pickle.loads(answer[len(ENDED) :]))  # noqa: S301 - from our worker
        if topic and key in self._calls:  # its word that it began comes by another way, and later
            self._calls.pop(key).begin()
        return await asyncio.to_thread(unpack, answer) if len(answer) > _LARGE else unpack(answer)

    def _key(self, call: Call) -> str:
        """Return Dask's key: that of the call, once, for Dask takes two tasks of one key for the same."""
        key = call.key or f"{call.name or 'call'}-{os.urandom(8).hex()}"
        self._used[key] += 1
        return key if self._used[key] == 1 else f"{key}#{self._used[key]}"

    def _hear(self, event: Any) -> None:
        """Hear from a worker that a call begins there."""
        _, said = event
        if (call := self._calls.pop(said["key"], None)) is not None:
            call.begin(host=said["host"], job=said["worker"])

    async def _end(self) -> None:
        """Stop the calls, let workers end their processes, and let go of the cluster."""
        calls = [*self._tasks]
        for task in calls:
            task.cancel()
        if calls:
            await asyncio.wait(calls, timeout=_PATIENCE)
        try:
            await asyncio.wait_for(self._let_go(), _PATIENCE)
        except Exception:  # noqa: BLE001, S110 - the cluster is gone, or does not answer
            pass
        finally:
            self._loop.call_soon(self._loop.stop)

    async def _let_go(self) -> None:
        from molexp_dask._worker import drop, fall_silent

        if self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
        if self._client is None:
            return
        if self._client.status == "running":
            with suppress(Exception):
                if self._cluster is None:
                    await self._client.run(drop, self._token, on_error="ignore")
                else:
                    await asyncio.wait_for(self._client.run(fall_silent, on_error="ignore"), 1.0)
        await self._client.close()
        if self._cluster is not None:
            await self._cluster.close()


_LARGE = 1 << 20  # bytes of an answer that takes the thread long


async def _awaited(found: Awaitable[Any] | None) -> None:
    """Await what some versions of Dask return to be awaited, and others do at once."""
    if found is not None:
        await found


def _closed(call: Call) -> ExecutorError:
    return ExecutorError(f"The call {call.name!r} was stopped: its executor was closed.", call=call.name)


def _lost_with(call: Call, worker: str) -> ExecutorError:
    return ExecutorError(
        f"The Dask worker {worker} was lost while it made the call {call.name!r}, which is not made again. It was killed, by hand, by a "
        "scheduler or for want of memory, or its machine cannot be reached; its log may say why.",
        call=call.name,
    )


def _lost(call: Call, error: BaseException) -> ExecutorError:
    """Return what became of a call that got no answer, in words."""
    kind = type(error).__name__
    if kind == "KilledWorker":
        worker = getattr(error, "last_worker", None)
        return _lost_with(call, str(getattr(worker, "address", None) or worker))
    if getattr(error, "reason", "") == "scheduler-connection-lost" or kind == "CommClosedError":
        said = "The connection to the Dask scheduler was lost"
        return ExecutorError(
            f"{said} before the call {call.name!r} was done; nobody knows what became of it.", call=call.name
        )
    if isinstance(error, ModuleNotFoundError):
        said = f"A Dask worker cannot make the call {call.name!r}: {error}"
        return ExecutorError(
            f"{said}. Install molexp-dask, and what the call needs, in its environment.", call=call.name
        )
    return ExecutorError(f"Dask did not make the call {call.name!r}: {kind}: {error}".rstrip(), call=call.name)


def _unfit(place: Place, error: BaseException) -> str:
    return (
        f"The Dask cluster of {place} does not take the plugin of molexp-dask: {type(error).__name__}: {error}. "
        "Install molexp-dask in the environments of the scheduler and of the workers, in the same version as here."
    )
