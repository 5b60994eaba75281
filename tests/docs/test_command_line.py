"""The page about the command line says what the commands say of themselves, and its exit codes are those there are."""

from __future__ import annotations

import re

from docs import build_command_line
from molexp_cli import _failing, _output

PAGE = build_command_line.PAGE.read_text(encoding="utf-8")


def test_the_page_is_up_to_date():
    assert build_command_line.page(PAGE) == PAGE, "run `uv run python docs/build_command_line.py`"


def test_every_exit_code_is_explained():
    explained = {
        int(code) for cell in re.findall(r"^\| ([\d, ]+)", PAGE, re.MULTILINE) for code in re.findall(r"\d+", cell)
    }
    codes = {value for name, value in vars(_failing).items() if name.isupper() and isinstance(value, int)}
    assert codes | {0, 126, 127, _output.BROKEN_PIPE} <= explained
