"""Syncing runs, a batch at a time: what can be seen of a run at the destination is true at every instant.

The order: what says that the run is deleted, the definition, other edits, the numbers of its attempts, their payloads and
events, their ends, and ``run.json`` as people read it. What a reader's index is to notice is announced right before it
is made, not before the payloads: what is announced for long and does not come is taken for given up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from itertools import takewhile

from msgspec.structs import replace

from molexp._record.document_types import definition_keys, differing
from molexp._record.folding import STATE_KEYS, AttemptFacts, shown_attempts
from molexp._record.incomplete import is_torn, settled
from molexp._record.reading import listed_leases, read_definition, read_documents, read_run
from molexp._storage import key_patterns, layout, schemas
from molexp._sync.attempts import COPIES, FILES, FIRST, PARTS, Attempt, Way
from molexp._sync.copying import FATAL, Copier, Outcome, guard
from molexp._sync.edits import bring_edit
from molexp._sync.live_attempts import LiveCopy
from molexp._sync.sides import Side
from molexp._values.documents import count, decode_object, encode_pretty, refuse_newer
from molexp._values.ids import nfc
from molexp._values.status import RunStatus
from molexp._values.times import utc_now
from molexp.contracts import Stat
from molexp.errors import CorruptRecordError, KeyExistsError, KeyNotFoundError, MolexpError, NotFoundError, StoreError

_DEFINITION = re.compile(key_patterns.RUN_DEFINITION)
_EDIT = re.compile(key_patterns.EDIT)


class RunSync:
    """One run.

    Args:
        copier: copies files.
        path: the run's path.
        entries: Its entries at the source, by the keys below its folder.

    Attributes:
        stopped: Nothing more is to be done for it.
    """

    def __init__(self, copier: Copier, path: str, entries: Mapping[str, Stat]) -> None:
        self.path = path
        self.folder = layout.folder(path)
        self.entries = dict(entries)
        self.stopped = False
        self._copier = copier
        self._known = copier.known(f"{self.folder}/")
        self._attempts: list[Attempt] = []
        self._live: LiveCopy | None = None  # of the newest attempt, if that goes on
        self._origins: set[int] = set()  # attempts of which this is a copy, and the destination has the original
        self._edits: list[Stat] = []
        self._deletions: list[Stat] = []
        self._cancels: list[tuple[Stat, int]] = []
        self._others: list[Stat] = []
        self._definition = b""  # the document to create
        self._definition_key = ""
        self._torn = False  # the power failed while somebody wrote it at the destination
        self._lost = False  # the source has no definition of it
        self._hashes: dict[str, str] = {}
        self._ended = False  # the destination has an end that it does not show
        self._dropped = False  # something is left for later, or conflicts

    # ------------------------------------------------------------------------------------------------------------- plan

    def plan(self) -> None:
        """Find out what is to be done; nothing is written at the destination."""
        self._sort()
        if any(one.claim is None for one in self._attempts):  # it may have come, and its end too, while this was listed
            self._look_again()
        if self._attempts and self._attempts[-1].end is None and not self._settle():
            del self._attempts[-1]
            self._dropped = True
        self.stopped = not self._agrees()
        if not self.stopped:
            self._decide()
            self._pick_edits()

    def _look_again(self) -> None:
        self.entries = self._copier.source.look_again(self.folder)
        self._sort()

    def _sort(self) -> None:
        attempts: dict[int, Attempt] = {}
        parts: list[tuple[int, Stat]] = []
        self._edits, self._others = [], []
        for rest, entry in self.entries.items():
            if match := FILES.fullmatch(rest):
                number = int(match[1])
                one = attempts.setdefault(number, Attempt(self._copier, self.path, self.folder, number))
                if match[2]:
                    one.end = entry
                else:
                    one.claim = entry
            elif number := _attempt_of(rest):
                parts.append((number, entry))
            elif _EDIT.fullmatch(rest):
                self._edits.append(entry)
            elif not _DEFINITION.fullmatch(rest) and not COPIES.fullmatch(rest):
                self._others.append(entry)
        for number, entry in parts:
            if number in attempts:  # else its claim came after the listing, or was taken back
                attempts[number].parts.append(entry)
        self._attempts = [attempts[number] for number in sorted(attempts)]

    def _settle(self) -> bool:
        """Tell whether the newest attempt has an end by now: its own, or the one of an owner who is found to be dead."""
        copier, newest = self._copier, self._attempts[-1]
        home = copier.source.home
        observer = replace(home.observer, leases=copier.leases())
        if copier.dry_run:
            observer = replace(observer, may_write=False)
        began = utc_now()
        try:
            state = read_run(home.store, self.path, observer)
        except FATAL:
            raise
        except MolexpError:
            return True  # a fault of it is found, and reported, when it is read
        last = state.attempts[-1] if state.attempts else None
        if last is not None and last.ended:
            self._look_again()
            return True
        if last is not None and last.number == newest.number:
            goes_on = last.status is RunStatus.RUNNING or bool(
                last.as_of
            )  # a copy may be cancelled, and what it is of goes on
            if goes_on:
                self._live = LiveCopy(newest, last, began)
                self._note_origin(newest)
            copier.ledger.note("unfinished", newest.claim_key, _why(last, self.path, goes_on=goes_on))
        return False

    def _note_origin(self, attempt: Attempt) -> None:
        if attempt.at_origin:
            self._origins.add(attempt.number)

    def _agrees(self) -> bool:
        """Tell whether both sides mean the same run; notes what has to be created if the destination has none."""
        copier, key = self._copier, layout.document(self.path)
        unreadable = copier.ledger.found["unreadable"]
        entry, there = self.entries.get("run.json"), copier.destination.entries.get(key)
        if entry is not None and there is not None and self._known(entry):
            return True
        ours = self._definition_of(copier.source)
        self._lost = ours is None and key not in unreadable
        theirs = None
        if there is not None or any(one.claim_key in copier.destination.entries for one in self._attempts):
            theirs = self._definition_of(copier.destination)
            if theirs is None and there is not None and key in unreadable:
                return entry is not None and copier.read(key) == copier.destination.store.read(key)
        if theirs is None:
            self._is_to_be_created(ours, entry, there)
            return True
        if ours is None:
            return self._lost
        if names := differing(ours, theirs):
            what = f"another run has this id at the destination: {', '.join(names)} differ"
            copier.ledger.note("conflicts", key, what)
            return False
        self._ended = len(shown_attempts(theirs)) < len(
            shown_attempts(ours)
        )  # whoever wrote the end may have died before he showed it
        if entry is not None and there is not None and not self._ended:
            copier.note_same(entry)
        return True

    def _definition_of(self, side: Side) -> Mapping[str, object] | None:
        """Return the definition on one side; None if it has none, or if it cannot be read, which is noted."""
        try:
            return read_definition(side.store, self.path, {})
        except NotFoundError:
            return None
        except FATAL:
            raise
        except (CorruptRecordError, StoreError) as error:
            if side is self._copier.destination and self._is_torn(error):
                return None
            where = "at the destination: " if side is self._copier.destination else ""
            self._copier.ledger.note("unreadable", layout.document(self.path), f"{where}{error}")
            return None

    def _is_torn(self, error: MolexpError) -> bool:
        """Tell whether the destination's definition was torn by a power loss: it is written again, then."""
        key = layout.document(self.path)
        self._torn = isinstance(error, CorruptRecordError) and is_torn(settled(self._copier.destination.store, key))
        return self._torn

    def _is_to_be_created(self, ours: Mapping[str, object] | None, entry: Stat | None, there: Stat | None) -> None:
        store, key = self._copier.destination.store, layout.document(self.path)
        self._definition_key = key if there is None or self._torn else definition_keys(store, self.path)[-1]
        if ours is not None:
            kept = {name: value for name, value in ours.items() if name == "workflow" or name not in STATE_KEYS}
            self._definition = encode_pretty(kept | ({"workflow": None} if "workflow" in kept else {}))
        elif entry is not None and not self._lost:
            self._definition = self._copier.read(entry.key)  # as it is: somebody may be able to read it

    def _keep_while(self, holds: Callable[[Attempt], bool]) -> None:
        """Keep the attempts before the first one of which something does not hold: the others build on it."""
        kept = list(takewhile(holds, self._attempts))
        self._dropped = self._dropped or len(kept) < len(self._attempts)
        self._attempts = kept

    def _decide(self) -> None:
        """Decide which attempts are brought: up to the first conflict."""
        self._keep_while(self._is_to_be_brought)
        self._attempts = [one for one in self._attempts if one.way is not Way.LEAVE]
        self._find_late_comers()

    def _is_to_be_brought(self, attempt: Attempt) -> bool:
        pair = [entry for entry in (attempt.claim, attempt.end) if entry is not None]
        way = attempt.decide(known=all(map(self._known, pair)))
        self._note_origin(attempt)
        if way is Way.CONFLICT:
            return False
        waited_for = attempt.at_origin and attempt.end_key not in self._copier.destination.entries
        if waited_for and attempt is not self._attempts[-1]:
            what = f"attempt {attempt.number} of {self.path} goes on at the destination; later ones wait for its end"
            self._copier.ledger.note("unfinished", attempt.claim_key, what)
            return False
        if way in (Way.PUBLISH, Way.FINISH) or (way is Way.COMPLETE and not all(map(self._known, attempt.parts))):
            self._hashes |= attempt.hashes()
        return True

    def _find_late_comers(self) -> None:
        """Find files that an end names and the listing lacks: they were there before the end, and came after the listing."""
        copier = self._copier
        missing = [
            key for key in self._hashes if key not in copier.source.entries and key.startswith(f"{self.folder}/")
        ]
        if not missing:
            return
        seen = {part.key for one in self._attempts for part in one.parts}
        numbers = {one.number: one for one in self._attempts}
        there = copier.source.look_again(self.folder)
        self._find_respelled(there, missing)
        for rest, entry in there.items():
            if (number := _attempt_of(rest)) in numbers and entry.key not in seen:
                numbers[number].parts.append(entry)

    def _find_respelled(self, there: dict[str, Stat], missing: Iterable[str]) -> None:
        """Take files by the names that ends have for them, however they are spelled at the source; report what is gone."""
        for key in missing:
            rest = key.removeprefix(f"{self.folder}/")
            if rest in there or any(name.startswith(f"{rest}/") for name in there):  # a file, or a folder of them
                continue
            try:
                there[rest] = self._copier.source.store.stat(key)
            except KeyNotFoundError:
                if self._hashes[key] and not self._copier.source.hides(key):
                    self._copier.ledger.note("unreadable", key, "the record names it, and its bytes are gone")
                continue
            for attempt in self._attempts:
                attempt.parts = [one for one in attempt.parts if nfc(one.key) != key]
            for other in [other for other in there if other != rest and nfc(other) == rest]:
                del there[other]

    def _pick_edits(self) -> None:
        """Sort edits; requests to cancel an attempt go with it, as the destination may have another one of its number."""
        new = [entry for entry in self._edits if not self._known(entry)]
        self._others = [entry for entry in self._others if not self._known(entry)]
        self._edits = []
        found = dict(read_documents(self._copier.source.store, [entry.key for entry in new]))
        for entry in new:
            edit = found.get(entry.key)
            op, number = (edit.get("op"), count(edit.get("attempt"))) if isinstance(edit, dict) else ("", 0)
            if op == "cancel" and number:
                self._cancels.append((entry, number))
            else:
                (self._deletions if op == "delete" else self._edits).append(entry)

    # ----------------------------------------------------------------------------------------------------------- phases

    def first(self) -> list[str]:
        """Return the keys that `begin` is about to create."""
        there = self._copier.destination.entries
        found = [entry.key for entry in (*self._deletions, *self._edits) if entry.key not in there]
        found += self._live.announced() if self._live is not None else []
        return [*found, self._definition_key] if self._definition else found

    def begin(self) -> None:
        """Bring the edits that delete it, the definition, other edits, and the numbers of attempts."""
        copier = self._copier
        for entry in self._deletions:
            bring_edit(copier, entry)
        if self._definition:
            try:
                copier.put(self._definition_key, self._definition, new=not self._torn)
            except KeyExistsError:
                self._definition = b""
                copier.destination.entries[self._definition_key] = copier.destination.store.stat(self._definition_key)
                copier.wrote(self._definition_key)
                self.stopped = not self._agrees()
                if self.stopped:
                    return
            else:
                copier.ledger.count(len(self._definition))
        for entry in self._edits:
            bring_edit(copier, entry)
        self._keep_while(Attempt.reserve)
        if self._live is not None and self._live.wanted:
            self._live.wanted = self._live.attempt.reserve()

    def jobs(self) -> list[Callable[[], object]]:
        """Return jobs that need not wait for ends: payloads, and the events of other writers."""
        found: list[Callable[[], object]] = [partial(self._copier.bring, one) for one in self._others]
        for attempt in self._attempts:
            found += [partial(self._part, attempt, part) for part in attempt.parts if not self._known(part)]
        if self._live is not None and self._live.wanted:
            found += self._live.jobs(self._known)
        return found

    def _part(self, attempt: Attempt, part: Stat) -> None:
        outcome = attempt.bring_part(part, self._hashes.get(part.key, ""))
        if attempt.way is not Way.COMPLETE and outcome in (Outcome.CONFLICT, Outcome.GONE):
            attempt.way = Way.CONFLICT

    def last(self) -> list[str]:
        """Return the keys that `end` is about to create."""
        self._keep_while(lambda one: one.way is not Way.CONFLICT)
        there = self._copier.destination.entries
        whole = {one.number for one in self._attempts} | self._origins
        self._cancels = [(entry, number) for entry, number in self._cancels if number in whole]
        found = [entry.key for entry, _ in self._cancels if entry.key not in there]
        ending = (one for one in self._attempts if (one.way is not Way.COMPLETE and one.end is not None) or one.late)
        return found + [one.end_key for one in ending]

    def end(self) -> None:
        """Bring ends, and write what follows from them."""
        self._keep_while(self._publish)
        if self._live is not None:
            self._live.show(self._known)
        for entry, _ in self._cancels:
            bring_edit(self._copier, entry)
        if (self._definition or self._ended) and not self._copier.dry_run:
            self._publish_document()
        self._note_definitions()

    def _publish(self, attempt: Attempt) -> bool:
        done = attempt.publish(self._known)
        self._ended = self._ended or (done and attempt.way is not Way.COMPLETE)
        return done

    @property
    def came_late(self) -> list[str]:
        """Ends of attempts to which events were added that came after them."""
        return [one.end_key for one in self._attempts if one.late]

    def _publish_document(self) -> None:
        """Write ``run.json`` for people: the record at the destination, folded."""
        copier, key = self._copier, layout.document(self.path)
        try:
            document = self._as_it_is() if self._definition and not self._dropped else None
            if document is None and self._ended:
                state = read_run(copier.destination.store, self.path, None)
                if not self._definition:  # it was there before
                    refuse_newer(state.definition, key, schemas.DEFINITION)
                document = encode_pretty(state.to_document())
            if document is not None and document != self._definition:
                copier.put(key, document)
        except FATAL:
            raise
        except MolexpError:
            return  # for people only; `fsck` tells, and mends it

    def _as_it_is(self) -> bytes | None:
        """Return the source's document, if it shows all attempts: folding would give the same."""
        if self._definition_key != layout.document(self.path) or "run.json" not in self.entries:
            return None
        data = self._copier.read(self.entries["run.json"].key)
        return data if len(shown_attempts(decode_object(data, "run.json"))) == len(self._attempts) else None

    def _note_definitions(self) -> None:
        """Remember that both sides mean the same run: that need not be found out again."""
        if layout.document(self.path) in self._copier.ledger.found["unreadable"]:
            return  # it is to be told again
        for rest, entry in self.entries.items():
            if rest == "run.json":
                if self._definition or self._ended:
                    self._copier.note_written(entry)
            elif _DEFINITION.fullmatch(rest):
                self._copier.note_same(entry)


