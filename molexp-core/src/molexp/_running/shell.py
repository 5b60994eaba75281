"""Running commands for a context: argv, exit code, times and both streams recorded."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from molexp._assets.builtin_kinds import LogKind
from molexp._assets.streams import Growing, grow
from molexp._provenance.secrets import command_without_secrets
from molexp._recording.process import this_process
from molexp._values.groups import GROUPS, kill_group
from molexp._values.numbers import seconds
from molexp._values.paths import spelled
from molexp._values.times import utc_now
from molexp.errors import CommandError

if TYPE_CHECKING:
    from molexp._assets.naming import AttemptAssets

_GRACE = 5.0  # seconds between asking a command to end and killing it
_TAIL = 20  # lines of standard error that an error shows
_TAIL_BYTES = 1 << 16  # and no more than that


def run_command(
    assets: AttemptAssets | None,
    command: Sequence[str | Path] | str,
    *,
    task: str | None,
    started: Callable[[subprocess.Popen[bytes]], None],
    log: str,
    timeout: float | None,
    check: bool,
    cwd: str | os.PathLike[str],
    env: Mapping[str, str] | None,
) -> int:
    """Run a command for `Context.shell`, as `task`; without `assets`, nothing is recorded of it."""
    argv: str | list[str] = command if isinstance(command, str) else [spelled(part) for part in command]
    if not argv:
        raise ValueError("There is no command to run: it is empty.")
    timeout = timeout if timeout is None else seconds(timeout, "timeout")
    recorded = command_without_secrets(argv)
    shown = recorded if isinstance(recorded, str) else shlex.join(recorded)
    started_at = utc_now()
    # A signal that asks this process to end is to end the command, too, also where the process owns no attempt.
    with this_process().signals.minding(), _streams(assets, log, task) as (out, err):
        start = os.fstat(err.fileno()).st_size
        code = run_to_end(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=timeout, cwd=cwd, env=env, started=started
        )
        tail = tail_of(err, start) if code != 0 else ""
    if assets is not None:
        assets.recorder.record(
            {
                "type": "command",
                "command": recorded,
                "exit_code": code,
                "timed_out": code is None,
                "started_at": started_at,
                "ended_at": utc_now(),
                "log": log,
                "cwd": os.fspath(cwd),
            }
        )
    if code is None or (check and code != 0):
        raise CommandError(shown, exit_code=code, log=log, tail=tail, timeout=timeout)
    return code


@contextlib.contextmanager
def _streams(assets: AttemptAssets | None, log: str, task: str | None) -> Any:
    """Give files for standard output and error: the logs themselves, or temporary ones without a run."""
    with contextlib.ExitStack() as stack:
        files: list[IO[bytes]] = []
        for name in (log, f"{log}.err"):
            if assets is None:
                files.append(stack.enter_context(tempfile.TemporaryFile("a+b")))
            else:
                path = grow(assets, LogKind.name, name, task, Growing).share()
                files.append(stack.enter_context(path.open("a+b")))
        yield files


def tail_of(file: IO[bytes], start: int) -> str:
    """Return the last lines of what a command wrote from `start` on, as an error shows them."""
    file.seek(max(start, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
    return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-_TAIL:])


def run_to_end(
    argv: str | list[str],
    *,
    stdin: int | None,
    stdout: IO[bytes] | None,
    stderr: IO[bytes] | None,
    timeout: float | None,
    cwd: str | os.PathLike[str],
    env: Mapping[str, str] | None,
    stop: Callable[[subprocess.Popen[bytes], BaseException], None] | None = None,
    started: Callable[[subprocess.Popen[bytes]], None] | None = None,
) -> int | None:
    """Run a command to its end; None if it ran out of time.

    Whatever interrupts the wait ends the command and its children, or is given to `stop`, which has to do so. `started`
    is told the process, for those who end it from another thread.

    Raises:
        RuntimeError: the process ignores SIGCHLD, and this is not its main thread.
    """
    starting = _Start(
        args=argv,
        shell=isinstance(argv, str),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env={**os.environ, **env} if env else None,
        start_new_session=sys.platform != "win32",
    )
    GROUPS.prepare()
    with _told_of_ends():
        return _run(starting, timeout, stop, started)


def _run(
    starting: _Start,
    timeout: float | None,
    stop: Callable[[subprocess.Popen[bytes], BaseException], None] | None,
    started: Callable[[subprocess.Popen[bytes]], None] | None,
) -> int | None:
    try:
        starting.start()
        process = starting.result()
        GROUPS.add(process.pid)
        if started is not None:
            started(process)
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        stop_command(starting.result())
        return None
    except BaseException as error:
        starting.done.wait(_GRACE)
        if starting.process is not None:
            if stop is not None:
                stop(starting.process, error)
            else:
                stop_command(starting.process)
        raise
    finally:
        if starting.process is not None:
            GROUPS.remove(starting.process.pid)


@contextlib.contextmanager
def _told_of_ends() -> Iterator[None]:
    """Stop ignoring SIGCHLD for the block: otherwise the system tells no exit code, and Python takes that for 0."""
    number = getattr(signal, "SIGCHLD", None)
    if number is None or signal.getsignal(number) != signal.SIG_IGN:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "SIGCHLD is ignored in this process, so nobody would be told the exit code of a command. "
            "Call signal.signal(signal.SIGCHLD, signal.SIG_DFL) in the main thread before."
        )
    signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_IGN)


class _Start(threading.Thread):
    """Starts a process in a thread: there, no signal's handler can interrupt it halfway, and lose the process."""

    def __init__(self, **options: Any) -> None:
        super().__init__(name="molexp-shell", daemon=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.error: BaseException | None = None
        self.done = threading.Event()
        self._options = options

    def run(self) -> None:
        try:
            self.process = subprocess.Popen(**self._options)
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            self.error = error
        self.done.set()

    def result(self) -> subprocess.Popen[bytes]:
        """Return the process, once it has started."""
        self.done.wait()
        if self.process is None:
            error = self.error or AssertionError()
            if isinstance(error, FileNotFoundError):
                error.add_note("Is the program installed, and on the PATH? Does the folder to run in exist?")
            raise error
        return self.process


def stop_command(process: subprocess.Popen[bytes]) -> None:
    """Ask the command and its children to end, then kill them."""
    signal_command(process, "SIGTERM")
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        pass
    signal_command(process, "SIGKILL")
    process.wait()


def signal_command(process: subprocess.Popen[bytes], name: str) -> None:
    """Send a signal to a command and its children."""
    if sys.platform == "win32":
        process.kill()
        return
    kill_group(process.pid, getattr(signal, name))
