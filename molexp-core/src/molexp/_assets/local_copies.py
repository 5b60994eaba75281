"""Local copies of what lies elsewhere, for libraries that want a file: whole and verified, or not there at all."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from molexp._assets.downloads import fetch
from molexp._assets.verification import check_size, complain, is_folder
from molexp.contracts._copying import copy_stream

if TYPE_CHECKING:
    from molexp.contracts import Store
    from molexp.contracts._assets import Asset


class Copies:
    """The copies of one process: each is fetched once, and gets its name when it is whole.

    They go when the process does: a forked child has others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[Path, threading.Lock] = {}
        self._folder: Path | None = None

    def get(self, asset: Asset, store: Store) -> Path:
        """Return the path of the copy, fetched if it is not there.

        Raises:
            HashMismatchError: the bytes that came are not the recorded ones.
            KeyNotFoundError: the bytes are gone.
        """
        # a name that is saved again keeps its key; a folder of data never does
        version = str(asset.content_hash) if is_folder(asset) else store.stat(asset.key).version
        with self._lock:
            path = self._place().joinpath(sha256(version.encode()).hexdigest()[:8], *asset.key.split("/"))
            lock = self._locks.setdefault(path, threading.Lock())
        with lock:
            if not path.exists():
                _fetch(asset, store, path, self._place())
        return path

    def beginning(self, whole: Path, size: int) -> Path:
        """Return the path of a copy of the first bytes of a file."""
        with self._lock, whole.open("rb") as source:
            path = Path(tempfile.mkdtemp(dir=self._place()), whole.name)
            with path.open("wb") as copy:
                copy_stream(source, copy, length=size)
        return path

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="molexp-copies-"))
            atexit.register(_remove, self._folder, os.getpid())
        return self._folder


def _fetch(asset: Asset, store: Store, path: Path, near: Path) -> None:
    near.mkdir(exist_ok=True)  # whoever cleans temporary folders may have been here
    work = Path(tempfile.mkdtemp(dir=near))
    try:
        found = fetch(asset, store, work / path.name)
        if not is_folder(asset):
            check_size(asset, store, (work / path.name).stat().st_size)
        if found is not None and found != asset.content_hash:
            complain(asset, store, found)
        path.parent.mkdir(parents=True, exist_ok=True)
        (work / path.name).replace(path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)
