"""The cause of an end stands beside its reason: in the record, in what the API and the catalog answer, and in old records."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from datetime import datetime
from textwrap import dedent
from types import ModuleType

import pytest

import molexp as me
from molexp.workflow import WorkflowBuilder
from tests import warm
from tests.record.helpers import DEADLINE


@pytest.fixture
def exp(lab):
    return lab.workspace().Project("p").Experiment("e")


def failing(exp, name, error):
    run = exp.Run(id=name)
    with pytest.raises(BaseException) as caught, run.start():  # noqa: PT011 - whichever it is
        raise error
    assert caught.value is error
    return run


@pytest.mark.parametrize(
    ("error", "status", "cause"),
    [
        (ValueError("no"), "failed", "exception"),
        (SystemExit(3), "failed", "exception"),
        (TimeoutError("of a socket"), "failed", "exception"),
        (MemoryError(), "failed", "out_of_memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), "failed", "out_of_memory"),
        (ExceptionGroup("g", [MemoryError(), MemoryError()]), "failed", "out_of_memory"),
        (ExceptionGroup("g", [MemoryError(), ValueError()]), "failed", "exception"),
        (me.RunCancelledError("p/e/another", reason=""), "failed", "exception"),
        (KeyboardInterrupt(), "cancelled", "cancel"),
        (GeneratorExit(), "cancelled", "cancel"),
        (BaseExceptionGroup("g", [ValueError(), KeyboardInterrupt()]), "cancelled", "cancel"),
        (asyncio.CancelledError(), "cancelled", "cancel"),
        (type("CancelledError", (Exception,), {})("of a pool's future"), "failed", "exception"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{type(value).__name__}-{value}"[:40],
)
def test_an_error_that_leaves_the_block_has_a_cause(exp, error, status, cause):
    run = failing(exp, "one", error)

    assert (run.status, run.cause) == (status, cause)
    assert run.execution_history[0]["cause"] == cause


def test_a_cancellation_by_trio_is_a_cancellation(exp, monkeypatch):
    trio = ModuleType("trio")
    trio.Cancelled = type("Cancelled", (BaseException,), {})  # type: ignore[attr-defined]  # as trio has it
    monkeypatch.setitem(sys.modules, "trio", trio)

    run = failing(exp, "one", trio.Cancelled())

    assert (run.status, run.cause) == ("cancelled", "cancel")


def test_a_success_has_none_and_what_goes_on_neither(exp):
    run = exp.Run(id="one")
    assert run.cause is None
    with run.start():
        assert run.cause is None
    assert run.cause is None
    assert "cause" not in run.execution_history[0]
    assert "cause" not in run.to_dict()


def test_a_run_that_was_cancelled_before_its_start(exp):
    run = exp.Run(id="one")
    run.cancel()
    assert (run.status, run.cause) == ("cancelled", "cancel")


def test_it_is_in_run_json_and_in_every_answer(lab, exp):
    failing(exp, "one", ValueError("no"))
    failing(exp, "two", MemoryError())
    with exp.Run(id="three").start():
        pass

    assert (
        json.loads((lab.folder / "projects/p/experiments/e/runs/two/run.json").read_bytes())["cause"] == "out_of_memory"
    )
    assert me.describe_run(exp.run("one"))["cause"] == "exception"
    catalog = lab.load().catalog
    assert [row.id for row in catalog.runs('cause == "out_of_memory"')] == ["two"]
    assert [row.id for row in catalog.runs("cause is null")] == ["three"]
    assert [row.cause for row in catalog.runs(sort="cause")] == ["exception", "out_of_memory", None]
    assert catalog.runs().columns.index("cause") == catalog.runs().columns.index("status") + 1
    assert [row["cause"] for row in catalog.runs("cause is not null").to_dicts()] == ["exception", "out_of_memory"]
    with pytest.raises(me.QueryError, match="cause"):
        catalog.runs('cuase == "signal"')


@pytest.mark.parametrize(
    ("status", "facts", "cause"),
    [
        ("failed", {"reason": "ValueError: no", "error": {"type": "ValueError", "message": "no"}}, "exception"),
        ("failed", {"reason": "", "error": {"type": "numpy.MemoryError", "message": ""}}, "out_of_memory"),
        ("failed", {"reason": "", "error": {"type": "molexp.errors.TaskTimeoutError", "message": ""}}, "timeout"),
        ("failed", {"reason": "diverged"}, None),
        ("cancelled", {"reason": "too expensive"}, "cancel"),
        ("interrupted", {"reason": "received SIGTERM"}, "signal"),
        ("interrupted", {"reason": "its process ended without finishing it"}, "owner_died"),
        ("interrupted", {"reason": "process 7 on here is gone", "ended_by": {"host": "here", "pid": 8}}, "owner_died"),
        (
            "interrupted",
            {"reason": "job 7 was requeued (restart 1)", "ended_by": {"host": "x", "pid": 8}},
            "superseded",
        ),
        ("interrupted", {"reason": "by hand"}, None),
        ("interrupted", {"reason": "received SIGTERM", "cause": "of a later version"}, "of a later version"),
    ],
)
def test_an_end_that_names_none_is_told_by_what_it_says(lab, exp, status, facts, cause):
    with exp.Run(id="one").start():
        pass
    key = "projects/p/experiments/e/runs/one/executions/1.end.json"
    end = {**json.loads(lab.store.read(key)), "status": status, **facts}
    lab.store.write(key, json.dumps(end).encode() + b"\n")

    workspace = lab.load()
    assert workspace.run("p/e/one").cause == cause
    assert [row.cause for row in workspace.catalog.runs()] == [cause]


def test_tasks_have_it_as_well(exp):
    wf = WorkflowBuilder(name="w")

    @wf.task
    def bad(ctx):
        raise MemoryError

    @wf.task(timeout=0.01)
    async def slow(ctx):
        import asyncio

        await asyncio.sleep(60)

    @wf.task
    def good(ctx):
        return 1

    run = exp.Run(id="one")
    result = wf.build().execute_sync(run=run)

    assert {name: outcome.cause for name, outcome in result.tasks.items()} == {
        "bad": "out_of_memory",
        "slow": "timeout",
        "good": None,
    }
    assert {name: task.get("cause") for name, task in run.tasks.items()} == {
        "bad": "out_of_memory",
        "slow": "timeout",
        "good": None,
    }
    assert (result.cause, run.cause) == ("out_of_memory", "out_of_memory")


@pytest.fixture
def killed(lab):
    """Run code under a run until it kills itself; returns the time of the last event, and where the log lies."""

    def run():
        code = """
            import os, signal, molexp as me
            ctx = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start()
            ctx.log("train").append("a line")
            ctx.set_result("x", 1)
            os.kill(os.getpid(), signal.SIGKILL)
        """
        environ = {**os.environ, "LAB": lab.url}
        done = warm.run([sys.executable, "-c", dedent(code)], env=environ, timeout=DEADLINE, check=False)
        assert done.returncode == -signal.SIGKILL
        folder = lab.folder / "projects/p/experiments/e/runs/one"
        log = folder / "logs/train.log"
        os.utime(log, (1, 1))
        return json.loads((folder / "executions/1.jsonl").read_text().splitlines()[-1])["at"], log

    return run


@pytest.mark.skipif(sys.platform != "linux", reason="how a death is known at once")
class TestAKilledAttempt:
    """Somebody looks long after it was killed."""

    LOOKED = "2999-01-01T00:00:00.000000Z"

    @pytest.fixture(autouse=True)
    def later(self, monkeypatch):
        moment = datetime.fromisoformat(self.LOOKED)
        monkeypatch.setattr(time, "time_ns", lambda: int(moment.timestamp()) * 10**9)

    @pytest.mark.parametrize("read_only", [True, False])
    def test_ended_with_its_last_event(self, lab, killed, read_only):
        last, _ = killed()

        workspace = lab.load(read_only=read_only)
        (attempt,) = workspace.run("p/e/one").execution_history
        assert (attempt["status"], attempt["cause"]) == ("interrupted", "owner_died")
        assert (attempt["ended_at"], attempt["found_at"]) == (last, self.LOOKED)
        (row,) = workspace.catalog.runs('cause == "owner_died" and seconds < 100')
        assert row.id == "one"

    def test_ended_with_what_it_wrote_to_a_log(self, lab, killed):
        _, log = killed()
        os.utime(log, (2_000_000_000, 2_000_000_000))

        assert lab.load().run("p/e/one").execution_history[0]["ended_at"] == "2033-05-18T03:33:20.000000Z"

    def test_ended_with_its_last_beat(self, lab, killed):
        killed()
        beat = "2100-01-01T00:00:00.000000Z"
        lab.store.write(".molexp/live/p~e~one~1", json.dumps({"beat": 1, "at": beat, "token": "x"}).encode())

        assert lab.load().run("p/e/one").execution_history[0]["ended_at"] == beat

    def test_ended_no_later_than_it_was_found(self, lab, killed):
        _, log = killed()
        os.utime(log, (40_000_000_000, 40_000_000_000))  # by a clock that is far ahead

        assert lab.load().run("p/e/one").execution_history[0]["ended_at"] == self.LOOKED


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("name", "left", "says", "cause"),
    [
        ("SIGTERM", 20, "", "walltime"),
        ("SIGUSR1", 290, "", "walltime"),
        ("SIGTERM", 290, "", "signal"),
        ("SIGTERM", 200, "JobState=RUNNING", "walltime"),
        ("SIGTERM", 200, "JobState=COMPLETING", "signal"),
        ("SIGTERM", 3000, "JobState=RUNNING PreemptTime=None", "signal"),
        ("SIGTERM", 3000, "JobState=RUNNING PreemptTime=2026-11-28T12:00:00", "preempted"),
        ("SIGTERM", 3000, "JobState=PREEMPTED", "preempted"),
        ("SIGTERM", 3000, "JobState=TIMEOUT PreemptTime=None", "walltime"),
        pytest.param(
            *("SIGTERM", 3000, "'; sleep 3; echo 'JobState=PREEMPTED", "preempted"),
            marks=pytest.mark.long,
            id="a controller that is busy",
        ),
    ],
)
def test_slurm_tells_its_time_limit_and_preemption(lab, tmp_path, name, left, says, cause):
    """`scontrol` is a stand-in here: there is no cluster."""
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\necho 'JobId=7 JobName=relax {says}'\n")
    scontrol.chmod(0o755)
    code = f"""
        import os, signal, time, molexp as me
        os.environ["SLURM_JOB_START_TIME"] = str(int(time.time() - 3600 + {left}))
        os.environ["SLURM_JOB_END_TIME"] = str(int(time.time() + {left}))
        os.environ["MOLEXP_JOB_ENDS"] = str(int(time.time() + {left} - 150))  # as jobs of MolExp have it
        with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start():
            os.kill(os.getpid(), signal.{name})
            time.sleep(60)
    """
    environ = {**os.environ, "LAB": lab.url, "SLURM_JOB_ID": "7", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = warm.run([sys.executable, "-c", dedent(code)], env=environ, timeout=DEADLINE, check=False)

    assert done.returncode == 128 + getattr(signal, name)
    run = lab.load().run("p/e/one")
    assert (run.status, run.cause) == ("interrupted", cause)
    assert run.execution_history[0]["reason"] == f"received {name}"
