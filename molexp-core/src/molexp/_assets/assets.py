"""Assets: typed, named, versioned records about bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgspec import Struct, field

from molexp.contracts import NoFields
from molexp.contracts._assets import Asset
from molexp.errors import AssetError

if TYPE_CHECKING:
    from array import array
    from pathlib import Path  # noqa: F401 - `DataAsset` names it in a text

    from molexp._assets.metric_columns import MixedPiece, Piece
    from molexp._assets.registry import Library


class FileFields(Struct, frozen=True):
    """The fields of a file.

    Attributes:
        format: ``json``, ``text`` or ``binary``: what `load` returns.
        from_file: true if it is a file that was given, whose bytes are kept as they are and read as anybody's.
    """

    format: str = "binary"
    from_file: bool = False


class ArtifactFields(FileFields, frozen=True):
    """The fields of an artifact.

    Attributes:
        external: true if the bytes are shared with a file outside of the workspace, by a hard link, and may change there.
    """

    external: bool = False


class CheckpointFields(FileFields, frozen=True):
    """The fields of a checkpoint.

    Attributes:
        step: the step that it was taken at, if there is one.
    """

    step: int | None = None


class ErrorTraceFields(Struct, frozen=True):
    """The fields of a traceback.

    Attributes:
        type: qualified name of the exception's class.
        message: its text.
        task: the task it came from; None outside of a workflow.
    """

    type: str = ""
    message: str = ""
    task: str | None = None


class DataFields(Struct, frozen=True):
    """The fields of imported data.

    Attributes:
        directory: true if it is a folder of files.
        files: the number of its files.
        source: the place that it was imported from, outside of the workspace.
        source_key: the key that it was imported from, inside of it.
        source_asset: id of the asset that it was imported from, whose key may hold another version by now.
        external: true if the bytes are shared with, or lie in, a place outside of the workspace (``symlink`` and
            ``hardlink``), where they may change.
    """

    directory: bool = False
    files: int = 1
    source: str = ""
    source_key: str = ""
    source_asset: str = ""
    external: bool = False


Files_co = TypeVar("Files_co", bound=FileFields, covariant=True)


class _FileAsset(Asset[Any, Files_co], frozen=True):
    """A file that a run produced.

    Attributes:
        format: ``json``, ``text`` or ``binary``: what `load` returns.
        from_file: true if it is a file that was given, whose bytes are kept as they are and read as anybody's.
    """

    @property
    def format(self) -> str:
        """``json``, ``text`` or ``binary``: what `load` returns."""
        return self.fields.format

    @property
    def from_file(self) -> bool:
        """Tell whether it is a file that was given, whose bytes are kept as they are and read as anybody's."""
        return self.fields.from_file


class ArtifactAsset(_FileAsset[ArtifactFields], frozen=True):
    """A file that a run produced.

    Example:
        >>> asset = run.asset("volumes.json")
        >>> isinstance(asset, me.ArtifactAsset)
        True
    """


class CheckpointAsset(_FileAsset[CheckpointFields], frozen=True):
    """A state from which work can go on.

    Example:
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx.checkpoint.save("model", {"weights": [0.1]}, step=100)
        >>> asset.step
        100
    """

    @property
    def step(self) -> int | None:
        """The step that it was taken at, if there is one."""
        return self.fields.step


class LogAsset(Asset[str, NoFields], frozen=True):
    """Lines that a run wrote as it went.

    Example:
        >>> run.asset("relax").load().split()
        ['converged']
    """


