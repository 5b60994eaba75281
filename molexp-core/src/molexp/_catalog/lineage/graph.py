"""Lineage: a graph of assets and runs, read as two trees of ancestors and descendants.

Both trees are kept flat, as lists in the order in which they are read, so that neither a chain of thousands nor a circle
is more than a long list to whatever draws, compares or pickles them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import asdict

from molexp._html import shown_by
from molexp._values.status import RunStatus

Kind = Literal["asset", "run"]
How = Literal["made", "used", "imported"]

_DEEPEST = 24  # levels that are drawn inside of each other; what is below them goes on further down
_UP = {"made": "made by", "used": "used", "imported": "imported from"}
_DOWN = {"made": "made", "used": "used by", "imported": "imported as"}


class LineageEdge(Struct, frozen=True):
    """A step from one thing to another.

    Attributes:
        source: The earlier thing: an asset's id or a run's path.
        target: The thing that came of it: an asset's id or a run's path.
        how: ``made``, a run made an asset; ``used``, an asset was used by a run; ``imported``, data was imported from an
            asset.
        attempt: the run's attempt that made or used it; None for an import, and where nobody knows.
        task: the task of that attempt; None outside of a workflow.

    Example:
        >>> lineage = ws.catalog.lineage("cu-small:volumes.json")
        >>> [(edge.how, edge.attempt) for edge in lineage.edges()]
        [('made', 1)]
    """

    source: str
    target: str
    how: How
    attempt: int | None = None
    task: str | None = None


class LineageNode(Struct, frozen=True):
    """An asset or a run, at one place of a tree.

    Attributes:
        kind: ``asset`` or ``run``.
        id: the asset's id, or the run's path. Of a file of the workspace whose record is gone, its key.
        label: a short name: the asset's, or the run's id.
        status: the run's; None for an asset.
        missing: Nothing of it is on record any more, as of a run that was deleted.
        edges: The steps that join it to the node above; several if a run used an asset in several attempts or tasks.
        repeated: Its subtree stands elsewhere in the tree: further up, where it came first.

    Example:
        >>> node = ws.catalog.lineage("cu-small:volumes.json").of
        >>> (node.kind, node.label, node.missing)
        ('asset', 'volumes.json', False)
    """

    kind: Kind
    id: str
    label: str
    status: RunStatus | None = None
    missing: bool = False
    edges: tuple[LineageEdge, ...] = ()
    repeated: bool = False
    _below: tuple[int, ...] = ()
    _tree: Sequence[LineageNode] = ()

    def __eq__(self, other: object) -> bool:
        return self._compared() == other._compared() if isinstance(other, LineageNode) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        return f"<LineageNode {_text(self)}>"

    @property
    def children(self) -> tuple[LineageNode, ...]:
        """The nodes one step further away."""
        return tuple(self._tree[number] for number in self._below)

    def _compared(self) -> tuple[Any, ...]:
        """Return what makes two nodes equal; the tree, which they are in, is compared node by node."""
        return tuple(value for name, value in asdict(self).items() if name != "_tree")


class Lineage(Struct, frozen=True):
    """The origin of a thing, and what became of it, as it was on record when somebody asked.

    `upstream` and `downstream` are trees; ``print(lineage)`` draws them. What is met again is expanded once, where it
    comes first, and `repeated` elsewhere. `edges` is the same as a graph.

    Attempts count in their order: an asset that the first attempt of a run made does not come from what the second one
    used; one that the second made may come from what the first used.

    Attributes:
        of: The id or path that was asked for.

    Example:
        >>> lineage = ws.catalog.lineage("cu-small:volumes.json")
        >>> lineage.of.label
        'volumes.json'
    """

    of: LineageNode
    _up: tuple[LineageNode, ...] | None = None  # None: nobody asked
    _down: tuple[LineageNode, ...] | None = None

    def __repr__(self) -> str:
        return f"<Lineage of {self.of.id}: {len(self._up or ())} upstream, {len(self._down or ())} downstream>"

    def __str__(self) -> str:
        return "\n".join(_drawn(self))

    _repr_html_ = shown_by("lineage")

    @property
    def upstream(self) -> tuple[LineageNode, ...]:
        """The nodes it was made from: of an asset the run that made it, and its source of import; of a run what it used."""
        return _first(self._up)

    @property
    def downstream(self) -> tuple[LineageNode, ...]:
        """The nodes that came of it: of an asset the runs that used it, and imports of it; of a run what it made."""
        return _first(self._down)

    def nodes(self) -> tuple[LineageNode, ...]:
        """Yield everything in it, each thing once: what was asked for, then what is upstream, then what is downstream."""
        found: dict[str, LineageNode] = {}
        for node in (self.of, *(self._up or ()), *(self._down or ())):
            if node.id not in found or found[node.id].repeated:
                found[node.id] = node
        return tuple(found.values())

    def edges(self) -> tuple[LineageEdge, ...]:
        """Return every connection once, for tools that work on graphs: each leads from the earlier thing to the later."""
        nodes = chain(self._up or (), self._down or ())
        return tuple(dict.fromkeys(edge for node in nodes for edge in node.edges))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values: ``of``, an id; ``nodes``; and the edges ``upstream`` and ``downstream``, if asked for."""
        found: dict[str, Any] = {"of": self.of.id, "nodes": [_described(node) for node in self.nodes()]}
        for name, nodes in (("upstream", self._up), ("downstream", self._down)):
            if nodes is not None:
                edges = dict.fromkeys(edge for node in nodes for edge in node.edges)
                found[name] = [asdict(edge) for edge in edges]
        return found


