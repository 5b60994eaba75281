"""``molexp run`` by jobs of a real Slurm: summary, record and squeue agree, whatever becomes of jobs, submitter and controller."""

from __future__ import annotations

import os
import signal

import pytest

import molexp as me
from tests.slurm.engine import eventually
from tests.slurm.sweeps import RUN, Sweep

pytestmark = pytest.mark.slurm

DONE = ("succeeded", None, 1)


def test_fifty_runs_are_one_array_and_few_questions(slurm, here):
    sweep = Sweep(here, 50)
    done = sweep.run(*RUN, "--override", "waits=false", "--override", "scheduler.interval=120", "-j", "8")

    assert (done.code, done.out) == (0, "50 succeeded\n"), done.err
    assert len(slurm.calls("sbatch")) == 1
    assert slurm.calls("squeue") == [], "the interval is not over"
    assert sweep.found() == dict.fromkeys(range(50), DONE)
    assert not (here / ".molexp-slurm").exists(), "files are left"
    history = me.Workspace.load(here / "lab").project("p").experiment("e").runs[0].execution_history
    assert history[0]["job"].isdecimal()

    slurm.forget()
    again = sweep.run(*RUN, "--override", "waits=false")
    assert (again.code, again.out) == (0, "50 skipped\n"), again.err
    assert slurm.calls() == []


@pytest.mark.parametrize("moment", ["before sbatch", "after sbatch", "in mid-run"])
def test_a_submitter_that_is_killed_and_called_again_submits_nothing_twice(slurm, here, moment):
    sweep = Sweep(here, 4)
    if moment == "before sbatch":
        real = slurm.commands / "sbatch"
        kept = real.read_text()
        real.write_text("#!/bin/sh\nkill -9 $PPID\n")
        first = sweep.start(*RUN, "-j", "2")
        first.communicate()
        assert first.returncode == -signal.SIGKILL
        real.write_text(kept)
        assert slurm.alive() == {}
    else:
        held = ("--override", "+scheduler.lines=['#SBATCH --hold']") if moment == "after sbatch" else ()
        first = sweep.start(*RUN, "-j", "2", *held)
        if moment == "after sbatch":
            eventually(lambda: len(slurm.alive()) == 4)
        else:
            sweep.wait_for(0, 1)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        if held:
            slurm.ask("scontrol", "release", *slurm.alive())

    second = sweep.start(*RUN, "-j", "2")
    sweep.let(0, 1, 2, 3)
    out, err = second.communicate(timeout=300)
    eventually(lambda: not slurm.alive())
    assert sweep.found() == dict.fromkeys(range(4), DONE), err.decode()
    assert len(slurm.calls("sbatch")) == 1, "there is a second array"
    # Runs that jobs are executing right then are left to these.
    assert second.returncode in (0, 5 if moment == "in mid-run" else 0), out.decode()


def test_cancelled_killed_and_requeued_jobs_are_what_summary_and_record_say(slurm, here):
    """Of eight runs: 0 is cancelled while it runs, 1 dies, 2 is requeued, 6 and 7 are cancelled before they begin."""
    sweep = Sweep(here, 8)
    process = sweep.start(*RUN, "-j", "4")
    sweep.wait_for(0, 1, 2, 3)
    array = next(iter(slurm.alive())).partition("_")[0]
    slurm.ask("scontrol", "hold", f"{array}_7")
    slurm.ask("scancel", f"{array}_6", f"{array}_7", f"{array}_0")
    (here / "die-1").touch()
    eventually(lambda: slurm.states().get(f"{array}_1") == "FAILED")
    slurm.requeue(f"{array}_2")
    slurm.begin_again(f"{array}_2")
    sweep.let(*range(8))
    out, err = process.communicate(timeout=300)

    found = sweep.found()
    assert found[0][0] == "interrupted"
    assert found[2] == ("succeeded", None, 2)
    assert [found[x] for x in (3, 4, 5)] == [DONE] * 3
    assert found[1] == ("interrupted", "owner_died", 1)
    assert [found[x] for x in (6, 7)] == [("pending", None, 0)] * 2
    assert process.returncode == 1
    assert out.decode().splitlines()[0] == "4 succeeded, 2 interrupted, 2 not started", err.decode()
    assert "Slurm" in out.decode()
    eventually(lambda: not slurm.alive())
    states = slurm.states()
    assert {states[f"{array}_{index}"] for index in (2, 3, 4, 5)} == {"COMPLETED"}
    assert states[f"{array}_0"] == "CANCELLED"


def test_ctrl_c_cancels_what_runs_and_what_waits_never_begins(slurm, here):
    sweep = Sweep(here, 5)
    process = sweep.start(*RUN, "-j", "2")
    sweep.wait_for(0, 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)

    assert process.returncode == 130, err.decode()
    eventually(lambda: not slurm.alive())
    found = sweep.found()
    assert [found[x][0] for x in range(5)] == ["cancelled"] * 2 + ["pending"] * 3, out.decode()
    assert not any(sweep.began(x) for x in (2, 3, 4))
    assert not (here / ".molexp-slurm").exists(), "files are left"


def test_an_sbatch_that_says_more_and_a_squeue_that_refuses_cost_nothing(slurm, here):
    (sbatch, squeue) = (slurm.commands / name for name in ("sbatch", "squeue"))
    real = slurm.commands / "real"
    sbatch.rename(real)
    sbatch.write_text(f"#!/bin/sh\necho 'chem has 7 000 core-hours left'\n{real} \"$@\"\necho 'good luck'\n")
    sbatch.chmod(0o755)
    squeue.write_text(f"#!/bin/sh\necho squeue >>{here}/asked\necho 'slurm_load_jobs error: not today' >&2\nexit 1\n")
    sweep = Sweep(here, 2)
    process = sweep.start(*RUN)
    sweep.wait_for(0, 1)
    eventually((here / "asked").exists)
    sweep.let(0, 1)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out.decode()) == (0, "2 succeeded\n"), err.decode()
    assert "not today" in err.decode()


def test_a_controller_that_is_away_for_ten_seconds_costs_nothing(own, here):
    sweep = Sweep(here, 2)
    own.leave()
    process = sweep.start(*RUN)
    eventually(lambda: len(own.calls()) > 1)  # it tries again
    own.come_back()
    sweep.wait_for(0, 1)
    own.leave()
    asked = len(own.calls("squeue"))
    eventually(lambda: len(own.calls("squeue")) > asked + 1)
    sweep.let(0, 1)
    out, err = process.communicate(timeout=300)
    own.come_back()

    assert (process.returncode, out.decode()) == (0, "2 succeeded\n"), err.decode()
    assert "does not answer" in err.decode()
    assert sweep.found() == dict.fromkeys(range(2), DONE)
