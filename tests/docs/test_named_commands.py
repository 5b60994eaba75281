"""Every command that a message, a docstring or a page recommends is one that can be typed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from molexp_cli._main import app
from tests.repository import ROOT

NAMED = re.compile(r"`+(molexp(?: +[^`\n]+)?)`+")
_WORD = re.compile(r"[a-z][a-z-]*")
_OPTION = re.compile(r"--[a-z][a-z-]*|-[a-zA-Z]\b")
_NO_COMMANDS = ("molexp", "molexp-core", "molexp_cli")


def sources() -> Iterator[Path]:
    for distribution in ROOT.glob("molexp-*"):
        yield from distribution.glob("src/**/*.py")
    yield from (path for path in ROOT.glob("docs/**/*.md") if path.name != "command-line.md")
    yield from ROOT.glob("*.md")


def commands() -> list[tuple[str, str]]:
    return sorted(
        {
            (command, path.relative_to(ROOT).as_posix())
            for path in sources()
            for command in NAMED.findall(path.read_text(encoding="utf-8"))
        }
    )


def test_there_are_some():
    named = {command for command, _ in commands()}
    assert {"molexp fsck", "molexp gc --yes", "molexp fsck --repair", "molexp fsck --read-data"} <= named


@pytest.mark.parametrize(("typed", "where"), commands())
def test_a_command_that_is_named_is_there(typed, where):
    found: Any = typer.main.get_command(app)
    words = typed.split()[1:]
    known = {"-h", "--help", "--version"}
    while True:
        known |= {name for option in found.params for name in (*option.opts, *option.secondary_opts)}
        while words and words[0].startswith("-"):  # -w URL, before the command
            words = words[2:] if words[0] in ("-w", "--workspace") else words[1:]
        inner = getattr(found, "commands", None)
        if not words or inner is None or not _WORD.fullmatch(words[0]):
            break
        group, word = found, words.pop(0)
        found = inner[word] if word in inner else group.get_command(None, word)  # a plugin of ours may have it
        assert found is not None, f"`{typed}` in {where}: there is no such command"
    said = " ".join(words).partition(" -- ")[0]
    assert set(_OPTION.findall(said)) <= known, f"`{typed}` in {where}: there is no such option"
