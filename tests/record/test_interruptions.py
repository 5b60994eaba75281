"""Ctrl-C and signals that come just as a run is started, or as its block is left."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
import weakref

import pytest

import molexp as me
from tests.record.helpers import amid

RUN = "projects/metals/experiments/cu/runs/one"


@contextlib.contextmanager
def ctrl_c_is_heard():
    """See to it that Ctrl-C raises, although whatever started the tests may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


SENT_IN_C = {"alone": [signal.SIGINT], "and an error": [signal.SIGINT, "no signal"]}


@pytest.mark.parametrize("numbers", SENT_IN_C.values(), ids=SENT_IN_C)
def test_ctrl_c_during_c_code_that_ends_a_block_is_no_success_and_no_run_that_goes_on(run, numbers):
    with ctrl_c_is_heard(), pytest.raises(KeyboardInterrupt), run.start() as ctx:
        ctx.set_result("before", 1)
        [*map(_thread.interrupt_main, numbers)]  # Python looks for signals at the next call, which leaves the block

    assert (run.status, run.cause, run.results) == ("cancelled", "cancel", {"before": 1})
    assert [one["reason"] for one in run.execution_history] == ["KeyboardInterrupt"]


def test_a_signal_during_c_code_that_ends_a_block_is_the_cause(run):
    with pytest.raises(SystemExit), run.start():
        [*map(_thread.interrupt_main, [signal.SIGTERM])]

    assert (run.status, run.cause) == ("interrupted", "signal")
    assert run.execution_history[0]["reason"] == "received SIGTERM"


def test_ctrl_c_while_a_run_is_started_leaves_none_that_goes_on(place, run, monkeypatch):
    def press():
        raise KeyboardInterrupt

    amid(monkeypatch, run._session.store, ["create", "open_append"], f"{RUN}/executions/1.jsonl", press, after=True)
    with pytest.raises(KeyboardInterrupt):
        run.start()

    assert (run.status, run.cause) == ("cancelled", "cancel")
    assert place.document(f"{RUN}/run.json")["status"] == "cancelled"
    with run.start() as ctx:
        assert ctx.attempt == 2
    assert [one["status"] for one in run.execution_history] == ["cancelled", "succeeded"]
    assert place.load().fsck().ok


def test_ctrl_c_at_any_call_between_the_claim_and_the_block_ends_the_run(lab_exp, monkeypatch):
    store, calls, here = type(lab_exp._session.store), [], threading.get_ident()
    claim = store.open_append

    def count(frame, event, _arg):
        if event == "call" and frame.f_code.co_name != "__get__":  # by that, Python looks up what `with` is to call
            calls.append(frame.f_code.co_name)
            if len(calls) == pressed:
                raise KeyboardInterrupt

    def claim_and_count(*asked, **options):
        try:
            return claim(*asked, **options)
        finally:
            if threading.get_ident() == here:
                sys.setprofile(count)

    def execute(run):
        try:
            with run.start():
                sys.setprofile(None)
        finally:
            sys.setprofile(None)

    monkeypatch.setattr(store, "open_append", claim_and_count)
    pressed = 0
    while len(calls) >= pressed:
        pressed += 1
        calls.clear()
        run, status = lab_exp.Run({"a": pressed}), "cancelled"
        with contextlib.suppress(KeyboardInterrupt):
            execute(run)
            status = "succeeded"
        assert run.status == status, calls[-5:]
    assert pressed > 10


def test_an_attempt_whose_claim_arrives_after_an_error_is_over_for_the_process_that_made_it(place, run, monkeypatch):
    """A request that timed out may land late."""

    def time_out():
        raise me.errors.UnavailableError("no answer", key=f"{RUN}/executions/1.jsonl", url=place.url)

    amid(monkeypatch, run._session.store, ["create", "open_append"], f"{RUN}/executions/1.jsonl", time_out, after=True)
    with pytest.raises(me.errors.UnavailableError):
        run.start()

    with run.start() as ctx:
        assert ctx.attempt == 2
    assert [one["status"] for one in run.execution_history] == ["interrupted", "succeeded"]
    assert run.execution_history[0]["reason"] == "it could not be started: no answer"


def test_whoever_only_looks_at_how_a_block_is_left_ends_nothing(run):
    ctx = run.start()
    known = ctx.__enter__, ctx.__exit__  # as helpers do that check whether something is a context manager
    known[0]()
    del known
    assert callable(ctx.__exit__)
    ctx.set_result("energy", -3.7)
    assert run.status == "running"
    ctx.__exit__(None, None, None)

    assert run.status == "succeeded"


def test_a_context_keeps_no_memory_once_its_block_is_left(run):
    with pytest.raises(ZeroDivisionError), run.start() as ctx:
        raise ZeroDivisionError
    left = weakref.ref(ctx)
    del ctx

    assert left() is None
