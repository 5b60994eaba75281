"""Assets: typed, named, versioned records about bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Self

import attrs

from molexp._recording.usage import opens
from molexp._values.copies import own_copy
from molexp._values.ids import is_id
from molexp._values.numbers import is_number
from molexp._values.plain import restore
from molexp.contracts import Store
from molexp.errors import AssetError, UnsupportedOperationError

if TYPE_CHECKING:
    from molexp._assets.downloads import Sink
    from molexp._assets.registry import Library


@attrs.frozen
class Producer:
    """Who made an asset.

    Attributes:
        run: path of the run.
        attempt: number of the attempt.
        task: name of the task; None outside of a workflow.

    Example:
        >>> producer = run.asset("volumes.json").producer
        >>> (producer.run, producer.attempt)
        ('metals/cu/cu-small', 1)
    """

    run: str
    attempt: int
    task: str | None = None


@attrs.frozen(kw_only=True, repr=False)
class Asset:
    """A typed, named, versioned record about bytes.

    Inside the block of a run, or in a task, whoever asks for the bytes is on record as using it: that attempt, and task.

    Attributes:
        id: spells scope, attempt, kind, name and version, so that it resolves by reading; see `Workspace.asset`.
        name: what it was saved as.
        kind: name of its kind.
        version: 1, 2, ...; raised when a name is saved again.
        scope: path of the run, experiment or project that it belongs to; "" is the workspace.
        producer: who made it; None for imported data.
        created_at: when, in UTC.
        key: where its bytes lie in the workspace.
        size: bytes; of all files, for a folder.
        content_hash: ``sha256:...`` of the bytes; None where nobody has read them all.
        tags: free labels.
        earlier: of a log or metrics that `Run.asset` has found, those of the run's earlier attempts, oldest first: `load`
            returns them all, joined, while the bytes, and `Workspace.asset` with its id, are the newest attempt's own.

    Example:
        >>> asset = run.asset("volumes.json")
        >>> asset.load()
        [1.0, 2.0]
        >>> asset.path.read_bytes() == asset.read_bytes()
        True
    """

    id: str
    name: str
    kind: str
    version: int
    scope: str
    producer: Producer | None
    created_at: datetime
    key: str
    size: int
    content_hash: str | None = None
    tags: frozenset[str] = frozenset()
    earlier: tuple[Asset, ...] = attrs.field(default=(), repr=False, eq=False, hash=False)
    _library: Library | None = attrs.field(default=None, alias="_library", repr=False, eq=False, hash=False)
    _pinned: bool = attrs.field(default=False, alias="_pinned", repr=False, eq=False, hash=False)
    """Whether somebody asked for exactly this version."""

    def __repr__(self) -> str:
        where = f" of {self.scope}" if self.scope else ""
        return f"<{type(self).__name__} {self.name!r} version {self.version}{where}, {self.size} bytes>"

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # nothing of it changes

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields of its kind, which are attributes too."""
        return {name: own_copy(getattr(self, name)) for name in attrs.fields_dict(type(self)) if name not in _COMMON}

    @property
    def path(self) -> Path:
        """The file or folder behind it: a `pathlib` path on files, elsewhere a ``UPath``, which is used like one.

        A ``UPath`` (of universal_pathlib) opens, lists and joins as a path does, and reaches the storage with the
        options that the workspace was opened with; pandas, xarray, zarr and pyarrow take ``str(path)`` with
        ``path.storage_options``, or ``path.fs``. What must have a file of this machine asks for `local`.

        Raises:
            UnsupportedOperationError: the storage has nothing of the kind, such as one in memory; see `local`.
        """
        found: Path = self._reading().path(self.key)
        return found

    def open(self, mode: Literal["r", "rb"] = "rb") -> IO[Any]:
        """Open the bytes as they are, or with ``"r"`` the text in UTF-8.

        Raises:
            IsADirectoryError: it is a folder of data; see `path`, `local` and `download`.
            KeyNotFoundError: the bytes are gone.
            ValueError: another mode.
        """
        if mode not in ("r", "rb"):
            raise ValueError(f"An asset is opened with 'r' or 'rb', not {mode!r}: what was saved does not change.")
        stream = self._reading_file().open_read(self.key)
        return stream if mode == "rb" else io.TextIOWrapper(stream, encoding="utf-8")

    def read_bytes(self) -> bytes:
        """All bytes.

        Raises:
            HashMismatchError: they are not those that were recorded; `open` reads them as they are.
            IsADirectoryError: it is a folder of data; see `path`, `local` and `download`.
            KeyNotFoundError: the bytes are gone.
        """
        from molexp._assets.verification import check_bytes

        store = self._reading_file()
        return check_bytes(self, store, store.read(self.key))

    def load(self) -> Any:
        """The object that was saved, as its kind reads it.

        Raises:
            HashMismatchError: the kind read all bytes, and they are not those that were recorded.
            PluginMissingError: its kind is not installed.
        """
        return self._used().load(self)

    def local(self) -> Path:
        """A local path to the bytes: the file or folder itself, or a copy that lives as long as this process.

        A copy is whole for every thread that asks; it is fetched once, and a forked child fetches its own.

        Raises:
            HashMismatchError: there are more or fewer than were recorded, or, of a copy, others.
            KeyNotFoundError: the bytes are gone.
        """
        return self._used().local(self)

    def download(
        self,
        path: str | os.PathLike[str] = ".",
        *,
        overwrite: bool = False,
        progress: Callable[[int], Any] | None = None,
    ) -> Path:
        """Copy the bytes, a file or a folder of data, to a local path; verified, if their hash is on record.

        The path has all of it, or is as it was before. A download from S3 that broke off is gone on with by the next one
        to the same path; until then what has arrived waits beside it, in a hidden folder.

        Args:
            path: where to. In a folder that is there, or a path that ends in a slash, it gets the name of the asset's
                file. Folders above it are made.
            overwrite: replace a file by a file, or a folder by a folder.
            progress: told the bytes of each piece that has arrived; the pieces add up to the size. What it raises ends
                the download.

        Returns:
            Where the copy is.

        Raises:
            FileExistsError: there is something, and `overwrite` is not set.
            HashMismatchError: the bytes are not those that were recorded; none of them is at the path.
            KeyNotFoundError: the bytes are gone.
            OSError: the path cannot be written to.
        """
        from molexp._assets.downloads import download

        return download(self, self._reading(), path, overwrite=overwrite, progress=progress)

    def copy_to(self, stream: Sink, *, progress: Callable[[int], Any] | None = None) -> None:
        """Write the bytes to a binary stream, such as ``sys.stdout.buffer``, with bounded memory.

        Args:
            stream: what has a method ``write`` that takes all of the bytes that it is given.
            progress: told the bytes of each piece that was written.

        Raises:
            HashMismatchError: what was written is not what was recorded.
            IsADirectoryError: it is a folder of data.
            KeyNotFoundError: the bytes are gone.
        """
        from molexp._assets.downloads import copy_to

        copy_to(self, self._reading(), stream, progress=progress)

    def to_dict(self) -> dict[str, Any]:
        """Return what is recorded about it, as one dict; `to_json` makes text of it."""
        producer = self.producer
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "version": self.version,
            "scope": self.scope,
            "producer": producer.run if producer is not None else None,
            "attempt": producer.attempt if producer is not None else None,
            "task": producer.task if producer is not None else None,
            "created_at": self.created_at,
            "key": self.key,
            "size": self.size,
            "content_hash": self.content_hash,
            "tags": sorted(self.tags),
            "fields": dict(self.fields),
        }

    def describe(self) -> str:
        """One line for people, in the words of its kind."""
        return self._bound().kind(self.kind).describe(self)

    def _used(self) -> Library:
        """Return where the bytes are; whoever asks inside of a run is on record as using this asset."""
        library = self._bound()
        opens(library.store, self)
        return library

    def _reading(self) -> Store:
        return self._used().reading(self)

    def _reading_file(self) -> Store:
        from molexp._assets.downloads import refuse_folder

        refuse_folder(self)
        return self._reading()

    def _bound(self) -> Library:
        if self._library is None:
            raise UnsupportedOperationError(
                "read bytes", hint="This asset is a bare record; find it through a workspace to read it."
            )
        return self._library


