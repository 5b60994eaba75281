"""``ws.catalog``: what users ask."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack, overload

from molexp._catalog.compaction.snapshots import damaged_parts
from molexp._catalog.index.database import BUSY, is_busy
from molexp._catalog.index.index import owners_of
from molexp._catalog.index.stored import GONE, compare
from molexp._catalog.index.tables import ASSETS, RUNS, Table
from molexp._catalog.query.answers import Asking, Question, Row
from molexp._catalog.query.paging import Pager, in_pages
from molexp._catalog.query.questions import (
    RunFilters,
    about_assets,
    about_runs,
    checked_limit,
    known_fields,
    parse_run_query,
    refuse_unknown,
    unknown_fields,
)
from molexp._catalog.query.totals import Totals, count_totals
from molexp._catalog.refresh.reading import read_news
from molexp._catalog.refresh.refresh import Refresher
from molexp._hierarchy.run import Run
from molexp._hierarchy.run_rows import RunRow, run_rows
from molexp._record.submissions import open_submissions, queued_runs
from molexp._values.documents import decode_object
from molexp._values.tables import Pages, Rows, as_dict
from molexp.contracts._kinds import kind_name
from molexp.errors import CorruptRecordError, MolexpError, NotFoundError

if TYPE_CHECKING:
    from molexp._catalog.index.index import Index
    from molexp._catalog.lineage.graph import Kind, Lineage
    from molexp._catalog.query.near_misses import NearMiss
    from molexp._catalog.query.questions import AssetFilters
    from molexp._hierarchy.session import Session
    from molexp._record.reports import Report
    from molexp.contracts import AssetKind
    from molexp.contracts._assets import Asset

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F")

_TRIES = 5  # questions that are asked again because what the index had was not there
_OF_SQLITE = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.NotSupportedError, sqlite3.ProgrammingError)
_EITHER = (*_OF_SQLITE, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors that come from a fault of ours or of the caller, or from a damaged index: the index is checked."""


def from_a_sound_index(answer: Callable[Concatenate[Catalog, P], T]) -> Callable[Concatenate[Catalog, P], T]:
    """Answer again from a new index if the one at hand turns out to be damaged, or gone."""

    @wraps(answer)
    def answer_again(self: Catalog, /, *args: P.args, **kwargs: P.kwargs) -> T:
        # The first time a file was damaged; the second time a folder cannot hold one, or a snapshot is no better.
        for again in (False, True):
            try:
                return answer(self, *args, **kwargs)
            except (sqlite3.DatabaseError, CorruptRecordError, *_EITHER) as error:
                if isinstance(error, _EITHER) and isinstance(error, MolexpError):
                    raise  # without a look at the index, which may be what cannot be reached
                index = self._session.index
                if isinstance(error, sqlite3.Error) and is_busy(error):
                    raise MolexpError(
                        f"The index {index.location!r} is kept locked by another process for more than {BUSY:g} s: one that "
                        "was stopped, or a program that looks into it. End that, or let MOLEXP_CACHE_DIR name another folder."
                    ) from error
                if isinstance(error, _EITHER) and not index.damage():
                    raise
                index.discard()
                if again and self._session.workspace.exists():
                    index.anew(self._read_all)
        return answer(self, *args, **kwargs)

    return answer_again


