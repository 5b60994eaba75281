"""The tables of the reader's index, and of the segments of a snapshot, which are such indexes."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Any
from zlib import crc32

from msgspec import Struct, field

from molexp._catalog.index.columns import COLUMNS, REFERENCES, Type
from molexp._catalog.index.place import APPLICATION, VERSION
from molexp._storage import layout
from molexp._values.status import RunStatus

_UNNAMED = 6
"""The last version that did not say in the file's header whose it is."""
_MAGIC = b"SQLite format 3\0"


_COLUMNS = ", ".join([*(column.declaration for column in COLUMNS), *(f"{name} INTEGER" for name in REFERENCES)])

RARE = "status <> 'succeeded'"
"""A condition on runs that few meet, which have an index of their own; a query that says so may use it."""

# `news` counts changes; 0 says that the newest snapshot has the row as it is.
# `sizes` and `statuses` are `Counters`, of experiments and (what only assets are counted of) of other scopes: counting the rows
# themselves would take as long as there are many.
# `fields` holds every small value that can be asked for, by name: of runs, and of what runs have in common (`shared`:
# configurations, workflows and provenances); names of assets' fields begin with "@". `names.partial` says that some values of
# that name are too large to be here, so that documents have to be asked. Rows of `entities`
# and `assets` are short: reading all of them costs less than keeping more indexes would.
# `metrics` has a row for each name that a run logged, with the columns of `STATISTICS`: most are asked for by one of them only,
# and one for each would take seven times the space.
# `assets.source` is what data was imported from: the id of an asset, or a key in the workspace.
# `sum` is the `checksum` of what a row was folded from: it must hold before the row is shown, or published.
TABLES = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    "CREATE TABLE journals (name TEXT PRIMARY KEY, mark TEXT, owner TEXT) WITHOUT ROWID",
    "CREATE TABLE pending (journal TEXT, key TEXT, PRIMARY KEY (journal, key)) WITHOUT ROWID",
    "CREATE TABLE segments (key TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE removed (path TEXT PRIMARY KEY, news INTEGER) WITHOUT ROWID",
    (
        "CREATE TABLE entities (id INTEGER PRIMARY KEY, path TEXT UNIQUE, project TEXT, experiment TEXT, run TEXT, "
        f"stamp TEXT, shown INTEGER, open INTEGER, news INTEGER, {_COLUMNS})"
    ),
    "CREATE INDEX entities_by_scope ON entities (project, experiment, created_at, path)",
    "CREATE INDEX entities_by_time ON entities (created_at, path) WHERE shown = 1",
    f"CREATE INDEX entities_by_status ON entities (status, created_at, path) WHERE shown = 1 AND {RARE}",
    "CREATE INDEX entities_open ON entities (id) WHERE open = 1",
    "CREATE INDEX entities_archived ON entities (id) WHERE archived = 1",
    "CREATE INDEX entities_new ON entities (news) WHERE news > 0",
    (
        "CREATE TABLE sizes (experiment TEXT PRIMARY KEY, runs INTEGER, assets INTEGER, upper INTEGER, lower INTEGER) "
        "WITHOUT ROWID"
    ),
    (
        "CREATE TABLE statuses (experiment TEXT, status TEXT, archived INTEGER, runs INTEGER, "
        "PRIMARY KEY (experiment, status, archived)) WITHOUT ROWID"
    ),
    "CREATE TABLE documents (id INTEGER PRIMARY KEY, document BLOB, cover BLOB, sum INTEGER)",
    (
        "CREATE TABLE assets (id INTEGER PRIMARY KEY, owner INTEGER, kind TEXT, name TEXT, version INTEGER, size INTEGER, "
        "producer TEXT, created_at TEXT, source TEXT)"
    ),
    "CREATE INDEX assets_by_owner ON assets (owner, name)",
    "CREATE INDEX assets_by_time ON assets (created_at, kind)",
    "CREATE INDEX assets_by_producer ON assets (producer) WHERE producer IS NOT NULL",
    "CREATE INDEX assets_by_source ON assets (source) WHERE source IS NOT NULL",
    "CREATE TABLE records (id INTEGER PRIMARY KEY, record BLOB, sum INTEGER)",
    (
        "CREATE TABLE uses (asset TEXT, owner INTEGER, attempt INTEGER, task TEXT, "
        "PRIMARY KEY (asset, owner, attempt, task)) WITHOUT ROWID"
    ),
    "CREATE INDEX uses_by_owner ON uses (owner)",
    "CREATE TABLE shared (id INTEGER PRIMARY KEY, key TEXT UNIQUE)",
    "CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT UNIQUE, partial INTEGER)",
    "CREATE TABLE fields (name INTEGER, value, owner INTEGER, PRIMARY KEY (name, value, owner)) WITHOUT ROWID",
    (
        "CREATE TABLE metrics (name INTEGER, owner INTEGER, last, step, min, min_step, max, max_step, count, "
        "PRIMARY KEY (name, owner)) WITHOUT ROWID"
    ),
    "CREATE TABLE problems (owner TEXT, key TEXT, reason TEXT, stamp TEXT, PRIMARY KEY (owner, key)) WITHOUT ROWID",
    "CREATE TABLE folders (key TEXT PRIMARY KEY, stamp TEXT, extra INTEGER, listed REAL) WITHOUT ROWID",
    "CREATE TABLE sightings (attempt TEXT PRIMARY KEY, version TEXT, boot TEXT, first REAL) WITHOUT ROWID",
)

