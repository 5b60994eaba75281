"""The asset kinds of a workspace: from records to assets, from assets to objects."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import attrs

from molexp._assets.assets import UnknownAsset
from molexp._recording.usage import opens
from molexp._storage.links import reading
from molexp._values.copies import own_copy
from molexp._values.numbers import count
from molexp._values.plain import restore
from molexp._values.structuring import record_from, record_of
from molexp._values.times import parse_time
from molexp.contracts import AssetKind, Store, Upgrades
from molexp.contracts._assets import Asset, Producer
from molexp.errors import KeyNotFoundError, MolexpError, PluginError

if TYPE_CHECKING:
    from molexp._assets.local_copies import Copies
    from molexp.contracts._assets import Sink
    from molexp.plugins import PluginManager


@attrs.frozen
class KeySource:
    """A payload to read, as kinds see it."""

    asset: Asset
    library: Library

    @property
    def name(self) -> str:
        """Return the value that it was saved as."""
        return self.asset.name

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields of its kind."""
        return self.asset.fields

    def open(self) -> IO[bytes]:
        """Return a seekable binary stream, which checks what is read from the beginning to the end."""
        from molexp._assets.verification import checked

        store = self.library.reading(self.asset)
        return checked(self.asset, store, store.open_read(self.asset.key))

    def path(self) -> Path:
        """Return a local path to read from."""
        return self.library.local(self.asset)


class KindInfo(NamedTuple):
    """Hold what the records of a kind's assets need of it.

    Attributes:
        asset_class: the class of its assets.
        distribution: the distribution that provides it.
        field_names: the names of its fields.
    """

    asset_class: type[Asset]
    distribution: str
    field_names: tuple[str, ...]


class Library:
    """Know the asset kinds of a workspace."""

    def __init__(self, store: Store, plugins: PluginManager) -> None:
        self.store = store
        self.plugins = plugins
        self._kinds: dict[str, AssetKind[Any]] = {}
        self._infos: dict[str, KindInfo] = {}
        self._copies: dict[int, Copies] = {}  # by process: a forked child has its own

    def __reduce__(self) -> tuple[Any, ...]:
        return _library, (self.store,)

    # ---------------------------------------------------------------------------------------------------------- kinds

    def kind(self, name: str) -> AssetKind[Any]:
        """Return the kind of this name.

        Raises:
            PluginMissingError: it is not installed.
            PluginLoadError: the plugin that provides it is broken.
        """
        if (found := self._kinds.get(name)) is None:
            found = self._kinds[name] = self.plugins.asset_kind(name)()
        return found

    def kind_of(self, cls: type[AssetKind[Any]]) -> AssetKind[Any]:
        """Return the kind of this class, registered or not."""
        if type(found := self._kinds.get(cls.name)) is cls:
            return found
        registered = self.plugins.asset_kinds().get(cls.name)
        if registered is cls:
            return self.kind(cls.name)
        if registered is not None:
            raise MolexpError(f"The kind {cls.name!r} is registered as {registered!r}, not as {cls!r}.")
        raise MolexpError(
            f"The kind {cls.name!r} is not registered: whoever reads the record could not load it. "
            "Register it through the hook molexp_register_asset_kinds."
        )

    def kind_names(self, *, savable: bool = False) -> list[str]:
        """Return the installed kinds; with `savable`, without those whose assets contexts write by themselves."""
        kinds = self.plugins.asset_kinds()
        return sorted(name for name, kind in kinds.items() if not (savable and getattr(kind, "unsaved", False)))

    def info(self, kind: AssetKind[Any]) -> KindInfo:
        """Return what the records of a kind's assets need of it."""
        if (found := self._infos.get(kind.name)) is None:
            asset_class, distribution = kind.record or _make_class(type(kind)), self.plugins.distribution_of(type(kind))
            found = KindInfo(asset_class, distribution, tuple(attrs.fields_dict(kind.fields)))
            self._infos[kind.name] = found
        return found

    # -------------------------------------------------------------------------------------------------------- records

    def fields(self, kind: AssetKind[Any], values: Mapping[str, Any], name: str) -> tuple[Any, Mapping[str, Any]]:
        """Return the fields record of an asset of `kind`, and the plain values that are read back as it.

        Args:
            kind: the kind.
            values: plain values.
            name: the asset's name, for errors.

        Raises:
            TypeError: a field that it does not have, or one that is missing, or is not of its type.
        """
        names = self.info(kind).field_names
        if unknown := sorted(values.keys() - names):
            raise TypeError(
                f"The kind {kind.name!r} has no field {unknown[0]!r}; it has: {', '.join(names) or 'none'}."
            )
        return record_of(kind.fields, values, f"{kind.name} {name!r}")

    def asset(self, record: Mapping[str, Any]) -> Asset:
        """Return the asset that a record describes; an `UnknownAsset` if its kind is missing or does not understand it."""
        try:
            return self._known(record)
        except PluginError:
            origin = record.get("distribution") or "a plugin that did not leave its name"
            problem = f"the kind {record.get('kind')!r} is not installed; it was written by {origin}"
        except Exception as error:  # noqa: BLE001 - whatever a stranger's fields class raises, the rest of the record is readable
            problem = f"its record is not understood ({type(error).__name__}: {error})"
        return UnknownAsset(**_common(record), record=own_copy(dict(record)), problem=problem, _library=self)

    def _known(self, record: Mapping[str, Any]) -> Asset:
        kind = self.kind(str(record.get("kind")))
        stored = record.get("fields") or {}
        schema = record.get("schema", 1)
        if schema < kind.schema and isinstance(kind, Upgrades):
            stored = kind.upgrade(restore(stored), schema)
        fields = record_from(kind.fields, stored)
        info = self.info(kind)
        own = {name: getattr(fields, name) for name in info.field_names}
        return info.asset_class(**_common(record), **own, _library=self)

    # ---------------------------------------------------------------------------------------------------------- bytes

    def load(self, asset: Asset) -> Any:
        """Return the object that an asset holds."""
        return self.kind(asset.kind).load(KeySource(asset, self))

    def reading(self, asset: Asset) -> Store:
        """Return the store to read an asset's bytes from: it follows the link that the asset's record speaks of, and no other."""
        return reading(self.store, asset.kind, asset.key, asset.fields) if asset.kind == "data" else self.store

    def use(self, asset: Asset) -> None:
        """Record that the attempt which asks for the bytes of an asset uses it; outside of an attempt, do nothing."""
        opens(self.store, asset)

    def refuse_folder(self, asset: Asset) -> None:
        """Raise `IsADirectoryError` if an asset is a folder of files."""
        from molexp._assets.downloads import refuse_folder

        refuse_folder(asset)

    def read_bytes(self, asset: Asset) -> bytes:
        """Return all bytes of an asset; see `Asset.read_bytes`."""
        from molexp._assets.verification import check_bytes

        store = self.reading(asset)
        return check_bytes(asset, store, store.read(asset.key))

    def download(
        self, asset: Asset, path: str | os.PathLike[str], *, overwrite: bool, progress: Callable[[int], Any] | None
    ) -> Path:
        """Copy the bytes of an asset to a local path; see `Asset.download`."""
        from molexp._assets.downloads import download

        return download(asset, self.reading(asset), path, overwrite=overwrite, progress=progress)

    def copy_to(self, asset: Asset, stream: Sink, *, progress: Callable[[int], Any] | None) -> None:
        """Write the bytes of an asset to a stream; see `Asset.copy_to`."""
        from molexp._assets.downloads import copy_to

        copy_to(asset, self.reading(asset), stream, progress=progress)

    def local(self, asset: Asset) -> Path:
        """Return a local path to an asset's bytes: the file or folder itself, or a copy that lives as long as this process.

        Raises:
            HashMismatchError: there are more or fewer than were recorded, or, of a copy, others.
            KeyNotFoundError: they are gone.
        """
        from molexp._assets.local_copies import Copies
        from molexp._assets.verification import GONE, check_size, is_folder

        store = self.reading(asset)
        if "local_path" not in store.capabilities:
            pid = os.getpid()
            copies = self._copies.get(pid) or self._copies.setdefault(pid, Copies())
            return copies.get(asset, store)
        there = store.local_path(asset.key)
        if there.is_file():
            check_size(asset, store, there.stat().st_size)
        elif not (is_folder(asset) and there.is_dir()):
            raise KeyNotFoundError(asset.key, url=store.url, hint=GONE)
        return there


