"""``kill -9`` of workers and of the process that coordinates them, in the middle, and the resume afterwards."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections import Counter

import pytest

import molexp as me
from tests.workflow.runs.editing import Script

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="watches processes by descriptors")

TASKS = """
import threading

wf = WorkflowBuilder("pool")

def wait_here(name):
    did(name)
    with open(os.environ["TELL"], "w") as pipe:
        pipe.write(f"{name} {os.getpid()}\\n")
    if os.environ.get("WAIT"):
        threading.Event().wait(3000)

@wf.task(executor="process")
def items(ctx):
    did("items")
    ctx.set_result("items", 3)
    ctx.artifact.save("items.json", [1, 2, 3])
    return [1, 2, 3]

@wf.task(executor="process", map_over=items)
def each(ctx):
    ctx.set_result(f"begun{ctx.index}", True)
    ctx.log(f"each{ctx.index}").append("begun")
    ctx.artifact.save(f"each{ctx.index}.json", {"attempt": os.getpid()})
    if ctx.inputs > 1:
        wait_here(f"each{ctx.index}")
    else:
        did(f"each{ctx.index}")
    ctx.set_result(f"done{ctx.index}", True)
    return ctx.inputs ** 2

@wf.task(depends_on=[each])
def total(ctx):
    did("total")
    ctx.set_result("total", sum(ctx.inputs))
    return sum(ctx.inputs)
"""


class Pool(Script):
    """The script, and a pipe through which its tasks say that they wait."""

    def __init__(self, folder):
        super().__init__(folder, TASKS)
        self.pipe = folder / "tell"
        os.mkfifo(self.pipe)
        self.descriptor = os.open(self.pipe, os.O_RDWR)  # nobody waits for another end
        self.reader = os.fdopen(os.dup(self.descriptor))

    def environment(self, **more):
        return super().environment(TELL=str(self.pipe), **more)

    def until_both_wait(self) -> tuple[subprocess.Popen[str], dict[str, int]]:
        """Start it; returns when two items wait in two workers, with their process ids."""
        process = self.start(WAIT="1")
        told = [self.reader.readline().split() for _ in range(2)]
        return process, {name: int(pid) for name, pid in told}

    def close(self):
        self.reader.close()
        os.close(self.descriptor)


@pytest.fixture
def pool(tmp_path):
    made = Pool(tmp_path)
    yield made
    made.close()


def the_run(script):
    return me.Workspace.load(script.lab).project("metals").experiment("cu").run("one")


def watched(pids):
    return [os.pidfd_open(pid) for pid in pids]


def all_gone(descriptors):
    """Wait until the processes are gone, which must not take long."""
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], 300)[0], "a worker outlived its coordinator"
        os.close(descriptor)


def fsck_is_silent(script):
    findings = me.Workspace.load(script.lab).fsck().findings
    assert all(found.what.startswith("no record names it") for found in findings), findings


def test_a_killed_coordinator_takes_its_workers_along_and_nothing_recorded_is_lost(pool):
    process, pids = pool.until_both_wait()
    workers = watched(pids.values())
    process.kill()
    process.communicate(timeout=300)
    all_gone(workers)

    run = the_run(pool)
    assert run.results == {"items": 3, "begun0": True, "done0": True, "begun1": True, "begun2": True}
    assert run.asset("items.json").load() == [1, 2, 3]
    assert run.logs["each1"].text() == "begun\n"

    again = pool.execute()

    assert sorted(again["done"]) == ["each1", "each2", "total"]
    assert again["outputs"]["total"] == "14"
    assert max(Counter(pool.did()).values()) == 2
    assert [entry["status"] for entry in run.execution_history] == ["interrupted", "succeeded"]
    assert run.results["total"] == 14
    assert all(asset.size == len(asset.read_bytes()) for asset in run.assets)
    fsck_is_silent(pool)


def test_a_killed_worker_fails_its_item_and_a_resume_executes_that_alone(pool):
    process, pids = pool.until_both_wait()
    os.kill(pids["each1"], signal.SIGKILL)
    os.kill(pids["each2"], signal.SIGKILL)
    _, err = process.communicate(timeout=300)

    assert process.returncode == 0, err
    run = the_run(pool)
    (attempt,) = run.execution_history
    assert attempt["error"]["type"].endswith("WorkerDiedError")
    assert attempt["error"]["task"] in ("each[1]", "each[2]")
    assert run.results == {"items": 3, "begun0": True, "done0": True, "begun1": True, "begun2": True}
    assert run.logs["each2"].text() == "begun\n"

    again = pool.execute()

    assert sorted(again["done"]) == ["each1", "each2", "total"]
    assert again["outputs"]["total"] == "14"
    assert all(asset.size == len(asset.read_bytes()) for asset in run.assets)
    fsck_is_silent(pool)


def test_a_coordinator_that_is_told_to_end_ends_its_workers_too(pool):
    process, pids = pool.until_both_wait()
    workers = watched(pids.values())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    all_gone(workers)

    assert process.returncode == 128 + signal.SIGTERM
    run = the_run(pool)
    (attempt,) = run.execution_history
    assert attempt["status"] == "interrupted"
    assert run.results == {"items": 3, "begun0": True, "done0": True, "begun1": True, "begun2": True}
    assert "late" not in attempt
    fsck_is_silent(pool)
    assert sorted(pool.execute()["done"]) == ["each1", "each2", "total"]


def test_cancelled_by_another_process(pool):
    process = pool.start(WAIT="1", MOLEXP_LEASE_BEAT="0.05")
    told = [pool.reader.readline().split() for _ in range(2)]
    workers = watched(int(pid) for _, pid in told)
    the_run(pool).cancel("enough of it")
    process.communicate(timeout=300)
    all_gone(workers)

    (attempt,) = the_run(pool).execution_history
    assert attempt["status"] == "cancelled"
    assert attempt["reason"] == "enough of it"
    assert sorted(pool.execute()["done"]) == ["each1", "each2", "total"]


def test_killed_at_every_turn(pool):
    """Each task's side effect happens at most once more than the kills that hit it."""
    for _ in range(3):
        process, pids = pool.until_both_wait()
        workers = watched(pids.values())
        process.kill()
        process.communicate(timeout=300)
        all_gone(workers)

    assert pool.execute()["outputs"]["total"] == "14"
    assert Counter(pool.did()) == {"items": 1, "each0": 1, "each1": 4, "each2": 4, "total": 1}
    fsck_is_silent(pool)
