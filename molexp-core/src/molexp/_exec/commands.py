"""Tracking a command: a run around any program, with its output, its exit code and the files that it leaves."""

from __future__ import annotations

import errno
import hashlib
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from molexp._assets.builtin_kinds import LogKind
from molexp._assets.streams import Growing, grow
from molexp._exec.outputs import Outputs, save_each
from molexp._hierarchy.experiment import Experiment
from molexp._hierarchy.run import Run
from molexp._hierarchy.run_context import RunContext
from molexp._hierarchy.session import Session
from molexp._provenance.secrets import arguments_without_secrets
from molexp._record.causes import Ending, cause_of_exit
from molexp._recording.process import this_process
from molexp._recording.signals.handlers import Terminated
from molexp._running.shell import run_to_end, signal_command, tail_of
from molexp._storage import layout
from molexp._values.canonical import canonical_hash
from molexp._values.ids import labels
from molexp._values.paths import spelled
from molexp._values.plain import plain_parameters
from molexp._values.status import Cause, RunStatus
from molexp._values.times import utc_now
from molexp.contracts._assets import Asset
from molexp.errors._base import signal_name

GRACE = 20.0  # seconds that a command has to end after a signal was passed on to it
_INSIST = 5.0  # and after that, once more, with SIGTERM

NOT_FOUND = 127
NOT_EXECUTABLE = 126


class TrackedCommand(Struct, frozen=True):
    """The result of a command.

    Attributes:
        run: its run.
        attempt: the attempt's number.
        exit_code: as a shell would tell it: 128 + n for the signal n, 127 if there is no such program, 126 if it
            cannot be executed; None if it ran out of time.
        problem: the reason why the run failed; "" if it succeeded.
        artifacts: the output files that were saved.
        unsaved: those that could not be saved, by name, and the reason.
        skipped: the run had succeeded before, and nothing was executed.

    Example:
        >>> done = me.track_command(exp, ["true"], parameters={"a": 3.6})
        >>> (done.exit_code, done.problem)
        (0, '')
    """

    run: Run
    attempt: int
    exit_code: int | None
    problem: str
    artifacts: tuple[Asset, ...]
    unsaved: Mapping[str, str] = field(default_factory=dict)
    skipped: bool = False


def track_command(
    experiment: Experiment,
    command: Sequence[str | os.PathLike[str]],
    *,
    parameters: Mapping[str, Any] | None = None,
    id: str | None = None,
    tags: Iterable[str] = (),
    outputs: Iterable[str] = (),
    timeout: float | None = None,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    on_start: Callable[[Run], None] | None = None,
    skip_done: bool = False,
    inputs: Iterable[str] = (),
) -> TrackedCommand:
    """Run a command as an attempt at a run: argv, exit code, times, both streams and output files are recorded.

    The command reads this process's standard input. What it prints goes to the logs ``stdout`` and ``stderr``, and is
    shown here as well. The run succeeds if it exits with 0, and fails otherwise. Ctrl-C and signals that ask this
    process to end are passed on to the command; it has 20 seconds to end, or until a second one comes, and the run ends
    as ``cancelled`` or ``interrupted``. Output files are saved unless it was so stopped.

    Args:
        experiment: the experiment.
        command: the program and its arguments.
        parameters: the run's own parameters, over the experiment's params.
        id: the run's id, of one that is there or is created; without one it is a new run.
        tags: tags for the run.
        outputs: patterns of files in the folder where the command runs; those that are new or changed after it are
            saved as artifacts, by their relative paths; a pattern that ends with ``/`` means all files in a folder. What some system cannot store in a name is quoted or shortened.
            A file that cannot be saved is left out, with a warning: the run ends as the command did.
        timeout: seconds after which it is killed, with its children.
        cwd: the folder that it runs in; by default the current directory.
        env: variables over those of this process; their values are not recorded.
        on_start: called with the run, before the command starts.
        skip_done: execute nothing if the run has succeeded before. Without an id, the id follows from the command, the
            parameters and the contents of `inputs`.
        inputs: files and folders that the command reads, relative to `cwd`; the hash of each is recorded.

    Raises:
        ValueError: the command is empty, a pattern leads out of the folder where the command runs, or a tag is empty or too long.
        ConflictError: a run of this id exists with other parameters.
        RunBusyError: an attempt at it is alive.
        RunCancelledError: somebody asked the run to stop.
        FileNotFoundError: an input is not there.

    Example:
        >>> done = me.track_command(exp, ["sh", "-c", "echo H > mol.xyz"], outputs=["*.xyz"])
        >>> [asset.name for asset in done.artifacts]
        ['mol.xyz']
    """
    argv = [spelled(part) for part in command]
    if not argv or not argv[0]:
        raise ValueError("There is no command to run.")
    if timeout is not None and not timeout > 0:
        raise ValueError(f"A timeout of {timeout:g} s leaves no time to run.")
    tags = labels(tags)
    folder = Path.cwd() if cwd is None else Path(os.path.abspath(cwd))
    left = Outputs(folder, outputs, apart=_record_of(experiment._session))
    contents = contents_of(folder, inputs)
    derived = derived_id(experiment, argv, parameters, contents) if skip_done and id is None else id
    run = experiment.Run(parameters, id=derived)
    if skip_done and run.status is RunStatus.SUCCEEDED:
        return TrackedCommand(run, len(run.execution_history), 0, "", (), skipped=True)
    run.annotate(tags=tags)
    if on_start is not None:
        on_start(run)
    this_process().code_folder = str(folder)  # the command's code is tracked, and not ours
    with run.start(capture=True) as context:
        code, problem, cause = _execute(context, argv, folder, timeout, env, contents)
        saved, unsaved = save_each(context, left.changed())
        if problem:
            error = {"type": "CommandError", "message": problem, "task": None}
            context._fail(Ending(RunStatus.FAILED, problem, cause, error))
    return TrackedCommand(run, context.attempt, code, problem, tuple(saved), unsaved)


