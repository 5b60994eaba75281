"""Count what this process has, children, descriptors and threads; and tell when a process is gone."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_KEPT = (b"resource_tracker", b"tests.servers.keeper", b"tests/warm/server.py")
_EARLIER = set[int]()


def pass_over_children() -> None:
    """Count the children of earlier tests no longer. While `tests.warm` starts one, it may adopt an orphan of others."""
    _EARLIER.update(children())


def children() -> set[int]:
    """The living and the dead ones that nobody has collected, less what `multiprocessing` and the test servers keep."""
    found = set[int]()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return {pid for pid in found - _EARLIER if not any(word in _command(pid) for word in _KEPT)}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # collected this instant
        return _KEPT[0]


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("molexp-")}


@contextmanager
def ending(pid: int) -> Iterator[None]:
    """At the end of the block the process ends, or has ended, by itself."""
    handle = os.pidfd_open(pid)
    try:
        yield
        assert select.select([handle], [], [], 300)[0], f"process {pid} goes on"
    finally:
        os.close(handle)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_dead(pid: int) -> None:
    """It is dead then, and not collected."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