def _described(node: LineageNode) -> dict[str, Any]:
    return {
        "id": node.id,
        "kind": node.kind,
        "label": node.label,
        "status": str(node.status) if node.status is not None else None,
        "missing": node.missing,
    }


def _first(tree: tuple[LineageNode, ...] | None) -> tuple[LineageNode, ...]:
    """Return the nodes that nothing is above of."""
    below = {number for node in tree or () for number in node._below}
    return tuple(node for number, node in enumerate(tree or ()) if number not in below)


# --------------------------------------------------------------------------------------------------------------- drawing


def _drawn(lineage: Lineage) -> Iterator[str]:
    yield _text(lineage.of)
    for title, nodes, words in (("comes from", lineage._up, _UP), ("went into", lineage._down, _DOWN)):
        if nodes:
            yield from _tree(title, _first(nodes), words)
        elif nodes is not None:
            yield f"{title} nothing that is on record"


def _tree(title: str, nodes: Iterable[LineageNode], words: dict[str, str]) -> Iterator[str]:
    """Yield the lines of a tree; what is too deep to be read goes on below it, without all that stands to its left."""
    parts = deque([(title, tuple(nodes))])
    while parts:
        title, top = parts.popleft()
        yield title
        waiting = _siblings(top, "", 1)
        while waiting:
            node, margin, last, depth = waiting.pop()
            breaks = depth == _DEEPEST and bool(node._below)
            more = " ... goes on below" if breaks else ""
            yield f"{margin}{'└─ ' if last else '├─ '}{_joined(node, words)}{more}"
            if breaks:
                parts.append((f"... {_text(node)}", node.children))
            else:
                waiting += _siblings(node.children, margin + ("   " if last else "│  "), depth + 1)


def _siblings(nodes: Sequence[LineageNode], margin: str, depth: int) -> list[tuple[LineageNode, str, bool, int]]:
    """Return nodes that are still to be drawn, the first at the end."""
    return [(node, margin, node is nodes[-1], depth) for node in reversed(nodes)]


def _joined(node: LineageNode, words: dict[str, str]) -> str:
    """Describe a node, and the step that joins it to the node above."""
    how = " and ".join(dict.fromkeys(words[edge.how] for edge in node.edges))
    said = _occasions(node.edges)
    above = " (see above)" if node.repeated else ""
    return f"{how} {_text(node)}{f' [{said}]' if said else ''}{above}"


def _occasions(edges: Sequence[LineageEdge]) -> str:
    """Name attempts and tasks, where they say something: a first attempt without tasks does not."""
    if all(edge.attempt in (None, 1) and edge.task is None for edge in edges):
        return ""
    said = []
    for edge in edges:
        attempt = edge.attempt if edge.how == "used" else None  # of what was made, the id tells it
        words = (("attempt", attempt), ("task", edge.task))
        said.append(", ".join(f"{name} {value}" for name, value in words if value is not None))
    return "; ".join(filter(None, dict.fromkeys(said)))


def _text(node: LineageNode) -> str:
    status = f" ({node.status})" if node.status is not None else ""
    return f"{node.id}{status}{' (its record is gone)' if node.missing else ''}"