def sync_runs(copier: Copier, runs: list[RunSync]) -> None:
    """Bring a batch of runs."""
    copier.leases = cache(partial(listed_leases, copier.source.store))
    runs = _each(copier, RunSync.plan, runs)
    copier.announce(key for run in runs for key in run.first())
    runs = _each(copier, RunSync.begin, runs)
    copier.each(lambda job: guard(copier, "", job), [job for run in runs for job in run.jobs()])
    copier.flush()  # before the ends that name it, which are flushed with what comes next
    copier.announce(key for run in runs for key in run.last())
    runs = _each(copier, RunSync.end, runs)
    # a file that only became longer has no key to wait for: readers look before and after
    copier.announce(key for run in runs for key in run.came_late)


def _each(copier: Copier, act: Callable[[RunSync], None], runs: list[RunSync]) -> list[RunSync]:
    """Do something for each run; returns those with which to go on. What is wrong with one does not stop the others."""

    def guarded(run: RunSync) -> None:
        if not guard(copier, run.folder, lambda: act(run)):
            run.stopped = True

    copier.each(guarded, runs)
    return [run for run in runs if not run.stopped]


def _attempt_of(rest: str) -> int:
    """Return the number of the attempt that a part of a run is of; 0 if it is of none."""
    match = PARTS.fullmatch(rest)
    return int(match[1]) if match else int(bool(FIRST.fullmatch(rest)))


def _why(last: AttemptFacts, path: str, *, goes_on: bool) -> str:
    """Return why an attempt is left for the next sync."""
    owner = last.head.get("owner")
    owner = owner if isinstance(owner, dict) else {}
    whose = f"attempt {last.number} of {path}, process {owner.get('pid')} on {owner.get('host')}"
    if goes_on:
        return f"{whose}, goes on"
    return f"{whose}, is over ({last.head.get('reason')}), and its end cannot be written at the source"
