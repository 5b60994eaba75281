"""Edits: changes to an entity by anybody, each created exclusively, folded on read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from molexp._record import keys
from molexp._values.documents import encode_pretty
from molexp._values.ids import new_run_id, new_token
from molexp._values.times import utc_now

if TYPE_CHECKING:
    from molexp._record.home import Home

SCHEMA = 1


def write_edit(home: Home, path: str, op: str, **values: Any) -> None:
    """Record one edit of the entity at `path`."""
    owner = home.process.owner
    edit_id = new_run_id()  # sorts by time, and nobody else makes the same
    key = keys.below(path, f"edits/{edit_id}.json")
    document = {
        "schema": SCHEMA,
        "type": "edit",
        "id": edit_id,
        "token": new_token(),
        "op": op,
        "at": utc_now(),
        "by": {"user": owner.user, "host": owner.host},
        **values,
    }
    home.journal.announce(key)
    home.store.create(key, encode_pretty(document))
    home.store.sync([key])
