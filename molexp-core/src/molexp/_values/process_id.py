"""This process's id, without asking the system each time, the signal that asked it to end, and the script that it has loaded."""

from __future__ import annotations

import os

__all__ = ["HERE"]


class _Here:
    __slots__ = ("asked_by", "instead", "pid", "script")

    def __init__(self) -> None:
        self.script: str | None = None
        self.instead: str | None = None
        self.look()

    def look(self) -> None:
        self.pid = os.getpid()
        self.asked_by = 0


HERE = _Here()
"""`HERE.pid` is `os.getpid()`, in a forked child too; `HERE.asked_by` the signal that asked this process to end, or 0.

`HERE.script` is the file that was imported as `molexp run` does it, with itself as the whole command line; or None.
`HERE.instead` is the workspace that it got in the place of its own, or None."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=HERE.look)
