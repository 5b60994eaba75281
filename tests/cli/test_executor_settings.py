"""A profile says with what, and how, an executor executes runs: its ``resources`` and ``scheduler``."""

from __future__ import annotations

import json
import os
import signal
import sys
from textwrap import dedent

import pytest

import molexp as me
from molexp.contracts import Resources
from tests import warm
from tests.cli.helpers import eventually, program, spawn
from tests.cli.test_run import write
from tests.record.helpers import VOID, install

PLUGIN = """
    from molexp import hookimpl
    from molexp.contracts import Declared

    @hookimpl
    def molexp_register_executors():
        return [Declared("batch", "batch_code:Batch")]
"""
CODE = """
    import asyncio, json, os
    import msgspec
    from molexp.contracts import Executor, Outcome
    from molexp.plugins import default_manager

    class Batch(Executor):
        name = "batch"
        queues = True
        process = None

        def __init__(self, *, workers=None, partition="short", array=0, lost="never"):
            super().__init__(workers=workers)
            self.lost = lost
            if array < 0:
                raise ValueError("array is negative")
            self.partition = partition

        async def submit(self, call):
            said = {"resources": msgspec.to_builtins(call.resources), "partition": self.partition, "workers": self.workers}
            said["runs"] = len(os.listdir("lab/projects/p/experiments/e/runs"))
            with open("submitted.jsonl", "a") as file:
                print(json.dumps(said), file=file)
            if self.lost in ("with begin", "without begin"):
                if self.lost == "with begin":
                    call.begin()
                await asyncio.Event().wait()
            if self.lost == "before":
                return Outcome(error=RuntimeError("the job was cancelled while it waited"))
            if self.process is None:
                self.process = default_manager().executor("process")(workers=self.workers)
            outcome = await self.process.submit(call)
            return Outcome(error=RuntimeError("the answer did not come back")) if self.lost == "after" else outcome

        async def close(self):
            if self.process is not None:
                await self.process.close()
"""
SCRIPT = """
    import molexp as me
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder("sweep")

    @wf.task
    def double(ctx):
        ctx.set_result("y", ctx.params["x"] * 2)

    ws = me.Workspace("lab")
    wf.build().bind_to(ws.Project("p").Experiment("e", space=me.grid(x=[1, 2, 3])))
    me.entry(ws)
"""
PROFILES = """
    profiles:
      cluster:
        executor: batch
        resources: {cores: 4, memory: 8GiB, gpus: 1, walltime: "1:30:00", nodes: 2, tasks: 8, extra: {licenses: vasp}}
        scheduler: {partition: long}
      odd: {executor: batch, scheduler: {partition: long, colour: blue}}
      wrong: {executor: batch, scheduler: {array: -1}}
      text: {executor: batch, scheduler: long}
      unlucky: {executor: batch, scheduler: {lost: before}}
      deaf: {executor: batch, scheduler: {lost: after}}
      slow: {executor: batch, scheduler: {lost: with begin}}
      queued: {executor: batch, scheduler: {lost: without begin}}
"""


@pytest.fixture
def batch(here, tmp_path):
    """Return the environment of processes that have the executor."""
    site = tmp_path / "site"
    install(site, "molexp-batch", PLUGIN)
    (site / "batch_code.py").write_text(dedent(CODE))
    write(here, SCRIPT, "sweep.py")
    (here / "molcfg.yaml").write_text(dedent(PROFILES))
    return {"PYTHONPATH": str(site)}


def submitted(here):
    file = here / "submitted.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_resources_and_scheduler_of_the_profile_reach_the_executor(here, batch):
    done = program(here, "run", "sweep.py", "--profile", "cluster", "-j", "2", env=batch)

    assert (done.code, done.out) == (0, "3 succeeded\n"), done.err
    wanted = {"cores": 4, "memory": 8 << 30, "gpus": 1, "walltime": 5400.0, "nodes": 2, "tasks": 8}
    assert [one["resources"] for one in submitted(here)] == [{**wanted, "extra": {"licenses": "vasp"}}] * 3
    assert {(one["partition"], one["workers"]) for one in submitted(here)} == {("long", 2)}


def test_an_executor_with_a_queue_gets_all_runs_at_once_and_each_is_on_record_by_then(here, batch):
    done = program(here, "run", "sweep.py", "--executor", "batch", "-j", "1", env=batch)

    assert done.code == 0, done.err
    assert [(one["runs"], one["partition"]) for one in submitted(here)] == [(3, "short")] * 3


