"""A drawing of dots in a terminal: each character has two columns of four dots, in Braille, or is one of ASCII."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

COLUMNS, ROWS = 2, 4
"""The dots of a character, side by side and on top of each other."""

_BRAILLE = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column, as Unicode numbers the dots
_UPPER = 0x1B  # the dots of the two rows at the top


class Cell(NamedTuple):
    """A character and its style."""

    text: str
    style: str


class Canvas:
    """Dots, and characters that stand in front of them. The place (0, 0) is the lower left dot.

    Args:
        width: its characters.
        height: its lines.
        ascii: draw with characters of ASCII.
    """

    def __init__(self, width: int, height: int, *, ascii: bool = False) -> None:
        self.width, self.height = width, height
        self._ascii = ascii
        self._dots = [[0] * width for _ in range(height)]
        self._styles = [[""] * width for _ in range(height)]
        self._marks: dict[tuple[int, int], Cell] = {}

    def place(self, across: float, up: float) -> tuple[int, int]:
        """Return the dot at a part of the width and of the height, each from 0 to 1."""
        return round(across * (self.width * COLUMNS - 1)), round(up * (self.height * ROWS - 1))

    def dot(self, x: int, y: int, style: str) -> None:
        """Set a dot."""
        row, below = divmod(y, ROWS)
        column, beside = divmod(x, COLUMNS)
        row = self.height - 1 - row
        self._dots[row][column] |= _BITS[ROWS - 1 - below][beside]
        self._styles[row][column] = style

    def line(self, start: tuple[int, int], end: tuple[int, int], style: str) -> None:
        """Draw a straight line from dot to dot."""
        (x, y), (across, up) = start, (end[0] - start[0], end[1] - start[1])
        steps = max(abs(across), abs(up), 1)
        for step in range(steps + 1):
            self.dot(x + round(across * step / steps), y + round(up * step / steps), style)

    def mark(self, x: int, y: int, text: str, style: str) -> None:
        """Put a character at the place of a dot, in front of all dots there."""
        self._marks[self.height - 1 - y // ROWS, x // COLUMNS] = Cell(text, style)

    def lines(self) -> Iterator[list[Cell]]:
        """Yield the lines from the top, as pieces of one style."""
        for row in range(self.height):
            pieces: list[Cell] = []
            for column, (dots, style) in enumerate(zip(self._dots[row], self._styles[row], strict=True)):
                found = self._marks.get((row, column)) or Cell(self._character(dots), style if dots else "")
                if pieces and pieces[-1].style == found.style:
                    found = Cell(pieces.pop().text + found.text, found.style)
                pieces.append(found)
            yield pieces

    def _character(self, dots: int) -> str:
        if not dots:
            return " "
        if not self._ascii:
            return chr(_BRAILLE + dots)
        upper, lower = dots & _UPPER, dots & ~_UPPER
        return ":" if upper and lower else "'" if upper else "."
