"""Mending a document that cannot be read, or is gone, from what repeats it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from molexp._maintenance.gc import named_data
from molexp._record.attempts import writer_files
from molexp._record.document_types import decode_document, is_void
from molexp._record.folding import AttemptFacts
from molexp._record.incomplete import is_torn
from molexp._record.reading import read_definition
from molexp._storage import key_patterns, layout, schemas
from molexp._storage.hashing import hash_of, tree_of
from molexp._storage.layout import asset_id, claim_key
from molexp._values.documents import count, decode, decode_lines, encode_line, encode_pretty, is_count
from molexp._values.times import new_token, utc_now
from molexp.contracts import Store
from molexp.errors import CorruptRecordError, KeyNotFoundError, MolexpError

if TYPE_CHECKING:
    from molexp._maintenance.session import MaintenanceSession

_NUMBERED = re.compile(key_patterns.NUMBERED_KEY)
_LINE = re.compile(rb'^  "(name|created_at)": (".*"),$', re.MULTILINE)
_FROM_RUNS = "written again from its runs"
_ID = re.compile(rb'"id": *"([0-9a-f]+)"')


def mend(session: MaintenanceSession, key: str) -> str:
    """Mend a document that cannot be read, or is gone; returns what was done, "" if nothing could be."""
    store = session.store
    try:
        decode_document(data := store.read(key), key)
    except KeyNotFoundError:
        data = None
    except CorruptRecordError:
        pass
    else:
        return ""
    torn = data is None or is_torn(data)
    document, done = _repeated(session, key, data, torn=torn)
    if document is not None:
        store.write(
            key,
            encode_pretty({"schema": schemas.DEFINITION, **document, **_salvaged(data or b""), "token": new_token()}),
        )
    elif torn and data is not None:
        store.delete(key)
        store.prune(key.rpartition("/")[0])
        done = "removed: it was being made when the power failed"
    store.sync([key])
    return done


def _repeated(
    session: MaintenanceSession, key: str, data: bytes | None, *, torn: bool
) -> tuple[dict[str, Any] | None, str]:
    """Return a document in the place of one that cannot be read, and its source; None if nothing repeats it."""
    if key == layout.WORKSPACE:
        known = _ID.search(data or b"")
        found = {
            "type": "workspace",
            "id": known[1].decode() if known else new_token(),
            "name": session.workspace.given_name,
        }
        return {**found, "created_at": utc_now()}, "written again" if known else "written again, with another id"
    path = layout.owner_of(key)
    name = path.rpartition("/")[2]
    common = {"id": name, "name": name, "created_at": utc_now()}
    if match := _NUMBERED.fullmatch(key):
        number = int(match[2])
        if key.startswith(f"{layout.SETTINGS}/") or (params := _params(session, path, number)) is None:
            return _before(session, match[1], number), "written again as the one before it"
        first = _read_first(session, path) or {"type": "experiment", **common}
        return {**first, "revision": number, "params": params, "created_at": utc_now()}, _FROM_RUNS
    if key.startswith(f"{layout.below(path, layout.DATA)}/"):
        return _of_payload(session, key), "written again from its bytes"
    if key != layout.document(path) or layout.is_run(path):
        return None, ""
    if not session.store.children(layout.members(path)).folders and torn:
        return None, ""
    if "/" not in path:
        return {"type": "project", **common}, "written again from its id"
    params = _params(session, path, 1)
    of = {"project": path.partition("/")[0], "revision": 1, "space": None, "replicas": 1, "workflow_source": None}
    if params is not None or (torn and data is not None):
        return {"type": "experiment", **common, **of, "params": params or {}}, _FROM_RUNS
    return None, ""


def _salvaged(data: bytes) -> dict[str, Any]:
    """Return what a torn document still says of its name, and of when it was made."""
    found = {}
    for name, value in _LINE.findall(data):
        with suppress(CorruptRecordError):
            found[name.decode()] = decode(value, "")
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _read_first(session: MaintenanceSession, path: str) -> dict[str, Any] | None:
    """Return the first revision of an experiment's definition, without its author; None if it cannot be read."""
    try:
        return decode_document(session.store.read(key := layout.document(path)), key)
    except MolexpError:
        return None


