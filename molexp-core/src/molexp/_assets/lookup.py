"""Finding assets by name: this run, then the data of its experiment, project and workspace; never a sibling run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from molexp._assets.naming import is_output
from molexp._assets.verification import is_grown
from molexp._record.attempts import read_attempts, read_claim
from molexp._values.documents import count
from molexp._values.ids import fold_name, named, nearest
from molexp.contracts._assets import Asset
from molexp.contracts._kinds import kind_name
from molexp.errors import AmbiguousAssetError, NotFoundError

if TYPE_CHECKING:
    from molexp._assets.data_assets import DataAssets
    from molexp._assets.registry import Library
    from molexp.contracts import AssetKind


def pick(
    records: Iterable[Mapping[str, Any]], name: str, *, scope: str, kind: str | None, version: int | None
) -> Mapping[str, Any] | None:
    """Return the newest record of this name.

    Raises:
        AmbiguousAssetError: several kinds have it, and `kind` does not say which.
    """
    folded = fold_name(name)
    found = [
        record
        for record in records
        if fold_name(str(record.get("name", ""))) == folded
        and kind in (None, record.get("kind"))
        and version in (None, record.get("version"))
    ]
    kinds = sorted({str(record.get("kind")) for record in found})
    if len(kinds) > 1:
        raise AmbiguousAssetError(name, scope=scope, kinds=kinds)
    return max(found, key=lambda record: count(record.get("version")), default=None)


class Finder(Struct, eq=False):
    """Looks up assets for one run.

    Attributes:
        library: the workspace's kinds.
        path: the run's path.
        folder: its folder.
        scopes: returns the data of the experiment, the project and the workspace.
        own: returns the asset records of the attempt that asks; None outside of one.
        attempt: the number of that attempt.
    """

    library: Library
    path: str
    folder: str
    scopes: Callable[[], Iterable[DataAssets]]
    own: Callable[[], Iterable[Mapping[str, Any]]] | None = None
    attempt: int = 0
    _older: list[list[Mapping[str, Any]]] | None = None

    def find(
        self, name: str, *, kind: type[AssetKind[Any, Any]] | str | None = None, version: int | None = None
    ) -> Asset | None:
        """Return the asset of this name, or None.

        Raises:
            AmbiguousAssetError: several kinds of one scope have the name, and `kind` does not say which.
        """
        kind, name = kind_name(kind), named(name, "An asset", "name")
        attempts = iter(self._attempts())
        for records in attempts:
            if record := pick(records, name, scope=self.path, kind=kind, version=version):
                asset = self.library.asset(record)
                return asset if version is not None else self._with_earlier(asset, attempts)
        if kind in (None, "data"):
            for scope in self.scopes():
                found: Asset | None = scope.get(name, version=version)
                if found is not None:
                    return found
        return None

    def _with_earlier(self, asset: Asset, older: Iterable[list[Mapping[str, Any]]]) -> Asset:
        """Return the same; what grows, such as a log, with the parts of earlier attempts."""
        if not is_grown(asset) or asset.producer is None:
            return asset
        earlier = []
        for records in older:
            record = pick(records, asset.name, scope=self.path, kind=asset.kind, version=None)
            if record is not None and is_grown(one := self.library.asset(record)) and one.producer is not None:
                earlier.append(one)
        if not earlier:
            return asset
        first = self._fresh_since(asset.producer.attempt) if asset.kind != "log" else 1
        kept = [one for one in reversed(earlier) if one.producer is not None and one.producer.attempt >= first]
        return replace(asset, earlier=tuple(kept))

    def _fresh_since(self, attempt: int) -> int:
        """Return the newest attempt up to this one that started fresh."""
        numbers = range(attempt, 1, -1)
        claims = ((number, read_claim(self.library.store, self.folder, number)) for number in numbers)
        return next((number for number, claim in claims if claim.get("fresh")), 1)

    def require(
        self, name: str, *, kind: type[AssetKind[Any, Any]] | str | None = None, version: int | None = None
    ) -> Asset:
        """Return the asset of this name.

        Raises:
            NotFoundError: with the nearest names.
            AmbiguousAssetError: several kinds of one scope have the name, and `kind` does not say which.
        """
        if asset := self.find(name, kind=kind, version=version):
            return asset
        known = {str(record.get("name")) for records in self._attempts() for record in records}
        known.update(found for scope in self.scopes() for found in scope)
        what = f"{kind_name(kind)} asset" if kind else "asset"
        wanted = name if version is None else f"{name}@{version}"
        raise NotFoundError(what, wanted, where=f"{self.path} and its parents", nearest=nearest(name, known))

    def latest(self, kind: str) -> Asset | None:
        """Return the newest asset of a kind that was saved in this run, earlier attempts included; outputs of tasks are not."""
        for records in self._attempts():
            mine = (record for record in records if record.get("kind") == kind)
            if own := [record for record in mine if not is_output(record)]:
                return self.library.asset(max(own, key=lambda record: str(record.get("created_at"))))
        return None

    def _attempts(self) -> Iterable[list[Mapping[str, Any]]]:
        """Yield the asset records of each attempt, newest first."""
        if self.own is not None:
            yield list(self.own())
        if self._older is None:
            read = read_attempts(self.library.store, self.folder) if self.attempt != 1 else []
            older = [facts for facts in read if not self.attempt or facts.number < self.attempt]
            self._older = [list(facts.contents.assets.values()) for facts in reversed(older)]
        yield from self._older
