"""The contract of an executor, which runs calls somewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from msgspec import Struct, field

from molexp._values.numbers import at_least_one
from molexp.contracts._resources import Resources


class Progress(Struct, frozen=True):
    """A step of a call on its way to its end, and what the executor knows of it.

    Attributes:
        step: ``queued``: it waits in a queue outside of this process; ``began``: it is being made; ``requeued``: it began,
            and waits again.
        host: the machine's name; "" if that is not known, or does not matter.
        job: the id by which the engine knows it, such as a scheduler's job.
        restarts: the number of times that it was requeued.

    Example:
        >>> from molexp.contracts import Progress
        >>> Progress("began", host="node7", job="4711_3").host
        'node7'
    """

    step: Literal["queued", "began", "requeued"]
    host: str = ""
    job: str = ""
    restarts: int = 0


class Call(Struct, frozen=True):
    """A picklable call.

    Attributes:
        function: importable by its qualified name in another process.
        args: its positional arguments.
        kwargs: its keyword arguments.
        resources: its needs.
        name: its name in logs and queues.
        started: called when the call begins, in the process that submitted it and from any thread: until then it waits
            for its turn, and does not count as running. It does not travel with the call.
        key: its identity, which no other call in the world has, except the same one that is submitted again: of a run
            ``run-WORKSPACE:PROJECT:EXPERIMENT:RUN:ATTEMPT``, of a task ``TASK-WORKSPACE:PROJECT:EXPERIMENT:RUN:ATTEMPT:TRY``,
            and the index of an item. It has printable ASCII characters without blanks, slashes and quotes: schedulers take it as the name of a
            job. "" if the call belongs to no run.
        told: called with each `Progress` that an executor makes known, as `started` is. It does not travel either.

    Example:
        >>> from molexp.contracts import Call
        >>> call = Call(max, (1, 2), name="largest")
        >>> call.function(*call.args)
        2
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    name: str = ""
    started: Callable[[], None] | None = None
    key: str = ""
    told: Callable[[Progress], None] | None = None

    def __eq__(self, other: object) -> bool:
        return self.__reduce__() == other.__reduce__() if isinstance(other, Call) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.__reduce__())

    def __reduce__(self) -> tuple[Any, ...]:
        return Call, (self.function, self.args, self.kwargs, self.resources, self.name, None, self.key)

    def begin(self, host: str = "", job: str = "", restarts: int = 0) -> None:
        """Say once that the call begins, and where; executors do."""
        if self.started is not None:
            self.started()
        self.tell(Progress("began", host, job, restarts))

    def tell(self, progress: Progress) -> None:
        """Say how far the call is, if that is of interest; executors that have a queue do, which `begin` is part of."""
        if self.told is not None:
            self.told(progress)


class Outcome(Struct, frozen=True):
    """The end of a call.

    Attributes:
        value: the value that it returned; ``None`` if it failed.
        error: the error that it raised, or that tells what became of its worker; ``None`` if it succeeded.

    Example:
        >>> from molexp.contracts import Outcome
        >>> Outcome(value=2).value
        2
    """

    value: Any = None
    error: BaseException | None = None


class Executor(ABC):
    """Runs calls: here, in other processes, on a cluster.

    Options are keyword arguments, each with a default: ``Executor(workers=4)``. One that an executor does not know is
    a `TypeError`, one that makes no sense a `TypeError` or `ValueError`; none is ignored. Making an executor does no
    I/O and starts nothing: that is for the first call. Whoever made it closes it, with `close` or ``async with``.

    One executor may be used by several event loops, one after another or at once in several threads.

    Args:
        workers: the number of calls that run at once at most; more than these wait for their turn. `None` leaves it to the
            executor.

    Example:
        >>> from molexp.contracts import Executor, Outcome
        >>> class Here(Executor):
        ...     name = "here"
        ...
        ...     async def run(self, call):
        ...         return Outcome(value=call.function(*call.args, **call.kwargs))
    """

    name: ClassVar[str]
    """The name by which users choose it."""

    in_process: ClassVar[bool] = False
    """True if calls share this process's memory, and need not be picklable."""

    queues: ClassVar[bool] = False
    """True if calls wait in a queue of its own: it gets all that there are at once, and `workers` limits those that run."""

    def __init__(self, *, workers: int | None = None) -> None:
        self.workers = at_least_one(workers, "workers")

    @abstractmethod
    async def submit(self, call: Call) -> Outcome:
        """Run `call` and return how it ended.

        A function that returns an awaitable, as a coroutine function does, is awaited. An error that the call raises
        is an outcome, not an error of the executor, `SystemExit` in a worker included. Its traceback, or a cause of it,
        tells where it was raised. A worker that dies is an outcome too, whose error says so: the call is not made
        again. So is a call, a result or an error that cannot travel. What a call prints is no part of its answer. A call
        elsewhere finds the modules that are found here as it is submitted, by `sys.path`.

        Only the cancellation of the awaiting task is raised. It stops the call where that is possible, and does not wait
        for it where it is not; a call that waits for its turn is never made. Once a call has ended, another one takes its
        place.

        A call that runs elsewhere may expect of its process:

        - `sys.path` is that of this process, and the current folder is the same, as they are when it is submitted. Where
          the other machine has no such folder, the outcome is an error that says so.
        - The environment is that of the worker, whatever this process has set since the worker was started.
        - No other call is made in the process meanwhile: a call may change the folder, `sys.path`, the environment or
          what a module remembers. Another call may come before or after it.
        - The main module is the script of this process if the call needs it, and a guard of that does not fire.

        `molexp.executors.pack`, `run_packed` and `unpack` see to all of it.

        The call's `resources` are what an executor that allocates some asks for. One that runs calls with what this
        process has may leave them aside, and says so.
        """

    async def check(self, resources: Resources) -> None:
        """Raise unless calls can get these resources; the default lets all pass.

        It is called before the first run is submitted, and may connect to whatever runs the calls.

        Raises:
            ValueError: they cannot, with the reason.
        """

    async def close(self) -> None:
        """Release threads, processes and connections; the default does nothing.

        Calls that still run are stopped where that is possible, and their outcomes are errors. It may be called again
        and again, and the executor may be used afterwards: it then starts anew.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
