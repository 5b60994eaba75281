"""Finding a lineage in the index: each step is a look-up by an index, so that it costs what the lineage is large."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from molexp._catalog.index.database import sound
from molexp._catalog.index.index import Index
from molexp._catalog.lineage.graph import Kind, Lineage, LineageEdge, LineageNode
from molexp._storage import layout
from molexp._storage.layout import parse_asset_id
from molexp._values.documents import decode
from molexp._values.status import RunStatus

_BESIDE = frozenset({"log", "metrics", "error_trace", "execution_state"})
"""Kinds that say how a run went, rather than being what it was for: shown where something used them."""

_RECORD = "SELECT o.path, r.sum, r.record FROM assets a JOIN records r ON r.id = a.id JOIN entities o ON o.id = a.owner WHERE "
_OWNER = "(SELECT id FROM entities WHERE path = ?)"

Record = Mapping[str, Any]


class _Link(Struct, frozen=True):
    """A thing that is one step away.

    Attributes:
        kind: of what.
        id: Its id.
        edges: The ways that lead to it.
        reach: of a run, how much of it counts: on the way up its attempts until this one, on the way down those from
            minus this one on. An expansion of greater reach has all that one of less has.
    """

    kind: Kind
    id: str
    edges: tuple[LineageEdge, ...] = ()
    reach: float = inf


class _Found(Struct):
    """A node of the tree that is being made."""

    link: _Link
    below: list[int] = field(default_factory=list)
    first: int | None = None  # the node that was expanded, if not this one


class Tracer:
    """Finds lineages in one state of an index.

    Args:
        index: the index, which does not change meanwhile.
    """

    def __init__(self, index: Index) -> None:
        self._select = index.select
        self._records: dict[str, Record | None] = {}
        self._places: dict[str, dict[str, Record]] = {}
        self.owners: set[str] = set()
        """Paths of the runs and scopes that the answer takes for being there."""

    def lineage(self, kind: Kind, name: str, *, upstream: bool, downstream: bool) -> Lineage | None:
        """Return the lineage of an asset, by its id, or of a run, by its path; None if there is none, and nothing that came of it."""
        start = _Link(kind, name)
        if self._node(start).missing and not any(True for _ in self._became(start)):
            return None
        return Lineage(
            self._node(start),
            _up=self._trace(start, self._made_from) if upstream else None,
            _down=self._trace(start, self._became) if downstream else None,
        )

    # --------------------------------------------------------------------------------------------------------------- trees

    def _trace(self, start: _Link, step: Callable[[_Link], Iterable[_Link]]) -> tuple[LineageNode, ...]:
        """Return all that can be reached, in the order in which the tree is read; expand each thing where it comes first."""
        found: list[_Found] = []
        expanded: dict[str, tuple[float, int]] = {start.id: (start.reach, -1)}  # the depth and the place of each
        waiting: list[tuple[_Link, int]] = [(link, -1) for link in reversed(_joined(step(start)))]
        while waiting:
            link, above = waiting.pop()
            number = len(found)
            one = _Found(link)
            found.append(one)
            if above >= 0:
                found[above].below.append(number)
            reach, where = expanded.get(link.id, (-inf, -1))
            if reach >= link.reach:
                one.first = where
            else:
                expanded[link.id] = link.reach, number
                waiting += [(more, number) for more in reversed(_joined(step(link)))]
        tree: list[LineageNode] = []
        for one in found:
            repeated = one.first is not None and (one.first < 0 or bool(found[one.first].below))
            tree.append(self._node(one.link, tuple(one.below), tree, repeated=repeated))
        return tuple(tree)

    def _node(
        self, link: _Link, below: tuple[int, ...] = (), tree: Sequence[LineageNode] = (), *, repeated: bool = False
    ) -> LineageNode:
        status: RunStatus | None = None
        if link.kind == "run":
            rows = self._select("SELECT status FROM entities WHERE path = ? AND shown = 1", (link.id,))
            missing, label, owner = not rows, link.id.rpartition("/")[2], link.id
            status = RunStatus(rows[0][0]) if rows else None
        else:
            missing, label, owner = self._record(link.id) is None, _label(link.id), _parsed(link.id)[0]
        if not missing:
            self.owners.add(owner)
        return LineageNode(link.kind, link.id, label, status, missing, link.edges, repeated, _below=below, _tree=tree)

    # ------------------------------------------------------------------------------------------------------------ upstream

    def _made_from(self, link: _Link) -> Iterator[_Link]:
        if link.kind == "run":
            sql = f"SELECT asset, attempt, task FROM uses WHERE owner = {_OWNER} ORDER BY asset, attempt, task"  # noqa: S608 - constants
            uses: dict[str, list[LineageEdge]] = {}
            for asset, attempt, task in self._select(sql, (link.id,)):
                if attempt <= link.reach:
                    uses.setdefault(asset, []).append(LineageEdge(asset, link.id, "used", attempt, task or None))
            for asset, edges in uses.items():
                yield _Link("asset", asset, tuple(edges))
            return
        record = self._record(link.id)
        if (source := self._source(record)) is not None:
            yield _Link(*source, (LineageEdge(source[1], link.id, "imported"),))
        run, attempt, task = _producer(link.id, record)
        if run:
            edge = LineageEdge(run, link.id, "made", attempt, task)
            yield _Link("run", run, (edge,), inf if attempt is None else attempt)

    def _source(self, record: Record | None) -> tuple[Kind, str] | None:
        """Return what data was imported from: an asset; or the run, in whose folder lay what is no asset as it was then."""
        fields = record.get("fields") if record is not None else None
        if record is None or record.get("kind") != "data" or not isinstance(fields, dict):
            return None
        if isinstance(asset := fields.get("source_asset"), str) and asset:
            return "asset", asset
        if not isinstance(key := fields.get("source_key"), str) or not key:
            return None
        owner = layout.owner_of(key)
        at = self._at_keys(owner)
        found = at.get(key)
        if found is not None and found.get("content_hash") not in (None, record.get("content_hash")):
            found = None  # another version lies there by now
        else:
            above = key
            while found is None and (above := above.rpartition("/")[0]):
                found = at.get(above)  # the folder that it is in
        if found is not None:
            return "asset", str(found.get("id"))
        return ("run", owner) if layout.is_run(owner) else ("asset", key)

    # ---------------------------------------------------------------------------------------------------------- downstream

    def _became(self, link: _Link) -> Iterator[_Link]:
        if link.kind == "run":
            yield from self._made(link)
            yield from self._imported(link, layout.folder(link.id))
            return
        uses: dict[str, list[LineageEdge]] = {}
        for run, attempt, task in self._select(
            "SELECT e.path, u.attempt, u.task FROM uses u JOIN entities e ON e.id = u.owner WHERE u.asset = ? "
            "ORDER BY e.created_at, e.path, u.attempt, u.task",
            (link.id,),
        ):
            uses.setdefault(run, []).append(LineageEdge(link.id, run, "used", attempt, task or None))
        for run, edges in uses.items():
            yield _Link("run", run, tuple(edges), -min(edge.attempt or 0 for edge in edges))
        yield from self._imported(link, *self._sources_of(link.id))

    def _made(self, link: _Link) -> Iterator[_Link]:
        """Return the assets that a run made, and what others used of it that is no longer there."""
        made: dict[str, Record | None] = {}
        for condition in (f"a.owner = {_OWNER}", "a.producer = ?"):
            made |= {str(one.get("id")): one for one in self._records_where(f"{condition} ORDER BY a.id", link.id)}
        within = (f"{link.id}#", f"{link.id}$")  # "$" comes right after "#"
        for table, column in (("uses", "asset"), ("assets", "source")):
            sql = f"SELECT DISTINCT {column} FROM {table} WHERE {column} >= ? AND {column} < ?"  # noqa: S608 - constants
            for (name,) in self._select(sql, within):
                made.setdefault(name, None)
        for name, record in made.items():
            _, attempt, task = _producer(name, record)
            if attempt is not None and attempt < -link.reach:
                continue
            found = _Link("asset", name, (LineageEdge(link.id, name, "made", attempt, task),))
            if record is None or str(record.get("kind")) not in _BESIDE or any(True for _ in self._became(found)):
                yield found

    def _sources_of(self, asset: str) -> tuple[str, ...]:
        """Return what stands for an asset in the records of data that was imported from it: its id, and its key."""
        record = self._record(asset)
        key = record.get("key") if record is not None else None
        return (asset, key) if isinstance(key, str) and key else (asset,)

    def _imported(self, link: _Link, *sources: str) -> Iterator[_Link]:
        """Return the data that was imported from an asset, or from a run's folder."""
        found: dict[str, Record] = {}
        for source in sources:
            for condition, values in (
                ("a.source = ?", (source,)),
                ("a.source >= ? AND a.source < ?", (f"{source}/", f"{source}0")),  # "0" comes right after "/"
            ):
                for record in self._records_where(f"{condition} ORDER BY a.id", *values):
                    found[str(record.get("id"))] = record
        for name, record in found.items():
            if self._source(record) == (link.kind, link.id):
                yield _Link("asset", name, (LineageEdge(link.id, name, "imported"),))

    # -------------------------------------------------------------------------------------------------------------- records

    def _record(self, asset: str) -> Record | None:
        """Return the record of an asset, by its id; None if there is none."""
        if asset not in self._records:
            scope, kind, name, version = _parsed(asset)
            sql = f"a.owner = {_OWNER} AND a.name = ? AND a.kind = ? AND a.version = ?"
            records = self._records_where(sql, scope, name, kind, version) if kind else ()
            self._records[asset] = next((one for one in records if one.get("id") == asset), None)
        return self._records[asset]

    def _records_where(self, condition: str, *values: Any) -> list[Record]:
        return [decode(sound(*row), row[0]) for row in self._select(_RECORD + condition, values)]

    def _at_keys(self, owner: str) -> dict[str, Record]:
        """Return the assets of a run or scope, by their keys."""
        if owner not in self._places:
            records = self._records_where(f"a.owner = {_OWNER} ORDER BY a.id", owner)
            self._places[owner] = {str(record.get("key")): record for record in records}
        return self._places[owner]


