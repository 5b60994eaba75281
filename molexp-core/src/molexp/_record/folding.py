"""Fold documents into what is true, by pure functions. No I/O.

The rules (design, section 6): an end alone is believed once it stands; results fold over attempts, a later one wins by
name, a fresh one starts empty; edits apply in the order of their ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

from msgspec import Struct, field

from molexp._record.causes import ENDED_BADLY, cause_of
from molexp._record.rank_events import heard, rank_history
from molexp._values.documents import count, is_count
from molexp._values.status import UNENDED, RunStatus

_OF_ITSELF = ("log", "metrics", "error_trace")
"""Kinds that say what a retry of a task did, not what it produced: they count even if the retry was superseded."""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_of_itself(event: Mapping[str, Any]) -> bool:
    kind = event.get("type")
    return kind in ("used", "missed") or (kind == "asset" and _dict(event.get("asset")).get("kind") in _OF_ITSELF)


class Contents(Struct, eq=False):
    """Fold the events of one attempt.

    What a task recorded in a try that was superseded by a later one does not count: one that came to no outcome of the
    task, because the task was tried again. (A task that is executed again after an outcome, as by a second workflow in
    the same attempt, starts with a later retry, too, and supersedes nothing.)
    """

    results: dict[str, Any] = field(default_factory=dict)
    assets: dict[str, dict[str, Any]] = field(default_factory=dict)  # by payload key: a replaced name keeps its key
    commands: list[dict[str, Any]] = field(default_factory=list)
    provenance: str | None = None
    workdir: str | None = None
    workdirs: list[str] = field(default_factory=list)  # of the run and of its tasks
    replacing: dict[str, dict[str, Any]] = field(default_factory=dict)  # by payload key: said, and not yet recorded
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)  # the newest record of each task
    workflow: dict[str, Any] | None = None
    ranks: dict[str, dict[str, Any]] = field(default_factory=dict)  # the fate of ranks other than 0, by their numbers
    rank_of: dict[str, int] = field(default_factory=dict)  # the rank that said a result, where several may
    # asset, when first, and task if it was one: each pair once
    used: list[dict[str, Any]] = field(default_factory=list)
    missed: list[dict[str, Any]] = field(default_factory=list)  # names that tasks looked for in vain
    logged: dict[str, Any] = field(default_factory=dict)  # by payload key: the metrics that this process is writing
    _retries: dict[str, int] = field(default_factory=dict)  # the newest retry of each task
    _accepted: set[tuple[str, int]] = field(default_factory=set)  # retries that came to an outcome of their task
    _said: dict[tuple[str | None, int, str], Any] = field(default_factory=dict)  # by task, retry and name, in order
    _made: dict[str, tuple[str, int]] = field(default_factory=dict)  # by payload key: the task and retry
    _uses: dict[tuple[str, str | None], dict[str, Any]] = field(default_factory=dict)  # those of `used`, to find them

    def add(self, event: Mapping[str, Any]) -> None:
        """Fold one event in; unknown ones stay in their file and count for nothing here."""
        if (self.ranks or self.rank_of or "rank" in event) and not heard(self, event):
            return
        kind, task = event.get("type"), event.get("task")
        task, retry = task if isinstance(task, str) else None, count(event["retry"]) if "retry" in event else 0
        if task is not None and not self._counts(task, retry) and not _is_of_itself(event):
            return
        if kind == "result" and isinstance(event.get("name"), str):
            self._say(task, retry, event["name"], event.get("value"))
        elif kind == "task" and task is not None:
            self.tasks[task] = {name: value for name, value in event.items() if name != "type"}
            if event.get("status") not in UNENDED:
                self._accepted.add((task, retry))
        elif kind == "used" and isinstance(event.get("asset"), str):
            self._use(event["asset"], task, event.get("at"), event.get("by"))
        elif kind == "missed" and isinstance(event.get("name"), str):
            self.missed.append({k: v for k, v in event.items() if k not in ("type", "retry")})
        elif kind == "asset" and isinstance(record := event.get("asset"), dict):
            key = str(record.get("key"))
            self.assets[key] = record
            self.replacing.pop(key, None)
            if task is not None:
                self._made[key] = task, retry
        else:
            self._learn(event)

    def _learn(self, event: Mapping[str, Any]) -> None:
        """Fold an event that no task says."""
        kind = event.get("type")
        if kind == "workflow" and isinstance(event.get("workflow"), dict):
            self.workflow = event["workflow"]
        elif kind == "replacing":
            self.replacing[str(event.get("key"))] = dict(event)
        elif kind == "command":
            self.commands.append({k: v for k, v in event.items() if k != "type"})
        elif kind == "provenance":
            self.provenance = event.get("provenance")
        elif kind == "workdir":
            self.workdir = event.get("path")
            self.workdirs.append(str(self.workdir))

    def _say(self, task: str | None, retry: int, name: str, value: Any) -> None:
        """Fold a result: the last one counts, and of one task that of its latest retry."""
        said = task, retry, name
        if said in self._said:
            del self._said[said]  # the order is that of the last ones
        self._said[said] = value
        if task is None:
            self.results[name] = value
            return
        if retry >= self._retries.get(task, 0) or not any(
            (by, what) == (task, name) and later > retry for by, later, what in self._said
        ):
            self.results[name] = value

    def _use(self, asset: str, task: str | None, at: Any, by: Any) -> None:
        """Fold a use; tries of a task in several processes may each have said it, and are read in any order."""
        if (known := self._uses.get((asset, task))) is None:
            said = {
                "asset": asset,
                "at": at,
                **({"task": task} if task is not None else {}),
                **({"by": by} if by else {}),
            }
            self._uses[asset, task] = said
            self.used.append(said)
            return
        if by != known.get("by") == "version":
            del known["by"]
        known["at"] = min(str(at), str(known["at"]))

    def is_used(self, asset: str, task: str | None, by: str = "") -> bool:
        """Tell whether it is known that the task, or None of them, used the asset of this id, and not of its exact version."""
        known = self._uses.get((asset, task))
        return known is not None and (by == "version" or known.get("by") != "version")

    def _counts(self, task: str, retry: int) -> bool:
        """Tell whether what a retry of a task says counts; the first word of a later one takes back the earlier one's."""
        newest = self._retries.get(task, 0)
        if retry <= newest:
            return retry == newest or (task, retry) in self._accepted
        self._retries[task] = retry
        for said in [said for said in self._said if said[0] == task and (task, said[1]) not in self._accepted]:
            del self._said[said]
            self.results.pop(said[2], None)
        self.results.update((name, value) for (_, _, name), value in self._said.items())
        for key, made in list(self._made.items()):
            if made[0] == task and made not in self._accepted and self.assets[key].get("kind") not in _OF_ITSELF:
                del self.assets[key], self._made[key]
        return True

    @classmethod
    def of_end(cls, end: Mapping[str, Any]) -> Contents:
        """Return what an end says."""
        said = cls(_dict(end.get("results")), commands=_list(end.get("commands")))
        said.provenance, said.workdir = end.get("provenance"), end.get("workdir")
        said.workflow = _dict(end.get("workflow")) or None
        for record in _list(end.get("assets")):
            if isinstance(record, dict):
                said.assets[str(record.get("key"))] = record
        for name, record in _dict(end.get("tasks")).items():
            if isinstance(record, dict):
                said.tasks[name] = record
        for number, fate in _dict(end.get("ranks")).items():
            said.ranks[number] = _dict(fate)
        for use in _list(end.get("used")):
            if isinstance(use, dict) and isinstance(use.get("asset"), str):
                said.used.append(use)
        for miss in _list(end.get("missed")):
            if isinstance(miss, dict) and isinstance(miss.get("name"), str):
                said.missed.append(miss)
        return said


