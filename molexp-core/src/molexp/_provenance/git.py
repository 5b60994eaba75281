"""Ask git about the code, so that nothing runs which a repository can configure.

The repository may be a stranger's. git would run programs of its choosing: a monitor of files, filters of contents, drivers
of diffs, hooks, whatever fetches missing objects; and its configuration may point at another folder as working tree.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import IO, Any

from molexp._provenance.patches import described, tracked, untracked
from molexp._provenance.secrets import remote_without_secrets
from molexp._provenance.source_tree import repository_of
from molexp._values.scratch import scratch_file

_OUTPUT_LIMIT = 16 << 20
_SECONDS = 20.0
_LOOK = 0.05  # seconds between two looks at how much it has said
_OFF = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "core.untrackedCache=false",
    "diff.external=",
    "extensions.partialClone=",
    "safe.bareRepository=explicit",
    "submodule.recurse=false",
    "core.quotePath=true",
)
_KEPT = ("GIT_CEILING_DIRECTORIES", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH")
_KEPT_PREFIX = "GIT_CONFIG_"  # COUNT, KEY_<n>, VALUE_<n>: the caller's own configuration
_SUBMODULES = 50  # that are looked at
_REMOTE = "remote.origin.url"
_NO_COMMIT = "the repository has no commit yet"


class _GitError(Exception):
    """git gave no answer."""


def describe_git(folder: str) -> dict[str, Any] | None:
    """Commit, branch, remote and uncommitted changes of the working tree that `folder` lies in; None outside of one.

    The changes are one patch, which ``git apply`` takes at the top of a clone: of tracked files, of small untracked source
    files, and of submodules. Where git refuses to answer, there is ``problem`` instead. Content filters are off: a file of
    git-lfs counts as changed if its time has changed.
    """
    if not repository_of(folder):
        return None
    try:
        document, parts = _describe(folder, "", time.monotonic() + _SECONDS)
    except _GitError as error:
        return {"problem": str(error)}
    return document | described(parts)


def _describe(folder: str, prefix: str, deadline: float) -> tuple[dict[str, Any], list[bytes]]:
    """Return a working tree and its changes, file by file, with a prefix for their paths."""
    top = _git(folder, (), "rev-parse", "--show-toplevel").rstrip("\n")
    if os.path.realpath(top) != os.path.realpath(repository_of(os.path.realpath(folder))):
        raise _GitError(f"the repository says that its working tree is {top}, which does not have it")
    off, remote = _filters_off_and_remote(top)
    status = _git(top, off, "status", "--porcelain=v2", "--branch", "--ignore-submodules=dirty")
    heads = dict(line[2:].partition(" ")[::2] for line in status.splitlines() if line.startswith("# "))
    changes = [line for line in status.splitlines() if not line.startswith("# ")]
    commit = heads.get("branch.oid")
    document: dict[str, Any] = {
        "commit": None if commit == "(initial)" else commit,
        "branch": heads.get("branch.head"),
        "remote": remote_without_secrets(remote) or None,
        "dirty": bool(changes),
    }
    if commit == "(initial)":
        document["problem"] = _NO_COMMIT
    if new := [line[2:] for line in changes if line.startswith("? ")]:
        document["untracked"] = new[:1000]
    parts: list[bytes] = []
    if changes and os.environ.get("MOLEXP_GIT_DIFF", "1") != "0":
        ask = partial(_ask, top, off)
        if len(changes) > len(new):
            base = document["commit"] or ask("hash-object", "-t", "tree", "--stdin").decode().strip()
            parts += tracked(ask, top, base, prefix)
        if new:
            with suppress(_GitError):  # too many of them: their names have to do
                parts += untracked(ask, top, prefix)
    submodules = dict(_submodules(top, prefix, deadline, parts))
    if submodules:
        document["submodules"] = submodules
        document["dirty"] = document["dirty"] or any(one.get("dirty") for one in submodules.values())
    return document, parts


def _submodules(top: str, prefix: str, deadline: float, parts: list[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the submodules that are checked out, by their paths; their changes are appended to `parts`."""
    if not os.path.isfile(os.path.join(top, ".gitmodules")):
        return
    said = _config(top, "-z", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$")
    for path in [entry.partition("\n")[2] for entry in said.split("\0") if entry][:_SUBMODULES]:
        folder = os.path.join(top, path)
        if not os.path.lexists(os.path.join(folder, ".git")):
            continue  # it is not checked out
        try:
            _check_submodule(top, path)
            if time.monotonic() > deadline:
                raise _GitError(f"git took longer than {_SECONDS:.0f} s")
            found, changes = _describe(folder, f"{prefix}{path}/", deadline)
        except _GitError as error:
            yield path, {"problem": str(error)}
            continue
        parts += changes
        yield path, found


def _check_submodule(top: str, path: str) -> None:
    """Raise if a submodule is not where it says, or its history is another repository's: its files may be private."""
    folder = os.path.realpath(os.path.join(top, path))
    common, own = (
        os.path.realpath(os.path.join(where, _git(where, (), "rev-parse", option).rstrip("\n")))
        for where, option in ((top, "--git-common-dir"), (folder, "--git-dir"))
    )
    inside = own.startswith((common + os.sep, folder + os.sep))
    if not inside or folder != os.path.join(os.path.realpath(top), os.path.normpath(path)):
        raise _GitError("it lies, or keeps its history, outside of the repository")


def _filters_off_and_remote(folder: str) -> tuple[list[str], str]:
    """Return options that take out every content filter that is configured, which git would run to compare files; and the remote."""
    found = _config(folder, "-z", "--get-regexp", r"^(filter\..*|remote\.origin\.url)$").split("\0")
    values = dict(entry.partition("\n")[::2] for entry in found if entry)  # the last one counts
    remote = values.pop(_REMOTE, "").strip()
    names = {name.rpartition(".")[0] for name in values}
    if odd := [name for name in names if "=" in name]:
        raise _GitError(f"the filter {odd[0]!r} cannot be switched off")
    ends = ("clean=", "smudge=", "process=", "required=false")
    return [f"{name}.{end}" for name in sorted(names) for end in ends], remote


def _config(folder: str, *arguments: str) -> str:
    try:
        return _git(folder, (), "config", *arguments)
    except _GitError:
        return ""  # there is none


def _git(folder: str, off: Sequence[str], *arguments: str) -> str:
    return _ask(folder, off, *arguments).decode(errors="replace")


def _ask(folder: str, off: Sequence[str], *arguments: str, limit: int = _OUTPUT_LIMIT) -> bytes:
    options = [word for setting in (*_OFF, *off) for word in ("-c", setting)]
    command = [_program(), "--no-pager", *options, "-C", folder, *arguments]
    with scratch_file() as output, scratch_file() as complaints:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=complaints, env=_environment()
            )
        except OSError as error:
            raise _GitError(f"git cannot be started: {error.strerror}") from error
        with process:
            in_time = _ends_in_time(process, output, limit)
        output.seek(0)
        full = len(data := output.read(limit)) == limit
        complaints.seek(0)
        said = _first_line(complaints.read(1 << 16))
    if not in_time:
        raise _GitError(f"git took longer than {_SECONDS:.0f} s")
    if process.returncode and not full:
        raise _GitError(said or f"git {arguments[0]} exited with {process.returncode}")
    return data