PRIVATE = ("journals", "pending", "segments", "folders", "sightings", "meta")
"""The tables that one reader has for itself, and no segment holds."""


_SUMMED = (
    (
        "documents",
        "entities",
        "SELECT e.path, sum, document, cover FROM entities e LEFT JOIN documents t USING (id)",
    ),
    (
        "records",
        "assets",
        "SELECT e.path, sum, record FROM assets a LEFT JOIN records t USING (id) LEFT JOIN entities e ON e.id = a.owner",
    ),
)
"""Tables with checksums, those whose rows they go with, and what the sums are of."""

_OF_SCOPES = "coalesce(project || '/' || experiment, project, ''), count(*), sum(size >> 32), sum(size & 4294967295)"
_COUNTED = (
    (
        "SELECT experiment, runs FROM sizes WHERE runs <> 0",
        "SELECT project || '/' || experiment, count(*) FROM entities WHERE run IS NOT NULL GROUP BY 1",
    ),
    (
        "SELECT experiment, assets, upper, lower FROM sizes WHERE assets <> 0",
        f"SELECT {_OF_SCOPES} FROM assets a JOIN entities e ON e.id = a.owner GROUP BY 1",  # noqa: S608 - constants
    ),
    (
        "SELECT experiment, status, archived, runs FROM statuses WHERE runs <> 0",
        "SELECT project || '/' || experiment, status, archived, count(*) FROM entities WHERE shown = 1 GROUP BY 1, 2, 3",
    ),
)
"""Counters, and the rows that they count."""

_HALF = 32  # bits: the sums of two halves of sizes cannot overflow, and a record may name any size below 2**63
_SIZES = ("runs", "assets", "upper", "lower")
_ADD_SIZES = (
    f"INSERT INTO sizes (experiment, {', '.join(_SIZES)}) VALUES (?, {', '.join('?' * len(_SIZES))}) "  # noqa: S608 - constants
    f"ON CONFLICT (experiment) DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in _SIZES)}"
)
_ADD_STATUSES = (
    "INSERT INTO statuses (experiment, status, archived, runs) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (experiment, status, archived) DO UPDATE SET runs = runs + excluded.runs"
)


class Table(Struct, frozen=True, kw_only=True):
    """The tables that a question is put to, and the places in them of the fields that a query can name.

    Attributes:
        number: SQL of a row's number.
        tables: SQL of where rows are.
        shown: SQL of the condition on a row that readers may see.
        tie: SQL of the order of rows that are equal otherwise.
        documents: the table of stored documents.
        parts: its columns that have a checksum; the first is the document.
        columns: SQL of the fields that are columns, by their names, with their type.
        owners: SQL of the owner of those that are cells, by the first part of their names.
        prefix: The names of those cells begin with this.
    """

    number: str
    tables: str
    shown: str
    tie: str
    documents: str
    parts: str
    columns: dict[str, tuple[str, Type]]
    owners: dict[str, str]
    prefix: str = ""


