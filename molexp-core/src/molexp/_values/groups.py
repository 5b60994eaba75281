"""Groups of processes that die with this process, however it ends; and how one of them is killed.

Nothing tells a process on POSIX that its parent was killed. So there is a witness beside this process: a shell that waits for
the end of a pipe, which only this process holds open, and then kills the groups that it was told of. There is none on Windows.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress

__all__ = ["GROUPS", "kill_group"]

_WITNESS = """
trap '' HUP INT QUIT TERM USR1 USR2
exec 3<&0
(
    groups=' '
    while read -r what group; do
        case $what in
            +) groups="$groups$group " ;;
            -) groups="${groups%% $group *} ${groups#* $group }" ;;
        esac
    done
    for group in $groups; do kill -9 "-$group"; done
) <&3 3<&- &
"""


def kill_group(leader: int, number: int) -> bool:
    """Send a signal to a group of processes, and tell whether that worked. There are no groups on Windows."""
    if sys.platform == "win32":
        return False
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _write(pipe: int, line: bytes) -> int:
    """Write to the witness; an error if there is none, also where the user's code lets SIGPIPE end this process."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    try:
        return os.write(pipe, line)
    except BrokenPipeError:
        if signal.SIGPIPE not in before and signal.SIGPIPE in signal.sigpending():
            signal.sigwait({signal.SIGPIPE})
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Groups:
    """The groups that this process has started and that are alive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive: set[int] = set()
        self._witness: int | None = None  # the pipe's end; while it is open, this process lives
        self._inode = (
            0  # of that pipe: who closes descriptors that are not his may get this number for a file of his own
        )

    def prepare(self) -> None:
        """Start the witness before a group is started, so that `add` takes no time in which nobody knows of the group."""
        if sys.platform != "win32" and self._witness is None:
            with self._lock, suppress(OSError):  # the system has no process left, or no shell
                if self._witness is None:
                    self._begin()
                    self._say("".join(f"+ {one}\n" for one in self._alive))

    def add(self, leader: int) -> None:
        """Let the group die with this process, until it is `remove`d."""
        with self._lock:
            self._alive.add(leader)
            known = self._say(f"+ {leader}\n")
        if not known:  # somebody killed the witness
            self.prepare()

    def remove(self, leader: int) -> None:
        """Let the group outlive this process; or forget it, because it has ended."""
        with self._lock:
            if leader in self._alive:
                self._alive.discard(leader)
                self._say(f"- {leader}\n")

    def _say(self, line: str) -> bool:
        """Tell the witness; False if there is none, because somebody killed it: the next group gets a new one."""
        try:
            return (pipe := self._pipe()) is not None and _write(pipe, line.encode()) > 0
        except OSError:
            self._forget()
            return False

    def _begin(self) -> None:
        import subprocess

        theirs, self._witness = os.pipe()
        self._inode = os.fstat(theirs).st_ino
        try:  # it is no child of this process, whose code may wait for all of its children
            silent = subprocess.DEVNULL
            subprocess.run(
                ["/bin/sh", "-c", _WITNESS],
                stdin=theirs,
                stdout=silent,
                stderr=silent,
                cwd="/",
                start_new_session=True,
                check=False,
            )
        finally:
            os.close(theirs)

    def _pipe(self) -> int | None:
        """Return the pipe's end, if it is still open here."""
        if self._witness is not None and os.fstat(self._witness).st_ino != self._inode:
            self._witness = None
        return self._witness

    def _forget(self) -> None:
        with suppress(OSError):  # somebody closed it
            if (pipe := self._pipe()) is not None:
                os.close(pipe)
        self._witness = None

    def leave(self) -> None:
        """Forget all groups in a forked child: those that the parent started are the parent's."""
        self._lock = threading.Lock()
        self._alive.clear()
        self._forget()


GROUPS = _Groups()
"""Hold the process groups that this process has started."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=GROUPS.leave)
