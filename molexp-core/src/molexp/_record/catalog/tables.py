"""The tables of the reader's index, and of the full segments of a snapshot, which are such indexes."""

from __future__ import annotations

import sqlite3

VERSION = 6

# `news` counts changes; 0 says that the newest snapshot has the row as it is.
# `fields` holds every small value that can be asked for, by name: of runs, and of what runs have in common (`shared`:
# configurations, workflows and provenances); names of assets' fields begin with "@". `names.partial` says that some values of
# that name are too large to be here, so that documents have to be asked. Rows of `entities`
# and `assets` are short: reading all of them costs less than keeping more indexes would.
# `assets.source` is what data was imported from: the id of an asset, or a key in the workspace.
TABLES = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    "CREATE TABLE journals (name TEXT PRIMARY KEY, mark TEXT, owner TEXT) WITHOUT ROWID",
    "CREATE TABLE pending (journal TEXT, key TEXT, PRIMARY KEY (journal, key)) WITHOUT ROWID",
    "CREATE TABLE segments (key TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE removed (path TEXT PRIMARY KEY, news INTEGER) WITHOUT ROWID",
    (
        "CREATE TABLE entities (id INTEGER PRIMARY KEY, path TEXT UNIQUE, project TEXT, experiment TEXT, run TEXT, "
        "stamp TEXT, shown INTEGER, open INTEGER, news INTEGER, status TEXT, created_at TEXT, replica INTEGER, profile TEXT, "
        "archived INTEGER, attempts INTEGER, started_at TEXT, ended_at TEXT, seconds REAL, host TEXT, user TEXT, "
        "config INTEGER, workflow INTEGER, provenance INTEGER)"
    ),
    "CREATE INDEX entities_by_scope ON entities (project, experiment)",
    "CREATE INDEX entities_open ON entities (id) WHERE open = 1",
    "CREATE INDEX entities_new ON entities (news) WHERE news > 0",
    "CREATE TABLE documents (id INTEGER PRIMARY KEY, document BLOB, cover BLOB)",
    (
        "CREATE TABLE assets (id INTEGER PRIMARY KEY, owner INTEGER, kind TEXT, name TEXT, version INTEGER, size INTEGER, "
        "producer TEXT, created_at TEXT, source TEXT)"
    ),
    "CREATE INDEX assets_by_owner ON assets (owner, name)",
    "CREATE INDEX assets_by_producer ON assets (producer) WHERE producer IS NOT NULL",
    "CREATE INDEX assets_by_source ON assets (source) WHERE source IS NOT NULL",
    "CREATE TABLE records (id INTEGER PRIMARY KEY, record BLOB)",
    (
        "CREATE TABLE uses (asset TEXT, owner INTEGER, attempt INTEGER, task TEXT, "
        "PRIMARY KEY (asset, owner, attempt, task)) WITHOUT ROWID"
    ),
    "CREATE INDEX uses_by_owner ON uses (owner)",
    "CREATE TABLE shared (id INTEGER PRIMARY KEY, key TEXT UNIQUE)",
    "CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT UNIQUE, partial INTEGER)",
    "CREATE TABLE fields (name INTEGER, value, owner INTEGER, PRIMARY KEY (name, value, owner)) WITHOUT ROWID",
    "CREATE TABLE problems (owner TEXT, key TEXT, reason TEXT, stamp TEXT, PRIMARY KEY (owner, key)) WITHOUT ROWID",
    "CREATE TABLE folders (key TEXT PRIMARY KEY, stamp TEXT, extra INTEGER, listed REAL) WITHOUT ROWID",
    "CREATE TABLE sightings (attempt TEXT PRIMARY KEY, version TEXT, boot TEXT, first REAL) WITHOUT ROWID",
)

PRIVATE = ("journals", "pending", "segments", "removed", "folders", "sightings")
"""What one reader knows in one place, and no segment holds."""


def make(connection: sqlite3.Connection) -> None:
    """Make the tables, in place of whatever another version left."""
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION:  # and nobody else was faster
        for kind, name in _objects(connection):
            connection.execute(f'DROP {kind} IF EXISTS "{name}"')
        for statement in TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def is_ours(connection: sqlite3.Connection) -> bool:
    """Whether a database has just these tables: no trigger, no view, nothing that somebody added."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    found = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    return bool(version == VERSION and found == set(TABLES))


def _objects(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = connection.execute(
        "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
    )
    return [(str(kind).upper(), str(name).replace('"', '""')) for kind, name in rows.fetchall()]
