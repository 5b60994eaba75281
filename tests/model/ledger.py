"""Hold a trial to its promises: what was acknowledged, and what was seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import attrs

from molexp._catalog.index.index import Index
from molexp._values.documents import decode
from tests.model.scheduler import Violation


@attrs.define
class Row:
    """Hold what an index says of a run or a scope."""

    shown: bool
    open: bool
    document: dict[str, Any]
    columns: tuple[Any, ...] = ()
    assets: list[dict[str, Any]] = attrs.field(factory=list)
    uses: set[tuple[Any, ...]] = attrs.field(factory=set)
    problems: dict[str, str] = attrs.field(factory=dict)
    fields: set[tuple[Any, ...]] = attrs.field(factory=set)

    def counts(self) -> bool:
        """Tell whether it says anything that somebody can ask for."""
        return bool(self.shown or self.assets or self.problems or self.uses or self.open)


_COLUMNS = "status, created_at, replica, profile, archived, attempts, started_at, ended_at, seconds, host, user"


def rows_of(index: Index, *, whole: bool = False) -> dict[str, Row]:
    """Return what an index answers, by path; with `whole`, all that it could be asked for."""
    found = {}
    with index.reading() as connection:
        for path, shown, is_open, document, *columns in connection.execute(
            f"SELECT path, shown, open, document, {_COLUMNS} FROM entities LEFT JOIN documents USING (id)"
        ):
            found[path] = Row(bool(shown), bool(is_open), _without_late(document, path), tuple(columns))
        for path, record in connection.execute(
            "SELECT e.path, r.record FROM assets a JOIN records r USING (id) JOIN entities e ON e.id = a.owner ORDER BY a.id"
        ):
            found[path].assets.append(decode(record, path))
        if whole:
            for path, *use in connection.execute(
                "SELECT e.path, u.asset, u.attempt, u.task FROM uses u JOIN entities e ON e.id = u.owner"
            ):
                found[path].uses.add(tuple(use))
            for path, *field in connection.execute(
                "SELECT e.path, n.name, f.value FROM fields f JOIN names n ON n.id = f.name JOIN entities e ON e.id = f.owner "
                "WHERE n.name NOT LIKE '@%' AND n.name NOT LIKE 'config%' AND n.name NOT LIKE 'workflow%'"
            ):
                found[path].fields.add(tuple(field))
            for path, name, kind, *field in connection.execute(
                "SELECT e.path, a.name, a.kind, n.name, f.value FROM fields f JOIN names n ON n.id = f.name "
                "JOIN assets a ON a.id = f.owner JOIN entities e ON e.id = a.owner WHERE n.name LIKE '@%'"
            ):
                found[path].fields.add((kind, name, *field))
        for path, key, reason in connection.execute("SELECT owner, key, reason FROM problems"):
            found.setdefault(path, Row(False, False, {})).problems[key] = reason
    return {path: row for path, row in found.items() if row.counts()}


def _without_late(data: bytes | None, path: str) -> dict[str, Any]:
    """A document, less what was recorded after an end by whom others had taken for dead: nobody announces that."""
    document: dict[str, Any] = decode(data, path) if data else {}
    for entry in document.get("execution_history", ()):
        entry.pop("late", None)
    return document


@attrs.define
class Told:
    """Hold what writers were told of one run.

    Attributes:
        created: whether its creation was acknowledged.
        attempts: numbers of acknowledged attempts, and who holds them.
        ended: how acknowledged ends ended.
        results: names of acknowledged results, with the attempt and the value.
        fresh: attempts that may have started from nothing; the highest number that anybody tried.
        tags: acknowledged tags.
        archived: whether that was acknowledged.
        deleted: the same.
        doomers: who tried to delete it.
    """

    created: bool = False
    attempts: dict[int, str] = attrs.field(factory=dict)
    ended: dict[int, str] = attrs.field(factory=dict)
    results: dict[str, tuple[int, Any]] = attrs.field(factory=dict)
    ever_fresh: bool = False
    tags: set[str] = attrs.field(factory=set)
    archived: bool = False
    deleted: bool = False
    doomers: set[str] = attrs.field(factory=set)

    @property
    def doomed(self) -> bool:
        """Tell whether somebody tried to delete it."""
        return bool(self.doomers)

    def copy(self) -> Told:
        """As it is now."""
        return Told(
            self.created,
            dict(self.attempts),
            dict(self.ended),
            dict(self.results),
            self.ever_fresh,
            set(self.tags),
            self.archived,
            self.deleted,
            set(self.doomers),
        )


Memory = tuple[dict[str, Told], dict[tuple[str, str, int], str]]
"""Facts that had been told at some moment: of runs, and of versions of data."""


class Ledger:
    """Keeps what was acknowledged, and checks every answer against it and against the answer before."""

    def __init__(self) -> None:
        self.runs: dict[str, Told] = defaultdict(Told)
        self.versions: dict[tuple[str, str, int], str] = {}
        self.frees = False
        """True if somebody frees what was deleted: what is called so afterwards is another run, or a copy."""
        self._seen: dict[int, dict[str, Row]] = defaultdict(dict)
        self._gone: dict[int, set[str]] = defaultdict(set)

    # ------------------------------------------------------------------------------------------------ what was told

    def claimed(self, path: str, number: int, who: str) -> None:
        """Somebody was given an attempt.

        Raises:
            Violation: somebody else was given it before.
        """
        told = self.runs[path]
        told.created = True
        if number in told.attempts and not self.may_return(path):
            raise Violation(f"attempt {number} at {path} was given to {told.attempts[number]} and to {who}")
        told.attempts[number] = who

    def imported(self, scope: str, name: str, version: int, content: str) -> None:
        """Somebody was told that content is this version.

        Raises:
            Violation: other content was said to be.
        """
        known = self.versions.setdefault((scope, name, version), content)
        if known != content:
            raise Violation(f"version {version} of {name} is said to be {known} and {content}")

    def may_return(self, path: str) -> bool:
        """Tell whether a run that was deleted may be seen again, or one of its name."""
        return self.frees and self.runs[path].doomed

    def copy(self) -> Memory:
        """Return what was told by now."""
        return {path: told.copy() for path, told in self.runs.items()}, dict(self.versions)

    # ------------------------------------------------------------------------------------------------- what is seen

    def check(self, rows: Mapping[str, Row], told: Memory, who: str) -> None:
        """Hold an answer against what had been told when it was asked for.

        Raises:
            Violation: something is missing.
        """
        runs, versions = told
        for path, run in runs.items():
            row = rows.get(path)
            shown = row is not None and row.shown
            if run.deleted and shown and not self.may_return(path):
                raise Violation(f"{who}: {path} was deleted, and is shown")
            if self.runs[path].doomed:
                continue
            if not shown:
                if run.created or run.attempts:
                    raise Violation(f"{who}: {path} is missing")
                continue
            assert row is not None
            self._check_run(path, run, row.document, who)
        for (scope, name, version), content in versions.items():
            row = rows.get(scope)
            hashes = {
                record.get("content_hash")
                for record in (row.assets if row is not None else ())
                if (record.get("name"), record.get("version")) == (name, version)
            }
            if hashes != {content}:
                raise Violation(f"{who}: version {version} of {name} in {scope!r} is {hashes or 'missing'}")

    def _check_run(self, path: str, told: Told, document: Mapping[str, Any], who: str) -> None:
        history = {entry["attempt"]: entry["status"] for entry in document["execution_history"]}
        if missing := set(told.attempts) - set(history):
            raise Violation(f"{who}: {path} lacks attempts {sorted(missing)}")
        for number, status in told.ended.items():
            if history[number] != status:
                raise Violation(
                    f"{who}: attempt {number} at {path} ended as {status}, and is said to be {history[number]}"
                )
        if missing_tags := told.tags - set(document["tags"]):
            raise Violation(f"{who}: {path} lacks tags {sorted(missing_tags)}")
        if told.archived and not document.get("archived"):
            raise Violation(f"{who}: {path} was archived")
        if not self.runs[path].ever_fresh:
            for name, (number, value) in told.results.items():
                if number in told.ended and document["results"].get(name) != value:
                    raise Violation(f"{who}: {path} lacks the result {name} of attempt {number}")

    def watch(self, reader: int, rows: dict[str, Row], who: str) -> None:
        """Hold an answer against the one that a reader had before.

        Raises:
            Violation: it went backwards.
        """
        for path, row in self._seen[reader].items():
            if self.may_return(path):
                continue
            now = rows.get(path)
            if now is None or not now.shown:
                if not self.runs[path].doomed:
                    raise Violation(f"{who}: {path} vanished")
                self._gone[reader].add(path)
            else:
                self._compare(path, row, now, who)
        shown = {path: row for path, row in rows.items() if row.shown}
        if back := {path for path in self._gone[reader] & shown.keys() if not self.may_return(path)}:
            raise Violation(f"{who}: {sorted(back)} came back")
        self._seen[reader] = shown

    @staticmethod
    def _compare(path: str, before: Row, now: Row, who: str) -> None:
        history = {entry["attempt"]: entry["status"] for entry in now.document["execution_history"]}
        finished = set()
        for entry in before.document["execution_history"]:
            number, status = entry["attempt"], entry["status"]
            if number not in history:
                raise Violation(f"{who}: attempt {number} at {path} vanished")
            if status not in (history[number], "running"):
                raise Violation(f"{who}: attempt {number} at {path} was {status}, and is {history[number]}")
            if status != "running":
                finished.add(number)
        if lost := set(before.document["tags"]) - set(now.document["tags"]):
            raise Violation(f"{who}: {path} lost tags {sorted(lost)}")
        if len(history) == len(before.document["execution_history"]):  # no fresh one began
            gone = before.document["results"].keys() - now.document["results"].keys()
            if gone := {name for name in gone if attempt_of(name) in finished}:
                raise Violation(f"{who}: {path} lost results {sorted(gone)}")


def attempt_of(result: str) -> int:
    """The number of the attempt that a result is from, which its name says."""
    return int(result.partition("-")[0].removeprefix("r"))