def absurd(record: Mapping[str, Any]) -> str:
    """Say what an asset's record has where a size or a version belongs; it is as if that were missing. "" if nothing."""
    for name in ("size", "version"):
        value = record.get(name)
        if value is not None and not is_count(value):
            return f"the {name} of asset {record.get('id')} is {value!r:.40}, no number from 0 to 2**63 - 1"
    return ""


class AttemptFacts(Struct, eq=False):
    """One attempt as it was read.

    Attributes:
        number: 1, 2, ...
        head: the end if there is one, else the claim: both name owner, start and ``fresh``. Empty if torn.
        contents: its recorded contents.
        status: the status that its end says, else ``running`` (or ``interrupted``, once somebody has established that).
        ended: true if its end stands.
        late: bytes of events that its end did not fold, by key: they came after it.
        problem: a part of it that could not be read, with the reason.
        problem_key: the file that the problem is in.
        seen: the time of the last event, of an attempt without an end; "" if there is none.
        void: true if its number was fenced before anybody claimed it: there is no such attempt, and never will be.
        as_of: when it was last seen to go on, if this is a copy and it goes on elsewhere; "" otherwise.
    """

    number: int
    head: dict[str, Any]
    contents: Contents
    status: RunStatus
    ended: bool
    late: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    problem_key: str = ""
    seen: str = ""
    void: bool = False
    as_of: str = ""

    @property
    def cause(self) -> str | None:
        """The cause of its end; None for a success, and where nothing tells."""
        return None if self.status is RunStatus.SUCCEEDED else cause_of({**self.head, "status": self.status})

    def history(self) -> dict[str, Any]:
        """Return its entry in ``execution_history``."""
        head = self.head
        owner = found if isinstance(found := head.get("owner"), dict) else {}
        entry: dict[str, Any] = {
            "attempt": self.number,
            "status": str(self.status),
            "started_at": head.get("started_at"),
            "ended_at": head.get("ended_at"),
            "host": owner.get("host"),
            "pid": owner.get("pid"),
            "user": owner.get("user"),
        }
        if job := owner.get("job"):
            entry["job"] = job
        if self.as_of:
            entry["as_of"] = self.as_of
        if self.status is not RunStatus.SUCCEEDED and (cause := self.cause):
            entry["cause"] = cause
        for name in ("reason", "error", "ended_by", "found_at", "imported_from", "submission"):
            if said := head.get(name):
                entry[name] = said
        self._add_contents(entry)
        if self.late and (late := sum(self.late.values())):
            entry["late"] = late
        if problem := self.problem or head.get("problem"):
            entry["problem"] = problem
        return entry

    def _add_contents(self, entry: dict[str, Any]) -> None:
        """Add to its entry in ``execution_history`` what it recorded, as far as there is any."""
        contents = self.contents
        for name in ("provenance", "commands", "workdir"):
            if said := getattr(contents, name):
                entry[name] = said
        if contents.workflow and (workflow := contents.workflow.get("workflow_id")):
            entry["workflow"] = workflow
        if contents.tasks:
            entry["tasks"] = self._counted_tasks()
        if contents.ranks:
            told = rank_history(contents.ranks.values(), ended=self.ended)
            entry |= {name: said for name, said in told.items() if said}
        if contents.used:
            entry["used"] = [*dict.fromkeys(said["asset"] for said in contents.used)]

    def _counted_tasks(self) -> dict[str, int]:
        """Return how many tasks came to which status."""
        tasks = self.contents.tasks.values()
        words = ("reused" if record.get("reused") else str(record.get("status")) for record in tasks)
        return dict(sorted(Counter(words).items()))


