"""Uncommitted changes as one patch that ``git apply`` takes, as far as they fit.

Whole files are left out rather than cut off. Nothing is asked of git but what `Ask` does safely.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from molexp._provenance.secrets import patch_without_secrets
from molexp._values.patterns import late

LIMIT = 1 << 20
"""Bytes that a patch may have."""

SOURCE_LIMIT = 64 << 10
"""Bytes up to which an untracked source file, or a side of a binary one, is in the patch."""

_NAMES = 1000  # that are looked at, or told
_DIFF = (
    "diff",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--submodule=short",
    "--ignore-submodules=dirty",
    "-U3",
)
_BINARY = b"\nBinary files "
_SOURCES = late(
    r"(?i)(?:.*\.(?:py[ix]?|pxd|ipynb|c|cc|cpp|cxx|h|hh|hpp|cu|cuh|f|for|f\d\d|jl|r|rs|go|java|m|lua|pl|sh|bash|zsh"
    r"|slurm|sbatch|toml|ya?ml|cfg|ini|in|inp|mk|cmake|sql|smk|nf)|(?:make|docker|snake)file|cmakelists\.txt)"
)
_SPECIAL = late(rb'[\x00-\x1f"\\\x7f-\xff]')


class Ask(Protocol):
    """Runs git at the top of a working tree; returns what it says, up to a limit."""

    def __call__(self, *arguments: str, limit: int = ...) -> bytes: ...


def described(parts: Iterable[bytes]) -> dict[str, Any]:
    """Return what is recorded of the patches of single files: those that fit, as text, without secrets."""
    kept: list[bytes] = []
    omitted: list[str] = []
    size = 0
    for part in parts:
        if part.startswith(b"diff ") and size + len(part) <= LIMIT:
            kept.append(part)
            size += len(part)
        else:
            omitted.append(part.partition(b"\n")[0].removeprefix(b"diff --git ").decode(errors="replace"))
    data = b"".join(kept)
    found: dict[str, Any] = {}
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text, found["diff_encoding"] = data.decode("latin-1"), "latin-1"
    found["diff"], left_out = patch_without_secrets(text)
    found["diff_truncated"] = bool(omitted)
    if omitted:
        found["diff_omitted"] = omitted[:_NAMES]
    if left_out:
        found["diff_left_out"] = left_out
    return found if kept or omitted else {}


def tracked(ask: Ask, top: str, base: str, prefix: str) -> Iterator[bytes]:
    """Yield the patch of each tracked file that differs from the tree `base`; of one that is too large, its name alone."""
    where = (f"--src-prefix=a/{prefix}", f"--dst-prefix=b/{prefix}", base, "--")
    binary: list[bytes] = []
    for part in _split(ask(*_DIFF, *where, limit=2 * LIMIT)):
        if _BINARY in part:
            binary.append(part)
        else:
            yield part
    if binary:
        small = _small_binaries(ask, top, base)
        found = [*_split(ask(*_DIFF, "--binary", *where, *small, limit=2 * LIMIT))] if small else []
        yield from found
        there = {_headline(part) for part in found}
        yield from (_headline(part) for part in binary if _headline(part) not in there)


def untracked(ask: Ask, top: str, prefix: str) -> Iterator[bytes]:
    """Yield the patch that makes each small untracked source file; not of what lies in a workspace."""
    names = [
        os.fsdecode(name) for name in ask("ls-files", "--others", "--exclude-standard", "-z", limit=LIMIT).split(b"\0")
    ]
    inside: dict[str, bool] = {"": False}
    for name in sorted(name for name in names if _SOURCES.fullmatch(name.rpartition("/")[2]))[:_NAMES]:
        if not _in_workspace(top, name.rpartition("/")[0], inside) and (part := _new_file(top, name, prefix)):
            yield part


def _split(data: bytes) -> Iterator[bytes]:
    """Yield the patches of single files; the last one may be cut off, if git had more to say, and is its headline then."""
    starts = [found.start() for found in re.finditer(rb"^diff --git ", data, re.MULTILINE)]
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        cut = end == len(data) >= 2 * LIMIT
        yield _headline(data[start:end]) if cut else data[start:end]


def _headline(part: bytes) -> bytes:
    return part.partition(b"\n")[0].removeprefix(b"diff --git ")


def _small_binaries(ask: Ask, top: str, base: str) -> list[str]:
    """Return the changed binary files of which both sides are small."""
    words = iter(ask(*_DIFF, "--numstat", "-z", base, "--").decode(errors="surrogateescape").split("\0"))
    changed: list[list[str]] = []
    for word in words:
        if word.startswith("-\t-\t"):
            name = word.split("\t", 2)[2]
            changed.append([name] if name else [next(words, ""), next(words, "")])  # of a renamed one both
        elif word.endswith("\t"):
            next(words, ""), next(words, "")
    names = [name for of in changed[:_NAMES] for name in of]
    sizes = dict.fromkeys(names, 0)
    for line in ask("ls-tree", "-r", "-l", "-z", base, "--", *names).decode(errors="surrogateescape").split("\0"):
        facts, tab, name = line.partition("\t")
        if tab and name in sizes and (size := facts.split()[-1]).isdecimal():
            sizes[name] = int(size)
    for name in names:
        try:
            sizes[name] = max(sizes[name], os.lstat(os.path.join(top, name)).st_size)
        except OSError:
            continue
    return [name for of in changed[:_NAMES] if all(sizes[name] <= SOURCE_LIMIT for name in of) for name in of]


def _in_workspace(top: str, folder: str, known: dict[str, bool]) -> bool:
    if folder not in known:
        known[folder] = os.path.lexists(os.path.join(top, folder, "workspace.json")) or _in_workspace(
            top, folder.rpartition("/")[0], known
        )
    return known[folder]


def _new_file(top: str, name: str, prefix: str) -> bytes:
    """Return the patch that makes a file; empty if it is none that is recorded."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(os.path.join(top, name), flags), "rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(SOURCE_LIMIT + 1) if stat.S_ISREG(found.st_mode) else b"\0"
    except OSError:
        return b""
    try:
        if len(data) > SOURCE_LIMIT or "\0" in data.decode():
            return b""
    except UnicodeDecodeError:
        return b""
    path = os.fsencode(prefix + name)
    old, new = _quoted(b"a/" + path), _quoted(b"b/" + path)
    mode = b"100755" if found.st_mode & stat.S_IXUSR else b"100644"
    head = b"diff --git %b %b\nnew file mode %b\n" % (old, new, mode)
    if not data:
        return head + b"index 0000000..e69de29\n"  # git does not believe in an empty file without it
    lines = data.split(b"\n")
    end = b"" if not lines[-1] else b"\n\\ No newline at end of file\n"
    lines = lines if end else lines[:-1]
    body = b"\n".join(b"+" + line for line in lines) + (end or b"\n")
    tab = b"\t" if b" " in new else b""  # as git does, so that the name ends there
    return head + b"--- /dev/null\n+++ %b%b\n@@ -0,0 +1,%d @@\n" % (new, tab, len(lines)) + body


def _quoted(path: bytes) -> bytes:
    """Return a path as git writes it."""
    if not _SPECIAL.search(path):
        return path
    return b'"%b"' % _SPECIAL.sub(
        lambda found: b"\\%b" % (found[0] if found[0] in b'"\\' else b"%03o" % found[0][0]), path
    )