def _before(session: MaintenanceSession, stem: str, number: int) -> dict[str, Any] | None:
    """Return the newest of the numbered documents before one, under that one's number."""
    first = f"{stem.removesuffix('.')}.json" if stem.endswith(".") else ""
    for key in [*(f"{stem}{before}.json" for before in range(number - 1, 0, -1)), first]:
        try:
            found = (
                decode_document(session.store.read(key), key)
                if key
                else {"schema": schemas.SETTINGS, "type": "settings", "values": {}}
            )
        except MolexpError:
            continue
        return {**found, **({"revision": number} if "revision" in found else {})}
    return None


def _params(session: MaintenanceSession, path: str, revision: int) -> dict[str, Any] | None:
    """Return an experiment's parameters, as runs of a revision have them beside their own; None if none can be read."""
    for name in session.store.children(layout.members(path)).folders:
        try:
            found = read_definition(session.store, f"{path}/{name}", {})
        except MolexpError:
            continue
        if count(found.get("experiment_revision"), 1) == revision:
            own = found.get("own_parameters") or {}
            return {key: value for key, value in (found.get("parameters") or {}).items() if key not in own}
    return None


def _of_payload(session: MaintenanceSession, key: str) -> dict[str, Any] | None:
    """Return the record of a version of data, made from its bytes; None unless they are the only ones that no record names."""
    folder, _, name = key.rpartition("/")
    named = named_data(session.store, folder, {})
    entries = [one for one in session.store.list(folder) if one.key.count("/") > folder.count("/") + 1]
    there = {"/".join(one.key.split("/")[: folder.count("/") + 3]): one for one in entries}
    left = [base for base in there if not any(base == other or base.startswith(f"{other}/") for other in named)]
    if len(left) != 1 or there[left[0]].special:
        return None
    mine = [one for one in entries if one.key == left[0] or one.key.startswith(f"{left[0]}/")]
    is_folder = mine[0].key != left[0]
    scope, data_name, version = layout.owner_of(key), folder.rpartition("/")[2], int(name.removesuffix(".json"))
    return {
        "type": "data",
        "id": asset_id(scope, None, "data", data_name, version),
        "name": data_name,
        "kind": "data",
        "version": version,
        "scope": scope,
        "producer": None,
        "created_at": utc_now(),
        "key": left[0],
        "size": sum(one.size for one in mine),
        "content_hash": tree_of(session.store, left[0], (one.key for one in mine))
        if is_folder
        else hash_of(session.store, left[0]),
        "tags": [],
        "distribution": "molexp-core",
        "fields": {"directory": is_folder, "files": len(mine), "external": False},
    }


def lacking(store: Store, run_folder: str, facts: AttemptFacts) -> Iterator[tuple[str, str]]:
    """Yield what is damaged or gone of an attempt's events, though its end stands, which counts: key and reason."""
    folded = facts.head.get("folded")
    if facts.head.get("type") != "end" or facts.problem or not isinstance(folded, dict):
        return
    number, executions = facts.number, layout.executions(run_folder)
    listing = store.children(executions)
    wanted = {claim_key(run_folder, number), *(one.key for one in writer_files(store, executions, number, listing))}
    wanted |= {f"{executions}/{name}" for name in folded if name.endswith(".jsonl")}
    for key in sorted(wanted):
        counted = folded.get(key.removeprefix(f"{executions}/"))
        try:
            data = store.read(key)
        except KeyNotFoundError:
            yield key, "it is gone; the end repeats what counts"
            continue
        lines, _, bad = decode_lines(data, key)
        if lines and is_void(lines[0]):  # it holds the number for a sync that has brought the end, and was killed
            continue
        if bad:
            yield key, f"{bad} of its lines are no events; the end repeats what counts"
        elif key == claim_key(run_folder, number) and not (lines and lines[0].get("type") == "claim"):
            yield key, "its first line is no claim; the end repeats what counts"
        elif is_count(counted) and len(data) < counted and "mended" not in lines[0]:
            yield key, f"it has {len(data)} bytes of the {counted} that the end has folded, and repeats"


def rewrite_claim(store: Store, run_folder: str, facts: AttemptFacts) -> bool:
    """Write the claim of an attempt again as its end repeats it, if it cannot be read; other events are kept."""
    key, end = claim_key(run_folder, facts.number), facts.head
    try:
        lines, _, _ = decode_lines(store.read(key), key)
    except KeyNotFoundError:
        lines = []
    if lines and lines[0].get("type") == "claim":
        return False
    names = ("attempt", "token", "owner", "started_at", "fresh", "provenance", "definition")
    claim = {"schema": schemas.ATTEMPT, "type": "claim", **{name: end.get(name) for name in names}, "mended": utc_now()}
    store.write(key, b"".join(map(encode_line, (claim, *lines))))
    return True
