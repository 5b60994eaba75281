"""Compaction beside ordinary use, by a process of its own that nobody waits for.

Like ``git gc --auto``: whoever has an answer, and sees that there is enough to do, starts it and goes on. It may be killed at any
moment; the next one finds what it left.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from molexp._values.times import boot_clock

if TYPE_CHECKING:
    from molexp._catalog.index.index import Index
    from molexp._recording.session import RecordingSession

_PAUSE = 600  # seconds in which the processes of a user on one host begin to compact only once, unless somebody has come to an end

_FOLDERS = ("MOLEXP_CACHE_DIR", "MOLEXP_CONFIG_DIR", "MOLEXP_SPOOL_DIR")
_SHELL = "/bin/sh"
_WORK = "from molexp._catalog.compaction.in_passing import work; work()"


def begin(session: RecordingSession, index: Index) -> None:
    """Start a process that compacts, unless one was begun a while ago; it looks again whether there is enough to do."""
    now = boot_clock()
    begun = f"{index.known().snapshot[0]} {now // _PAUSE}"
    if session.observer.may_write and not index.unchanged_for("compaction", begun, now, session.owner.boot):
        import pickle

        with suppress(Exception):  # there are too many processes, or the store cannot be pickled
            _start(pickle.dumps(session))


def _start(session: bytes) -> None:
    if not os.path.basename(sys.executable).lower().startswith(("python", "pypy")):
        return  # Python is part of another program
    import subprocess

    command = [sys.executable, "-P", "-c", _WORK]
    if os.path.exists(_SHELL):  # it is no child of this process, whose code may wait for all of its children
        command = [_SHELL, "-c", 'exec 3<&0; "$@" <&3 3<&- &', _SHELL, *command]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=os.path.abspath(os.sep),  # so that nobody has to wait to remove, or unmount, the folder he is in
        env=os.environ | {name: os.path.abspath(os.environ[name]) for name in _FOLDERS if os.environ.get(name)},
        start_new_session=True,
    )
    if command[0] == _SHELL:
        process.communicate(session)
    elif process.stdin is not None:
        process.stdin.write(session)
        process.stdin.close()
        process.returncode = 0  # nobody waits for it


def work() -> None:
    """Compact the workspace whose session is on standard input, if there is enough to do."""
    import pickle

    from molexp._catalog.compaction.compaction import Compactor

    session = pickle.load(sys.stdin.buffer)  # noqa: S301 - from `_start`
    if hasattr(os, "nice"):
        os.nice(10)
    compactor = Compactor(session, session.index)
    if compactor.is_due():
        compactor.compact()