class MetricsAsset(Asset[Sequence[dict[str, Any]], NoFields], frozen=True):
    """Numbers by step; `load` returns a sequence of dicts.

    Example:
        >>> run.asset("metrics").load()[0]["loss"]
        0.5
    """

    def load(self) -> Sequence[dict[str, Any]]:
        """Return the points, each with ``step``, ``time`` and the values.

        They are kept as columns, in little memory: each point that you ask for is a new dict. Use ``list(...)`` to get a
        list of all. What a later attempt logs under a name takes the place of what `earlier` ones have of it at the same
        step or later.
        """
        from molexp._assets.metric_columns import Points

        return Points(self._pieces())

    def _own_pieces(self) -> Iterable[Piece | MixedPiece]:
        """Yield the points of this attempt alone, many at a time."""
        from molexp._assets.metric_files import read_pieces
        from molexp._assets.registry import KeySource

        library = cast("Library", self._used())
        source = KeySource(self, library)
        return read_pieces(source) if self.content_hash else library.growing_files.read(self.id, source)

    def _pieces(self) -> Iterable[Piece | MixedPiece]:
        from molexp._assets.metric_columns import joined_pieces

        if not self.earlier:
            return self._own_pieces()
        attempts = [cast("MetricsAsset", one)._own_pieces() for one in (*self.earlier, self)]
        return chain.from_iterable(reversed([[*pieces] for pieces in joined_pieces(attempts)]))

    def to_columns(self) -> dict[str, array[Any] | list[Any]]:
        """Return the values of all points by their names; ``numpy.asarray`` takes each as it is.

        Numbers are an `array.array`, of integers for ``step``, else of floats. A name under which something else was
        logged has a list of the values. Where a point does not have a name, NaN stands for it.
        """
        from molexp._assets.metric_columns import columns_of

        return columns_of(self._pieces())

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame` of `to_columns`.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        from molexp._values.frames import to_pandas

        return to_pandas(self.to_columns())


class ErrorTraceAsset(Asset[str, ErrorTraceFields], frozen=True):
    """The traceback of what ended an attempt or a task.

    Example:
        >>> [asset for asset in run.assets if isinstance(asset, me.ErrorTraceAsset)]  # no attempt failed
        []
    """

    @property
    def type(self) -> str:
        """Qualified name of the exception's class."""
        return self.fields.type

    @property
    def message(self) -> str:
        """Text of the exception."""
        return self.fields.message

    @property
    def task(self) -> str | None:
        """The task it came from; None outside of a workflow."""
        return self.fields.task


class ExecutionStateAsset(Asset[dict[str, Any], NoFields], frozen=True):
    """Hold what became of the tasks of a workflow.

    Example:
        >>> [asset for asset in run.assets if isinstance(asset, me.ExecutionStateAsset)]
        []
    """


class DataAsset(Asset["Path", DataFields], frozen=True):
    """A file or folder that was imported for others to use.

    Example:
        >>> _ = Path("ref.csv").write_text("a,1")
        >>> asset = ws.data_assets.import_asset("reference", Path("ref.csv"))
        >>> (asset.version, asset.path.read_text())
        (1, 'a,1')
    """

    @property
    def directory(self) -> bool:
        """Tell whether it is a folder of files."""
        return self.fields.directory

    @property
    def files(self) -> int:
        """The number of its files."""
        return self.fields.files

    @property
    def source(self) -> str:
        """The place that it was imported from, outside of the workspace."""
        return self.fields.source

    @property
    def source_key(self) -> str:
        """The key that it was imported from, inside of the workspace."""
        return self.fields.source_key

    @property
    def source_asset(self) -> str:
        """Id of the asset that it was imported from, whose key may hold another version by now."""
        return self.fields.source_asset

    @property
    def external(self) -> bool:
        """Tell whether the bytes are shared with, or lie in, a place outside of the workspace, where they may change."""
        return self.fields.external


class UnknownAsset(Asset[Any, Mapping[str, Any]], frozen=True, kw_only=True):
    """An asset whose kind is not installed, or whose record cannot be understood; its `fields` are as they were recorded.

    Attributes:
        record: the record as it was read.
        problem: the reason that it is unknown, and a name to install.

    Example:
        >>> [asset for asset in run.assets if isinstance(asset, me.UnknownAsset)]  # every kind is known here
        []
    """

    record: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    def load(self) -> Any:
        """Raise, always, with the reason."""
        raise AssetError(f"{self.name!r} cannot be loaded: {self.problem}.", name=self.name)


def said(asset: Asset, name: str) -> Any:
    """Return what a field of an asset says, be its kind known or not; None if there is no such field."""
    fields = asset.fields
    return fields.get(name) if isinstance(fields, Mapping) else getattr(fields, name, None)
