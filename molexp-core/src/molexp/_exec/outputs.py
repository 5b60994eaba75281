"""Output files of a command: the new and changed ones, and the names under which they are saved."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from molexp._values.ids import check_payload_name, fold_name, nfc
from molexp.contracts._assets import Asset
from molexp.errors import InvalidNameError, MolexpError, RunError

if TYPE_CHECKING:
    from molexp._running.context import Context

_Stamp = tuple[int, int, int]

_LONGEST = 190  # bytes of a segment, less than the limit, as one of several may get a number
_LONGEST_SUFFIX = 20
_KEPT = 150
_NAMED = 5  # files that a warning names


class Outputs:
    """The files in a folder that match patterns, and are new or changed since this was made.

    Args:
        folder: the folder that the command runs in.
        patterns: as `pathlib.Path.glob` takes them, relative to `folder`; ``**`` is any number of folders.
        apart: files and folders that do not count: the workspace's own.

    Raises:
        ValueError: a pattern is empty or absolute, or leads out of the folder.
    """

    def __init__(self, folder: Path, patterns: Iterable[str], *, apart: Iterable[Path] = ()) -> None:
        self._folder = folder
        self._patterns = [_checked(pattern) for pattern in patterns]
        self._apart = [one.resolve() for one in apart]
        self._before = dict(self._files())

    def changed(self) -> list[tuple[str, Path]]:
        """Return artifact names and files, sorted."""
        taken: set[str] = set()
        found = []
        for path, stamp in sorted(self._files()):
            if self._before.get(path) != stamp:
                found.append((_name(path.relative_to(self._folder).as_posix(), taken), path))
        return found

    def _files(self) -> Iterator[tuple[Path, _Stamp]]:
        seen: set[Path] = set()
        for pattern in self._patterns:
            for path in self._folder.glob(pattern):
                if path in seen:
                    continue
                seen.add(path)
                try:
                    status = path.stat()
                    if path.is_file() and not self._is_apart(path):
                        yield path, (status.st_mtime_ns, status.st_size, status.st_ino)
                except OSError:  # it was removed meanwhile, or is a link to nowhere
                    continue

    def _is_apart(self, path: Path) -> bool:
        found = path.resolve()
        return any(found.is_relative_to(one) for one in self._apart)


def save_each(context: Context, files: Iterable[tuple[str, Path]]) -> tuple[list[Asset], dict[str, str]]:
    """Save files as artifacts; returns the assets, and why others could not be saved, of which one warning tells.

    Raises:
        RunError: the attempt is over.
    """
    saved: list[Asset] = []
    failed: dict[str, str] = {}
    for name, path in files:
        try:
            asset = context.artifact.save(name, path)
        except RunError:
            raise
        except (MolexpError, OSError) as error:
            failed[name] = str(error)
            continue
        if asset is not None:
            saved.append(asset)
    if failed:
        warnings.warn(_unsaved(failed), stacklevel=3)
    return saved, failed


def _unsaved(failed: Mapping[str, str]) -> str:
    told = [f"{name!r}: {reason}" for name, reason in list(failed.items())[:_NAMED]]
    more = f" And {len(failed) - _NAMED} more." if len(failed) > _NAMED else ""
    return f"{len(failed)} of the output files could not be saved. {' '.join(told)}{more}"


def _checked(pattern: str) -> str:
    if not pattern.strip():
        raise ValueError("A pattern of output files is empty.")
    if os.path.isabs(pattern) or ".." in Path(pattern).parts:
        raise ValueError(
            f"The output files {pattern!r} lie outside of the folder that the command runs in; "
            "a pattern is relative to it, and has no '..'."
        )
    return pattern


def _name(relative: str, taken: set[str]) -> str:
    """Return a name that an artifact can have: characters that some system cannot store are quoted as in URLs."""
    name = nfc("/".join(map(_segment, relative.split("/"))))
    if not _can_be(name):  # too long as a whole
        name = f"{_digest(relative)}/{name.rpartition('/')[2]}"
    number, unique = 1, name
    while fold_name(unique) in taken:  # differs from another one in case only
        number += 1
        stem, suffix = os.path.splitext(name)
        unique = f"{stem}~{number}{suffix}"
    taken.add(fold_name(unique))
    return unique


def _segment(part: str) -> str:
    for mend in (_shortened, _quoted, _begun_otherwise, _shortened):
        if _can_be(part):
            break
        part = mend(part)
    return part


def _can_be(name: str) -> bool:
    try:
        return bool(check_payload_name(name))
    except InvalidNameError:
        return False


def _shortened(part: str) -> str:
    """Shorten a name that is too long to its beginning, a hash of all of it, and its suffix."""
    if len(part.encode(errors="surrogateescape")) <= _LONGEST:
        return part
    stem, suffix = os.path.splitext(part)
    suffix = suffix if len(suffix.encode(errors="surrogateescape")) < _LONGEST_SUFFIX else ""
    kept = stem.encode(errors="surrogateescape")[:_KEPT].decode(errors="ignore")
    return f"{kept}~{_digest(part)}{suffix}"


def _quoted(part: str) -> str:
    return quote(part, safe=" +,=@~()", errors="surrogateescape").rstrip(". ") or "_"


def _begun_otherwise(part: str) -> str:
    """Replace the beginning of a name that is a device's (``com1.dat``, on Windows) or a temporary file's of ours."""
    return f"%{ord(part[0]):02X}{part[1:]}"


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]
