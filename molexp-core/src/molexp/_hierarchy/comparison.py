"""Comparing runs: only the fields in which they differ, read from the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from molexp._catalog.index.columns import COLUMNS
from molexp._html import shown_by
from molexp._record.metrics import run_metrics
from molexp._values.canonical import canonical_json
from molexp._values.documents import leaf
from molexp._values.tables import Rows
from molexp.errors import CorruptRecordError, SerializationError, StorePermissionError

if TYPE_CHECKING:
    from molexp._hierarchy.session import Session

_ORDER = (
    *("project", "experiment", "status", "params", "results", "metrics", "tags", "replica", "profile", "config"),
    *("archived", "attempts", "host", "user", "workflow", "provenance"),
)
"""The order of the fields, by the first part of their names; others come last. Ids and times are left out: they always differ."""

_NESTED = {"params": "parameters", **{name: name for name in ("results", "metrics", "config", "workflow")}}
_OF_THE_DOCUMENT = frozenset({"schema", "type"})


class Comparison(Rows[Mapping[str, Any]]):
    """The fields in which runs differ, a row for each run; a notebook shows a line for each field."""

    _repr_html_ = shown_by("comparison")


def compare_runs(runs: Sequence[tuple[Session, str]]) -> Rows[Mapping[str, Any]]:
    """Compare runs, given the workspace and the path of each; see `Workspace.compare`.

    Raises:
        ValueError: There are fewer than two.
    """
    if len(runs) < 2:
        given = f"only {runs[0][1]!r} was given" if runs else "none was given"
        raise ValueError(f"There must be at least two runs to compare; {given}.")
    found = [dict(_fields(session, path)) for session, path in runs]
    names = sorted(
        dict.fromkeys(name for fields in found for name in fields),
        key=lambda name: _ORDER.index(root) if (root := name.partition(".")[0]) in _ORDER else len(_ORDER),
    )
    texts = [{name: _text(value) for name, value in fields.items()} for fields in found]
    differing = [name for name in names if len({fields.get(name) for fields in texts}) > 1]
    rows: list[Mapping[str, Any]] = [
        {"path": path, **{name: leaf(fields[name]) for name in differing if name in fields}}
        for (_, path), fields in zip(runs, found, strict=True)
    ]
    return Comparison(rows, dict, ("path", *differing))


def _fields(session: Session, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a run by the names that queries and frames have for them, with their values as they are recorded."""
    state = session.state_of(path)
    document = {**state.to_document(), **run_metrics(session.store, path, state)}
    yield from zip(("project", "experiment"), path.split("/"), strict=False)
    for column in COLUMNS:
        if column.compared and (value := column.value_of(document)) is not None:
            yield column.name, value
    yield "tags", document["tags"]
    for name, key in _NESTED.items():
        if document.get(key):
            yield from _flat(name, document[key])
    try:
        origin = session.provenance_of(state) or {}
    except (CorruptRecordError, StorePermissionError):  # the rest can be compared all the same
        origin = {}
    if origin:
        yield from _flat("provenance", _comparable(origin))


def _comparable(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return a provenance document without its form; of uncommitted changes, which may be long, the SHA-256."""
    found = {name: value for name, value in origin.items() if name not in _OF_THE_DOCUMENT and value is not None}
    git = found.get("git")
    if isinstance(git, dict) and isinstance(diff := git.get("diff"), str):
        found["git"] = {**git, "diff": f"sha256:{sha256(diff.encode(errors='surrogatepass')).hexdigest()}"}
    return found


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is nested, under dotted names; of two values under one name the one whose key is longer comes last."""
    waiting = [(name, value)]
    while waiting:
        above, found = waiting.pop()
        inner = leaf(found)
        if not isinstance(inner, dict) or not inner or _is_tag(inner):
            yield above, found
            continue
        in_order = sorted(inner, key=lambda key: key.count("."))
        waiting += [(f"{above}.{key}", inner[key]) for key in reversed(in_order)]


def _is_tag(found: Mapping[str, Any]) -> bool:
    """Tell whether a mapping stands for something that a newer version may have written."""
    return len(found) == 1 and next(iter(found)).startswith("$")


def _text(value: Any) -> str:
    """Return what is the same for values that are: ``1`` and ``1.0``, and NaN, but not ``1`` and ``true``."""
    try:
        return canonical_json(value)
    except SerializationError:  # nothing that MolExp wrote
        return repr(value)
