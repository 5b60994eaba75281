"""``ws.catalog``: what users ask."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import attrs

from molexp._record import keys
from molexp._record.assets import Asset
from molexp._record.catalog.index import is_busy
from molexp._record.catalog.refresh import Refresher
from molexp._record.reports import Finding, Report
from molexp._record.resolving import reference_resolver
from molexp._record.rows import RUN_COLUMNS, Rows, flatten
from molexp._record.run import Run
from molexp._values.canonical import canonical_equal
from molexp._values.documents import decode
from molexp._values.ids import nearest
from molexp._values.plain import restore
from molexp._values.status import RunStatus
from molexp.errors import CorruptRecordError

if TYPE_CHECKING:
    from molexp._record.home import Home

P = ParamSpec("P")
T = TypeVar("T")


@attrs.frozen(kw_only=True, repr=False)
class RunRow:
    """A run as the catalog answers it: a snapshot, with the names of ``run.json``.

    Attributes:
        path: ``project/experiment/run``.
        schema: of its ``run.json``.
        id: the run's id.
        project: the project's id.
        experiment: the experiment's id.
        status: where it stood.
        created_at: when it was created, in UTC, ISO 8601.
        parameters: the merged parameters.
        replica: its index, from 0.
        profile: the profile's name.
        config: the resolved configuration.
        config_hash: SHA-256 of its canonical JSON.
        workflow: what is recorded of its workflow.
        provenance: id of its newest attempt's provenance.
        results: its results, folded over the attempts.
        tags: its tags, sorted.
        execution_history: its attempts, oldest first.
        document: all of it, as ``run.json`` would have it, with what this version does not know.
    """

    path: str
    schema: int
    id: str
    project: str
    experiment: str
    status: RunStatus
    created_at: str
    parameters: Mapping[str, Any]
    replica: int
    profile: str | None
    config: Mapping[str, Any]
    config_hash: str | None
    workflow: Any
    provenance: str | None
    results: Mapping[str, Any]
    tags: tuple[str, ...]
    execution_history: tuple[Mapping[str, Any], ...]
    document: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<RunRow {self.path} {self.status}>"

    @property
    def params(self) -> Mapping[str, Any]:
        """The same as `parameters`."""
        return self.parameters


def _row(home: Home, path: str, data: bytes) -> RunRow:
    resolve = reference_resolver(home) if b'"$' in data else None
    document = restore(decode(data, path), resolve=resolve)
    project, experiment, run_id = path.split("/")
    return RunRow(
        path=path,
        schema=document.get("schema") or 1,
        id=run_id,
        project=project,
        experiment=experiment,
        status=RunStatus(document["status"]),
        created_at=str(document.get("created_at") or ""),
        parameters=document.get("parameters") or {},
        replica=document.get("replica") or 0,
        profile=document.get("profile"),
        config=document.get("config") or {},
        config_hash=document.get("config_hash"),
        workflow=document.get("workflow"),
        provenance=document.get("provenance"),
        results=document.get("results") or {},
        tags=tuple(document.get("tags") or ()),
        execution_history=tuple(document.get("execution_history") or ()),
        document=document,
    )


def _describe_run(row: RunRow) -> dict[str, Any]:
    return {"path": row.path, **row.document}


def describe_asset(asset: Asset) -> dict[str, Any]:
    """An asset as a row of a table."""
    producer = asset.producer
    return {
        "id": asset.id,
        "name": asset.name,
        "kind": asset.kind,
        "version": asset.version,
        "scope": asset.scope,
        "producer": producer.run if producer is not None else None,
        "attempt": producer.attempt if producer is not None else None,
        "task": producer.task if producer is not None else None,
        "created_at": asset.created_at,
        "key": asset.key,
        "size": asset.size,
        "content_hash": asset.content_hash,
        "tags": sorted(asset.tags),
        "fields": dict(asset.fields),
    }


def _from_a_sound_index(answer: Callable[Concatenate[Catalog, P], T]) -> Callable[Concatenate[Catalog, P], T]:
    """Answer again from a new index if the one at hand turns out to be damaged, or gone."""

    @wraps(answer)
    def answer_again(self: Catalog, /, *args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(2):  # a damaged file, then a folder that cannot hold one
            try:
                return answer(self, *args, **kwargs)
            except (sqlite3.DatabaseError, CorruptRecordError) as error:
                if isinstance(error, sqlite3.Error) and is_busy(error):
                    raise
                self._home.index.discard()
        return answer(self, *args, **kwargs)

    return answer_again


class Catalog:
    """Answers which runs and which assets there are, from a derived index that every call brings up to date first.

    Everything in it can be deleted and rebuilt from the files; see ``docs/explanation/catalog.md``.
    """

    def __init__(self, home: Home) -> None:
        self._home = home

    def __repr__(self) -> str:
        return f"<catalog of {self._home.store.url}>"

    @_from_a_sound_index
    def runs(
        self,
        *,
        project: str | None = None,
        experiment: str | None = None,
        status: str | Iterable[str] | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        sort: str | None = None,
        limit: int | None = None,
    ) -> Rows[RunRow]:
        """The runs that match all of what is given.

        Args:
            project: a project's id.
            experiment: an experiment's id, or ``project/experiment``.
            status: one status, or several.
            params: parameters that must be equal, by name; a dotted name reaches into a nested one.
            tags: tags that they must all have.
            sort: a column, such as ``created_at`` or ``results.loss``, with ``-`` before it for descending order; by
                default they come as they were created.
            limit: at most so many.

        Raises:
            ValueError: a status that does not exist, a column that no run has, or a negative limit.
        """
        _check_limit(limit)
        self._refresh()
        clauses, values = ["1"], list[Any]()
        above, slash, experiment_id = experiment.rpartition("/") if experiment is not None else ("", "", None)
        for column, wanted in (
            ("project", project),
            ("project", above if slash else None),
            ("experiment", experiment_id),
        ):
            if wanted is not None:
                clauses.append(f"{column} = ?")
                values.append(wanted)
        if status is not None:
            statuses = [_status(status)] if isinstance(status, str) else [_status(word) for word in status]
            clauses.append(f"status IN ({', '.join('?' * len(statuses))})")
            values += statuses
        sql = f"SELECT path, document FROM runs WHERE {' AND '.join(clauses)} ORDER BY created_at, path"  # noqa: S608 - constants
        rows = [_row(self._home, path, data) for path, data in self._home.index.select(sql, values)]
        wanted_tags = {tags} if isinstance(tags, str) else set(tags)
        rows = [
            row
            for row in rows
            if wanted_tags <= set(row.tags)
            and all(_matches(row.parameters, name, value) for name, value in (params or {}).items())
        ]
        gone = self._gone(row.path for row in rows)
        rows = [row for row in rows if row.path not in gone]
        if sort is not None:
            rows = _sorted(rows, sort)
        return Rows(rows[:limit], _describe_run, RUN_COLUMNS)

    @_from_a_sound_index
    def assets(
        self,
        *,
        kind: str | None = None,
        name: str | None = None,
        scope: str | None = None,
        producer: Run | str | None = None,
        limit: int | None = None,
    ) -> Rows[Asset]:
        """The assets that match all of what is given, oldest first.

        Args:
            kind: a kind's name.
            name: an asset's name.
            scope: path of the run, experiment or project that they belong to; "" is the workspace.
            producer: the run that made them, or its path.
            limit: at most so many.
        """
        _check_limit(limit)
        self._refresh()
        clauses, values = ["1"], list[Any]()
        by = producer.path if isinstance(producer, Run) else producer
        for column, wanted in (("kind", kind), ("name", name), ("scope", scope), ("producer", by)):
            if wanted is not None:
                clauses.append(f"{column} = ?")
                values.append(wanted)
        sql = f"SELECT owner, record FROM assets WHERE {' AND '.join(clauses)} ORDER BY created_at, id"  # noqa: S608 - constants
        rows = self._home.index.select(sql, values)
        gone = self._gone({owner for owner, _ in rows})
        found = [record for owner, record in rows if owner not in gone][:limit]
        return Rows([self._home.library.asset(decode(record, "index")) for record in found], describe_asset)

    @_from_a_sound_index
    def unreadable(self) -> Mapping[str, str]:
        """What could not be read, key to reason; the answers are right for the rest."""
        self._refresh()
        return self._home.index.problems()

    @_from_a_sound_index
    def rebuild(self) -> Report:
        """Read everything anew; until that is done, answers come from what was known."""
        counts = Refresher(self._home, self._home.index).scan() if self._home.exists() else {}
        findings = tuple(Finding(key, reason) for key, reason in self._home.index.problems().items())
        return Report("rebuild", findings, counts)

    @_from_a_sound_index
    def verify(self) -> Report:
        """Read everything and compare: what differed is reported, and mended."""
        self._refresh()
        before = self._snapshot()
        self.rebuild()
        after = self._snapshot()
        findings = []
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                what = "missing" if key not in before else "no longer there" if key not in after else "out of date"
                findings.append(Finding(key, f"{what} in the index", "mended"))
        return Report("verify", tuple(findings), {"rows": len(after)})

    def _snapshot(self) -> dict[str, Any]:
        rows = {path: decode(data, path) for path, data in self._home.index.select("SELECT path, document FROM runs")}
        assets = {
            f"{owner}: {key}" if owner else key: decode(data, key)
            for owner, key, data in self._home.index.select("SELECT owner, id, record FROM assets")
        }
        return {**rows, **assets}

    def _refresh(self) -> None:
        if self._home.exists():
            Refresher(self._home, self._home.index).refresh()

    def _gone(self, paths: Iterable[str]) -> set[str]:
        """Those of some runs and scopes that are not there, where looking is cheap: removed by hand, just now."""
        store = self._home.store
        if "local_path" not in store.capabilities:
            return set()
        gone = {path for path in paths if not store.exists(keys.document(path))}
        return Refresher(self._home, self._home.index).look_again(gone) if gone else gone


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 0:
        raise ValueError(f"limit={limit} is below 0.")


def _status(word: str) -> str:
    try:
        return str(RunStatus(word))
    except ValueError:
        close = nearest(str(word), [str(status) for status in RunStatus])
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{word!r} is no status; there are {', '.join(RunStatus)}.{hint}") from None


_ABSENT = object()


def _reach(value: Any, name: str) -> Any:
    if isinstance(value, Mapping) and name in value:
        return value[name]
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _ABSENT
        value = value[part]
    return value


def _matches(parameters: Mapping[str, Any], name: str, wanted: Any) -> bool:
    found = _reach(parameters, name)
    return found is not _ABSENT and canonical_equal(found, wanted)


def _sorted(rows: list[RunRow], column: str) -> list[RunRow]:
    """Sort by a column; rows without it come last, and values of different types apart."""
    descending, name = column.startswith("-"), column.lstrip("-")
    name = "parameters" + name[6:] if name == "params" or name.startswith("params.") else name

    def key(row: RunRow) -> tuple[str, Any]:
        found = _reach({"path": row.path, **row.document}, name)
        if isinstance(found, bool | int | float):
            return ("number", found)
        return (type(found).__name__, str(found))

    with_it, without = list[RunRow](), list[RunRow]()
    for row in rows:
        found = _reach({"path": row.path, **row.document}, name)
        (without if found is _ABSENT or found is None or found != found else with_it).append(row)  # noqa: PLR0124 - NaN
    if without and not with_it:
        _refuse_unknown(column.lstrip("-"), name, rows)
    return sorted(with_it, key=key, reverse=descending) + without


def _refuse_unknown(column: str, name: str, rows: list[RunRow]) -> None:
    """Raise if no run has a column while some have others beside it: it is mistyped, rather than not there yet."""
    above = name.rpartition(".")[0]
    beside = [_reach(row.document, above) if above else row.document for row in rows]
    if any(isinstance(found, Mapping) and found for found in beside):
        columns = {known for row in rows for known in flatten({"path": row.path, **row.document})}
        close = nearest(column, columns)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"No run has the column {column!r}.{hint}")
