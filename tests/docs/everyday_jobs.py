"""The page on everyday jobs: what each tool's solutions are, how many lines they take, and how they are executed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.docs.pages import blocks
from tests.repository import ROOT

PAGE = ROOT / "docs/explanation/everyday-jobs.md"
TOOLS = ("MolExp", "signac", "DVC", "MLflow", "trackio")
COUNTS = re.compile(r"(?<=<!-- counts -->\n).*(?=<!-- end of counts -->)", re.DOTALL)


class Solution(NamedTuple):
    """A tool does a job by files, saved by name, and then by commands. Both are empty if there is nothing to do."""

    files: Mapping[str, str]
    commands: tuple[str, ...]
    possible: bool


class Job(NamedTuple):
    title: str
    solutions: Mapping[str, Solution]


def science() -> str:
    """Return the functions that all solutions call."""
    return next(blocks(PAGE, PAGE.read_text(encoding="utf-8"))).code


def jobs() -> list[Job]:
    """Read the page."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return [Job(section.partition("\n")[0], dict(_solutions(section))) for section in sections]


def _solutions(section: str) -> Iterator[tuple[str, Solution]]:
    for part in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
        tool, _, text = part.partition("\n")
        found = [*blocks(PAGE, text)]
        commands = [line for block in found if block.language == "sh" for line in block.code.splitlines()]
        saved = {block.file: block.code for block in found if block.file is not None}
        yield tool, Solution(saved, (*commands,), possible=not text.lstrip().startswith("Not by a "))


def counts(job: int) -> dict[str, int | None]:
    """Count the lines that each tool's solution adds to those of the jobs before; None if the tool cannot do it."""
    every = jobs()
    return {tool: _added(tool, every[:job], every[job]) for tool in TOOLS}


def _added(tool: str, before: list[Job], job: Job) -> int | None:
    solution = job.solutions[tool]
    if not solution.possible:
        return None
    known = {line for earlier in before for line in _lines(earlier.solutions[tool])}
    return sum(line not in known for line in _lines(solution)) + len(solution.commands)


def _lines(solution: Solution) -> list[str]:
    """Return the lines that count, each with its file."""
    return [
        f"{name}: {line.strip()}"
        for name, text in solution.files.items()
        for line in text.splitlines()
        if line.strip() and not line.lstrip().startswith(("#", "from science"))
    ]


def table() -> str:
    """Return the table of counts, as it stands on the page."""
    rows = [f"| job | {' | '.join(TOOLS)} |", f"|---|{'---|' * len(TOOLS)}"]
    for number, job in enumerate(jobs()):
        cells = ("–" if count is None else str(count) for count in counts(number).values())
        rows.append(f"| {job.title} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def carry_out(solution: Solution, folder: Path, environment: Mapping[str, str]) -> str:
    """Save a solution's files, execute its commands, and return what they print.

    Raises:
        AssertionError: a command failed.
    """
    printed = ""
    for name, text in solution.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    for command in solution.commands:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
        printed += done.stdout
    return printed


if __name__ == "__main__":
    written = COUNTS.sub(lambda _: table(), PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(written, encoding="utf-8")
