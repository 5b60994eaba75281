"""Deletions that outlive the bytes: of a run that `gc` has freed, its experiment remembers that it was deleted.

That is an edit of the experiment, ``freed``, as small as the edit that deleted the run. It says which run it was: by the
token of its definition, and of those that its claims repeat. Another run that gets the same id is another one. An edit
``returned`` takes it back. Readers do not look at either: what is there is there. They are for whoever brings runs from
elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from molexp._record.attempts import attempt_numbers, read_claim
from molexp._record.document_types import is_void
from molexp._record.edits import OPERATIONS, write_edit
from molexp._record.reading import edit_keys, read_definition, read_documents
from molexp._storage import layout
from molexp._values.ids import is_id
from molexp._values.times import parse_time
from molexp.contracts import Store
from molexp.errors import CorruptRecordError, MolexpError, NotFoundError, StoreError

if TYPE_CHECKING:
    from molexp._record.session import Session

KEPT = 90.0  # days for which it is known that a run was deleted and freed

_DAY = 24 * 3600.0
_FREED, _RETURNED = "freed", "returned"


class Deletion(Struct, frozen=True):
    """One run that was deleted, and freed.

    Attributes:
        tokens: the tokens of its definitions.
        edit: the edit that deleted it.
    """

    tokens: frozenset[str]
    edit: Mapping[str, Any]

    def __str__(self) -> str:
        by = self.edit.get("by")
        user = f" by {by['user']}" if isinstance(by, dict) and by.get("user") else ""
        return f"deleted on {str(self.edit.get('at'))[:10]}{user}"


class Deletions:
    """Hold what one workspace, or several, remember of the runs of one experiment."""

    def __init__(self, *others: Deletions) -> None:
        self._edits: dict[str, Mapping[str, Any]] = {key: edit for one in others for key, edit in one._edits.items()}
        self._runs: dict[str, dict[str, Deletion]] = {}
        self._fold()

    def __contains__(self, run: str) -> bool:
        """Tell whether anything is remembered of a run's id."""
        return run in self._runs

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def read(self, store: Store, names: Iterable[str]) -> None:
        """Take in edits of the experiment, by their keys; those that are known are not read again."""
        new = [key for key in names if key not in self._edits]
        for key, edit in read_documents(store, new):
            self._edits[key] = edit if isinstance(edit, dict) else {}  # `molexp fsck` names what cannot be read
        if new:
            self._fold()

    def of(self, run: str, tokens: frozenset[str]) -> Deletion | None:
        """Return how the run of this id and these tokens was deleted and freed; None if it was not, or has returned."""
        known = self._runs.get(run, {})
        return next((known[token] for token in sorted(tokens) if token in known), None)

    def tokens(self, run: str) -> frozenset[str]:
        """Return the tokens of all runs of this id that were deleted and freed."""
        return frozenset(self._runs.get(run, ()))

    def newest(self, run: str) -> Deletion | None:
        """Return how the last run of this id was deleted, of those that are remembered."""
        return max(self._runs.get(run, {}).values(), key=lambda one: str(one.edit["id"]), default=None)

    def _fold(self) -> None:
        """Fold edits in the order of their names, as all edits are."""
        self._runs = {}
        for _, edit in sorted(self._edits.items()):
            runs = edit.get("runs")
            for run, said in runs.items() if isinstance(runs, dict) else ():
                tokens = _texts(said.get("tokens")) if isinstance(said, dict) else frozenset()
                known = self._runs.setdefault(run, {})
                if edit.get("op") == _RETURNED:
                    for token in tokens:
                        known.pop(token, None)
                elif edit.get("op") == _FREED and _deletes(said.get("edit")):
                    known.update(dict.fromkeys(tokens, Deletion(tokens, said["edit"])))


def _texts(found: Any) -> frozenset[str]:
    return frozenset(one for one in found if isinstance(one, str)) if isinstance(found, list) else frozenset()


def _deletes(edit: Any) -> bool:
    """Tell whether something is an edit that deletes a run, and can be written as one."""
    return (
        isinstance(edit, dict) and edit.get("op") == "delete" and isinstance(edit.get("id"), str) and is_id(edit["id"])
    )


