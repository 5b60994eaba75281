"""The identities of calls, as schedulers and people see them."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molexp._hierarchy.run import Run

_LONGEST = 200  # characters; Slurm and file systems take 255
_ODD = re.compile(r"[^A-Za-z0-9._=+,-]")
_ITEM = re.compile(r"\[\d+\]$")


def run_key(run: Run, attempt: int) -> str:
    """Return the key of executing a run; `attempt` is the one that it will begin."""
    return _joined("run", [_place(run), str(attempt)])


def task_key(run: Run, attempt: int, label: str, retry: int) -> str:
    """Return the key of one try of a task, or of one item of it.

    The task's name comes first: Dask puts calls together by what stands before the first hyphen and number.
    """
    item = _ITEM.search(label)
    name = label[: item.start()] if item else label
    return _joined(name, [_place(run), str(attempt), str(retry), *([item[0][1:-1]] if item else [])])


def _place(run: Run) -> str:
    return f"{run._session.workspace.id}:{run.path.replace('/', ':')}"


def _joined(name: str, parts: list[str]) -> str:
    """Return a key of harmless characters, as ids have them; a name that is odd, or a key that is long, gets a hash."""
    whole = f"{name}-{':'.join(parts)}"
    found = f"{_ODD.sub('_', name)}-{':'.join(parts)}"
    if len(found) > _LONGEST:
        found = f"{_ODD.sub('_', name)[:40]}-{found[-120:]}"
    return found if found == whole else f"{found}:{sha256(whole.encode()).hexdigest()[:12]}"
