"""Looking whether what an answer names is there."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from molexp._catalog.index.index import Index
from molexp._catalog.refresh.refresh import Refresher
from molexp._recording.session import RecordingSession
from molexp._storage import layout
from molexp.contracts import Store
from molexp.errors import KeyNotFoundError, StoreError

_SOME = 400  # rows of which each is looked at; of more, those in folders that were not looked at a moment ago


def look_for(session: RecordingSession, index: Index, paths: Sequence[str], verified: Collection[str]) -> set[str]:
    """Return those of some runs and scopes that are there, where looking is cheap; the others are taken out of the index.

    Args:
        session: the session of the workspace.
        index: its index.
        paths: the runs and scopes.
        verified: experiments whose folders of runs were looked at a moment ago.
    """
    distinct = set(paths)
    store = session.store
    if store.slow:
        return distinct
    doubtful = distinct
    if len(distinct) > _SOME:
        doubtful = {path for path in distinct if path.rpartition("/")[0] not in verified}
    versions = {path: _version(store, path) for path in doubtful}
    gone = {path for path, version in versions.items() if version is None}
    changed = index.compare_stamps({path: version for path, version in versions.items() if version})
    if not (gone or changed):
        return distinct
    missing = Refresher(session, index).look_again(gone | changed)
    return distinct - missing - changed


def _version(store: Store, path: str) -> str | None:
    """Return what the document of a run or scope looks like; "" if that cannot be found out, None if it is not there."""
    try:
        return store.stat(layout.document(path)).version
    except KeyNotFoundError:
        return None
    except StoreError:
        return ""  # it may be somebody else's to look at; what is known of it is true all the same