@cache  # one class for a kind, however many workspaces are open: assets of two of them can be equal
def _make_class(kind: type[AssetKind[Any]]) -> type[Asset]:
    title = "".join(part.title() for part in kind.name.split("_"))
    own = {
        field.name: attrs.field(default=field.default, type=field.type, eq=field.eq_key or field.eq, kw_only=True)
        for field in attrs.fields(kind.fields)
    }
    made: type[Asset] = attrs.make_class(
        f"{title}Asset", own, bases=(Asset,), frozen=True, kw_only=True, slots=True, repr=False
    )
    made.__doc__ = f"An asset of the kind {kind.name!r}."
    return made


def _library(store: Store) -> Library:
    """Return what was pickled, in another process, with the plugins of that."""
    from molexp.plugins import default_manager

    return Library(store, default_manager())


def _common(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the common fields; what is malformed is as if it were missing."""
    producer, tags = record.get("producer"), record.get("tags")
    return {
        "id": str(record.get("id", "")),
        "name": str(record.get("name", "")),
        "kind": str(record.get("kind", "")),
        "version": count(record.get("version")) or 1,
        "scope": str(record.get("scope", "")),
        "producer": Producer(str(producer.get("run")), count(producer.get("attempt")), producer.get("task"))
        if isinstance(producer, dict)
        else None,
        "created_at": _time(record.get("created_at")),
        "key": str(record.get("key", "")),
        "size": count(record.get("size")),
        "content_hash": record.get("content_hash"),
        "tags": frozenset(map(str, tags)) if isinstance(tags, list) else frozenset(),
    }


def _time(value: Any) -> datetime:
    try:
        return parse_time(value)
    except (TypeError, ValueError, AttributeError):
        return parse_time("1970-01-01T00:00:00Z")
