"""Where the spools of this machine lie."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

VARIABLE = "MOLEXP_SPOOL_DIR"


def folders() -> Iterator[Path]:
    """Where spools may lie, best first: ``MOLEXP_SPOOL_DIR``, the user's folder for state, that for temporary files."""
    if found := os.environ.get(VARIABLE):
        yield Path(found)
        return
    from platformdirs import user_state_dir

    with suppress(OSError, RuntimeError):  # neither HOME nor an entry in the password database, as in some containers
        state = Path(user_state_dir("molexp", appauthor=False))
        if state.is_absolute():
            yield state / "spool"
    user = getattr(os, "getuid", lambda: os.environ.get("USERNAME", ""))()
    yield Path(tempfile.gettempdir(), f"molexp-spool-{user}")


def of_workspace(folder: Path, url: str) -> Path:
    """The folder for a workspace's spools, of this host: several may share what lies above it."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "-"
    return folder / host / sha256(url.encode()).hexdigest()[:16]


def spools_of(url: str) -> list[Path]:
    """The spools that writers of a workspace have, or left behind, on this machine."""
    found: list[Path] = []
    for folder in folders():
        with suppress(OSError), os.scandir(of_workspace(folder, url)) as entries:
            found += [Path(entry.path) for entry in entries]
    return found
