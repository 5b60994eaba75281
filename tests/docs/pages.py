"""Markdown pages whose Python is run: every ```python block of a page, in order, in one namespace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import attrs

BLOCK = re.compile(
    r"(?:<!--\s*no-run:(?P<reason>.*?)-->\s*\n)?^(?P<indent> *)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```\s*$",
    re.MULTILINE | re.DOTALL,
)


@attrs.frozen
class Block:
    """One block of Python on a page."""

    page: Path
    line: int
    code: str
    no_run: str | None
    """Why it is not run, from a comment `<!-- no-run: reason -->` right above it; None if it is run."""

    def compiled(self) -> CodeType:
        """The code, with the page's own lines in tracebacks."""
        return compile("\n" * self.line + self.code, str(self.page), "exec")


def blocks(page: Path, text: str) -> Iterator[Block]:
    for found in BLOCK.finditer(text):
        indent, reason = found["indent"], found["reason"]
        code = re.sub(f"^{indent}", "", found["code"], flags=re.MULTILINE) if indent else found["code"]
        line = text.count("\n", 0, found.start("code"))
        yield Block(page=page, line=line, code=code, no_run=None if reason is None else reason.strip())
