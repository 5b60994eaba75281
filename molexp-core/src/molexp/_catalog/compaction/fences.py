"""Fencing keys whose hints are not settled when their journal is sealed."""

from __future__ import annotations

import re

from molexp._catalog.index.index import Hint
from molexp._record.document_types import definition_keys, fence, is_defined
from molexp._storage import key_patterns, layout
from molexp._storage.layout import claim_key
from molexp.contracts import Store

_END = re.compile(key_patterns.END_KEY)
_RUN = re.compile(f".*/{key_patterns.RUN_DEFINITION}")
_SINGLE = re.compile(f"{_RUN.pattern}|(?:.*/)?(?:{key_patterns.EDIT}|{key_patterns.DATA_RECORD})")


def is_known(key: str) -> bool:
    """Tell whether this version knows how to fence a key."""
    return bool(_END.fullmatch(key) or _SINGLE.fullmatch(key))


def fence_hints(store: Store, hints: set[Hint]) -> set[Hint]:
    """See to it that nobody can create what he announced in a journal that is sealed, unless he says so again.

    An end is never fenced, but what must come before it: the claim, and the run. Where the claim is there, the attempt
    goes on, which the index knows without the hint.

    Returns:
        The hints that need not be waited for any more; the others are settled now.
    """
    done: set[Hint] = set()
    for journal, key in sorted(hints):
        match = _END.fullmatch(key)
        if match is None:
            if is_defined(store, layout.owner_of(key)) or _RUN.fullmatch(key):
                fence(store, key)
            else:
                done.add((journal, key))  # of an entity that is gone
            continue
        _fence_attempt(store, match[1], int(match[2]))
        done.add((journal, key))
    return done


def _fence_attempt(store: Store, folder: str, number: int) -> None:
    if store.exists(claim_key(folder, number)):
        return
    path = layout.owner_of(f"{folder}/run.json")
    if not is_defined(store, path):
        fence(store, definition_keys(store, path)[-1])
    fence(store, claim_key(folder, number))
