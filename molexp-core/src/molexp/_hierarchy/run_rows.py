"""A run as the catalog answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING, Any

from molexp._catalog.index.columns import ASKED, asked_of, unpacked
from molexp._query.evaluation import ABSENT, reach
from molexp._record.folding import cause_of_run
from molexp._values.copies import own_copy
from molexp._values.documents import decode_object
from molexp._values.ids import nearest, spelled
from molexp._values.plain import restore
from molexp._values.status import RunStatus
from molexp._values.tables import RUN_COLUMNS, Rows, cells
from molexp.errors import CorruptRecordError, MolexpError, NotFoundError

if TYPE_CHECKING:
    from molexp._catalog.query.answers import Row
    from molexp._hierarchy.session import Session


class RunRow(Mapping[str, Any]):
    """A run as the catalog answers it: a snapshot, with the names of ``run.json``. Its document is read when it is used.

    It is a mapping as well, of the columns that a table has of it: ``row["results.energy"]``, ``dict(row)``. So
    ``pandas.DataFrame(rows)`` and ``polars.DataFrame(rows)`` make frames of rows. Where its code came from is read when you ask
    for it by name, as in ``row["provenance.git.commit"]``, and not among the columns that are listed. Neither are others that runs can
    be asked for, such as ``row["ended_at"]`` and ``row["cause"]``, which is None of a run that ended well.

    Attributes:
        path: ``project/experiment/run``.

    Example:
        >>> row = ws.catalog.runs()[0]
        >>> (row.id, str(row.status), row.results["energy"])
        ('cu-small', 'succeeded', -3.7)
    """

    __slots__ = ("_cells", "_data", "_document", "_session", "path")

    def __init__(self, session: Session | None, path: str, data: bytes) -> None:
        self.path = path
        self._session = session
        self._data = data
        self._document: Mapping[str, Any] | None = None
        self._cells: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<RunRow {self.path} {self.status}>"

    def __eq__(self, other: object) -> bool:
        return (self.path, self._data) == (other.path, other._data) if isinstance(other, RunRow) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.path, self._data))

    def __getstate__(self) -> tuple[str, bytes, Mapping[str, Any]]:
        return self.path, self._data, self._stored

    def __setstate__(self, state: tuple[str, bytes, Mapping[str, Any]]) -> None:
        self.path, self._data, self._document = state
        self._session = self._cells = None

    def _flat(self) -> dict[str, Any]:
        if self._cells is None:
            self._cells = cells(describe_row(self), RUN_COLUMNS)
        return self._cells

    def __getitem__(self, column: str) -> Any:
        if (found := self._found(column)) is ABSENT:
            raise NotFoundError("column", f"{column}", where=self.path, nearest=nearest(f"{column}", [*self, *ASKED]))
        return found

    def __contains__(self, column: object) -> bool:
        return self._found(column) is not ABSENT

    def _found(self, column: object) -> Any:
        """Return what it has in a column; `ABSENT` if it has none, or the document on its code cannot be read."""
        if not isinstance(column, str) or not column.startswith("provenance."):
            flat: dict[Any, Any] = self._flat()
            return flat[column] if column in flat else asked_of(self._stored, column, ABSENT)
        try:
            return own_copy(reach({"provenance": self._origin() or {}}, (column,)))
        except (MolexpError, OSError):
            return ABSENT

    def __iter__(self) -> Iterator[str]:
        return iter(self._flat())

    def __len__(self) -> int:
        return len(self._flat())

    @property
    def document(self) -> Mapping[str, Any]:
        """All of it, as ``run.json`` would have it, with `metrics`, and with what this version does not know."""
        return {**self._stored, "metrics": self.metrics} if "metrics" in self._stored else self._stored

    @property
    def _stored(self) -> Mapping[str, Any]:
        """The same, with metrics as the index has them."""
        if self._document is None:
            document = self._decoded()
            if b'"$' in self._data:
                document = restore(document, resolve=self._resolver())
            self._document = document
        return self._document

    def _decoded(self) -> dict[str, Any]:
        """Return the document; where the index has a damaged one, as the files have it."""
        try:
            return decode_object(self._data, self.path)
        except CorruptRecordError:
            if self._session is None:
                raise
            from molexp._catalog.refresh.reading import full_row
            from molexp._record.reading import read_run

            return full_row(
                self._session.store, read_run(self._session.store, self.path, self._session.observer), self.path
            )

    def _resolver(self) -> Callable[[str, Any], Any] | None:
        from molexp._hierarchy.references import reference_resolver

        return reference_resolver(self._session) if self._session is not None else None

    @property
    def schema(self) -> int:
        """Of its ``run.json``."""
        return self._stored.get("schema") or 1

    @property
    def id(self) -> str:
        """Its id, as it was given: `path` has it in lower case."""
        return spelled(self._stored.get("id"), self.path.rpartition("/")[2])

    @property
    def project(self) -> str:
        """The project's id."""
        return self.path.partition("/")[0]

    @property
    def experiment(self) -> str:
        """The experiment's id."""
        return self.path.split("/")[1]

    @property
    def status(self) -> RunStatus:
        """Its status."""
        return RunStatus(self._stored["status"])

    @property
    def cause(self) -> str | None:
        """The cause of its newest attempt's end, such as ``exception`` or ``signal``; None without one."""
        return cause_of_run(self._stored)

    @property
    def as_of(self) -> str | None:
        """The time at which it was last seen running elsewhere, in UTC, if this is a copy that a sync keeps; None otherwise."""
        found = self._stored.get("as_of")
        return found if isinstance(found, str) else None

    @property
    def created_at(self) -> str:
        """The time at which it was created, in UTC, ISO 8601."""
        return str(self._stored.get("created_at") or "")

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The merged parameters."""
        return self._stored.get("parameters") or {}

    @property
    def params(self) -> Mapping[str, Any]:
        """The same as `parameters`."""
        return self.parameters

    @property
    def replica(self) -> int:
        """Its index, from 0."""
        return self._stored.get("replica") or 0

    @property
    def profile(self) -> str | None:
        """The profile's name."""
        return self._stored.get("profile")

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration."""
        return self._stored.get("config") or {}

    @property
    def config_hash(self) -> str | None:
        """SHA-256 of its canonical JSON."""
        return self._stored.get("config_hash")

    @property
    def workflow(self) -> Any:
        """The record of its workflow."""
        return self._stored.get("workflow")

    @property
    def provenance(self) -> str | None:
        """Id of its newest attempt's provenance."""
        return self._stored.get("provenance")

    @property
    def origin(self) -> Mapping[str, Any] | None:
        """The document that `provenance` names: git commit, Python, packages; read once for all runs. None if there is none."""
        return own_copy(self._origin())  # type: ignore[no-any-return]

    def _origin(self) -> Mapping[str, Any] | None:
        return self._session.origin(self.provenance) if self._session else None

    @property
    def results(self) -> Mapping[str, Any]:
        """Its results, folded over the attempts."""
        return self._stored.get("results") or {}

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """The summary of its metrics, by name: see `Run.metrics`."""
        return unpacked(self._stored)

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags, sorted."""
        return tuple(self._stored.get("tags") or ())

    @property
    def execution_history(self) -> tuple[Mapping[str, Any], ...]:
        """Its attempts, oldest first."""
        return tuple(self._stored.get("execution_history") or ())


def describe_row(row: RunRow) -> dict[str, Any]:
    """Describe a row as a dict."""
    return {"path": row.path, **row.document}


def run_rows(session: Session, rows: Iterable[Row], unreadable: Mapping[str, str], archived: int) -> Rows[RunRow]:
    """Return the runs of an answer, with what could not be read, and how many archived ones are left out."""
    return Rows(starmap(partial(RunRow, session), rows), describe_row, RUN_COLUMNS, unreadable, archived)
