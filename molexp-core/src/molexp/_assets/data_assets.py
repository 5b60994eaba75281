"""Data assets: files and folders that were imported for others to use, by name and version."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from msgspec import Struct
from msgspec.structs import replace

from molexp._assets.assets import DataAsset, said
from molexp._assets.builtin_kinds import DataKind
from molexp._assets.data_sources import Readable, files_of, opened
from molexp._provenance.secrets import without_secrets
from molexp._record.document_types import decode_document
from molexp._record.incomplete import numbered
from molexp._record.session import Session
from molexp._recording.current import current_recorder
from molexp._storage import layout, schemas
from molexp._storage.durability import above
from molexp._storage.hashing import folder_hash, hash_of, hashed, tree_of
from molexp._storage.layout import asset_id
from molexp._storage.links import reading_record
from molexp._storage.local_keys import holds_workspace, key_of
from molexp._values.documents import encode_pretty, refuse_newer
from molexp._values.ids import check_payload_name, fold_name, labels, nearest, slug
from molexp._values.times import new_token, utc_now
from molexp.contracts import RemotePath
from molexp.contracts._assets import Asset
from molexp.errors import (
    CorruptRecordError,
    KeyExistsError,
    NotFoundError,
    SchemaError,
    StorePermissionError,
    UnsupportedOperationError,
)

if TYPE_CHECKING:
    from molexp._assets.registry import Library
    from molexp.contracts import Store
    from molexp.plugins import PluginManager

_Action = Literal["copy", "move", "symlink", "hardlink"]
_ACTIONS = ("copy", "move", "symlink", "hardlink")


class _Import(Struct):
    """Hold what was brought in, before it has a version.

    Attributes:
        sizes: the sizes of its files by their names in it; of a single file, by "".
    """

    key: str
    content_hash: str
    directory: bool
    sizes: dict[str, int]
    written: list[str]

    def at(self, base: str) -> dict[str, int]:
        """Return the sizes of its files by their keys, if they lay at `base`."""
        return {f"{base}/{name}" if name else base: size for name, size in self.sizes.items()}


class AssetSession(Session, Protocol):
    """An opened workspace, to whoever imports data into it."""

    plugins: PluginManager

    @property
    def library(self) -> Library:
        """Return the asset kinds that the workspace knows."""


class DataAssets(Mapping[str, DataAsset]):
    """The data of one scope: names to the newest version's asset.

    Example:
        >>> _ = Path("ref.csv").write_text("a,1")
        >>> _ = exp.data_assets.import_asset("reference", Path("ref.csv"))
        >>> list(exp.data_assets)
        ['reference']
    """

    def __init__(self, session: AssetSession, scope: str) -> None:
        self._session = session
        self.scope = scope
        self._folder: str = layout.below(scope, "data")

    def __repr__(self) -> str:
        return f"<data of {self.scope or 'the workspace'}: {', '.join(self) or 'none'}>"

    # --------------------------------------------------------------------------------------------------------- reading

    def __getitem__(self, name: str) -> DataAsset:
        found: DataAsset | None = self.get(name)
        if found is None:
            raise NotFoundError(
                "data asset",
                name,
                where=repr(self.scope) if self.scope else "the workspace",
                nearest=nearest(name, self),
            )
        return found

    def __iter__(self) -> Iterator[str]:
        for folder in self._session.store.children(self._folder).folders:
            if (newest := self._newest(folder, self._numbers(folder))) is not None:
                yield str(newest.get("name"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def get(self, name: str, default: Any = None, *, version: int | None = None) -> Any:
        """Return the newest version of `name`, or the one asked for; `default` if it is not there."""
        try:
            folder = slug(name)
        except ValueError:
            return default
        record = self._newest(folder, self._numbers(folder)) if version is None else self._record(folder, version)
        if record is None or fold_name(str(record.get("name"))) != fold_name(name):
            return default
        asset = self._session.library.asset(record)
        return asset if version is None else replace(asset, _pinned=True)

    def versions(self, name: str) -> list[DataAsset]:
        """Return every version of `name`, oldest first."""
        folder = slug(name)
        records = (self._record(folder, number) for number in self._numbers(folder))
        return [replace(self._asset(record), _pinned=True) for record in records if record is not None]

    # ---------------------------------------------------------------------------------------------------- bringing it in

    def import_asset(
        self,
        name: str,
        src: str | os.PathLike[str] | RemotePath | Asset,
        *,
        action: Literal["copy", "move", "symlink", "hardlink"] = "copy",
        tags: Iterable[str] = (),
        progress: Callable[[int], Any] | None = None,
    ) -> DataAsset:
        """Import a file or folder as the next version of `name`; equal content returns the newest version as it is.

        A version whose bytes are gone, or are not what they were, is never returned for them: on S3, only their sizes are
        compared. Nor is one that is a link when the source is moved away.
        Inside the block of a run, that run is recorded as its producer.

        Args:
            name: the name that others ask for.
            src: a local file or folder, an asset, a URL, or a ``UPath``. A URL is opened with what ``storage.toml`` and the
                environment say; a ``UPath`` has options of its own. What is not local is streamed, and can only be copied.
            action: ``copy``; ``move`` (the source is removed last); ``symlink`` or ``hardlink`` to where it lies, which
                are marked external because their content may change there.
            tags: free labels.
            progress: told the bytes of each piece that was copied, or read where nothing is copied; the pieces add up to
                the size. What it raises ends the import.

        Raises:
            NotFoundError: there is no such file.
            InvalidNameError: the name cannot be used.
            UnsupportedOperationError: the store cannot link, or not from where the source lies.
            PluginMissingError: nothing that is installed provides the URL's scheme.
            SchemaError: a newer MolExp wrote the newest version.
            ValueError: another action, a folder without files, a pipe or a device, a move of what the workspace holds
                already or lies in, or anything but a copy of what is not local.
        """
        if action not in _ACTIONS:
            raise ValueError(f"The action must be one of {', '.join(_ACTIONS)}, not {action!r}.")
        name = check_payload_name(name, "data name")
        tags = labels(tags)
        with opened(src.local() if isinstance(src, Asset) else src, self._session.plugins) as source:
            return self._import(name, src, source, action, tags, progress)

    def _import(
        self,
        name: str,
        src: Any,
        source: Readable,
        action: _Action,
        tags: Iterable[str],
        progress: Callable[[int], Any] | None,
    ) -> DataAsset:
        ours = src if isinstance(src, Asset) and src._bound().store.url == self._session.store.url else None
        inside = ours.key if ours is not None else key_of(self._session.store, source)
        if action == "move" and (inside is not None or isinstance(src, Asset)):
            raise ValueError(f"{str(src)!r} is part of the record and cannot be moved away; use 'copy' or 'hardlink'.")
        if action == "move" and isinstance(source, Path) and holds_workspace(self._session.store, source):
            raise ValueError(f"{str(src)!r} holds this workspace and cannot be moved into it; use 'copy' or 'symlink'.")
        if action != "copy" and not isinstance(source, Path):
            raise ValueError(f"{str(src)!r} is no local file, and can only be copied: use action='copy'.")
        files = files_of(source)
        self._session.materialize()
        brought = self._bring(slug(name), source, files, action, progress)
        address = src._bound().store.locate(src.key) if isinstance(src, Asset) else str(source)
        origin = {
            "source": without_secrets(address) if inside is None else "",
            "source_key": inside or "",
            "source_asset": ours.id if ours is not None else "",
            "external": action in ("symlink", "hardlink")
            and (inside is None or (ours is not None and said(ours, "external") is True)),
        }
        try:
            record = self._publish(name, brought, origin, tags, moved=action == "move")
        except SchemaError:
            self._drop(brought)  # after any other error it is `gc`'s, for its record may be there
            raise
        if record["key"] != brought.key:
            self._drop(brought)
        if action == "move" and isinstance(source, Path):
            _remove(source)
        return self._asset(record)

    def _bring(
        self,
        folder: str,
        source: Readable,
        files: Mapping[str, Readable],
        action: _Action,
        progress: Callable[[int], Any] | None,
    ) -> _Import:
        """Return the payload, complete, under a name nobody else has; nothing points at it yet."""
        base = f"{self._folder}/{folder}/{new_token()}/{_payload_name(source)}"
        directory = source.is_dir()
        brought = _Import(base, "", directory, {}, [])
        hashes: dict[str, str] = {}
        try:
            if directory and action == "symlink" and isinstance(source, Path):
                self._session.store.symlink_from(source, base)
                brought.written.append(base)
            for relative, path in files.items():
                key = f"{base}/{relative}" if directory else base
                linked = directory and action == "symlink"
                if not linked:
                    brought.written.append(key)
                size, hashes[relative] = self._bring_file(path, key, "hash" if linked else action, progress)
                brought.sizes[relative if directory else ""] = size
        except BaseException:
            self._drop(brought)
            raise
        brought.content_hash = folder_hash(hashes.items()) if directory else hashes.popitem()[1]
        return brought

    def _bring_file(
        self, path: Readable, key: str, action: _Action | Literal["hash"], progress: Callable[[int], Any] | None
    ) -> tuple[int, str]:
        """Bring one file in, or only hash it; returns its size and hash."""
        store = self._session.store
        linked = action == "hash"
        if isinstance(path, Path) and action == "symlink":
            store.symlink_from(path, key)
            linked = True
        elif isinstance(path, Path) and action == "hardlink":
            store.link_from(path, key)
            linked = True
        elif isinstance(path, Path) and action == "move" and "link" in store.capabilities and not path.is_symlink():
            with suppress(UnsupportedOperationError):
                store.link_from(path, key)  # on one file system, moving costs no copy
                linked = True
        writer = None if linked else store.open_write(key, exclusive=True)
        with path.open("rb") as file, writer or nullcontext() as sink:
            return hashed(file, sink, progress=progress)

    def _publish(
        self, name: str, brought: _Import, origin: Mapping[str, Any], tags: Iterable[str], *, moved: bool
    ) -> dict[str, Any]:
        """Create the next version's record, which makes the payload known."""
        folder = slug(name)
        session = self._session
        session.store.sync(brought.written)
        recorder = current_recorder(session.store)
        writer = recorder.writer if recorder is not None else None
        producer = {"run": writer.path, "attempt": writer.number, "task": None} if writer is not None else None
        while True:
            numbers = self._numbers(folder)  # one look for both: what comes after it takes the number that we try
            newest = self._newest(folder, numbers)
            if newest is not None:
                refuse_newer(newest, f"{self._folder}/{folder}/{newest.get('version')}.json", schemas.DATA)
            equal = newest is not None and newest.get("content_hash") == brought.content_hash
            if newest is not None and equal and self._has(newest, brought, moved):
                return newest
            version = numbers[-1] + 1 if numbers else 1
            record = {
                "schema": schemas.DATA,
                "type": "data",
                "token": new_token(),
                "id": asset_id(self.scope, None, DataKind.name, name, version),
                "name": name,
                "kind": DataKind.name,
                "version": version,
                "scope": self.scope,
                "producer": producer,
                "created_at": utc_now(),
                "key": brought.key,
                "size": sum(brought.sizes.values()),
                "content_hash": brought.content_hash,
                "tags": sorted(tags),
                "distribution": "molexp-core",
                "fields": {"directory": brought.directory, "files": len(brought.sizes), **origin},
            }
            key = f"{self._folder}/{folder}/{version}.json"
            session.journal.announce(key)
            try:
                session.store.create(key, encode_pretty(record))
            except KeyExistsError:
                continue
            session.flushing.made(key, relies_on=[*above(self.scope), layout.document(self.scope)])
            return record

    def _has(self, record: Mapping[str, Any], brought: _Import, moved: bool) -> bool:
        """Tell whether a version has the bytes that were brought, and keeps them once a source that is `moved` has been removed."""
        asset, store = self._asset(record), reading_record(self._session.store, record)
        is_external = said(asset, "external") is True
        if is_external and moved:
            return False
        expected = brought.at(asset.key)
        try:
            stats = store.list(asset.key) if brought.directory else [store.stat(asset.key)]
            if not expected.items() <= {stat.key: stat.size for stat in stats}.items():
                return False
            if self._shares(store, expected, brought) or (store.slow and not (moved or is_external)):
                return True  # a server that takes long to send them all compares what it has with its own checksums
            found = tree_of(store, asset.key, expected) if brought.directory else hash_of(store, asset.key)
        except (NotFoundError, StorePermissionError):
            return False
        return found == asset.content_hash

    def _shares(self, store: Store, keys: Iterable[str], brought: _Import) -> bool:
        """Tell whether files that a store leads to are the very ones that were brought, because both are linked."""
        if "symlink" not in store.capabilities:
            return False
        ours = self._session.store.through(brought.key)
        pairs = zip(keys, brought.at(brought.key), strict=True)
        return all(store.local_path(one).samefile(ours.local_path(other)) for one, other in pairs)

    # ---------------------------------------------------------------------------------------------------------- records

    def _numbers(self, folder: str) -> list[int]:
        """Return the version numbers taken, oldest first."""
        return [*numbered(self._session.store, f"{self._folder}/{folder}")]

    def _newest(self, folder: str, numbers: list[int]) -> dict[str, Any] | None:
        records = (self._record(folder, number) for number in reversed(numbers))
        return next((record for record in records if record is not None), None)

    def _record(self, folder: str, version: int) -> dict[str, Any] | None:
        """Return a version's record; None if it is not there, void, or cannot be read."""
        key = f"{self._folder}/{folder}/{version}.json"
        try:
            record = decode_document(self._session.store.read(key), key)
        except (NotFoundError, CorruptRecordError):
            return None
        return None if record.get("type") == "void" else record

    def _asset(self, record: Mapping[str, Any]) -> DataAsset:
        asset = self._session.library.asset(record)  # an `UnknownAsset`, if a newer MolExp wrote the record
        return cast("DataAsset", asset)

    def _drop(self, brought: _Import) -> None:
        for key in brought.written:
            self._session.store.delete(key)
        self._session.store.prune(brought.key.rpartition("/")[0])


def _payload_name(source: Readable) -> str:
    try:
        return check_payload_name(source.name, "file name")
    except ValueError:
        return slug(source.name or "data")


def _remove(source: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        shutil.rmtree(source)
    else:
        source.unlink()
