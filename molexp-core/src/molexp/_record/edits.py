"""Edits: changes to an entity by anybody, each created exclusively, folded on read in the order of their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from molexp._storage import layout, schemas
from molexp._storage.durability import above
from molexp._values.documents import encode_pretty
from molexp._values.patterns import late
from molexp._values.times import new_run_id, new_token, utc_now
from molexp.errors import KeyExistsError

if TYPE_CHECKING:
    from molexp._record.session import Session

OPERATIONS = frozenset({"annotate", "archive", "cancel", "delete", "restore", "unarchive"})
"""Name the operations on runs that this version knows."""

NOTE_LIMIT = 1 << 16
"""The most characters of a note: the catalog reads all notes of a run with its row."""

_LONGEST = 100  # characters; a longer id, to which nothing could be added, is no MolExp's
_FOLLOWING = late(r"(.+)_(\d{9})-[0-9a-f]{8}")
_MOST = 999_999_999


def write_edit(session: Session, path: str, op: str, *, announced: bool = True, **values: Any) -> None:
    """Record one edit of the entity at `path`; it comes after all that this process can see.

    Args:
        session: The workspace.
        path: the entity's path.
        op: its operation.
        announced: true if readers' indexes are to notice it.
        values: its further fields.

    Raises:
        TypeError, ValueError: a reason that is no text, or too long.
    """
    checked_note(values.get("reason"), "reason")
    owner = session.owner
    from molexp._record.reading import edit_keys

    while True:
        edit_id = _id_after(edit_keys(session.store, path))
        key = layout.edit_key(path, edit_id)
        document = {
            "schema": schemas.EDIT,
            "type": "edit",
            "id": edit_id,
            "token": new_token(),
            "op": op,
            "at": utc_now(),
            "by": {"user": owner.user, "host": owner.host},
            **values,
        }
        session.edited(path)
        if announced:
            session.journal.announce(key)
        try:
            session.store.create(key, encode_pretty(document))
        except KeyExistsError:
            continue  # we were taken for dead, and the key was fenced
        session.flushing.made(key, relies_on=[*above(path), layout.document(path)])
        return


def _id_after(known: list[str]) -> str:
    """Return a fresh id: by this machine's clock, or right after the newest of the edits `known` if that clock is behind theirs.

    So whoever saw an edit can undo it, however the clocks of two machines differ.
    """
    fresh = new_run_id()  # sorts by time, and nobody else makes the same
    ids = (key.rpartition("/")[2].removesuffix(".json") for key in known)
    newest = max((other for other in ids if len(_counted(other)[0]) <= _LONGEST), key=_file, default="")
    if _file(newest) < _file(fresh):
        return fresh
    base, count = _counted(newest)
    return f"{base}_{count + 1:09d}-{fresh[-8:]}"  # "_" comes after the "." of the newest's file


def _counted(edit_id: str) -> tuple[str, int]:
    """Return the id that an id comes right after, and how many do up to it."""
    match = _FOLLOWING.fullmatch(edit_id)
    return (match[1], int(match[2])) if match and int(match[2]) < _MOST else (edit_id, 0)


def _file(edit_id: str) -> str:
    return f"{edit_id}.json"


def checked_note(given: str | None, what: str = "note") -> str | None:
    """Return a note that is to be added, or another text as long as one.

    Raises:
        TypeError: it is no text.
        ValueError: it is too long.
    """
    if given is not None and not isinstance(given, str):
        raise TypeError(f"A {what} is text, not {given!r}.")
    if given and len(given) > NOTE_LIMIT:
        raise ValueError(
            f"A {what} has at most {NOTE_LIMIT} characters, and this one has {len(given)}. Save a longer text as an asset, "
            f"and name that in the {what}."
        )
    return given
