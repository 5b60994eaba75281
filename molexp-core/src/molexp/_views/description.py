"""Runs for display and for other programs: all of one in a dict, and anything that the API answers as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from molexp._views.tracebacks import fold_traceback
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
