"""Metrics by columns: the points of a piece of a file are an array for each name, and become dicts when you ask for them."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, repeat
from operator import eq
from typing import Any, ClassVar, TypeAlias, overload

from molexp._record.metrics import NEVER, OWN, Limits, lower
from molexp._values.numbers import EXACT
from molexp._values.tables import Column

Point: TypeAlias = "dict[str, Any]"

_GAP = float("nan")
_SHOWN = 10  # points that a repr shows
_LEAST = 600  # bytes that a piece of one point takes
_OBJECTS = 10  # times as many bytes as their JSON are taken by values that are no numbers


class Piece:
    """Points that follow each other and have the same names: the values of each name, exactly as they were logged."""

    __slots__ = ("columns", "size")

    def __init__(self, points: list[Point]) -> None:
        self.size: int = len(points)
        self.columns: dict[str, Column] = {name: _packed([point[name] for point in points]) for name in points[0]}

    def __iter__(self) -> Iterator[Point]:
        if not self.columns:
            return ({} for _ in range(self.size))
        names = repeat(tuple(self.columns))
        return map(dict, map(zip, names, zip(*self.columns.values(), strict=True)))

    def __getitem__(self, place: int) -> Point:
        return {name: column[place] for name, column in self.columns.items()}

    def weight(self, size: int) -> int:
        """Return how many bytes of memory it takes, at most and more or less, if it was `size` bytes of JSON."""
        arrays = [one for one in self.columns.values() if isinstance(one, array)]
        objects = _OBJECTS * size if len(arrays) < len(self.columns) else 0
        return _LEAST + sum(one.itemsize * self.size for one in arrays) + objects

    def spans(self) -> Iterator[tuple[Iterable[str], float, float]]:
        """Yield the names of metrics that the same points have, and the first and the last of their steps."""
        steps = _steps(self.columns.get("step", [0] * self.size))
        yield self.columns.keys() - OWN, min(steps), max(steps)


class MixedPiece:
    """Points that follow each other, of which some have other names than others."""

    __slots__ = ("_parts", "_place", "_which", "size")

    def __init__(self, points: list[Point]) -> None:
        alike: dict[tuple[str, ...], list[Point]] = {}
        numbers: dict[tuple[str, ...], int] = {}
        self.size: int = len(points)
        self._which, self._place = array("L"), array("L")  # of each point: its part, and its place there
        for point in points:
            some = alike.setdefault(names := tuple(point), [])
            self._which.append(numbers.setdefault(names, len(numbers)))
            self._place.append(len(some))
            some.append(point)
        self._parts = [*map(Piece, alike.values())]

    def __iter__(self) -> Iterator[Point]:
        parts = [*map(iter, self._parts)]
        return (next(parts[number]) for number in self._which)

    def __getitem__(self, place: int) -> Point:
        return self._parts[self._which[place]][self._place[place]]

    def weight(self, size: int) -> int:
        """Return how many bytes of memory it takes, at most and more or less, if it was `size` bytes of JSON."""
        return 2 * self._which.itemsize * self.size + sum(part.weight(size) for part in self._parts)

    def spans(self) -> Iterator[tuple[Iterable[str], float, float]]:
        """Yield the names of metrics that the same points have, and the first and the last of their steps."""
        return chain.from_iterable(part.spans() for part in self._parts)

    @property
    def columns(self) -> dict[str, Column]:
        """The values of each name; NaN stands for what a point does not have."""
        points = [*self]
        return {
            name: [point.get(name, _GAP) for point in points] for name in dict.fromkeys(chain.from_iterable(points))
        }


def pieces_of(some: Iterable[list[Point]]) -> Iterator[Piece | MixedPiece]:
    """Yield points by columns, as many at a time as they come."""
    for points in some:
        if points:
            alike = len(points[0]) == len(set().union(*points)) and len(set(map(len, points))) == 1
            yield Piece(points) if alike else MixedPiece(points)


def joined_pieces(attempts: Sequence[Iterable[Piece | MixedPiece]]) -> Iterator[Iterator[Piece | MixedPiece]]:
    """Yield the points of each attempt without those that a later one has replaced, the newest attempt's first.

    Args:
        attempts: the points of each attempt, oldest first, many at a time.

    Returns:
        An iterator that you use up before you ask for the next.
    """
    limits: Limits = {}
    for pieces in reversed(attempts):
        own: Limits = {}
        yield _kept(pieces, limits, own)
        lower(limits, own)


def _kept(pieces: Iterable[Piece | MixedPiece], limits: Limits, own: Limits) -> Iterator[Piece | MixedPiece]:
    """Yield what is left of one attempt's points; lower in `own` the first step of each name."""
    lowest = min(limits.values(), default=NEVER)
    for piece in pieces:
        is_whole = True
        for names, first, last in piece.spans():
            lower(own, dict.fromkeys(names, first))
            is_whole = is_whole and last < lowest
        if is_whole:
            yield piece
        else:
            yield from pieces_of([[*_below(piece, limits)]])


