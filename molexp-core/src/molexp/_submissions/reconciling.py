"""Asking the engines what became of open submissions, and bringing the record up to date with what they say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from molexp._record.owners import Owner
from molexp._record.showing import show_ended
from molexp._record.submissions import (
    ANSWER,
    END,
    WATCHER,
    SubmissionFacts,
    attempted_by,
    job_of,
    last_asked,
    listed,
    note,
    open_submissions,
    read_submission,
    token_of,
)
from molexp._storage import layout
from molexp._submissions.preparing import output_of, workspace_of
from molexp._submissions.queues import WAITS, Queues, elsewhere, moved_from, rows_beside
from molexp._values.documents import encode_line, is_count
from molexp._values.status import Cause, RunStatus
from molexp._values.times import utc_now
from molexp.contracts import Job, JobState
from molexp.errors import MolexpError, NotFoundError, StoreError

if TYPE_CHECKING:
    from molexp._hierarchy.workspace import Workspace
    from molexp._workflow.driving import Drive
    from molexp.contracts import Store

_UNANSWERED = 600.0  # seconds for which whoever submits on another machine may take to note the engine's answer
_NOTHING = "nothing of it is queued or running"
_NEVER = "NEVER STARTED"
_WORDS = 5  # different words of an engine that are told of one submission
_OF_HOSTS = ("NODE_FAIL", "BOOT_FAIL")
"""Words of engines for jobs that were lost with the machine that they ran on."""
_HOST = re.compile(r"[\w.\[\],-]{1,200}", re.ASCII)  # of a job of several machines, all of them, as Slurm writes that
_CAUSES = (
    ("OUT_OF_MEMORY", Cause.OUT_OF_MEMORY),
    ("TIMEOUT", Cause.WALLTIME),
    ("DEADLINE", Cause.WALLTIME),
    ("PREEMPT", Cause.PREEMPTED),
    ("CANCEL", Cause.CANCEL),
)


class SubmissionRow(Struct, frozen=True):
    """A submission, for people.

    Attributes:
        id: its id.
        queue: the name of its queue.
        engine: the engine of that, such as the name of the cluster.
        experiment: the path of the experiment of its runs.
        at: the time at which it was submitted.
        runs: the number of its runs.
        jobs: the number of its jobs.
        ids: the engine's ids of its batches.
        open: true until it is established that nothing of it is queued or running.
        states: the number of jobs in each state, as the engine last said, and of those that were ``cancelled`` and that are
            ``gone``, of which it says nothing; empty if it was never asked.
        asked_at: the time at which that was; "" for never.
        why: the reason that it could not be asked now, or what is to be said of its end.
        output: the folder of what its jobs printed; "" if that is dropped.

    Example:
        >>> from molexp.submissions import submissions
        >>> submissions(ws)
        []
    """

    id: str
    queue: str
    engine: str
    experiment: str
    at: str
    runs: int
    jobs: int
    ids: tuple[str, ...]
    open: bool
    states: Mapping[str, int] = field(default_factory=dict)
    asked_at: str = ""
    why: str = ""
    output: str = ""


def submissions(workspace: Workspace, *, ended: bool = False) -> list[SubmissionRow]:
    """Return the open submissions as they are on record, the oldest first. No engine is asked.

    Args:
        workspace: the workspace.
        ended: include those that have ended.
    """
    store = workspace._session.store
    if not ended:
        return [_row(store, one, last_asked(store, one.id)) for one in open_submissions(store)]
    found = []
    for submission in listed(store):
        with suppress(MolexpError):
            one = read_submission(store, submission, ended=True)
            found.append(_row(store, one, last_asked(store, submission)))
    return found


def _row(store: Store, one: SubmissionFacts, asked: Mapping[str, Any], why: str = "") -> SubmissionRow:
    document = one.document
    return SubmissionRow(
        id=one.id,
        queue=str(document["queue"]),
        engine=str(document["engine"]),
        experiment=str(document.get("experiment") or ""),
        at=str(document.get("at") or ""),
        runs=len(one.runs),
        jobs=one.jobs,
        ids=tuple(id_ for id_ in one.ids.values() if id_),
        open=one.end is None,
        states=_counts((one.end or {}).get("states") or asked.get("states")),
        asked_at=str((one.end or {}).get("at") or asked.get("at") or ""),
        why=why or _why_it_ended(one.end or {}),
        output=output_of(store, one.id, str(document["folder"])),
    )


def _why_it_ended(end: Mapping[str, Any]) -> str:
    """Return why a submission has ended, if not as all do; else the engine's words for its jobs that did not end well."""
    if (reason := str(end.get("reason") or "")) != _NOTHING:
        return reason
    jobs = end.get("jobs")
    said = [one for one in jobs.values() if isinstance(one, dict)] if isinstance(jobs, dict) else []
    words = Counter(
        f"{one.get('word')} ({why})" if (why := one.get("reason")) else str(one.get("word")) for one in said
    )
    gone = _counts(end.get("states")).get("gone")
    told = [f"{count} {word}" for word, count in words.most_common(_WORDS)]
    return ", ".join([*told, *([f"{gone} unknown to it"] if gone else [])])


