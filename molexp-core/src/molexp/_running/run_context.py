"""The context of a run: an attempt that is going on, and how it ends."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from molexp._record.causes import cause_of_error, is_cancellation, leaves_of
from molexp._recording import current
from molexp._recording.interruption import Interrupter, is_interrupted
from molexp._recording.process import Terminated, this_process
from molexp._running.context import Context, describe_error, message_of
from molexp._values.plain import restore
from molexp._values.process_id import HERE
from molexp._values.status import Cause, RunStatus
from molexp.errors import MolexpError, RunCancelledError, RunError

if TYPE_CHECKING:
    from molexp._assets.lookup import Finder
    from molexp._assets.naming import Shelf
    from molexp._hierarchy.run import Run
    from molexp._recording.attempt import Attempt
    from molexp._recording.ranks import Joined
    from molexp._recording.writer import Recording
    from molexp._running.capture import Capture


class Ending(NamedTuple):
    """How a run ends."""

    status: RunStatus
    reason: str = ""
    cause: str | None = None


class RunContext(Context):
    """An attempt that is going on; leave its ``with`` block to end it.

    An error that leaves the block ends the attempt as ``failed`` with its traceback, Ctrl-C as ``cancelled``, a
    termination signal as ``interrupted``, none as ``succeeded``; the error goes on. A cancel request interrupts a block
    that runs in the main thread, which it leaves as `RunCancelledError`. In a forked child it is inert.

    Where a launcher started several ranks, rank 0 owns the attempt. Every other rank contributes to it: it leaves the
    block without ending the attempt, which has the error that it leaves by on record all the same.

    Example:
        >>> with exp.Run({"a": 3.5}).start() as ctx:
        ...     ctx.capture()  # what is printed goes to the log stdout, too
        ...     ctx.metrics.log(step=1, loss=0.5)
        ...     ctx.log("relax").append("1 step")
        ...     ctx.set_result("energy", -3.7)
        ...     ctx.flush()
        >>> ctx = exp.Run().start()  # in a notebook
        >>> ctx.finish()
    """

    run: Run

    def __init__(self, *, run: Run, attempt: Attempt | Joined, shelf: Shelf, finder: Finder) -> None:
        super().__init__(run=run, shelf=shelf, finder=finder, **_given(attempt))
        self._attempt = attempt
        self._rank = attempt.rank
        self._failures: dict[str, tuple[Ending, Mapping[str, Any] | None]] = {}
        self._capture: Capture | None = None
        self._interrupter: Interrupter | None = None
        self._entered: Token[Recording | None] | None = None

    def __repr__(self) -> str:
        return f"<RunContext of {self.run.path}, attempt {self.attempt}, {self._attempt.status}>"

    def capture(self) -> None:
        """Record standard output and error from now on, as the logs ``stdout`` and ``stderr``.

        Raises:
            RunError: another run of this process does.
        """
        from molexp._running.capture import Capture

        if self._capture is None and self._shelf is not None:
            self._capture = Capture(self._shelf)

    @property
    def attempt(self) -> int:
        """The attempt's number: 1, 2, ..."""
        return self._attempt.number

    @property
    def rank(self) -> int:
        """Which of the processes that a launcher started this is; 0 without a launcher."""
        return self._rank.index if self._rank is not None else 0

    @property
    def world_size(self) -> int:
        """How many processes the launcher started; 1 without a launcher."""
        return self._rank.size if self._rank is not None else 1

    @property
    def cancelled(self) -> bool:
        """Tell whether somebody asked the run to stop; the next thing recorded raises `RunCancelledError`."""
        return self._attempt.cancelled

    def flush(self) -> None:
        """What was recorded reaches the store, from every log as well."""
        for handle in self._logs.values():
            handle.flush()
        if self._metrics is not None:
            self._metrics.flush()
        self._attempt.flush()

    def finish(self, status: str = "succeeded", *, reason: str = "") -> None:
        """End the attempt without a ``with`` block, as in a notebook. Does nothing if it has ended.

        Args:
            status: ``succeeded``, ``failed``, ``cancelled`` or ``interrupted``.
            reason: why, for people.

        Raises:
            ValueError: another status.
            RunSupersededError: somebody else ended it before.
        """
        wanted = RunStatus(status)
        if not wanted.finished:
            raise ValueError(f"A run cannot end as {status!r}.")
        if wanted is RunStatus.SUCCEEDED and not self._attempt.closed:
            self._attempt.gather()
        self._end(Ending(wanted, reason))

    def __enter__(self) -> Self:
        try:
            self._attempt.check()
        except RunCancelledError as error:  # between the start and here
            self._end(judge(error, self.run.path))
            raise
        self._entered = current.enter(self._attempt)
        self._interrupter = Interrupter(self._attempt.process)
        self._interrupter.arm()
        self._attempt.on_cancel = self._interrupter.fire
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._attempt.inert:
            return
        problem = self._gather() if error is None else None
        late = self._interrupter.disarm() if self._interrupter is not None else None
        if self._entered is not None:
            with suppress(ValueError):  # left in another task than it was entered in
                current.leave(self._entered)
            self._entered = None
        if self._attempt.closed:
            return
        left_by = error or problem or late
        interrupted = self._interrupter is not None and self._interrupter.sent
        if interrupted and isinstance(left_by, KeyboardInterrupt | Terminated) and (asked := self._attempt.stopped_by):
            left_by = asked  # nobody pressed Ctrl-C: the request did
        if left_by is None:
            if self._failures:
                self._end(*next(iter(self._failures.values())))
            else:
                self._end(Ending(RunStatus.SUCCEEDED))
            return
        ending = judge(left_by, self.run.path)
        try:
            self._end(ending, left_by if ending.status is RunStatus.FAILED else None)
        except MolexpError as worse:
            left_by.add_note(f"And the run could not be ended: {worse}")
        if left_by is not error:
            raise left_by from None

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _gather(self) -> BaseException | None:
        """Let other ranks finish; returns what came of the waiting: Ctrl-C, a request to cancel."""
        try:
            if not self._failures and not self._attempt.closed:
                self._attempt.gather()
        except BaseException as problem:  # noqa: BLE001 - it is raised once the run has ended by it
            return problem
        return None

    def given(self) -> dict[str, Any]:
        """Its `params` and `config` as they are on record, whatever the block did to its own."""
        return _given(self._attempt)

    @property
    def coordinator(self) -> Attempt:
        """Who records for it, and ends it.

        Raises:
            RunError: that is another process: this is not rank 0.
        """
        from molexp._recording.attempt import Attempt

        if isinstance(self._attempt, Attempt):
            return self._attempt
        raise not_for_ranks(self.run, self.rank)

    @property
    def shelf(self) -> Shelf:
        """Where its assets are put."""
        assert self._shelf is not None
        return self._shelf

    @property
    def finder(self) -> Finder:
        """Where assets are found."""
        assert self._finder is not None
        return self._finder

    def fails(self, ending: Ending, error: Mapping[str, Any] | None, *, part: str = "") -> None:
        """Leaving the block without an error ends the attempt so: a part of it did, and the first one counts."""
        self._failures[part] = (ending, error)

    def mended(self, part: str) -> None:
        """A part that failed before has succeeded."""
        self._failures.pop(part, None)

    def conclude(self, ending: Ending, error: BaseException | Mapping[str, Any] | None = None) -> None:
        """End the attempt; an error leaves its traceback, unless it is described already.

        Raises:
            RunSupersededError: somebody else ended it before.
        """
        if not self._attempt.closed:
            self._end(ending, error)

    def _end(self, ending: Ending, error: BaseException | Mapping[str, Any] | None = None) -> None:
        if self._capture is not None:
            self._capture.stop()
        described = describe_error(error, self._shelf, None) if isinstance(error, BaseException) else error
        scratch = self._attempt.contents.workdirs if ending.status is RunStatus.SUCCEEDED else []
        if scratch:
            self._attempt.contents.workdir = None
        self._attempt.finish(ending.status, reason=ending.reason, cause=ending.cause, error=described)
        for folder in scratch:
            shutil.rmtree(folder, ignore_errors=True)


