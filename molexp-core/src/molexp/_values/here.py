"""This process's id, without asking the system each time."""

from __future__ import annotations

import os

__all__ = ["HERE"]


class _Here:
    __slots__ = ("pid",)

    def __init__(self) -> None:
        self.look()

    def look(self) -> None:
        self.pid = os.getpid()


HERE = _Here()
"""`HERE.pid` is `os.getpid()`, in a forked child too."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=HERE.look)
