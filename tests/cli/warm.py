"""A process that has imported what the program imports, and forks a child that becomes the program for each request.

That takes 30 ms instead of 250. What depends on how an interpreter starts (its flags, locale and hash seed, `sys.path`)
needs the program itself. One request is served at a time.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import multiprocessing.process
import os
import runpy
import socket
import sys
import threading
import traceback
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

PROGRAM = Path(sys.executable).parent / "molexp"
LARGEST = 1 << 20  # bytes of a request
PACKAGES = ("molexp", "molexp_cli", "molexp_fs")
LATE = (
    "asyncio",
    "importlib.metadata",
    "json",
    "logging",
    "multiprocessing.popen_spawn_posix",
    "platformdirs",
    "subprocess",
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


def serve(asked: socket.socket) -> tuple[dict[str, object], list[int]] | None:
    """Answer each request with the exit status of its child. Return None at the end, and the request in each child."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(asked, LARGEST, 3)
        if not data:
            return None
        if (pid := os.fork()) == 0:
            return json.loads(data), descriptors
        for descriptor in descriptors:
            os.close(descriptor)
        asked.send(str(os.waitpid(pid, 0)[1]).encode())


def become_the_program(request: dict[str, object], descriptors: list[int]) -> None:
    """Take what a new process is given, and run the console script."""
    if len(descriptors) == 1:
        os.login_tty(descriptors[0])
    else:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
    os.chdir(str(request["folder"]))
    multiprocessing.process.ORIGINAL_DIR = os.getcwd()  # type: ignore[attr-defined] # to which its workers change
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload]
    read, *written = (io.FileIO(number, "w" if number else "r", closefd=False) for number in range(3))
    encoding = os.environ.get("PYTHONIOENCODING")
    sys.stdin = io.TextIOWrapper(io.BufferedReader(read), encoding)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(written[0]), encoding, line_buffering=os.isatty(1))
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(written[1]), encoding, "backslashreplace", line_buffering=True)
    sys.argv = [str(PROGRAM), *request["arguments"]]  # type: ignore[misc]
    sys.path[0] = str(PROGRAM.parent)
    code: object = 1
    try:
        runpy.run_path(str(PROGRAM), run_name="__main__")
    except SystemExit as left:
        code = left.code or 0
    except BaseException:  # noqa: BLE001 - the interpreter would show it
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined] # to here as an interpreter ends; to take it apart takes longest
    atexit._run_exitfuncs()
    for stream in sys.stdout, sys.stderr:
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 1)


def main() -> None:
    """Serve."""
    import_everything()
    gc.collect()
    gc.freeze()  # what is there stays in pages that children share
    with socket.socket(fileno=0) as asked:
        if found := serve(asked):
            asked.detach()  # the number is that of the child's standard input
    if found:
        become_the_program(*found)


if __name__ == "__main__":
    main()
