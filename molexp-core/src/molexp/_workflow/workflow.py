"""Workflows: immutable, executed in memory or under a run."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack

from molexp._hierarchy.run import Run
from molexp._recording.signals.event_loops import woken_by_signals
from molexp._workflow import bindings
from molexp._workflow.definition import Definition
from molexp._workflow.execution import Execution, Listener
from molexp._workflow.executors import Executors
from molexp._workflow.options import ExecuteOptions, StartOptions, with_options
from molexp._workflow.results import TaskOutcome, WorkflowResult
from molexp._workflow.under_run import execute_under_run, status_of
from molexp.errors import WorkflowError

if TYPE_CHECKING:
    from molexp._hierarchy.experiment import Experiment
    from molexp._hierarchy.run_context import RunContext

T = TypeVar("T")


class Workflow(Definition, frozen=True, eq=False, dict=True, weakref=True):
    """Tasks joined by dependencies; `WorkflowBuilder.build` makes them.

    Attributes:
        name: its name.
        tasks: its tasks by name, in an order in which they can be executed.
        on_failure: ``"finish"`` the tasks that do not depend on one that failed, or ``"cancel"`` them.
        max_parallel: the largest number of tasks, and items of mapped tasks, at a time; None: any number.

    Example:
        >>> from molexp.workflow import Workflow, WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> @wf.task
        ... def scan(ctx):
        ...     return [1, 2]
        >>> workflow = wf.build()
        >>> len(workflow.workflow_id), [task.name for task in workflow.graph.tasks]
        (16, ['scan'])
        >>> workflow.execute_sync(run=exp.Run()).status == "succeeded"
        True
        >>> workflow.bind_to(exp)
        >>> Workflow.for_experiment(exp) is workflow
        True
        >>> workflow.unbind_from(exp)
        >>> workflow.start().result().outputs["scan"]
        [1, 2]
    """

    # ---------------------------------------------------------------------------------------------------------- executing

    async def execute(
        self,
        *,
        run: Run | RunContext | None = None,
        params: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        resume: bool = False,
        check: bool = False,
        if_succeeded: Literal["rerun", "error"] = "rerun",
        listener: Callable[[str, TaskOutcome | None], None] | None = None,
    ) -> WorkflowResult:
        """Execute it, in memory or under a run.

        Args:
            run: a run, at which an attempt is started and ended; or the open context of one, which goes on afterwards.
            params: the values that tasks see as `ctx.params`; a run has its own.
            config: the values that tasks see as `ctx.config`; a run has its own.
            resume: under a run, execute only what did not succeed in an earlier attempt, or changed since; the rest is
                reused.
            check: raise if it does not succeed.
            if_succeeded: ``"error"`` refuses to repeat a run that succeeded.
            listener: called with each task's name when it starts, and again with its outcome.

        Returns:
            The result, also when tasks failed.

        Raises:
            RunBusyError: an attempt at the run is alive.
            RunFinishedError: it succeeded, and ``if_succeeded="error"``.
            PluginMissingError: a task names an executor that does not exist.
            TaskFailedError: with `check`, a task failed.
            WorkflowError: it is awaited by another event loop than asyncio's, such as trio's.
            TypeError: `params` or `config` is given beside a run or is not a mapping; or `resume` without a run.

        Example:
            >>> import asyncio
            >>> from molexp.workflow import WorkflowBuilder
            >>> workflow = WorkflowBuilder(name="empty").build()
            >>> asyncio.run(workflow.execute()).status == "succeeded"
            True
        """
        _check_loop()
        executors = _executors_of(run)
        executors.check({spec.executor for spec in self.tasks.values()})
        try:
            if run is None:
                if resume:
                    raise TypeError("resume=True needs a run: in memory there is nothing to resume from.")
                result = await self._in_memory(
                    _mapping("params", params), _mapping("config", config), executors, listener
                )
            else:
                if params is not None or config is not None:
                    raise TypeError("A run has its own parameters and configuration; give either a run or those.")
                result = await execute_under_run(
                    self, run, executors, listener, resume=resume, if_succeeded=if_succeeded
                )
        finally:
            await executors.close()
        return result.raise_for_status() if check else result

    async def _in_memory(
        self, params: Mapping[str, Any], config: Mapping[str, Any], executors: Executors, listener: Listener | None
    ) -> WorkflowResult:
        execution = Execution(self, params=params, config=config, executors=executors, listener=listener)
        with bindings.stoppable(execution), woken_by_signals():
            tasks = await execution.run()
        ending = status_of(tasks, execution.stopped)
        return WorkflowResult(self.name, ending.status, tasks, None, ending.reason, ending.cause)

    @with_options(ExecuteOptions, execute)
    def execute_sync(self, **options: Unpack[ExecuteOptions]) -> WorkflowResult:
        """Execute it as `execute` does, and wait for it; also where an event loop is running already, as in Jupyter.

        Its arguments and errors are those of `execute`. Ctrl-C cancels what is executed, and is raised.
        """
        return waited_for(self.execute(**options), asyncio.run)

    @with_options(StartOptions, execute)
    def start(self, **options: Unpack[StartOptions]) -> WorkflowHandle:
        """Start it and return at once: in the running event loop, or in a thread where there is none.

        Args:
            run: as for `execute`.
            params: as for `execute`.
            config: as for `execute`.
            resume: as for `execute`.

        Returns:
            A handle to await, to wait for or to cancel it; what `execute` raises, those raise.
        """
        return WorkflowHandle(self, **options)

    # ----------------------------------------------------------------------------------------------------------- bindings

    def bind_to(self, experiment: Experiment) -> None:
        """Make it the workflow of an experiment, for this process; it replaces the one that was bound before.

        It is bound to the experiment of that workspace, project and id: another handle of it finds it, too.
        """
        bindings.set_workflow(experiment, self)

    def unbind_from(self, experiment: Experiment) -> None:
        """Undo `bind_to`; does nothing if another workflow, or none, is bound."""
        bindings.unset_workflow(experiment, self)

    @classmethod
    def for_experiment(cls, experiment: Experiment) -> Workflow:
        """Return the workflow that is bound to an experiment in this process.

        Raises:
            UnboundExperimentError: there is none.
        """
        return bindings.get_workflow(experiment)


class WorkflowHandle:
    """A workflow that is being executed: await it, or wait for its `result`; `cancel` it. `Workflow.start` makes it.

    It can be awaited again and again, in any event loop. Whoever stops waiting does not cancel it.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> @wf.task
        ... def scan(ctx):
        ...     return [1, 2]
        >>> handle = wf.build().start()
        >>> handle.result(timeout=60).outputs["scan"]
        [1, 2]
    """

    def __init__(self, workflow: Workflow, **options: Unpack[StartOptions]) -> None:
        self._workflow = workflow
        self._future: Future[WorkflowResult] = Future()
        self._future.set_running_or_notify_cancel()  # whoever gives up waiting for it does not cancel it
        self._stop = bindings.Stop()
        self._thread: threading.Thread | None = None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._thread = _in_thread(self._execute(options), self._future, f"molexp-{workflow.name}")
        else:
            self._task = asyncio.Task(self._execute(options), loop=loop)  # starts later, whatever the loop's factory
            self._task.add_done_callback(self._settle)

    async def _execute(self, options: StartOptions) -> WorkflowResult:
        bindings.listen_for(self._stop)
        return await self._workflow.execute(**options)

    def _settle(self, task: asyncio.Task[WorkflowResult]) -> None:
        if task.cancelled():
            self._future.set_exception(asyncio.CancelledError("the event loop that executed it has ended"))
        elif (error := task.exception()) is not None:
            self._future.set_exception(error)
        else:
            self._future.set_result(task.result())

    def __repr__(self) -> str:
        return f"<WorkflowHandle of {self._workflow.name!r}, {'done' if self.done else 'running'}>"

    def __await__(self) -> Generator[Any, None, WorkflowResult]:
        _check_loop()
        return asyncio.wrap_future(self._future).__await__()

    @property
    def done(self) -> bool:
        """Tell whether it has ended."""
        return self._future.done()

    def cancel(self, reason: str = "it was cancelled") -> None:
        """Cancel what is being executed and start nothing more; the result says ``cancelled``. From any thread."""
        self._stop.set(reason or "it was cancelled")

    def result(self, timeout: float | None = None) -> WorkflowResult:
        """Wait for it, outside of the event loop that executes it.

        Raises:
            TimeoutError: it is still being executed.
            RuntimeError: called where it would keep the workflow itself from going on; await the handle instead.
        """
        if self._thread is None and not self._future.done():
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                pass
            else:
                raise RuntimeError("This would wait forever: await the handle instead.")
        return self._future.result(timeout)


def _check_loop() -> None:
    """Raise where another event loop than asyncio's awaits this.

    Raises:
        WorkflowError: it does.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise WorkflowError(
            "A workflow is executed on an event loop of asyncio, and another one awaits it here, such as trio's. Call "
            "execute_sync() in a thread instead, as by trio.to_thread.run_sync(workflow.execute_sync)."
        ) from None


