"""The asset kinds of a workspace: from records to assets, from assets to objects."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache, partial
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from molexp._assets.assets import UnknownAsset
from molexp._recording.usage import opens
from molexp._storage.links import reading
from molexp._values.copies import own_copy
from molexp._values.documents import count, is_count
from molexp._values.plain import plain, restore
from molexp._values.structuring import fields_of, record_from, values_of
from molexp._values.times import parse_time
from molexp.contracts import AssetKind, Describes, Merges, Preview, Previews, Store, Upgrades
from molexp.contracts._assets import Asset, Producer
from molexp.errors import KeyNotFoundError, MolexpError, PluginError, PluginLoadError, PluginMissingError

if TYPE_CHECKING:
    from pathlib import Path

    from molexp._assets.local_copies import Copies
    from molexp._assets.metric_files import GrowingFiles
    from molexp.contracts._assets import Sink
    from molexp.plugins import PluginManager

T = TypeVar("T")
F = TypeVar("F")


class KeySource(Struct, Generic[F], frozen=True):
    """A payload to read, as kinds see it."""

    asset: Asset[Any, F]
    library: Library

    @property
    def name(self) -> str:
        """The asset's name."""
        return self.asset.name

    @property
    def fields(self) -> F:
        """The fields of its kind."""
        return self.asset.fields

    @property
    def schema(self) -> int:
        """The schema of the kind that wrote it."""
        return self.asset.schema

    @property
    def distribution(self) -> str:
        """The distribution that wrote it."""
        return self.asset.distribution

    def open(self) -> IO[bytes]:
        """Return a seekable binary stream, which checks what is read from the beginning to the end."""
        from molexp._assets.beginnings import beginning_of
        from molexp._assets.verification import checked

        self.library.refuse_folder(self.asset)
        store = self.library.reading(self.asset)
        stream = checked(self.asset, store, store.open_read(self.asset.key))
        return stream if self.asset.grown is None else beginning_of(stream, self.asset.grown)

    def path(self) -> Path:
        """Return a local path to read from."""
        return self.library.local(self.asset, whole=False)


class _NewerSchema(Exception):  # noqa: N818 - it becomes the problem of an `UnknownAsset`
    """A record has a newer schema than its kind; the text says who wrote it."""


class KindInfo(Struct, frozen=True):
    """Hold what the records of a kind's assets need of it.

    Attributes:
        asset_class: the class of its assets.
        distribution: the distribution that provides it.
    """

    asset_class: type[Asset]
    distribution: str


def _kind(plugins: PluginManager, name: str) -> AssetKind[Any, Any]:
    """Return the kind of this name.

    Raises:
        PluginMissingError: it is not installed.
        PluginLoadError: the plugin that provides it is broken, or the kind cannot be made.
    """
    cls = plugins.asset_kind(name)
    try:
        return cls()
    except (Exception, SystemExit) as error:
        who = plugins.distribution_of(cls) or cls.__module__
        raise PluginLoadError(
            {who: f"making the kind failed: {type(error).__name__}: {error}"}, asked=f"The asset kind {name!r}"
        ) from error


def _info(plugins: PluginManager, kind: type[AssetKind[Any, Any]]) -> KindInfo:
    return KindInfo(kind.record or Asset, plugins.distribution_of(kind))


