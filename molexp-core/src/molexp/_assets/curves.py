"""Curves of metrics with as few points as a picture shows: of long files, blocks of points are read instead of all."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, compress, groupby, pairwise
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from molexp._assets.verification import check_size
from molexp._record.metric_blocks import (
    Block,
    Builder,
    Part,
    Spot,
    block_size,
    decode_blocks,
    finite,
    parts_of,
    seal_of,
)
from molexp._record.metrics import NEVER, Limits, lower, whole_lines
from molexp._storage import layout
from molexp._values.documents import decode_lines
from molexp._values.downsampling import downsample
from molexp._values.plain import restore
from molexp.errors import KeyNotFoundError, StoreError

if TYPE_CHECKING:
    from molexp._assets.assets import MetricsAsset
    from molexp._assets.registry import Library

LONG = 4 << 20
"""Bytes of the metrics of a run from which on they are read by blocks."""

SHORT = 1 << 20  # bytes of a file up to which its blocks are not looked for
_MOST = 64 << 20  # bytes of a file of blocks that are read
EXACT = 8192  # points that are read one by one all the same

Files = Mapping[str, Mapping[int, Sequence["MetricsAsset"]]]
"""Files of metrics by task and attempt."""


class CurvePoints(NamedTuple):
    """Some points of a curve.

    Attributes:
        total: the number of points that they were chosen from.
        steps: their steps.
        values: their values; None is a gap, where something else than a finite number was logged.
        times: the times at which they were logged, in seconds since 1970.

    Example:
        >>> points = run.metrics.curves()[0].thinned(500)
        >>> isinstance(points, me.CurvePoints), points.total, points.values
        (True, 1, [0.5])
    """

    total: int
    steps: list[int]
    values: list[int | float | None]
    times: list[float]


class Curve:
    """The points of one metric of a run, in one task, over all its attempts; see `RunMetrics.curves`.

    Attributes:
        name: the name of the metric.
        task: the task; "" outside of workflows.
        count: the number of points.

    Example:
        >>> curve = run.metrics.curves()[0]
        >>> curve.name, curve.count, curve.thinned(500).values
        ('loss', 1, [0.5])
    """

    def __init__(self, name: str, task: str, count: int) -> None:
        self.name: str = name
        self.task: str = task
        self.count: int = count

    def thinned(self, points: int = 1000, *, since: float | None = None) -> CurvePoints:
        """Return at most so many points, in their order, among which are the first, last, least and greatest.

        The curve is divided into stretches of about as many points. Of each, the least and the greatest value are kept; if
        there are gaps, the first one of each, too. A curve that is short enough comes back as it is. Metrics of more than
        4 MiB are read by blocks, of which the same is known: a stretch is one block or more, and all that comes back of a
        block is its first, last, least and greatest value and its first gap.

        Args:
            points: the number of points at most, 8 or more.
            since: only points of later steps.

        Raises:
            ValueError: fewer than 8 points are asked for.
        """
        if points < 8:
            raise ValueError(f"A curve has 8 points or more, not {points}.")
        return self._thinned(points, since)

    def _thinned(self, points: int, since: float | None) -> CurvePoints:
        raise NotImplementedError


class _ShortCurve(Curve):
    """A curve of which every point is at hand."""

    def __init__(self, name: str, task: str, columns: tuple[Sequence[Any], ...]) -> None:
        super().__init__(name, task, len(columns[0]))
        self._columns = columns

    def _thinned(self, points: int, since: float | None) -> CurvePoints:
        steps, values, times = self._columns
        if since is not None:
            later = [step > since for step in steps]
            steps, values, times = ([*compress(one, later)] for one in self._columns)
        return _exactly(steps, [*map(finite, values)], times, points)


class _LongCurve(Curve):
    """A curve of which there are blocks."""

    def __init__(self, name: str, task: str, pieces: list[_Piece]) -> None:
        super().__init__(name, task, sum(piece.part.count for piece in pieces))
        self._pieces = pieces

    def _thinned(self, points: int, since: float | None) -> CurvePoints:
        pieces = self._pieces if since is None else [*_later(self._pieces, since)]
        if sum(piece.size for piece in pieces) <= EXACT:
            some = [one for piece in pieces for one in piece.every(since)]
            return _exactly([one[0] for one in some], [one[1] for one in some], [one[2] for one in some], points)
        chosen = _of_blocks([piece.part for piece in pieces], points)
        return CurvePoints(
            sum(piece.part.count for piece in pieces),
            [spot[1] for spot in chosen],
            [spot[2] for spot in chosen],
            [nan if spot[3] is None else spot[3] for spot in chosen],
        )


def _exactly(
    steps: Sequence[int], values: Sequence[int | float | None], times: Sequence[float], points: int
) -> CurvePoints:
    """Return the points to show of those that are given."""
    count = len(values)
    places: Iterable[int] = range(count)
    if count > points:
        there = [at for at, value in enumerate(values) if value is not None]
        most = points if len(there) == count else max(points - points // 4 - 2, 4)
        kept = {0, count - 1, *map(int, downsample(there, [values[at] for at in there], most)[0])}  # type: ignore[misc]
        if len(there) < count:
            stretches = points // 4
            gaps = {at * stretches // count: at for at in range(count - 1, -1, -1) if values[at] is None}
            kept.update(gaps.values())
        places = sorted(kept)
    return CurvePoints(count, [steps[at] for at in places], [values[at] for at in places], [times[at] for at in places])


def _of_blocks(parts: Sequence[Part], points: int) -> list[Spot]:
    """Return the points to show of those that are known of blocks."""
    total = sum(part.count for part in parts)
    if total <= points:
        known = [
            (block, spot)
            for block, part in enumerate(parts)
            for spot in (part.first, part.last, part.least, part.greatest, part.gap)
        ]
    else:
        known = [(0, parts[0].first), (len(parts) - 1, parts[-1].last), *_extremes(parts, total, points)]
    found = {(block, spot[0]): spot for block, spot in known if spot is not None}
    return [found[at] for at in sorted(found)]


def _extremes(parts: Sequence[Part], total: int, points: int) -> Iterator[tuple[int, Spot]]:
    """Yield the least, the greatest and the first gap of each stretch, with the blocks that they are in."""
    gaps = points // 4 if any(part.gap for part in parts) else 0
    stretches = (points - gaps) // 2 - 1
    least: dict[int, tuple[Any, int, Spot]] = {}
    greatest: dict[int, tuple[Any, int, Spot]] = {}
    missing: dict[int, tuple[int, Spot]] = {}
    for block, (part, before) in enumerate(
        zip(parts, accumulate((one.count for one in parts), initial=0), strict=False)
    ):
        stretch = before * stretches // total
        if (low := part.least) is not None and (stretch not in least or low[2] < least[stretch][0]):
            least[stretch] = low[2], block, low
        if (high := part.greatest) is not None and (stretch not in greatest or high[2] > greatest[stretch][0]):
            greatest[stretch] = high[2], block, high
        if part.gap is not None:
            missing.setdefault(before * gaps // total, (block, part.gap))
    for _, block, spot in (*least.values(), *greatest.values()):
        yield block, spot
    yield from missing.values()


# --------------------------------------------------------------------------------------------------------------- reading


class _Piece(NamedTuple):
    """A part of a block, and where the block is; the steps of its points are below a limit."""

    file: _File
    start: int
    end: int
    size: int
    name: str
    part: Part
    limit: float

    def every(self, since: float | None) -> list[tuple[int, int | float | None, float]]:
        """Return all its points of later steps: step, value and time."""
        points = self.file.points(self.start, self.end, self.name, self.limit, since)
        return [(one["step"], finite(restore(one[self.name])), one["time"]) for one in points]

    def later(self, since: float) -> _Piece | None:
        """Return the piece without points up to a step; None if none is left."""
        points = self.file.points(self.start, self.end, self.name, self.limit, since)
        return self._replace(part=parts_of(points)[self.name]) if points else None


def _later(pieces: Iterable[_Piece], since: float) -> Iterator[_Piece]:
    for piece in pieces:
        left = piece if piece.part.low > since else piece.later(since) if piece.part.high > since else None
        if left is not None:
            yield left


class _File:
    """A file of metrics, by its blocks."""

    def __init__(self, asset: MetricsAsset) -> None:
        self._asset = asset
        self._library = cast("Library", asset._used())
        self._store = self._library.reading(asset)
        self._last: tuple[int, list[dict[str, Any]]] = -1, []
        self.blocks: list[Block] = self._read()

    def _read(self) -> list[Block]:
        known = self._library.growing_files.blocks
        size = self._store.stat(self._asset.key).size
        check_size(self._asset, self._store, size)
        blocks = self._believed(known.of(self._asset.id), size)
        if size >= SHORT and (not blocks or blocks[-1].end < size):
            blocks = max(blocks, self._believed(self._stored(), size), key=len)
        end = blocks[-1].end if blocks else 0
        if end < size:
            blocks += self._made(end, sum(block.size for block in blocks))
        known.keep(self._asset.id, blocks)
        return blocks

    def _stored(self) -> list[Block]:
        """Return the blocks that the writer has put beside the file."""
        try:
            return decode_blocks(self._store.read(layout.blocks_of(self._asset.key), 0, _MOST))
        except StoreError:
            return []

    def _believed(self, blocks: list[Block], size: int) -> list[Block]:
        """Return blocks as far as they are those of this file; a last one that is not full only if the file ends with it."""
        blocks = [block for block in blocks if block.end <= size]
        if blocks and blocks[-1].end < size and blocks[-1].size < block_size(sum(one.size for one in blocks[:-1])):
            del blocks[-1]
        if not blocks:
            return []
        last = blocks[-1]
        length = min(last.seal[0], last.end)
        return blocks if seal_of(self._store.read(self._asset.key, last.end - length, length)) == last.seal else []

    def _made(self, end: int, before: int) -> Iterator[Block]:
        """Yield the blocks of the points that come after so many bytes, and so many points."""
        from molexp._assets.registry import KeySource

        builder, wrong, line = Builder(before), 0, b""
        stream = KeySource(self._asset, self._library).open()
        if end:
            stream.seek(end)
        at = end
        for data in whole_lines(stream):
            points, lines, sizes, bad = _points_of(data, self._asset.name)
            wrong += bad
            first = 0
            while some := points[first : first + builder.room()]:
                is_full = builder.take(parts_of(some, builder.size), len(some))
                end = at = at + sum(sizes[first : first + len(some)])
                first += len(some)
                line = lines[first - 1]
                if is_full:
                    yield builder.cut(end, line + b"\n")
            at += sum(sizes[first:])
        if builder.size:
            yield builder.cut(end, line + b"\n")
        if wrong:
            warnings.warn(f"{wrong} lines of {self._asset.name!r} are no points, and are left out.", stacklevel=6)

    def points(self, start: int, end: int, name: str, limit: float, since: float | None) -> list[dict[str, Any]]:
        """Return the points of a block that have a name, with steps below a limit and above another one."""
        at, every = self._last  # of another block, if another thread asks at the same time
        if at != start:
            every = _points_of(self._store.read(self._asset.key, start, end - start), self._asset.name)[0]
            self._last = start, every
        found = []
        for point in every:
            step, time = point.get("step"), point.get("time")
            step = step if type(step) is int else 0
            if name in point and step < limit and (since is None or step > since):
                found.append({"step": step, "time": time if type(time) is float else nan, name: point[name]})
        return found


def _points_of(data: bytes, name: str) -> tuple[list[dict[str, Any]], list[bytes], list[int], int]:
    """Return the points in whole lines, the line of each, its bytes with those of lines before it that are none, and how many are none."""
    points, _, wrong = decode_lines(data, name)
    lines = data.split(b"\n")[:-1]
    sizes = [len(line) + 1 for line in lines]
    if len(points) < len(lines):
        each = [decode_lines(line + b"\n", name)[0] for line in lines]
        ends = [*compress(accumulate(sizes), each), len(data)]
        sizes = [end - start for start, end in pairwise([0, *ends])]
        points, lines = [one for some in each for one in some], [*compress(lines, each)]
    return points, lines, sizes, wrong


def size_of(files: Files) -> int:
    """Return how many bytes files have."""
    return sum(_size(asset) for attempts in files.values() for some in attempts.values() for asset in some)


def _size(asset: MetricsAsset) -> int:
    if asset.content_hash:
        return asset.size
    try:
        return cast("Library", asset._used()).store.stat(asset.key).size
    except KeyNotFoundError:
        return 0


def short_curves(columns: Mapping[str, Any], names: Collection[str]) -> Iterator[Curve]:
    """Yield the curves in the columns of all points."""
    start = 0
    for (name, task), some in groupby(zip(columns["name"], columns["task"], strict=True)):
        stop = start + sum(1 for _ in some)
        if not names or name in names:
            yield _ShortCurve(name, task, (*(columns[one][start:stop] for one in ("step", "value", "time")),))
        start = stop


def long_curves(files: Files, names: Collection[str]) -> Iterator[Curve]:
    """Yield the curves of files, by the same rule for attempts as `joined_pieces`."""
    for task, attempts in files.items():
        series: dict[str, list[_Piece]] = {}
        limits: Limits = {}
        kept: list[list[_Piece]] = []
        for assets in reversed([*attempts.values()]):
            own: Limits = {}
            kept.append([piece for asset in assets for piece in _pieces(_File(asset), limits, own, names)])
            lower(limits, own)
        for piece in (one for some in reversed(kept) for one in some):
            series.setdefault(piece.name, []).append(piece)
        for name, pieces in series.items():
            yield _LongCurve(name, task, pieces)


def _pieces(file: _File, limits: Limits, own: Limits, names: Collection[str]) -> Iterator[_Piece]:
    """Yield what is left of a file's blocks; lower in `own` the first step of each name."""
    start = 0
    for block in file.blocks:
        for name, part in block.parts.items():
            if names and name not in names:
                continue
            lower(own, {name: part.low})
            limit = limits.get(name, NEVER)
            piece = _Piece(file, start, block.end, block.size, name, part, limit)
            if part.high < limit:
                yield piece
            elif part.low < limit and (points := file.points(start, block.end, name, limit, None)):
                yield piece._replace(part=parts_of(points)[name])
        start = block.end
