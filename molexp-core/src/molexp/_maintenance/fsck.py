"""Looking for what should not be: what cannot be read, is missing, is not what was recorded, came late, or is foreign."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from copy import copy
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from molexp._catalog.compaction.cleanup import foreign_keys, unfilled
from molexp._maintenance.gc import named_data, orphans, paths
from molexp._maintenance.inventory import Seen, look
from molexp._maintenance.repair import lacking, mend, rewrite_claim
from molexp._record.attempts import is_arriving, read_attempt, read_claim
from molexp._record.definitions import member_ids
from molexp._record.deletions import delete_edit_of
from molexp._record.document_types import changed, decode_document
from molexp._record.ends import end_dead, shown_end
from molexp._record.folding import absurd
from molexp._record.reading import read_edits, read_run
from molexp._record.reports import Finding, Report
from molexp._record.spool_draining import abandoned, drain
from molexp._storage import layout, schemas
from molexp._storage.hashing import is_of_folder
from molexp._storage.layout import claim_key, definition_key, end_key
from molexp._storage.links import not_followed, reading_record
from molexp._values.documents import count, decode_lines, decode_object, encode_pretty, refuse_newer
from molexp._values.ids import nfc
from molexp.contracts import Stat
from molexp.errors import CorruptRecordError, KeyNotFoundError, MolexpError, NotFoundError, SchemaError, StoreError

if TYPE_CHECKING:
    from molexp._maintenance.scrub import Scrub
    from molexp._maintenance.session import MaintenanceSession
    from molexp._record.folding import AttemptFacts, RunState

UNNAMED = "no record names it: a killed writer left it, or it is foreign"

UNFILLED = "it has no content: a killed process had only claimed its name; `molexp gc --yes` frees it after a day"

_HASH = re.compile("[0-9a-f]{64}")
_BATCH = 500  # documents that are read at once


def check(
    session: MaintenanceSession,
    *,
    repair: bool = False,
    read_data: bool = False,
    restart: bool = False,
    progress: Callable[[int, int], Any] | None = None,
) -> Report:
    """See `Workspace.fsck`."""
    findings = [*_check_spools(session, repair=repair)]
    if repair and not session.read_only:
        if (session.workspace.exists() or member_ids(session.store, "")) and (done := mend(session, layout.WORKSPACE)):
            findings.append(Finding(layout.WORKSPACE, "it could not be read", done))
        if session.workspace.exists():
            session.materialize()  # refuses what a newer MolExp made
    # the files are listed before the records are read: what a record that comes later names is not looked for
    seen = look(session)
    if not read_data:
        checker = _Checker(session, seen, repair, None)
        return checker.report(findings)
    from molexp._maintenance.scrub import Scrub

    with Scrub(session, seen.bytes, restart=restart, progress=progress) as scrub:
        return _Checker(session, seen, repair, scrub).report(findings)


class _Checker:
    """Looks at everything that was seen.

    Args:
        session: The workspace.
        seen: The keys that lie in it.
        repair: mend what can be mended.
        scrub: reads all bytes; None: only sizes are compared.
    """

    def __init__(self, session: MaintenanceSession, seen: Seen, repair: bool, scrub: Scrub | None) -> None:
        self._session = session
        self._store = session.store
        self._seen = seen
        self._repair = repair and not session.read_only
        self._scrub = scrub
        self._named: dict[str, str] = {}  # documents, and a run that names each

    def report(self, findings: list[Finding]) -> Report:
        """Return what was found before, and what is found."""
        scopes, runs = paths(self._session, self._seen.unreadable)
        findings += [Finding(folder, reason) for folder, reason in self._seen.unreadable.items()]
        findings += self._documents()
        findings += self._missing(scope for scope in scopes if layout.document(scope) not in self._seen.documents)
        for path in runs:
            try:
                findings += self._run(path, self._seen.payloads.pop(path, ()))
            except Exception as error:  # noqa: BLE001 - whatever a malformed record makes of it, the others are looked at
                findings.append(Finding(layout.folder(path), f"it cannot be checked ({type(error).__name__}: {error})"))
        findings += self._gone()
        for folder, found in self._seen.data.items():
            findings += self._data(folder, found)
        foreign = sorted([*self._seen.foreign, *foreign_keys(self._store)])
        claimed = {entry.key for entry in unfilled(self._store)}
        findings += [Finding(key, UNFILLED if key in claimed else "a foreign file; it is ignored") for key in foreign]
        findings += [Finding(key, not_followed(what)) for key, what in sorted(self._seen.special.items())]
        counts = {"runs": len(runs), "findings": len(findings)}
        return Report("fsck", tuple(findings), counts if self._scrub is None else {**counts, **self._scrub.counts})

    # ------------------------------------------------------------------------------------------------- what is no run's

    def _documents(self) -> Iterator[Finding]:
        """Check that the documents of the workspace, projects and experiments can be read."""
        for start in range(0, len(self._seen.documents), _BATCH):
            batch = self._seen.documents[start : start + _BATCH]
            for key, data in zip(batch, self._store.read_many(batch), strict=True):
                try:
                    if isinstance(data, StoreError):
                        raise data
                    decode_document(data, key)
                except KeyNotFoundError:
                    continue  # it was removed since it was listed
                except (CorruptRecordError, StoreError) as error:
                    yield self._unreadable(key, str(error))
                    continue
                if key.startswith(f"{layout.PROVENANCE}/"):
                    yield from self._others(key, self._misnamed(key, data), "its name")

    def _misnamed(self, key: str, data: bytes) -> tuple[str, str] | None:
        """Compare the hash of a provenance document with the one in its name; return both if they differ."""
        recorded = f"sha256:{key.rpartition('/')[2].removesuffix('.json')}"
        if self._scrub is not None:
            return self._scrub.compare(key, recorded)
        found = f"sha256:{sha256(data).hexdigest()}"
        return (found, recorded) if found != recorded else None

    def _missing(self, scopes: Iterable[str]) -> Iterator[Finding]:
        """Report scopes that have entries below them and no document."""
        for scope in filter(partial(member_ids, self._store), scopes):
            key = layout.document(scope)
            yield Finding(key, "it is gone, and what lies below it is not", self._mended(key))

    def _gone(self) -> Iterator[Finding]:
        """Report documents that runs name, and nobody has."""
        for key, path in sorted(self._named.items()):
            if not self._store.exists(key):
                yield Finding(key, f"it is not there, and {path} names it: restore it from a copy", self._mended(key))

    def _mended(self, key: str) -> str:
        return mend(self._session, key) if self._repair else ""

    def _unreadable(self, key: str, reason: str) -> Finding:
        """Report a document that cannot be read, and mend it if it can be."""
        return Finding(key, brief(reason, key), self._mended(key))

    def _data(self, folder: str, payloads: Iterable[Stat]) -> Iterator[Finding]:
        problems: dict[str, str] = {}
        named = named_data(self._store, folder, problems)
        for key, reason in problems.items():
            yield self._unreadable(key, reason)
        there = list(payloads)
        for record in named.values():
            yield from self._bytes(record, there)
        if not problems:  # an unreadable record may name any of them
            yield from _unnamed((one.key for one in there), named)

    # ------------------------------------------------------------------------------------------------------------- runs

    def _run(self, path: str, payloads: Iterable[Stat]) -> Iterator[Finding]:
        folder = layout.folder(path)
        try:
            state = read_run(self._store, path, self._session.observer)
        except NotFoundError:
            yield from self._without_a_run(path, folder)
            return
        except MolexpError as error:
            where = getattr(error, "key", "") or layout.document(path)
            yield self._unreadable(where, getattr(error, "reason", str(error)))
            return
        self._note_named(path, state)
        if self._repair and (why := _written_by_newer(path, state)):
            looking = copy(self)
            looking._repair = False
            for one in looking._of_run(path, folder, state, payloads):
                yield Finding(one.key, f"{one.what}. {why}")
        else:
            yield from self._of_run(path, folder, state, payloads)

    def _of_run(self, path: str, folder: str, state: RunState, payloads: Iterable[Stat]) -> Iterator[Finding]:
        yield from self._problems(path, state)
        if self._repair and any(one.problem for one in state.attempts):
            state = read_run(self._store, path, self._session.observer)
        yield from self._published(path, state)
        yield from self._events(path, state)
        for attempt in state.attempts:
            for record in attempt.contents.assets.values():
                yield from self._bytes(record, None, ended=attempt.ended)
        if not state.attempts or state.attempts[-1].ended:  # a writer writes first and records then
            named = {str(record.get("key")) for record in state.assets()}
            named |= {layout.blocks_of(key) for key in named}  # they are derived
            unnamed = list(_unnamed((one.key for one in payloads), named))
            if unnamed and not is_arriving(self._store, folder):  # so does a sync
                yield from unnamed

    def _events(self, path: str, state: RunState) -> Iterator[Finding]:
        """Yield what of the attempts' events is damaged, gone, or came late."""
        folder = layout.folder(path)
        for attempt in state.attempts:
            write = partial(rewrite_claim, self._store, folder, attempt)
            for key, reason in lacking(self._store, folder, attempt):
                done = self._repair and self._rewrite(path, state, claim_key(folder, attempt.number), write)
                yield Finding(key, reason, "its claim is written again from the end" if done else "")
            for key, size in attempt.late.items():
                yield Finding(key, f"{size} bytes came after the attempt's end; they are no part of it")

    def _note_named(self, path: str, state: RunState) -> None:
        revision = count(state.definition.get("experiment_revision"), 1)
        named = {definition_key(path.rpartition("/")[0], revision)} if revision > 1 else set()
        ended = [attempt.contents for attempt in state.attempts if attempt.ended]
        known = [contents.provenance for contents in ended]
        known += [(contents.workflow or {}).get("graph") for contents in ended]
        named |= {layout.provenance(one) for one in known if isinstance(one, str) and _HASH.fullmatch(one)}
        for key in named:
            self._named.setdefault(key, path)

    def _problems(self, path: str, state: RunState) -> Iterator[Finding]:
        key = layout.document(path)
        yield from self._claims(path, state)
        for where, reason in state.problems.items():
            done = ""
            if where == key and self._repair:
                done = self._write_again(path, state, "written again from an attempt's claim")
            elif self._repair and (torn := [one for one in state.attempts if where == one.problem_key and one.ended]):
                done = self._end_again(path, state, torn[0], reason)
            elif self._repair:
                done = mend(self._session, where)
            yield Finding(where, brief(reason, where), done)

    def _write_again(self, path: str, state: RunState, done: str) -> str:
        """Write ``run.json`` as it was read."""
        key = layout.document(path)
        written = self._rewrite(path, state, key, lambda: self._store.write(key, encode_pretty(state.to_document())))
        return done if written else ""

    def _rewrite(self, path: str, state: RunState, key: str, write: Callable[[], object]) -> bool:
        """Write a document of a run again, and tell whether that was done: not if `write` returns False.

        Nor if the run was deleted or freed since it was read: it would be back, or another one of this id would be damaged.
        """
        folder, token = layout.folder(path), str(state.definition.get("token") or "").encode()
        others = {of(folder, one.number) for one in state.attempts for of in (claim_key, end_key)}
        others = (others | {layout.document(path)}) - {key}

        def is_there() -> bool:
            if read_edits(self._store, path).deleted:  # edits are deleted last when a run is freed
                return False
            return any(isinstance(one, bytes) and token in one for one in self._store.read_many(sorted(others)))

        if not is_there() or write() is False:
            return False
        if not (stays := is_there()):
            self._store.delete(key)
            self._store.prune(folder)
        return stays

    def _end_again(self, path: str, state: RunState, attempt: AttemptFacts, reason: str) -> str:
        """Write an end from the attempt's events, and as ``run.json`` shows it to people, if it does."""
        known, folder, me = (
            shown_end(state.definition, attempt.number),
            layout.folder(path),
            self._session.process.owner,
        )
        said = {name: known[name] for name in ("status", "reason", "error", "ended_at", "ended_by") if name in known}
        write = partial(end_dead, self._store, folder, attempt, reason, me, replace=True, said=said)
        if not self._rewrite(path, state, end_key(folder, attempt.number), write):
            return ""
        return "written again from its events" + (", as run.json shows it" if said else "")

    def _claims(self, path: str, state: RunState) -> Iterator[Finding]:
        """Return whether each claim repeats what ``run.json`` says; if not, the attempt's end tells which of them was changed."""
        key = layout.document(path)
        for attempt in state.attempts:
            claim = attempt.head if attempt.head.get("type") == "claim" else None
            claim = claim or read_claim(self._store, layout.folder(path), attempt.number)
            claimed: Any = claim.get("definition")
            if not (names := changed(state.definition, claimed)):
                continue
            said = f"its {', '.join(names)} are not what"
            ended = attempt.head.get("definition") if claim is not attempt.head else None
            if ended and not changed(state.definition, ended):
                yield Finding(claim_key(layout.folder(path), attempt.number), f"{said} {key!r} says, which counts")
                continue
            state.problems.setdefault(key, f"{said} the claim of attempt {attempt.number} repeats")
            if self._repair:
                state.definition |= {name: claimed.get(name) for name in names}

    def _without_a_run(self, path: str, folder: str) -> Iterator[Finding]:
        """Yield what lies in the folder of a run that is not there; numbers that were given up are nothing to tell of."""
        left = orphans(self._store, path)
        if left is None:
            what = "its run.json is gone, and no claim repeats it: restore it from a copy, or delete the folder"
        elif delete_edit_of(self._store, path) is not None:
            what = "what is left of a deleted run; `molexp gc --yes` frees it"
        elif left:
            what = "only edits are left, as of somebody who made one while it was freed; `molexp gc --yes` frees them after a day"
        elif next(self._store.list(folder), None) is None:
            what = "it is empty; `molexp gc --yes` removes it"
        else:
            return
        yield Finding(folder, f"a folder without a run: {what}")

    def _published(self, path: str, state: RunState) -> Iterator[Finding]:
        """Return whether ``run.json`` tells people what the newest end says: whoever wrote the end may have died before it did."""
        key = layout.document(path)
        if key in state.problems or not state.attempts or not state.attempts[-1].ended or state.attempts[-1].problem:
            return
        shown = decode_object(self._store.read(key), key)
        history = shown.get("execution_history") or ()
        if shown.get("status") != str(state.status) or len(history) != len(state.attempts):
            done = self._write_again(path, state, "written again") if self._repair else ""
            yield Finding(key, "it does not show the newest end", done)

    # ------------------------------------------------------------------------------------------------------------ bytes

    def _bytes(
        self, record: Mapping[str, Any], payloads: Iterable[Stat] | None, *, ended: bool = True
    ) -> Iterator[Finding]:
        """Yield what is wrong with the bytes that a record names: they are gone, or not what it says.

        Args:
            record: an asset's record.
            payloads: The listed keys, of which it may name a folder.
            ended: Nobody writes them any more.
        """
        key, what = str(record.get("key")), f"asset {record.get('id')}"
        store, linked = reading_record(self._store, record), key in self._seen.special
        if linked and store is self._store:
            return  # a finding of its own says so
        self._seen.special.pop(key, None)
        fields = record.get("fields")
        fields = fields if isinstance(fields, dict) else {}
        whose = f"{what}, outside of the workspace, which may change there" if fields.get("external") else what
        recorded, size = record.get("content_hash"), record.get("size")
        folder = is_of_folder(record.get("kind"), fields.get("directory"), recorded)
        try:
            if linked and folder:  # its contents are not walked through
                if not store.local_path(key).is_dir():
                    raise KeyNotFoundError(key, url=store.url)
                found = size
            else:
                found = self._size(key, payloads) if folder else store.stat(key).size
            if not ended or absurd(record):  # it is reported already
                return
            if size is not None and found != size:
                yield Finding(key, f"{found} bytes, and the record of {whose}, says {size}: restore it from a copy")
            elif self._scrub is not None and not (linked and folder):
                scrub = self._scrub
                compared = scrub.compare_folder(key, recorded) if folder else scrub.compare(key, recorded, store)
                yield from self._others(key, compared, f"the record of {whose},")
                if record.get("kind") == "metrics" and (bad := decode_lines(store.read(key), key)[2]):
                    yield Finding(key, f"{bad} of its lines are no points; they are left out where it is loaded")
        except KeyNotFoundError:
            yield Finding(key, f"the bytes of {what} are gone: restore them from a copy of the workspace")
        except StoreError as error:  # no key at all, or nothing that may be looked at
            yield Finding(key, f"the bytes of {what} are out of reach: {error}")

    def _size(self, key: str, payloads: Iterable[Stat] | None) -> int:
        """Return how many bytes a folder has, as it was listed."""
        sizes = [one.size for one in payloads or () if one.key.startswith(f"{key}/")]
        sizes = sizes or [one.size for one in self._store.list(key)]  # it came since
        if not sizes:
            raise KeyNotFoundError(key, url=self._store.url)
        return sum(sizes)

    @staticmethod
    def _others(key: str, compared: tuple[str, str] | None, who: str) -> Iterator[Finding]:
        if compared is not None:
            found, recorded = compared
            yield Finding(key, f"its bytes are {found}, and {who} says {recorded}: restore them from a copy")


