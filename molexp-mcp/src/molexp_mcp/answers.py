"""Write answers that are short, say what they leave out, and mark what comes from the record.

A token is taken as three characters, which is less than the average of English text, and about what numbers and paths have.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

TOKENS = 2000
LIMIT = 50_000
CHARACTERS = 3  # of a token
_CELL = 120


@dataclass
class Answer:
    """An answer in the making.

    Everything that is not MolExp's own text goes between two marks. They hold a random word, so that no log, note or name can
    end them.

    Attributes:
        tokens: the answer has at most about so many.
        mark: the random word.
    """

    tokens: int = TOKENS
    mark: str = field(default_factory=lambda: secrets.token_hex(4))
    _parts: list[str] = field(default_factory=list)
    _after: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        """Add a sentence of MolExp's own."""
        self._parts.append(sentence)

    def left_out(self, sentence: str) -> None:
        """Add a sentence on what is left out and how to get it, which comes last and is never cut."""
        self._after.append(sentence)

    @property
    def room(self) -> int:
        """Characters that are left."""
        used = sum(len(part) + 1 for part in (*self._parts, *self._after))
        return max(min(self.tokens, LIMIT) * CHARACTERS - used - 300, 0)

    def data(self, lines: Iterable[str], *, newest: bool = False) -> int:
        """Add lines from the record, as many as there is room for.

        Args:
            lines: the lines.
            newest: if not all fit, keep the last ones and not the first.

        Returns:
            How many do not fit.
        """
        every = [printable(line) for line in lines]
        kept, room = list[str](), self.room
        for line in reversed(every) if newest else every:
            if len(line) >= room:
                break
            room -= len(line) + 1
            kept.append(line)
        if newest:
            kept.reverse()
        if not kept and every:  # one line is longer than all there is room for
            kept = [every[-1][-self.room :] if newest else every[0][: self.room]]
        self._parts += [f"<data-{self.mark}>", *kept, f"</data-{self.mark}>"]
        return len(every) - len(kept)

    def __str__(self) -> str:
        return "\n".join((*self._parts, *self._after))


def printable(text: str) -> str:
    """Return one line of text: control characters, and those that change the order of letters, are escaped."""
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in text)


def cell(value: Any, width: int = _CELL) -> str:
    """Return a value as the text of a cell: floats with six digits, long texts and arrays cut."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else str(value)
    text = printable(text).replace("\t", " ")
    return text if len(text) <= width else f"{text[: width - 1]}…"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Return lines with tabs between cells, the names of columns first."""
    return ["\t".join(columns), *("\t".join(map(cell, row)) for row in rows)]