def tokens_of(store: Store, path: str) -> frozenset[str]:
    """Return which run it is that lies at `path`: the tokens of its definition, and of those that its claims repeat."""
    try:
        found = [read_definition(store, path, {})]
    except (NotFoundError, CorruptRecordError):
        found = []
    folder = layout.folder(path)
    for number in attempt_numbers(store.children(layout.executions(folder))):
        found.append(read_claim(store, folder, number).get("definition") or {})
    return frozenset(token for one in found if isinstance(one, dict) and isinstance(token := one.get("token"), str))


def restore(session: Session, path: str) -> str:
    """See `Workspace.restore`; returns the path as it is spelled.

    Who frees a run says so first, and looks at its edits afterwards; here it is the other way round. So one sees the other.

    Raises:
        NotFoundError: there is no such run, or it was freed, or is about to be.
    """
    path = path.strip("/").lower()
    experiment, _, run = path.rpartition("/")
    if not layout.is_run(path) or not all(map(is_id, path.split("/"))):
        hint = "Give its whole path, such as 'metals/cu/cu-large'."
        raise NotFoundError("run", path, where=session.store.url, hint=hint)
    tokens = tokens_of(session.store, path)
    known = Deletions()
    if tokens and delete_edit_of(session.store, path) is None:
        return path
    if tokens:
        write_edit(session, path, "restore")
    known.read(session.store, edit_keys(session.store, experiment))
    freed = known.of(run, tokens) if tokens else known.newest(run)
    if freed is not None:
        hint = f"It was {freed}, and `molexp gc` has freed it. From another copy, `molexp sync --restore {path}` brings it."
        raise NotFoundError("run", path, where=session.store.url, hint=hint)
    if not tokens_of(session.store, path):
        raise NotFoundError("run", path, where=session.store.url)
    return path


def delete_edit_of(store: Store, path: str, *, certainly: bool = False) -> dict[str, Any] | None:
    """Return the edit that deletes the run at `path`; None if there is none, or it was restored since.

    Args:
        store: the store that it lies in.
        path: the run's path.
        certainly: so that it can be freed: no edit is passed over which may say that somebody has restored it.

    Raises:
        CorruptRecordError, StoreError: it is to be certain, and an edit after it cannot be read, or does what is not known here.
    """
    found: dict[str, Any] | None = None
    doubt: MolexpError | None = None
    for key, edit in read_documents(store, edit_keys(store, path)):
        if not isinstance(edit, dict):
            doubt = edit
        elif edit.get("op") == "restore":
            found = doubt = None
        elif edit.get("op") == "delete":
            found, doubt = found or edit, None
        elif str(edit.get("op")) not in OPERATIONS and not is_void(edit):
            doubt = CorruptRecordError(key, f"this molexp-core does not know the edit {edit.get('op')!r}; upgrade it")
    if certainly and found and doubt:
        raise doubt
    return found


def remember_freed(session: Session, experiment: str, freed: Mapping[str, Deletion]) -> None:
    """Write down that runs of an experiment, by their ids, are about to be freed."""
    runs = {run: {"tokens": sorted(one.tokens), "edit": one.edit} for run, one in sorted(freed.items())}
    write_edit(session, experiment, _FREED, announced=False, runs=runs)


def remember_returned(session: Session, experiment: str, returned: Mapping[str, frozenset[str]]) -> None:
    """Write down that runs of an experiment, by their ids, are there again, and which ones."""
    runs = {run: {"tokens": sorted(tokens)} for run, tokens in sorted(returned.items())}
    write_edit(session, experiment, _RETURNED, announced=False, runs=runs)


def expired(store: Store, experiment: str) -> dict[str, int]:
    """Return the keys of what need not be remembered any longer, and of how many runs each is."""
    found: dict[str, int] = {}
    for key, edit in read_documents(store, edit_keys(store, experiment)):
        if isinstance(edit, StoreError):
            raise edit
        try:
            age = time.time() - parse_time(edit["at"]).timestamp() if isinstance(edit, dict) else 0.0
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        if isinstance(edit, dict) and edit.get("op") in (_FREED, _RETURNED) and age > KEPT * _DAY:
            found[key] = len(edit["runs"]) if isinstance(edit.get("runs"), dict) else 0
    return found
