"""The code of a run, checked out beside the user's: a git worktree of its commit, with the recorded changes."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from molexp.errors import MolexpError
from molexp_cli._words import first

_NAMED = 5  # packages or files that one line names
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_OFF = (
    f"core.hooksPath={os.devnull}",
    "core.fsmonitor=false",
    "extensions.partialClone=",
    "submodule.recurse=false",
    "advice.detachedHead=false",
)
"""Settings by which git runs nothing that the repository's own configuration names: a clone may be a stranger's."""

_ITS_OWN = ("local", "worktree")
_ENVIRONMENT = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}


class NotRepeatableError(MolexpError):
    """The code of a run cannot be brought back.

    Args:
        message: a sentence.
        hint: advice.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(f"{message} {hint}".rstrip())


def git(folder: Path, *arguments: str, data: bytes | None = None, off: Iterable[str] = ()) -> str:
    """Run git in a folder, without the repository's hooks, and without fetching anything; return what it prints.

    Args:
        folder: the folder.
        arguments: the command.
        data: its standard input.
        off: more settings.

    Raises:
        NotRepeatableError: it failed, or is not installed.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    options = [word for setting in (*_OFF, *off) for word in ("-c", setting)]
    command = ["git", *options, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, input=data or b"", capture_output=True, check=False, env={**kept, **_ENVIRONMENT}
        )
    except OSError as error:
        raise NotRepeatableError(f"git cannot be started: {error.strerror}.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise NotRepeatableError(f"git {arguments[0]} failed: {said[-1] if said else done.returncode}.")
    return done.stdout.decode(errors="replace").strip()


def repository(folder: Path, commit: str) -> Path:
    """Return the top of the working tree that a folder lies in, which has the commit.

    Raises:
        NotRepeatableError: it lies in none, or the commit is not there, or is none.
    """
    if not _COMMIT.fullmatch(commit):
        raise NotRepeatableError(f"The record names {commit[:80]!r} as the commit, which is no hash of one.")
    try:
        top = Path(git(folder, "rev-parse", "--show-toplevel"))
    except NotRepeatableError:
        hint = "Change to your clone of the code, or name it with --repo; or use --here for the code as it is now."
        raise NotRepeatableError(
            f"{str(folder)!r} lies in no git repository, and the run's code is commit {commit[:12]}.", hint
        ) from None
    try:
        git(top, "cat-file", "-e", f"{commit}^{{commit}}")
    except NotRepeatableError:
        hint = "Fetch it, name another clone with --repo, or use --here for the code as it is now."
        raise NotRepeatableError(f"The commit {commit[:12]} of the run is not in {str(top)!r}.", hint) from None
    return top


def own_filters(top: Path) -> list[str]:
    """Return the settings that turn off the filters of a repository's own configuration, which are programs that it names.

    Those of the user's configuration, such as Git LFS after ``git lfs install``, are not among them.
    """
    try:
        said = git(top, "config", "--null", "--show-scope", "--name-only", "--get-regexp", r"^filter\.")
    except NotRepeatableError:
        return []  # there is none
    words = said.rstrip("\0").split("\0")
    names = {name.rpartition(".")[0] for scope, name in zip(words[::2], words[1::2], strict=False) if scope in _ITS_OWN}
    return [f"{name}.{key}" for name in sorted(names) for key in ("smudge=", "clean=", "process=", "required=false")]


def doubts(origin: Mapping[str, Any]) -> list[str]:
    """Return what of a run's code is not on record, or is not as it was."""
    state = origin.get("git") or {}
    found = []
    if state.get("dirty") and not state.get("diff"):
        found.append("the code had changes that were not committed, and are not on record")
    if omitted := state.get("diff_omitted"):
        found.append(f"changes of {_names(omitted)} are not on record")
    if state.get("diff_left_out"):
        found.append("parts of the changes were left out of the record because they look like secrets")
    if submodules := state.get("submodules"):
        found.append(f"submodules are not checked out: {_names(submodules)}")
    if (python := origin.get("python")) and python != platform.python_version():
        found.append(f"it ran with Python {python}, and this is {platform.python_version()}")
    if (machine := origin.get("machine")) and machine != platform.machine():
        found.append(f"it ran on {machine}, and this is {platform.machine()}")
    then = origin.get("packages") or {}
    now = {str(one.metadata["Name"]).lower().replace("_", "-"): one.version for one in metadata.distributions()}
    other = [
        f"{name} {version}, now {now.get(name, 'missing')}"
        for name, version in then.items()
        if now.get(name) != version
    ]
    if other:
        found.append(f"other packages: {_names(other)}")
    return found


def _names(found: Any) -> str:
    return first([*map(str, found)], _NAMED)


@contextmanager
def checked_out(top: Path, state: Mapping[str, Any], into: Path | None) -> Iterator[Path]:
    """Provide a worktree of a commit with the recorded changes; it is removed afterwards, unless it has a name.

    Args:
        top: the repository's working tree, which stays as it is.
        state: the record's facts about git.
        into: the folder to make, and to leave; by default a temporary one.

    Raises:
        NotRepeatableError: it cannot be made, or the changes do not apply.
    """
    temporary = Path(tempfile.mkdtemp(prefix="molexp-rerun-")) if into is None else None
    folder = temporary / top.name if temporary is not None else Path(os.path.abspath(into or ""))
    off = own_filters(top)
    try:
        git(top, "worktree", "add", "--detach", str(folder), str(state["commit"]), off=off)
        if diff := state.get("diff"):
            data = str(diff).encode(str(state.get("diff_encoding") or "utf-8"), "surrogateescape")
            try:
                git(folder, "apply", "--whitespace=nowarn", "-", data=data, off=off)
            except NotRepeatableError as error:
                hint = "Add --without-changes to leave them out."
                raise NotRepeatableError(f"The recorded changes cannot be applied: {error}", hint) from None
        yield folder
    finally:
        if temporary is not None:
            with suppress(NotRepeatableError):
                git(top, "worktree", "remove", "--force", str(folder))
            shutil.rmtree(temporary, ignore_errors=True)
            with suppress(NotRepeatableError):
                git(top, "worktree", "prune")


def import_paths(top: Path, folder: Path) -> list[str]:
    """Return the folders of a worktree that packages are imported from that are installed from the working tree, as editable."""
    found = []
    for one in metadata.distributions():
        said = one.read_text("direct_url.json") or ""
        if '"editable": true' not in said.replace('":true', '": true'):
            continue
        import json
        from urllib.parse import unquote, urlsplit

        place = Path(unquote(urlsplit(str(json.loads(said).get("url"))).path))
        if place.is_relative_to(top):
            inside = folder / place.relative_to(top)
            found += [str(path) for path in (inside / "src", inside) if path.is_dir()]
    return found


@contextmanager
def ending_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP leave the block as an exception does, so that what was made is removed."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_child(command: list[str], folder: Path, paths: list[str]) -> int:
    """Run a command to its end, and return its exit code. Ctrl-C reaches it from the terminal, another signal is passed on."""
    known = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, *([known] if known else [])])}
    with subprocess.Popen(command, cwd=folder, env=environment if paths else None) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()
            raise
        except BaseException:
            process.terminate()
            process.wait()
            raise
