"""Walking through a workspace by names alone, and finding folders that changed and that nobody announced."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from molexp._catalog.index.index import Folder, Index
from molexp._catalog.refresh.reading import OUTAGES
from molexp._record.definitions import member_ids
from molexp._storage import layout
from molexp._storage.links import not_followed
from molexp.errors import StoreError

if TYPE_CHECKING:
    from molexp.contracts import Store

_TICK = 0.05  # seconds within which two changes of a folder may bear one time
_FRESH = "?"  # ends a stamp that a later change may bear, too
_TRUSTED = (
    60.0  # seconds for which a folder whose changes are explained is not listed; more where it has more names than
)
_A_SECOND = 100  # so many for each of them
_FEW = 1000  # runs that are listed rather than believed to explain a change where links are not counted
_DOTS = 2  # links to a folder that are not from folders in it


class Found(Struct):
    """The findings of a walk.

    Attributes:
        folders: The stamp of each folder before it was listed; without one if nobody needs to look at it again.
        listed: scopes whose members were listed, and those.
        members: scopes and runs that are there, as far as they were listed.
        new: those of them that were not known.
        gone: scopes and runs that were known and are not there.
        changed: runs whose folders may be others of the same names.
        scopes: scopes whose data is to be read.
        problems: folders that cannot be listed, and why, by scope.
        verified: scopes with just the members that are known, or found here.
    """

    folders: dict[str, Folder] = field(default_factory=dict)
    listed: dict[str, list[str]] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    new: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    scopes: set[str] = field(default_factory=set)
    problems: dict[str, dict[str, str]] = field(default_factory=dict)
    verified: set[str] = field(default_factory=set)

    def lacks(self, path: str) -> bool:
        """Tell whether an entity, or one that it lies in, is not where the walk looked for it."""
        while path:
            above = path.rpartition("/")[0]
            if above in self.listed and path not in self.members:
                return True
            path = above
        return False


class Expected(Struct, frozen=True):
    """The findings of a refresh that explain how folders have changed.

    Attributes:
        arrived: runs that are there and were not known.
        left: runs that were known and are not there.
        awaited: runs whose folder may be there already, and is not known yet.
    """

    arrived: Collection[str] = ()
    left: Collection[str] = ()
    awaited: Collection[str] = ()

    def of(self, paths: Collection[str], scope: str) -> set[str]:
        """Return those of some runs that are in an experiment."""
        return {path for path in paths if path.startswith(f"{scope}/")}


class _Look(Struct, frozen=True):
    stamp: str
    links: int = 0
    when: int = 0  # nanoseconds, by the file system's clock


class Walker:
    """Walks one workspace."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index
        self.sees_folders = "local_path" in store.capabilities
        """One stat tells that a folder changed."""

    def everything(self) -> Found:
        """Return every scope and every run."""
        found = Found()
        self._enter("", found, known=())
        return found

    def changes(self, known: Mapping[str, Folder], again: Collection[str], expected: Expected) -> Found:
        """Return what lies in the folders that changed, and in scopes that are new.

        Args:
            known: folders, as they were listed.
            again: folders of members to list in any case.
            expected: Findings that explain a change.
        """
        found = Found()
        for key, before in known.items():
            look = self._look(key)
            scope = layout.owner_of(f"{key}/")
            of_members = key == layout.members(scope)
            if key not in again and looks_like(before.stamp, look.stamp):
                if of_members:
                    found.verified.add(scope)
                continue
            if not of_members:
                self._look_at_data(scope, found)
                continue
            if key in again:
                found.scopes.add(scope)
            elif layout.is_experiment(scope) and self._is_explained(scope, before, look, expected):
                found.folders[key] = Folder(look.stamp, before.extra, before.listed)
                continue
            same = before.stamp.rstrip(_FRESH) == look.stamp.rstrip(_FRESH)
            moved = _inode(before.stamp) != _inode(look.stamp) and bool(_when(before.stamp))
            self._compare(scope, found, known, expected, since=0 if same else _when(before.stamp), moved=moved)
        for key in known if found.listed else ():
            if found.lacks(layout.owner_of(f"{key}/")):
                found.folders[key] = Folder("")
        return found

    def compare_all(self) -> Found:
        """Compare every name with the known ones, as if all folders had changed, and nobody knew since when."""
        found = self.everything()
        known = self._index.owners()
        found.new = {path for path in found.members - known if layout.is_run(path)}
        found.gone = {path for path in known if found.lacks(path)}
        return found

    def unchanged(self, found: Found) -> set[str]:
        """Return the scopes whose folders of members look as they did before they were listed."""
        stamps = ((scope, found.folders.get(layout.members(scope))) for scope in found.verified)
        return {scope for scope, seen in stamps if seen and looks_like(seen.stamp, self.stamp(layout.members(scope)))}

    def stamp(self, key: str) -> str:
        """Return what a folder or file looks like, where that can be had for one stat; "" elsewhere."""
        return self._look(key).stamp

    def _look(self, key: str) -> _Look:
        if not self.sees_folders:
            return _Look("")
        try:
            found = os.lstat(self._store.locate(key))
        except (OSError, ValueError, StoreError):
            return _Look("gone")
        when = max(found.st_mtime_ns, found.st_ctime_ns)
        fresh = abs(time.time() - when / 1e9) < _TICK
        stamp = f"{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_size}-{found.st_ino}{_FRESH if fresh else ''}"
        return _Look(stamp, found.st_nlink, when)

    def _is_explained(self, scope: str, before: Folder, look: _Look, expected: Expected) -> bool:
        """Tell whether known runs explain a folder of runs, and that was checked a moment ago.

        A folder has a link from each folder in it, where the file system counts them (ext4 does up to 65 000). Where it does
        not, a folder of many runs must not have changed since the newest of those that arrived.
        """
        arrived = expected.of(expected.arrived, scope)
        if not arrived or expected.of(expected.awaited, scope) or _inode(before.stamp) != _inode(look.stamp):
            return False
        known = self._index.counted(scope)
        if not 0 <= time.time() - before.listed < max(_TRUSTED, known / _A_SECOND):
            return False
        if look.links > _DOTS:
            there = known + len(arrived) - len(expected.of(expected.left, scope))
            return there == look.links - _DOTS - before.extra
        return known > _FEW and look.when <= max(self._look(layout.folder(path)).when for path in arrived)

    def _compare(
        self, scope: str, found: Found, known: Collection[str], expected: Expected, *, since: int, moved: bool
    ) -> None:
        """List a scope's members again, and tell how they differ from what is known.

        Args:
            scope: the scope.
            found: added to.
            known: folders that were listed before.
            expected: Findings that explain a change.
            since: when it was listed before, in nanoseconds by the file system's clock; 0 if nothing has changed.
            moved: It is another folder now.
        """
        self._list(scope, found, known)
        if scope not in found.listed:
            return
        there = set(found.listed[scope])
        were = self._index.members(scope)
        for lost in were - there:
            found.gone |= self._index.within(lost) if not layout.is_run(lost) else {lost}
        if not layout.is_experiment(scope):
            return
        arrived = expected.of(expected.arrived, scope)
        new = there - were - arrived
        found.new |= new
        lost_runs = were - there - expected.of(expected.left, scope)
        if moved:  # another folder of that name: whatever is in it may be older than what was there
            found.changed |= there & were
        elif since and (lost_runs or new - expected.of(expected.awaited, scope) or not arrived):
            found.changed |= {path for path in there & were if self._look(layout.folder(path)).when >= since}

    def _enter(self, scope: str, found: Found, known: Collection[str]) -> None:
        found.members.add(scope)
        self._look_at_data(scope, found)
        self._list(scope, found, known)
        if layout.is_experiment(scope):
            found.new.update(found.listed.get(scope, ()))

    def _list(self, scope: str, found: Found, known: Collection[str]) -> None:
        """List a scope's members, and go through the scopes among them that are not known."""
        if scope in found.listed:
            return
        key = layout.members(scope)
        look = self._look(key)  # before the listing, so that whatever comes during it is noticed next time
        special: dict[str, str] = {}
        try:
            members = [f"{scope}/{name}" if scope else name for name in member_ids(self._store, scope, special)]
        except OUTAGES:
            raise
        except StoreError as error:
            if look.stamp:
                found.folders[key] = Folder(look.stamp)
            self._complain(scope, key, error, found)
            return
        for one, what in special.items():
            self._complain(scope, one, not_followed(what), found)
        if look.stamp:
            found.folders[key] = Folder(look.stamp, max(0, look.links - _DOTS - len(members)), time.time())
        found.listed[scope] = members
        found.verified.add(scope)
        found.members.update(members)
        for member in members:
            if not layout.is_run(member) and layout.members(member) not in known:
                self._enter(member, found, known)

    def _look_at_data(self, scope: str, found: Found) -> None:
        """Note what the folders of a scope's data look like, before anybody reads what is in them."""
        found.scopes.add(scope)
        base = layout.below(scope, layout.DATA)
        if not (stamp := self.stamp(base)) or base in found.folders:
            return
        found.folders[base] = Folder(stamp)
        try:
            names = self._store.children(base).folders
        except StoreError:
            return  # whoever reads the data says so
        for name in names:
            key = f"{base}/{name}"
            found.folders[key] = Folder(self.stamp(key))

    @staticmethod
    def _complain(scope: str, key: str, error: object, found: Found) -> None:
        found.scopes.add(scope)
        found.problems.setdefault(scope, {})[key] = str(error)


def _when(stamp: str) -> int:
    """Return the time in nanoseconds at which a folder with this stamp had changed last; 0 if that is unknown."""
    parts = stamp.rstrip(_FRESH).split("-")
    return max(int(parts[0]), int(parts[1])) if len(parts) == 4 and parts[0].isdigit() and parts[1].isdigit() else 0


def _inode(stamp: str) -> str:
    return stamp.rstrip(_FRESH).rpartition("-")[2]


def looks_like(before: str, now: str) -> bool:
    """Tell whether a folder or file is as it was, as far as its stamps tell."""
    return bool(before) and before == now and not before.endswith(_FRESH)
