"""Within a run, ordinary code runs as it does without one: processes, signals, threads, event loops."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.record import ordinary

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are not forked there")
SCRIPT = Path(ordinary.__file__)
DEADLINE = 300  # seconds; a process that waits for ever is what this is about


@pytest.mark.parametrize("name", ordinary.IDIOMS)
@pytest.mark.parametrize(
    "times", [pytest.param(20, id="a few times"), pytest.param(400, id="often", marks=pytest.mark.long)]
)
def test_an_idiom_works_within_a_run(tmp_path, name, times):
    command = [sys.executable, str(SCRIPT), name, str(times), str(tmp_path / "lab")]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parent.parent.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE, env=environment)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
