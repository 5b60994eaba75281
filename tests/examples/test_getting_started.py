"""The first two examples, and the one of the README."""

from __future__ import annotations

import math
import re

import molexp as me
from tests.docs.pages import blocks
from tests.examples.running import EXAMPLES, molexp, run_example, type_in
from tests.repository import ROOT


def test_the_quick_start_adds_three_runs_each_time(tmp_path):
    for calls in (1, 2):
        said = run_example("getting_started/01_quick_start.py", cwd=tmp_path)
        rows = me.Workspace.load(tmp_path / "lab").catalog.runs(experiment="pi", status="succeeded")
        assert len(rows) == len(said.splitlines()) == 3 * calls
    for row in rows:
        assert abs(row.results["pi"] - math.pi) < 0.05
        assert re.search(rf"{row.id} +seed {row.params['seed']}: pi = {row.results['pi']}", said)
    run = me.Workspace.load(tmp_path / "lab").run(rows[0].path)
    assert len(run.asset("metrics").load()) == 10
    assert run.asset("counts.json").load()["points"] == 10_000


def test_the_first_workflow_computes_and_writes_nothing(tmp_path):
    said = run_example("getting_started/02_first_workflow.py", cwd=tmp_path)
    assert "succeeded (4 succeeded)" in said
    found = re.search(r"lowest energy: -119\.8 K at (\S+) angstrom", said)
    assert found
    assert abs(float(found[1]) - 3.405 * 2 ** (1 / 6)) < 0.02
    assert "task 'point' failed: point[0]: TypeError" in said
    assert said.endswith("skipped: minimum, range_of_attraction\n")
    assert not list(tmp_path.iterdir())


def test_the_readme_opens_with_a_script_that_its_commands_run(tmp_path):
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    script = next(iter(blocks(readme, text))).code
    assert len([line for line in script.splitlines() if line]) <= 20
    (tmp_path / "pair.py").write_text(script, encoding="utf-8")
    found = re.search(r"```sh\n(molexp run pair\.py.*?)```", text, re.DOTALL)
    assert found
    first, second, shown = (type_in(line, tmp_path) for line in found[1].splitlines())
    assert (first.returncode, first.stdout) == (0, "3 succeeded\n"), first.stderr
    assert (second.returncode, second.stdout) == (0, "3 skipped\n")
    assert [float(value) for value in re.findall(r"sigma=(\S+)", shown.stdout)] == [2.8, 3.4, 3.6]
    for row in me.Workspace.load(tmp_path / "lab").catalog.runs():
        assert abs(row.results["distance"] / row.params["sigma"] - 2 ** (1 / 6)) < 0.01


def test_the_index_names_every_example():
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    folders = {path.parent for path in EXAMPLES.rglob("*.py")}
    for script in (path for folder in folders for path in folder.glob("*.py")):
        whole = script.parent.relative_to(EXAMPLES)
        assert f"({script.relative_to(EXAMPLES)})" in index or f"({whole}/README.md)" in index, script


def test_a_script_without_an_entry_is_told_what_to_add(tmp_path):
    done = molexp("run", EXAMPLES / "getting_started" / "01_quick_start.py", cwd=tmp_path)
    assert done.returncode != 0
    assert "me.entry(ws)" in done.stderr
