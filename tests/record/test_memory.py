"""Count memory: what is done to all rows holds only some of them."""

from __future__ import annotations

import os
import subprocess
import sys
from textwrap import dedent

import pytest

PROGRAM = """
    import resource, sys
    import molexp as me

    me.Workspace.load(sys.argv[1], read_only=True).catalog.runs(limit=1)
    ws = me.Workspace(sys.argv[1])
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + (int(sys.argv[3]) << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print(getattr(ws.catalog, sys.argv[2])())
"""


@pytest.mark.parametrize(
    "runs", [pytest.param(20_000, marks=pytest.mark.soak), pytest.param(100_000, marks=pytest.mark.long)]
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and RLIMIT_AS")
def test_compacting_and_verifying_many_runs_takes_little_memory(lab, lab_exp, runs):
    for number in range(0, runs, 10_000):
        lab_exp.runs.create_many([{"n": n} for n in range(number, number + 10_000)])
    lab.load(read_only=True).catalog.runs(limit=1)  # who may write would begin a compaction

    for work, megabytes, rows in (("compact", 100, runs + 3), ("verify", 256, runs)):
        done = subprocess.run(
            [sys.executable, "-c", dedent(PROGRAM), lab.url, work, str(megabytes)],
            env={**os.environ, "MALLOC_ARENA_MAX": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert f" {rows}" in done.stdout
