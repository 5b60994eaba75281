"""Output files of a command: the new and changed ones, and the names under which they are saved."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from molexp._values.file_names import name_for
from molexp.contracts._assets import Asset
from molexp.errors import MolexpError, RunError

if TYPE_CHECKING:
    from molexp._running.context import Context

_Stamp = tuple[int, int, int]

_NAMED = 5  # files that a warning names


class Outputs:
    """The files in a folder that match patterns, and are new or changed since this was made.

    Args:
        folder: the folder that the command runs in.
        patterns: as `pathlib.Path.glob` takes them, relative to `folder`; ``**`` is any number of folders, and ``traj/`` all files in a folder.
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
                found.append((name_for(path.relative_to(self._folder).as_posix(), taken), path))
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
    return f"{pattern}**/*" if pattern.endswith("/") else pattern
