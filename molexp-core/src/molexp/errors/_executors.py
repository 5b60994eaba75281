"""Errors of executors, of their workers, and of values that travel between processes."""

from __future__ import annotations

from collections.abc import Mapping

from molexp.errors._base import MolexpError, signal_name

_ADVICE = {
    "SIGKILL": "The system kills processes that run out of memory: give the executor fewer workers, or the call less to "
    "do at once. It may also have been killed by hand, or by a scheduler.",
    "SIGTERM": "It was asked to end by hand, or by a scheduler.",
}
_CRASH = (
    "A native library that it called crashed; PYTHONFAULTHANDLER=1 in the environment shows where, on standard error."
)
_EXIT = (
    "Something that it called ended the process, such as os._exit or a native library; its standard error may say why."
)


class ExecutorError(MolexpError):
    """An executor could not run a call, or not to its end.

    Attributes:
        call: the name of the call.
        scheduler: the facts by which a scheduler vouches that the job of the call is over: its name (``scheduler``), the job's
            number as the job itself has it (``job``), and the scheduler's ``word``. An attempt of that job ends on record then.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> try:
        ...     result = WorkflowBuilder(name="pair").build().execute_sync()
        ... except me.ExecutorError as error:  # a task could not be executed in another process
        ...     print(error.call)
    """

    def __init__(self, message: str, *, call: str, scheduler: Mapping[str, str] | None = None) -> None:
        self.call = call
        self.scheduler: Mapping[str, str] = dict(scheduler or {})
        super().__init__(message)


class NotPicklableError(ExecutorError, TypeError):
    """A call, or what came of it, cannot travel between processes.

    Attributes:
        what: the part of it, such as ``the argument 'file'``.
        reason: the reason.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> try:
        ...     result = WorkflowBuilder(name="pair").build().execute_sync()
        ... except me.NotPicklableError as error:  # a task cannot be sent to another process
        ...     print(error.call)
    """

    def __init__(self, call: str, *, what: str, reason: str, hint: str) -> None:
        self.what = what
        self.reason = reason
        self.hint = hint
        super().__init__(f"{what} of the call {call!r} cannot go to another process: {reason}. {hint}", call=call)


class RemoteError(ExecutorError):
    """Stands for an exception of another process that could not be pickled.

    Attributes:
        type_name: the exception's type, with its module.
        message: its message.
        traceback: the text of its traceback.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> try:
        ...     result = WorkflowBuilder(name="pair").build().execute_sync()
        ... except me.RemoteError as error:  # the error of a worker cannot be pickled
        ...     print(error.traceback)
    """

    def __init__(self, call: str, *, type_name: str, message: str, traceback: str) -> None:
        self.type_name = type_name
        self.message = message
        self.traceback = traceback
        super().__init__(f"The call {call!r} raised {type_name}: {message}\n\n{traceback}".rstrip(), call=call)


class WorkerDiedError(ExecutorError):
    """The process that ran a call ended before the call did.

    Attributes:
        pid: its process id.
        exit_code: its exit code; negative is the signal that killed it, ``None`` means that nobody knows.
        signal: the name of that signal, such as ``SIGKILL``; "" if there was none.
        how: the same in words, such as ``was killed by SIGKILL``.
        out_of_memory: True if the kernel killed a process beside this one for want of memory meanwhile.

    Example:
        >>> from molexp.workflow import WorkflowBuilder
        >>> try:
        ...     result = WorkflowBuilder(name="pair").build().execute_sync()
        ... except me.WorkerDiedError as error:  # a worker was killed
        ...     print(error.exit_code)
    """

    def __init__(self, call: str, *, pid: int, exit_code: int | None, out_of_memory: bool = False) -> None:
        self.pid = pid
        self.exit_code = exit_code
        self.out_of_memory = out_of_memory
        self.how: str
        self.signal: str = signal_name(exit_code)
        if self.signal:
            because = " because the memory was full" if out_of_memory else ""
            self.how, advice = f"was killed by {self.signal}{because}", _ADVICE.get(self.signal, _CRASH)
        elif exit_code is None:
            self.how, advice = "ended, and something else collected its exit code", _EXIT
        else:
            self.how, advice = f"ended with exit code {exit_code}", _EXIT
        super().__init__(f"The worker process {pid} {self.how} before the call {call!r} was done. {advice}", call=call)
