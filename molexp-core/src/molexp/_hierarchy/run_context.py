"""The context of a run: claiming its next attempt, once the one before has ended, and how the block ends that."""

from __future__ import annotations

import time
from contextlib import suppress
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self

from msgspec.structs import replace

from molexp._assets.naming import AttemptAssets
from molexp._record.attempts import busy, read_attempts
from molexp._record.causes import Ending
from molexp._record.definitions import WAS_DELETED
from molexp._record.document_types import is_defined
from molexp._record.folding import AttemptFacts
from molexp._record.looking import look_at
from molexp._record.reading import read_edits
from molexp._recording import current
from molexp._recording.attempt import MOMENT, Attempt, looks
from molexp._recording.signals.handlers import Interrupter, Leavable, Terminated, noticed
from molexp._recording.writer import claim_events
from molexp._running.context import Context, describe_error
from molexp._running.endings import judge
from molexp._storage import layout, schemas
from molexp._storage.layout import claim_key, end_key
from molexp._values.documents import check_schema, encode_line, encoded, refuse_newer
from molexp._values.numbers import seconds
from molexp._values.plain import restore
from molexp._values.status import RunStatus
from molexp.errors import (
    KeyExistsError,
    MolexpError,
    NotFoundError,
    RunCancelledError,
    RunError,
    RunFinishedError,
    WorkspaceMovedError,
)

if TYPE_CHECKING:
    from molexp._hierarchy.run import Run
    from molexp._recording.ranks import Joined
    from molexp._recording.writer import Recorder
    from molexp._running.capture import Capture


