"""The pages that teach strangers to write plugins, followed to the letter: their files are written, their commands typed."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import Block, blocks, commands, matches
from tests.repository import ROOT
from tests.third_party.environments import Environment, build

TUTORIAL = ROOT / "docs" / "tutorials" / "write-an-asset-kind.md"

UNUSED = ("cacheprovider", "hypothesispytest", "xdist", "zarr")
"""Plugins of pytest that nobody needs here, and that take longer to import than all else."""

_NAMED = re.compile(r"# (?P<path>[\w./-]+\.\w+)\n(?P<text>.*)", re.DOTALL)


def steps(page: Path) -> Iterator[Block]:
    """Return the blocks of a page that readers act on."""
    return (block for block in blocks(page, page.read_text(encoding="utf-8")) if block.language != "text")


def files(page: Path) -> dict[str, str]:
    """Return the files that a page has whole: path to text."""
    named = [_NAMED.fullmatch(block.code) for block in steps(page) if block.language in ("python", "toml")]
    return {found["path"]: found["text"] for found in named if found is not None}


def logical_lines(text: str) -> int:
    """Count the logical lines of a Python file, of which a comment or an empty line is none."""
    return sum(token.type == tokenize.NEWLINE for token in tokenize.generate_tokens(io.StringIO(text).readline))


def follow(environment: Environment, block: Block) -> None:
    """Do what a block says: write a file, change one, or type commands, which print what the page says."""
    named = _NAMED.fullmatch(block.code)
    if block.language == "console":
        for command, expected in commands(block.code):
            printed = typed(environment, command)
            assert matches(expected, printed), f"{block.page}:{block.line}: $ {command}\n{printed}"
    elif named is not None:
        file = environment.home / named["path"]
        text = named["text"] if block.language != "diff" else changed(file.read_text(), named["text"])
        file.write_text(text, encoding="utf-8")


def typed(environment: Environment, command: str) -> str:
    """Return what a command of the page prints. What it installs with pip is built and installed as a wheel."""
    if command.startswith("pip install "):
        folders = [word.partition("[")[0] for word in shlex.split(command)[2:] if not word.startswith("-")]
        wheels = build(environment.home.parent / "wheels", *(environment.home / folder for folder in folders))
        environment.install(*wheels)
        return ""
    if command.startswith("pytest "):  # it comes with [test]
        command = " ".join(["python -m", command, *(f"-p no:{name}" for name in UNUSED)])
    done = subprocess.run(
        command,
        shell=True,
        cwd=environment.home,
        env=environment.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}"
    return done.stdout


def changed(text: str, difference: str) -> str:
    """Return a text with the lines of a difference, which begin with a space, a minus or a plus."""
    lines = difference.splitlines(keepends=True)
    before, after = ("".join(line[1:] for line in lines if line[0] in marks) for marks in (" -", " +"))
    assert text.count(before) == 1, f"there is no one place for\n{difference}"
    return text.replace(before, after)
