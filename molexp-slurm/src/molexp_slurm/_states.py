"""The states of Slurm's jobs, and how squeue and sacct spell jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from molexp.contracts import Job, JobState

_ENDED: Final = frozenset(
    (
        *("BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
        *("RECONFIG_FAIL", "REVOKED", "TIMEOUT"),
    )
)
_WAITING: Final = frozenset(("PENDING", "REQUEUED", "REQUEUE_FED"))
_HELD: Final = frozenset(("REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"))
_NEVER_BY_ITSELF: Final = re.compile(r"JobHeld|held|DependencyNeverSatisfied", re.IGNORECASE)
_ARRAY: Final = re.compile(r"(\d+)_(\d+|\[([\d,-]+)(?:%\d+)?\])")


def state_of(word: str, reason: str = "") -> JobState:
    """Return the state for a word of Slurm's; what is none of its ends is alive.

    Example:
        >>> state_of("PENDING", "JobHeldUser")
        <JobState.HELD: 'held'>
    """
    first = word.partition(" ")[0]  # sacct says "CANCELLED by 1000"
    if first == "COMPLETED":
        return JobState.DONE
    if first in _ENDED:
        return JobState.FAILED
    if first in _HELD:
        return JobState.HELD
    if first in _WAITING:
        return JobState.HELD if _NEVER_BY_ITSELF.search(reason) else JobState.QUEUED
    return JobState.RUNNING


def job_of(fields: Sequence[str]) -> Job | None:
    """Return the job that a line of squeue tells: its name, array, index, state, restarts, reason and nodes."""
    name, array, index, word, _, reason, nodes = fields
    if not (array.isdecimal() and index.isdecimal()):
        return None  # no job of an array, so none of ours
    why = "" if reason == "None" else reason
    return Job(name, int(index), f"{array}_{index}", state_of(word, reason), word, why, nodes.strip())


def jobs_of_account(name: str, identity: str, word: str, nodes: str) -> Iterator[Job]:
    """Yield the jobs that a line of sacct tells, which may be several that never began: ``12_[3-5,7]``."""
    if (found := _ARRAY.fullmatch(identity)) is None:
        return
    array, one, several = found.groups()
    for index in _indices(several or one):
        host = "" if nodes == "None assigned" else nodes
        yield Job(name, index, f"{array}_{index}", state_of(word), word.partition(" ")[0], "", host)


def _indices(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            yield from range(int(first), int(last or first) + 1)


def identities(ids: Sequence[str]) -> list[str]:
    """Return ids of jobs as few words, for a command's line: ``12_3``, ``12_4`` and ``12_5`` are ``12_[3-5]``.

    Example:
        >>> identities(["12_3", "12_4", "7", "12_5", "12_9"])
        ['7', '12_[3-5,9]']
    """
    arrays: dict[str, list[int]] = {}
    whole: list[str] = []
    for one in dict.fromkeys(ids):
        array, mark, index = one.partition("_")
        if mark and index.isdecimal():
            arrays.setdefault(array, []).append(int(index))
        else:
            whole.append(one)
    return whole + [f"{array}_[{_ranges(sorted(found))}]" for array, found in arrays.items() if array not in whole]


def _ranges(numbers: Sequence[int]) -> str:
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)
