"""An attempt as its coordinator holds it: what it records, its signs of life, its one end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from operator import call
from typing import TYPE_CHECKING, Any

from molexp._record.attempts import read_attempts, read_end, superseded
from molexp._record.causes import Ending
from molexp._record.definitions import WAS_DELETED, reread
from molexp._record.ends import end_document, show_run
from molexp._record.folding import AttemptFacts, Contents, Edits, fold_run
from molexp._record.reading import read_edits
from molexp._record.settlement import settle_grown, settle_replacements
from molexp._recording.contributors import take_in, writer_of, writers
from molexp._recording.writer import EventLog, Writer
from molexp._storage import layout
from molexp._storage.durability import above
from molexp._storage.layout import claim_key, definition_key, end_key
from molexp._values.documents import encode, encode_line
from molexp._values.times import boot_clock, utc_now
from molexp.errors import KeyExistsError, MolexpError, NotFoundError, RunSupersededError, StoreError

if TYPE_CHECKING:
    from molexp._record.launches import Rank
    from molexp._recording.session import RecordingSession


MOMENT = 1.0
"""Seconds within which nobody else can know of a run whose id was made up."""

_FIRST_LOOK = 0.02  # seconds between looks, growing to _LAST_LOOK
_LAST_LOOK = 1.0


def looks(deadline: float) -> Iterator[None]:
    """Look, pause, look again, until the deadline: nobody can tell us when a file appears on every storage."""
    pause = _FIRST_LOOK
    while True:
        yield
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return
        threading.Event().wait(min(pause, remaining))
        pause = min(pause * 2, _LAST_LOOK)


def _relied_on(lost: Container[str | None], experiment: str, revision: int, *documents: str | None) -> Iterator[str]:
    """Yield what a run of the experiment cannot be read without, and others made: also provenance, and a workflow's graph."""
    yield from above(f"{experiment}/")
    yield definition_key(experiment, revision)
    yield from (layout.provenance(known) for known in documents if known and known not in lost)