def _check_spools(session: MaintenanceSession, *, repair: bool) -> Iterator[Finding]:
    """Yield what writers that died on this machine recorded, and the store does not have."""
    if "append" in session.store.capabilities:
        return
    before = dict(abandoned(session.store.url))
    problem = ""
    if repair and before and not session.read_only:
        try:
            for run, number in drain(session.store, session.process.owner).brought:
                session.observer.settle(run, read_attempt(session.store, layout.folder(run), number))
        except StoreError as error:
            problem = f": {error}"
    after = dict(abandoned(session.store.url))
    for name, what in before.items():
        yield Finding(name, what + problem if name in after else what, "" if name in after else "sent")


def brief(reason: str, key: str) -> str:
    """Return why a document cannot be read, for whoever is told its key beside it, and has asked for all that can be done."""
    return reason.removeprefix(f"{key!r} cannot be read: ").removesuffix(f". {CorruptRecordError.ADVICE}")


def _written_by_newer(path: str, state: RunState) -> str:
    """Return why nothing of a run is repaired, if a newer MolExp wrote of it; else ""."""
    try:
        refuse_newer(state.definition, layout.document(path), schemas.DEFINITION)
        for one in state.attempts:
            of = end_key if one.ended else claim_key
            refuse_newer(one.head, of(layout.folder(path), one.number), schemas.ATTEMPT)
    except SchemaError as error:
        return str(error)
    return ""


def _unnamed(payloads: Iterable[str], named: Container[str]) -> Iterator[Finding]:
    for key in sorted(payloads):
        at = nfc(key)  # the name of what was recorded, however it is spelled there
        while at and at not in named:  # a record of a folder names all that is in it
            at = at.rpartition("/")[0]
        if not at:
            yield Finding(key, UNNAMED)
