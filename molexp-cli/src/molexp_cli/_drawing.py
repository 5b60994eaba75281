"""Draw a chart in the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from molexp_cli import _words
from molexp_cli._axes import Axis, axis_of, ticks_of
from molexp_cli._canvas import COLUMNS, Canvas
from molexp_cli._output import one_line, width_of
from molexp_cli._series import Chart, Series

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = ("cyan", "yellow", "magenta", "green", "blue", "red")
_MARKS, _ASCII_MARKS = "●■▲◆○□△◇", "ox+*#@%&"
_MARGIN = 0.04
_LEGEND = 3  # lines
_AWAY = 3  # marks on a curve
_BAND = 3  # dots from one to the next of what is drawn dotted
_LEAST = 12, 5  # characters and lines of a canvas, however small the terminal is
_GAP = 3  # blanks between the numbers of the x axis
_FRAME, _ASCII_FRAME = "┤│└─┬", "||+-+"


class Look(NamedTuple):
    """Size and form of a drawing.

    Attributes:
        width: characters of a line.
        height: the number of lines.
        log_x: make the x axis logarithmic.
        log_y: likewise.
        ascii: draw with characters of ASCII.
    """

    width: int
    height: int
    log_x: bool = False
    log_y: bool = False
    ascii: bool = False


def draw(chart: Chart, look: Look) -> Text:
    """Return the lines of a chart that has at least one point."""
    from rich.text import Text

    y_axis = axis_of(_extent(chart, look), log=look.log_y, margin=_MARGIN)
    legend = [*_legend(chart, look)]
    height = max(_LEAST[1], look.height - len(legend) - len(("title", "axis", "numbers", "name")))
    y_ticks = ticks_of(y_axis, max(2, height // 3))
    beside = max((len(text) for _, text in y_ticks), default=0)
    canvas = Canvas(max(_LEAST[0], look.width - beside - 2), height, ascii=look.ascii)
    x_axis = _x_axis(chart, look)
    _Pencil(canvas, chart, x_axis, y_axis, look).draw()
    drawn = Text(no_wrap=True)
    drawn.append(f"{one_line(chart.y)}\n", "bold")
    for line in legend:
        drawn.append_text(line).append("\n")
    frame = _ASCII_FRAME if look.ascii else _FRAME
    numbers = {height - 1 - canvas.place(0, y_axis.share(value))[1] // 4: text for value, text in y_ticks}
    for row, pieces in enumerate(canvas.lines()):
        edge = frame[0] if row in numbers else frame[1]
        drawn.append(f"{numbers.get(row, ''):>{beside}} {edge}", "dim")
        drawn.append_tokens(pieces).append("\n")
    ticks = _x_ticks(chart, x_axis, canvas)
    below = "".join(frame[4] if at in dict(ticks) else frame[3] for at in range(canvas.width))
    drawn.append(f"{'':>{beside}} {frame[2]}{below}\n{'':>{beside + 2}}{_beside(ticks, canvas.width)}\n", "dim")
    title = one_line(chart.x_title or chart.x)
    drawn.append(f"{'':>{beside + 2}}{' ' * max(0, (canvas.width - width_of(title)) // 2)}{title}", "bold")
    drawn.rstrip()
    return drawn


def _extent(chart: Chart, look: Look) -> Iterator[float]:
    """Yield the values between which the y axis has room for everything."""
    for one in chart.series:
        for at, value in enumerate(one.y):
            yield value
            if one.std and one.std[at] and not one.raw:
                ends = value - one.std[at], value + one.std[at]
                yield from (end for end in ends if math.isfinite(end) and (end > 0 or not look.log_y))


def _x_axis(chart: Chart, look: Look) -> Axis:
    if chart.categories:
        return Axis(-0.5, len(chart.categories) - 0.5)
    margin = _MARGIN if chart.marked else 0.0
    return axis_of((x for one in chart.series for x in one.x), log=look.log_x, margin=margin)


def _x_ticks(chart: Chart, axis: Axis, canvas: Canvas) -> list[tuple[int, str]]:
    """Return the columns in which something stands below the axis, and what."""
    if chart.categories:
        texts = [one_line(_words.brief(one, 6)) or "none" for one in chart.categories]
        room = max(4, canvas.width // len(texts) - 1)
        found = [(float(place), _words.cut(text, max(room, 8))) for place, text in enumerate(texts)]
    else:
        found = ticks_of(axis, max(2, canvas.width // 12))
    placed = [(canvas.place(axis.share(value), 0)[0] // COLUMNS, text) for value, text in found]
    every = next(n for n in range(1, len(placed) + 2) if _fit(placed[::n], 1 if chart.categories else _GAP))
    return placed[::every]


def _fit(placed: Sequence[tuple[int, str]], gap: int) -> bool:
    ends = [(at - width_of(text) / 2, at + width_of(text) / 2) for at, text in placed]
    return all(before[1] + gap <= after[0] for before, after in pairwise(ends))


def _beside(ticks: Sequence[tuple[int, str]], width: int) -> str:
    """Return texts on one line, each in the middle of its place, as far as the line has room."""
    line, length = "", 0
    for at, text in ticks:
        start = max(length + bool(line), min(at - (width_of(text) - 1) // 2, width - width_of(text)))
        line += " " * (start - length) + text
        length = start + width_of(text)
    return line.rstrip()


def _legend(chart: Chart, look: Look) -> Iterator[Text]:
    """Yield the lines that say which mark stands for which series."""
    from rich.text import Text

    if len(chart.series) == 1 and not chart.series[0].label:
        return
    lines, left = [Text()], len(chart.series)
    for number, one in enumerate(chart.series):
        label = _words.cut(one_line(one.label), look.width - 2)
        full = lines[-1].cell_len + width_of(label) + 5 > look.width and lines[-1].cell_len
        if full and len(lines) == _LEGEND:
            lines[-1].append(f"   +{left} more", "dim")
            break
        if full:
            lines.append(Text())
        mark = "" if len(chart.series) == 1 and not chart.marked else f"{_mark(number, look)} "
        lines[-1].append("   " if lines[-1].cell_len else "").append(mark, _style(number)).append(label)
        left -= 1
    yield from lines


def _mark(number: int, look: Look) -> str:
    marks = _ASCII_MARKS if look.ascii else _MARKS
    return marks[number % len(marks)]


def _style(number: int) -> str:
    return _STYLES[number % len(_STYLES)]


class _Pencil(NamedTuple):
    """Draws series on a canvas."""

    canvas: Canvas
    chart: Chart
    x_axis: Axis
    y_axis: Axis
    look: Look

    def draw(self) -> None:
        """Draw all: lines first, then marks in front of them."""
        for number, one in enumerate(self.chart.series):
            style = _style(number)
            if self.chart.joined:
                self._join(one.x, one.y, style)
            if one.std and not one.raw:
                self._spread(one, style)
        for number, one in enumerate(self.chart.series):
            few = self.chart.marked and len(one.x) <= self.canvas.width
            places = [self._place(*point) for point in zip(one.x, one.y, strict=True)] if self.chart.marked else []
            for place in () if few else places:
                self.canvas.dot(*place, _style(number))
            for place in places if few else self._some(places or self._places(one.x, one.y), number):
                self.canvas.mark(*place, _mark(number, self.look), _style(number))

    def _place(self, x: float, y: float) -> tuple[int, int]:
        return self.canvas.place(self.x_axis.share(x), self.y_axis.share(y))

    def _places(self, x: Sequence[float], y: Sequence[float]) -> list[tuple[int, int]]:
        """Return the dots of points: of more than there are dots side by side, those of the least and greatest."""
        import molexp

        xs, ys = molexp.downsample(x, y, 4 * self.canvas.width * COLUMNS, log=self.look.log_x)
        return [self._place(*point) for point in zip(xs, ys, strict=True)]

    def _join(self, x: Sequence[float], y: Sequence[float], style: str, *, dotted: bool = False) -> None:
        """Draw a line through points."""
        places = self._places(x, y)
        if dotted:
            for place in places:
                if place[0] % _BAND == 0:
                    self.canvas.dot(*place, style)
            return
        for start, end in pairwise(places) if len(places) > 1 else [(places[0], places[0])]:
            self.canvas.line(start, end, style)

    def _spread(self, one: Series, style: str) -> None:
        """Draw one standard deviation to either side: bars at marks, and dotted curves along others."""
        ends = [[y + sign * std for y, std in zip(one.y, one.std, strict=True)] for sign in (-1, 1)]
        if not self.chart.marked:
            for values in ends if any(one.std) else ():
                self._join(one.x, values, style, dotted=True)
            return
        for x, std, low, high in zip(one.x, one.std, *ends, strict=True):
            if std:
                self.canvas.line(self._place(x, low), self._place(x, high), style)

    def _some(self, places: Sequence[tuple[int, int]], number: int) -> list[tuple[int, int]]:
        """Return a few places along a curve, others for each series, so that curves can be told apart without colours."""
        count = len(self.chart.series)
        if len(places) == 1:
            return [*places]
        if count == 1:
            return []
        first, width = places[0][0], places[-1][0] - places[0][0]
        wanted = [first + width * (part + (number % 8 + 1) / (min(count, 8) + 1)) / _AWAY for part in range(_AWAY)]
        return [min(places, key=lambda place: abs(place[0] - at)) for at in wanted]
