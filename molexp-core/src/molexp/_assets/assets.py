"""Assets: typed, named, versioned records about bytes."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import attrs

from molexp._values.ids import is_id
from molexp._values.numbers import is_number
from molexp._values.plain import restore
from molexp.contracts._assets import Asset
from molexp.errors import AssetError

if TYPE_CHECKING:
    from molexp._assets.metric_columns import MixedPiece, Piece
    from molexp._assets.registry import Library


@attrs.frozen(kw_only=True, repr=False)
class ArtifactAsset(Asset):
    """A file that a run produced.

    Attributes:
        format: ``json``, ``text`` or ``binary``: what `load` returns.
        from_file: true if it is a file that was given, whose bytes are kept as they are and read as anybody's.

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
        from_file: true if it is a file that was given, whose bytes are kept as they are and read as anybody's.
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
        """Return the text; where earlier attempts have the log, too, one after the other."""
        from molexp._assets.logs import in_order

        return in_order([*(one.load() for one in self.earlier), super().load()])


@attrs.frozen(kw_only=True, repr=False)
class MetricsAsset(Asset):
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

    def _pieces(self) -> Iterable[Piece | MixedPiece]:
        from molexp._assets.builtin_kinds import MetricsKind
        from molexp._assets.metric_columns import pieces_of
        from molexp._assets.registry import KeySource
        from molexp._record.metrics import joined_points

        attempts = [MetricsKind.pieces(KeySource(one, cast("Library", one._used()))) for one in (*self.earlier, self)]
        kept = (
            [[*pieces_of(points)] for points in joined_points(attempts)] if self.earlier else map(pieces_of, attempts)
        )
        return chain.from_iterable(reversed([*kept]))

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
        from molexp._assets.metric_columns import frame_of

        return frame_of(self.to_columns())


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
    """Hold what became of the tasks of a workflow.

    Example:
        >>> [asset for asset in run.assets if isinstance(asset, me.ExecutionStateAsset)]
        []
    """


@attrs.frozen(kw_only=True, repr=False)
class DataAsset(Asset):
    """A file or folder that was imported for others to use.

    Attributes:
        directory: true if it is a folder of files.
        files: the number of its files.
        source: the place that it was imported from, outside of the workspace.
        source_key: the key that it was imported from, inside of it.
        source_asset: id of the asset that it was imported from, whose key may hold another version by now.
        external: true if the bytes are shared with, or lie in, a place outside of the workspace (``symlink`` and
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
        problem: the reason that it is unknown, and a name to install.

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
        """Raise, always, with the reason."""
        raise AssetError(f"{self.name!r} cannot be loaded: {self.problem}.", name=self.name)


def own_fields(cls: type[Asset]) -> type[Any]:
    """Return a class of the fields that a class of assets has beside the common ones."""
    common = attrs.fields_dict(Asset)
    own = {
        field.name: attrs.field(default=field.default, type=field.type)
        for field in attrs.fields(cls)
        if field.name not in common
    }
    return attrs.make_class(f"{cls.__name__}Fields", own, frozen=True)


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
