"""What lies in a workspace by names alone, and which folders no longer look as they did."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import attrs

from molexp._record import keys
from molexp._record.definitions import member_ids
from molexp.errors import CredentialsError, StoreError, UnavailableError

if TYPE_CHECKING:
    from molexp._record.home import Home

OUTAGES = (UnavailableError, CredentialsError)
"""What says nothing of the record, only that the storage cannot be asked now."""

_SCOPES = 2  # levels that have members; runs have none
_TICK = 0.05  # seconds within which two changes of a folder may bear one time
_FRESH = "?"  # ends a stamp that a later change may bear, too


@attrs.define
class Found:
    """What a walk came by.

    Attributes:
        stamps: what each folder looked like before it was listed; "" for one that nobody needs to look at again.
        listed: scopes whose members were listed.
        members: scopes and runs that are there, as far as they were listed.
        scopes: scopes whose data is to be read.
        problems: folders that cannot be listed, and why, by scope.
    """

    stamps: dict[str, str] = attrs.field(factory=dict)
    listed: set[str] = attrs.field(factory=set)
    members: set[str] = attrs.field(factory=set)
    scopes: set[str] = attrs.field(factory=set)
    problems: dict[str, dict[str, str]] = attrs.field(factory=dict)

    def lacks(self, path: str) -> bool:
        """Whether an entity, or one that it lies in, is not where the walk looked for it."""
        while path:
            above = path.rpartition("/")[0]
            if above in self.listed and path not in self.members:
                return True
            path = above
        return False


class Walker:
    """Walks one workspace."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def everything(self) -> Found:
        """Every scope and every run."""
        found = Found()
        self._enter("", found, known=())
        return found

    def changes(self, known: Mapping[str, str], again: Collection[str]) -> Found:
        """What lies in the folders that changed, and in scopes that are new.

        Args:
            known: folders, and what they looked like.
            again: folders of members to list in any case.
        """
        found = Found()
        for key, stamp in known.items():
            if key not in again and looks_like(stamp, self.stamp(key)):
                continue
            scope = keys.owner_of(f"{key}/")
            if key == keys.members(scope):
                if key in again:
                    found.scopes.add(scope)
                self._list(scope, found, known)
            else:
                self._look_at_data(scope, found)
        for key in known:
            if found.lacks(keys.owner_of(f"{key}/")):
                found.stamps[key] = ""
        return found

    def stamp(self, key: str) -> str:
        """What a folder or file looks like, where that can be had for one stat; "" elsewhere."""
        if "local_path" not in self._home.store.capabilities:
            return ""
        try:
            found = os.stat(self._home.store.locate(key))
        except (OSError, ValueError, StoreError):
            return "gone"
        fresh = abs(time.time() - max(found.st_mtime, found.st_ctime)) < _TICK
        return f"{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_size}-{found.st_ino}{_FRESH if fresh else ''}"

    def _enter(self, scope: str, found: Found, known: Collection[str]) -> None:
        found.members.add(scope)
        self._look_at_data(scope, found)
        self._list(scope, found, known)

    def _list(self, scope: str, found: Found, known: Collection[str]) -> None:
        """List a scope's members, and go through the scopes among them that are not known."""
        if scope in found.listed:
            return
        key = keys.members(scope)
        if stamp := self.stamp(key):
            found.stamps[key] = stamp  # before the listing, so that whatever comes during it is noticed next time
        try:
            members = [f"{scope}/{name}" if scope else name for name in member_ids(self._home, scope)]
        except OUTAGES:
            raise
        except StoreError as error:
            self._complain(scope, key, error, found)
            return
        found.listed.add(scope)
        found.members.update(members)
        for member in members:
            if member.count("/") < _SCOPES and keys.members(member) not in known:
                self._enter(member, found, known)

    def _look_at_data(self, scope: str, found: Found) -> None:
        """Note what the folders of a scope's data look like, before anybody reads what is in them."""
        found.scopes.add(scope)
        base = keys.below(scope, "data")
        if not (stamp := self.stamp(base)) or base in found.stamps:
            return
        found.stamps[base] = stamp
        try:
            names = self._home.store.children(base).folders
        except StoreError:
            return  # whoever reads the data says so
        for name in names:
            key = f"{base}/{name}"
            found.stamps[key] = self.stamp(key)

    @staticmethod
    def _complain(scope: str, key: str, error: StoreError, found: Found) -> None:
        found.scopes.add(scope)
        found.problems.setdefault(scope, {})[key] = str(error)


def looks_like(before: str, now: str) -> bool:
    """Whether a folder or file is as it was, as far as its stamps tell."""
    return bool(before) and before == now and not before.endswith(_FRESH)