WHOLE = ("tags", "as_of", "notes")
"""Fields of runs that are cells, or lists of them, by themselves."""

RUNS = Table(
    number="e.id",
    tables="entities e",
    shown="e.shown = 1",
    tie="e.created_at, e.path",
    documents="documents",
    parts="d.document, d.cover",
    columns={
        "path": ("e.path", "text"),
        "id": ("e.run", "text"),
        "project": ("e.project", "text"),
        "experiment": ("e.experiment", "text"),
        **{column.name: (f"e.{column.name}", column.type) for column in COLUMNS},
    },
    owners={
        **dict.fromkeys(("params", "results", "metrics", *WHOLE), "e.id"),
        **{name: f"e.{name}" for name in REFERENCES},
    },
)
ASSETS = Table(
    number="a.id",
    tables="assets a JOIN entities e ON e.id = a.owner",
    shown="1",
    tie="a.created_at, a.id",
    documents="records",
    parts="d.record",
    columns={
        "name": ("a.name", "text"),
        "kind": ("a.kind", "text"),
        "version": ("a.version", "integer"),
        "size": ("a.size", "integer"),
        "created_at": ("a.created_at", "text"),
        "scope": ("e.path", "text"),
        "producer": ("coalesce(a.producer, CASE WHEN e.run IS NOT NULL THEN e.path END)", "text"),
    },
    owners={"tags": "a.id", "fields": "a.id"},
    prefix="@",
)


