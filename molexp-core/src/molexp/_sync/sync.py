"""Copying a workspace to another place, or merging it into another one."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from msgspec import Struct, field

from molexp._hierarchy.workspace import Workspace
from molexp._record.folding import AttemptFacts
from molexp._storage import layout, schemas
from molexp._storage.links import not_followed
from molexp._storage.progress import Seen
from molexp._sync.arrivals import arriving
from molexp._sync.copying import Copier, guard
from molexp._sync.deletions import DeletedRuns
from molexp._sync.reports import Ledger, SyncProgress, SyncReport
from molexp._sync.runs import RunSync, sync_runs
from molexp._sync.scopes import ScopeSync
from molexp._sync.sides import Side
from molexp._values.documents import check_schema
from molexp.contracts import RemotePath, Stat
from molexp.errors import ConflictError, ReadOnlyError

_BATCH = 200  # runs that are brought together: what is announced is made soon after


def sync_workspace(
    source: Workspace | str | os.PathLike[str] | RemotePath,
    destination: Workspace | str | os.PathLike[str] | RemotePath,
    *,
    merge: bool = False,
    dry_run: bool = False,
    check: bool = False,
    restore: Iterable[str] = (),
    progress: Callable[[SyncProgress], None] | None = None,
) -> SyncReport:
    """Bring to `destination` what `source` has and it lacks; nothing that it has is overwritten or deleted.

    The destination is a valid workspace at every instant, whatever stops the sync; the next one goes on where it was, and
    reads nothing again that is known to be the same. Runs may go on meanwhile, on both sides: an attempt that goes on at the
    source is brought as it is, and `Run.as_of` says when that was; its end comes with a later sync. An attempt whose owner is
    dead is ended at the source first, as whoever looks at it does.

    What both have must be the same. Where it is not, the destination's stays, and the report lists it as a conflict:

    - Definitions of runs, experiments and projects are the same if they mean the same, whoever wrote them. Of a run with
      another definition, nothing is brought.
    - Attempts are the same if their claims or ends are. From the first one that is not, no attempt of that run is brought.
    - A run that was deleted and freed on one side does not come back to it, and is hidden on the other.
    - What is created once must be equal. What grows (events, logs) may be longer on one side: the longer one counts.

    Args:
        source: The workspace to copy from, or its path or URL.
        destination: The workspace to copy to; it is created, with the source's id, if there is none.
        merge: the destination may be a workspace of its own, with another id, which it keeps, as it keeps its settings.
        dry_run: write nothing on either side, only tell what would be brought.
        restore: paths of runs of the source to bring although they were deleted at the destination.
        check: believe nothing of what earlier syncs found, compare all bytes, and read again what was written.
        progress: called with how far it has come, from several threads, one at a time.

    Returns:
        What was brought, and what was not, and why.

    Raises:
        NotFoundError: there is no workspace at `source`, or no such run to restore.
        ConflictError: the destination is another workspace, and `merge` was not asked for.
        ValueError: both are one place, or one lies in the other.
        ReadOnlyError: the destination was opened to be read only.
        SchemaError: one of them was made by a newer MolExp.
        StoreError: storage is full, or does not answer. What was brought stays.

    Example:
        >>> me.sync_workspace(ws, "copy").ok
        True
        >>> me.Workspace.load("copy").run("cu-small").results["energy"]
        -3.7
    """
    with opened(source, destination, merge=merge, dry_run=dry_run) as pair:
        return pair.bring(check=check, restore=restore, progress=progress)


class Pair(Struct):
    """Two workspaces of which one is brought to the other.

    Attributes:
        ours: the source.
        theirs: the destination.
        seen: Pairs of files that earlier syncs found to be the same.
        same: The one is a copy of the other.
        dry_run: write nothing.
        live: attempts that went on at the source when they were last read, by the paths of their runs.
        announced: Readers of the destination were told of something.
        listed: the keys that the source had when the last pass began, as far as it looked.
    """

    ours: Workspace
    theirs: Workspace
    seen: Seen
    same: bool
    dry_run: bool = False
    live: dict[str, AttemptFacts] = field(default_factory=dict)
    announced: bool = False
    listed: Collection[str] = ()

    def bring(
        self,
        *,
        check: bool = False,
        restore: Iterable[str] = (),
        progress: Callable[[SyncProgress], None] | None = None,
        within: Collection[str] | None = None,
    ) -> SyncReport:
        """Do one pass over `within`, some runs and scopes by their paths, or else over everything."""
        ledger = Ledger(progress)
        sides = Side(self.ours._session, within), Side(self.theirs._session, within)
        copier = Copier(*sides, self.seen, ledger, dry_run=self.dry_run, check=check)
        try:
            runs = _bring(copier, same_workspace=self.same, restore=restore)
            copier.note_rest()
        finally:
            copier.flush()
            self.announced |= copier.announced
            self.listed = copier.source.entries.keys()
            others = {} if within is None else {path: one for path, one in self.live.items() if path not in within}
            self.live = others | copier.live
        found: dict[str, Any] = {
            name: tuple(listed[key] for key in sorted(listed)) for name, listed in ledger.found.items()
        }
        counts = {"runs": runs, "copied": ledger.copied, "bytes": ledger.bytes}
        counts |= {name: len(listed) for name, listed in found.items()}
        return SyncReport(self.ours.url, self.theirs.url, self.dry_run, counts, **found)


@contextmanager
def opened(
    source: Workspace | str | os.PathLike[str] | RemotePath,
    destination: Workspace | str | os.PathLike[str] | RemotePath,
    *,
    merge: bool,
    dry_run: bool = False,
) -> Iterator[Pair]:
    """Open two workspaces that may be synced; make the destination if there is none.

    Raises:
        NotFoundError, ConflictError, ValueError, ReadOnlyError, SchemaError: see `sync_workspace`.
    """
    ours = source if isinstance(source, Workspace) else Workspace.load(source)
    theirs = destination if isinstance(destination, Workspace) else Workspace(destination)
    _check_places(ours, theirs)
    check_schema(ours._session.workspace.read(), layout.WORKSPACE, schemas.WORKSPACE)
    if theirs.read_only and not dry_run:
        raise ReadOnlyError(layout.WORKSPACE, url=theirs.url)
    name = ours.id
    fresh = not theirs._session.workspace.exists()
    if not theirs._session.workspace.id and not dry_run:
        theirs._session.workspace.origin = ours._session.workspace.read()
        theirs.materialize()
        theirs._session.workspace.origin = None
    if not (fresh and dry_run):
        name = _checked_id(ours, theirs, merge=merge)
    seen = Seen((ours.id, ours.url), (name, theirs.url))
    pair = Pair(ours, theirs, seen, ours.id == name, dry_run)
    try:
        yield pair
    finally:
        seen.close()
        if pair.announced and not isinstance(destination, Workspace):
            theirs._session.journal.retire()


def _check_places(ours: Workspace, theirs: Workspace) -> None:
    a, b = (f"{workspace.url.rstrip('/')}/" for workspace in (ours, theirs))
    if a == b:
        raise ValueError(f"{ours.url} cannot be synced with itself; name another destination.")
    if a.startswith(b) or b.startswith(a):
        inner, outer = (ours, theirs) if a.startswith(b) else (theirs, ours)
        raise ValueError(
            f"{inner.url} lies in {outer.url}: they would become part of each other. Choose another place."
        )


def _checked_id(ours: Workspace, theirs: Workspace, *, merge: bool) -> str:
    """Return the destination's id, if it may be synced to."""
    check_schema(theirs._session.workspace.read(), layout.WORKSPACE, schemas.WORKSPACE)
    if ours.id != theirs.id and not merge:
        raise ConflictError(
            "workspace",
            theirs.url,
            stored=theirs.id,
            given=ours.id,
            hint="It is no copy of the source, but a workspace of its own. If the source's runs are to be added to it, "
            "ask for a merge (merge=True, --merge).",
        )
    return theirs.id


