"""Calls in processes of this machine."""

from __future__ import annotations

import multiprocessing.process
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from molexp._executors import main_module
from molexp._executors.pooled import Pooled, call_name
from molexp._executors.slots import Server
from molexp.contracts import Call, Outcome
from molexp.errors import ExecutorError

if TYPE_CHECKING:
    from molexp._executors.child import Children

Work: TypeAlias = tuple[Call, str | None, list[str]]
"""A call, and the folder and ``sys.path`` to make it with."""

WORKER = "molexp-worker"
"""The name of a worker process."""


INTERRUPTIBLE = "__molexp_interruptible__"
"""Attribute of functions that are stopped as by Ctrl-C, because they end what they are at, and know the difference."""


class ProcessExecutor(Pooled[Work]):
    """Runs each call in one of a few worker processes, which are started (by spawn) on demand and used again.

    A call, its result and what it raises are pickled: functions are found by their names, so they stand at the top level
    of a module or of the script. The script itself is imported by every worker, so it starts its work below ``if
    __name__ == "__main__":``; without that, each call ends with an error that says so.

    Calls see the ``sys.path`` and the current folder that this process has as they are submitted, the environment that
    it had when their worker was started, and no context variables. What they print goes where this process's output
    goes. A call whose worker dies ends with `WorkerDiedError`, and no other call notices; cancelling one ends its
    worker: it is asked to (SIGTERM), so that runs and commands in it can end, and killed after four seconds. Workers end
    with this process, however it ends, in the middle of a call too. What a call started is ended with a worker that is
    stopped, is killed or dies, unless it has made a session of its own; on Windows it is not. What a call leaves behind when
    it returns goes on.

    Short calls that wait are sent to a worker several at once. They begin one after the other, and if one takes longer
    than those before, other workers take what waits behind it.

    `resources` are ignored: a call has all of this machine.

    Args:
        workers: the largest number of processes; `None` means as many as there are processors that this process
            may use.

    Example:
        >>> import asyncio
        >>> from molexp.contracts import Call
        >>> from molexp.executors import ProcessExecutor
        >>> async def largest():
        ...     async with ProcessExecutor(workers=1) as executor:
        ...         return (await executor.submit(Call(max, (1, 2)))).value
        >>> asyncio.run(largest())
        2
    """

    name: ClassVar[str] = "process"
    _children: Children
    _path: list[str] | None = None  # the `sys.path` of the last call

    async def submit(self, call: Call) -> Outcome:
        """Run `call` and return how it ended; see `molexp.contracts.Executor`."""
        name = call_name(call)
        self._pool()
        if not self._children.proven and (trouble := _in_a_script_without_guard()):
            return Outcome(error=ExecutorError(trouble, call=name))
        try:
            folder: str | None = os.getcwd()
        except OSError:  # somebody has removed it
            folder = None
        if sys.path != self._path:
            self._path = [*sys.path]
        return await self._serve(name, (call, folder, self._path), alone=call.started is not None)

    def _limit(self) -> int:
        return available_processors()

    def _server(self) -> Callable[[], Server[Work]]:
        from molexp._executors.child import Children

        self._children = Children()
        return self._children.new


def available_processors() -> int:
    """Return the number of processors that this process may use."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_a_script_without_guard() -> str:
    """Return the advice for a script whose work a new process would start again; "" elsewhere."""
    current = multiprocessing.process.current_process()
    if not getattr(current, "_inheriting", False):
        path = main_module.unguarded()
        return main_module.advice(path) if path else ""
    # We are in a new process that is importing the script, and the script has come to this.
    if current.name == WORKER:
        os._exit(main_module.UNGUARDED)  # without a word: the parent has the one sentence
    return main_module.advice(main_module.script() or "(unknown)")
