"""Identify a process, and tell that another one is dead without asking a clock."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from molexp._record.causes import REQUEUED

_JOB_VARIABLES = (  # job id, restart count, cluster, index in an array
    ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_CLUSTER_NAME", "SLURM_ARRAY_TASK_ID"),
    ("LSB_JOBID", "LSB_REQUEUE_COUNT", "", "LSB_JOBINDEX"),
    ("PBS_JOBID", "PBS_RESTART_COUNT", "", ""),  # the id names server and index
)


class Owner(Struct, frozen=True):
    """The owner of an attempt, as its claim spells it.

    Attributes:
        host: the machine's name.
        pid: the process id, in its own namespace.
        boot: the boot id of the machine's kernel; "" where it has none.
        namespace: the PID namespace; "" where there are none. Containers of one machine share its boot id.
        birth: the process's start time in clock ticks since boot; "" where unknown.
        user: the user who runs it.
        job: the scheduler's job id; "" outside of one.
        restart: the number of times that the scheduler requeued that job.
        cluster: the cluster that counts the job ids; "" where the scheduler names none.
        array: the job's index in an array; "" outside of one, or where the id says it.
    """

    host: str
    pid: int
    boot: str = ""
    namespace: str = ""
    birth: str = ""
    user: str = ""
    job: str = ""
    restart: int = 0
    cluster: str = ""
    array: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the owner as plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, claimed: object) -> Owner:
        """Return the owner that a claim names; what is missing or malformed is unknown."""
        doc: Mapping[str, Any] = claimed if isinstance(claimed, Mapping) else {}
        known: dict[str, Any] = {}
        for name in _NUMBERS:
            value = doc.get(name)
            known[name] = value if isinstance(value, int) and 0 <= value < 1 << 31 else 0
        for name in _TEXTS:
            value = doc.get(name)
            known[name] = value if isinstance(value, str) else ""
        return cls(**known)


_NUMBERS = ("pid", "restart")
_TEXTS = tuple(field for field in Owner.__struct_fields__ if field not in _NUMBERS)


def _first_line(path: str) -> str:
    try:
        # Always in UTF-8: in a folder that was removed, Python 3.13.0 finds no codec that it has not used yet.
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _process_stat(pid: int | str) -> tuple[str, str]:
    """State letter and start time of a process, from proc(5); empty where that cannot be read.

    A zombie that still has threads is none yet: they may be in the middle of a write.
    """
    fields = _stat_fields(pid)
    if not fields:
        return "", ""
    return ("R" if fields[0] == "Z" and int(fields[17]) > 1 else fields[0]), fields[19]


def birth_of(pid: int) -> str:
    """Return the start time of a process, as an `Owner` has it."""
    return _process_stat(pid)[1]


def _stat_fields(pid: int | str) -> list[str]:
    """Return what proc(5) says of a process, from its state on; empty where that cannot be read."""
    fields = _first_line(f"/proc/{pid}/stat").rpartition(")")[2].split()  # the command's name may hold anything
    return fields if len(fields) > 19 else []


def launcher_of(variable: str) -> str:
    """Return the process that gave this one an environment variable, perhaps by way of a shell: its number and start time.

    It is the nearest ancestor that was started without the variable; "" if there is none to be found.
    """
    pid, birth = os.getppid(), ""
    while pid > 0 and (fields := _stat_fields(pid)):
        birth = fields[19]
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                given = file.read().split(b"\0")
        except OSError:  # another user's, as schedulers' daemons are
            break
        if not any(entry.startswith(variable.encode() + b"=") for entry in given):
            break
        pid, birth = int(fields[1]), ""
    return f"{pid}:{birth}" if birth else ""


def boot_id() -> str:
    """Return the id of this boot of this kernel; "" where the system has none."""
    return _first_line("/proc/sys/kernel/random/boot_id")


def _namespace() -> str:
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return ""  # this /proc is of another namespace, and would speak of other processes
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _user() -> str:
    name = os.environ.get("USER") or os.environ.get("USERNAME") or ""
    if not name and hasattr(os, "getuid"):
        import pwd

        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            name = str(os.getuid())
    return name


def this_owner() -> Owner:
    """Return this process."""
    job, restart, cluster, array = "", 0, "", ""
    for id_variable, count_variable, cluster_variable, array_variable in _JOB_VARIABLES:
        if found := os.environ.get(id_variable):
            count = os.environ.get(count_variable, "")
            job, restart = found, int(count) if count.isdecimal() else 0
            cluster, array = os.environ.get(cluster_variable, ""), os.environ.get(array_variable, "")
            break
    return Owner(
        host=platform.node(),
        pid=os.getpid(),
        boot=boot_id(),
        namespace=_namespace(),
        birth=_process_stat("self")[1],
        user=_user(),
        job=job,
        restart=restart,
        cluster=cluster,
        array=array,
    )


def known_dead(owner: Owner, me: Owner) -> str:
    """Return how `me` knows that `owner` is dead, or "" if it does not.

    Certain, never a guess: another attempt of a requeued job has taken its place, or the kernel that ran it, asked in
    the same PID namespace, has no such process, a zombie, or another process of that number. Permission denied means
    alive.
    """
    same_job = bool(owner.job) and (owner.cluster, owner.job, owner.array) == (me.cluster, me.job, me.array)
    if same_job and me.restart > owner.restart:
        return f"job {owner.job} {REQUEUED} {me.restart})"
    same_kernel = bool(owner.boot and owner.namespace) and (
        (owner.host, owner.boot, owner.namespace) == (me.host, me.boot, me.namespace)
    )
    if not same_kernel or owner.pid <= 0 or not sys.platform.startswith("linux"):
        return ""
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return f"process {owner.pid} on {owner.host} is gone"
    except (OSError, OverflowError):
        return ""
    state, birth = _process_stat(owner.pid)
    if state in ("Z", "X"):
        return f"process {owner.pid} on {owner.host} is a zombie"
    if birth and owner.birth and birth != owner.birth:
        return f"process {owner.pid} on {owner.host} is gone (the number was used again)"
    return ""
