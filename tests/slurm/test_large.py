"""Large sweeps on a real Slurm: few calls of its commands, few documents."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.slurm.engine import eventually
from tests.slurm.sweeps import RUN, SUBMIT, Sweep

pytestmark = [pytest.mark.slurm, pytest.mark.long]


def test_a_thousand_attached_runs_are_one_array_and_one_question_per_interval(slurm, here):
    sweep = Sweep(here, 1000)
    began = time.monotonic()
    process = sweep.start(*RUN, "--override", "scheduler.interval=5", "-j", "4")
    sweep.wait_for(0, 1, 2, 3)
    sweep.let(0, 1, 2)
    sweep.wait_for(4, 5, 6)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    intervals = (time.monotonic() - began) / 5

    assert process.returncode == 130, err.decode()
    assert len(slurm.calls("sbatch")) == 1
    assert len(slurm.calls("squeue")) <= intervals
    eventually(lambda: not slurm.alive())
    statuses = [status for status, _, _ in sweep.found().values()]
    assert [statuses.count(one) for one in ("succeeded", "cancelled", "pending")] == [3, 4, 993], out.decode()


def test_a_thousand_detached_runs_are_one_array_and_each_question_is_one_call(slurm, here):
    sweep = Sweep(here, 1000)
    assert sweep.run(*SUBMIT, "-j", "4").code == 0
    assert len(slurm.calls("sbatch")) == 2, "an array, and who looks after it"
    assert slurm.calls("squeue") == []
    sweep.wait_for(0, 1, 2, 3)
    assert sweep.run("-w", "lab", "queue").code == 0
    assert len(slurm.calls("squeue")) == 1
    statuses = [status for status, _, _ in sweep.found().values()]
    assert (statuses.count("running"), statuses.count("queued")) == (4, 996)
    assert sweep.run("-w", "lab", "cancel", "--submission", "all").code == 0
    eventually(lambda: not slurm.alive())
    assert sweep.run("-w", "lab", "queue").code == 0
    statuses = [status for status, _, _ in sweep.found().values()]
    assert statuses.count("pending") == 996
    assert len(os.listdir(here / "lab/submissions")) == 3


@pytest.mark.parametrize(("largest", "arrays"), [(1001, 10), (10001, 1)], ids=["default", "raised"])
def test_ten_thousand_runs_are_submitted_by_one_command_and_three_documents(own, here, largest, arrays):
    if largest != 1001:
        own.leave()
        conf = Path(own.conf)
        conf.write_text(re.sub(r"(?m)^MaxArraySize=.*$", f"MaxArraySize={largest}", conf.read_text()))
        own.come_back()
    own.forget()
    sweep = Sweep(here, 10_000)
    done = sweep.run(*SUBMIT, "--override", "+scheduler.lines=['#SBATCH --hold']")
    assert done.code == 0, done.err
    assert len(own.calls("sbatch")) == arrays + 1, "arrays, and who looks after them"
    assert own.calls("squeue") == []
    assert len(own.alive()) == 10_000 + 1
    assert sweep.run("-w", "lab", "cancel", "--submission", "all").code == 0
    assert sweep.run("-w", "lab", "queue").code == 0
    kinds = sorted(name.partition(".")[2] for name in os.listdir(here / "lab/submissions"))
    assert kinds == ["end.json", "job.json", "json"]
    assert {status for status, _, _ in sweep.found().values()} == {"pending"}