class Edits(Struct, eq=False):
    """Fold the edits of an entity."""

    tags: set[str] = field(default_factory=set)
    notes: list[dict[str, Any]] = field(default_factory=list)
    archived: bool = False
    deleted: bool = False
    cancels: list[dict[str, Any]] = field(default_factory=list)
    name: str = ""

    def add(self, edit: Mapping[str, Any]) -> None:
        """Fold one edit in; unknown ones count for nothing here."""
        match edit.get("op"):
            case "annotate":
                self.tags.update(str(tag) for tag in _list(edit.get("tags")))
                self.tags.difference_update(str(tag) for tag in _list(edit.get("untag")))
                if edit.get("note"):
                    self.notes.append({"at": edit.get("at"), "by": edit.get("by"), "text": str(edit["note"])})
            case "archive" | "unarchive" as word:
                self.archived = word == "archive"
            case "delete" | "restore" as word:
                self.deleted = word == "delete"
            case "cancel":
                self.cancels.append(dict(edit))
            case "rename":
                name = edit.get("name")
                self.name = name if isinstance(name, str) else self.name

    def cancel_of(self, attempt: int) -> dict[str, Any] | None:
        """Return the request to cancel this attempt, if there is one; attempt 0 stands for a run not yet started."""
        return next((edit for edit in self.cancels if edit.get("attempt") == attempt), None)


STATE_KEYS = (
    *("status", "as_of", "cause", "imported_from", "workflow", "results", "tags", "notes", "archived"),
    *("execution_history", "provenance"),
)
"""Keys of ``run.json`` that repeat, for people, what the attempts and edits of the run say."""