_COMMON = frozenset(attrs.fields_dict(Asset))


@attrs.frozen(kw_only=True, repr=False)
class ArtifactAsset(Asset):
    """A file that a run produced.

    Attributes:
        format: ``json``, ``text`` or ``binary``: what `load` returns.
        from_file: whether it is a file that was given, whose bytes are kept as they are and read as anybody's.

    Example:
        >>> asset = run.asset("volumes.json")
        >>> isinstance(asset, me.ArtifactAsset)
        True
    """

    format: str = "binary"
    from_file: bool = False


@attrs.frozen(kw_only=True, repr=False)
class CheckpointAsset(Asset):
    """A state from which work can go on.

    Attributes:
        format: ``json``, ``text`` or ``binary``: what `load` returns.
        from_file: whether it is a file that was given, whose bytes are kept as they are and read as anybody's.
        step: the step that it was taken at, if there is one.

    Example:
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx.checkpoint.save("model", {"weights": [0.1]}, step=100)
        >>> asset.step
        100
    """

    format: str = "binary"
    from_file: bool = False
    step: int | None = None


@attrs.frozen(kw_only=True, repr=False)
class LogAsset(Asset):
    """Lines that a run wrote as it went.

    Example:
        >>> run.asset("relax").load().split()
        ['converged']
    """

    def load(self) -> str:
        """The text; where earlier attempts have the log, too, one after the other."""
        from molexp._assets.streams import in_order

        return in_order([*(one.load() for one in self.earlier), super().load()])


