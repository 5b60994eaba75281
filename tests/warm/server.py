"""A process that has imported MolExp, and forks a child that becomes a program of Python's for each request.

A request has the words of a command line, a folder, an environment and descriptors. The child becomes a child of whoever
asked, who has made itself the reaper of orphans (`tests.warm.Popen`); the answer is its number.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import io
import json
import multiprocessing.process
import os
import runpy
import signal
import socket
import sys
import termios
import threading
import types
from copy import copy
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

LARGEST = 1 << 20  # bytes of a request
PACKAGES = ("molexp", "molexp_cli", "molexp_fs")
LATE = (
    "asyncio",
    "importlib.metadata",
    "json",
    "logging",
    "multiprocessing.popen_spawn_posix",
    "multiprocessing.resource_tracker",
    "platformdirs",
    "pwd",
    "subprocess",
    "typer._click.decorators",
)
"""Modules of others that they import inside functions."""


def import_everything() -> None:
    """Import the packages, less what needs pytest or is a program."""
    for package in PACKAGES:
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.startswith("molexp.testing") and not module.name.endswith("__main__"):
                import_module(module.name)
    for name in LATE:
        import_module(name)


def build_commands() -> None:
    """Build all commands of the program, which takes 5 ms each."""
    from molexp_cli._main import made

    waiting = [made(False)]
    for group in waiting:
        waiting += getattr(group, "commands", {}).values()


def compile_patterns() -> None:
    """Compile the regular expressions that MolExp compiles when they are first used; `re` keeps them."""
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        for pattern in vars(sys.modules[name]).values():
            if type(pattern).__name__ == "_Late":
                copy(pattern)  # which is the compiled one


def serve(asked: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Answer each request with the number of its child. Return None at the end, and the request in each child."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(asked, LARGEST, 16)
        if not data:
            return None
        if (between := os.fork()) == 0:
            between = os.getpid()
            if (pid := os.fork()) == 0:
                while os.getppid() == between:
                    os.sched_yield()
                return json.loads(data), descriptors
            asked.send(str(pid).encode())
            os._exit(0)
        os.waitpid(between, 0)
        asked.send(b"it is yours")
        for descriptor in descriptors:
            os.close(descriptor)


def take_over(request: dict[str, Any], descriptors: list[int]) -> None:
    """Take what a new process is given."""
    if request["start_new_session"]:
        os.setsid()  # a terminal that it is given is then its own
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 500) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, number in zip(high, (0, 1, 2, *request["pass_fds"]), strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if request["start_new_session"] and os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(request["cwd"])
    multiprocessing.process.ORIGINAL_DIR = os.getcwd()  # type: ignore[attr-defined] # to which its workers change
    before = os.environ.get("PYTHONPATH")
    os.environ.clear()
    os.environ.update(request["env"])
    if (path := os.environ.get("PYTHONPATH")) != before:
        sys.path[1:1] = [os.path.abspath(entry) for entry in (path or "").split(os.pathsep) if entry]
    read, *written = (io.FileIO(number, "w" if number else "r", closefd=False) for number in range(3))
    encoding, now = os.environ.get("PYTHONIOENCODING"), bool(os.environ.get("PYTHONUNBUFFERED"))
    out, err = written if now else map(io.BufferedWriter, written)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(read), encoding)
    sys.stdout = io.TextIOWrapper(out, encoding, None, None, os.isatty(1), now)
    sys.stderr = io.TextIOWrapper(err, encoding, "backslashreplace", None, True, now)


def execute(words: list[str]) -> None:
    """Do what an interpreter does with these words: ``-P`` or not, ``-c CODE``, ``-m MODULE`` or a file, and arguments."""
    safe = words[0] == "-P"
    option, *rest = words = words[safe:]
    places = {"-c": "", "-m": os.getcwd()}
    folder = places[option] if option in places else str(Path(option).absolute().parent)
    sys.path[:1] = [] if safe else [folder]
    if option == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        return
    sys.argv = words if option != "-c" else ["-c", *rest[1:]]
    name, text = ("<string>", rest[0]) if option == "-c" else (option, Path(option).read_bytes())
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if option != "-c":
        main.__file__ = option
    vars(main)["__builtins__"] = sys.modules["builtins"]
    exec(compile(text, name, "exec"), vars(main))


def to_the_end(words: list[str]) -> int:
    """Execute it, and end as an interpreter does, up to where that takes itself apart; return the exit code."""
    code: object = 0
    try:
        execute(words)
    except SystemExit as left:
        code = left.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
    except BaseException as error:  # noqa: BLE001 - the interpreter would show it
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename in (
            __file__,
            runpy.run_path.__code__.co_filename,
        ):
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        code = 1
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in sys.stdout, sys.stderr:
        with contextlib.suppress(OSError):
            stream.flush()
    return code if isinstance(code, int) else 1


def main() -> None:
    """Serve."""
    import_everything()
    build_commands()
    compile_patterns()
    gc.collect()
    gc.freeze()  # what is there stays in pages that children share
    with socket.socket(fileno=0) as asked:
        if found := serve(asked):
            asked.detach()  # the number is that of the child's standard input
    if found:
        take_over(*found)
        os._exit(to_the_end(found[0]["words"]) & 255)


if __name__ == "__main__":
    main()
