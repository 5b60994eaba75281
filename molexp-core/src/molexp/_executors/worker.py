"""The worker process: it makes one call after another, until its parent has no more, or has ended."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Awaitable
from multiprocessing.connection import Connection, wait
from typing import Any, Literal, TypeAlias

from molexp._values.parents import die_with_parent
from molexp._values.redirection import as_the_parent
from molexp.errors import NotPicklableError, RemoteError

READY = b"ready"
REST = b"rest"
"""Says that the calls that are left are not begun."""

Head: TypeAlias = tuple[str, str | None, list[str], int]
"""The name of a call, the folder and ``sys.path`` to make it with, and the number of its bytes."""

Reply: TypeAlias = tuple[Literal["value", "error", "unloadable"], Any, str, float]
"""The kind of an end, the value or the error, the traceback's text, and the seconds that a value took."""


class RemoteTraceback(Exception):  # noqa: N818 - it is shown as the cause of an error, and not one itself
    """The traceback of an error in another process, as text."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def main(connection: Connection[Any, Any], permits: Connection[Any, Any] | None) -> None:
    """Serve the calls that come through `connection`, several at a time; `permits` has one byte for each but the first."""
    _belong_to_the_parent(connection, permits)
    try:
        connection.send_bytes(READY)
        while True:
            script, heads = pickle.loads(connection.recv_bytes())  # noqa: S301 - from our parent
            bodies = memoryview(connection.recv_bytes())
            for number, head in enumerate(heads):
                if number and not _is_permitted(permits):
                    connection.send_bytes(REST)
                    break
                size = head[-1]
                reply = answer(head, bodies[:size], script)
                bodies = bodies[size:]
                _flush()
                connection.send_bytes(reply)
            del reply, bodies  # idle, it holds nobody's values
    except (
        EOFError,
        OSError,
        KeyboardInterrupt,
    ):  # the parent has closed its end, is gone, or wants no answer any more
        pass


def _is_permitted(permits: Connection[Any, Any] | None) -> bool:
    """Take a permit to begin the next call, unless the parent was first to take it back: a read of one byte decides."""
    assert permits is not None
    try:
        return bool(os.read(permits.fileno(), 1))
    except BlockingIOError:
        return False


def _belong_to_the_parent(*connections: Connection[Any, Any] | None) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    die_with_parent(parent.pid or 0)
    threading.Thread(target=_leave_with_the_parent, name="molexp-parent", daemon=True).start()
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C in a terminal does not reach it, but the parent passes that on; and what it starts dies with it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    else:  # Ctrl-C reaches it, too, but the parent decides. A handler, because to ignore it would pass on to commands.
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked by whoever started us
    # Processes that a call starts must not hold the connection open: its end is what tells the parent of our death.
    for connection in filter(None, connections):
        if os.name == "posix":
            os.set_inheritable(connection.fileno(), False)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=connection.close)


def _leave_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)  # in the middle of a call, too: nobody will take its outcome


def answer(head: Head, body: memoryview, script: tuple[str | None, str | None]) -> bytes:
    """Make a call, and return its pickled `Reply`."""
    name, folder, path, _ = head
    began = time.perf_counter()
    try:
        _move(folder, path)
        try:
            function, args, kwargs = _loaded(body, script)
        except Exception as error:  # noqa: BLE001 - unpickling imports and runs foreign code
            return _dumped(("unloadable", f"{type(error).__name__}: {error}", _text(error), 0.0))
        del body
        value = function(*args, **kwargs)
        if inspect.isawaitable(value):
            value = _awaited(value)
    except BaseException as error:
        if isinstance(error, SystemExit) and hasattr(error, "signum"):
            raise  # somebody asked this process to end, and not the one that waits for the call
        return _dumped_error(name, error)  # anything else that the call raises is its outcome
    try:
        return _dumped(("value", value, "", time.perf_counter() - began))
    except Exception as error:  # noqa: BLE001 - pickling runs foreign code
        return _dumped_error(name, _unpicklable_result(name, value, error))


def _loaded(body: memoryview, script: tuple[str | None, str | None]) -> Any:
    """Return the call; if that imports the script, the script sees the command line and the workspace of the parent."""
    arguments = sys.argv
    try:
        path, instead = script
        if path is not None:
            sys.argv = [path]
        with as_the_parent(path, instead):
            return pickle.loads(body)  # noqa: S301
    finally:
        sys.argv = arguments


def _move(folder: str | None, path: list[str]) -> None:
    """Change to the folder and `sys.path` that the parent had as it submitted the call."""
    if sys.path != path:
        sys.path[:] = path
    if folder is not None:
        os.chdir(folder)


def _awaited(value: Awaitable[Any]) -> Any:
    import asyncio

    async def finish() -> Any:
        return await value

    return asyncio.run(finish())


def _dumped(reply: Reply) -> bytes:
    return pickle.dumps(reply, pickle.HIGHEST_PROTOCOL)


def _unpicklable_result(name: str, value: Any, error: Exception) -> NotPicklableError:
    return NotPicklableError(
        name,
        what=f"The result, of type {type(value).__qualname__},",
        reason=f"{error}".rstrip(".") or type(error).__name__,
        hint="Return plain data, or save it and return its name.",
    )


def _dumped_error(name: str, error: BaseException) -> bytes:
    """Return the error pickled; if it cannot be, one that stands for it."""
    text = _text(error)
    try:
        data = _dumped(("error", error, text, 0.0))
        again = pickle.loads(data)[1]  # noqa: S301 - an exception's own idea of its arguments often fails only here
        if type(again) is type(error):
            return data
    except Exception:  # noqa: BLE001, S110 - pickling runs foreign code
        pass
    return _dumped(("error", _stand_in(name, error, text), "", 0.0))


def _stand_in(name: str, error: BaseException, text: str) -> RemoteError:
    kind = type(error)
    module = kind.__module__.replace("__mp_main__", "__main__")  # the script, as a worker has it
    type_name = kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - foreign code
        message = "(it cannot say what)"
    return RemoteError(name, type_name=type_name, message=message, traceback=text)


def _text(error: BaseException) -> str:
    frames = error.__traceback__.tb_next if error.__traceback__ else None  # without our own
    return "".join(traceback.format_exception(type(error), error, frames))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # none, broken or closed
            pass
