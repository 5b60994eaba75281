"""Attempts survive values nobody should save, errors that misbehave, threads and signals at bad moments."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy
import pytest

import molexp as me
from molexp.errors import StoreError


def test_a_field_that_is_a_numpy_scalar_is_plain(run):
    with run.start() as ctx:
        ctx.checkpoint.save("state", b"x", step=numpy.int64(3))

    assert run.asset("state").step == 3


def test_a_field_that_cannot_be_recorded_is_refused_and_the_run_ends_all_the_same(run):
    with run.start() as ctx:
        with pytest.raises(me.SerializationError):
            ctx.checkpoint.save("state", b"x", step=object())
        ctx.set_result("energy", 1)

    assert (run.status, run.results) == ("succeeded", {"energy": 1})


def test_a_path_that_is_no_key_is_recorded_as_text(lab_run, lab):
    with lab_run.start() as ctx:
        ctx.set_result("root", lab.folder)
        ctx.set_result("odd", lab.folder / ".tmp-1")

    assert lab_run.results == {"root": str(lab.folder), "odd": str(lab.folder / ".tmp-1")}
    assert len(lab.load().catalog.runs()) == 1


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def test_an_error_that_has_no_text_fails_the_run(run):
    with pytest.raises(Mute), run.start():
        raise Mute

    assert run.status == "failed"
    assert run.execution_history[0]["error"]["type"].endswith("Mute")


def test_an_inner_run_that_was_cancelled_does_not_cancel_the_outer_one(exp):
    outer = exp.Run(id="outer")
    with pytest.raises(me.RunCancelledError), outer.start():
        raise me.RunCancelledError("metals/cu/inner", reason="enough")

    assert outer.status == "failed"


def test_scratch_is_kept_when_somebody_else_ended_the_attempt(lab_run):
    end = lab_run._session.store.local_path("projects/metals/experiments/cu/runs/one/executions/1.end.json")
    with pytest.raises(me.RunSupersededError), lab_run.start() as ctx:
        scratch = ctx.workdir
        end.write_text('{"schema": 1, "type": "end", "attempt": 1, "status": "interrupted"}')

    assert scratch.is_dir()
    scratch.rmdir()


def test_threads_that_record_while_the_attempt_ends_are_told_so(exp):
    """All that a thread was told is recorded, is; the rest is refused as after any end."""
    for number in range(20):
        run = exp.Run(id=f"r{number}")
        ctx = run.start()
        told: list[int] = []
        errors: list[me.MolexpError] = []

        def record(ctx: me.RunContext = ctx, told: list[int] = told, errors: list[me.MolexpError] = errors) -> None:
            try:
                for step in range(10_000):
                    ctx.set_result("step", step)
                    ctx.log(f"log-{step % 3}").append("a line")
                    told.append(step)
            except me.MolexpError as error:
                errors.append(error)  # noqa: B023 - of this round

        thread = threading.Thread(target=record)
        thread.start()
        while not told:
            pass
        ctx.finish()
        thread.join()

        assert [type(error) for error in errors] == [me.ContextClosedError], errors
        assert run.results["step"] >= told[-1]
        assert all(asset.content_hash for asset in run.assets), run.assets


def test_threads_that_save_one_name_at_once_make_versions(run):
    with run.start() as ctx:
        ready = threading.Barrier(4)
        errors: list[me.MolexpError] = []

        def save(text: str) -> None:
            ready.wait()
            try:
                ctx.artifact.save("a.txt", text)
            except me.MolexpError as error:
                errors.append(error)

        threads = [threading.Thread(target=save, args=(f"text {number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert errors == []
    asset = run.asset("a.txt")
    assert asset.version == 4
    assert len(asset.read_bytes()) == asset.size


def test_a_signal_handler_may_log(script, lab):
    done = script(
        """
        import os, signal, molexp as me
        run = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one")
        with run.start() as ctx:
            log = ctx.log("relax")
            signal.signal(signal.SIGALRM, lambda *_: log.append("from the handler"))
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            for step in range(20000):
                log.append(f"step {step}")
            signal.setitimer(signal.ITIMER_REAL, 0)
        """
    )

    assert done.code == 0, done.err
    run = lab.load().run("p/e/one")
    lines = run.logs["relax"].text().splitlines()
    assert [line for line in lines if line.startswith("step")] == [f"step {step}" for step in range(20000)]
    assert "from the handler" in lines
    assert lab.load().fsck().ok


def test_a_signal_that_is_handled_in_c_is_left_alone(script, lab):
    done = script(
        """
        import faulthandler, os, signal, molexp as me
        faulthandler.register(signal.SIGUSR1)
        with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start():
            os.kill(os.getpid(), signal.SIGUSR1)
        """
    )

    assert done.code == 0, done.err
    assert "most recent call first" in done.err
    assert lab.load().run("p/e/one").status == "succeeded"


def test_termination_is_handled_though_the_first_run_was_a_threads(script, lab):
    done = script(
        """
        import os, signal, threading, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e")
        thread = threading.Thread(target=lambda: exp.Run(id="first").start().finish())
        thread.start()
        thread.join()
        with exp.Run(id="second").start():
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        """
    )

    assert done.code == 143, done.err
    history = lab.load().run("p/e/second").execution_history
    assert history[0]["reason"] == "received SIGTERM"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="about forking")
def test_termination_is_handled_in_a_forked_child(script, lab):
    done = script(
        """
        import os, signal, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e")
        with exp.Run(id="parent").start():
            pass
        if (pid := os.fork()) == 0:
            with exp.Run(id="child").start():
                os.kill(os.getpid(), signal.SIGTERM)
                signal.pause()
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 143, status
        """
    )

    assert done.code == 0, done.err
    history = lab.load().run("p/e/child").execution_history
    assert history[0]["reason"] == "received SIGTERM"


def test_a_disk_that_will_not_sync_is_not_kept_secret(lab_run, monkeypatch):
    """The end stands, and the caller knows that a power loss may undo it."""

    def fail(*_args: object, **_options: object) -> None:
        raise StoreError("no sync today")

    ctx = lab_run.start()
    ctx.set_result("energy", 1)
    monkeypatch.setattr(type(lab_run._session.store), "sync", fail)

    with pytest.raises(StoreError, match="no sync"):
        ctx.finish()

    assert isinstance(lab_run._session.store.local_path("x"), Path)