class Attempt(Writer):
    """The coordinator's side of one attempt. Belongs to the process that claimed it, and is inert in a forked one."""

    alone: bool = True
    began: float = 0.0
    shared: bool = False  # processes that this one does not know may contribute
    _beats = 0
    _pending: Ending | None = None  # an end that could not be written
    _document: dict[str, Any] | None = None  # the end as it was to be created, if that was tried

    def __init__(
        self,
        session: RecordingSession,
        path: str,
        claim: Mapping[str, Any],
        log: EventLog,
        parts: Mapping[str, Any],
        *,
        unseen: bool = False,
    ) -> None:
        """Record the attempt that was claimed.

        Args:
            session: the workspace.
            path: the run's.
            claim: the claim as it was written.
            log: the log of its events.
            parts: the parts of the claim that its end repeats, encoded.
            unseen: the run was created a moment ago under a made-up id, so nobody else can know of it.
        """
        process, contents = session.process, Contents(provenance=claim["provenance"])
        super().__init__(session.store, process, path, claim["attempt"], contents, log)
        self._session = session
        self.definition: dict[str, Any] = claim["definition"]
        self._ending = threading.RLock()  # one thread at a time ends it, and holds `lock` only in between
        self.interval: float = claim["lease"]["beat"]
        self._claim = claim
        self._parts = parts
        claimed_at = boot_clock()
        self._unseen_until = claimed_at + MOMENT if unseen else claimed_at
        self._silent_at = claimed_at + 2 * self.interval  # from when on others may have taken it for dead
        self._beating = threading.Lock()  # held while a sign of life is given, or taken back
        self._contributors: dict[str, int] = {}  # files of other writers, as far as they were folded
        self.known = self.contents.assets.values
        self.rank: Rank | None = process.rank
        if self.rank is not None:
            from molexp._recording.ranks import Ours

            self.alone, self.shared, self.began, self.known = False, True, time.monotonic(), Ours(self).records
            self.suffix: str = self.rank.suffix
        process.heart.add(self)

    @property
    def token(self) -> str:
        """Return the token of its claim."""
        return str(self._claim["token"])

    def invite(self) -> None:
        """Claim names from now on, because other processes are about to contribute.

        Raises:
            StoreError: the outbox of this process could not be brought into the store.
        """
        if self.alone:
            self.alone = False
            if self.outbox is not None:
                self.outbox.settle()

    def gather(self) -> None:
        """Wait for the other ranks that joined the attempt, before it ends as succeeded.

        Raises:
            MolexpError: it was asked to stop meanwhile, or somebody else ended it.
        """
        if self.rank is not None:
            from molexp._recording.ranks import gather

            gather(self, self.rank)

    def _foreign_writers(self) -> list[str]:
        found = writers(self.store, self.folder, self.number)
        return [token for token in found if token != self._claim["token"]]

    def take_in(self, token: str | None = None) -> None:
        """Fold what another writer of the attempt, or without a token every other one, has recorded since the last time."""
        with self.lock:
            if self.closed:
                return
            if token is None and self.outbox is not None:  # killed workers may have left something on this machine
                from molexp._record.spool_draining import drain

                with suppress(StoreError):
                    drain(self.store, self.process.owner, run=self.path, attempt=self.number)
            self._take_in(self._foreign_writers() if token is None else [token])

    def _take_in(self, tokens: Iterable[str]) -> None:
        for token in tokens:
            take_in(self.store, self.folder, self.number, token, self.contents, self._contributors)

    # --------------------------------------------------------------------------------------------------- signs of life

    def beat(self) -> None:
        """Give a sign of life, and see whether the attempt was ended or asked to stop. Called by the heart's thread."""
        if self.closed:
            return
        try:
            self.end()
            self._log.check_place()
            began = boot_clock()
            if began > self._silent_at and self._is_freed():
                self._leave(self._freed())
                return
            with self._beating:  # the end removes the lease: no beat may put it back afterwards
                if self.closed:
                    return
                self._beats += 1
                sign = {"beat": self._beats, "at": utc_now(), "token": self._claim["token"]}
                sign |= {**self.process.memory_now, **self._summaries()}
                self.store.write(layout.lease(self.path, self.number), encode(sign))
                self._silent_at = began + 2 * self.interval
            self.catch_up()  # a task that blocks the event loop keeps it from doing so
            self._look_around()
            if self.outbox is not None:
                self.send()  # for those who follow it
        except Exception:  # noqa: BLE001, S110 - a full disk, a lost network, a malformed edit: the next beat tries again
            pass

    def _summaries(self) -> dict[str, Any]:
        """Return what is known of the metrics that this process logs, for whoever asks before the end."""
        found = {key: one.summarised() for key, one in [*self.contents.logged.items()]}
        return {"metrics": found} if found else {}

    def _look_around(self) -> None:
        if self._has_foreign_end():
            self._leave(self._superseded())
            return
        self._stop_if_cancelled(read_edits(self.store, self.path).cancel_of(self.number))

    def _leave(self, why: MolexpError) -> None:
        """Record nothing from now on, and give no more signs of life."""
        self._stop(why)
        self.process.heart.remove(self)
        self._give_up_lease()

    def _give_up_lease(self) -> None:
        with self._beating:
            if self._beats:
                self.store.delete(layout.lease(self.path, self.number))

    def _has_foreign_end(self) -> bool:
        """Tell whether somebody else ended the attempt."""
        key = end_key(self.folder, self.number)
        return not self.closed and self.store.exists(key) and not self.closed  # the second look: while we asked

    def refuse_ended(self) -> None:
        """Raise if somebody else has ended the attempt, and record nothing from now on: its own end comes last.

        Raises:
            RunSupersededError: somebody has.
        """
        if self.store.exists(end_key(self.folder, self.number)):
            why = self._superseded()
            self._stop(why)
            raise why

    def _superseded(self) -> RunSupersededError:
        return superseded(self.path, self.number, read_end(self.store, self.folder, self.number) or {})

    def learn_provenance(self) -> None:
        """Record the process's provenance, which has become known. Called by the thread that captured it."""
        try:
            if self.contents.provenance is None and not self.closed:
                known = self.process.provenance.publish(self.store, wait=False, outbox=self.outbox)
                with self.lock:
                    if self.contents.provenance is None and not self.closed:
                        self.record({"type": "provenance", "at": utc_now(), "provenance": known})
        except MolexpError:
            pass  # the end tries again, and raises

    # ----------------------------------------------------------------------------------------------------------- end

    def end(self, how: Ending | None = None) -> None:
        """End the attempt: close everything, create its end, update ``run.json``. Does nothing in a forked child.

        Args:
            how: the end. One that is pending counts instead, because it came first. Without it, a pending end is tried
                again.

        Raises:
            RunSupersededError: somebody else ended it before. What this process recorded is kept, as late.
            NotFoundError: the run was deleted and freed, after its owner had been silent for long. It does not return.
            StoreError: the end could not be written; it is pending.
        """
        if self.state == "inert" or (how is None and self._pending is None):
            return
        try:
            with self._ending:
                if (wanted := self._pending or how) is None:
                    return
                try:
                    if not self._begin_to_end():
                        return
                    self.process.heart.remove(self)
                    end = self._seal(wanted)
                    key = self._create_end(end)
                except BaseException as problem:
                    is_freed = isinstance(problem, NotFoundError) and not isinstance(problem, StoreError)
                    if not (is_freed or isinstance(problem, RunSupersededError)):
                        self._postpone(wanted, problem)
                    raise
                if self._pending is not None:
                    self._pending = None
                try:
                    if self.store.durability == "end":
                        self.store.sync([key])  # if that fails, the attempt has ended, but a power loss may undo that
                finally:
                    self._show(end)
        finally:
            self.process.signals.rest()

    def _postpone(self, how: Ending, problem: BaseException) -> None:
        """Keep an end that could not be written, for a full disk, a lost network or Ctrl-C: the next beat tries again."""
        if self.outbox is not None and isinstance(problem, StoreError):
            problem.add_note(
                f"What {self.path} recorded is kept on this machine, and so is how it ended: this process tries "
                "again until it goes, and then whichever process next uses the workspace here."
            )
        self._pending, self._state = how, "ending"
        self.process.heart.add(self)

    def withdraw(self) -> None:
        """Take the claim back, before anything else was done: there is no run that it could be an attempt at."""
        self.process.heart.remove(self)
        with self.lock:
            self._state = "ended"
            self._log.close()
        for entry in [*self.store.list(layout.segments(self.folder, self.number))]:  # the process's provenance, say
            self.store.delete(entry.key)
        self.store.delete(claim_key(self.folder, self.number))
        self.store.prune(self.folder)

    def _seal(self, how: Ending) -> dict[str, Any]:
        """Complete what was recorded; returns the document of the end."""
        self._log.check_place()
        self._close_handles()
        with self.lock:
            if self._waiting:
                self.catch_up()
            if self.contents.provenance is None:
                self.contents.provenance = self._own_provenance()
            if self.shared:
                self._take_in(self._foreign_writers())
            elif self._contributors:
                self._take_in(dict.fromkeys(map(writer_of, self._contributors)))
            if self.contents.replacing:
                settle_replacements(self.store, self.contents)
            folded = {**self._log.seal(), **self._contributors}
            if (events := self.contents.assets.get(claim_key(self.folder, self.number))) is not None:
                events["size"] = folded.get(layout.claim_name(self.number))  # they are themselves an asset
            if self._contributors:
                settle_grown(self.store, self.contents)
            self._state, self.status = "ended", how.status
        if self.store.durability == "end":
            self._flush_what_the_end_names()
        if self._document is None:
            self._document = end_document(
                attempt=self.number, how=how, head=self._claim, contents=self.contents, folded=folded
            )
        return self._document

    def _own_provenance(self) -> str | None:
        return self.process.provenance.publish(self.store, wait=True, outbox=self.outbox)

    def _create_end(self, end: Mapping[str, Any]) -> str:
        line = encode_line({**end, **self._parts})
        try:
            if boot_clock() > self._silent_at and self._is_freed():
                raise self._give_up(self._freed())
        except StoreError:
            if self.outbox is not None:  # the network has been away for long
                self.outbox.ends(line)
            raise
        if self.outbox is not None:
            self.outbox.ends(line)
        key = end_key(self.folder, self.number)
        try:
            self.store.create(key, line)
        except KeyExistsError:
            if (read_end(self.store, self.folder, self.number) or {}).get("token") != end["token"]:  # else it got there
                raise self._give_up(self._superseded()) from None
        if boot_clock() > self._silent_at and self._is_freed():
            # Readers may have seen the end: they look again, and again when the hint is withdrawn.
            self._session.journal.announce_run(key)
            self.store.delete(key)
            self._session.journal.expect(key)
            self.store.prune(self.folder)
            raise self._give_up(self._freed())
        return key

    def _is_freed(self) -> bool:
        """Tell whether the run was deleted and freed, which only happens once others have ended the attempt."""
        return not self.store.exists(claim_key(self.folder, self.number))

    def _give_up(self, why: MolexpError) -> MolexpError:
        self._log.close(late=True)
        self._give_up_lease()
        return why

    def _freed(self) -> NotFoundError:
        return NotFoundError("run", self.path, hint=WAS_DELETED)

    def _flush_what_the_end_names(self) -> None:
        """Flush what the end refers to, before the end is created. It repeats what counts of events and claim."""
        experiment, revision = self.path.rpartition("/")[0], self.definition.get("experiment_revision")
        graph = (self.contents.workflow or {}).get("graph")
        others = experiment, revision if isinstance(revision, int) else 1, self.contents.provenance, graph
        named = self.contents.assets  # those of other writers are among them
        flushing = self._session.flushing
        lost = self.process.provenance.lost.get(self.store.url, ())
        relied = () if others in flushing.known else _relied_on(lost, *others)
        flushing.made(*named, layout.document(self.path), relies_on=relied)
        flushing.known.add(others)

    def _show(self, end: dict[str, Any]) -> None:
        """Write ``run.json`` for people; should a power loss tear it, the end repeats the definition. The lease has served."""
        began = boot_clock()
        try:  # the end is what counts; this is derived from it, and `fsck` mends it
            older = read_attempts(self.store, self.folder)[: self.number - 1] if self.number > 1 else []
            this = AttemptFacts(self.number, end, self.contents, self.status, True)
            # Nobody else can have edited it.
            unseen = began < self._unseen_until and self.path not in self.process.edited
            defined, edits = (self.definition, Edits()) if unseen else reread(self.store, self.path, self.definition)
            state = fold_run(defined, [*older, this], edits, {})
            if self.outbox is None and not self._beats:  # as of most runs: there is neither a lease nor an open log
                if not state.edits.deleted:  # a deleted run may be freed by now, and would return
                    show_run(self.store, self.path, state, began)
                return
            write = partial(show_run, self.store, self.path, state, began)
            steps: tuple[Callable[[], Any], ...] = (write, self._log.close, self._give_up_lease)
            self.store.each(call, steps[state.edits.deleted :])
        except StoreError:
            pass
