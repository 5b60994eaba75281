"""Questions about the index as a whole: the names in it, and whether it has changed."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from itertools import islice

from molexp._catalog.index.index import Index
from molexp._catalog.index.place import ELEMENTS


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
