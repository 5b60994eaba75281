"""The page on Slurm does what it says, command by command, on a real Slurm."""

from __future__ import annotations

import re
import shlex

import pytest

import molexp as me
from tests.cli.helpers import program
from tests.repository import ROOT
from tests.slurm.engine import eventually

pytestmark = pytest.mark.slurm

PAGE = (ROOT / "docs/how-to/use-slurm.md").read_text(encoding="utf-8")


def blocks(language):
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return found


def test_every_command_of_the_page_does_what_it_says(slurm, tmp_path):
    (tmp_path / "molcfg.yaml").write_text(blocks("yaml")[0])
    (tmp_path / "sweep.py").write_text(blocks("python")[0])
    said = {}
    for line in "".join(blocks("sh")).splitlines():
        done = program(tmp_path, *shlex.split(line)[1:])
        said[line] = done
        assert done.code == 0, (line, done.err)
        if line.startswith("molexp -w lab logs"):
            eventually(lambda: not slurm.alive())

    script = said["molexp submit sweep.py -p cluster --dry-run"].out
    assert "#SBATCH --partition=short" in script
    assert "--time=10" in script
    runs = me.Workspace.load(tmp_path / "lab").project("metals").experiment("cu").runs
    assert [(str(run.status), len(run.execution_history)) for run in runs] == [("succeeded", 1)] * 3
    assert len(slurm.calls("sbatch")) == 2, "an array, and who looks after it"
