"""The parent's side of one worker process."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import pickle
import signal
import threading
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.connection import Connection, wait
from typing import Any

from molexp._executors import main_module, worker
from molexp._executors.pooled import close_all
from molexp._executors.process import INTERRUPTIBLE, WORKER, Work
from molexp._executors.requests import pickled_call, unloadable, unreadable_reply
from molexp._values.groups import GROUPS, kill_group
from molexp._values.oom_kills import memory_events, oom_kills
from molexp._values.process_id import HERE
from molexp.contracts import Outcome
from molexp.errors import ExecutorError, WorkerDiedError

_LEAVING = 5.0  # seconds that an idle worker has to end by itself; its exit handlers run then
_DYING = 1.0  # seconds between the end of a worker's connection and its own

_GRACE = 4.0  # seconds that a worker has to end what it is doing, once it was asked to

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
        self._first = threading.Lock()

    def new(self) -> Child:
        """Make a child; its process is started when it is needed."""
        return Child(self)

    def one_at_a_time(self) -> AbstractContextManager[object]:
        """Start one worker at a time until one has come up: if none can, there is one traceback, and not one of each."""
        return nullcontext() if self.proven else self._first


class Child:
    """Serves calls with one process at a time; see `molexp._executors.slots.Server`."""

    def __init__(self, shared: Children) -> None:
        self._shared = shared
        self._lock = threading.Lock()  # held to kill the process, and to let go of it before it is collected
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection[Any, Any] | None = None
        self._stopping = False
        self._stopped: Work | None = None
        self._kills: int | None = None  # for want of memory, as the process was started
        self._patience: threading.Timer | None = None  # until the process is killed, if it does not end

    def serve(self, work: Work) -> Outcome:
        """Run a call in the process."""
        call, name, folder, path = work
        try:
            body = pickled_call(call, name)
            header = pickle.dumps((name, folder, path, HERE.script), pickle.HIGHEST_PROTOCOL)
            self._have_process(work)
            call.begin()
            outcome = _outcome(self._exchange(header, body, name), name)
            if self._stopping and self._connection is not None:  # it had an answer all the same
                self._connection.close()
                self._collect(_DYING)
                if isinstance(outcome.error, KeyboardInterrupt):  # `stop` asked it to
                    return Outcome(error=ExecutorError(f"The call {name!r} was stopped.", call=name))
            return outcome
        except Exception as error:  # noqa: BLE001 - the system has no process, memory or descriptor left
            return Outcome(error=error)

    def stop(self, work: Work) -> bool:
        """End the process if `work` is being served; called from another thread.

        It is asked first, so that what ends runs when a process is told to end gets the time for that: by the signal that
        asked this process, else by SIGTERM, or as by Ctrl-C if the call is a whole run. What it has started is asked, too.
        """
        with self._lock:
            self._stopped = work
            if (process := self._process) is not None and not self._stopping:
                self._stopping = True
                number = signal.SIGINT if hasattr(work[0].function, INTERRUPTIBLE) else signal.SIGTERM
                if not kill_group(process.pid or 0, HERE.asked_by or number):
                    process.terminate()
                self._patience = threading.Timer(_GRACE, self._insist, (process,))
                self._patience.daemon = True
                self._patience.start()
        return True

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

    def _have_process(self, work: Work) -> None:
        if self._process is not None and (self._stopping or self._heard(0.0)):  # an idle worker has nothing to say
            self._collect(_DYING)
        if self._process is None:
            with self._shared.one_at_a_time():
                if self._shared.trouble and not self._shared.proven:
                    raise ExecutorError(self._shared.trouble, call=work[1])
                self._start(work)
                self._shared.proven = True

    def _start(self, work: Work) -> None:
        GROUPS.prepare()
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=worker.main, args=(theirs,), name=WORKER, daemon=False)
        try:
            _launch(process)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        with self._lock:
            self._process, self._connection = process, ours
            self._stopping = self._stopped is work
            if self._stopping:
                process.kill()
        GROUPS.add(process.pid or 0)
        self._kills = oom_kills(self._shared.memory)
        if self._receive() != worker.READY:
            raise self._stillborn(work[1])

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
            if self._patience is not None:
                self._patience.cancel()
        process.join()
        with _STARTING:  # whoever starts a process may just have collected this one
            pid, exit_code = process.pid or 0, process.exitcode
        self._connection.close()
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

    def _exchange(self, header: bytes, body: bytes, name: str) -> bytes:
        assert self._connection is not None
        try:
            self._connection.send_bytes(header)
            self._connection.send_bytes(body)
            reply = self._receive()
        except OSError:
            reply = None
        if reply is None:
            raise self._died(name)
        return reply

    def _receive(self) -> bytes | None:
        """Return the next message of the worker; None if it is dead."""
        assert self._connection is not None
        if self._connection not in self._heard(None) and not self._connection.poll():
            return None
        try:
            return self._connection.recv_bytes()
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


def _outcome(reply: bytes, name: str) -> Outcome:
    try:
        kind, content, trace = pickle.loads(reply)  # noqa: S301 - from our worker
    except Exception as error:  # noqa: BLE001 - unpickling runs foreign code
        return Outcome(error=unreadable_reply(name, error))
    if kind == "value":
        return Outcome(value=content)
    raised: BaseException = unloadable(name, content) if kind == "unloadable" else content
    if trace:
        raised.__cause__ = worker.RemoteTraceback(trace)
    return Outcome(error=raised)
