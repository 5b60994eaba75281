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


def note_and_kill_the_worker(folder: str, number: int) -> None:
    """Kill the Dask worker that has this call made, once that has said that it began, and wait to end with it."""
    note(folder, number)
    threading.Event().wait(0.5)  # a worker sends what it says every few milliseconds
    os.kill(os.getppid(), signal.SIGKILL)
    threading.Event().wait()
