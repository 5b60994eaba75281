"""Files that a command leaves behind: which of them are its own, and by what names they are saved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from molexp._values.ids import check_payload_name, fold_name

_Stamp = tuple[int, int, int]


class Outputs:
    """The files in a folder that match patterns, and are new or changed since this was made.

    Args:
        folder: where the command runs.
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
        """Artifact names and files, sorted."""
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
    """A name that an artifact can have: characters that some system cannot store are quoted as in URLs."""
    try:
        name = check_payload_name(relative, "artifact name")
    except ValueError:
        name = "/".join(
            quote(part, safe=" +,=@~()", errors="surrogateescape").rstrip(". ") or "_" for part in relative.split("/")
        )
    number, unique = 1, name
    while fold_name(unique) in taken:  # differs from another one in case only
        number += 1
        stem, dot, suffix = name.rpartition(".")
        unique = f"{stem}~{number}.{suffix}" if dot else f"{name}~{number}"
    taken.add(fold_name(unique))
    return unique
