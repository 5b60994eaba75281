"""Reading one run from the files: definition, attempts and edits, folded. Everybody who needs to know reads here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from molexp._record.attempts import attempt_numbers, read_attempt, read_attempts, repeated_definition
from molexp._record.document_types import VOID, changed, check_shape, decode_document, definition_keys, is_void
from molexp._record.ends import show_run, shown_end
from molexp._record.folding import AttemptFacts, Edits, RunState, fold_run
from molexp._record.leases import Observer
from molexp._record.looking import as_it_is
from molexp._storage import layout
from molexp._storage.layout import end_key
from molexp._values.documents import decode_object
from molexp._values.patterns import late
from molexp._values.status import RunStatus
from molexp._values.times import boot_clock
from molexp.contracts import Store
from molexp.errors import CorruptRecordError, KeyNotFoundError, NotFoundError, StoreError

if TYPE_CHECKING:
    from molexp._values.graph import WorkflowGraph

_EDIT = late(r"[a-z0-9][a-z0-9._-]*\.json")  # not the copies that file synchronisers make of conflicts


def edit_keys(store: Store, path: str) -> list[str]:
    """Return the keys of the edits of the entity at `path`, in the order in which they count."""
    entries = store.children(layout.edits(path)).entries
    if not entries:  # as of most
        return []
    return sorted(entry.key for entry in entries if _EDIT.fullmatch(entry.key.rpartition("/")[2]))


def listed_leases(store: Store) -> dict[str, str]:
    """Return the leases of live attempts, with their versions, by their keys."""
    return {entry.key: entry.version for entry in store.children(layout.LIVE).entries}


def read_documents(
    store: Store, keys: Sequence[str], decode: Callable[[bytes, str], dict[str, Any]] = decode_object
) -> Iterator[tuple[str, dict[str, Any] | CorruptRecordError | StoreError]]:
    """Read several documents at once; yield each with its key, or the error in its place. What is gone is left out."""
    for key, data in zip(keys, store.read_many(keys) if keys else (), strict=True):
        found: dict[str, Any] | CorruptRecordError | StoreError
        try:
            found = data if isinstance(data, StoreError) else decode(data, key)
        except CorruptRecordError as error:
            found = error
        if not isinstance(found, KeyNotFoundError):
            yield key, found


def read_edits(
    store: Store, path: str, problems: dict[str, str] | None = None, cover: dict[str, int] | None = None
) -> Edits:
    """Return the edits of the entity at `path`, folded in the order of their ids."""
    edits, known = Edits(), set()
    names = edit_keys(store, path)
    if not names:
        return edits
    for key, data in zip(names, store.read_many(names), strict=True):
        if cover is not None and data != VOID and not isinstance(data, KeyNotFoundError):
            cover[f"{layout.EDITS}/{key.rpartition('/')[2]}"] = 0
        try:
            if isinstance(data, StoreError):
                raise data
            edit = decode_document(data, key)
            token = str(edit.get("token") or key)
            if token not in known:  # else a sync has brought it under another name, because its own was given up
                edits.add(edit)
            known.add(token)
        except (CorruptRecordError, StoreError) as error:
            if problems is not None:
                problems[key] = str(error)
    return edits


def read_definition(store: Store, path: str, problems: dict[str, str]) -> dict[str, Any]:
    """Return ``run.json``, or if that cannot be read, the definition that an attempt repeats in its claim and its end.

    Raises:
        NotFoundError: there is no such run.
        CorruptRecordError: it is there and no copy can be read.
    """
    key = layout.document(path)
    reason: CorruptRecordError | None = None
    try:
        found = decode_object(data := store.read(key), key)
        while is_void(found):  # and what comes after it may have been fenced since we looked
            last, key = key, definition_keys(store, path)[-1]
            if key == last and data == VOID:
                raise KeyNotFoundError(key)  # it was freed since we looked
            if key == last:  # not ours: it only says that it is one
                break
            found = decode_object(data := store.read(key), key)
        return check_shape(found, key, "run")
    except CorruptRecordError as error:
        reason = error
    except KeyNotFoundError:
        pass
    folder = layout.folder(path)
    for number in attempt_numbers(store.children(layout.executions(folder))):
        if definition := repeated_definition(store, folder, number):
            problems[key] = str(reason) if reason else f"{key!r} is missing; an attempt repeats it."
            return definition
    if reason is not None:
        raise reason
    raise NotFoundError("run", path)


def read_run(store: Store, path: str, observer: Observer | None) -> RunState:
    """Return all that is true of the run at `path` now.

    Edits are read first and the definition last. Who frees a run deletes them the other way round: so of a run that is freed
    meanwhile, either the edit that deleted it is seen, or no definition.

    Raises:
        NotFoundError: there is no such run.
        CorruptRecordError: its definition cannot be read.
    """
    problems: dict[str, str] = {}
    cover: dict[str, int] = {}
    began = boot_clock()
    edits = read_edits(store, path, problems, cover)
    attempts = read_attempts(store, layout.folder(path), cover)
    definition = read_definition(store, path, problems)
    key = layout.document(path)
    if attempts and key not in problems and (names := changed(definition, attempts[-1].head.get("definition"))):
        problems[key] = (
            f"its {', '.join(names)} are not what the claim of attempt {attempts[-1].number} repeats. What it says counts, "
            "until `molexp fsck --repair` writes it again as the claim has it."
        )
    settled = False
    if attempts and not attempts[-1].ended:
        attempts[-1] = _now_ended(store, path, attempts[-1], definition, cover)
    if attempts and observer is not None and not attempts[-1].ended:
        attempts[-1] = observer.settle(path, attempts[-1], write=not edits.deleted)  # a freed run is not to return
        settled = attempts[-1].ended
    for one in attempts:
        if one.as_of and edits.cancel_of(one.number):
            one.status = RunStatus.CANCELLED
            one.head["reason"] = "it was cancelled in this copy; what became of it elsewhere, a sync tells"
    _note_lost_ends(path, attempts[:-1])
    if attempts and layout.is_end(attempts[-1].problem_key) and not attempts[-1].contents.results:
        # Its end cannot be read, and there are no events that say the same: what was written for people has to do.
        attempts[-1].contents.results = dict(definition.get("results") or {})
    if key in problems and not attempt_numbers(store.children(layout.executions(layout.folder(path)))):
        raise NotFoundError("run", path)  # the file of its definition is gone, too: it was freed meanwhile
    state = fold_run(definition, attempts, edits, problems)
    if settled:
        cover.setdefault(layout.end_name(attempts[-1].number), 0)
        if key not in problems and not edits.deleted:  # a freed run is not to return
            with suppress(StoreError):  # for people; what was read here stands in the attempts
                show_run(store, path, state, began)
    state.cover = cover
    return state


def _note_lost_ends(path: str, older: Iterable[AttemptFacts]) -> None:
    """Return attempts after which another was claimed, as it only can be once they have an end."""
    for one in older:
        if not (one.ended or one.as_of):
            one.status = RunStatus.INTERRUPTED
            one.problem = one.problem or "its end is missing"
            one.problem_key = one.problem_key or end_key(layout.folder(path), one.number)


def _now_ended(
    store: Store, path: str, facts: AttemptFacts, definition: Mapping[str, Any], cover: dict[str, int]
) -> AttemptFacts:
    """Return the same attempt; if ``run.json`` shows its end, it has ended since it was read, or its end was lost."""
    number = facts.number
    if not shown_end(definition, number):
        return facts
    facts, key = read_attempt(as_it_is(store), layout.folder(path), number), end_key(layout.folder(path), number)
    if facts.ended:
        cover.setdefault(layout.end_name(number), 0)
    elif not facts.as_of:
        facts.ended, facts.status = True, RunStatus.INTERRUPTED
        facts.problem, facts.problem_key = "it is gone, and run.json shows it", key
    return facts


def read_graph(store: Store, state: RunState) -> WorkflowGraph | None:
    """Return the graph of the workflow that the newest attempt at a run executed; see `Run.workflow_graph`."""
    from molexp._record.definitions import read_document
    from molexp._values.graph import WorkflowGraph

    attempt = next((one for one in reversed(state.attempts) if one.contents.workflow), None)
    known = attempt.contents.workflow.get("graph") if attempt and attempt.contents.workflow else None
    document = read_document(store, layout.provenance(known)) if known else None
    if attempt is None or document is None:
        return None
    return WorkflowGraph.from_dict(document).as_executed(attempt.contents.tasks)
