"""Blocks of a file of metrics: of each name, the first, last, least and greatest of some hundred points that follow each other.

They are what a picture needs of a long file. Where a block ends depends on the points before it alone, so whoever makes the
blocks of a file makes the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, compress
from math import isfinite
from operator import itemgetter
from typing import Any
from zlib import crc32

from msgspec import MsgspecError, Struct
from msgspec.json import Decoder, Encoder

from molexp._record.metrics import BATCH, OWN

FEW = 1024 * BATCH  # points from which on blocks become longer, so that there are some thousand at most
_FEW_NAMES = 8
_LARGEST = 2.0**1023
_NUMBERS = {int, float}

Spot = tuple[int, int, int | float | None, float | None]
"""A value and where it is: its place in the block, its step, the value (None if it is no finite number), its time."""


class Part(Struct, array_like=True):
    """The points of one name in a block: how many, the lowest and highest step, and some of them."""

    count: int
    low: int
    high: int
    first: Spot
    last: Spot
    least: Spot | None = None
    greatest: Spot | None = None
    gap: Spot | None = None  # the first that is no finite number

    def merged(self, other: Part) -> Part:
        """Return the part of both."""
        return Part(
            self.count + other.count,
            min(self.low, other.low),
            max(self.high, other.high),
            min(self.first, other.first, key=itemgetter(0)),
            max(self.last, other.last, key=itemgetter(0)),
            min(_there(self.least, other.least), key=_least, default=None),
            min(_there(self.greatest, other.greatest), key=_greatest, default=None),
            min(_there(self.gap, other.gap), key=itemgetter(0), default=None),
        )


def _there(*spots: Spot | None) -> list[Spot]:
    return [one for one in spots if one is not None]


def _least(spot: Spot) -> Any:
    return spot[2], spot[0]


def _greatest(spot: Spot) -> Any:
    return -spot[2], spot[0]  # type: ignore[operator] # of what is greatest there is a number


Parts = dict[str, Part]
"""Parts by the names of metrics."""


class Block(Struct, array_like=True):
    """Points that follow each other in a file.

    Attributes:
        size: the number of points.
        end: the place in the file at which they end.
        seal: the length of their last line, and its checksum: another file has other ones there.
        parts: of each name, what there is.
    """

    size: int
    end: int
    seal: tuple[int, int]
    parts: Parts


def block_size(before: int) -> int:
    """Return how many points are in the block that begins after so many."""
    return BATCH << (before // FEW).bit_length()


def seal_of(line: bytes) -> tuple[int, int]:
    """Return what a line is recognised by."""
    return len(line), crc32(line)


class Builder:
    """Makes blocks of points.

    Args:
        before: the number of points that come before.
    """

    def __init__(self, before: int = 0) -> None:
        self.before = before
        self.size = 0
        self._parts: Parts = {}

    def room(self) -> int:
        """Return how many points to take in next, at most."""
        return BATCH - self.size % BATCH

    def take(self, parts: Mapping[str, Part], size: int) -> bool:
        """Take in parts of so many points, whose places begin with `size`; tell whether a block is full."""
        add(self._parts, parts)
        self.size += size
        return self.size >= block_size(self.before)

    def cut(self, end: int, line: bytes) -> Block:
        """Return what was taken in as a block that ends with this line."""
        block = Block(self.size, end, seal_of(line), self._parts)
        self.before += self.size
        self.size, self._parts = 0, {}
        return block


def parts_of(points: Sequence[Mapping[str, Any]], place: int = 0) -> Parts:
    """Return the parts of points.

    Args:
        points: the points, at least one.
        place: the place of the first in its block.
    """
    if len({*map(len, points)}) == 1:
        with suppress(KeyError):  # there are as many names, and not the same ones
            return _columns(points, range(place, place + len(points)))
    names = dict.fromkeys(chain.from_iterable(points))
    return _by_name([*names], points, place) if len(names) <= _FEW_NAMES else _mixed(points, place)


def _by_name(names: Iterable[str], points: Sequence[Mapping[str, Any]], place: int) -> Parts:
    """Return the parts of points of which each has some of a few names."""
    spots = _Spots(
        range(place, place + len(points)), [one.get("step") for one in points], [one.get("time") for one in points]
    )
    return {
        name: spots.among([name in one for one in points]).part([one[name] for one in points if name in one])
        for name in names
        if name not in OWN
    }


def _mixed(points: Sequence[Mapping[str, Any]], place: int) -> Parts:
    """Return the parts of points of which some have many other names than others."""
    groups: dict[tuple[str, ...], tuple[list[Mapping[str, Any]], list[int]]] = {}
    for at, point in enumerate(points, place):
        some, places = groups.setdefault(tuple(point), ([], []))
        some.append(point)
        places.append(at)
    parts: Parts = {}
    for some, places in groups.values():
        add(parts, _columns(some, places))
    return parts


def add(parts: Parts, others: Mapping[str, Part]) -> None:
    """Merge other parts into some."""
    for name, part in others.items():
        parts[name] = parts[name].merged(part) if name in parts else part


def _columns(points: Sequence[Mapping[str, Any]], places: Sequence[int]) -> Parts:
    """Return the parts of points that have the same names.

    Raises:
        KeyError: they have others than the first.
    """
    columns = {name: [*map(itemgetter(name), points)] for name in points[0]}
    nothing = [None] * len(points)
    spots = _Spots(places, columns.pop("step", nothing), columns.pop("time", nothing))
    return {name: spots.part(values) for name, values in columns.items()}


class _Spots:
    """The places, steps and times of some points."""

    def __init__(self, places: Sequence[int], steps: list[Any], times: list[Any]) -> None:
        if {*map(type, steps)} != {int}:
            steps = [one if type(one) is int else 0 for one in steps]
        if {*map(type, times)} != {float}:
            times = [one if type(one) is float else None for one in times]
        self._places, self._steps, self._times = places, steps, times
        self._low, self._high = min(steps), max(steps)

    def among(self, which: list[bool]) -> _Spots:
        """Return those of some points only."""
        if all(which):
            return self
        places, steps, times = ([*compress(some, which)] for some in (self._places, self._steps, self._times))
        return _Spots(places, steps, times)

    def part(self, values: list[Any]) -> Part:
        """Return the part of what the points have under one name."""
        if {*map(type, values)} <= _NUMBERS:
            least, greatest = min(values), max(values)
            if -_LARGEST < least <= greatest < _LARGEST:
                return self._part(values, values.index(least), values.index(greatest))
        numbers = [*map(finite, values)]
        there = [at for at, value in enumerate(numbers) if value is not None]
        gap = numbers.index(None) if len(there) < len(numbers) else None
        if not there:
            return self._part(numbers, None, None, gap)
        known = [value for value in numbers if value is not None]
        return self._part(numbers, there[known.index(min(known))], there[known.index(max(known))], gap)

    def _part(self, values: list[Any], least: int | None, greatest: int | None, gap: int | None = None) -> Part:
        def spot(at: int) -> Spot:
            return self._places[at], self._steps[at], values[at], self._times[at]

        some = (None if at is None else spot(at) for at in (least, greatest, gap))
        return Part(len(values), self._low, self._high, spot(0), spot(-1), *some)


def finite(value: Any) -> int | float | None:
    """Return a finite number that a picture can show; None for anything else."""
    if type(value) is float:
        return value if isfinite(value) else None
    return value if type(value) is int and abs(value) < 2**1023 else None


_decoder = Decoder(Block)
_encoder = Encoder()


def encode_block(block: Block) -> bytes:
    """Return a block as a line.

    Raises:
        OverflowError: a number in it has more than 64 bits.
    """
    return _encoder.encode(block) + b"\n"


def decode_blocks(data: bytes) -> list[Block]:
    """Return the blocks in a file of them, as far as they can be what was written."""
    blocks: list[Block] = []
    before = end = 0
    for line in data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]:
        try:
            block = _decoder.decode(line)
        except (MsgspecError, ValueError, RecursionError):
            break
        if not (0 < block.size <= block_size(before) and block.end >= end + block.size and _is_sound(block)):
            break
        blocks.append(block)
        if block.size < block_size(before):  # one that is not full is the last
            break
        before, end = before + block.size, block.end
    return blocks


def _is_sound(block: Block) -> bool:
    return all(
        0 < one.count <= block.size
        and one.low <= one.high
        and all(spot is None or spot[2] is not None for spot in (one.least, one.greatest))
        and (one.least is None) is (one.greatest is None)
        for one in block.parts.values()
    )
