"""Describe the code that a process runs: git state, interpreter, packages. Capture it once, off the start path.

The graphs of workflows are stored beside it: a sweep has one, whatever the number of its runs.

What differs between processes of the same code (argv, host, scheduler ids) stands in each claim. The environment is
never recorded, nor credentials in a remote's URL, nor what looks like a secret in uncommitted changes.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import threading
import warnings
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from molexp._provenance.git import describe_git
from molexp._provenance.source_tree import calling_files, code_folder
from molexp._storage import layout, schemas
from molexp._values.documents import encode_pretty
from molexp._values.threads import start_unsignalled
from molexp.contracts import Store
from molexp.errors import KeyExistsError, SpecialFileError, StorePermissionError

if TYPE_CHECKING:
    from molexp._storage.spool.outbox import Outbox

_WAIT = 30.0  # seconds that a finishing attempt waits for git


class Provenance:
    """The provenance of this process.

    Args:
        folder: says where the code lies that the process executes; "" leaves that to `code_folder`.
        known: called once it has been captured.
    """

    def __init__(self, folder: Callable[[], str], known: Callable[[], None]) -> None:
        self._folder = folder
        self._known = known
        self._thread: threading.Thread | None = None
        self._callers: list[str] = []
        self._data: bytes | None = None
        self._published: dict[str, set[str]] = {}  # by the URL of a workspace: the ids of what stands there
        self.standing: dict[str, str] = {}
        """By the URL of a workspace: the id of this process's own document, which `publish` has put there."""
        self.lost: dict[str, set[str]] = {}
        """By the URL of a workspace: the ids of documents that could neither be written nor read there."""

    def capture(self) -> None:
        """Begin to capture, in a thread."""
        if self._thread is None:
            self._callers = calling_files()  # here, and not in the thread
            self._thread = threading.Thread(target=self._capture, name="molexp-provenance", daemon=True)
            start_unsignalled(self._thread)

    def _capture(self) -> None:
        try:
            document = describe_process(self._folder() or code_folder(self._callers))
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to, and a run must not fail over this
            document = {
                "schema": schemas.PROVENANCE,
                "type": "provenance",
                "problem": f"{type(error).__name__}: {error}",
            }
        self._data = encode_pretty(document)
        self._known()

    def publish(self, store: Store, *, wait: bool, outbox: Outbox | None = None) -> str | None:
        """Return the id of the document; None while it is being captured, unless `wait`.

        It stands in `store` then, or lies in the outbox.
        """
        if self._data is None:
            if not wait or self._thread is None or self._thread is threading.current_thread():
                return None
            self._thread.join(_WAIT)
        if self._data is None:
            return None
        known = self.standing[store.url] = self.keep(store, self._data, outbox)
        return known

    def keep(self, store: Store, data: bytes, outbox: Outbox | None = None) -> str:
        """Publish a document that says what was executed, once; returns its id, the hash of its content."""
        known = _digest(data)
        if known not in (there := self._published.setdefault(store.url, set())):
            key = layout.provenance(known)
            try:
                outbox.put(key, data) if outbox is not None else _put(store, key, data)
            except (SpecialFileError, StorePermissionError) as error:  # a run does not fail over it
                warnings.warn(
                    f"What is executed is not on record as long as {key!r} is as it is: {error}", stacklevel=2
                )
                self.lost.setdefault(store.url, set()).add(known)
            there.add(known)
        return known

    def forget(self, url: str) -> None:
        """Forget that it was published at `url`: another workspace lies there now."""
        self.standing.pop(url, None)
        self._published.pop(url, None)
        self.lost.pop(url, None)


def _put(store: Store, key: str, data: bytes) -> None:
    """Create a document that is named by the hash of its content."""
    try:
        store.create(key, data)
    except KeyExistsError:  # a killed process may not have written its content
        if "append" in store.capabilities and store.read(key) != data:
            store.write(key, data)


@lru_cache(maxsize=16)
def _digest(data: bytes) -> str:
    """Return the hash of a document, computed once for all runs of the process that name it."""
    return sha256(data).hexdigest()


def describe_process(folder: str) -> dict[str, Any]:
    """Return the provenance document, of the code in a folder; "" if that was removed."""
    system = platform.uname()  # platform.platform() starts a process, and holds a lock that a fork would never get back
    return {
        "schema": schemas.PROVENANCE,
        "type": "provenance",
        "python": sys.version.split()[0],
        "implementation": platform.python_implementation(),
        "platform": f"{system.system}-{system.release}-{system.machine}",
        "machine": system.machine,
        "git": describe_git(folder) if folder else None,
        "packages": installed_packages(),
    }


def installed_packages() -> dict[str, str]:
    """Return distributions on ``sys.path`` by the names of their metadata folders, which costs a listing each."""
    found: dict[str, str] = {}
    for entry in sys.path:
        try:
            names = os.listdir(entry or ".")
        except OSError:
            continue
        for name in names:
            if match := re.fullmatch(r"(.+?)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info", name):
                found.setdefault(match[1].lower().replace("_", "-"), match[2])
    return dict(sorted(found.items()))
