"""Calls and their answers as bytes, for executors whose workers are started by somebody else."""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
from collections.abc import Mapping
from typing import Any

from molexp._executors import main_module, worker
from molexp._executors.pooled import call_name
from molexp._executors.process import INTERRUPTIBLE
from molexp._executors.requests import outcome_of, pickled_call
from molexp._values.process_id import HERE
from molexp.contracts import Call, Outcome
from molexp.errors import ExecutorError

_MOST = 1 << 20  # bytes of a head; what is longer is none
_BUSY = threading.Lock()  # held while a call is made here
_MAIN = ("init_main_from_name", "init_main_from_path")


def pack(call: Call) -> bytes:
    """Return a call as bytes, from which `run_packed` makes it in another process, of this machine or another.

    With it go `sys.path` and the current folder as they are now, and the script, if the call needs it.

    Raises:
        NotPicklableError: a part of the call cannot travel; the error names it.
        ExecutorError: the script that is being executed has no guard, and would start its work again elsewhere.

    Example:
        >>> from molexp.contracts import Call
        >>> from molexp.executors import pack, run_packed, unpack
        >>> unpack(run_packed(pack(Call(max, (1, 2))))).value
        2
    """
    name = call_name(call)
    body = pickled_call(call, name)
    head: dict[str, Any] = {
        "name": name,
        "key": call.key,
        "path": [*map(str, sys.path)],
        "folder": _folder(),
        "script": (HERE.script, HERE.instead),
    }
    if hasattr(call.function, INTERRUPTIBLE):
        head["interruptible"] = True
    if b"__main__" in body or b"__mp_main__" in body:
        if path := main_module.unguarded():
            raise ExecutorError(main_module.advice(path), call=name)
        from multiprocessing.spawn import get_preparation_data

        head["main"] = {key: said for key, said in get_preparation_data(name).items() if key in _MAIN}
    return _with_head(head, body)


def run_packed(data: bytes) -> bytes:
    """Make a packed call in this process, and return the answer for `unpack`, whatever becomes of the call.

    Afterwards this process has the folder and the `sys.path` of the call, and is good for the next one. A call that wants to exit
    does not end it. What a call prints goes where this process prints.

    Example:
        >>> from molexp.contracts import Call
        >>> from molexp.executors import pack, run_packed, unpack
        >>> unpack(run_packed(pack(Call(int, ("x",))))).error
        ValueError("invalid literal for int() with base 10: 'x'")
    """
    head, body = _parts(data)
    name = str(head.get("name", "?"))
    if trouble := _trouble(head, name):
        return _with_head({"name": name, "trouble": trouble}, b"")
    if not _BUSY.acquire(blocking=False):
        busy = f"The process {os.getpid()} makes another call already: an executor makes one at a time in a process."
        return _with_head({"name": name, "trouble": busy}, b"")
    try:
        sys.path[:] = head["path"]
        if main := head.get("main"):
            from multiprocessing.spawn import prepare

            try:
                prepare(main)
            except BaseException as error:  # noqa: BLE001 - the user's script, which may exit, too
                where = main.get(_MAIN[1]) or main.get(_MAIN[0])
                trouble = f"The script {where} could not be imported{_here()}: {type(error).__name__}: {error}"
                return _with_head({"name": name, "trouble": trouble}, b"")
        reply = worker.answer((name, head["folder"], head["path"], 0), body, tuple(head["script"]))
        return _with_head({"name": name}, reply)
    finally:
        _BUSY.release()


def unpack(answer: bytes) -> Outcome:
    """Return the outcome that an answer of `run_packed` tells; one that is damaged is an error, too.

    Example:
        >>> from molexp.executors import unpack
        >>> str(unpack(b"").error)
        "The answer of the call '?' is damaged: it has 0 bytes, and does not begin like one."
    """
    head, body = _parts(answer)
    name = str(head.get("name", "?"))
    if trouble := head.get("trouble"):
        return Outcome(error=ExecutorError(str(trouble), call=name))
    if not head:
        said = f"The answer of the call {name!r} is damaged: it has {len(answer)} bytes, and does not begin like one."
        return Outcome(error=ExecutorError(said, call=name))
    return outcome_of(bytes(body), name)[0]


def unpacked_call(data: bytes) -> Call:
    """Return a call that makes a packed one, for a `ProcessExecutor` beside it; its value is the answer.

    Example:
        >>> from molexp.contracts import Call
        >>> from molexp.executors import pack, unpack, unpacked_call
        >>> inner = unpacked_call(pack(Call(max, (1, 2), name="largest")))
        >>> inner.name, unpack(inner.function(*inner.args)).value
        ('largest', 2)
    """
    head, _ = _parts(data)
    run = _run_interruptible if head.get("interruptible") else run_packed
    return Call(run, (data,), name=str(head.get("name", "")), key=str(head.get("key", "")))


def _run_interruptible(data: bytes) -> bytes:
    return run_packed(data)


setattr(_run_interruptible, INTERRUPTIBLE, True)


def _trouble(head: Mapping[str, Any], name: str) -> str:
    """Return why a call cannot be made here; "" if it can."""
    if not head:
        return "These are no bytes of a packed call, or they are damaged."
    if head.get("molexp") != version():
        return (
            f"The call {name!r} was submitted by MolExp {head.get('molexp')}, and its worker{_here()} has {version()}: "
            "install the same version in both environments."
        )
    folder = head.get("folder")
    if folder is not None and not os.path.isdir(folder):
        return (
            f"The call {name!r} was submitted in the folder {folder}, which is not there{_here()}: "
            "submit it from a folder that both machines share, or from one that both have, such as /tmp."
        )
    return ""


def version() -> str:
    """Return the version of MolExp in this process."""
    return str(sys.modules["molexp"].__dict__["__version__"])  # the package itself is above this one


def _here() -> str:
    return f" on {platform.node()} (process {os.getpid()}, Python {platform.python_version()} at {sys.executable})"


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # somebody has removed it
        return None


def _with_head(head: dict[str, Any], body: bytes) -> bytes:
    """Return bytes that any version can read the beginning of: one line of JSON."""
    return b"".join((json.dumps({"molexp": version(), **head}).encode(), b"\n", body))


def _parts(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return the head and the rest; an empty head for what is nothing of ours."""
    end = data.find(b"\n", 0, _MOST)
    try:
        head = json.loads(data[: max(end, 0)])
    except ValueError:
        head = None
    return (head if isinstance(head, dict) and "molexp" in head else {}), memoryview(data)[end + 1 :]
