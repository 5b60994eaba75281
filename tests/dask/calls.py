"""The tests submit these calls by name."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path


def note(folder: str, number: int) -> int:
    """Leave a file for each time that the call is made."""
    Path(folder, f"{number}-{os.urandom(4).hex()}").touch()
    return number


def note_and_kill_the_worker(folder: str, number: int, word: str) -> None:
    """Kill the Dask worker that has this call made as soon as a file is there, and wait to end with it."""
    note(folder, number)
    while not os.path.exists(word):
        threading.Event().wait(0.02)
    os.kill(os.getppid(), signal.SIGKILL)
    threading.Event().wait()
