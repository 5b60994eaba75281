"""Write what `molexp --help` says into docs/reference/command-line.md: `uv run python docs/build_command_line.py`.

The rest of that page is written by hand. A test renders the commands anew and compares.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from molexp_cli._main import app, run

PAGE = Path(__file__).resolve().parent / "reference" / "command-line.md"
MARK = "<!-- From here on written by docs/build_command_line.py. -->\n"
COLUMNS = "100"


def commands() -> Iterator[tuple[str, ...]]:
    """Yield every command and group, as you type it after `molexp`."""

    def below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, inner in getattr(command, "commands", {}).items():
            yield from below(inner, (*path, name))

    return below(typer.main.get_command(app), ())


def help_of(path: tuple[str, ...]) -> str:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS
    try:
        written = io.BytesIO()
        out = io.TextIOWrapper(written, encoding="utf-8")
        with contextlib.redirect_stdout(out):
            run([*path, "--help"])
        out.flush()
        return written.getvalue().decode().rstrip()
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def generated() -> str:
    return "\n".join(f"## `{' '.join(('molexp', *path))}`\n\n```text\n{help_of(path)}\n```\n" for path in commands())


def page(text: str) -> str:
    """Return the page with its generated part written again."""
    return text[: text.index(MARK)] + MARK + "\n" + generated()


def main() -> None:
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