@attrs.frozen(kw_only=True, repr=False)
class MetricsAsset(Asset):
    """Numbers by step; `load` returns a list of dicts.

    Example:
        >>> run.asset("metrics").load()[0]["loss"]
        0.5
    """

    def load(self) -> list[dict[str, Any]]:
        """The points, each with ``step``, ``time`` and the values.

        What a later attempt logs under a name takes the place of what `earlier` ones have of it at the same step or later.
        """
        from molexp._record.metrics import joined_points

        return joined_points([*(one.load() for one in self.earlier), super().load()])


@attrs.frozen(kw_only=True, repr=False)
class ErrorTraceAsset(Asset):
    """The traceback of what ended an attempt or a task.

    Attributes:
        type: qualified name of the exception's class.
        message: its text.
        task: the task it came from; None outside of a workflow.

    Example:
        >>> [asset for asset in run.assets if isinstance(asset, me.ErrorTraceAsset)]  # no attempt failed
        []
    """

    type: str = ""
    message: str = ""
    task: str | None = None


@attrs.frozen(kw_only=True, repr=False)
class ExecutionStateAsset(Asset):
    """What became of the tasks of a workflow.

    Example:
        >>> [asset for asset in run.assets if isinstance(asset, me.ExecutionStateAsset)]
        []
    """


@attrs.frozen(kw_only=True, repr=False)
class DataAsset(Asset):
    """A file or folder that was imported for others to use.

    Attributes:
        directory: whether it is a folder of files.
        files: how many files it has.
        source: where it was imported from, outside of the workspace.
        source_key: where it was imported from, inside of it.
        source_asset: id of the asset that it was imported from, whose key may hold another version by now.
        external: whether the bytes are shared with, or lie in, a place outside of the workspace (``symlink`` and
            ``hardlink``), where they may change.

    Example:
        >>> _ = Path("ref.csv").write_text("a,1")
        >>> asset = ws.data_assets.import_asset("reference", Path("ref.csv"))
        >>> (asset.version, asset.path.read_text())
        (1, 'a,1')
    """

    directory: bool = False
    files: int = 1
    source: str = ""
    source_key: str = ""
    source_asset: str = ""
    external: bool = False


@attrs.frozen(kw_only=True, repr=False)
class UnknownAsset(Asset):
    """An asset whose kind is not installed, or whose record cannot be understood; every field is kept.

    Attributes:
        record: the record as it was read.
        problem: why it is unknown, and what to install.

    Example:
        >>> [asset for asset in run.assets if isinstance(asset, me.UnknownAsset)]  # every kind is known here
        []
    """

    record: Mapping[str, Any] = attrs.field(factory=dict)
    problem: str = ""

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields as they were recorded."""
        found = restore(self.record.get("fields"))
        return found if isinstance(found, dict) else {}

    def load(self) -> Any:
        """Always raises, with the reason."""
        raise AssetError(f"{self.name!r} cannot be loaded: {self.problem}.", name=self.name)


def asset_id(scope: str, attempt: int | None, kind: str, name: str, version: int) -> str:
    """Spell an asset's id: ``metals/cu/cu-1#2:artifact:volumes.json@1``, ``metals/cu:data:reference@3``."""
    place = f"{scope or '.'}#{attempt}" if attempt is not None else scope or "."
    return f"{place}:{kind}:{name}@{version}"


def parse_asset_id(text: str) -> tuple[str, int | None, str, str, int]:
    """Scope, attempt, kind, name and version of an id.

    Raises:
        ValueError: it is not one.
    """
    place, _, rest = text.partition(":")
    kind, _, named = rest.partition(":")
    name, _, version = named.rpartition("@")
    scope, _, attempt = place.partition("#")
    parts = [] if scope == "." else scope.split("/")
    parts[2:] = [part.lower() for part in parts[2:]]  # as in the path of a run
    known = all(map(is_id, parts)) and (len(parts) == 3 and is_number(attempt) if "#" in place else len(parts) < 3)
    if not (place and known and kind and name and is_number(version)):
        raise ValueError(f"{text!r} is no asset id; one looks like 'metals/cu/cu-1#2:artifact:volumes.json@1'.")
    return "/".join(parts), int(attempt) if attempt else None, kind, name, int(version)
