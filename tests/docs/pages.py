"""Markdown pages that do what they show: their Python and their commands are run, in order.

- Every ```python block is executed, all of a page in one namespace.
- A block whose first line is a comment that names a file, such as ``# train.py``, is saved under that name as well.
- Of a ```console block, each line after ``$ `` is a command. What it prints has to be the lines below it, where ``...``
  stands for any text, and a line of only ``...`` for any lines; without lines below it, it may print anything.

Everything happens in one new folder. A comment ``<!-- no-run: reason -->`` right above a block exempts it.
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import attrs

from tests import warm

BLOCK = re.compile(
    r"(?:<!--\s*no-run:(?P<reason>.*?)-->\s*\n)?"
    r"^(?P<indent> *)```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^(?P=indent)```\s*$",
    re.MULTILINE | re.DOTALL,
)
FILE = re.compile(r"# ([\w-]+\.\w+)\n")
COMMAND = re.compile(r"^\$ (?P<command>.*)\n(?P<output>(?:(?!\$ ).*\n)*)", re.MULTILINE)

PLAIN = re.compile(r"""(?:molexp|python)(?: +(?:'[^']*'|"[^"$`\\!]*"|[\w./=@:,+-]+))* *""")
"""A command in which there is nothing for a shell to do but to split it into words."""


@attrs.frozen
class Block:
    """One block of code on a page."""

    page: Path
    line: int
    code: str
    no_run: str | None
    """The reason that it is not run, from a comment `<!-- no-run: reason -->` right above it; None if it is run."""
    language: str = "python"

    @property
    def is_run(self) -> bool:
        """Tell whether something is to be done with it."""
        return self.no_run is None and (self.language in ("python", "console") or self.file is not None)

    @property
    def file(self) -> str | None:
        """The file that its first line names."""
        found = FILE.match(self.code)
        return found[1] if found is not None else None

    def compiled(self) -> CodeType:
        """The code, with the page's own lines in tracebacks."""
        return compile("\n" * self.line + self.code, str(self.page), "exec", dont_inherit=True)

    def run(self, namespace: dict[str, object]) -> None:
        """Do what it shows."""
        if self.file is not None:
            Path(self.file).write_text(self.code, encoding="utf-8")
            importlib.invalidate_caches()  # it may be imported right away
        if self.language == "python":
            exec(self.compiled(), namespace)
        elif self.language == "console":
            for command, expected in commands(self.code):
                printed = typed(command)
                assert matches(expected, printed), f"{self.page}:{self.line}: $ {command}\n{printed}"


def blocks(page: Path, text: str) -> Iterator[Block]:
    for found in BLOCK.finditer(text):
        indent, reason = found["indent"], found["reason"]
        code = re.sub(f"^{indent}", "", found["code"], flags=re.MULTILINE) if indent else found["code"]
        line = text.count("\n", 0, found.start("code"))
        reason = None if reason is None else reason.strip()
        yield Block(page=page, line=line, code=code, no_run=reason, language=found["language"])


def commands(code: str) -> list[tuple[str, str]]:
    """The commands of a console block, and what each is said to print."""
    return [(found["command"], found["output"]) for found in COMMAND.finditer(code)]


def typed(command: str) -> str:
    """Return what a command prints for a user who has installed MolExp.

    Raises:
        AssertionError: it failed.
    """
    programs = Path(sys.executable).parent
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    words = ["/bin/sh", "-c", command]
    if PLAIN.fullmatch(command):
        program, *given = shlex.split(command)
        words = [str(programs / program), *given]
    done = warm.run(
        words,
        text=True,
        timeout=300,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}"
    return str(done.stdout)


def matches(expected: str, printed: str) -> bool:
    """Tell whether a command printed what the page says."""
    if not expected:
        return True
    lines = ["(?:.*\n)*" if line == "..." else _pattern(line) + "\n" for line in expected.splitlines()]
    return re.fullmatch("".join(lines), printed) is not None


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split("..."))