def _counts(states: object) -> dict[str, int]:
    """Return how many jobs are in which state, of what a document says that anybody may have written."""
    return {name: count for name, count in states.items() if is_count(count)} if isinstance(states, dict) else {}


def reconcile(workspace: Workspace) -> list[SubmissionRow]:
    """Ask the engines about the open submissions, and bring the record up to date with what they say.

    An attempt whose job the engine calls dead is ended at once. A submission of which nothing is queued or running is ended, with
    the engine's last word for each job that did not end well. One engine is asked once. What cannot be asked from here, or does
    not answer, is left as it is, and the row says why.

    Returns:
        The submissions that were open before.
    """
    return _Reconciliation(workspace).rows()


class _Reconciliation:
    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._session = workspace._session
        self._store = self._session.store
        self._queues = Queues(self._session.plugins)

    def rows(self) -> list[SubmissionRow]:
        found = open_submissions(self._store)
        if not found:
            return []
        going_on = self._attempts(RunStatus.RUNNING)  # before the engines are asked: later ones are not judged
        asked, why = self._ask(found)
        rows = []
        for one in found:
            if one.id not in why and not asked[one.id] and (whose := self._whose(one)):
                why[one.id] = f"its jobs are those of {whose}, and are not shown to others, or are over"
            if one.id in why:
                rows.append(_row(self._store, one, last_asked(self._store, one.id), why[one.id]))
            else:
                rows.append(self._bring_up_to_date(one, asked[one.id], going_on))
        return rows

    # -------------------------------------------------------------------------------------------------------------- asking

    def _attempts(self, status: RunStatus) -> dict[tuple[str, int], list[tuple[str, int]]]:
        """Return runs whose newest attempts have a status, with these, by the submission and the job that they belong to."""
        found: dict[tuple[str, int], list[tuple[str, int]]] = {}
        where = f'status in ("{status}", "{RunStatus.QUEUED}") and attempts > 0'  # it may be queued since
        with self._session.deferring():
            rows = self._workspace.catalog.runs(where, archived=True)
        for row in rows:
            newest = row.execution_history[-1] if row.execution_history else {}
            if newest.get("status") == status and (job := job_of(newest)) is not None:
                found.setdefault(job, []).append((row.path, int(newest["attempt"])))
        return found

    @cached_property
    def _interrupted(self) -> dict[tuple[str, int], list[tuple[str, int]]]:
        return self._attempts(RunStatus.INTERRUPTED)

    def _ask(self, found: list[SubmissionFacts]) -> tuple[dict[str, dict[int, Job]], dict[str, str]]:
        """Ask each engine once; returns the jobs of each submission by their numbers, and why others were not asked."""
        groups: dict[str, list[SubmissionFacts]] = {}
        why: dict[str, str] = {}
        for one in found:
            if there := elsewhere(one, self._store.url):
                why[one.id] = there
            elif one.answer is None and (busy := self._is_being_submitted(one)):
                why[one.id] = busy
            else:
                key = encode_line([one.document["queue"], one.document["options"], one.document["engine"]]).decode()
                groups.setdefault(key, []).append(one)
        jobs: dict[str, dict[int, Job]] = {one.id: {} for one in found}
        for group in groups.values():
            try:
                self._ask_one(group, jobs)
            except MolexpError as error:
                why |= {one.id: str(error) for one in group}
        return jobs, why

    def _ask_one(self, group: list[SubmissionFacts], jobs: dict[str, dict[int, Job]]) -> None:
        queue = self._queues.of(group[0], self._store.url)
        tokens: dict[str, str] = {}
        numbers: dict[str, tuple[str, range]] = {}
        for one in group:
            for token, id_ in one.ids.items():
                tokens[token] = id_
                numbers[token] = one.id, one.batches[token]
        for job in queue.look(tokens):
            if (known := numbers.get(job.token)) is None:
                continue
            submission, batch = known
            if 0 <= job.index < len(batch):
                jobs[submission][batch[job.index]] = job

    def _whose(self, one: SubmissionFacts) -> str:
        """Return who else submitted it: engines need not tell us of the jobs of others; "" if it was us."""
        user = Owner.from_dict(one.document["by"]).user
        return "" if user == self._session.owner.user else user or "nobody"

    def _is_being_submitted(self, one: SubmissionFacts) -> str:
        """Return who is about to note the engine's answer; "" if nobody is."""
        owner = Owner.from_dict(one.document["by"])
        if self._session.observer.known_dead(owner):
            return ""
        key = layout.submission_key(one.id)
        if self._session.observer.unchanged_for(key, "being submitted") >= _UNANSWERED:
            return ""
        return f"it is being submitted by process {owner.pid} on {owner.host}"

    # ------------------------------------------------------------------------------------------------------------- telling

    def _bring_up_to_date(
        self, one: SubmissionFacts, jobs: dict[int, Job], going_on: Mapping[tuple[str, int], list[tuple[str, int]]]
    ) -> SubmissionRow:
        for number in range(one.jobs):
            job = jobs.get(number)
            if job is None or not job.state.alive:
                for path, attempt in going_on.get((one.id, number), ()):
                    self._vouch(one, number, path, attempt, job)
        states = dict(Counter(map(_state, jobs.values())))
        alive = any(job.state.alive for job in jobs.values())
        if one.answer is None and jobs:
            one = self._note_found(one, jobs)
        if alive:
            waits = [number for number, job in jobs.items() if job.state in WAITS]
            again = dict(pair for number in waits for pair in self._interrupted.get((one.id, number), ()))
            asked = {"at": utc_now(), "states": states, "again": again}
            with suppress(StoreError):  # it can be asked again
                self._store.write(layout.asked_key(one.id), encode_line(asked))
            return _row(self._store, one, asked)
        return self._end(one, jobs, states)

    def _note_found(self, one: SubmissionFacts, jobs: Mapping[int, Job]) -> SubmissionFacts:
        """Note what whoever submitted could not: which batches the engine has."""
        ids = {token: "" for token, batch in one.batches.items() if any(number in jobs for number in batch)}
        note(self._store, one.id, ANSWER, ids=ids, watcher="", found=True)
        return read_submission(self._store, one.id)

    def _vouch(self, one: SubmissionFacts, number: int, path: str, attempt: int, job: Job | None) -> None:
        """End an attempt whose job is over."""
        word = job.word if job is not None else "unknown to it"
        queue = str(one.document["queue"])
        name = job.id if job is not None else f"{number} of {one.id}"
        how = f"its job {name} is over, says {queue}: {word}"
        if job is not None and job.reason:
            how += f" ({job.reason})"
        by = {"scheduler": queue, "job": name, "word": word}
        cause = next((cause for part, cause in _CAUSES if part in word.upper()), Cause.OWNER_DIED)
        with suppress(MolexpError):
            self._session.observer.vouch(path, attempt, how, str(cause), by)
            show_ended(self._session.observer, path)

    def _end(self, one: SubmissionFacts, jobs: Mapping[int, Job], states: Mapping[str, int]) -> SubmissionRow:
        """End a submission: nothing of it is queued or running."""
        never = self._never_started(one)
        gone = one.jobs - len(jobs)
        counts = {**states, **({"gone": gone} if gone else {})}
        try:
            settle(
                self._workspace,
                one.id,
                _NOTHING,
                states=counts,
                jobs={
                    str(number): _said(job) for number, job in sorted(jobs.items()) if job.state is not JobState.DONE
                },
                never_started={path: _word(jobs.get(number)) for path, number in never.items()},
            )
        except StoreError as error:  # others are told of all the same
            return _row(self._store, one, {"states": counts}, f"its end cannot be recorded: {error}")
        with suppress(StoreError):
            self._store.delete(layout.asked_key(one.id))
        return _row(self._store, read_submission(self._store, one.id, ended=True), {})

    def _never_started(self, one: SubmissionFacts) -> dict[str, int]:
        """Return the runs that no job of it has attempted, with the numbers of their jobs."""
        attempted = {
            row.path
            for row in rows_beside(self._workspace, one)
            if attempted_by(row.document.get("execution_history") or (), one.id)
        }
        return {run.path: at // one.bundle for at, run in enumerate(one.runs) if run.path not in attempted}


def _state(job: Job) -> str:
    """Return the state of a job; for people, one that was cancelled has not failed."""
    return "cancelled" if job.state is JobState.FAILED and "CANCEL" in job.word.upper() else str(job.state)


def _word(job: Job | None) -> str:
    return _NEVER if job is None else f"{_NEVER} ({job.word})"


def _said(job: Job) -> dict[str, str]:
    said = {"id": job.id, "state": str(job.state), "word": job.word, "reason": job.reason, "host": job.host}
    return {name: text for name, text in said.items() if text}


def settle(workspace: Workspace, submission: str, reason: str, **said: Any) -> None:
    """End a submission of which nothing is queued or running, and never will be; a job of it would find that out."""
    owner = workspace._session.owner
    by = {"host": owner.host, "pid": owner.pid, "user": owner.user}
    note(workspace._session.store, submission, END, reason=reason, by=by, **said)


def cancel_submissions(workspace: Workspace, ids: Iterable[str] | None = None) -> list[SubmissionRow]:
    """Cancel the jobs of open submissions: those of some ids, or all.

    Raises:
        NotFoundError: one of the ids is that of no open submission.
        QueueUnavailableError: the engine does not answer.
        QueueError: it refuses, or cannot be asked from here.
    """
    known = {one.id: one for one in open_submissions(workspace._session.store)}
    wanted = [*known] if ids is None else list(dict.fromkeys(ids))
    queues = Queues(workspace._session.plugins)
    for submission in wanted:
        if submission not in known:
            raise NotFoundError("open submission", submission, where=workspace.url, nearest=tuple(known)[-3:])
    reconcile(workspace)
    for submission in wanted:
        one = read_submission(workspace._session.store, submission, ended=True)
        if one.end is not None:
            continue
        moved = moved_from(one, workspace.url)
        queue = queues.of(one, moved or workspace.url)
        tokens = {**one.ids, token_of(submission, WATCHER): ""}  # ids on record may be those of anybody's jobs
        queue.cancel([job.id for job in queue.look(tokens) if job.state.alive])
        if moved:
            settle(workspace, submission, f"cancelled, because the workspace was moved from {moved}")
    return [row for row in reconcile(workspace) if row.id in wanted] or [
        row for row in submissions(workspace, ended=True) if row.id in wanted
    ]


def failed_hosts(drive: Drive) -> tuple[str, ...]:
    """Return the machines on which a job was lost, by the ends of all submissions of a script's workspace."""
    store = workspace_of(drive)._session.store
    found: set[str] = set()
    for submission, parts in listed(store).items():
        if END in parts:
            with suppress(MolexpError):
                end = read_submission(store, submission, ended=True).end or {}
                jobs = end.get("jobs")
                for said in jobs.values() if isinstance(jobs, dict) else ():
                    if (
                        isinstance(said, dict)
                        and said.get("word") in _OF_HOSTS
                        and _HOST.fullmatch(str(said.get("host")))
                    ):
                        found.add(said["host"])
    return tuple(sorted(found))