def _executors_of(run: Run | RunContext | None) -> Executors:
    if run is None:
        return Executors()
    found = run if isinstance(run, Run) else getattr(run, "run", None)
    if not isinstance(found, Run):
        raise TypeError(f"run must be a run, or the open context of one, not {run!r}.")
    return Executors(found._session.plugins)


def _mapping(what: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"{what} must be a mapping, not {given!r}.")
    return dict(given or {})


def _in_thread(coroutine: Coroutine[Any, Any, T], future: Future[T], name: str) -> threading.Thread:
    """Start a coroutine in an event loop of its own, in a thread of its own; the future has its end."""

    def work() -> None:
        try:
            future.set_result(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            future.set_exception(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name=name)
    thread.start()
    return thread


def waited_for(coroutine: Coroutine[Any, Any, T], run: Callable[[Coroutine[Any, Any, T]], T]) -> T:
    """Run a coroutine to its end by `run`; where an event loop is running, which this blocks, in a thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run(coroutine)
    return _wait_for(coroutine)


def _wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end where an event loop is running, which it blocks."""
    future: Future[T] = Future()
    started: Future[Callable[[], object]] = Future()  # the call that cancels it

    async def main() -> T:
        task = asyncio.current_task()
        assert task is not None
        started.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel))
        return await coroutine

    def cancel() -> None:
        if not future.done():
            started.add_done_callback(lambda found: _quietly(found.result()))

    with _on_interrupt(cancel):
        thread = _in_thread(main(), future, "molexp-workflow")
        try:
            return future.result()
        finally:
            thread.join()


def _quietly(cancel: Callable[[], object]) -> None:
    try:
        cancel()
    except RuntimeError:  # the loop is closed: it has just ended
        pass


@contextmanager
def _on_interrupt(cancel: Callable[[], None]) -> Iterator[None]:
    """Call `cancel` at the first Ctrl-C; what happens at one anyway is done when the block has ended.

    A running event loop would only note it, to cancel its main task when that is no longer blocked, by us, for all the
    time that the workflow takes; and Python's own `KeyboardInterrupt` could hit us anywhere. Who presses it again does
    not want to wait.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    pressed = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        if pressed == 1:
            cancel()
            return
        if pressed == 2:
            before(number, frame)  # the first
        before(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed == 1:
            before(signal.SIGINT, None)
