"""Let MolExp see this Linux as another system: its modules get `os`, `signal`, `sys` and `time` without what that one lacks.

All other modules see the truth, so that the standard library goes on working. Start programs in a process of their own::

    python -m tests.platforms.disguise windows PROGRAM.py

A Windows also refuses what it refuses of files: one that this process has open is neither replaced nor removed, a folder is
not opened, nothing is flushed that is open for reading, and listings know no inodes. Its standard output is a console. Whoever opens a file without
``O_BINARY`` gets other bytes there, so that is refused as well.
"""

from __future__ import annotations

import builtins
import errno
import importlib
import io
import os
import runpy
import signal
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Self

LINUX = {
    "os": """CLONE_NEWNS EFD_CLOEXEC O_DIRECT O_LARGEFILE O_NOATIME O_PATH O_RSYNC O_TMPFILE P_PIDFD copy_file_range eventfd
        getrandom memfd_create pidfd_open posix_fadvise posix_fallocate sched_getaffinity sched_setaffinity sendfile splice
        sync_file_range getresuid setns unshare""",
    "signal": "SIGPWR SIGRTMAX SIGRTMIN SIGSTKFLT sigtimedwait sigwaitinfo pidfd_send_signal",
    "time": "CLOCK_BOOTTIME CLOCK_TAI",
}
"""Names that macOS lacks."""

POSIX = {
    "os": """O_ASYNC O_CLOEXEC O_DIRECTORY O_DSYNC O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC P_PID SEEK_DATA WEXITED WNOHANG WNOWAIT
        chown ctermid fchdir fchmod fchown fork forkpty fpathconf fstatvfs getegid geteuid getgid getgroups getloadavg getpgid
        getpgrp getpriority getresgid getsid getuid killpg lchown lockf major minor mkfifo mknod nice openpty pathconf
        posix_openpt posix_spawn pread preadv pwrite pwritev register_at_fork sched_yield set_blocking setpgid setsid setuid
        statvfs sync sysconf tcgetpgrp ttyname uname wait wait3 wait4 waitid""",
    "signal": """ITIMER_REAL SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPROF SIGQUIT SIGSTOP SIGSYS SIGTRAP
        SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ SIG_BLOCK SIG_SETMASK SIG_UNBLOCK alarm
        getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigwait""",
    "time": "CLOCK_MONOTONIC CLOCK_REALTIME clock_getres clock_gettime clock_settime pthread_getcpuclockid tzset_",
}
"""Names that Windows lacks, besides those."""

FCNTL = "F_ADD_SEALS F_GETLEASE F_GETSIG F_OFD_SETLK F_SETLEASE F_SETSIG"
ABSENT = ("fcntl", "grp", "pwd", "pty", "resource", "syslog", "termios", "tty")
"""Modules that Windows lacks."""

IN_BINARY = 0x8000  # bit of Windows' ``O_BINARY``, which means nothing to open(2) here


