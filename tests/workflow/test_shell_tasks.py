"""Commands as tasks."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import pytest

import molexp as me
from molexp.errors import CommandError, InvalidNameError
from molexp.workflow import TaskContext

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands of POSIX, and pidfds")


def test_a_command_is_a_task_whose_output_says_how_it_ended(wf):
    wf.shell("hello", ["echo", "hello"])
    wf.shell("text", "test 1 -eq 1 && exit 0", depends_on=["hello"])
    assert dict(wf.build().execute_sync(check=True).outputs) == {"hello": {"exit_code": 0}, "text": {"exit_code": 0}}


def test_its_outputs_are_paths_without_a_run(wf):
    wf.shell("make", "mkdir out && echo 1 > out/a.dat && echo 2 > b.dat", outputs={"a": "out/a.dat", "b": "b.dat"})

    @wf.task(depends_on=["make"])
    def read(ctx: TaskContext) -> list[str]:
        return [ctx.inputs[name].read_text() for name in ("a", "b")]

    outputs = wf.build().execute_sync(check=True).outputs
    assert outputs["read"] == ["1\n", "2\n"]
    assert isinstance(outputs["make"]["a"], Path)


def test_under_a_run_its_outputs_are_artifacts_and_its_streams_are_logs(wf):
    run = me.Workspace("memory://shell").Project("p").Experiment("e").Run(id="r")
    wf.shell("make", "echo out; echo err >&2; echo 1 > a.dat", outputs={"result.dat": "a.dat"})
    result = wf.build().execute_sync(run=run, check=True)
    assert result.outputs["make"]["result.dat"].read_bytes() == b"1\n"
    assert run.asset("result.dat").kind == "artifact"
    assert run.logs["tasks/make/shell"].text() == "out\n"
    assert run.logs["tasks/make/shell.err"].text() == "err\n"
    (command,) = run.execution_history[0]["commands"]
    assert command["exit_code"] == 0


def test_outputs_that_are_missing_cost_only_themselves(wf):
    run = me.Workspace("memory://shell").Project("p").Experiment("e").Run(id="part")
    wf.shell("make", "echo 1 > b.dat", outputs={"a": "a.dat", "b": "b.dat", "c": "c.dat"})
    outcome = wf.build().execute_sync(run=run).tasks["make"]
    assert outcome.status == "failed"
    assert "'a.dat', its output 'a'; 'c.dat', its output 'c'" in outcome.reason
    assert run.asset("b").read_bytes() == b"1\n"


def test_a_command_may_depend_on_parameters_and_inputs(wf):
    wf.add(lambda ctx: [1, 2], name="numbers")
    wf.shell(
        "each",
        lambda ctx: ["sh", "-c", f"echo {ctx.params['a']}-{ctx.inputs} > out.dat"],
        outputs={"out": "out.dat"},
        map_over="numbers",
    )
    each = wf.build().execute_sync(params={"a": 3}, check=True).outputs["each"]
    assert [made["out"].read_text() for made in each] == ["3-1\n", "3-2\n"]


def test_variables_are_added_to_those_of_this_process(wf):
    wf.shell("env", 'test "$MINE" = 1 && test -n "$PATH"', env={"MINE": "1"})
    assert wf.build().execute_sync().status == "succeeded"


def test_a_command_that_fails_fails_the_task(wf):
    wf.shell("bad", "echo why >&2; exit 3", retries=1, backoff=0)
    outcome = wf.build().execute_sync().tasks["bad"]
    assert isinstance(outcome.error, CommandError)
    assert (outcome.status, outcome.error.exit_code, outcome.error.tail, outcome.retries) == ("failed", 3, "why", 1)


def test_a_command_that_takes_too_long_is_killed(wf):
    wf.shell("slow", "sleep 3000", timeout=0.05)
    error = wf.build().execute_sync().tasks["slow"].error
    assert isinstance(error, CommandError)
    assert (error.timeout, error.exit_code) == (0.05, None)


@pytest.mark.parametrize("how", ["wf.shell", "ctx.shell"])
def test_cancelling_the_workflow_ends_the_command_and_its_children(wf, tmp_path, how):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = f"sleep 3000 & echo $! > {fifo}; wait"
    if how == "wf.shell":
        wf.shell("slow", command)
    else:
        wf.add(lambda ctx: ctx.shell(command), name="slow")
    handle = wf.build().start()
    child = int(fifo.read_text())  # comes when it runs
    pidfd = os.pidfd_open(child)
    try:
        handle.cancel()
        assert handle.result(300).tasks["slow"].status == "cancelled"
        assert select.select([pidfd], [], [], 300)[0], "the command's child runs still"
    finally:
        os.close(pidfd)


def test_a_file_that_is_not_there_fails_the_task(wf):
    wf.shell("make", ["true"], outputs={"a": "a.dat"})
    error = wf.build().execute_sync().tasks["make"].error
    assert isinstance(error, FileNotFoundError)
    assert str(error) == "The command of task 'make' succeeded, but did not write 'a.dat', its output 'a'."


def test_a_program_that_is_not_there_fails_the_task(wf):
    wf.shell("none", ["no-such-program"])
    assert isinstance(wf.build().execute_sync().tasks["none"].error, FileNotFoundError)


@pytest.mark.parametrize("command", [[], "", "  ", 3, None, [3], {"a": 1}])
def test_values_that_are_not_commands_are_refused_when_they_are_added(wf, command):
    with pytest.raises(TypeError, match=r"'bad': a command is"):
        wf.shell("bad", command)


@pytest.mark.parametrize("timeout", [0, -1, "5"])
def test_timeouts_and_output_names_of_commands_are_checked(wf, timeout):
    with pytest.raises(ValueError, match="'bad': timeout="):
        wf.shell("bad", ["true"], timeout=timeout)
    with pytest.raises(InvalidNameError, match="'bad'"):
        wf.shell("bad", ["true"], outputs={"com1.dat": "a.dat"})
    with pytest.raises(InvalidNameError):
        wf.shell("a/b", ["true"])


def test_a_task_that_waits_for_a_failed_command_is_skipped(wf):
    wf.shell("bad", "exit 1")
    wf.shell("after", ["echo", "never"], depends_on="bad")
    assert wf.build().execute_sync().tasks["after"].reason == "task 'bad' failed"


def test_an_exit_code_comes_back_from_a_command_within_a_task(wf):
    wf.add(lambda ctx: ctx.shell(["sh", "-c", "exit 4"], check=False), name="a")
    assert wf.build().execute_sync().outputs["a"] == 4


def test_another_version_of_molexp_does_not_change_it(wf):
    wf.shell("relax", ["xtb", "mol.xyz", "--opt"], outputs={"final": "xtbopt.xyz"}, timeout=60)
    assert wf.build().workflow_id == "28e51538e75274af"
