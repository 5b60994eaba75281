"""The kernel's count of processes that it killed for want of memory, in the control group of this process."""

from __future__ import annotations

from contextlib import suppress

__all__ = ["memory_events", "oom_kills"]

_ROOT = "/sys/fs/cgroup/"
_FILES = ("memory.events", "memory.oom_control")  # of version 2 and 1


def memory_events() -> str:
    """Return the file that has the count for this process; "" where there is none."""
    found = ""
    with suppress(OSError), open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if controllers == "memory":
                found = f"{_ROOT}memory{path}/{_FILES[1]}"
                break
            if not controllers:
                found = f"{_ROOT}{path.lstrip('/')}/{_FILES[0]}".replace("//", "/")
    return found if oom_kills(found) is not None else ""


def oom_kills(file: object) -> int | None:
    """Return the count in such a file; None if it is none, or is gone."""
    if not isinstance(file, str) or not file.startswith(_ROOT) or not file.endswith(_FILES) or "/.." in file:
        return None
    with suppress(OSError, ValueError), open(file, encoding="utf-8") as lines:
        for line in lines:
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None