def _bring(copier: Copier, *, same_workspace: bool, restore: Iterable[str]) -> int:
    """Bring everything; returns how many runs the source has."""
    source, ledger = copier.source, copier.ledger
    _ = source.home.observer, source.home.index  # made here, before several threads ask for them
    source.look()
    copier.destination.look()
    scopes, runs = _sorted_by_owner(copier)
    waiting = [
        path
        for path, entries in sorted(runs.items())
        if not all(map(copier.known(f"{layout.folder(path)}/"), entries.values()))
    ]
    ordered = sorted(scopes, key=lambda path: (layout.depth(path), path))
    ledger.expect([*(scopes[path].values() for path in ordered), *(runs[path].values() for path in waiting)])
    deleted = DeletedRuns(copier, restore)
    deleted.finish()
    with arriving(copier.destination, deleted.to_spread(), dry_run=copier.dry_run):
        deleted.spread()
        for scope in ordered:
            syncing = ScopeSync(copier, scope, same_workspace=same_workspace)
            guard(copier, layout.folder(scope), partial(syncing.sync, scopes[scope]))
            ledger.passed(1)
        deleted.spread()
    for start in range(0, len(waiting), _BATCH):
        batch = waiting[start : start + _BATCH]
        with arriving(copier.destination, batch, dry_run=copier.dry_run):
            deleted.look(batch)
            brought = [path for path in batch if deleted.is_wanted(path)]
            sync_runs(copier, [RunSync(copier, path, runs[path]) for path in brought])
            deleted.settle(brought)
        ledger.passed(len(batch))
    return len(runs)


_Sorted = defaultdict[str, dict[str, Stat]]


def _sorted_by_owner(copier: Copier) -> tuple[_Sorted, _Sorted]:
    """Return the source's entries of scopes and those of runs, by path and the rest of their keys; name what is left out."""
    scopes: _Sorted = defaultdict(dict)
    runs: _Sorted = defaultdict(dict)
    note, destination = partial(copier.ledger.note, "unreadable"), copier.destination
    for folder, reason in copier.source.unreadable.items():
        note(folder or ".", reason)
    for key, entry in copier.source.entries.items():
        if (hidden := destination.hides(key)) is not None:
            note(hidden or ".", f"at the destination: {destination.unreadable[hidden]}")
            continue
        path, rest = layout.place(key)
        if entry.special and not rest.startswith(f"{layout.DATA}/"):
            note(key, not_followed(entry.special))
        (runs if layout.is_run(path) else scopes)[path][rest] = entry
    return scopes, runs