def _below(points: Iterable[Point], limits: Limits) -> Iterator[Point]:
    for point in points:
        step = found if type(found := point.get("step")) is int else 0
        left = {name: value for name, value in point.items() if name in OWN or step < limits.get(name, NEVER)}
        if len(left) == len(point) or any(name not in OWN for name in left):
            yield left


class Points(Sequence[Point]):
    """The points of metrics as a sequence of dicts: one that you ask for is made for you, and kept by nobody else."""

    __slots__ = ("_ends", "_pieces")

    def __init__(self, pieces: Iterable[Piece | MixedPiece]) -> None:
        self._pieces = [*pieces]
        self._ends = [*accumulate(piece.size for piece in self._pieces)]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Point]:
        return chain.from_iterable(self._pieces)

    @overload
    def __getitem__(self, index: int) -> Point: ...
    @overload
    def __getitem__(self, index: slice) -> list[Point]: ...
    def __getitem__(self, index: int | slice) -> Point | list[Point]:
        places = range(len(self))[index]
        if isinstance(places, range):
            return [self[place] for place in places]
        piece = self._pieces[number := bisect_right(self._ends, places)]
        return piece[places - self._ends[number] + piece.size]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | Points):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # as a list has none

    def __repr__(self) -> str:
        more = f", and {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        return f"[{', '.join(map(repr, self[:_SHOWN]))}{more}]"


def _packed(values: list[Any]) -> Column:
    """Return values in an array if all are floats, or all are integers that fit."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return array("d", values)
    if kinds == {int}:
        try:
            return array("q", values)
        except OverflowError:
            pass
    return values


def _steps(column: Column) -> Column:
    """Return steps; 0 stands for what is none."""
    if isinstance(column, array) and column.typecode == "q":
        return column
    return _packed([step if type(step) is int else 0 for step in column])


def columns_of(pieces: Iterable[Piece | MixedPiece]) -> dict[str, Column]:
    """Return the values of points by their names: integers of ``step``, floats, or a list of what is no number."""
    columns: dict[str, Column] = {"step": array("q"), "time": array("d")}
    count = 0
    for piece in pieces:
        found = piece.columns
        for name in columns | found:
            if name not in columns:
                columns[name] = array("d", [_GAP]) * count
            columns[name] = _with_values(columns[name], found.get(name) or array("d", [_GAP]) * piece.size)
        count += piece.size
    return columns


def _with_values(column: Column, values: Column) -> Column:
    """Return a column with more values; it becomes a list with the first that its array cannot hold."""
    if isinstance(column, array):
        try:
            if isinstance(values, array) and column.typecode == values.typecode:
                column.extend(values)
            else:
                column.fromlist([*values])
            return column
        except (OverflowError, TypeError):
            column = column.tolist()
    column.extend(values)
    return column


def series_of(pieces: Iterable[Piece | MixedPiece]) -> Iterator[tuple[str, Column, Column, Column]]:
    """Yield what each piece has under each name: the steps, the times, and the values, without gaps."""
    for piece in pieces:
        columns = dict(piece.columns)
        nothing = [_GAP] * piece.size
        steps = _steps(columns.pop("step", nothing))
        times = columns.pop("time", nothing)
        if not isinstance(times, array) or times.typecode != "d":
            times = _packed([time if type(time) is float else _GAP for time in times])
        for name, column in columns.items():
            if isinstance(piece, Piece):
                yield name, steps, times, column
                continue
            there = [place for place, value in enumerate(column) if value is not _GAP]
            some, at, values = (_packed([found[place] for place in there]) for found in (steps, times, column))
            yield name, some, at, values


def joined(columns: Sequence[Column]) -> Column:
    """Return columns, one after the other, as one: of integers, of floats, or a list of what is neither."""
    codes = {column.typecode if isinstance(column, array) else "" for column in columns}
    if len(codes) == 1 and codes != {""}:
        found = array(codes.pop())
        for column in columns:
            found.extend(column)
        return found
    if codes == {"q", "d"} and all(
        -EXACT < value < EXACT for column in columns for value in column if type(value) is int
    ):
        return array("d", chain.from_iterable(columns))
    return [*chain.from_iterable(columns)]
