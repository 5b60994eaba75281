"""The context of a task: the vocabulary of every context, and the task's inputs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from molexp._running.context import Context
from molexp.errors import NotFoundError

if TYPE_CHECKING:
    import subprocess

    from molexp._assets.naming import AttemptAssets
    from molexp._hierarchy.run import Run
    from molexp._recording.task_recorder import TaskRecorder


class TaskContext(Context):
    """One try of one task. Without a run, the recording helpers are harmless and return None.

    Attributes:
        run: the run; None in memory.
        params: the run's merged parameters, or what `execute` was given.
        config: the resolved profile, or what `execute` was given.
        task: the task's name.
        index: for a mapped task, the index of its item; None otherwise.
        retry: 0 for the first try.
        inputs: the output of the task that this one depends on; a dict of them by task for several; None for none. For
            a mapped task, the item stands for the output. They are this try's own: containers, records, arrays and frames
            are copies, and objects of other classes are handed on.
        upstream: the outputs by task, however many there are.
        label: the task's name, with its index if it is mapped.

    Example:
        >>> from molexp.workflow import TaskContext, WorkflowBuilder
        >>> wf = WorkflowBuilder(name="pair")
        >>> @wf.task
        ... def scale(ctx: TaskContext) -> float:
        ...     return 2 * ctx.params["a"]
        >>> wf.build().execute_sync(params={"a": 3.6}).outputs["scale"]
        7.2
    """

    run: Run | None
    task: str
    index: int | None
    retry: int
    inputs: Any
    label: str
    upstream: Mapping[str, Any]
    _recorder: TaskRecorder | None

    def __init__(
        self,
        task: str,
        *,
        inputs: Any = None,
        upstream: Mapping[str, Any] | None = None,
        index: int | None = None,
        retry: int = 0,
        params: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        run: Run | None = None,
        assets: AttemptAssets | None = None,
    ) -> None:
        """Make a context, as workflows do; tests of tasks may, too."""
        label = task if index is None else f"{task}[{index}]"
        super().__init__(run=run, params=params, config=config, assets=assets, task=label)
        self.task = task
        self.index = index
        self.retry = retry
        self.inputs = inputs
        self.label = label
        self.upstream = {} if upstream is None else upstream
        self._over = ""
        self._commands: set[subprocess.Popen[bytes]] | None = None

    def __repr__(self) -> str:
        return f"<TaskContext of {self.label!r}{f', retry {self.retry}' if self.retry else ''}>"

    def input(self, task: str) -> Any:
        """Return the output of one upstream task by name, however many there are.

        Raises:
            NotFoundError: this task does not depend on it; with the nearest names.
        """
        if task not in self.upstream:
            from molexp._values.ids import nearest

            raise NotFoundError("input", task, where=f"task {self.label!r}", nearest=nearest(task, self.upstream))
        return self.upstream[task]

    @property
    def cancelled(self) -> bool:
        """Tell whether the task should stop: it timed out, or the workflow or its run was cancelled. For long loops."""
        return bool(self._over) or (self._recorder is not None and self._recorder.writer.cancelled)

    def _end(self, why: str) -> None:
        """End the try, as `why` says: from now on nothing is recorded through this context.

        Commands that still run, because the thread that waits for them was abandoned, end with their children.
        """
        self._over = why
        if self._commands:
            self._end_commands()
        if self._recorder is not None:
            self._recorder.end(why)

    def _began(self, process: subprocess.Popen[bytes]) -> None:
        if self._commands is None:
            self._commands = set()
        self._commands.add(process)
        if self._over:
            self._end_commands()

    def _end_commands(self) -> None:
        from molexp._running.shell import signal_command, stop_command

        for process in tuple(self._commands or ()):
            if process.poll() is None:
                signal_command(process, "SIGTERM")  # at once, because this process may be about to end
                threading.Thread(target=stop_command, args=(process,), name="molexp-shell-ending", daemon=True).start()
