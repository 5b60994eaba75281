"""Start Python programs in processes that were forked when MolExp was imported: 15 ms of computing in place of 150.

`Popen` and `run` are those of `subprocess`. What depends on how an interpreter starts or is taken apart (flags, finalizers,
what is imported) needs `subprocess` itself. Both fall back to it where they cannot do what they are asked. Children have the
hash seed that they are given, or else all of them have one.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.repository import ROOT

PROGRAM = Path(sys.executable).parent / "molexp"
SERVER = Path(__file__).with_name("server.py")
DEADLINE = 300.0  # seconds
SEED = "PYTHONHASHSEED"
SAFE = "-P"
"""The flag that a child can still heed: nothing is imported from the current folder just because it is the current one."""
LATER = {SEED, "PYTHONPATH", "PYTHONIOENCODING", "PYTHONUNBUFFERED"}
"""Variables of Python that a child can still heed."""
PR_SET_CHILD_SUBREAPER = 36


class Server:
    """The process of `tests.warm.server`, which forks children for this one."""

    def __init__(self, seed: str) -> None:
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with its:
            environment = {**os.environ, SEED: seed} if seed else None
            self._process = subprocess.Popen([sys.executable, SERVER], stdin=its.fileno(), cwd=ROOT, env=environment)
        self._socket.settimeout(DEADLINE)
        self._control = ctypes.CDLL(None).prctl

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        """Return the number of a child of this process that plays the request."""
        with self._lock:
            self._control(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans are ours for that moment
            try:
                socket.send_fds(self._socket, [json.dumps(request).encode()], [*descriptors])
                pid = int(self._socket.recv(100))
                self._socket.recv(100)
            finally:
                self._control(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        return pid

    def close(self) -> None:
        self._socket.close()
        self._process.wait(DEADLINE)


@functools.cache
def server(_process: int, seed: str) -> Server:
    """Return the server of a process for children with a hash seed; "" is for those that are given none."""
    made = Server(seed)
    atexit.register(made.close)
    return made


class Popen(subprocess.Popen[Any]):
    """A process that is forked from one which has imported MolExp, if it is to run Python."""

    def _execute_child(self, *values: Any) -> None:
        given = inspect.signature(super()._execute_child).bind(*values).arguments  # type: ignore[misc]
        request = _request(given)
        if request is None:
            super()._execute_child(*values)  # type: ignore[misc]
            return
        ends = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
        standard = [number if end == -1 else end for number, end in enumerate(ends)]
        try:
            seed = request["env"].get(SEED, "")
            self.pid = server(os.getpid(), seed).fork(request, [*standard, *given["pass_fds"]])
            self._child_created = True
        finally:
            self._close_pipe_fds(*(given[name] for name in PIPES))  # type: ignore[attr-defined]


PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


def _request(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the request for these arguments of `subprocess.Popen`; None if the server cannot play it."""
    env, args = given["env"], given["args"]
    if not sys.platform.startswith("linux") or isinstance(args, str | bytes | os.PathLike) or given["preexec_fn"]:
        return None
    words = [*args]
    environment = dict(os.environ if env is None else env)
    if not all(isinstance(word, str | Path) for word in words) or _of_python(environment) != _of_python(os.environ):
        return None
    if (seed := environment.get(SEED)) != os.environ.get(SEED) and not (seed and seed.isdecimal()):
        return None  # each is to have another one
    words = [*map(str, words)]
    if words[0] == sys.executable:
        words = words[1:]
    elif words[0] != str(PROGRAM):
        return None
    option = words[words[:1] == [SAFE] :][:1]
    if not option or (option[0].startswith("-") and option[0] not in ("-c", "-m")):
        return None
    return {
        "words": words,
        "cwd": str(given["cwd"] or Path.cwd()),
        "env": environment,
        "pass_fds": [*given["pass_fds"]],
        "start_new_session": given["start_new_session"],
    }


def _of_python(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what an interpreter asks for when it starts."""
    locale = ("LANG", "LC_ALL", "LC_CTYPE")
    return {
        name: value
        for name, value in environment.items()
        if (name.startswith("PYTHON") and name not in LATER) or name in locale
    }


def run(
    command: Sequence[str | bytes | Path],
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = DEADLINE,
    check: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Run a command to its end, as `subprocess.run` does."""
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        options["stdin"] = subprocess.PIPE
    with Popen(command, **options) as process:
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done
