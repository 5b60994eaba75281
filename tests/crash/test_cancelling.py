"""A cancel request of another process ends the owner's attempt as cancelled, at its next beat."""

from __future__ import annotations

import json
import os
import signal

import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="interrupts threads as POSIX does")


def history(stage) -> dict[str, object]:
    entry: dict[str, object] = stage.start("status").ask()["history"][-1]
    return entry


def cancelled(stage, owner) -> None:
    """Ask it to stop, and see that it does."""
    assert stage.start("cancel").hear() == {"asked": True}
    (end,) = owner.rest()
    assert end["error"] == "RunCancelledError", end
    entry = history(stage)
    assert entry["status"] == "cancelled"
    assert entry["reason"] == "enough of it"


@pytest.mark.parametrize("doing", ["block", "compute 600", "command"])
def test_the_main_thread_is_interrupted_at_the_next_beat(stage, doing):
    owner = stage.start("own", MOLEXP_LEASE_BEAT="0.1")
    owner.hear()
    assert owner.ask(doing) == {"blocking": True}

    cancelled(stage, owner)


def test_so_it_is_in_the_background_of_a_shell_script(stage):
    ignoring = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
    owner = stage.start("own", prefix=ignoring, MOLEXP_LEASE_BEAT="0.1")
    owner.hear()
    assert owner.ask("block") == {"blocking": True}

    cancelled(stage, owner)


def test_the_next_thing_recorded_is_refused(stage):
    owner = stage.start("own_in_thread", MOLEXP_LEASE_BEAT="0.1")
    owner.hear()
    assert stage.start("cancel").hear() == {"asked": True}

    end = owner.hear()

    assert end["error"] == "RunCancelledError", end
    assert history(stage)["status"] == "cancelled"


def test_only_the_attempt_that_was_going_on_is_cancelled(stage):
    owner = stage.start("own", MOLEXP_LEASE_BEAT="0.1")
    owner.hear()
    owner.ask("block")
    cancelled(stage, owner)

    successor = stage.start("take_over", 0, MOLEXP_LEASE_BEAT="0.1")
    assert successor.hear() == {"attempt": 2}
    assert successor.rest() == [{"left": True}]
    assert history(stage)["status"] == "succeeded"


def test_requests_that_race_with_the_ends_of_runs_interrupt_nothing_else(stage):
    """Each of many short runs is asked to stop as it ends: it is cancelled or succeeds, and the program goes on."""
    owner = stage.start("own_many", 60, MOLEXP_LEASE_BEAT="0.001")
    reports = owner.rest()

    assert reports[-1] == {"left": True}
    ends = [report["end"] for report in reports[:-1]]
    assert len(ends) == 60
    assert set(ends) <= {"succeeded", "cancelled"}, ends
    folder = stage.lab / "projects/metals/experiments/cu/runs"
    for number, end in enumerate(ends):
        assert json.loads((folder / f"r{number}/executions/1.end.json").read_bytes())["status"] == end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=str)
def test_signals_end_it_with_everything_flushed(stage, number):
    owner = stage.start("own")
    owner.hear()
    assert owner.ask("log spoken") == {"line": "log spoken", "done": True}
    owner.ask("block")

    os.kill(owner.pid, number)

    assert owner.process.wait(300) != 0
    entry = history(stage)
    assert entry["status"] == ("cancelled" if number == signal.SIGINT else "interrupted")
    assert (stage.lab / "projects/metals/experiments/cu/runs/one/logs/relax.log").read_text() == "begun\nspoken\n"