class Library:
    """Know the asset kinds of a workspace."""

    def __init__(self, store: Store, plugins: PluginManager) -> None:
        self.store = store
        self.plugins = plugins
        self.kind: Callable[[str], AssetKind[Any, Any]] = cache(partial(_kind, plugins))
        """Returns the kind of a name; see `_kind`."""
        self.info: Callable[[type[AssetKind[Any, Any]]], KindInfo] = cache(partial(_info, plugins))
        """Returns what the records of a kind's assets need of it."""
        self._told: set[tuple[str, str]] = set()
        self._copies: dict[int, Copies] = {}  # by process: a forked child has its own
        self._growing_files: GrowingFiles | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _library, (self.store,)

    @property
    def growing_files(self) -> GrowingFiles:
        """The files of metrics that grow, as far as they were read."""
        if self._growing_files is None:
            from molexp._assets.metric_files import GrowingFiles

            self._growing_files = GrowingFiles()
        return self._growing_files

    # ---------------------------------------------------------------------------------------------------------- kinds

    def kind_of(self, cls: type[AssetKind[T, F]]) -> AssetKind[T, F]:
        """Return the kind of this class, registered or not."""
        if not (isinstance(cls, type) and issubclass(cls, AssetKind)):
            raise TypeError(f"ctx[...] takes the class of an asset kind, not {cls!r}; by its name it is ctx.NAME.")
        try:
            registered = self.plugins.asset_kind(cls.name)
        except PluginMissingError:
            raise MolexpError(
                f"The kind {cls.name!r} is not registered: whoever reads the record could not load it. "
                "Register it through the hook molexp_register_asset_kinds."
            ) from None
        if registered is cls:
            return self.kind(cls.name)
        raise MolexpError(f"The kind {cls.name!r} is registered as {registered!r}, not as {cls!r}.")

    def kind_names(self, *, savable: bool = False) -> list[str]:
        """Return the installed kinds; with `savable`, without those whose assets contexts write by themselves."""
        kinds = self.plugins.asset_kinds()
        return sorted(name for name, kind in kinds.items() if not (savable and getattr(kind, "unsaved", False)))

    def tell(self, name: str, what: str, error: BaseException) -> None:
        """Warn, once, of a kind that raised where others go on without it."""
        if (name, what) not in self._told:
            self._told.add((name, what))
            from molexp.plugins import PluginWarning

            who = self.plugins.distribution_of(self.plugins.asset_kind(name))
            text = (
                f"The asset kind {name!r} of {who or 'no distribution'} is passed over: {what}() raised "
                f"{type(error).__name__}: {' '.join(str(error).split())}"
            )
            warnings.warn(PluginWarning(text), stacklevel=6)

    # -------------------------------------------------------------------------------------------------------- records

    def asset(self, record: Mapping[str, Any]) -> Asset:
        """Return the asset that a record describes; an `UnknownAsset` if its kind is missing or does not understand it."""
        try:
            return self._known(record)
        except PluginMissingError:
            problem = f"the kind {record.get('kind')!r} is not installed; it was written by {_origin(record)}"
        except _NewerSchema as error:
            problem = str(error)
        except PluginError as error:
            problem = f"its kind cannot be used; it was written by {_origin(record)} ({error})"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a stranger's fields class raises, the rest of the record is readable
            problem = f"its record is not understood ({type(error).__name__}: {error})"
        fields = restore(record.get("fields"))
        return UnknownAsset(
            **_common(record),
            fields=fields if isinstance(fields, dict) else {},
            record=own_copy(dict(record)),
            problem=problem,
            _library=self,
        )

    def _known(self, record: Mapping[str, Any]) -> Asset:
        kind = self.kind(str(record.get("kind")))
        info = self.info(type(kind))
        return info.asset_class(**_common(record), fields=self._fields(kind, record), _library=self)

    def _fields(self, kind: AssetKind[Any, Any], record: Mapping[str, Any]) -> Any:
        """Return the fields of a record, upgraded if an older schema of its kind wrote them."""
        stored, schema = record.get("fields") or {}, _schema(record)
        if schema > kind.schema:
            installed = self.info(type(kind)).distribution or "the kind that is installed"
            raise _NewerSchema(
                f"it was written by {_origin(record)} with schema {schema}, and {installed} knows those up to {kind.schema}"
            )
        if schema < kind.schema and isinstance(kind, Upgrades):
            stored = plain(kind.upgrade(restore(stored), schema), where="upgrade", nan=True)
        return record_from(kind.fields, stored, f"{kind.name} {record.get('name')!r}")

    def fields_of_kinds(self, kinds: Iterable[str]) -> Iterator[tuple[str, str, bool, bool]]:
        """Yield the fields of some kinds: kind, field, and whether it has a default, and is upgraded where it is older."""
        for name in kinds:
            with suppress(PluginError):
                kind = self.kind(name)
                fields: Any = kind.fields
                upgrades = kind.schema > 1 and isinstance(kind, Upgrades)
                yield from ((name, field.name, field.fills, upgrades) for field in fields_of(fields))

    def as_read(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a record with its fields as its kind reads them now; as it is, if that cannot read them."""
        try:
            kind = self.kind(str(record.get("kind")))
            fields: Any = kind.fields
            stored = record.get("fields") or {}
            lacks = any(one.fills and one.name not in stored for one in fields_of(fields))
            if _schema(record) >= kind.schema and not lacks:
                return record
            return {**record, "fields": plain(values_of(self._fields(kind, record)), where="fields", nan=True)}
        except (Exception, SystemExit):  # noqa: BLE001 - a stranger's code; `asset` says what is wrong
            return record

    def pickled(self, asset: Asset) -> tuple[Any, ...]:
        """Return what `pickle` takes for an asset: beside it, its record, which is read where its classes are not installed."""
        import pickle

        rest = {name: getattr(asset, name) for name in asset.__struct_fields__ if name not in ("fields", "_library")}
        schema = asset.schema
        with suppress(PluginError):
            schema = self.kind(asset.kind).schema  # its fields are upgraded
        record = {
            **{name: rest[name] for name in ("id", "name", "kind", "version", "scope", "key", "size", "content_hash")},
            "producer": {name: getattr(asset.producer, name) for name in Producer.__struct_fields__}
            if asset.producer
            else None,
            "created_at": asset.created_at.isoformat(),
            "tags": sorted(asset.tags),
            "schema": schema,
            "distribution": asset.distribution,
            "fields": plain(values_of(asset.fields), where="fields", nan=True),
        }
        return _unpickled, (self, pickle.dumps((type(asset), asset.fields)), rest, record)

    def describe(self, asset: Asset) -> str:
        """Return one line for people; see `Asset.describe`."""
        if not isinstance(asset, UnknownAsset) and isinstance(kind := self.kind(asset.kind), Describes):
            try:
                return str(kind.describe(asset))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's code, and there is something to say all the same
                self.tell(asset.kind, "describe", error)
        return f"{asset.kind} {asset.name!r}, {asset.size} bytes"

    def preview(self, asset: Asset) -> Preview | None:
        """Return what people are shown of an asset; see `Asset.preview`."""
        if isinstance(asset, UnknownAsset) or not isinstance(kind := self.kind(asset.kind), Previews):
            return None
        try:
            if not isinstance(found := kind.preview(KeySource(asset, self)), Preview):
                raise TypeError(f"it returned {type(found).__qualname__}, which is no Preview")
            return found
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's code, and there is more to show
            self.tell(asset.kind, "preview", error)
            return None

    # ---------------------------------------------------------------------------------------------------------- bytes

    def load(self, asset: Asset) -> Any:
        """Return the object that an asset holds; where earlier attempts have their parts of it, too, all of them joined."""
        kind = self.kind(asset.kind)
        own = kind.load(KeySource(asset, self))
        if asset.earlier and isinstance(kind, Merges):
            return kind.merge([*(one.load() for one in asset.earlier), own])
        return own

    def reading(self, asset: Asset) -> Store:
        """Return the store to read an asset's bytes from: it follows the link that the asset's record speaks of, and no other."""
        return (
            reading(self.store, asset.kind, asset.key, values_of(asset.fields)) if asset.kind == "data" else self.store
        )

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

    def local(self, asset: Asset, *, whole: bool = True) -> Path:
        """Return a local path to an asset's bytes: the file or folder itself, or a copy that lives as long as this process.

        Of one that grew by items, only those that were recorded, unless `whole`.

        Raises:
            HashMismatchError: there are more or fewer than were recorded, or, of a copy, others.
            KeyNotFoundError: they are gone.
        """
        from molexp._assets.local_copies import Copies
        from molexp._assets.verification import GONE, check_size, is_folder

        store, pid = self.reading(asset), os.getpid()
        copies = self._copies.get(pid) or self._copies.setdefault(pid, Copies())
        if not whole and asset.grown is not None:
            there = self.local(asset)
            return there if there.stat().st_size <= asset.grown else copies.beginning(there, asset.grown)
        if "local_path" not in store.capabilities:
            return copies.get(asset, store)
        there = store.local_path(asset.key)
        if there.is_file():
            check_size(asset, store, there.stat().st_size)
        elif not (is_folder(asset) and there.is_dir()):
            raise KeyNotFoundError(asset.key, url=store.url, hint=GONE)
        elif asset.kind != "data":  # data may be a link, and change
            sizes = [one.size for one in store.list(asset.key)]
            if not sizes:
                raise KeyNotFoundError(asset.key, url=store.url, hint=GONE)
            check_size(asset, store, sum(sizes))
        return there


def _library(store: Store) -> Library:
    """Return what was pickled, in another process, with the plugins of that."""
    from molexp.plugins import default_manager

    return Library(store, default_manager())


def _unpickled(library: Library, made: bytes, rest: dict[str, Any], record: Mapping[str, Any]) -> Asset:
    """Return what was pickled; if its classes cannot be imported here, the asset of its record."""
    import pickle

    try:
        cls, fields = pickle.loads(made)  # noqa: S301 - it is part of a pickle that somebody is reading
    except (ImportError, AttributeError):
        common = {name: value for name, value in rest.items() if name in Asset.__struct_fields__}
        return replace(library.asset(record), **common)
    found: Asset = cls(**rest, fields=fields, _library=library)
    return found


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
        "schema": _schema(record),
        "distribution": str(record.get("distribution") or ""),
        "grown": grown if is_count(grown := record.get("grown")) else None,
    }


def _schema(record: Mapping[str, Any]) -> int:
    return count(record.get("schema"), 1)


def _origin(record: Mapping[str, Any]) -> str:
    return str(record.get("distribution") or "a plugin that did not leave its name")


def _time(value: Any) -> datetime:
    try:
        return parse_time(value)
    except (TypeError, ValueError, AttributeError):
        return parse_time("1970-01-01T00:00:00Z")