class View(ModuleType):
    """A module, as MolExp sees it: some names are missing, others have another value."""

    def __init__(self, real: ModuleType, hidden: str, given: Mapping[str, Any]) -> None:
        super().__init__(real.__name__)
        object.__setattr__(self, "_seen", (real, frozenset(hidden.split()), dict(given)))

    def __getattr__(self, name: str) -> Any:
        real, hidden, given = object.__getattribute__(self, "_seen")
        if name in given:
            return given[name]
        if name in hidden:
            raise AttributeError(f"module {real.__name__!r} has no attribute {name!r}")
        return getattr(real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(object.__getattribute__(self, "_seen")[0], name, value)


def macos() -> None:
    """Hide what macOS lacks, and ``/proc`` from everybody."""
    import fcntl

    views = {"fcntl": View(fcntl, FCNTL, {})}
    given: dict[str, dict[str, Any]] = {"sys": {"platform": "darwin"}, "os": {"readlink": _readlink}}
    _show(views | _views(given, LINUX), ())
    sys.addaudithook(_without_proc)


def windows() -> None:
    """Hide what Windows lacks, and refuse what it refuses."""
    given: dict[str, dict[str, Any]] = {
        "sys": {"platform": "win32"},
        "os": {
            "name": "nt",
            "supports_dir_fd": set(),
            "supports_follow_symlinks": {os.stat},
            "O_BINARY": IN_BINARY,
            "readlink": _readlink,
            "open": _open,
            "fsync": _fsync,
            "scandir": _Listing,
        },
    }
    hidden = {name: f"{LINUX[name]} {POSIX[name]}" for name in POSIX}
    _show(_views(given, hidden), ABSENT)
    sys.addaudithook(_without_proc)
    sys.addaudithook(_without_what_is_open)
    sys.stdout = io.TextIOWrapper(_WindowsConsoleIO(1), "utf-8", write_through=True)


def _views(given: Mapping[str, Mapping[str, Any]], hidden: Mapping[str, str]) -> dict[str, ModuleType]:
    real = {"os": os, "signal": signal, "sys": sys, "time": time}
    return {name: View(module, hidden.get(name, ""), given.get(name, {})) for name, module in real.items()}


def _show(views: Mapping[str, ModuleType], absent: tuple[str, ...]) -> None:
    """Give modules of MolExp that import one of these what they are to see."""
    assert not any(name.partition(".")[0].startswith("molexp") for name in sys.modules), "MolExp has seen the truth"
    truly = builtins.__import__

    def shown(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: tuple[str, ...] = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0 and globals and str(globals.get("__name__")).startswith("molexp"):
            if name in absent:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if name in views:
                return views[name]
        return truly(name, globals, locals, fromlist, level)

    builtins.__import__ = shown  # type: ignore[assignment]  # typeshed has more precise types for it


# ------------------------------------------------------------------------------------------------------ what is refused


def _without_proc(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and str(args[0]).startswith("/proc/") and _asked_by_molexp():
        raise FileNotFoundError(errno.ENOENT, "there is no /proc here", args[0])


def _asked_by_molexp() -> bool:
    return str(sys._getframe(2).f_globals.get("__name__")).startswith("molexp")


def _readlink(path: Any, **how: Any) -> str:
    if str(path).startswith("/proc/"):
        raise FileNotFoundError(errno.ENOENT, "there is no /proc here", path)
    return str(os.readlink(path, **how))


def _without_what_is_open(event: str, args: tuple[Any, ...]) -> None:
    names = args[:2] if event == "os.rename" else args[:1] if event == "os.remove" else ()
    if names and (held := {os.path.realpath(os.fspath(name)) for name in names} & {*_open_files()}):
        raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used", *held)


def _open_files() -> Iterator[str]:
    with os.scandir("/proc/self/fd") as entries:
        for entry in entries:
            try:
                yield os.readlink(entry.path)
            except OSError:  # the descriptor by which this is listed
                continue


def _open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)
    by_open = flags & os.O_CLOEXEC  # which adds the other flag by itself there
    assert flags & IN_BINARY or by_open or path == os.devnull, f"{path} is opened as text, with other line ends"
    return os.open(path, flags & ~IN_BINARY, mode, dir_fd=dir_fd)


def _fsync(fd: int) -> None:
    import fcntl

    if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY and not stat.S_ISDIR(os.fstat(fd).st_mode):
        raise OSError(errno.EBADF, "Bad file descriptor")
    os.fsync(fd)


class _WindowsConsoleIO(io.RawIOBase):
    """A console, which is written to by calls that fail once its descriptor is something else."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._console = os.fstat(number)

    def fileno(self) -> int:
        return self._number

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not os.path.samestat(os.fstat(self._number), self._console):
            raise OSError(errno.EBADF, "Invalid handle")
        return os.write(self._number, data)


class _Entry:
    """An entry of a folder, which knows no inode."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        self._entry = entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        found = self._entry.stat(follow_symlinks=follow_symlinks)
        return os.stat_result((found.st_mode, 0, 0, 0, *found[4:]), {"st_mtime_ns": found.st_mtime_ns})


class _Listing:
    """`os.scandir`."""

    def __init__(self, path: Any = ".") -> None:
        self._entries = os.scandir(path)

    def __iter__(self) -> Iterator[_Entry]:
        return map(_Entry, self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._entries.close()


if __name__ == "__main__":
    system, program, *arguments = sys.argv[1:]
    sys.argv = [program, *arguments]
    # What looks at the system as it is imported, and is imported late.
    for needed in (
        "asyncio",
        "concurrent.futures",
        "ctypes",
        "multiprocessing.util",
        "platformdirs",
        "sqlite3",
        "tempfile",
    ):
        importlib.import_module(needed)
    {"macos": macos, "windows": windows}[system]()
    runpy.run_path(program, run_name="__main__")
