"""The files that make a workspace of some runs alone: for whoever packs them up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from msgspec import Struct

from molexp._assets.assets import DataAsset
from molexp._hierarchy.session import Session
from molexp._hierarchy.workspace import Workspace
from molexp._record.attempts import busy
from molexp._record.folding import RunState
from molexp._storage import layout
from molexp._values.ids import is_id
from molexp._values.numbers import NUMBER
from molexp._values.status import RunStatus
from molexp.contracts import Stat
from molexp.errors import MolexpError, NotFoundError

_CLAIM = re.compile(rf"{layout.EXECUTIONS}/({NUMBER})\.jsonl")


class RecordFile(Struct, frozen=True):
    """One file of a workspace.

    Attributes:
        key: its place in the workspace.
        size: in bytes.
        run: the path of the run that it belongs to; "" if it belongs to something above.
        content_hash: the hash of its bytes on record, as ``sha256:...``; "" if there is none.
        external: true if it is a link to a place outside of the workspace, which `open` does not follow.
        open: returns a binary stream of its bytes.

    Example:
        >>> [file] = [one for one in me.record_files(ws, ["metals/cu/cu-small"]) if one.key.endswith("volumes.json")]
        >>> with file.open() as stream:
        ...     stream.read(1)
        b'['
    """

    key: str
    size: int
    run: str
    content_hash: str
    external: bool
    open: Callable[[], IO[bytes]]


def record_files(
    workspace: Workspace, runs: Iterable[str], *, on_error: Callable[[str, MolexpError], object] | None = None
) -> Iterator[RecordFile]:
    """Yield the files that make a workspace of some runs alone, each once.

    Those are the files of the runs, the definitions of what lies above them, and, of provenance and imported data, what the
    runs name. The order is that of `runs`, and within each of the keys.

    Args:
        workspace: the workspace.
        runs: paths of runs, as rows of the catalog have them.
        on_error: called with the path of a run that cannot be had, and the error: it goes on, it was deleted, or it cannot be
            read. Nothing of it is yielded then. By default the error is raised.

    Raises:
        RunBusyError: a run goes on: its files are not all there yet.
        NotFoundError: there is no such run, or it was deleted.
        MolexpError: its record cannot be read.

    Example:
        >>> files = [*me.record_files(ws, ["metals/cu/cu-small"])]
        >>> files[0].key, sum(file.run == "metals/cu/cu-small" for file in files) >= 3
        ('workspace.json', True)
    """
    session = workspace._session
    above: set[str] = set()
    for path in runs:
        try:
            state, entries = _whole(session, path)
            needed = [*_above(workspace, state, path, above)]
        except MolexpError as error:
            if on_error is None:
                raise
            on_error(path, error)
            continue
        for entry in needed:
            if entry.key not in above:
                above.add(entry.key)
                yield _file(session, entry, "", "")
        hashes = {str(one.get("key")): str(one.get("content_hash") or "") for one in state.assets()}
        for entry in entries:
            yield _file(session, entry, path, hashes.get(entry.key, ""))


def _file(session: Session, entry: Stat, run: str, recorded: str) -> RecordFile:
    key, store = entry.key, session.store
    recorded = recorded if recorded.startswith("sha256:") else ""
    return RecordFile(key, entry.size, run, recorded, bool(entry.special), lambda: store.open_read(key))


def _whole(session: Session, path: str) -> tuple[RunState, list[Stat]]:
    """Return the state of a run that has ended, and its files.

    Raises:
        MolexpError: see `record_files`.
    """
    if not isinstance(path, str) or not layout.is_run(path) or not all(map(is_id, path.split("/"))):
        raise NotFoundError("run", path, where=session.store.url, hint="Give its whole path, as in metals/cu/cu-large.")
    state, entries = session.state_of(path), _listed(session, path)
    if {*_claims(path, entries)} - {
        attempt.number for attempt in state.attempts
    }:  # somebody began another one meanwhile
        state, entries = session.state_of(path), _listed(session, path)
    if state.status is RunStatus.RUNNING:
        raise busy(path, state.attempts[-1])
    return state, entries


def _listed(session: Session, path: str) -> list[Stat]:
    return _sorted(session.store.list(layout.folder(path)))


def _claims(path: str, entries: Iterable[Stat]) -> Iterator[int]:
    """Yield the numbers of the attempts whose claims were listed."""
    begin = len(layout.folder(path)) + 1
    for entry in entries:
        if match := _CLAIM.fullmatch(entry.key[begin:]):
            yield int(match[1])


def _above(workspace: Workspace, state: RunState, path: str, known: set[str]) -> Iterator[Stat]:
    """Yield what a run needs of what lies above it; scopes that are known are not listed again."""
    store = workspace._session.store
    if layout.WORKSPACE not in known:
        yield store.stat(layout.WORKSPACE)
        yield from _sorted(store.list(layout.SETTINGS))
    project, experiment, _ = path.split("/")
    for scope in (project, f"{project}/{experiment}"):
        if layout.document(scope) not in known:
            yield from _sorted(store.children(layout.folder(scope)).entries)
            yield from _sorted(store.list(layout.edits(scope)))
    for name in sorted(_provenance(state)):
        key = layout.provenance(name)
        if key not in known and store.exists(key):
            yield store.stat(key)
    for used in sorted({str(said["asset"]) for attempt in state.attempts for said in attempt.contents.used}):
        yield from _data(workspace, used)


def _sorted(entries: Iterable[Stat]) -> list[Stat]:
    return sorted(entries, key=lambda entry: entry.key)


def _provenance(state: RunState) -> set[str]:
    """Return the names of the documents that say what the attempts executed: processes, and graphs of workflows."""
    found: set[str] = set()
    for attempt in state.attempts:
        graph = attempt.contents.workflow.get("graph") if attempt.contents.workflow else None
        found |= {one for one in (attempt.contents.provenance, graph) if isinstance(one, str) and is_id(one)}
    return found


def _data(workspace: Workspace, used: str) -> Iterator[Stat]:
    """Yield the record and the payload of imported data; nothing for another run's asset, or what is not there any more."""
    try:
        asset = workspace.asset(used)
    except (MolexpError, ValueError):
        return
    if not isinstance(asset, DataAsset):
        return
    store = workspace._session.store
    yield store.stat(f"{layout.data_folder(asset.scope, asset.name)}/{asset.version}.json")
    yield from _sorted(store.list(asset.key)) or [store.stat(asset.key)]  # a link to a folder is not entered