def _joined(links: Iterable[_Link]) -> list[_Link]:
    """Return one link to each thing, with all the ways in which it is joined."""
    found: dict[str, _Link] = {}
    for link in links:
        if (known := found.get(link.id)) is not None:
            link = replace(known, edges=known.edges + link.edges, reach=max(known.reach, link.reach))  # noqa: PLW2901 - both
        found[link.id] = link
    return list(found.values())


def _parsed(asset: str) -> tuple[str, str, str, int]:
    """Scope, kind, name and version of an id; without a kind if it is none."""
    try:
        scope, _, kind, name, version = parse_asset_id(asset)
    except ValueError:
        return "", "", asset, 1
    return scope, kind, name, version


def _label(asset: str) -> str:
    _, kind, name, version = _parsed(asset)
    if not kind:
        return asset.rpartition("/")[2]
    return name if version == 1 else f"{name}@{version}"


def _producer(asset: str, record: Record | None) -> tuple[str, int | None, str | None]:
    """Run, attempt and task that made an asset, by its record, else by its id; "" if nobody knows."""
    said = record.get("producer") if record is not None else None
    if isinstance(said, dict) and isinstance(said.get("run"), str):
        attempt, task = said.get("attempt"), said.get("task")
        return said["run"], attempt if isinstance(attempt, int) else None, task if isinstance(task, str) else None
    try:
        scope, number, *_ = parse_asset_id(asset)
    except ValueError:
        return "", None, None
    return (scope, number, None) if number is not None else ("", None, None)