def _given(attempt: Attempt | Joined) -> dict[str, Any]:
    config = attempt.definition.get("config")
    return {"params": restore(attempt.definition["parameters"]), "config": restore(config) if config else {}}


def judge(error: BaseException, run: str) -> Ending:
    """Return how a run ends that this error leaves, and why; a group of errors ends it as all of them would."""
    leaves = [*leaves_of(error)]
    asked = next((leaf for leaf in leaves if isinstance(leaf, KeyboardInterrupt | Terminated)), None)
    if asked is not None:
        return _judge(asked, run)
    endings = [_judge(leaf, run) for leaf in leaves]
    if leaves == [error] or all(one.status is RunStatus.CANCELLED for one in endings):
        return endings[0]
    return Ending(RunStatus.FAILED, _reason(error), cause_of_error(error))


def _judge(error: BaseException, run: str) -> Ending:
    if isinstance(error, KeyboardInterrupt):
        return Ending(RunStatus.CANCELLED, "KeyboardInterrupt", Cause.CANCEL)
    if isinstance(error, RunCancelledError) and error.run == run:
        return Ending(RunStatus.CANCELLED, error.reason or "cancel request", Cause.CANCEL)
    if isinstance(error, Terminated):
        return Ending(RunStatus.INTERRUPTED, str(error), this_process().cause_of_signal(error.signum))
    if isinstance(error, SystemExit):
        if error.code in (None, 0):
            return Ending(RunStatus.SUCCEEDED, "SystemExit", None)
        return Ending(RunStatus.FAILED, f"SystemExit: {error.code}", Cause.EXCEPTION)
    if is_cancellation(error):
        if number := HERE.asked_by:  # the signal left the event loop, which then cancelled its tasks
            return _judge(Terminated(number), run)
        return Ending(
            RunStatus.CANCELLED, "KeyboardInterrupt" if is_interrupted() else type(error).__name__, Cause.CANCEL
        )
    return Ending(RunStatus.FAILED, _reason(error), cause_of_error(error))


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {message_of(error)}"[:1024]


def not_for_ranks(run: Run, rank: int) -> RunError:
    """The error for a workflow that is executed by another rank than 0."""
    return RunError(
        f"Rank {rank} cannot execute a workflow under {run.path!r}: rank 0 does. Start a script that executes workflows "
        "once, without torchrun, srun or mpirun, and let the task that needs them start a program with ctx.shell.",
        run=run.path,
    )
