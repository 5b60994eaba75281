"""The contract of an asset kind, which turns one type of object into bytes and a record, and into an object again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    Protocol,
    TypeVar,
    get_args,
    get_origin,
    runtime_checkable,
)

from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path

    from molexp.contracts._assets import Asset

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    Item_contra = TypeVarWithDefault("Item_contra", contravariant=True, default=Any)
    F = TypeVarWithDefault("F", default="NoFields")
else:
    Item_contra = TypeVar("Item_contra", contravariant=True)
    F = TypeVar("F")

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
S_contra = TypeVar("S_contra", contravariant=True)
F_co = TypeVar("F_co", covariant=True)


class Sink(Protocol):
    """The destination of one payload that a kind writes; use one of the methods, once.

    Example:
        >>> def save(obj: str, sink: "Sink") -> None:  # in a kind; instead of `write`, use `open` or `path`
        ...     sink.write(obj.encode())
    """

    @property
    def name(self) -> str:
        """The asset's name."""

    def write(self, data: bytes) -> None:
        """Write the whole payload."""

    def open(self) -> AbstractContextManager[IO[bytes]]:
        """Return a binary stream to write to. It has no `seek`: a library that needs one takes `path`."""

    def path(self) -> AbstractContextManager[Path]:
        """Return a local path to write a file to, for libraries that want one. It does not exist yet."""

    def folder(self) -> AbstractContextManager[Path]:
        """Return an empty local folder to write files to, for a kind whose `AssetKind.payload` is a folder.

        Its files are taken, in folders of any depth. Links, pipes and devices are refused, and so are names that some system
        cannot hold, or takes for one another. Folders without files are left out.
        """


class Source(Protocol[F_co]):
    """The source of one payload that a kind reads.

    Example:
        >>> def load(source: "Source[NoFields]") -> str:  # in a kind
        ...     with source.open() as stream:
        ...         return stream.read().decode()
    """

    @property
    def name(self) -> str:
        """The asset's name."""

    @property
    def fields(self) -> F_co:
        """The fields that were recorded with it, upgraded if an older schema wrote them."""

    @property
    def schema(self) -> int:
        """The schema of the kind that wrote the bytes: at most that of the kind that reads them."""

    @property
    def distribution(self) -> str:
        """The name and version of the distribution that wrote them."""

    def open(self) -> IO[bytes]:
        """Return a seekable binary stream; the caller closes it. A folder has none: see `path`."""

    def path(self) -> Path:
        """Return a local path to read from: the file or folder itself, or a copy that lives as long as the process."""


class NoFields(Struct, frozen=True):
    """The fields of a kind that has none.

    Example:
        >>> from molexp.contracts import NoFields
        >>> NoFields() == NoFields()
        True
    """


class AssetKind(ABC, Generic[T, F]):
    """One type of asset: ``T`` is the type of its objects, ``F`` the class of its fields.

    ``F`` is an attrs class, a dataclass or a `msgspec.Struct`: the facts about an object that are recorded beside its name,
    size and hash. You query them in the catalog, and read them as ``asset.fields.n_frames``. Their types are those that
    ``docs/explanation/values.md`` lists, in containers, unions and nested records. `save` refuses a value that would be read
    back as another one. A kind without facts has `NoFields`.

    Optional abilities are protocols of their own: `Accepts`, `Validates`, `Describes`, `Previews`, `Grows`, `Merges`, `Restores`, `Upgrades`.
    A kind has one by having its method.

    Example:
        >>> from molexp.contracts import AssetKind, NoFields
        >>> class NoteKind(AssetKind[str, NoFields]):
        ...     name = "note"
        ...     suffix = ".txt"
        ...
        ...     def save(self, obj, sink):
        ...         sink.write(obj.encode())
        ...         return NoFields()
        ...
        ...     def load(self, source):
        ...         with source.open() as stream:
        ...             return stream.read().decode()
        >>> NoteKind.fields is NoFields
        True
    """

    name: ClassVar[str]
    """The name that users write, as in ``ctx.trajectory``; a lower-case Python identifier."""

    types: ClassVar[tuple[str, ...]] = ()
    """The classes whose objects ``ctx.save`` gives to this kind, by their full names, as in ``ase.atoms.Atoms``.

    Nothing is imported to compare them. The name of the top package will do for that of the module, as in ``ase.Atoms``.
    Objects of subclasses are taken, too, unless another kind names a class that is nearer to theirs.
    """

    fields: ClassVar[type[Any]] = NoFields
    """The class of the fields; taken from the base, ``AssetKind[T, F]``."""

    suffix: ClassVar[str] = ""
    """The suffix that a payload's name gets if it does not have it yet, as in ``.xyz``."""

    payload: ClassVar[Literal["file", "folder"]] = "file"
    """The sort of payload: one file, or a folder of files, which is written by `Sink.folder` and read by `Source.path`."""

    folder: ClassVar[Literal["artifacts", "logs", "checkpoints"]] = "artifacts"
    """The place of payloads in an attempt."""

    record: ClassVar[type[Asset] | None] = None
    """The subclass of `Asset` that records of this kind become, ``class NoteAsset(Asset[str, NoteFields], frozen=True)``.

    None: `Asset` itself.
    """

    schema: ClassVar[int] = 1
    """Raised when the meaning of the fields or of the bytes changes; `Upgrades` reads older fields."""

    if not TYPE_CHECKING:

        def __class_getitem__(cls, types: Any) -> Any:
            """Return the class for types; Python 3.13 knows defaults of type variables itself."""
            alone = cls is AssetKind and not isinstance(types, tuple)
            return super().__class_getitem__((types, NoFields) if alone else types)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "fields" not in cls.__dict__:
            found = _class_of_fields(cls)
            cls.fields = found if isinstance(found, type) else cls.fields

    @abstractmethod
    def save(self, obj: T, sink: Sink) -> F:
        """Write `obj` to `sink` and return its fields."""

    @abstractmethod
    def load(self, source: Source[F]) -> T:
        """Read the object that `save` wrote."""


