"""Scripts before and after: an argparse script with five lines more, a loop with three; the same behaviour, and a record."""

from __future__ import annotations

import difflib
import re

import pytest

import molexp as me
from tests.examples.running import EXAMPLES, lines_of, run_example, type_in

FOLDER = EXAMPLES / "adopt"
LINES = {"argparse_script": (4, 1), "loop": (3, 2)}
"""The lines of code that are added, and those of the old ones that they replace."""


def difference(script: str) -> list[str]:
    old, new = (f"{script}_before.py", f"{script}.py")
    before, after = ((FOLDER / name).read_text(encoding="utf-8").splitlines(keepends=True) for name in (old, new))
    return list(difflib.unified_diff(before, after, old, new, n=2))


@pytest.mark.parametrize("script", LINES)
def test_few_lines_were_added(script):
    added = [line for line in difference(script)[2:] if line.startswith("+") and line.strip("+\n")]
    removed = [line for line in difference(script)[2:] if line.startswith("-")]
    assert (len(added), len(removed)) == LINES[script]


@pytest.mark.parametrize("script", LINES)
def test_the_page_shows_the_difference(script):
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"```diff\n{''.join(difference(script))}```" in page


def test_a_loop_computes_what_it_did_and_only_once(tmp_path):
    said = run_example("adopt/loop_before.py", cwd=tmp_path)
    assert run_example("adopt/loop.py", cwd=tmp_path, progress="pendulum/amplitudes: 3 succeeded\n") == said
    assert run_example("adopt/loop.py", cwd=tmp_path, progress="pendulum/amplitudes: 3 skipped\n") == ""
    rows = me.Workspace.load(tmp_path / "lab").catalog.runs(sort="params.amplitude")
    assert [f"{row.params['amplitude']} rad: {row.results['period']:.3f} s" for row in rows] == said.splitlines()


def test_it_does_what_it_did_and_leaves_a_record(tmp_path):
    arguments = ("--amplitude", "1.0", "--output", "angles.csv")
    said = run_example("adopt/argparse_script_before.py", *arguments, cwd=tmp_path)
    file = (tmp_path / "angles.csv").read_bytes()
    (tmp_path / "angles.csv").unlink()
    assert {path.name for path in tmp_path.iterdir()} == set()

    assert run_example("adopt/argparse_script.py", *arguments, cwd=tmp_path) == said
    assert (tmp_path / "angles.csv").read_bytes() == file
    (run,) = me.Workspace.load(tmp_path / "lab").project("pendulum").experiment("period").runs
    assert run.status == "succeeded"
    assert run.parameters == {"amplitude": 1.0, "length": 1.0, "dt": 1e-3, "output": "angles.csv"}
    assert run.results["period"] == pytest.approx(2.14, abs=0.005)  # 6.6 % above that of a small swing
    assert run.asset("pendulum.csv").read_bytes() == file
    assert run.logs["stdout"].text() == said


def test_the_commands_of_the_page(tmp_path):
    for line in lines_of(FOLDER / "README.md"):
        done = type_in(re.sub(r"^python (\w+)", rf"python {FOLDER}/\1", line), tmp_path)
        assert (done.returncode, done.stderr.replace("pendulum/amplitudes: 3 ", "")) in (
            (0, ""),
            (0, "succeeded\n"),
            (0, "skipped\n"),
        )
    assert "2.0" in done.stdout
    assert len(me.Workspace.load(tmp_path / "lab").catalog.runs()) == 5
