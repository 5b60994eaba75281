"""An argparse script, before and after: five lines, the same behaviour, and a record."""

from __future__ import annotations

import difflib

import pytest

import molexp as me
from tests.examples.running import EXAMPLES, lines_of, run_example, type_in

FOLDER = EXAMPLES / "adopt"
BEFORE, AFTER = (FOLDER / f"{name}.py" for name in ("argparse_script_before", "argparse_script"))


def difference() -> list[str]:
    before, after = (path.read_text(encoding="utf-8").splitlines(keepends=True) for path in (BEFORE, AFTER))
    return list(difflib.unified_diff(before, after, BEFORE.name, AFTER.name, n=2))


def test_five_lines_were_added():
    added = [line for line in difference()[2:] if line.startswith("+")]
    removed = [line for line in difference()[2:] if line.startswith("-")]
    assert len(added) <= 5
    assert len(removed) <= 1


def test_the_page_shows_the_difference():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"```diff\n{''.join(difference())}```" in page


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
        done = type_in(line.replace("argparse_script.py", str(AFTER)), tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), line
    assert "period: " in done.stdout
    assert len(me.Workspace.load(tmp_path / "lab").catalog.runs()) == 2