def test_a_sweep_leaves_the_number_of_runs_at_a_time_to_an_executor_with_a_queue(here, batch):
    (here / "swept.py").write_text(
        dedent("""
            import molexp as me

            def double(ctx):
                return ctx.params["x"] * 2

            if __name__ == "__main__":
                experiment = me.Workspace("lab").Project("p").Experiment("e")
                experiment.sweep(double, space={"x": [1, 2, 3]}, executor="batch")
        """)
    )
    done = warm.run([sys.executable, "swept.py"], cwd=here, env={**os.environ, **batch}, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert [(one["runs"], one["workers"]) for one in submitted(here)] == [(3, None)] * 3


def test_what_a_profile_says_as_it_is_now_counts_for_runs_that_exist(here, batch):
    program(here, "run", "sweep.py", "--profile", "cluster", env=batch)
    file = here / "molcfg.yaml"
    file.write_text(file.read_text().replace("cores: 4", "cores: 6"))

    done = program(here, "run", "sweep.py", "--profile", "cluster", "--rerun", env=batch)

    assert done.code == 0, done.err
    assert [one["resources"]["cores"] for one in submitted(here)] == [4, 4, 4, 6, 6, 6]


def test_another_executor_that_you_choose_does_not_get_what_is_for_that_of_the_profile(here, batch):
    done = program(here, "run", "sweep.py", "--profile", "cluster", "--executor", "process", env=batch)

    assert (done.code, submitted(here)) == (0, []), done.err


@pytest.mark.parametrize(
    ("profile", "override", "words"),
    [
        ("odd", "", "colour"),
        ("wrong", "", "array is negative"),
        ("text", "", "The profile's scheduler is 'long'"),
        ("cluster", "resources.cores=0", "The profile's resources.cores is 0; it must be a whole number, at least 1"),
        ("cluster", "+resources.core=4", "Did you mean 'cores'?"),
        ("cluster", "resources=4", "molexp: The profile's resources is 4; it must be a mapping"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_first_run(here, batch, profile, override, words):
    arguments = ["--override", override] if override else []
    done = program(here, "run", "sweep.py", "--profile", profile, *arguments, env=batch)

    assert done.code == 2
    assert words in done.err
    assert submitted(here) == []
    assert not (here / "lab/projects/p/experiments/e/runs").exists()


def test_a_run_at_which_no_attempt_began_was_not_started_and_is_executed_the_next_time(here, batch):
    done = program(here, "run", "sweep.py", "--profile", "unlucky", env=batch)

    assert (done.code, done.lines()[0]) == (1, "3 not started"), done.err
    runs = me.Workspace.load(here / "lab").project("p").experiment("e").runs
    assert [run.status for run in runs] == ["pending"] * 3
    for run in runs:
        assert f"  {run.path}  not started: RuntimeError: the job was cancelled while it waited" in done.lines()
    assert program(here, "run", "sweep.py", "--profile", "cluster", env=batch).out == "3 succeeded\n"


def test_a_number_that_nobody_may_claim_any_more_is_no_attempt_that_began(here, batch):
    exp = me.Workspace(here / "lab").Project("p").Experiment("e", space=me.grid(x=[1, 2, 3]))
    for run in exp.runs.create_many():
        void = here / "lab/projects/p/experiments/e/runs" / run.id / "executions/1.jsonl"
        void.parent.mkdir()
        void.write_bytes(VOID)

    done = program(here, "run", "sweep.py", "--profile", "unlucky", env=batch)

    assert (done.code, done.lines()[0]) == (1, "3 not started"), done.err


def test_the_record_says_how_a_run_ended_whose_executor_lost_the_answer(here, batch):
    done = program(here, "run", "sweep.py", "--profile", "deaf", env=batch)

    assert (done.code, done.out) == (0, "3 succeeded\n"), done.err


@pytest.mark.parametrize(("profile", "word"), [("slow", "ending"), ("queued", "running")])
def test_a_run_that_began_and_is_being_ended_is_not_said_to_be_running(here, batch, profile, word):
    process = spawn(here, "run", "sweep.py", "--profile", profile, env=batch, stdout=-1, stderr=-1)
    eventually(lambda: len(submitted(here)) == 3)
    first, *_ = me.Workspace.load(here / "lab").project("p").experiment("e").runs
    with first.start():
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)

    assert process.returncode == 130, err
    assert f"  {first.path}  {word}" in out.decode().splitlines()


def test_of_a_run_that_failed_before_the_old_attempt_is_not_taken_for_a_new_one(here, batch):
    script = (here / "sweep.py").read_text()
    write(here, script.replace('ctx.params["x"] * 2', "1 / 0"), "sweep.py")
    assert program(here, "run", "sweep.py", env=batch).lines()[0] == "3 failed"

    done = program(here, "run", "sweep.py", "--profile", "unlucky", env=batch)

    assert (done.code, done.lines()[0]) == (1, "3 not started"), done.err


@pytest.mark.parametrize(
    ("memory", "walltime", "bytes_", "seconds"),
    [
        ("8GB", "90 min", 8 * 10**9, 5400.0),
        ("512M", "1h30m", 512 << 20, 5400.0),
        ("1.5 TiB", "2-00:00:00", 3 << 39, 172800.0),
        (1000, 36.5, 1000, 36.5),
    ],
)
def test_memory_and_time_are_written_as_people_and_schedulers_write_them(memory, walltime, bytes_, seconds):
    for read in (Resources.of({"memory": memory, "walltime": walltime}), Resources(memory=memory, walltime=walltime)):
        assert (read.memory, read.walltime) == (bytes_, seconds)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cores", 0),
        ("cores", True),
        ("cores", "four"),
        ("memory", "8XB"),
        ("memory", "0 GB"),
        ("memory", -1),
        ("walltime", "1:30"),
        ("walltime", "soon"),
        ("walltime", "90"),
        ("walltime", "1h and 3m"),
        ("walltime", 0),
        ("extra", "vasp"),
    ],
)
def test_a_resource_that_makes_no_sense_is_named(name, value):
    with pytest.raises(ValueError, match=f"resources.{name} is {value!r}; it must be"):
        Resources.of({name: value})
    with pytest.raises(ValueError, match=f"resources.{name} is {value!r}; it must be"):
        Resources(**{name: value})
