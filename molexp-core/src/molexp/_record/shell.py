"""Running commands for a context: argv, exit code, times and both streams recorded."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from molexp._record.kinds import LogKind
from molexp._record.streams import growing
from molexp._values.times import utc_now
from molexp.errors import CommandError

if TYPE_CHECKING:
    from molexp._record.context import Context

_GRACE = 5.0  # seconds between asking a command to end and killing it
_TAIL = 20  # lines of standard error that an error shows


def run_command(
    context: Context,
    command: Sequence[str | Path] | str,
    *,
    log: str,
    timeout: float | None,
    check: bool,
    cwd: str | os.PathLike[str],
    env: Mapping[str, str] | None,
) -> int:
    """See `Context.shell`."""
    argv: str | list[str] = command if isinstance(command, str) else [os.fspath(part) for part in command]
    shown = argv if isinstance(argv, str) else shlex.join(argv)
    started = utc_now()
    with _streams(context, log) as (out, err):
        start = os.fstat(err.fileno()).st_size
        code = _run(argv, out, err, timeout, cwd, env)
        err.seek(start)
        tail = "\n".join(err.read().decode("utf-8", "replace").splitlines()[-_TAIL:]) if code != 0 else ""
    attempt = context._attempt
    if attempt is not None:
        attempt.record(
            {
                "type": "command",
                "command": argv,
                "exit_code": code,
                "timed_out": code is None,
                "started_at": started,
                "ended_at": utc_now(),
                "log": log,
                "cwd": os.fspath(cwd),
            }
        )
    if code is None or (check and code != 0):
        raise CommandError(shown, exit_code=code, log=log, tail=tail, timeout=timeout)
    return code


@contextlib.contextmanager
def _streams(context: Context, log: str) -> Any:
    """Files for standard output and error: the logs themselves, or temporary ones without a run."""
    with contextlib.ExitStack() as stack:
        files: list[IO[bytes]] = []
        for name in (log, f"{log}.err"):
            if context._shelf is None:
                files.append(stack.enter_context(tempfile.TemporaryFile("a+b")))
            else:
                path = growing(context._shelf, LogKind.name, name, context._task).share()
                files.append(stack.enter_context(path.open("a+b")))
        yield files


def _run(
    argv: str | list[str],
    out: IO[bytes],
    err: IO[bytes],
    timeout: float | None,
    cwd: str | os.PathLike[str],
    env: Mapping[str, str] | None,
) -> int | None:
    """Run to the end; None if it ran out of time. Whatever interrupts the wait ends the command and its children."""
    process = subprocess.Popen(
        argv,
        shell=isinstance(argv, str),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        cwd=cwd,
        env={**os.environ, **env} if env else None,
        start_new_session=sys.platform != "win32",
    )
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        _stop(process)
        return None
    except BaseException:
        _stop(process)
        raise


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the command and its children to end, then kill them."""
    _signal(process, "SIGTERM")
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        pass
    _signal(process, "SIGKILL")
    process.wait()


def _signal(process: subprocess.Popen[bytes], name: str) -> None:
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, getattr(signal, name))
