"""Lay out a graph as a picture: nodes in layers from left to right, each after those that it comes from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_WIDTH, _HEIGHT = 196, 50  # of a box; between boxes:
_ACROSS, _DOWN = 52, 16
_MARGIN = 4
_LETTERS = 20  # of a name that fit into a box, be they wide digits
_SWEEPS = 4  # times that each layer is put in the order of its neighbours


@dataclass(frozen=True)
class Node:
    """A node to draw.

    Attributes:
        id: its id, by which edges name it.
        label: the words in its box.
        below: smaller words under them.
        look: a class of the style sheet, such as ``failed``.
        title: a description for whoever points at it, or cannot see it.
        link: an address; "" for none.
        shape: "" or ``many``, for a task that is executed several times, or ``round``, for an asset.
    """

    id: str
    label: str
    below: str = ""
    look: str = ""
    title: str = ""
    link: str = ""
    shape: str = ""


@dataclass(frozen=True)
class Box:
    """A node at its place, in pixels."""

    node: Node
    x: float
    y: float
    width: int = _WIDTH
    height: int = _HEIGHT

    @property
    def words(self) -> str:
        """Its label, as far as it fits."""
        return _fitting(self.node.label, _LETTERS)

    @property
    def below(self) -> str:
        """The smaller words, as far as they fit."""
        return _fitting(self.node.below, _LETTERS + 6)


@dataclass(frozen=True)
class Line:
    """A line from one box to another, as the ``d`` of a path of SVG."""

    path: str
    look: str = ""
    title: str = ""


@dataclass(frozen=True)
class Picture:
    """A graph with a place for everything.

    Attributes:
        width: in pixels.
        height: in pixels.
        boxes: in the order in which the keyboard reaches them: from left to right.
        lines: under the boxes.
    """

    width: float
    height: float
    boxes: Sequence[Box]
    lines: Sequence[Line]


def laid_out(nodes: Iterable[Node], edges: Iterable[tuple[str, str, str]]) -> Picture:
    """Return the picture of a graph.

    Args:
        nodes: in any order. A graph with circles is drawn as well: an edge that closes one leads backwards.
        edges: from, to, and words for it; those of nodes that are not there are left out.
    """
    known = {node.id: node for node in nodes}
    some = [edge for edge in edges if edge[0] in known and edge[1] in known]
    before: dict[str, list[str]] = {name: [] for name in known}
    after: dict[str, list[str]] = {name: [] for name in known}
    for source, target, _ in some:
        before[target].append(source)
        after[source].append(target)
    layers = _layers(known, before, after)
    ways = [_way(layers, number, edge, before, after) for number, edge in enumerate(some)]
    layers = _in_order(layers, before, after)
    tallest = max(map(len, layers), default=0)
    places: dict[str, tuple[float, float]] = {}
    for column, layer in enumerate(layers):
        top = (tallest - len(layer)) * (_HEIGHT + _DOWN) / 2
        for row, name in enumerate(layer):
            places[name] = column * (_WIDTH + _ACROSS) + _MARGIN, top + row * (_HEIGHT + _DOWN) + _MARGIN
    boxes = [Box(known[name], *places[name]) for layer in layers for name in layer if name in known]
    lines = [Line(_curve([places[name] for name in way]), title=edge[2]) for way, edge in zip(ways, some, strict=True)]
    width = len(layers) * (_WIDTH + _ACROSS) - _ACROSS + 2 * _MARGIN
    return Picture(max(0, width), tallest * (_HEIGHT + _DOWN) - _DOWN + 2 * _MARGIN, boxes, lines)


def _way(
    layers: list[list[str]],
    number: int,
    edge: tuple[str, str, str],
    before: dict[str, list[str]],
    after: dict[str, list[str]],
) -> list[str]:
    """Return the places that an edge passes: its ends, and one in each layer between, which no box takes then."""
    source, target, _ = edge
    depth = {name: at for at, layer in enumerate(layers) for name in (source, target) if name in layer}
    between = [f"\0{number}.{at}" for at in range(depth[source] + 1, depth[target])]
    for at, name in enumerate(between, depth[source] + 1):
        layers[at].append(name)
    way = [source, *between, target]
    for near, far in pairwise(way):
        after.setdefault(near, []).append(far)
        before.setdefault(far, []).append(near)
    return way


def _layers(
    known: Mapping[str, Node], before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]
) -> list[list[str]]:
    """Return the nodes of each layer: a node stands behind all that it comes from, except within a circle."""
    depth: dict[str, int] = dict.fromkeys(known, 0)
    missing = {name: len(before[name]) for name in known}
    ready = [name for name in known if not missing[name]]
    waiting = dict.fromkeys(known)
    while waiting:
        if not ready:  # a circle: it is opened where it began
            ready.append(next(iter(waiting)))
        name = ready.pop(0)
        if name not in waiting:
            continue
        del waiting[name]
        for below in after[name]:
            if below in waiting:
                depth[below] = max(depth[below], depth[name] + 1)
                missing[below] -= 1
                if missing[below] <= 0:
                    ready.append(below)
    layers: defaultdict[int, list[str]] = defaultdict(list)
    for name, number in depth.items():
        layers[number].append(name)
    return [layers[number] for number in sorted(layers)]


def _in_order(
    layers: list[list[str]], before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]
) -> list[list[str]]:
    """Return the layers, each in an order in which few lines cross: a node stands near the mean of its neighbours."""
    for sweep in range(_SWEEPS):
        forwards = sweep % 2 == 0
        neighbours = before if forwards else after
        place = {name: row - len(layer) / 2 for layer in layers for row, name in enumerate(layer)}
        for layer in layers if forwards else reversed(layers):
            wanted = {
                name: sum(place[other] for other in neighbours[name]) / len(neighbours[name])
                if neighbours[name]
                else place[name]
                for name in layer
            }
            layer.sort(key=lambda name: wanted[name])
            place.update({name: row - len(layer) / 2 for row, name in enumerate(layer)})
    return layers


def _curve(way: Sequence[tuple[float, float]]) -> str:
    """Return a path through the middles of places: from the right of the first to the left of the last."""
    points = [(x, y + _HEIGHT / 2 - 2) for x, y in way]
    (x, y), *rest = points
    x += _WIDTH
    path = [f"M{x:g} {y:g}"]
    for number, (to, at) in enumerate(rest):
        bend = _ACROSS / 2 if to > x else _ACROSS
        path.append(f"C{x + bend:g} {y:g} {to - bend:g} {at:g} {to:g} {at:g}")
        x, y = to, at
        if number < len(rest) - 1:
            x += _WIDTH
            path.append(f"H{x:g}")
    return "".join(path)


def _fitting(words: str, letters: int) -> str:
    return words if len(words) <= letters else f"{words[: letters - 1]}…"
