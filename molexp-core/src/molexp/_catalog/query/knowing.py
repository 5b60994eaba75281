"""Questions about the index as a whole: the names in it, and whether it has changed."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from itertools import islice

from molexp._catalog.index.index import Index
from molexp._catalog.index.place import ELEMENTS
from molexp._catalog.query.sql import RUNS
from molexp._query.expressions import Expression, Field, fields_of
from molexp._values.ids import nearest


def known_fields(index: Index, containing: str, limit: int | None) -> list[str]:
    """Return the names of fields that some run has, or had, in the order of the alphabet."""
    sql = "SELECT name FROM names WHERE substr(name, 1, 1) <> '@' AND substr(name, ?) <> ? ORDER BY name"
    names = (name for (name,) in index.select(sql, (-len(ELEMENTS), ELEMENTS)))
    wanted = containing.casefold()  # SQLite knows the capitals of ASCII only
    return [*islice((name for name in names if wanted in name.casefold()), limit)]


def version_of(index: Index, generation: str, unreadable: Mapping[str, str]) -> str:
    """Return a text that changes whenever an answer may have changed.

    Args:
        index: the index, up to date.
        generation: the generation of the index.
        unreadable: journals that cannot be read, and why.
    """
    beside = (index.problems(), sorted(unreadable.items()), sorted(index.queued.items()))
    return sha256(repr((generation, index.news, *beside)).encode()).hexdigest()[:20]


def texts_of(index: Index, field: Field) -> list[str]:
    """Return texts that some runs have in a field of their parameters, results or configuration."""
    sql = (
        "SELECT DISTINCT f.value FROM names n JOIN fields f ON f.name = n.id WHERE n.name = ? AND typeof(f.value) = 'text' "
        "LIMIT 1000"
    )
    return [value for (value,) in index.select(sql, (".".join(field.parts),))]


def unknown_fields(index: Index, expression: Expression) -> dict[str, tuple[str, ...]]:
    """Return fields of a query that no run has, each with those that look similar."""
    names = [name for (name,) in index.select("SELECT name FROM names WHERE name NOT LIKE '@%'")]
    fields = (field.parts for field in fields_of(expression) if field.parts[0] in RUNS.owners)
    asked = {".".join(parts[:-1] if parts[0] == "metrics" else parts) for parts in fields}
    found = {}
    for name in sorted(asked):
        if not any(known == name or known.startswith((f"{name}.", f"{name}{ELEMENTS}")) for known in names):
            root, dot, rest = name.partition(".")
            beside = (
                known.removeprefix(root + dot).rstrip(ELEMENTS) for known in names if known.startswith(root + dot)
            )
            found[name] = tuple(root + dot + close for close in nearest(rest, beside))
    return found
