"""Examples as users run them: in processes of their own."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests import warm
from tests.repository import ROOT

EXAMPLES = ROOT / "examples"
PROGRAM = Path(sys.executable).parent / "molexp"
LIMIT = 600.0  # seconds; each takes a few


def run_example(name: str, *arguments: str | Path, cwd: Path, progress: str = "") -> str:
    """Run an example; returns what it printed, and fails if it printed anything else to stderr than its progress."""
    done = python(EXAMPLES / name, *arguments, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, progress), done.stdout + done.stderr
    return done.stdout


def python(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return _run(sys.executable, *arguments, cwd=cwd)


def molexp(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return _run(PROGRAM, *arguments, cwd=cwd)


def type_in(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line as a page shows it, with the programs of this environment."""
    program, *arguments = shlex.split(line)
    return {"molexp": molexp, "python": python}[program](*arguments, cwd=cwd)


def lines_of(page: Path) -> list[str]:
    """The command lines that a page shows, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return warm.run(command, cwd=cwd, capture_output=True, text=True, timeout=LIMIT, check=False)
