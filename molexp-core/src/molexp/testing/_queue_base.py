"""The access of the queue kit to a queue, and the batches that it tries."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from molexp.contracts import Batch, Job, Queue, Resources
from molexp.errors import QueueError
from molexp.testing._conformance import Conformance, required

_T = TypeVar("_T")

_WAITS = """
trap 'echo >"$1/told-$2-$MOLEXP_JOB_INDEX"; exit 5' TERM
echo >"$1/began-$2-$MOLEXP_JOB_INDEX"
while [ -d "$1" ] && [ ! -e "$1/open" ]; do sleep 0.1; done
"""


class Trial:
    """Batches of one test. Their jobs leave files in a folder, and some wait there until `open`."""

    def __init__(self, queue: Queue, folder: Path, patience: float) -> None:
        self.queue = queue
        self.folder = folder
        self.ids: dict[str, str] = {}
        self._patience = patience

    def batch(self, script: str, *words: str, **how: Any) -> Batch:
        """Return a batch whose jobs are a script for ``sh``: its ``$1`` is the folder, ``$2`` the token, then come the words."""
        token = f"molexp-kit-{secrets.token_hex(6)}"
        command = ("/bin/sh", "-c", script, "sh", str(self.folder), token, *words)
        return Batch(token=token, command=command, **{"folder": str(self.folder), **how})

    def waiting(self, size: int, then: str = "", **how: Any) -> Batch:
        """Return a batch whose jobs say that they began, wait until `open`, and do what is said then."""
        return self.batch(_WAITS + then, size=size, **how)

    def submit(self, batch: Batch) -> str:
        """Submit a batch."""
        self.ids[batch.token] = ""
        found = self.ids[batch.token] = self.queue.submit(batch)
        assert isinstance(found, str)
        assert found, "the batch has no id"
        return found

    def jobs(self, batch: Batch) -> dict[int, Job]:
        """Return the jobs of a batch that the engine knows, by their indices."""
        found = list(self.queue.look({batch.token: self.ids.get(batch.token, "")}))
        assert {job.token for job in found} <= {batch.token}, "there are jobs of other batches among them"
        by_index = {job.index: job for job in found}
        assert len(by_index) == len(found), "a job is there twice"
        assert by_index.keys() <= set(range(batch.size)), f"there are no such indices: {sorted(by_index)}"
        assert all(job.word for job in found), "a job has no word of the engine"
        return by_index

    def until(self, look: Callable[[], _T | None], otherwise: str) -> _T:
        """Return what `look` finds, once it finds something."""
        deadline = time.monotonic() + self._patience
        while not (found := look()):
            assert time.monotonic() < deadline, otherwise
            threading.Event().wait(0.02)  # an engine cannot tell us the moment
        return found

    def ended(self, batch: Batch) -> dict[int, Job]:
        """Return the jobs of a batch, once all have ended."""

        def look() -> dict[int, Job] | None:
            found = self.jobs(batch)
            return found if len(found) == batch.size and not any(job.state.alive for job in found.values()) else None

        return self.until(look, "some job has not ended, or nobody knows of it any more")

    def dead(self, batch: Batch, *indices: int) -> None:
        """Wait until these jobs are not alive any more; the engine may have forgotten them."""

        def look() -> bool:
            found = self.jobs(batch)
            return not any(found[index].state.alive for index in indices if index in found)

        self.until(look, f"jobs that were cancelled go on: {indices}")

    def began(self, batch: Batch) -> set[int]:
        """Return the indices of the jobs that have begun, as they say themselves."""
        return self._left("began", batch)

    def told(self, batch: Batch) -> set[int]:
        """Return the indices of the jobs that got SIGTERM, as they say themselves."""
        return self._left("told", batch)

    def _left(self, what: str, batch: Batch) -> set[int]:
        return {int(path.name.rpartition("-")[2]) for path in self.folder.glob(f"{what}-{batch.token}-*")}

    def another_ends(self) -> None:
        """Let a batch come after all others and end, which shows that the engine has gone on."""
        last = self.batch("exit 0")
        self.submit(last)
        self.ended(last)

    def open(self) -> None:
        """Let jobs go on that wait."""
        (self.folder / "open").touch()


class QueueAccess(Conformance, abstract=True):
    """The part of the kit that a subclass defines, and what all tests use."""

    patience: ClassVar[float] = 300.0
    """Seconds to wait for what has to happen; only a queue that fails waits so long."""

    impossible: ClassVar[Resources] = Resources(cores=100_000)
    """The needs of a job that the engine refuses."""

    unknown_ids: ClassVar[tuple[str, ...]] = ("999999", "999999_7")
    """An id of a batch and one of a job, in the engine's form, that nothing has."""

    senseless: ClassVar[tuple[dict[str, Any], ...]] = ()
    """Options with values that make no sense, each refused when a queue is made."""

    many: ClassVar[int] = 1000
    """The size of a large batch, where the queue has no largest one, or a larger one."""

    @required
    def queue(self) -> Queue:
        """Define it as a pytest fixture that gives a queue whose engine runs two jobs at once, at least."""
        raise NotImplementedError

    @required
    def unreachable(self, folder: Path) -> Queue:
        """Return a queue whose engine does not answer; the test asks no other one any more.

        Args:
            folder: an empty folder.
        """
        raise NotImplementedError

    def shared_folder(self, tmp_path: Path) -> Path:
        """Return a folder that jobs see wherever they run; redefine it if they do not see pytest's."""
        return tmp_path

    @contextmanager
    def trial(self, queue: Queue, tmp_path: Path) -> Iterator[Trial]:
        """Give batches to a test; whatever is left of them afterwards is ended."""
        trial = Trial(queue, self.shared_folder(tmp_path), self.patience)
        try:
            yield trial
        finally:
            trial.open()
            with suppress(QueueError):
                queue.cancel([identity for identity in trial.ids.values() if identity])