class RunState(Struct, eq=False):
    """All that is true of a run.

    Attributes:
        definition: ``run.json`` as it was created.
        status: of the newest attempt.
        results: folded over the attempts, in stored form (``{"$float": "nan"}`` and references unresolved).
        attempts: oldest first.
        edits: tags, notes and marks.
        problems: keys that could not be read, with the reasons.
        cover: the files it was folded from, by their keys below the run's folder, with at most their sizes.
    """

    definition: dict[str, Any]
    status: RunStatus
    results: dict[str, Any]
    attempts: list[AttemptFacts]
    edits: Edits
    problems: dict[str, str]
    cover: dict[str, int] = field(default_factory=dict)

    @property
    def as_of(self) -> str:
        """Return the time at which it was last seen to go on elsewhere, if this is a copy; "" once somebody gave it up here."""
        return self.attempts[-1].as_of if self.status is RunStatus.RUNNING and self.attempts else ""

    @property
    def history(self) -> list[dict[str, Any]]:
        """The attempts as plain dicts, oldest first."""
        return list(map(AttemptFacts.history, self.attempts))

    def assets(self) -> list[dict[str, Any]]:
        """Return the asset records of all attempts, oldest attempt first."""
        return [record for attempt in self.attempts for record in attempt.contents.assets.values()]

    @property
    def cause(self) -> str | None:
        """The cause of the end of its newest attempt; None where that goes on, succeeded, or nothing tells."""
        return self.attempts[-1].cause if self.attempts else cause_of({"status": self.status})

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return the newest record of each task, over all attempts; a fresh attempt starts without any."""
        tasks: dict[str, dict[str, Any]] = {}
        for attempt in self.attempts:
            if attempt.head.get("fresh"):
                tasks = {}
            tasks |= attempt.contents.tasks
        return tasks

    def to_document(self) -> dict[str, Any]:
        """Return ``run.json`` as people read it: the definition, then the folded state."""
        doc = dict(self.definition)
        for name in doc.keys() & STATE_KEYS:
            del doc[name]
        last = self.attempts[-1] if self.attempts else None
        doc["status"] = str(self.status)
        if self.status is not RunStatus.SUCCEEDED:
            if as_of := self.as_of:
                doc["as_of"] = as_of
            if cause := self.cause:
                doc["cause"] = cause
        if last and (origin := last.head.get("imported_from")):
            doc["imported_from"] = origin
        doc["workflow"] = last.contents.workflow if last else None
        doc["provenance"] = last.contents.provenance if last else None
        doc["results"] = self.results
        doc["tags"] = sorted(self.edits.tags)
        if self.edits.notes:
            doc["notes"] = self.edits.notes
        if self.edits.archived:
            doc["archived"] = True
        doc["execution_history"] = list(map(AttemptFacts.history, self.attempts))
        return doc


_NUMBER = attrgetter("number")


def fold_run(
    definition: dict[str, Any], attempts: Iterable[AttemptFacts], edits: Edits, problems: dict[str, str]
) -> RunState:
    """Fold what was read of one run."""
    ordered: list[AttemptFacts] = []
    results: dict[str, Any] = {}
    for attempt in sorted(attempts, key=_NUMBER):
        if attempt.problem:
            problems[attempt.problem_key] = attempt.problem
        if attempt.void:
            continue
        ordered.append(attempt)
        if attempt.head.get("fresh"):
            results = {}
        results |= attempt.contents.results
    if ordered:
        status = ordered[-1].status
    else:
        status = RunStatus.CANCELLED if edits.cancel_of(0) else RunStatus.PENDING
    return RunState(definition, status, results, ordered, edits, problems)


def shown_attempts(document: Mapping[str, Any]) -> list[Any]:
    """Return what a run's ``run.json`` says of each attempt, oldest first."""
    history = document.get("execution_history")
    return history if isinstance(history, list) else []


def newest_attempt(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a run's ``run.json`` says of its newest attempt; empty if there is none."""
    history = shown_attempts(document)
    return history[-1] if history and isinstance(history[-1], dict) else {}


def cause_of_run(document: Mapping[str, Any]) -> str | None:
    """Return the cause of the newest attempt's end, of a run as ``run.json`` has it."""
    last = newest_attempt(document)
    status, cause = document.get("status"), document.get("cause") or last.get("cause")
    return cause_of({**last, "status": status, "cause": cause}) if cause or status in ENDED_BADLY else None
