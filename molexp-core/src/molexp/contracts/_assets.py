"""Assets, as kinds and users see them: typed, named, versioned records about bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Generic, Literal, Protocol, Self

from msgspec import Struct

from molexp._html import shown_by
from molexp._values.structuring import values_of
from molexp.errors import UnsupportedOperationError

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import TypeVar

    from molexp.contracts._kinds import Preview
    from molexp.contracts._store import Store

    T_co = TypeVar("T_co", covariant=True, default=Any)
    F_co = TypeVar("F_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    T_co = TypeVar("T_co", covariant=True)
    F_co = TypeVar("F_co", covariant=True)


class Sink(Protocol):
    """A stream that bytes are written to."""

    def write(self, data: bytes, /) -> Any:
        """Write all of the bytes."""


class Library(Protocol):
    """The part of a workspace that its assets need."""

    store: Store

    def describe(self, asset: Asset) -> str:
        """Return one line for people."""

    def preview(self, asset: Asset) -> Preview | None:
        """Return what its kind shows of an asset; None if that is nothing."""

    def load(self, asset: Asset) -> Any:
        """Return the object that an asset holds."""

    def local(self, asset: Asset) -> Path:
        """Return a local path to its bytes."""

    def use(self, asset: Asset) -> None:
        """Record that the attempt which asks uses the asset."""

    def reading(self, asset: Asset) -> Store:
        """Return the store to read its bytes from."""

    def pickled(self, asset: Asset) -> tuple[Any, ...]:
        """Return what `pickle` takes for an asset."""

    def refuse_folder(self, asset: Asset) -> None:
        """Raise `IsADirectoryError` if it is a folder of files."""

    def read_bytes(self, asset: Asset) -> bytes:
        """Return all bytes, if they are the recorded ones."""

    def download(
        self, asset: Asset, path: str | os.PathLike[str], *, overwrite: bool, progress: Callable[[int], Any] | None
    ) -> Path:
        """Copy the bytes to a local path."""

    def copy_to(self, asset: Asset, stream: Sink, *, progress: Callable[[int], Any] | None) -> None:
        """Write the bytes to a stream."""


class Producer(Struct, frozen=True):
    """The run, attempt and task that made an asset.

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


