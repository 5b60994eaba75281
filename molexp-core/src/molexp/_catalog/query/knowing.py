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
    found = {}
    below = "SELECT name FROM names WHERE (name > ? AND name < ?)"
    for one in fields_of(expression):
        root, *rest = (one.parts[0] == "metrics" and one.parts[:-1]) or one.parts
        name = ".".join([root, *rest])
        if root in RUNS.owners and not index.select(f"{below} OR name = ? LIMIT 1", (f"{name}.", f"{name}/", name)):
            rows = index.select(below, (f"{root}.", f"{root}/"))
            beside = (other.removeprefix(f"{root}.").rstrip(ELEMENTS) for (other,) in rows)
            found[name] = tuple(f"{root}.{close}" for close in nearest(".".join(rest), beside))
    return dict(sorted(found.items()))
