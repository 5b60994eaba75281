"""``molexp submit`` to a real Slurm: nobody waits, and record and squeue agree."""

from __future__ import annotations

import os
import signal

import pytest

import molexp as me
from tests.slurm.engine import eventually
from tests.slurm.sweeps import RUN, SUBMIT, Sweep

pytestmark = pytest.mark.slurm

WORDS = {"PENDING": "queued", "RUNNING": "running", "COMPLETED": "succeeded"}


def array_of(slurm):
    """Return the array of the sweep, and not the job that looks after it."""
    sizes: dict[str, int] = {}
    for identity in slurm.alive():
        array = identity.partition("_")[0]
        sizes[array] = sizes.get(array, 0) + 1
    return max(sizes, key=lambda array: sizes[array])


def statuses(sweep):
    return {x: status for x, (status, _, _) in sweep.found().items()}


def test_every_status_is_that_of_squeue_and_a_hangup_of_the_login_leaves_all_as_it_is(slurm, here):
    sweep = Sweep(here, 5)
    slurm.forget()
    process = sweep.start(*SUBMIT, "-j", "2")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    assert len(slurm.calls("sbatch")) == 2, "an array, and who looks after it"
    try:
        os.killpg(process.pid, signal.SIGHUP)
    except ProcessLookupError:
        pass  # nothing of ours has stayed
    array = array_of(slurm)
    sweep.wait_for(0, 1)

    def agree():
        states = slurm.states()
        return statuses(sweep) == {x: WORDS[states[f"{array}_{x}"]] for x in range(5)}

    eventually(agree)
    assert sorted(statuses(sweep).values()) == ["queued"] * 3 + ["running"] * 2
    sweep.let(0)
    sweep.wait_for(2)
    eventually(agree)
    again = sweep.run(*SUBMIT)
    assert array_of(slurm) == array, again.out
    sweep.let(*range(5))
    eventually(lambda: not slurm.alive())
    assert sweep.found() == dict.fromkeys(range(5), ("succeeded", None, 1))


def test_a_workspace_on_s3_is_submitted_to_and_agrees_with_squeue(slurm, here, moto, monkeypatch):
    bucket = moto.fresh()
    url, environment = bucket.as_environment()
    script = here / "sweep.py"
    own = f"me.Workspace({url!r}, storage_options={bucket.storage_options!r})"  # nobody else has the keys
    script.write_text(script.read_text().replace('me.Workspace("lab")', own))
    alone = Sweep(here, 4, url)
    alone.let(3)
    assert alone.run(*RUN, "--only", "params.x == 3").code == 0
    assert alone.run(*SUBMIT, "-j", "1").code == 0
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    sweep = Sweep(here, 4, url, environment)
    array = array_of(slurm)
    sweep.wait_for(0)
    slurm.ask("scancel", f"{array}_2")
    eventually(lambda: statuses(sweep) == {0: "running", 1: "queued", 2: "queued", 3: "succeeded"})
    assert sweep.run("-w", url, "queue").code == 0
    sweep.let(0, 1)
    eventually(lambda: not slurm.alive())
    assert sweep.found() == {**dict.fromkeys((0, 1, 3), ("succeeded", None, 1)), 2: ("pending", None, 0)}
    assert not (here / "lab").exists()
    (printed,) = (here / ".molexp-output").glob("*/*[0-9a-f].0.out")
    assert "run p/e/" in printed.read_text()


def test_the_job_of_a_cancelled_run_is_taken_back_and_one_executed_by_hand_is_left_alone_by_its_job(slurm, here):
    sweep = Sweep(here, 3)
    assert sweep.run(*SUBMIT, "-j", "1").code == 0
    array = array_of(slurm)
    sweep.wait_for(0)
    paths = {run.parameters["x"]: run.path for run in me.Workspace.load(here / "lab").project("p").experiment("e").runs}
    told = sweep.run("-w", "lab", "cancel", paths[1])
    assert (told.code, f"1 job of slurm cancelled: {array}_1" in told.out + told.err) == (0, True), told
    assert f"{array}_1" not in slurm.alive()
    slurm.ask("scontrol", "hold", f"{array}_2")
    sweep.let(0, 1, 2)
    eventually(lambda: statuses(sweep)[0] == "succeeded")
    by_hand = sweep.run("-w", "lab", "execute", paths[2], "--script", "sweep.py")
    assert by_hand.code == 0, by_hand.err
    slurm.ask("scontrol", "release", f"{array}_2")
    eventually(lambda: not slurm.alive())

    assert sweep.found() == {0: ("succeeded", None, 1), 1: ("cancelled", "cancel", 0), 2: ("succeeded", None, 1)}
    assert not sweep.began(1)
    assert {slurm.states()[f"{array}_{x}"] for x in (0, 2)} == {"COMPLETED"}, (
        "a job that has nothing to do exits with 0"
    )


def test_the_queue_vouches_for_what_was_cancelled_killed_and_requeued(slurm, here):
    """Of six runs: 0 is cancelled while it runs, 1 dies, 2 is requeued, 3 ends well, 4 and 5 are cancelled before they begin."""
    sweep = Sweep(here, 6)
    assert sweep.run(*SUBMIT, "-j", "4").code == 0
    array = array_of(slurm)
    # Who looks after it is on the machine of the jobs, and would see that the process is gone; we are on another one.
    slurm.ask("scancel", *{identity for identity in slurm.alive() if not identity.startswith(f"{array}_")})
    sweep.wait_for(0, 1, 2, 3)
    slurm.ask("scontrol", "hold", f"{array}_5")
    slurm.ask("scancel", f"{array}_4", f"{array}_5", f"{array}_0")
    (here / "die-1").touch()
    eventually(lambda: slurm.states().get(f"{array}_1") == "FAILED")
    (here / "die-1").unlink()
    slurm.requeue(f"{array}_2")
    assert sweep.run("-w", "lab", "queue").code == 0
    assert statuses(sweep)[2] == "queued", "it is not submitted again while its job waits again"
    slurm.begin_again(f"{array}_2")
    sweep.let(*range(6))
    eventually(lambda: not slurm.alive())
    assert sweep.run("-w", "lab", "queue").code == 0

    found = sweep.found()
    assert (found[0][0], found[1][0]) == ("interrupted", "interrupted")
    assert found[2] == ("succeeded", None, 2)
    assert found[3] == ("succeeded", None, 1)
    assert [found[x] for x in (4, 5)] == [("pending", None, 0)] * 2
    (died,) = [
        run for run in me.Workspace.load(here / "lab").project("p").experiment("e").runs if run.parameters["x"] == 1
    ]
    assert "FAILED" in died.execution_history[0]["reason"], died.execution_history[0]

    slurm.forget()
    assert "submitted 4 runs" in sweep.run("resubmit", "sweep.py", "-p", "cluster").err
    eventually(lambda: not slurm.alive())
    assert set(statuses(sweep).values()) == {"succeeded"}, "what was submitted and never began is submitted again, too"
