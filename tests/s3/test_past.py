"""Old folders become runs in a bucket; a run there is explained and repeated."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import molexp as me
from molexp_cli._main import run
from tests.cli.helpers import program

pytestmark = pytest.mark.s3

SCRIPT = """
import molexp as me
from molexp.workflow import WorkflowBuilder

wf = WorkflowBuilder(name="scan")


@wf.task
def energy(ctx):
    ctx.set_result("energy", ctx.params["a"] * 2.0)


ws = me.Workspace("./lab")
wf.build().bind_to(ws.Project("metals").Experiment("ag", space=me.grid(a=[2])))
me.entry(ws)
"""


@pytest.fixture
def url(bucket, tmp_path, monkeypatch):
    found, environment = bucket.as_environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return found


def test_old_folders_become_runs_in_a_bucket_once(url, capfd):
    for number in range(4):
        folder = Path(f"old/a{number}")
        folder.mkdir(parents=True)
        (folder / "energy.json").write_text(json.dumps({"energy": number / 2}))
        (folder / "train.csv").write_text("step,loss\n0,1\n1,0.5\n")
    command = ["-w", url, "import", "old", "a{a:int}", "--to", "metals/cu", "--results", "*.json", "--metrics", "*.csv"]
    assert run(command) == 0
    assert capfd.readouterr().out == "imported 4 runs: 4 succeeded\n"
    assert run(command) == 0
    assert capfd.readouterr().out == "imported 0 runs\n4 folders imported before, and left as they are\n"
    ws = me.Workspace.load(url)
    for row in ws.catalog.runs("imported == true"):
        found = ws.run(row.path)
        assert found.results == {"energy": found.parameters["a"] / 2}
        assert found.asset("energy.json").read_bytes() == Path(f"old/a{found.parameters['a']}/energy.json").read_bytes()
        assert found.metrics.last["loss"] == 0.5
        assert len(found.execution_history) == 1
    assert ws.fsck(read_data=True).ok
    assert run([*command[:5], "--to", "metals/linked", "--link"]) == 1
    assert "cannot hard-link files" in capfd.readouterr().err


@pytest.mark.long
def test_a_run_in_a_bucket_is_explained_and_repeated(url):
    here = Path.cwd()
    (here / "scan.py").write_text(SCRIPT)
    for words in (
        ["init", "-q"],
        ["add", "scan.py"],
        ["-c", "user.name=n", "-c", "user.email=n@h", "commit", "-qm", "one"],
    ):
        subprocess.run(["git", *words], check=True)
    assert program(here, "-w", url, "run", "scan.py").code == 0
    explained = program(here, "-w", url, "why", "@latest", "--script", "scan.py", "--json")
    assert json.loads(explained.out)["tasks"][0]["action"] == "reuse", explained.err
    done = program(here, "-w", url, "rerun", "@latest", "--yes", "--json")
    assert done.code == 0, done.err
    found = done.json()
    assert (found["equal"], found["results"]["energy"]["now"]) == (True, 4.0)
    assert me.Workspace.load(url).run(found["rerun"]).status == "succeeded"
