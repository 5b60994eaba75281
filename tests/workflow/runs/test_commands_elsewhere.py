"""Commands of tasks in worker processes: they end with their task."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

import pytest

from molexp.workflow import TaskContext, WorkflowBuilder
from tests.workflow.clock import LIMIT


def runs_for_long(ctx: TaskContext) -> None:
    ctx.shell(f"echo $$ > {ctx.params['pid']}; exec sleep 600")


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        select.select([], [], [], 0.02)  # nobody can tell us when somebody else's child is collected
    return False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a shell")
def test_a_command_of_a_task_that_runs_out_of_time_is_ended_with_it(tmp_path: Path, lab_exp, clock) -> None:
    wf = WorkflowBuilder("long")
    wf.task(name="long", executor="process", timeout=LIMIT)(runs_for_long)
    file = tmp_path / "pid"
    with clock.skipping(file):
        result = wf.build().execute_sync(run=lab_exp.Run({"pid": str(file)}))

    assert "TaskTimeoutError" in result.tasks["long"].reason
    assert is_gone(int(file.read_text()))
