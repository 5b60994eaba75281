"""Keeping a copy up to date: after a pass over everything, passes over what changed, again and again.

What changed, the source's writers announce in their journals (`docs/explanation/catalog.md`); runs that go on are looked at
in each pass, because nobody announces that a log grows. What nobody announces comes with the next pass over everything.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Generator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from molexp._catalog.compaction import snapshots
from molexp._catalog.index.index import Hint, Mark
from molexp._catalog.refresh.reading import News, newest_snapshot, read_news
from molexp._hierarchy.workspace import Workspace
from molexp._record.deletions import delete_edit_of
from molexp._record.reading import listed_leases
from molexp._storage import layout
from molexp._sync.reports import SyncProgress, SyncReport
from molexp._sync.sync import Pair, opened
from molexp._values.documents import decode_object
from molexp.contracts import RemotePath
from molexp.errors import ConflictError, CorruptRecordError, KeyNotFoundError, ReadOnlyError, StoreError

_EVERYTHING = 600.0  # seconds after which everything is looked at once more

Look = frozenset[tuple[str, str]]
"""The keys below a run's folder, with their versions."""


def follow_workspace(
    source: Workspace | str | os.PathLike[str] | RemotePath,
    destination: Workspace | str | os.PathLike[str] | RemotePath,
    *,
    merge: bool = False,
    every: float = 5.0,
    progress: Callable[[SyncProgress], None] | None = None,
) -> Generator[SyncReport, None, None]:
    """Keep `destination` up to date with `source`, as `sync_workspace` would again and again, until you stop iterating.

    The first pass is over everything. Later ones look at what was announced since, and at the runs that go on: a pass
    without news costs a handful of requests, and one for each run that goes on. Every ten minutes, and after a compaction
    that was missed, a pass is over everything again, for what nobody announces, such as files that were copied by hand.

    Args:
        source: The workspace to copy from, or its path or URL.
        destination: The workspace to copy to; it is created, with the source's id, if there is none.
        merge: the destination may be a workspace of its own, with another id.
        every: seconds from the beginning of one pass to that of the next.
        progress: called with how far a pass has come, from several threads, one at a time.

    Yields:
        The report of the first pass, of each later one that brought or found something, and of one that was not possible
        because storage does not answer: its `outage` says so. The passes go on, and the next one that comes to its end is
        reported, too.

    Raises:
        NotFoundError, ConflictError, ReadOnlyError, SchemaError: see `sync_workspace`; a ConflictError as well if another
            workspace was put in the place of one of them.
        ValueError: the same; or `every` is no positive number.
        StoreError: storage does not answer the first pass.

    Example:
        >>> reports = me.follow_workspace(ws, "copy")
        >>> next(reports).ok
        True
        >>> reports.close()
    """
    if not every > 0:
        raise ValueError(f"every={every!r} is no positive number of seconds.")
    with opened(source, destination, merge=merge) as pair:
        follower, outage, first = _Follower(pair), "", True
        while True:
            began = time.monotonic()
            try:
                report = follower.step(progress)
            except ReadOnlyError:
                raise
            except StoreError as error:
                if first:
                    raise
                if str(error) != outage:
                    outage = str(error)
                    yield SyncReport(pair.ours.url, pair.theirs.url, outage=outage)
            else:
                is_news = follower.is_news(report)
                if first or outage or is_news:
                    yield report
                outage, first = "", False
            threading.Event().wait(max(0.0, every - (time.monotonic() - began)))


