"""Submissions on record: which runs were given to a queue, and whether it still has any of them.

A submission is a document, created before the queue's engine is called; a second one, once the engine has answered; and a third
one, by whoever establishes that nothing of it is queued or running. It is open until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from msgspec import Struct, structs

from molexp._record.document_types import is_void
from molexp._storage import key_patterns, layout, schemas
from molexp._values.documents import check_schema, decode_object, encode_line, is_count
from molexp._values.patterns import late
from molexp._values.status import RunStatus
from molexp._values.times import new_token, utc_now
from molexp.contracts import Store
from molexp.errors import CorruptRecordError, KeyExistsError, KeyNotFoundError, RecordError, StoreError

_KEY = late(key_patterns.SUBMISSION)
ANSWER, END = ".job", ".end"
"""The parts of a submission after its first document."""
_TYPES = {"": "submission", ANSWER: "submitted", END: "settled"}
WATCHER = "w"
"""The part of the token of the job that looks after the others."""


def note(store: Store, submission: str, part: str, **said: Any) -> None:
    """Write what the engine answered, or a submission's end, unless somebody has meanwhile."""
    document = {"schema": schemas.SUBMISSION, "type": _TYPES[part], "token": new_token(), "at": utc_now(), **said}
    with suppress(KeyExistsError):
        store.create(layout.submission_key(submission, part), encode_line(document))


class SubmittedRun(NamedTuple):
    """A run of a submission, as it was then.

    Attributes:
        path: the run's path.
        attempts: the number of attempts at it by then.
        cancels: the number of requests to cancel it by then.
    """

    path: str
    attempts: int
    cancels: int


