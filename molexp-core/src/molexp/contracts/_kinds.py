"""The contract of an asset kind, which turns one type of object into bytes and a record, and into an object again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable

import attrs

if TYPE_CHECKING:
    from molexp.contracts._assets import Asset

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Sink(Protocol):
    """The destination of one payload that a kind writes; use one of the three methods, once.

    Example:
        >>> def save(obj: str, sink: "Sink") -> dict:  # in a kind; instead of `write`, use `open` or `path`
        ...     sink.write(obj.encode())
        ...     return {}
    """

    @property
    def name(self) -> str:
        """The asset's name."""

    def write(self, data: bytes) -> None:
        """Write the whole payload."""

    def open(self) -> AbstractContextManager[IO[bytes]]:
        """Return a binary stream to write to."""

    def path(self) -> AbstractContextManager[Path]:
        """Return a local path to write a file to, for libraries that want one. It does not exist yet."""


class Source(Protocol):
    """The source of one payload that a kind reads.

    Example:
        >>> def load(source: "Source") -> str:  # in a kind
        ...     with source.open() as stream:
        ...         return stream.read().decode()
    """

    @property
    def name(self) -> str:
        """The asset's name."""

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields that were recorded with it."""

    def open(self) -> IO[bytes]:
        """Return a seekable binary stream; the caller closes it."""

    def path(self) -> Path:
        """Return a local path to read from: the file itself, or a copy that lives as long as the process."""


@attrs.frozen
class NoFields:
    """The fields record of a kind that has none.

    Example:
        >>> from molexp.contracts import AssetKind, NoFields
        >>> AssetKind.fields is NoFields
        True
    """


class AssetKind(ABC, Generic[T]):
    """One type of asset.

    Optional abilities are protocols of their own: `Accepts`, `Validates`, `Upgrades`. A kind has one by having its
    method.

    Example:
        >>> from molexp.contracts import AssetKind
        >>> class NoteKind(AssetKind[str]):
        ...     name = "note"
        ...     suffix = ".txt"
        ...
        ...     def save(self, obj, sink):
        ...         sink.write(obj.encode())
        ...         return {}
        ...
        ...     def load(self, source):
        ...         with source.open() as stream:
        ...             return stream.read().decode()
    """

    name: ClassVar[str]
    """The name that users write, as in ``ctx.trajectory``; a lower-case Python identifier."""

    fields: ClassVar[type] = NoFields
    """An attrs class: the typed fields that records of this kind have beside the common ones.

    Their types are those that ``docs/explanation/values.md`` lists, in containers, unions and nested records. A value that
    would be read back as another one is refused by ``save``; ``molexp plugins check`` names a type that cannot be read.
    """

    suffix: ClassVar[str] = ""
    """The suffix that a payload's name gets if it does not have it yet, as in ``.xyz``."""

    folder: ClassVar[Literal["artifacts", "logs", "checkpoints"]] = "artifacts"
    """The place of payloads in an attempt."""

    record: ClassVar[type[Asset] | None] = None
    """The subclass of `Asset` that records of this kind become; made from `fields` if it is None."""

    schema: ClassVar[int] = 1
    """Raised when the meaning of `fields` or of the bytes changes; `Upgrades` reads older records."""

    @abstractmethod
    def save(self, obj: T, sink: Sink) -> Mapping[str, Any]:
        """Write `obj` to `sink` and return the values of `fields`."""

    @abstractmethod
    def load(self, source: Source) -> T:
        """Read the object that `save` wrote."""

    def describe(self, asset: Asset) -> str:
        """Return one line for people."""
        return f"{self.name} {asset.name!r}, {asset.size} bytes"


@runtime_checkable
class Accepts(Protocol):
    """Chosen by ``ctx.save`` for objects that it accepts, when no kind is named.

    Example:
        >>> from molexp.contracts import Accepts
        >>> class NoteKind:
        ...     def accepts(self, obj):
        ...         return isinstance(obj, str)
        >>> isinstance(NoteKind(), Accepts)
        True
    """

    def accepts(self, obj: Any, /) -> bool: ...


@runtime_checkable
class Validates(Protocol[T_contra]):
    """Refuses what must not be recorded.

    Example:
        >>> from molexp.contracts import Validates
        >>> class NoteKind:
        ...     def validate(self, obj):
        ...         if not obj:
        ...             raise ValueError("a note is not empty")
        >>> isinstance(NoteKind(), Validates)
        True
    """

    def validate(self, obj: T_contra, /) -> None:
        """Raise `ValueError` with what is wrong."""


@runtime_checkable
class Upgrades(Protocol):
    """Reads the fields of records with an older schema.

    Example:
        >>> from molexp.contracts import Upgrades
        >>> class NoteKind:
        ...     def upgrade(self, fields, schema):
        ...         return {"language": "en", **fields}
        >>> isinstance(NoteKind(), Upgrades)
        True
    """

    def upgrade(self, fields: Mapping[str, Any], schema: int, /) -> Mapping[str, Any]: ...