class Asset(Struct, Generic[T_co, F_co], frozen=True, kw_only=True, weakref=True):
    """A typed, named, versioned record about bytes: `load` returns a ``T_co``, and `fields` is an ``F_co``.

    Two assets are equal if they are of one workspace and have one id. Unpickled where its kind is not installed, an asset is a `molexp.UnknownAsset`. Inside the block of a run, or in a task, whoever asks for the bytes is on record as using it: that attempt, and task.

    Attributes:
        id: spells scope, attempt, kind, name and version, so that it resolves by reading; see `Workspace.asset`.
        name: the name that it was saved under.
        kind: name of its kind.
        version: 1, 2, ...; raised when a name is saved again.
        scope: path of the run, experiment or project that it belongs to; "" is the workspace.
        producer: the attempt that made it; None for imported data.
        created_at: time of its creation, in UTC.
        key: the key of its bytes in the workspace.
        size: bytes; of all files, for a folder.
        content_hash: ``sha256:...`` of the bytes; None where nobody has read them all.
        fields: the fields of its kind, as in ``asset.fields.step``.
        tags: free labels.
        schema: the schema of its kind that it was written with.
        distribution: name and version of the distribution that wrote it; "" if nobody knows.
        grown: of what grew by items, the bytes of those that were recorded, which `load` reads; None for all else.
        earlier: of a log, metrics, or what else grew, that `Run.asset` has found, those of the run's earlier attempts, oldest first: `load`
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
    fields: F_co
    tags: frozenset[str] = frozenset()
    schema: int = 1
    distribution: str = ""
    grown: int | None = None
    earlier: tuple[Asset[T_co, F_co], ...] = ()
    _library: Library | None = None
    _pinned: bool = False
    """True if somebody asked for exactly this version."""

    def __repr__(self) -> str:
        where = f" of {self.scope}" if self.scope else ""
        return f"<{type(self).__name__} {self.name!r} version {self.version}{where}, {self.size} bytes>"

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # nothing of it changes

    def __reduce__(self) -> str | tuple[Any, ...]:
        return super().__reduce__() if self._library is None else self._library.pickled(self)

    def __eq__(self, other: object) -> bool:
        return self._identity() == other._identity() if isinstance(other, Asset) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, str, str]:
        return (self._library.store.url if self._library is not None else ""), self.id, self.key

    @property
    def path(self) -> Path:
        """The file or folder behind it: a `pathlib` path on files, elsewhere a ``UPath``, which is used like one.

        A ``UPath`` (of universal_pathlib) opens, lists and joins as a path does, and reaches the storage with the
        options that the workspace was opened with; pandas, xarray, zarr and pyarrow take ``str(path)`` with
        ``path.storage_options``, or ``path.fs``. What must have a file of this machine asks for `local`.

        Raises:
            UnsupportedOperationError: the storage has nothing of the kind, such as one in memory; see `local`.
        """
        found: Path = self._used().reading(self).path(self.key)
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
        stream = self._used_file().reading(self).open_read(self.key)
        return stream if mode == "rb" else io.TextIOWrapper(stream, encoding="utf-8")

    def read_bytes(self) -> bytes:
        """Return all bytes.

        Raises:
            HashMismatchError: they are not those that were recorded; `open` reads them as they are.
            IsADirectoryError: it is a folder of data; see `path`, `local` and `download`.
            KeyNotFoundError: the bytes are gone.
        """
        return self._used_file().read_bytes(self)

    def load(self) -> T_co:
        """Return the object that was saved, as its kind reads it.

        Raises:
            AssetError: its kind is not installed, or is older than the record.
            HashMismatchError: the kind read all bytes, and they are not those that were recorded.
        """
        found: T_co = self._used().load(self)
        return found

    def local(self) -> Path:
        """Return a local path to the bytes: the file or folder itself, or a copy that lives as long as this process.

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

        The path has all of it, or is as it was before. An interrupted download from S3 is resumed by the next one
        to the same path; until then what has arrived waits beside it, in a hidden folder.

        Args:
            path: the destination. In a folder that is there, or a path that ends in a slash, it gets the name of the asset's
                file. Folders above it are made.
            overwrite: replace a file by a file, or a folder by a folder.
            progress: told the bytes of each piece that has arrived; the pieces add up to the size. What it raises ends
                the download.

        Returns:
            The path of the copy.

        Raises:
            FileExistsError: there is something, and `overwrite` is not set.
            HashMismatchError: the bytes are not those that were recorded; none of them is at the path.
            KeyNotFoundError: the bytes are gone.
            OSError: the path cannot be written to.
        """
        return self._used().download(self, path, overwrite=overwrite, progress=progress)

    def copy_to(self, stream: Sink, *, progress: Callable[[int], Any] | None = None) -> None:
        """Write the bytes to a binary stream, such as ``sys.stdout.buffer``, with bounded memory.

        Args:
            stream: an object with a method ``write`` that takes all of the bytes that it is given.
            progress: told the bytes of each piece that was written.

        Raises:
            HashMismatchError: the bytes that were written are not those that were recorded.
            IsADirectoryError: it is a folder of data.
            KeyNotFoundError: the bytes are gone.
        """
        self._used().copy_to(self, stream, progress=progress)

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
            "fields": values_of(self.fields),
        }

    _repr_html_ = shown_by("asset")

    def describe(self) -> str:
        """Return one line for people, in the words of its kind."""
        return self._bound().describe(self)

    def preview(self) -> Preview | None:
        """Return what its kind shows people of the bytes, as text, as an image or as HTML.

        None if its kind has no previews, or is not installed. A kind that raises is named in a warning.
        """
        return self._used().preview(self)

    def _used(self) -> Library:
        """Return the library that has the bytes; whoever asks inside of a run is on record as using this asset."""
        library = self._bound()
        library.use(self)
        return library

    def _used_file(self) -> Library:
        self._bound().refuse_folder(self)
        return self._used()

    def _bound(self) -> Library:
        if self._library is None:
            raise UnsupportedOperationError(
                "read bytes", hint="This asset is a bare record; find it through a workspace to read it."
            )
        return self._library