class Catalog:
    """Answers which runs and which assets there are, from a derived index that every call brings up to date first.

    Everything in it can be deleted and rebuilt from the files; see ``docs/explanation/catalog.md``.

    Example:
        >>> [row.id for row in ws.catalog.runs("results.energy < 0", experiment="cu")]
        ['cu-small']
        >>> ws.catalog.unknown_fields("results.enrgy < 0")
        {'results.enrgy': ('results.energy',)}
        >>> [asset.name for asset in ws.catalog.assets(kind="artifact")]
        ['volumes.json']
        >>> [node.label for node in ws.catalog.lineage("cu-small:volumes.json").upstream]
        ['cu-small']
        >>> ws.catalog.short_ids(ws.catalog.runs())
        {'metals/cu/cu-small': 'cu-small'}
        >>> [(one.condition, one.runs) for one in ws.catalog.near_misses("results.energy > 0")]
        [('results.energy > 0', 0)]
        >>> [(one.path, one.runs) for one in ws.catalog.totals() if one.runs]
        [('metals/cu', 1)]
        >>> ws.catalog.fields("ENERGY"), ws.catalog.version() == ws.catalog.version()
        (['results.energy'], True)
        >>> (ws.catalog.verify().ok, ws.catalog.rebuild().ok, ws.catalog.compact().ok)
        (True, True, True)
        >>> dict(ws.catalog.unreadable())
        {}
    """

    def __init__(self, session: Session, run: Callable[[str], Run]) -> None:
        self._session = session
        self._run = run  # looks a run up in the workspace

    def __repr__(self) -> str:
        return f"<catalog of {self._session.store.url}>"

    @from_a_sound_index
    def runs(
        self,
        where: str | None = None,
        /,
        *,
        project: str | None = None,
        experiment: str | None = None,
        status: str | Iterable[str] | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        archived: bool = False,
        sort: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Rows[RunRow]:
        """Return the runs that match all of what is given.

        Args:
            where: a query, such as ``params.lr < 0.01 and (status == "failed" or results.loss > 2)``; see
                ``docs/reference/query-language.md``.
            project: a project's id.
            experiment: an experiment's id, or ``project/experiment``.
            status: one status, or several.
            params: parameters that must be equal, by name; a dotted name reaches into a nested one.
            tags: tags that they must all have.
            archived: list archived runs, too; `Rows.archived` says how many are left out. A query that names ``archived``
                decides by itself.
            sort: a column, such as ``created_at``, ``results.loss`` or ``metrics.loss.min``, with ``-`` before it for descending order; by
                default they come as they were created.
            limit: the number of rows to return at most; None for all.
            after: the path of a run: begin with the one that comes after it, which is how to read the next page.

        Raises:
            QueryError: a query that cannot be understood; shows where.
            NotFoundError, TypeError: the run to begin after is not there, or is no path.
            ValueError: a status that does not exist, a column that there is not, or that none of these runs has while others
                have columns beside it, or a negative limit.
        """
        about: RunFilters = {
            "project": project,
            "experiment": experiment,
            "status": status,
            "params": params,
            "tags": tags,
        }
        question = about_runs(where, {**about, "archived": archived, "sort": sort}, limit, after)
        rows = self._ask(question)
        if question.sort is not None and rows:
            refuse_unknown(self._session.index, question.sort)
        return run_rows(self._session, rows, *self._beside(question))

    @from_a_sound_index
    def run_pages(self, where: str | None = None, /, **filters: Unpack[RunFilters]) -> Pages[RunRow]:
        """Return what `runs` returns, a page at a time, so that an answer of any length fits into memory.

        A page is read when you come to it. Runs that changed since the call are as they are then, and left out if they do not
        match any more. It takes the arguments of `runs`, without the limit.

        Raises:
            QueryError, ValueError: as `runs` does.

        Example:
            >>> for page in ws.catalog.run_pages(status="succeeded"):
            ...     print([row.id for row in page])
            ['cu-small']
        """
        question = about_runs(where, filters)
        pager = Pager(self._session.index, question, self._asking)
        rows, is_empty = self._pages(pager), pager.is_empty
        if not pager.sorts:
            rows, is_empty = in_pages(whole := self._ask(question)), not whole
        if question.sort is not None and not is_empty:
            refuse_unknown(self._session.index, question.sort)
        left_out, hidden = self._beside(question)
        pages = (run_rows(self._session, page, left_out, hidden) for page in rows)
        return Pages(pages, pager.statuses, left_out, hidden, pager.days)

    @from_a_sound_index
    def short_ids(self, rows: Iterable[RunRow | Run]) -> dict[str, str]:
        """Return for each run, by its path, the shortest name that `Workspace.run` takes for it."""
        from molexp._catalog.query.short_ids import short_ids
        from molexp._hierarchy.references import path_of

        return short_ids(self._session.index, [*map(path_of, rows)])

    @from_a_sound_index
    def near_misses(self, where: str | None = None, /, **filters: Unpack[RunFilters]) -> list[NearMiss]:
        """Return how many runs meet each condition of a question, taken alone: why none, or so few, meet them all.

        It takes the arguments of `runs`, without the limit. Conditions within ``or`` and ``not`` are left out.
        """
        from molexp._catalog.query.near_misses import near_misses, texts_of

        asking, index = self._asking(), self._session.index
        return near_misses(about_runs(where, filters), asking.count, lambda field: texts_of(index, field))

    @from_a_sound_index
    def fields(self, containing: str = "", *, limit: int | None = None) -> list[str]:
        """Return the names of parameters, results, metrics and whatever else runs may be asked for, such as ``params.lr``.

        Args:
            containing: Only names that have this in them, whether or not in capitals. Those of deleted runs stay until `rebuild`.
            limit: the number of names to return at most; None for all.
        """
        self._refresh()
        return known_fields(self._session.index, containing, checked_limit(limit))

    @from_a_sound_index
    def version(self) -> str:
        """Return a text that changes whenever an answer may have changed, unless somebody deletes files by hand."""
        return self._session.index.version(self._refresh(), self._refresher.unreadable)

    @from_a_sound_index
    def totals(self, *, project: str | None = None) -> Rows[Totals]:
        """Return how many runs each experiment has, by status, and how large they are; no run is read for it.

        Experiments without runs and data are left out. Data of a project, or of the workspace, has a row of its own.
        With the id of a project it is about that one alone.
        """
        self._refresh()
        left_out = self._session.index.left_out(project or "", self._refresher.unreadable)
        return Rows(count_totals(self._session.index, project), Totals.to_dict, unreadable=left_out)

    @overload
    def assets(
        self, where: str | None = None, /, *, kind: type[AssetKind[T, F]], **filters: Unpack[AssetFilters]
    ) -> Rows[Asset[T, F]]: ...

    @overload
    def assets(
        self, where: str | None = None, /, *, kind: str | None = None, **filters: Unpack[AssetFilters]
    ) -> Rows[Asset]: ...

    @from_a_sound_index
    def assets(
        self,
        where: str | None = None,
        /,
        *,
        kind: type[AssetKind[Any, Any]] | str | None = None,
        name: str | None = None,
        scope: str | None = None,
        producer: Run | str | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> Rows[Any]:
        """Return the assets that match all of what is given.

        Args:
            where: a query, such as ``step > 100``, of common fields and those of kinds: ``docs/reference/query-language.md``.
            kind: a kind, or its name.
            name: an asset's name.
            scope: path of the run, experiment or project that they belong to; "" is the workspace.
            producer: the run that made them, or its path.
            sort: a column, such as ``size`` or a kind's ``step``, with ``-`` for descending order; else the oldest is first.
            limit: the number of rows to return at most; None for all.

        Raises:
            QueryError: a query that cannot be understood; shows where.
            ValueError: a column that no asset has, a negative limit, or a run of another workspace.
        """
        if where is not None or sort is not None:
            self._refresh()
        self._session.refuse_others(producer)
        by = producer.path if isinstance(producer, Run) else producer
        equal = {"kind": kind_name(kind), "name": name, "scope": scope, "producer": by}
        library = self._session.library
        records = self._ask(about_assets(self._session.index, library, where, equal, sort, limit), ASSETS)
        found = [library.asset(decode_object(record, "index")) for _, record in records]
        left_out = self._session.index.left_out(scope or by or "", self._refresher.unreadable, assets=True)
        return Rows(found, as_dict, unreadable=left_out)

    def lineage(self, of: Asset | Run | RunRow | str, *, upstream: bool = True, downstream: bool = True) -> Lineage:
        """Return what something was made from, and what became of it: assets, and the runs that made and used them.

        Args:
            of: an asset, or its id; a run, or whatever `Workspace.run` takes for one; or a run and the name of an asset
                of it, ``@latest:model.json``.
            upstream: Follow what it was made from.
            downstream: Follow what became of it.

        Raises:
            NotFoundError: there is no such thing, and nothing that came of it.
            AmbiguousAssetError: assets of several kinds have the name.
            TypeError, ValueError: it is something else, or of another workspace.
        """
        from molexp._hierarchy.references import kind_and_name

        self._session.refuse_others(of)
        return self._lineage(*kind_and_name(of, self._run), upstream, downstream)

    @from_a_sound_index
    def _lineage(
        self, kind: Kind, name: str, reason: NotFoundError | None, upstream: bool, downstream: bool
    ) -> Lineage:
        from molexp._catalog.lineage.tracing import Tracer

        for _ in range(_TRIES):
            generation = self._refresh()
            with self._session.index.reading():
                tracer = Tracer(self._session.index)
                is_current = self._session.index.generation == generation
                found = tracer.lineage(kind, name, upstream=upstream, downstream=downstream)
            if is_current and self._refresher.still_there(tracer.owners) == tracer.owners:
                break
        if found is None:
            raise reason or NotFoundError(kind, name, where=self._session.store.url)
        return found

    @from_a_sound_index
    def unreadable(self) -> Mapping[str, str]:
        """Return what could not be read, key to reason; the answers are right for the rest."""
        self._refresh()
        return {**self._session.index.problems(), **self._refresher.unreadable}

    @from_a_sound_index
    def rebuild(self) -> Report:
        """Read everything anew, into an empty index; until that is done, answers come from what was known."""
        from molexp._record.reports import Finding, Report

        counts = self._session.index.anew(self._read_all) if self._session.workspace.exists() else {}
        return Report("rebuild", tuple(Finding(*problem) for problem in self.unreadable().items()), counts)

    @from_a_sound_index
    def verify(self) -> Report:
        """Read everything and compare: what differed is reported, and mended; what cannot be read is reported, too."""
        from molexp._record.reports import Finding, Report

        index, findings = self._session.index, []
        if damage := index.damage():
            index.discard()
            findings.append(Finding(index.location, f"the index cannot be trusted: {damage}", "begun anew"))
        self._refresh()
        known = index.known()
        going_on = known.open | owners_of(known.pending)
        differing, rows = index.anew(self._read_and_compare) if self._session.workspace.exists() else ([], 0)
        if differing:  # later announcements are no fault of the index
            news = read_news(self._session.store, known.journals)
            going_on |= owners_of(news.announced)
        told = going_on | {owner for owner, *_ in index.known().doubts}  # of what cannot be read, the reason is told
        for owner, key, what in differing:
            if owner not in (told if what == GONE else going_on):
                findings.append(Finding(key, f"{what} in the index", "mended"))
        for key, reason in damaged_parts(self._session.store).items():
            findings.append(Finding(key, f"{reason} Readers pass it over; `molexp catalog compact` replaces it."))
        findings += [Finding(*problem) for problem in self.unreadable().items()]
        return Report("verify", tuple(findings), {"rows": rows})

    @from_a_sound_index
    def compact(self) -> Report:
        """Fold the journals of writers that are done into a snapshot, from which new readers begin.

        That happens by itself, in passing, where there is enough of it. Nobody has to stop for it.

        Raises:
            ReadOnlyError: the workspace was opened read-only.
            StoreError: it cannot be written there; nothing is lost.
        """
        from molexp._catalog.compaction.compaction import Compactor
        from molexp._record.reports import Report

        if not self._session.workspace.exists():
            return Report("compact")
        self._session.materialize()  # refuses what a newer MolExp made
        return Report("compact", (), Compactor(self._session, self._session.index).compact())

    @from_a_sound_index
    def unknown_fields(self, where: str) -> Mapping[str, tuple[str, ...]]:
        """Return fields of a query that no run has, each with those that look similar: it may be misspelt, or not there yet.

        Raises:
            QueryError: a query that cannot be understood.
        """
        return unknown_fields(self._session.index, parse_run_query(where))

    # ------------------------------------------------------------------------------------------------------------- pieces

    def _read_and_compare(self, index: Index) -> tuple[list[tuple[str, str, str]], int]:
        self._read_all(index)
        return compare(self._session.index, index)

    def _read_all(self, index: Index) -> dict[str, int]:
        known: set[str] = set()
        with suppress(sqlite3.DatabaseError):
            known = self._session.index.owners()
        return Refresher(self._session, index).scan(also=known)

    def _refresh(self) -> str:
        """Bring the index up to date; returns the generation in which it is."""
        session, index = self._session, self._session.index
        refresher = Refresher(session, index)
        if is_there := session.gather():
            refresher.refresh()
            index.note_queued(queued_runs(open_submissions(session.store, refresher.unreadable)))
        self._refresher = refresher  # not before: another thread may be about to say what its answer leaves out
        return refresher.generation if is_there else index.generation

    def _ask(self, question: Question, table: Table = RUNS) -> list[Row]:
        for _ in range(_TRIES):
            asking = self._asking(table)
            found = asking.answer(question)
            if found is not None:
                break
        else:
            found = asking.answer(question, surely=True) or []
        self._session.compact_if_due()  # now that the answer is there
        return found

    def _asking(self, table: Table = RUNS) -> Asking:
        """Bring the index up to date, and return who answers by it."""
        return Asking(self._session.store, self._session.index, table, self._refresh(), self._refresher.still_there)

    def _pages(self, pager: Pager) -> Iterator[Sequence[Row]]:
        while page := self._page(pager):
            yield page
        self._session.compact_if_due()

    @from_a_sound_index
    def _page(self, pager: Pager) -> list[Row]:
        return pager.page()

    def _beside(self, question: Question) -> tuple[dict[str, str], int]:
        """Return what could not be read of a question's scope, and how many archived runs it leaves out."""
        session, index = self._session, self._session.index
        left_out = index.left_out(question.scope, self._refresher.unreadable)
        if not question.hides or not index.select("SELECT 1 FROM entities WHERE archived = 1 LIMIT 1"):
            return left_out, 0
        return left_out, Asking(session.store, index, RUNS).count(question.of_archived())