def _class_of_fields(kind: type) -> Any:
    """Return what the bases of a kind say of ``F``: a class, a type variable of its own, or None if they say nothing."""
    for base in kind.__dict__.get("__orig_bases__", ()):
        origin, types = get_origin(base), get_args(base)
        if origin is AssetKind:
            return types[-1]
        if isinstance(origin, type) and issubclass(origin, AssetKind):
            found = _class_of_fields(origin)
            own = getattr(origin, "__parameters__", ())
            return types[own.index(found)] if found in own else found
    return None


def kind_name(kind: type[AssetKind[Any, Any]] | str | None) -> str | None:
    """Return the name of a kind, be it given by its class or by its name."""
    return kind.name if isinstance(kind, type) else kind


@runtime_checkable
class Accepts(Protocol):
    """Chooses among the objects that ``ctx.save`` is given without a kind.

    Of objects whose class is in `AssetKind.types`, those are saved that it accepts. Of a class that no kind names, it is
    asked, too. A kind that raises here is named once, in a `molexp.plugins.PluginWarning`, and passed over.

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
class Describes(Protocol):
    """Describes an asset to people, in ``asset.describe()``.

    Example:
        >>> from molexp.contracts import Describes
        >>> class NoteKind:
        ...     def describe(self, asset):
        ...         return f"a note of {asset.size} bytes"
        >>> isinstance(NoteKind(), Describes)
        True
    """

    def describe(self, asset: Asset, /) -> str:
        """Return one line, made of the record alone: the bytes are not read for it."""


class Preview(Struct, frozen=True):
    """A preview of an asset, in as many forms as its kind can make; those that it cannot are empty.

    Attributes:
        text: lines for a terminal.
        png: an image, as the bytes of a PNG file.
        html: a document or a part of one.

    Example:
        >>> from molexp.contracts import Preview
        >>> Preview(text="the first lines")
        Preview(text='the first lines', png=b'', html='')
    """

    text: str = ""
    png: bytes = b""
    html: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.text, str) and isinstance(self.png, bytes) and isinstance(self.html, str)):
            raise TypeError("a preview has its text and its HTML as str, and its image as bytes")
        if self.png and not self.png.startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError("the image of a preview is no PNG file")


@runtime_checkable
class Previews(Protocol[S_contra]):
    """Shows people a part of an asset, in ``asset.preview()`` and ``molexp assets show``.

    Example:
        >>> from molexp.contracts import Previews
        >>> class NoteKind:
        ...     def preview(self, source):
        ...         with source.open() as stream:
        ...             return Preview(text=stream.read(80).decode(errors="replace"))
        >>> isinstance(NoteKind(), Previews)
        True
    """

    def preview(self, source: S_contra, /) -> Preview:
        """Return a preview of what `source` holds. Read as little of it as you can."""


@runtime_checkable
class Merges(Protocol[T]):
    """Joins what several attempts at a run have under one name, each its part of it, when that is loaded.

    Example:
        >>> from molexp.contracts import Merges
        >>> class NoteKind:
        ...     def merge(self, parts):
        ...         return " ".join(parts)
        >>> isinstance(NoteKind(), Merges)
        True
    """

    def merge(self, parts: Sequence[T], /) -> T:
        """Return the whole; the parts come oldest attempt first."""


class Growth(Protocol[T_contra, F_co]):
    """Encodes the items of one asset that grows; made by `Grows.growing`.

    Example:
        >>> class NoteGrowth:
        ...     def append(self, item):
        ...         return f"{item};".encode()
        ...
        ...     def fields(self):
        ...         return NoFields()
    """

    def append(self, item: T_contra, /) -> bytes:
        """Return the bytes of the next item, which follow those of the items before it."""

    def fields(self) -> F_co:
        """Return the fields of all items so far; asked once there is one."""


@runtime_checkable
class Grows(Protocol[T_contra, F_co]):
    """Grows by items: a trajectory by frames, ``with ctx.trajectory.growing("md") as frames: frames.append(atoms)``.

    The payload is a file to which the bytes of each item are appended. `AssetKind.load` reads all items that were flushed.
    A kind with `Merges` joins the parts of several attempts.

    Example:
        >>> from molexp.contracts import Grows
        >>> class NoteKind:
        ...     def growing(self):
        ...         return NoteGrowth()
        >>> isinstance(NoteKind(), Grows)
        True
    """

    def growing(self) -> Growth[T_contra, F_co]:
        """Return what encodes the items of one asset."""


class GrowingAsset(Protocol[Item_contra]):
    """An asset that grows by items, as ``ctx.trajectory.growing("md")`` gives it.

    Example:
        >>> def write(frames: "GrowingAsset") -> None:
        ...     frames.append("frame 1")
        ...     frames.flush()
    """

    def append(self, item: Item_contra, /) -> None:
        """Append an item. It is recorded at the next flush, which follows at once if the last one is long ago."""

    def flush(self) -> None:
        """Record all that was appended; from now on it survives the death of this process."""


@runtime_checkable
class Restores(Protocol[T_contra]):
    """Tells which objects `AssetKind.load` gives back as they were: outputs of tasks that a resume may restore.

    A kind without it says yes to every object whose very class is in `AssetKind.types`.

    Example:
        >>> from molexp.contracts import Restores
        >>> class PlotKind:
        ...     def restores(self, obj):
        ...         return False  # a picture of it is loaded
        >>> isinstance(PlotKind(), Restores)
        True
    """

    def restores(self, obj: T_contra, /) -> bool: ...


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
