"""Have the kernel end a process together with the one that started it."""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, also while native code holds the interpreter's lock.

    Linux means the *thread* that started this process; that has to live as long as it is needed. Elsewhere, do nothing.
    """
    if sys.platform != "linux":
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (ImportError, OSError, AttributeError):  # no ctypes, or a C library without it
        return
    if os.getppid() != parent:  # it had ended before
        os._exit(1)
