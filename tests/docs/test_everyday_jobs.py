"""Twelve everyday jobs take at most as many lines as with the best of four other tools, and all solutions work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.everyday_jobs import COUNTS, PAGE, TOOLS, carry_out, counts, jobs, science, table

# Where the packages of a tool come from, and the command that prints all points, if its list does not.
PACKAGES = {
    "signac": ["signac==2.4.*", "signac-flow", "pandas", "matplotlib"],
    "DVC": ["dvc==3.*", "dvclive", "pandas"],
    "MLflow": ["mlflow==3.*", "matplotlib"],
    "trackio": ["trackio==0.*", "pandas"],
}
LISTS = {"MLflow": "python frame.py", "trackio": "python frame.py"}
WHO = {f"GIT_{role}_{field}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}


def test_the_table_has_the_counts_of_the_solutions():
    found = COUNTS.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[0] == table(), "run `uv run python -m tests.docs.everyday_jobs`"


@pytest.mark.parametrize("number", range(12), ids=[job.title for job in jobs()])
def test_molexp_takes_at_most_as_many_lines_as_the_best(number):
    ours, *others = counts(number).values()
    assert ours is not None
    assert ours <= min(count for count in others if count is not None)


def test_molexp_does_each_job(tmp_path):
    do_all("MolExp", tmp_path, Path(sys.executable).parent)


@pytest.mark.long
@pytest.mark.parametrize("tool", PACKAGES)
def test_the_other_tools_do_what_the_page_says(tool, tmp_path):
    environment = tmp_path / "venv"
    for command in (["venv", environment], ["pip", "install", "--python", environment, *PACKAGES[tool]]):
        done = subprocess.run(["uv", *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{tool} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    do_all(tool, tmp_path, environment / "bin")


def do_all(tool: str, tmp_path: Path, programs: Path) -> None:
    """Do all jobs in one folder, one after the other, and look at what each leaves."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "science.py").write_text(science(), encoding="utf-8")
    environment = {
        **WHO,
        "HOME": str(tmp_path),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "200",
        "DVC_NO_ANALYTICS": "1",
    }
    printed = [
        carry_out(job.solutions[tool], here, environment) if job.solutions[tool].possible else None for job in jobs()
    ]
    _, _, swept, again, resumed, listed, filtered, compared, plotted, frame, shared, cleaned = printed
    assert swept is not None
    assert swept.count("computing") == 6
    assert not (again and "computing" in again)
    assert resumed is None or (here / "relaxed.txt").read_text().count("3.6\n") == 1
    assert listed
    assert filtered is None or ("3.5" not in filtered and re.search(r"3\.7|\w+-\w+-\d", filtered))
    assert compared is None or ("PBE" in compared and "LDA" in compared)
    assert plotted is None or (here / "energy.png").read_bytes().startswith(b"\x89PNG")
    assert frame
    assert "LDA" in frame
    assert shared is None or next(here.glob("grid.*")).stat().st_size > 100
    assert cleaned is not None
    last = jobs()[5].solutions[tool]
    left = carry_out(last._replace(commands=(LISTS.get(tool, last.commands[0]),)), here, environment)
    assert re.search(r"\b3\.5\b", left)
    assert not re.search(r"\b3\.7\b", left)


def test_the_page_is_about_twelve_jobs_and_five_tools():
    assert [[*job.solutions] for job in jobs()] == [[*TOOLS]] * 12