def _record_of(session: Session) -> list[Path]:
    """Return the files and folders of the workspace, in whose folder people may work as well."""
    if "local_path" not in session.store.capabilities:
        return []
    root = Path(session.store.locate(layout.WORKSPACE)).parent
    own = (
        layout.WORKSPACE,
        layout.SETTINGS,
        layout.PROVENANCE,
        layout.SUBMISSIONS,
        layout.PROJECTS,
        layout.DERIVED,
        layout.DATA,
        layout.EDITS,
    )
    return [root / name for name in own]


def _execute(
    context: RunContext,
    argv: list[str],
    folder: Path,
    timeout: float | None,
    env: Mapping[str, str] | None,
    inputs: Mapping[str, str],
) -> tuple[int | None, str, Cause]:
    """Run the command and record it; returns its exit code as a shell tells it, what is wrong, and the cause of that."""
    log = grow(context._assets, LogKind.name, "stderr", None, Growing).share()
    start = log.stat().st_size
    started = utc_now()
    problem = ""
    try:
        code = run_to_end(
            argv,
            stdin=None,
            stdout=None,
            stderr=None,
            timeout=timeout,
            cwd=folder,
            env=env,
            stop=lambda process, error: _pass_on(process, error, cancelled=context.cancelled),
        )
    except OSError as error:
        if error.errno is None or context.cancelled:
            raise
        code, problem = _not_started(argv[0], folder, error)
    else:
        if code is None or code != 0:
            with log.open("rb") as file:
                problem = _problem(argv, code, timeout, tail_of(file, start))
    cause = cause_of_exit(code)
    if code is not None and code < 0:
        code = 128 - code
    event = {
        "type": "command",
        "command": arguments_without_secrets(argv),
        "exit_code": code,
        "timed_out": code is None,
        "started_at": started,
        "ended_at": utc_now(),
        "log": "stdout",
        "cwd": str(folder),
        **({"inputs": dict(inputs)} if inputs else {}),
    }
    context._attempt.record(event)
    return code, problem, cause


def _problem(argv: list[str], code: int | None, timeout: float | None, tail: str) -> str:
    """Return the problem of a command that did not exit with 0, and the end of its output."""
    if code is None:
        how = f"ran longer than {timeout:g} s and was killed"
    elif code < 0:
        how = f"was ended by {signal_name(code)}"
    else:
        how = f"ended with exit code {code}"
    return f"The command {shlex.join(arguments_without_secrets(argv))!r} {how}.{chr(10) + tail if tail else ''}"


def _not_started(program: str, folder: Path, error: OSError) -> tuple[int, str]:
    """Return the exit code of a command that could not be started, and a sentence."""
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        return NOT_EXECUTABLE, f"{program!r} cannot be executed: {error.strerror}."
    if os.sep not in program:
        return NOT_FOUND, f"There is no program {program!r} on the PATH. Is it installed, or is a module to be loaded?"
    if os.path.exists(folder / program):
        return NOT_FOUND, f"{program!r} cannot be executed: the program that its first line names (#!) is not there."
    return NOT_FOUND, f"There is no file {program!r} to execute."


def _pass_on(process: subprocess.Popen[bytes], error: BaseException, *, cancelled: bool) -> None:
    """Pass on what interrupted this process; a command that does not end, or a second interruption, is the end of it."""
    if isinstance(error, Terminated):
        first = signal.Signals(error.signum).name
    else:
        first = "SIGINT" if isinstance(error, KeyboardInterrupt) and not cancelled else "SIGTERM"
    try:
        for name, patience in ((first, GRACE), ("SIGTERM", _INSIST)):
            signal_command(process, name)
            try:
                process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
    except (KeyboardInterrupt, SystemExit):
        pass
    signal_command(process, "SIGKILL")  # its children, too
    process.wait()


_DIGITS = 20


def derived_id(
    experiment: Experiment, argv: Sequence[str], parameters: Mapping[str, Any] | None, inputs: Mapping[str, str]
) -> str:
    """Return the id of the run that a command makes: the same for the same command, parameters and inputs.

    Secrets in the command do not count, as they are not recorded.
    """
    own = plain_parameters(parameters, "parameters") if parameters else {}
    known = {
        "scheme": "molexp-exec-1",
        "experiment": experiment.path,
        "command": arguments_without_secrets(argv),
        "parameters": {**experiment.own_params, **own},
        "inputs": dict(inputs),
    }
    return f"exec-{canonical_hash(known)[:_DIGITS]}"


def contents_of(folder: Path, inputs: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each input, by its name; of a folder, that of the names and contents of all its files.

    Raises:
        OSError: one is not there, or cannot be read.
    """
    return {name: _content(folder / name) for name in inputs}


def _content(path: Path) -> str:
    if not path.is_dir():
        return _digest(path)
    whole = hashlib.sha256()
    for file in _files(path):
        whole.update(os.fsencode(file.relative_to(path)) + b"\0" + _digest(file).encode() + b"\0")
    return whole.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
