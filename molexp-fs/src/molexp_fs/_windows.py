"""Calls of `os` on Windows, where a file can be neither replaced nor removed while any program has it open, as each reader has."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_PATIENCE = 1.0  # seconds; virus scanners and indexers open what is new, too


def _patient(act: Callable[P, T]) -> Callable[P, T]:
    """Return the call with patience: where it is refused because others have the file open, it waits until they close it."""

    @wraps(act)
    def wait(*args: P.args, **kwargs: P.kwargs) -> T:
        pause, until = 0.001, time.monotonic() + _PATIENCE
        while True:
            try:
                return act(*args, **kwargs)
            except PermissionError as error:  # so a folder is refused as well, and what may not be changed at all
                if time.monotonic() > until or os.path.isdir(error.filename2 or error.filename):
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    return wait


open = _patient(os.open)  # noqa: A001 - named like the call of `os` whose place it takes
rename = _patient(os.rename)
replace = _patient(os.replace)
unlink = _patient(os.unlink)
