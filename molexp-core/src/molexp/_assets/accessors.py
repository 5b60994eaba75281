"""Saving and loading assets of one kind: ``ctx.artifact``, ``ctx[Trajectory]``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from molexp._assets.builtin_kinds import FileKind, format_of
from molexp._recording.usage import uses
from molexp._values.ids import labels
from molexp._values.structuring import check_given, fields_of, record_of
from molexp.contracts import AssetKind, GrowingAsset, Grows
from molexp.contracts._assets import Asset
from molexp.errors import NoKindError, NotFoundError

if TYPE_CHECKING:
    from contextlib import _GeneratorContextManager
    from pathlib import Path

    from molexp._assets.naming import AttemptAssets, Slot
    from molexp.contracts import Growth, Sink, Source

T = TypeVar("T")
F = TypeVar("F")
Item_contra = TypeVar("Item_contra", contravariant=True)


class Accessor(Generic[T, F]):
    """Saves and loads assets of one kind: ``ctx.artifact``, ``ctx.checkpoint``, ``ctx[Trajectory]``.

    Without a run, saving is harmless and returns None.

    Example:
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx.artifact.save("volumes.json", [1.0, 2.0])
        ...     with ctx.artifact.writing("md.traj") as path:
        ...         _ = path.write_bytes(b"...")
        ...     print(ctx.artifact.load("volumes.json"), ctx.artifact.latest().name)
        [1.0, 2.0] md.traj
    """

    def __init__(
        self,
        kind: AssetKind[T, F] | None,
        assets: AttemptAssets | None = None,
        task: str | None = None,
    ) -> None:
        """Made by contexts.

        Args:
            kind: the kind; None without a run, where nothing is looked up.
            assets: the place of assets that are saved, and of those that are found; None without a run.
            task: the task that works.
        """
        self._kind = kind
        self._assets = assets
        self._task = task

    def save(self, name: str, obj: T, *, tags: Iterable[str] = (), **fields: Any) -> Asset[T, F] | None:
        """Save `obj` under `name`.

        Args:
            name: the asset's name; saving it again within one task makes a new version, which replaces the bytes.
            obj: an object that the kind accepts.
            tags: free labels.
            fields: values for the kind's fields, over those that the kind finds itself.

        Returns:
            The asset, or None without a run.

        Raises:
            NoKindError: the kind does not accept the object.
            InvalidNameError: the name cannot be used, or would leave the folder.
            AssetExistsError: another task or kind has the name.
            SerializationError: a value that JSON cannot carry.
            TypeError: a field that the kind does not have, or a value that its type does not hold. As with every error,
                nothing was saved, and the name is free.
        """
        assets, kind = self._assets, self._kind
        if assets is None or kind is None:
            return None
        accepts: Callable[[Any], bool] | None = getattr(kind, "accepts", None)  # isinstance of a protocol is slow
        if accepts is not None and not accepts(obj):
            from molexp._assets.choosing import no_kind

            raise no_kind(name, obj, assets.library)
        if type(tags) is not tuple or tags:  # an array has no truth value
            tags = labels(tags)
        return save_in(assets, assets.reserve(kind, name, self._task), obj, tags, fields)

    @contextmanager
    def writing(self, name: str, *, tags: Iterable[str] = (), **fields: Any) -> Iterator[Path]:
        """Give a local path to write a file to, or a folder, which becomes an asset when the block ends without an error.

        The kind sees no object, and so finds no fields: this is for artifacts, checkpoints and kinds without fields of their own.
        Without a run, the path lies in a temporary folder that is removed afterwards.

        Raises:
            FileNotFoundError: on leaving, nothing was written.
            NoKindError: the kind finds fields in its objects.
        """
        assets, kind = self._assets, self._kind
        if assets is None or kind is None:
            import tempfile
            from pathlib import Path

            with tempfile.TemporaryDirectory(prefix="molexp-") as folder:
                yield Path(folder, Path(name).name)
            return
        from molexp._assets.folders import FolderSink

        own: Any = kind.fields
        tags = labels(tags)
        if not isinstance(kind, FileKind) and fields_of(own):
            item = f", or item by item: ctx.{kind.name}.growing(...)" if isinstance(kind, Grows) else ""
            hint = f"Its fields are found in an object: ctx.{kind.name}.save(...){item}."
            raise NoKindError(name, f"file written for {kind.name!r}", hint=hint)
        slot = assets.reserve(kind, name, self._task)
        sink = assets.sink(slot)
        try:
            if isinstance(kind, FileKind):
                fields = {"format": format_of(name), "from_file": True, **fields}
            values = record_of(kind.fields, None, fields, f"{kind.name} {name!r}")[1]
            with sink.folder() if isinstance(sink, FolderSink) else sink.path() as path:
                yield path
            sink.publish()
        except BaseException:
            sink.abandon()
            assets.release(slot)
            raise
        slot.key = sink.key
        assets.publish(slot, size=sink.size, content_hash=sink.content_hash, fields=values, tags=tags)

    @contextmanager
    def growing(
        self, name: str, *, every: float = 1.0, tags: Iterable[str] = (), **fields: Any
    ) -> Iterator[GrowingAsset]:
        """Give a writer of items, such as the frames of a trajectory, which becomes an asset with its first flush.

        What was flushed survives ``kill -9``. If the block ends by an error, what was appended is recorded all the same.
        In another attempt, a name begins a new part, and `load` returns the parts as one if the kind can merge them. In the
        same attempt it begins a new version. Without a run, the items are dropped.

        Args:
            name: the asset's name.
            every: seconds after which an item is followed by a flush; 0 flushes after each.
            tags: free labels.
            fields: values for the kind's fields, over those that the kind finds itself.

        Raises:
            AssetExistsError: another task or kind has the name, or it is growing.
            InvalidNameError: the name cannot be used, or would leave the folder.
            NoKindError: the kind does not grow by items.
        """
        assets, kind = self._assets, self._kind
        if assets is None or kind is None:
            yield _Dropping()
            return
        from molexp._assets.growing import begin_to_grow

        if not isinstance(kind, Grows):
            hint = f"It is saved as a whole: ctx.{kind.name}.save(...)."
            raise NoKindError(name, f"series of items for {kind.name!r}", hint=hint)
        check_given(kind.fields, fields, f"{kind.name} {name!r}")
        growing = begin_to_grow(assets, kind, name, self._task, every=every, tags=labels(tags), given=fields)
        try:
            yield growing
        finally:
            try:
                growing.finish()
            finally:
                assets.release(growing.slot)

    def load(self, name: str) -> T:
        """Load the newest asset of this kind and name: of this run, earlier attempts included, then of its parents.

        Raises:
            NotFoundError: there is none; also without a run.
        """
        assets, kind = self._assets, self._kind
        if assets is None or kind is None:
            raise NotFoundError("asset", name, hint="There is no run, so nothing was saved.")
        asset = assets.finder.require(name, kind=kind.name)
        self._uses(asset)
        return cast("T", asset.load())

    def latest(self) -> Asset[T, F] | None:
        """Return the newest asset of this kind in this run, previous attempts included; None if there is none."""
        if self._assets is None or self._kind is None:
            return None
        if (found := self._assets.finder.latest(self._kind.name)) is not None:
            self._uses(found)
        return found

    def _uses(self, asset: Asset) -> None:
        if self._assets is not None:
            uses(self._assets.recorder, asset, "name")


def save_in(
    assets: AttemptAssets,
    slot: Slot,
    obj: Any,
    tags: Iterable[str],
    given: Mapping[str, Any],
    admit: Callable[[int], None] | None = None,
) -> Asset:
    """Save an object that its kind accepts under a name that was reserved; if that fails, the name is free.

    `admit` is told how many bytes were written before they are published, and may raise.
    """
    kind = slot.kind
    with slot.lock:
        sink = assets.sink(slot)
        try:
            validate: Callable[[Any], None] | None = getattr(kind, "validate", None)
            if validate is not None:
                validate(obj)
            found = kind.save(obj, sink)
            if not sink.written:
                raise TypeError(
                    f"The kind {kind.name!r} wrote nothing for {slot.name!r}: its save() must use the sink."
                )
            if not isinstance(found, kind.fields):
                wanted = kind.fields.__qualname__
                raise TypeError(f"save() of the kind {kind.name!r} returned {found!r}, which is no {wanted}.")
            if admit is not None:
                admit(sink.size)
            made, values = record_of(kind.fields, found, given, f"{kind.name} {slot.name!r}")
            sink.publish()
        except BaseException:
            sink.abandon()
            assets.release(slot)
            raise
        slot.key = sink.key
        record = assets.publish(slot, size=sink.size, content_hash=sink.content_hash, fields=values, tags=tags)
        return assets.asset(slot, record, made)


if TYPE_CHECKING:

    class GrowingKind(Protocol[T, F, Item_contra]):
        """A kind whose assets grow by items, as checkers of types see it."""

        def save(self, obj: T, sink: Sink, /) -> F: ...

        def load(self, source: Source[F], /) -> T: ...

        def growing(self) -> Growth[Item_contra, F]: ...

    class GrowingAccessor(Accessor[T, F], Generic[T, F, Item_contra]):
        """An accessor of such a kind, as checkers of types see it: its writers take items of one type."""

        def growing(
            self, name: str, *, every: float = 1.0, tags: Iterable[str] = (), **fields: Any
        ) -> _GeneratorContextManager[GrowingAsset[Item_contra]]: ...


class _Dropping:
    """Takes items where there is no run."""

    def append(self, item: Any, /) -> None:
        """Drop the item."""

    def flush(self) -> None:
        """Do nothing."""