class Counters(Struct):
    """The changes of the counters within one transaction."""

    _sizes: dict[str, list[Any]] = field(default_factory=dict)  # by scope: its row
    _statuses: Counter[tuple[str, Any, Any]] = field(default_factory=Counter)

    def know(self, path: str, by: int) -> None:
        """Count a run, or with -1 one less, of which something is known, whether or not it is shown."""
        if layout.is_run(path):
            self._sizes_of(path)[1] += by

    def show(self, path: str, status: str, archived: int) -> None:
        """Count a run that is shown."""
        self._statuses[scope_of(path), status, archived] += 1

    def hold(self, path: str, size: int, by: int = 1) -> None:
        """Count an asset of a run or scope, or with -1 one less."""
        sizes = self._sizes_of(path)
        sizes[2] += by
        sizes[3] += by * (size >> _HALF)
        sizes[4] += by * (size & ((1 << _HALF) - 1))

    def clear(self, connection: sqlite3.Connection, path: str, number: int) -> None:
        """Count what there is of a run or scope no longer, whose rows are about to be taken out."""
        shown = connection.execute("SELECT status, archived FROM entities WHERE id = ? AND shown = 1", (number,))
        for status, archived in shown.fetchall():
            self._statuses[scope_of(path), status, archived] -= 1
        for (size,) in connection.execute("SELECT size FROM assets WHERE owner = ?", (number,)).fetchall():
            self.hold(path, size, -1)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write the changes, and begin again."""
        connection.executemany(_ADD_SIZES, self._sizes.values())
        connection.executemany(_ADD_STATUSES, ((*key, by) for key, by in self._statuses.items() if by))
        self._sizes.clear()
        self._statuses.clear()

    def _sizes_of(self, path: str) -> list[Any]:
        scope = scope_of(path)
        return self._sizes.setdefault(scope, [scope, *[0] * len(_SIZES)])


def scope_of(path: str) -> str:
    """Return the experiment of a run; of a scope, itself."""
    return path.rpartition("/")[0] if layout.is_run(path) else path


def joined(upper: int, lower: int) -> int:
    """Return the sum of sizes whose halves were summed."""
    return (upper << _HALF) + lower


def checksum(path: str, *parts: bytes | None) -> int:
    """Return what stands beside a row to tell whether it still is what was folded from the record; -1 if it cannot be that.

    Args:
        path: of the run or scope that it is of.
        parts: The bytes that must not change.
    """
    try:
        found = crc32(path.encode())
        for part in parts:
            found = crc32(part or b"", crc32(b"\0", found))
        return found
    except (AttributeError, TypeError, ValueError):
        return -1


def damage(connection: sqlite3.Connection) -> str:
    """Return what is wrong with an index, as far as SQLite's own check and the checksums tell; "" if nothing is."""
    ((said,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    if said != "ok":
        return str(said)
    for table, beside, sql in _SUMMED:
        rows = 0
        for path, known, *parts in connection.execute(sql):
            rows += 1
            if path is None or known != checksum(path, *parts):
                return f"a row of {path!r} in {table!r} is not what it was"
        ((found,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608 - constants
        if found != rows:
            return f"{table!r} has {found} rows, and {beside!r} {rows}"
    for counters, counted in _COUNTED:
        if {*connection.execute(counters)} != {*connection.execute(counted)}:
            return f"the counters that {counters!r} finds are not those of the rows"
    return ""


def open_image(path: str) -> sqlite3.Connection:
    """Open a file that should be an index, whoever made it; it lies in a folder of ours.

    Raises:
        sqlite3.DatabaseError: it is none; checksums can be forged, so rows of sorts that no index has are refused, too.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        if not _is_ours(connection) or any(connection.execute(f"{sql} LIMIT 1").fetchone() for sql in _ODD):
            raise sqlite3.DatabaseError("the tables, or what is in them, are not those of this version")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_ours(connection: sqlite3.Connection) -> bool:
    """Tell whether a database has just these tables: no trigger, no view, nothing that somebody added."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    found = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    return version == VERSION and {sql for (sql,) in found} == {*TABLES}


def make(connection: sqlite3.Connection) -> None:
    """Make the tables, in place of whatever another version left."""
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION:  # and nobody else was faster
        for kind, name in _objects(connection):
            connection.execute(f'DROP {kind} IF EXISTS "{name}"')
        for statement in TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def is_ours_by(head: bytes) -> bool:
    """Tell whether a file that begins like this is an index, of whichever version."""
    version, application = (int.from_bytes(head[at : at + 4], "big") for at in (60, 68))  # as SQLite documents
    return head.startswith(_MAGIC) and (application == APPLICATION or (not application and 0 < version <= _UNNAMED))


_ODD_PATH = (
    "typeof(path) <> 'text' OR path GLOB '*[^a-z0-9._=+,/-]*' OR (path <> '' AND '/' || path || '/' GLOB '*/[^a-z0-9]*') "
    "OR length(path) - length(replace(path, '/', '')) > 2"
)
_ODD = (
    (
        f"SELECT 1 FROM entities LEFT JOIN documents USING (id) WHERE {_ODD_PATH} "  # noqa: S608 - constants
        "OR typeof(document) <> CASE WHEN shown THEN 'blob' ELSE 'null' END OR typeof(cover) NOT IN ('blob', 'null') "
        f"OR (status IS NOT NULL AND status NOT IN ({', '.join(repr(str(status)) for status in RunStatus)}))"
    ),
    f"SELECT 1 FROM removed WHERE {_ODD_PATH}",  # noqa: S608 - constants
    "SELECT 1 FROM assets LEFT JOIN records USING (id) WHERE typeof(record) <> 'blob'",
    (
        "SELECT 1 FROM sizes WHERE typeof(experiment) <> 'text' "
        "OR typeof(runs) || typeof(assets) || typeof(upper) || typeof(lower) <> 'integerintegerintegerinteger'"
    ),
    "SELECT 1 FROM statuses WHERE typeof(status) <> 'text' OR typeof(archived) || typeof(runs) <> 'integerinteger'",
    "SELECT 1 FROM meta WHERE typeof(value) <> 'text' OR (name = 'news' AND value GLOB '*[^0-9]*')",
)


def _objects(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = connection.execute(
        "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
    )
    return [(str(kind).upper(), str(name).replace('"', '""')) for kind, name in rows.fetchall()]