class RunContext(Leavable, Context):
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
    _assets: AttemptAssets
    _attempt: Attempt | Joined

    def __init__(self, run: Run, attempt: Attempt | Joined) -> None:
        assets = AttemptAssets(attempt, run._session.library, run._scopes)
        super().__init__(run=run, assets=assets, **params_and_config(attempt))
        self._attempt = attempt
        self._rank = attempt.rank
        self._failures: dict[str, Ending] = {}
        self._capture: Capture | None = None
        self._interrupter: Interrupter | None = None
        self._entered: Token[Recorder | None] | None = None

    def __repr__(self) -> str:
        return f"<RunContext of {self.run.path}, attempt {self.attempt}, {self._attempt.status}>"

    def capture(self) -> None:
        """Record standard output and error from now on, as the logs ``stdout`` and ``stderr``.

        Raises:
            RunError: another run of this process does.
        """
        from molexp._running.capture import Capture

        if self._capture is None:
            self._capture = Capture(self._assets)

    @property
    def attempt(self) -> int:
        """The attempt's number: 1, 2, ..."""
        return self._attempt.number

    @property
    def rank(self) -> int:
        """The number of this process among those that a launcher started; 0 without a launcher."""
        return self._rank.index if self._rank is not None else 0

    @property
    def world_size(self) -> int:
        """The number of processes that the launcher started; 1 without a launcher."""
        return self._rank.size if self._rank is not None else 1

    @property
    def cancelled(self) -> bool:
        """Tell whether somebody asked the run to stop; the next thing recorded raises `RunCancelledError`."""
        return self._attempt.cancelled

    def flush(self) -> None:
        """Send what was recorded to the store, from every log as well."""
        for handle in self._logs.values():
            handle.flush()
        if self._metrics is not None:
            self._metrics.flush()
        self._attempt.flush()

    def finish(self, status: str = "succeeded", *, reason: str = "") -> None:
        """End the attempt without a ``with`` block, as in a notebook. Does nothing if it has ended.

        Args:
            status: ``succeeded``, ``failed``, ``cancelled`` or ``interrupted``.
            reason: the reason, for people.

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
            self._entered = current.enter(self._recorder)
            self._interrupter = Interrupter(self._attempt.process.signals)
            self._attempt.on_cancel = self._interrupter.fire
            self._watch()
        except (RunCancelledError, KeyboardInterrupt, SystemExit) as error:  # it came between the start and here
            self.__exit__(type(error), error, None)
            raise
        return self

    @noticed
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._attempt.state == "inert":
            return
        self._left_by = error
        problem = self._gather() if error is None and self._rank is not None else None
        late = self._interrupter.disarm() if self._interrupter is not None else None
        if self._entered is not None:
            with suppress(ValueError, RuntimeError):  # left in another task than it was entered in; or left already
                current.leave(self._entered)
            self._entered = None
        if self._attempt.state == "ended":
            return
        left_by = error or problem or late
        interrupted = self._interrupter is not None and self._interrupter.sent
        if interrupted and isinstance(left_by, KeyboardInterrupt | Terminated) and (asked := self._attempt.stopped_by):
            left_by = asked  # nobody pressed Ctrl-C: the request did
        if left_by is None:
            self._end(next(iter(self._failures.values()), Ending(RunStatus.SUCCEEDED)))
            return
        self._end_by(left_by)
        if left_by is not error:
            raise left_by from None

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _gather(self) -> BaseException | None:
        """Let other ranks finish; return what came of the waiting: Ctrl-C, a request to cancel."""
        try:
            if not self._failures and not self._attempt.closed:
                self._attempt.gather()
        except BaseException as problem:  # noqa: BLE001 - it is raised once the run has ended by it
            return problem
        return None

    def _end_by(self, error: BaseException) -> None:
        """End the attempt, if it has not ended, by an error that goes on."""
        try:
            self._end(judge(error, self.run.path), error)
        except MolexpError as worse:
            error.add_note("\n".join((f"And the run could not be ended: {worse}", *getattr(worse, "__notes__", ()))))

    @property
    def _coordinator(self) -> Attempt:
        """The attempt, which this process owns.

        Raises:
            RunError: that is another process: this is not rank 0.
        """
        if isinstance(self._attempt, Attempt):
            return self._attempt
        raise not_for_ranks(self.run, self.rank)

    def _fail(self, how: Ending, *, part: str = "") -> None:
        """End so if the block is left without an error; of several parts that failed, the first one counts."""
        self._failures[part] = how

    def _forgive(self, part: str) -> None:
        """Forget that a part failed before: it has succeeded."""
        self._failures.pop(part, None)

    def _end(self, ending: Ending, error: BaseException | None = None) -> None:
        """End the attempt, if it has not ended; a failure by `error` leaves its traceback.

        Raises:
            RunSupersededError: somebody else ended it before.
        """
        if self._attempt.state in ("ended", "inert"):
            return
        if self._capture is not None:
            self._capture.stop()
        if error is not None and ending.status is RunStatus.FAILED:
            ending = replace(ending, error=describe_error(error, self._assets, None))
        scratch = self._attempt.contents.workdirs if ending.status is RunStatus.SUCCEEDED else []
        if scratch:
            self._attempt.contents.workdir = None
        self._attempt.end(ending)
        self._left_by = self._watched = None
        for folder in scratch:
            from shutil import rmtree

            rmtree(folder, ignore_errors=True)


def params_and_config(attempt: Attempt | Joined) -> dict[str, Any]:
    """Return `params` and `config` of an attempt as they are on record, whatever its block did to its own."""
    config = attempt.definition.get("config")
    return {"params": restore(attempt.definition["parameters"]), "config": restore(config) if config else {}}


def not_for_ranks(run: Run, rank: int) -> RunError:
    """Return the error for a workflow that is executed by another rank than 0."""
    return RunError(
        f"Rank {rank} cannot execute a workflow under {run.path!r}: rank 0 does. Start a script that executes workflows "
        "once, without torchrun, srun or mpirun, and let the task that needs them start a program with ctx.shell.",
        run=run.path,
    )


def start_captured(run: Run, *, fresh: bool, wait: float, if_succeeded: str) -> RunContext:
    """Start an attempt at a run, and record standard output and error from its claim on; see `Run.start`."""
    from molexp._running.capture import Capture

    with Capture.ahead():
        context = begin(run, fresh=fresh, wait=wait, if_succeeded=if_succeeded)
        try:
            context.capture()
        except BaseException as problem:
            context._end_by(problem)
            raise
    return context


def begin(run: Run, *, fresh: bool, wait: float, if_succeeded: str) -> RunContext:
    """Claim the next attempt at a run, or join the one that rank 0 of this launch has claimed; see `Run.start`."""
    if if_succeeded not in ("rerun", "error"):
        raise ValueError(f"if_succeeded must be 'rerun', 'error' or 'skip', not {if_succeeded!r}.")
    wait = wait and seconds(wait, "wait")
    session = run._session
    process = session.process
    rank = process.rank
    if rank is not None and rank.index > 0:
        from molexp._recording.ranks import join

        return RunContext(run, join(session, run.path, rank, wait, if_succeeded))
    journal = session.journal
    definition = run._defined()
    untried, run._untried = run._untried, False
    parts = {"owner": process.encoded_owner, "definition": encoded(definition)}
    if not untried:  # this process has not written it
        check_schema(definition, layout.document(run.path), schemas.DEFINITION)
    process.prepare()
    store, provenance = session.store, process.provenance
    deadline = time.monotonic() + wait
    folder = layout.folder(run.path)
    launch = {} if rank is None else {"launch": rank.launch(process.count("start", store.url, run.path))}
    while True:
        number = 1 if untried else _next_attempt(run, deadline, if_succeeded)
        journal.announce(end_key(folder, number))
        claim = {
            **process.claim(number),
            "invocation": process.invocation,
            "lease": session.lease,
            "fresh": fresh,
            "provenance": provenance.standing.get(store.url) or provenance.publish(store, wait=False),
            "definition": definition,
            **process.memory,
            **process.submission,
            **launch,
        }
        try:
            log = claim_events(store, run.path, claim, encode_line({**claim, **parts}))
            unseen = untried and 0.0 <= time.time() - run._made_up_at < MOMENT  # nobody else can know of it yet
            attempt = Attempt(session, run.path, claim, log, parts, unseen=unseen)
            if untried and not unseen:
                _refuse_deleted(run, attempt)
            return RunContext(run, attempt)
        except KeyExistsError:
            untried = False  # somebody else was first
            continue
        except BaseException as problem:
            from molexp._running.giving_up import give_up

            give_up(session, run.path, claim, problem)
            raise


def _refuse_deleted(run: Run, attempt: Attempt) -> None:
    """End an attempt that was claimed without a look at the run, if that was deleted since it was created."""
    try:
        there = look_at(run._session.store, run.path)
        deleted = read_edits(there, run.path).deleted
        freed = not deleted and not is_defined(there, run.path)  # in this order: the edit that deletes it goes last
    except MolexpError:
        attempt.end(Ending(RunStatus.FAILED, "whether the run was deleted could not be read"))
        raise
    if deleted:
        attempt.end(Ending(RunStatus.CANCELLED, "the run was deleted"))
    elif freed:
        attempt.withdraw()
    if deleted or freed:
        raise NotFoundError("run", run.path, hint=WAS_DELETED)


def _next_attempt(run: Run, deadline: float, if_succeeded: str) -> int:
    """Return the number of the attempt to claim, once the newest one has ended.

    Raises:
        RunBusyError: it has not, by the deadline.
        RunFinishedError: it succeeded, and that is not to be repeated.
        SchemaError: a newer MolExp wrote it.
    """
    session = run._session
    if read_edits(session.store, run.path).deleted:
        raise NotFoundError("run", run.path, hint=WAS_DELETED)
    for own in session.process.heart.attempts():
        if own.path == run.path and own.store.url == session.store.url:
            with suppress(WorkspaceMovedError):  # another workspace lay here when it was begun
                own.end()
    for _ in looks(deadline):
        attempts = read_attempts(session.store, layout.folder(run.path))
        if not attempts:
            if not is_defined(session.store, run.path):
                raise NotFoundError("run", run.path, hint="It was deleted.")
            return 1
        newest = session.observer.settle(run.path, attempts[-1], insist=True)
        if newest.ended or _is_given_up(run, newest):
            last = next((one for one in (newest, *reversed(attempts[:-1])) if not one.void), newest)
            if last.status is RunStatus.SUCCEEDED and if_succeeded == "error":
                raise RunFinishedError(run.path, status=str(last.status), attempt=last.number)
            folder = layout.folder(run.path)
            refuse_newer(newest.head, (end_key if newest.ended else claim_key)(folder, newest.number), schemas.ATTEMPT)
            return newest.number + 1
    raise busy(run.path, newest)


def _is_given_up(run: Run, attempt: AttemptFacts) -> bool:
    """Tell whether somebody has cancelled, here, an attempt that goes on elsewhere."""
    return bool(attempt.as_of and read_edits(run._session.store, run.path).cancel_of(attempt.number))


class SkippedRun:
    """A run that `Run.start` has left as it is, because it had succeeded: it is false, where a context is true.

    Attributes:
        run: the run.

    Example:
        >>> if ctx := exp.run("cu-small").start(if_succeeded="skip"):
        ...     with ctx:
        ...         ctx.set_result("energy", -3.7)
        >>> ctx.run.results["energy"], bool(ctx)
        (-3.7, False)
    """

    def __init__(self, run: Run, why: RunFinishedError) -> None:
        self.run = run
        self._why = why

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return f"<SkippedRun {self.run.path}, which had succeeded>"

    if not TYPE_CHECKING:  # to a type checker it would make every misspelt name one of unknown type

        def __getattr__(self, name: str) -> NoReturn:
            if not name.startswith("_") and hasattr(RunContext, name):
                raise AttributeError(
                    f"Run {self.run.path!r} was skipped, and has no context. {_ASK_FIRST}", name=name, obj=self
                )
            raise AttributeError(name, name=name, obj=self)

    if not TYPE_CHECKING:  # to a type checker, a `with` that does not ask first is a mistake

        def __enter__(self) -> NoReturn:
            self._why.add_note(f"A with block cannot be skipped. {_ASK_FIRST}")
            raise self._why

        def __exit__(self, *left_by: object) -> None:
            """Do nothing: nobody gets this far."""

        async def __aenter__(self) -> NoReturn:
            self.__enter__()

        async def __aexit__(self, *left_by: object) -> None:
            """Do nothing: nobody gets this far."""


_ASK_FIRST = 'Ask before it: `if ctx := run.start(if_succeeded="skip"):`, and below that `with ctx:`.'


def start_unless_done(run: Run, *, fresh: bool, wait: float, capture: bool) -> RunContext | SkippedRun:
    """Start an attempt at a run, unless it has succeeded; see `Run.start`."""
    try:
        return run.start(fresh=fresh, wait=wait, if_succeeded="error", capture=capture)
    except RunFinishedError as error:
        return SkippedRun(run, error)
