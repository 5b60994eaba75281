"""Runs for display and for other programs: all of one in a dict, and anything that the API answers as JSON."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from molexp._hierarchy.run import Run
from molexp._record.folding import RunState
from molexp._record.metrics import run_metrics
from molexp._record.reading import read_graph
from molexp._values.documents import encode, encode_pretty
from molexp._values.paths import is_remote
from molexp._values.plain import plain, restore
from molexp._values.tables import Rows
from molexp.contracts import Store
from molexp.contracts._assets import Asset
from molexp.errors import CorruptRecordError, InvalidKeyError, MolexpError


def describe_run(run: Run) -> dict[str, Any]:
    """Return all that is known of a run now, from one reading.

    It is what `Run.to_dict` says, with ``path``, ``workspace`` (its URL), ``metrics`` (see `Run.metrics`), ``assets``
    (each with its ``location``, a local path or a URL), ``tasks`` (the newest record of each), ``workflow_graph`` (None, or
    `WorkflowGraph.to_dict`), ``origin`` (the provenance's document), ``problems`` (what of it cannot be read: key to reason)
    and ``error``: None, or what ended the newest attempt, with the ``traceback``'s location, and ``frames``: its text, with
    the frames of your files alone. Of an origin or a graph that
    cannot be read there is the ``problem`` alone.

    Raises:
        NotFoundError: there is no such run, or it was deleted.
        CorruptRecordError: its definition cannot be read.

    Example:
        >>> me.describe_run(run)["results"]
        {'energy': -3.7}
    """
    from molexp._hierarchy.references import reference_resolver

    state = run._state()
    store = run._session.store
    assets = [run._session.library.asset(record) for record in state.assets()]
    document: dict[str, Any] = restore(
        {**state.to_document(), **run_metrics(store, run.path, state)}, resolve=reference_resolver(run._session)
    )
    return {
        "path": run.path,
        "workspace": store.url,
        **document,
        "status": str(run._session.standing(run.path, state)),
        "origin": _readable(lambda: run._session.provenance_of(state)),
        "tasks": state.tasks(),
        "workflow_graph": _readable(
            lambda: graph.to_dict() if (graph := read_graph(store, state)) is not None else None
        ),
        "problems": state.problems,
        "error": _error(state, assets, store),
        "assets": [{**asset.to_dict(), "location": _location(store, asset)} for asset in assets],
    }


def _location(store: Store, asset: Asset) -> str | None:
    """Return where the bytes lie; None if the record names no place in the workspace."""
    try:
        return store.locate(asset.key)
    except InvalidKeyError:
        return None


def _readable(read: Callable[[], Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    try:
        return read()
    except CorruptRecordError as error:
        return {"problem": str(error)}


def _error(state: RunState, assets: list[Asset], store: Store) -> dict[str, Any] | None:
    found = state.history[-1].get("error") if state.history else None
    if not isinstance(found, dict):
        return None
    trace = next((asset for asset in assets if asset.id == found.get("trace")), None)
    if trace is None:
        return {**found, "traceback": None, "frames": None}
    return {**found, "traceback": store.locate(trace.key), "frames": _frames(trace)}


def _frames(trace: Asset) -> str | None:
    try:
        return fold_traceback(trace.read_bytes().decode(errors="replace"))
    except MolexpError:  # it is gone, or cannot be read: the rest is known all the same
        return None


def to_json(value: Any, *, pretty: bool = False) -> str:
    """Return the JSON text of what the API answers: rows, dicts, results, assets.

    Values have the form in which they are recorded: NaN is ``{"$float": "nan"}``, an asset ``{"$asset": id}``, and
    integers are exact. A path is text.

    Args:
        value: rows, or anything that can be a result.
        pretty: for people, over several lines.

    Raises:
        SerializationError: JSON cannot carry it; names the path and type.

    Example:
        >>> me.to_json({"status": run.status})
        '{"status":"succeeded"}'
    """
    found = value.to_dicts() if isinstance(value, Rows) else value
    document = plain(found, where="value", nan=True, refer=_refer)
    return (encode_pretty(document) if pretty else encode(document)).decode().rstrip("\n")


def _refer(value: Any) -> Any:
    if isinstance(value, Asset):
        return {"$asset": value.id}
    if isinstance(value, Run):
        return {"$run": value.path}
    return str(value) if isinstance(value, Path) or is_remote(value) else None


_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_FRAME = re.compile(r'  File "(.+)", line \d+')
_BETWEEN = re.compile(
    r"\n(During handling of the above exception, another exception occurred:"
    r"|The above exception was the direct cause of the following exception:)\n"
)
_OTHERS = re.compile(
    r"[/\\](?:site-packages|dist-packages)[/\\]|[/\\]lib[/\\]python3[.\d]*[/\\]|^<frozen ", re.IGNORECASE
)


def fold_traceback(text: str) -> str:
    """Return a traceback in which a line stands for frames of MolExp, Python and installed packages.

    If there are no others, it is returned as it is.
    """
    *before, last = [part.strip("\n") for part in _BETWEEN.split(text)]
    if not any(map(_has_users, [*before, last])):
        return text.rstrip()
    # Of errors that were handled before, those without a frame of the user say nothing; what is between two stands with the second.
    kept = [part for part in zip(before[::2], before[1::2], strict=True) if _has_users(part[0])]
    return "\n\n".join(
        [piece for part in kept for piece in ("\n".join(_folded(part[0])), part[1])] + ["\n".join(_folded(last))]
    )


def _has_users(part: str) -> bool:
    return any(_is_users(match[1]) for match in map(_FRAME.match, part.splitlines()) if match)


def _folded(text: str) -> Iterator[str]:
    hidden = 0
    within = False  # a frame that is not shown
    for line in text.rstrip().splitlines():
        if frame := _FRAME.match(line):
            within = not _is_users(frame[1])
            hidden += within
        elif not line.startswith("    "):
            within = False
        if within:
            continue
        if hidden:
            yield f"  ... {hidden} {'frame' if hidden == 1 else 'frames'} of MolExp or libraries"
            hidden = 0
        yield line


def _is_users(file: str) -> bool:
    return not (file.startswith(_OWN) or _OTHERS.search(file))
