"""The places of spools on this machine. A spool is believed if only this user can have put it there."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from molexp._storage import private_files

VARIABLE = "MOLEXP_SPOOL_DIR"


def folders() -> Iterator[Path]:
    """Yield where spools may lie, best first: ``MOLEXP_SPOOL_DIR``, the user's folder for state, that for temporary files."""
    if found := os.environ.get(VARIABLE):
        yield Path(os.path.realpath(found))
        return
    from platformdirs import user_state_dir

    with suppress(OSError, RuntimeError):  # neither HOME nor an entry in the password database, as in some containers
        state = Path(user_state_dir("molexp", appauthor=False))
        if state.is_absolute():
            yield state / "spool"
    usual = _temporary()
    yield usual
    if os.path.lexists(usual) and private_files.distrusted(usual):  # somebody else was there before us
        yield from sorted(usual.parent.glob(f"{usual.name}-*"))


def _temporary() -> Path:
    user = getattr(os, "geteuid", lambda: os.environ.get("USERNAME", ""))()
    return Path(tempfile.gettempdir(), f"molexp-spool-{user}")


def make(url: str, name: str) -> Path:
    """Make the folder of a new spool, in the first place that is this user's alone.

    Raises:
        OSError: there is none.
    """
    problems: list[OSError] = []
    for base in folders():
        try:
            return _make_below(base, url, name)
        except OSError as error:
            problems.append(error)
    if not os.environ.get(VARIABLE):
        with suppress(OSError):
            return _make_below(Path(tempfile.mkdtemp(prefix=f"{_temporary().name}-")), url, name)
    raise problems[0]


def _make_below(base: Path, url: str, name: str) -> Path:
    for level in (levels := _levels(base, url)):
        private_files.make_folder(level)
    new = levels[-1] / name
    new.mkdir(mode=private_files.FOLDER)
    return new


def _levels(base: Path, url: str) -> list[Path]:
    """Return the folders for a workspace's spools that are MolExp's own; one that the user named may be for others, too."""
    folder = of_workspace(base, url)
    return [*([] if os.environ.get(VARIABLE) else [base]), folder.parent, folder]


def of_workspace(folder: Path, url: str) -> Path:
    """Return the folder for a workspace's spools of this host; several hosts may share the folders above it."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "-"
    return folder / host / sha256(url.encode()).hexdigest()[:16]


def spools_of(url: str) -> list[Path]:
    """Return the spools that writers of a workspace have, or left behind, on this machine."""
    return [path for path, why in _found(url) if not why]


def distrusted_of(url: str) -> list[tuple[Path, str]]:
    """Return what lies where spools do, and may be somebody else's: nothing of it is read. With the reasons."""
    return [(path, why) for path, why in _found(url) if why]


def _found(url: str) -> Iterator[tuple[Path, str]]:
    for base in folders():
        highest, *below = levels = _levels(base, url)
        folder = levels[-1]
        with suppress(OSError), os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
            for level in (*levels, *(folder / name for name in names)):
                private_files.tighten(level)  # a folder that another user made meanwhile is recognised by its owner
            whys = (private_files.distrusted(level, above=level is highest) for level in (highest, *below))
            above = next(filter(None, whys), "") if names else ""
            for name in names:
                yield folder / name, above or private_files.distrusted(folder / name, above=False)
