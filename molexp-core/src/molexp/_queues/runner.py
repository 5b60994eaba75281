"""The process that starts the jobs of the local queue; it ends when there is nothing left to do."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen
from typing import IO, Any

from msgspec import Struct
from msgspec.structs import replace

from molexp._queues.files import BATCHES, JobFacts, QueueFiles, StoredBatch
from molexp._record.owners import birth_of
from molexp._values.groups import kill_group
from molexp.contracts import JOB_ENDS, JOB_ID, JOB_INDEX

_PAUSE = 0.5  # seconds between two looks at what others want, if nothing else happens
_GRACE = 30.0  # seconds between SIGTERM and SIGKILL
_KEPT = 7 * 86400.0  # seconds for which a batch is kept after it was submitted, once it has ended


class _Running(Struct):
    """A job that is going on."""

    batch: StoredBatch
    index: int
    pid: int
    ends: float | None
    process: Popen[bytes] | None = None  # None: an earlier runner started it
    owner: Mapping[str, Any] | None = None
    asked: float = 0.0  # when it was asked to end
    word: str = ""


class Runner:
    """Starts jobs while there are cores for them, the oldest batch first."""

    def __init__(self, files: QueueFiles, woken: int) -> None:
        self.files = files
        self._woken = woken
        self._running: list[_Running] = []
        self._known: dict[str, list[JobFacts]] = {}

    def run(self) -> None:
        """Work until there is nothing to do, or the queue is gone."""
        self._begin()
        while True:
            batches = self.files.batches()
            for token in batches.keys() - self._known.keys():
                self._known[token] = self.files.jobs(batches[token])
            self._reap()
            waiting = self._start(batches)
            if (not waiting and not self._running) or not self.files.root.is_dir():  # somebody has removed the queue
                return
            readable, _, _ = select.select([self._woken], [], [], _PAUSE)
            if readable:
                os.read(self._woken, 4096)

    def has_work(self) -> bool:
        """Tell whether something came while it was leaving."""
        batches = self.files.batches()
        return any(not job.ended for batch in batches.values() for job in self.files.jobs(batch))

    def _begin(self) -> None:
        """Take over what an earlier runner has left, and delete what is old."""
        for token, batch in self.files.batches().items():
            jobs = self._known[token] = self.files.jobs(batch)
            if all(job.ended for job in jobs) and time.time() - batch.at > _KEPT:
                shutil.rmtree(self.files.root / BATCHES / token, ignore_errors=True)
                continue
            for index, job in enumerate(jobs):
                if job.owner is not None and not job.ended:
                    pid = int(job.owner.get("pid") or 0)
                    ends = job.began + batch.walltime if batch.walltime else None
                    self._running.append(_Running(batch, index, pid, ends, owner=job.owner))

    def _reap(self) -> None:
        """Note the jobs that have ended, and end those that are to end."""
        cancelled: dict[str, set[int]] = {}
        for job in [*self._running]:
            token = job.batch.token
            code = job.process.poll() if job.process is not None else None
            if job.process is None and job.owner is not None and self.files.is_dead(job.owner):
                self._end(job, None, job.word or "LOST")
            elif code is not None:
                self._end(job, code, job.word or ("COMPLETED" if code == 0 else "FAILED"))
            elif job.asked:
                if time.monotonic() - job.asked > _GRACE:
                    kill_group(job.pid, signal.SIGKILL)
            else:
                if token not in cancelled:
                    cancelled[token] = self.files.cancelled(job.batch)
                if job.index in cancelled[token]:
                    job.word = "CANCELLED"
                elif job.ends is not None and time.time() >= job.ends:
                    job.word = "TIMEOUT"
                if job.word:
                    job.asked = time.monotonic()
                    kill_group(job.pid, signal.SIGTERM)

    def _end(self, job: _Running, code: int | None, word: str) -> None:
        self._running.remove(job)
        self._note(job.batch, job.index, code, word)

    def _note(self, batch: StoredBatch, index: int, code: int | None, word: str) -> None:
        facts = self._known[batch.token][index]
        facts.ended, facts.code, facts.word = True, code, word
        self.files.say(batch.token, {"job": index, "code": code, "word": word, "at": time.time()})

    def _start(self, batches: Mapping[str, StoredBatch]) -> bool:
        """Start what can begin now; returns whether anything waits."""
        waiting = False
        used = sum(job.batch.cores for job in self._running)
        for token, batch in batches.items():
            left = [index for index, job in enumerate(self._known[token]) if job.owner is None and not job.ended]
            if not left:
                continue
            cancelled = self.files.cancelled(batch)
            for index in [index for index in left if index in cancelled]:
                self._note(batch, index, None, "CANCELLED")
            left = [index for index in left if index not in cancelled]
            waiting |= bool(left)
            if any(self._goes_on(other) for other in batch.after):
                continue
            running = sum(job.batch.token == token for job in self._running)
            for index in left:
                if running >= batch.at_once:
                    break
                if used and used + batch.cores > batch.limit:
                    return True
                if self._launch(batch, index):
                    used += batch.cores
                    running += 1
            if all(job.owner is not None or job.ended for job in self._known[token]):
                self.files.forget_environment(token)
        return waiting

    def _goes_on(self, token: str) -> bool:
        return any(not job.ended for job in self._known.get(token, ()))

    def _launch(self, batch: StoredBatch, index: int) -> bool:
        """Start a job; one that cannot be started has failed."""
        now = time.time()
        ends = now + batch.walltime if batch.walltime else None
        given = self.files.environment(batch.token) or os.environ
        environment = {name: value for name, value in given.items() if name != JOB_ENDS}
        environment |= {JOB_INDEX: str(index), JOB_ID: job_id(batch.token, index)}
        environment |= {JOB_ENDS: str(int(ends))} if ends is not None else {}
        output: IO[bytes] | int = DEVNULL
        try:
            if batch.output:
                output = open(Path(batch.output) / f"{batch.token}_{index}.out", "ab")  # noqa: SIM115 - closed below
            process = Popen(
                batch.command,
                cwd=batch.folder,
                env=environment,
                stdin=DEVNULL,
                stdout=output,
                stderr=STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            sys.stderr.write(f"{batch.token} {index}: {error}\n")  # runner.log
            self._note(batch, index, None, f"NOT STARTED ({error})")
            return False
        finally:
            if not isinstance(output, int):
                output.close()
        birth = birth_of(process.pid)
        owner = replace(self.files.me, pid=process.pid, birth=birth, job="", array="").to_dict()
        self._known[batch.token][index].owner = owner
        self.files.say(batch.token, {"job": index, "owner": owner, "at": now})
        self._running.append(_Running(batch, index, process.pid, ends, process, owner))
        return True


def job_id(token: str, index: int) -> str:
    """Return the id of a job."""
    return f"{token}_{index}"


def main() -> None:
    """Be the runner of a folder, if there is none."""
    if os.fork():  # whoever started this need not wait for it, and it is nobody's zombie
        os._exit(0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    files = QueueFiles(Path(sys.argv[1]))
    while number := files.claim():
        runner = Runner(files, reading)
        runner.run()
        if not files.root.is_dir():
            break
        files.leave(number)
        if not runner.has_work():
            break


if __name__ == "__main__":
    main()