class _Follower(Struct):
    """The state of the source that is kept from one pass to the next.

    Attributes:
        pair: the two workspaces.
        told: Findings that need not be reported again.
    """

    pair: Pair
    told: set[str] = field(default_factory=set)
    _journals: dict[str, Mark] = field(default_factory=dict)
    _snapshot: int = -1
    _waiting: set[Hint] = field(default_factory=set)  # keys that were announced and are not there yet
    _looks: dict[str, Look] = field(default_factory=dict)
    _leases: dict[str, str] = field(default_factory=dict)
    _scopes: set[str] = field(default_factory=set)  # that were brought once
    _in_the_way: set[str] = field(
        default_factory=set
    )  # runs that wait until the copy has freed another one of their id
    _everything_at: float = float("-inf")

    def is_news(self, report: SyncReport) -> bool:
        """Tell whether a pass brought something, or found what was not told of before."""
        listed = (report.conflicts, report.mismatches, report.unreadable, report.deleted, report.returned)
        found = {str(one) for of in listed for one in of} - self.told
        self.told |= found
        return bool(report.counts.get("copied") or found)

    def step(self, progress: Callable[[SyncProgress], None] | None) -> SyncReport:
        """Do one pass."""
        store = self.pair.ours._session.store
        self._stays(self.pair.ours)  # a source that is not mounted has nothing new
        news = read_news(store, self._journals)
        number, _ = newest_snapshot(store)
        leases = listed_leases(store)
        if time.monotonic() - self._everything_at >= _EVERYTHING or self._has_missed(news, number):
            began = time.monotonic()
            news = read_news(store, {}) if self._journals else news
            report = self._bring(progress)
            there: Collection[str] = self.pair.listed
            self._waiting = {hint for hint in news.announced if hint[1] not in there}
            self._scopes = {
                layout.owner_of(key) for key in there if key.endswith(("/project.json", "/experiment.json"))
            }
            self._looks.clear()
            self._journals, self._everything_at = news.journals, began
        else:
            report = self._some(news, leases, progress)
            self._journals = {
                name: mark for name, mark in {**self._journals, **news.journals}.items() if name not in news.vanished
            }
        self._snapshot, self._leases = number, leases
        return report

    def _has_missed(self, news: News, number: int) -> bool:
        """Tell whether something was announced, and folded into a snapshot, that was not read here."""
        if news.shrunk or number < self._snapshot:
            return True
        if number == self._snapshot and not news.vanished:
            return False
        try:
            manifest = snapshots.read_manifest(self.pair.ours._session.store, number)
        except (KeyNotFoundError, CorruptRecordError):
            return True
        read = {**self._journals, **news.journals}
        return (
            not manifest.follows(self._snapshot)
            or bool(manifest.unread(self._snapshot, read))
            or not all(map(manifest.folds, news.vanished))
        )

    def _some(
        self, news: News, leases: Mapping[str, str], progress: Callable[[SyncProgress], None] | None
    ) -> SyncReport:
        """Do a pass over what was announced, and what goes on."""
        store = self.pair.ours._session.store
        go_on = {layout.writer_of_journal(name) for name in {*self._journals, *news.journals} - news.vanished}
        waiting = {hint for hint in (self._waiting | news.announced) - news.withdrawn if hint[0] in go_on}
        owners = {layout.owner_of(key) for _, key in waiting | news.announced | news.withdrawn}
        runs = {path for path in owners if layout.is_run(path)} | self.pair.live.keys()
        runs |= {layout.leased(key) for key in leases.keys() - self._leases.keys()} - {""}
        looks = self._look(sorted(runs))
        there = {f"{layout.folder(path)}/{rest}" for path, look in looks.items() for rest, _ in look}
        of_scopes = sorted({key for _, key in waiting if not layout.is_run(layout.owner_of(key))})
        there |= {key for key, is_there in zip(of_scopes, store.each(store.exists, of_scopes), strict=True) if is_there}
        self._waiting = {hint for hint in waiting if hint[1] not in there}
        within = {path for path, look in looks.items() if look != self._looks.get(path) or self._is_new(path, leases)}
        within |= {layout.owner_of(key) for key in there.intersection(of_scopes)}
        # An edit that is gone went with its run, which was freed: its experiment remembers that.
        gone = {layout.owner_of(key) for _, key in self._waiting if layout.is_edit(key)}
        within |= {path.rpartition("/")[0] for path in within & gone}
        within |= {path for path in self._in_the_way if delete_edit_of(self.pair.theirs._session.store, path) is None}
        if not within:
            return SyncReport(self.pair.ours.url, self.pair.theirs.url)
        above = {path.rpartition("/")[0] for path in within if path} | {path.partition("/")[0] for path in within}
        within |= (above - self._scopes) | {""}  # it has the provenance that runs name
        report = self._bring(progress, within)
        self._scopes |= above
        self._looks.update(looks)
        return report

    def _bring(
        self, progress: Callable[[SyncProgress], None] | None, within: Collection[str] | None = None
    ) -> SyncReport:
        self._stays(self.pair.theirs)
        report = self.pair.bring(progress=progress, within=within)
        waiting = {
            path for one in report.unfinished if layout.folder(path := layout.owner_of(f"{one.key}/")) == one.key
        }
        self._in_the_way = waiting if within is None else self._in_the_way.difference(within) | waiting
        return report

    def _stays(self, workspace: Workspace) -> None:
        """Raise if a workspace is not there, or if another one lies in its place: the two would be mixed.

        Raises:
            StoreError: it is not there; what may be missing when it is back, a pass over everything finds.
            ConflictError: another one lies there.
        """
        try:
            found = decode_object(workspace._session.store.read(layout.WORKSPACE), layout.WORKSPACE).get("id")
        except KeyNotFoundError:
            self._everything_at = float("-inf")
            what = f"{workspace.url} was moved, removed or unmounted: its {layout.WORKSPACE!r} is gone. Bring it back."
            raise StoreError(what, key=layout.WORKSPACE, url=workspace.url) from None
        except CorruptRecordError:
            return  # it was damaged since
        if found != workspace.id:
            hint = "It was put in the place of the one that was opened. Begin again, if you mean this one."
            raise ConflictError("workspace", workspace.url, stored=found, given=workspace.id, hint=hint)

    def _look(self, runs: Collection[str]) -> dict[str, Look]:
        store = self.pair.ours._session.store
        found = store.each(lambda path: [*store.list(layout.folder(path))], runs)
        return {
            path: frozenset((one.key.removeprefix(f"{layout.folder(path)}/"), one.version) for one in listed)
            for path, listed in zip(runs, found, strict=True)
        }

    def _is_new(self, path: str, leases: Mapping[str, str]) -> bool:
        """Tell whether a run of which no file has changed has given a sign of life, or its owner has died."""
        if (facts := self.pair.live.get(path)) is None:
            return False
        lease = layout.lease(path, facts.number)
        if leases.get(lease) != self._leases.get(lease):
            return True
        observer = replace(self.pair.ours._session.observer, leases=leases)
        return not facts.as_of and bool(observer.judge(path, facts).dead)