class SubmissionFacts(Struct, frozen=True):
    """A submission as it was read.

    Attributes:
        id: its id; ids sort by the time of their submission.
        document: the first document: runs, batches, queue.
        answer: the engine's answer; None if nobody noted that yet.
        end: the findings since nothing of it is queued or running; None before.
        runs: its runs, in order.
        again: the runs whose jobs had begun and wait again, as the engine last said, with the number of attempts by then.
    """

    id: str
    document: Mapping[str, Any]
    answer: Mapping[str, Any] | None
    end: Mapping[str, Any] | None
    runs: tuple[SubmittedRun, ...]
    again: Mapping[str, int] = {}

    @property
    def bundle(self) -> int:
        """The number of runs of each job."""
        return int(self.document["bundle"])

    @property
    def jobs(self) -> int:
        """The number of jobs."""
        return -(-len(self.runs) // self.bundle)

    @property
    def batches(self) -> dict[str, range]:
        """The jobs of each batch, by its token."""
        return {token: range(first, first + size) for token, first, size in self.document["batches"]}

    @property
    def ids(self) -> dict[str, str]:
        """The engine's id of each batch, by token; "" where it is not known, and only those that the engine may have."""
        if self.answer is None:
            return dict.fromkeys(self.batches, "")
        return {token: id_ for token, id_ in dict(self.answer["ids"]).items() if token in self.batches}

    def runs_of(self, job: int) -> tuple[SubmittedRun, ...]:
        """Return the runs of a job."""
        return self.runs[job * self.bundle : (job + 1) * self.bundle]

    def queued(self) -> Iterable[SubmittedRun]:
        """Yield the runs that the engine may have, as long as it is open."""
        if self.answer is None:
            yield from self.runs
            return
        for token in self.ids:
            for job in self.batches[token]:
                for run in self.runs_of(job):
                    yield run._replace(attempts=self.again[run.path]) if run.path in self.again else run


class Queued(Struct, frozen=True):
    """The submission that a run is in, and how the run was then."""

    submission: str
    attempts: int
    cancels: int

    def is_of(self, attempts: int, cancels: int) -> bool:
        """Tell whether nobody has attempted the run, or asked to cancel it, since: it has had so many attempts and requests."""
        return (self.attempts, self.cancels) == (attempts, cancels)

    def holds(self, status: str, attempts: int, cancels: int) -> bool:
        """Tell whether a run that is said to have this status is queued: nobody has attempted it, or cancelled it, since."""
        return self.is_of(attempts, cancels) and status not in (RunStatus.RUNNING, RunStatus.SUCCEEDED)


def listed(store: Store) -> dict[str, set[str]]:
    """Return the submissions that there are: id to the kinds of documents, which are "", ``.job`` and ``.end``."""
    found: dict[str, set[str]] = {}
    for entry in store.children(layout.SUBMISSIONS).entries:
        if match := _KEY.fullmatch(entry.key):
            found.setdefault(match[1], set()).add(match[2] or "")
    return {submission: found[submission] for submission in sorted(found) if "" in found[submission]}


def open_submissions(store: Store, unreadable: dict[str, str] | None = None, *, but: str = "") -> list[SubmissionFacts]:
    """Return the open submissions, the oldest first.

    Args:
        store: the workspace's.
        unreadable: filled with what cannot be read of them, which is left out.
        but: the id of one that is not read.
    """
    found = []
    for submission, parts in listed(store).items():
        if END in parts or submission == but:
            continue
        try:
            one = read_submission(store, submission, answered=ANSWER in parts)
            if one.answer is not None:
                again = last_asked(store, submission).get("again")
                counts = again.items() if isinstance(again, dict) else ()
                one = structs.replace(one, again={path: count for path, count in counts if is_count(count)})
            found.append(one)
        except KeyNotFoundError:
            continue
        except RecordError as error:
            if unreadable is not None:
                unreadable[layout.submission_key(submission)] = str(error)
    return found


def queued_runs(submissions: Iterable[SubmissionFacts]) -> dict[str, Queued]:
    """Return the runs that open submissions name; of several that name one, the oldest of those made after its last attempt."""
    found: dict[str, Queued] = {}
    for one in submissions:
        for run in one.queued():
            known = found.get(run.path)
            if known is None or (known.attempts, known.cancels) < (run.attempts, run.cancels):
                found[run.path] = Queued(one.id, run.attempts, run.cancels)
    return found


def submitted_runs(store: Store) -> set[str]:
    """Return the paths of all runs that a submission names, open or not; what cannot be read is left out."""
    found: set[str] = set()
    for submission in listed(store):
        with suppress(KeyNotFoundError, RecordError):
            found.update(run.path for run in read_submission(store, submission, answered=False).runs)
    return found


def read_submission(store: Store, submission: str, *, answered: bool = True, ended: bool = False) -> SubmissionFacts:
    """Return a submission.

    Args:
        store: the workspace's.
        submission: its id.
        answered: false if it is known that nobody has noted the engine's answer.
        ended: true to look for its end, too.

    Raises:
        KeyNotFoundError: there is none.
        CorruptRecordError: one of its documents cannot be read.
    """
    key = layout.submission_key(submission)
    document = _decoded(store.read(key), key)
    answer = _read_if_there(store, layout.submission_key(submission, ANSWER)) if answered else None
    end = _read_if_there(store, layout.submission_key(submission, END)) if ended else None
    runs = tuple(SubmittedRun(*run) for run in document["runs"])
    return SubmissionFacts(submission, document, answer, end, runs)


def has_ended(store: Store, submission: str) -> bool:
    """Tell whether it is established that nothing of a submission is queued or running."""
    return store.exists(layout.submission_key(submission, END))


def _read_if_there(store: Store, key: str) -> dict[str, Any] | None:
    try:
        return _decoded(store.read(key), key)
    except KeyNotFoundError:
        return None


def _decoded(data: bytes, key: str) -> dict[str, Any]:
    document = decode_object(data, key)
    if is_void(document):
        raise KeyNotFoundError(key)
    check_schema(document, key, schemas.SUBMISSION)
    return check_submission(document, key)


def check_submission(document: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a document of a submission, if it is as readers rely on; that of a newer MolExp may be anything.

    Raises:
        CorruptRecordError: it is not.
    """
    if is_count(schema := document.get("schema")) and schema > schemas.SUBMISSION:
        return document
    match = _KEY.fullmatch(key)
    part = (match and match[2]) or ""
    if document.get("type") != (kind := _TYPES[part]):
        raise CorruptRecordError(key, f"its type is {document.get('type')!r:.40} where {kind!r} belongs")
    if part == ANSWER:
        ids = document.get("ids")
        if not isinstance(ids, dict) or not all(isinstance(text, str) for text in ids.values()):
            raise CorruptRecordError(key, "its ids are no mapping of texts")
    elif not part and not _is_whole(document, match[1] if match else ""):
        raise CorruptRecordError(key, "its runs, bundle or batches are not those of a submission")
    return document


def token_of(submission: str, part: int | str = "") -> str:
    """Return the token of a batch of a submission: of its only one, or of a further part."""
    return f"molexp-{submission}-{part}" if part else f"molexp-{submission}"


def _is_whole(document: Mapping[str, Any], submission: str) -> bool:
    runs, bundle, batches = (document.get(name) for name in ("runs", "bundle", "batches"))
    if not isinstance(runs, list) or not runs or not isinstance(batches, list):
        return False
    if not is_count(bundle) or not bundle:
        return False
    texts = all(isinstance(document.get(name), str) for name in ("queue", "engine", "url", "script", "folder"))
    if not texts or not isinstance(document.get("options"), dict) or not isinstance(document.get("by"), dict):
        return False
    if not all(_is_row(run, str, int, int) and layout.is_run(run[0]) for run in runs):
        return False
    at = 0
    for number, batch in enumerate(batches):
        if not _is_row(batch, str, int, int) or batch[0] != token_of(submission, number and number + 1):
            return False
        if batch[1] != at or not 0 < batch[2] <= len(runs):
            return False
        at += batch[2]
    return at == -(-len(runs) // bundle)


def _is_row(row: object, *types: type) -> bool:
    return (
        isinstance(row, list)
        and len(row) == len(types)
        and all(type(value) is wanted for value, wanted in zip(row, types, strict=True))
    )


def attempted_by(history: Iterable[Mapping[str, Any]], submission: str) -> bool:
    """Tell whether one of the attempts at a run was a job's of this submission."""
    named = (attempt.get("submission") for attempt in history)
    return any(isinstance(found, Mapping) and found.get("id") == submission for found in named)


def job_of(attempt: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the submission and the job that an attempt belongs to, by its claim, its end or its history."""
    found = attempt.get("submission")
    if not isinstance(found, Mapping) or not is_count(found.get("job")):
        return None
    return str(found.get("id")), int(found["job"])


def last_asked(store: Store, submission: str) -> dict[str, Any]:
    """Return when the engine was last asked about a submission, and how many jobs were in which state; empty if never."""
    try:
        found = decode_object(store.read(layout.asked_key(submission)), layout.asked_key(submission))
    except (StoreError, RecordError):
        return {}
    return found if isinstance(found.get("at"), str) and isinstance(found.get("states"), dict) else {}