def _program() -> str:
    """git, from the PATH alone: Windows looks into the current folder first, which may be a stranger's."""
    if os.name != "nt":
        return "git"
    folders = filter(os.path.isabs, os.environ.get("PATH", "").split(os.pathsep))
    found = (path for folder in folders if os.path.isfile(path := os.path.join(folder, "git.exe")))
    if (program := next(found, None)) is None:
        raise _GitError("git cannot be started: it is not on the PATH")
    return program


def _ends_in_time(process: subprocess.Popen[bytes], output: IO[bytes], limit: int) -> bool:
    """Wait until git has ended, and end it when it is late or has said enough. No thread is needed for that."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            process.wait(_LOOK)
        except subprocess.TimeoutExpired:
            if (late := time.monotonic() >= end) or os.fstat(output.fileno()).st_size >= limit:
                process.kill()
                return not late
        else:
            return True


def _first_line(complaints: bytes) -> str:
    lines = [line for line in complaints.decode(errors="replace").splitlines() if line.startswith("fatal:")]
    return f"git: {lines[0].removeprefix('fatal:').strip()}" if lines else ""


def _environment() -> dict[str, str]:
    """Return the environment without what makes git speak of another repository, run something, or fetch."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _KEPT or (name.startswith(_KEPT_PREFIX) and "PARAMETERS" not in name)
    }
    off = {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
    return {**kept, **off, "LC_ALL": "C"}
