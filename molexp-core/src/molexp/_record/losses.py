"""Tell what was lost of an attempt's events though its end stands, and what the end gives back."""

from __future__ import annotations

from collections.abc import Iterator

from molexp._record.attempts import writer_files
from molexp._record.fences import is_void
from molexp._record.folding import AttemptFacts
from molexp._storage import layout, schemas
from molexp._storage.layout import claim_key
from molexp._values.documents import decode_lines, encode_line
from molexp._values.numbers import is_count
from molexp._values.times import utc_now
from molexp.contracts import Store
from molexp.errors import KeyNotFoundError


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
