"""From the error that leaves a block to the end of its attempt."""

from __future__ import annotations

from molexp._record.causes import Ending, cause_of_error, is_cancellation, leaves_of
from molexp._recording.process import this_process
from molexp._recording.signals.handlers import Terminated, is_interrupted
from molexp._values.process_id import HERE
from molexp._values.status import Cause, RunStatus
from molexp.errors import RunCancelledError


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
        return Ending(RunStatus.INTERRUPTED, str(error), this_process().signals.cause_of(error.signum))
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


def message_of(error: BaseException) -> str:
    """Return the text of an error, whatever its class does when it is asked for one; what is no text is escaped."""
    try:
        return _text(str(error))
    except Exception as worse:  # noqa: BLE001 - it is a stranger's code
        return f"<str() of it raised {type(worse).__name__}>"


def _text(said: str) -> str:
    """Return text that can be recorded: lone surrogates, as in a file name that is not UTF-8, become visible escapes."""
    return said.encode("utf-8", "backslashreplace").decode()
