"""The parent's side of one worker process."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import pickle
import signal
import threading
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeAlias

from molexp._executors import main_module, worker
from molexp._executors.pooled import close_all
from molexp._executors.process import INTERRUPTIBLE, WORKER, Work
from molexp._executors.requests import outcome_of, pickled_call
from molexp._executors.slots import Ended, GiveBack, Job, Jobs
from molexp._values.groups import GROUPS, kill_group
from molexp._values.oom_kills import memory_events, oom_kills
from molexp._values.process_id import HERE
from molexp.contracts import Outcome
from molexp.errors import ExecutorError, WorkerDiedError

_LEAVING = 5.0  # seconds that an idle worker has to end by itself; its exit handlers run then
_DYING = 1.0  # seconds between the end of a worker's connection and its own

_GRACE = 4.0  # seconds that a worker has to end what it is doing, once it was asked to

_MOST = 64  # calls that are sent at once
_MOST_BYTES = 256 * 1024  # of calls that are sent at once, but for the last of them
_SPAN = 0.005  # seconds that such calls take together, if they are as long as those before
_PATIENCE = 0.05  # seconds after which others may take what waits for a call that takes longer

Packed: TypeAlias = tuple[worker.Head, bytes]

_SIGKILL = getattr(signal, "SIGKILL", 9)
_ASKED = {number for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTERM") if (number := getattr(signal, name, None))}

_CONTEXT = multiprocessing.get_context("spawn")
_STARTING = threading.Lock()  # to start a process is to look after all the others, which is not for two threads at once

# At the end of this process, before `multiprocessing` waits for all its children.
multiprocessing.util.Finalize(None, close_all, exitpriority=100)


class Children:
    """The state that the children of one executor share."""

    def __init__(self) -> None:
        self.proven = False  # a worker has come up
        self.trouble = ""  # the reason if none can
        self.memory = memory_events()
        self.first = threading.Lock()
        """Held to start workers until one has come up: if none can, there is one traceback, and not one of each."""

    def new(self) -> Child:
        """Make a child; its process is started when it is needed."""
        return Child(self)


class _DeadError(Exception):
    """The process has ended."""


class Child:
    """Serves calls with one process at a time; see `molexp._executors.slots.Server`.

    Short calls are sent several at once. All but the first need a permit to begin: a byte in a pipe, which the process
    reads, or we do, to take it back. So it is always known which calls have begun: those that were answered, and one.
    """

    def __init__(self, shared: Children) -> None:
        self._shared = shared
        # Held to kill the process, and to let go of it before it is collected. The garbage collector may come while this is
        # held, and stop what is served: it has found that nobody has the executor any more.
        self._lock = threading.RLock()
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection[Any, Any] | None = None
        self._permits: tuple[Connection[Any, Any], Connection[Any, Any]] | None = None
        self._jobs: Jobs[Work] = []  # those that are served
        self._begun = 0  # those of them that have begun, or may
        self._answered = 0
        self._room = 1
        self._stopping = False
        self._closed = False
        self._kills: int | None = None  # for want of memory, as the process was started
        self._patience: threading.Timer | None = None  # until the process is killed, if it does not end

    def room(self) -> int:
        """Return the number of calls to send at once: as many as take milliseconds together, if they are like the last."""
        return self._room

    def serve(self, jobs: Jobs[Work], give_back: GiveBack[Work]) -> Ended[Work]:
        """Run calls in the process."""
        ended: Ended[Work] = []
        packed: dict[Job[Work], Packed] = {}
        rest = _pack(jobs, packed, ended)
        with self._lock:
            self._jobs = [job for job in packed if not job.dropped]
            if self._closed:
                self._jobs.clear()
            self._begun, self._answered = min(1, len(self._jobs)), 0
        give_back(jobs if self._closed else rest)
        if self._jobs:
            try:
                self._have_process()
                self._receive(self._send(packed), ended, give_back)
                if self._stopping and self._connection is not None:  # it had an answer all the same
                    self._connection.close()
                    self._collect(_DYING)
            except _DeadError:
                give_back(self._take_back())  # before the process is collected: that takes its time
                died = self._died(self._jobs[-1].name)
                if self._answered < self._begun:
                    ended.append((self._jobs[-1], Outcome(error=died)))
            except Exception as error:  # noqa: BLE001 - the system has no process, memory or descriptor left
                give_back(self._take_back())
                ended += [(job, Outcome(error=error)) for job in self._jobs[self._answered :]]
        with self._lock:
            self._jobs = []
        return ended

    def _send(self, packed: Mapping[Job[Work], Packed]) -> Jobs[Work]:
        """Send the calls; return those that were sent."""
        assert self._connection is not None
        self._jobs[0].work[0].begin()
        with self._lock:
            if len(self._jobs) > 1:
                assert self._permits is not None
                os.write(self._permits[1].fileno(), bytes(len(self._jobs) - 1))
            self._begun = len(self._jobs)
            sent = [*self._jobs]
        heads, bodies = [packed[job][0] for job in sent], [packed[job][1] for job in sent]
        # Both are made before either is sent: without memory for the second, the worker would wait for it.
        messages = (
            pickle.dumps(((HERE.script, HERE.instead), heads)),
            b"".join(bodies) if len(bodies) > 1 else bodies[0],
        )
        try:
            for message in messages:
                self._connection.send_bytes(message)
        except OSError:
            raise _DeadError from None
        return sent

    def _receive(self, sent: Jobs[Work], ended: Ended[Work], give_back: GiveBack[Work]) -> None:
        """Receive the answers; settle them where others are still to come."""
        assert self._connection is not None
        spent, values = 0.0, 0
        while self._answered < (self._begun if self._stopping else len(sent)):
            if not ended or not self._connection.poll():
                while ended:
                    job, outcome = ended.pop(0)
                    job.settle(outcome)
                if not self._heard(_PATIENCE if self._begun - self._answered > 1 else None):
                    self._room = 1
                    give_back(self._take_back())  # others need not wait for the one that takes long
                    continue
            if (message := self._message()) is None:
                raise _DeadError
            if message == worker.REST:
                break
            job = sent[self._answered]
            outcome, took = outcome_of(message, job.name)
            if self._stopping and isinstance(outcome.error, KeyboardInterrupt):  # `stop` asked it to
                outcome = Outcome(error=ExecutorError(f"The call {job.name!r} was stopped.", call=job.name))
            if outcome.error is None:
                spent, values = spent + took, values + 1
            ended.append((job, outcome))
            with self._lock:
                self._answered += 1
        if values and self._permits is not None:
            self._room = max(1, min(_MOST, 2 * len(sent), int(_SPAN * values / max(spent, _SPAN / _MOST))))

    def _take_back(self) -> Jobs[Work]:
        """Return the calls that have not begun, and do not let them."""
        with self._lock:
            return self._recall()

    def _recall(self) -> Jobs[Work]:
        if self._permits is not None and self._begun > 1:
            with suppress(BlockingIOError):
                self._begun -= len(os.read(self._permits[0].fileno(), _MOST))
        recalled = self._jobs[self._begun :]
        del self._jobs[self._begun :]
        return recalled

    def stop(self, job: Job[Work] | None) -> Jobs[Work]:
        """End the process if `job` is being served, or whatever is; called from another thread.

        It is asked first, so that what ends runs when a process is told to end gets the time for that: by the signal that
        asked this process, else by SIGTERM, or as by Ctrl-C if the call is a whole run. What it has started is asked, too.
        """
        with self._lock:
            self._closed = self._closed or job is None
            freed = self._recall()
            current = self._jobs[-1] if self._jobs and self._answered < self._begun else None
            if job not in (None, current):  # it has not begun, or has ended
                return freed if job in freed else [*freed, *([job] if job is not None else [])]
            if current is not None and (process := self._process) is not None and not self._stopping:
                self._stopping = True
                number = signal.SIGINT if hasattr(current.work[0].function, INTERRUPTIBLE) else signal.SIGTERM
                if not kill_group(process.pid or 0, HERE.asked_by or number):
                    process.terminate()
                self._patience = threading.Timer(_GRACE, self._insist, (process,))
                self._patience.daemon = True
                self._patience.start()
            return freed

    def _insist(self, process: multiprocessing.process.BaseProcess) -> None:
        with self._lock:
            if self._process is process:
                self._kill(process)

    def close(self) -> None:
        """Let the process end."""
        if self._process is not None and self._connection is not None:
            self._connection.close()
            self._collect(_LEAVING, left_alone=True)

    @staticmethod
    def _kill(process: multiprocessing.process.BaseProcess) -> None:
        """Kill it and what it has started, unless that has left its group."""
        kill_group(process.pid or 0, _SIGKILL)
        process.kill()

    # --------------------------------------------------------------------------------------------------- its process

    def _have_process(self) -> None:
        if self._process is not None and (self._stopping or self._heard(0.0)):  # an idle worker has nothing to say
            self._collect(_DYING)
        if self._process is None:
            with nullcontext() if self._shared.proven else self._shared.first:
                if self._shared.trouble and not self._shared.proven:
                    raise ExecutorError(self._shared.trouble, call=self._jobs[0].name)
                self._start(self._jobs[0])
                self._shared.proven = True

    def _start(self, job: Job[Work]) -> None:
        GROUPS.prepare()
        ours, theirs = _CONTEXT.Pipe()
        permits = _CONTEXT.Pipe(duplex=False) if os.name == "posix" else None
        if permits is not None:
            os.set_blocking(permits[0].fileno(), False)
        given = theirs, permits and permits[0]
        process = _CONTEXT.Process(target=worker.main, args=given, name=WORKER, daemon=False)
        try:
            _launch(process)
        except BaseException:
            for one in (ours, *(permits or ())):
                one.close()
            raise
        finally:
            theirs.close()
        with self._lock:
            self._process, self._connection, self._permits = process, ours, permits
            self._stopping = job.dropped or self._closed
            if self._stopping:
                process.kill()
        GROUPS.add(process.pid or 0)
        self._kills = oom_kills(self._shared.memory)
        if not self._heard(None) or self._message() != worker.READY:
            raise self._stillborn(job.name)

    def _stillborn(self, name: str) -> ExecutorError:
        pid, exit_code = self._collect(_DYING)
        script = main_module.script()
        if exit_code is None or exit_code < 0 or not script:
            return WorkerDiedError(name, pid=pid, exit_code=exit_code)
        if exit_code == main_module.UNGUARDED:
            self._shared.trouble = main_module.advice(script)
        else:
            self._shared.trouble = (
                f"A worker process ended with exit code {exit_code} before it was ready; standard error has the reason. "
                f"Worker processes import your script, {script}: that has to work in each of them, and what only the "
                'script itself does belongs below `if __name__ == "__main__":`.'
            )
        return ExecutorError(self._shared.trouble, call=name)

    def _collect(self, patience: float, *, left_alone: bool = False) -> tuple[int, int | None]:
        """Let go of the process, which is ending or has `patience` seconds to do so; its id and exit code.

        What it has started is killed, unless it could leave by itself, and that was meant to be left.
        """
        assert self._process is not None
        assert self._connection is not None
        process = self._process
        if not wait([process.sentinel], patience) or not left_alone:
            self._kill(process)  # before it is collected: until then nobody else has its number
        GROUPS.remove(process.pid or 0)
        with self._lock:
            self._process = None  # from here on its id may be another's
            permits, self._permits = self._permits, None
            if self._patience is not None:
                self._patience.cancel()
        process.join()
        with _STARTING:  # whoever starts a process may just have collected this one
            pid, exit_code = process.pid or 0, process.exitcode
        for connection in (self._connection, *(permits or ())):
            connection.close()
        self._connection = None
        if exit_code is not None:
            process.close()
        if (
            exit_code is not None and exit_code - 128 in _ASKED
        ):  # as a shell tells it: it ended what it was at, then itself
            exit_code = 128 - exit_code
        return pid, exit_code

    def _died(self, name: str) -> WorkerDiedError:
        pid, exit_code = self._collect(_DYING)
        now = oom_kills(self._shared.memory) if exit_code == -_SIGKILL else None
        full = now is not None and self._kills is not None and now > self._kills
        return WorkerDiedError(name, pid=pid, exit_code=exit_code, out_of_memory=full)

    # ---------------------------------------------------------------------------------------------------- what it says

    def _message(self) -> bytes | None:
        """Return the next message of the worker, which was heard of; None if it is dead."""
        assert self._connection is not None
        try:
            return self._connection.recv_bytes() if self._connection.poll() else None
        except (EOFError, OSError):
            return None

    def _heard(self, timeout: float | None) -> list[Any]:
        assert self._process is not None
        assert self._connection is not None
        return wait([self._connection, self._process.sentinel], timeout)


def _launch(process: multiprocessing.process.BaseProcess) -> None:
    """Start it, with Ctrl-C held back until it has its own way with that."""
    with _STARTING:
        if not hasattr(signal, "pthread_sigmask"):
            process.start()
            return
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # at its start it would undo what comes next
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pack(jobs: Jobs[Work], packed: dict[Job[Work], Packed], ended: Ended[Work]) -> Jobs[Work]:
    """Pickle calls; return those that were left, because what is sent at once is bounded."""
    size = 0
    for number, job in enumerate(jobs):
        if size > _MOST_BYTES:
            return jobs[number:]
        call, folder, path = job.work
        try:
            body = pickled_call(call, job.name)
        except Exception as error:  # noqa: BLE001 - what cannot be pickled, and does not even say so
            ended.append((job, Outcome(error=error)))
            continue
        size += len(body)
        packed[job] = (job.name, folder, path, len(body)), body
    return []
