"""The local queue, a private class that is named here alone, in a folder of the tests' own with one runner for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from molexp._queues.local import LocalQueue
from molexp.contracts import Batch, Queue

__all__ = ["LocalQueue", "at_work", "batches_of"]


@contextmanager
def at_work(folder: Path) -> Iterator[Queue]:
    """Give a queue in a folder whose runner does not end before we do, because one job waits for that."""
    queue = LocalQueue(cores=8, folder=str(folder / "queue"))
    os.mkfifo(folder / "gate")
    gate = os.open(folder / "gate", os.O_RDWR)
    queue.submit(Batch(token="waits", command=("cat", str(folder / "gate")), folder=str(folder)))
    yield queue
    queue.cancel(["waits"])
    os.close(gate)


def batches_of(queue: LocalQueue) -> list[str]:
    """Return the tokens of all batches of a queue."""
    return os.listdir(queue._root() / "batches")
