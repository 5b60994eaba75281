"""Arrays of numpy, as ``.npy`` files."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from molexp import Asset
from molexp.contracts import AssetKind, Preview, Sink, Source
from molexp_science._libraries import class_name, imported, is_in_memory, library

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LONGEST_HEADER: Final = (
    1 << 20
)  # bytes that name the fields of a structured array; numpy's own limit is for strangers' files
_SHOWN: Final = 1000  # elements that a preview reads


class ArrayFields(Struct, frozen=True):
    """The fields of an array.

    Attributes:
        shape: its shape.
        dtype: its type, as numpy spells it: ``float64``, ``>i4``, ``[('x', '<f8')]``.
        nbytes: the bytes of its elements.
        min: the least of its finite elements; None if it has none, or if they are no real numbers.
        max: the greatest of them.
        mean: their mean; None, too, if it is beyond the range of a float.
        finite: the number of its finite elements; None if they are no numbers.

    Example:
        >>> import numpy as np
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx.array.save("energies", np.array([1.0, 3.0, np.nan]))
        >>> asset.fields.max, asset.fields.mean, asset.fields.finite
        (3.0, 2.0, 2)
    """

    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    min: int | float | None = None
    max: int | float | None = None
    mean: float | None = None
    finite: int | None = None


class ArrayAsset(Asset["NDArray[Any]", ArrayFields], frozen=True):
    """An array of numpy that was saved.

    Example:
        >>> import numpy as np
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx.save("forces", np.zeros((2, 3)))
        >>> asset.fields.shape, asset.mapped()[1].tolist()
        ((2, 3), [0.0, 0.0, 0.0])
    """

    def mapped(self) -> NDArray[Any]:
        """Return the array without reading it: its elements come from the file as you use them, and cannot be changed.

        What lies elsewhere, as on S3, is fetched first.

        Raises:
            ModuleNotFoundError: numpy is not installed.
        """
        np = library("numpy", self.name)
        if 0 in self.fields.shape or not self.fields.nbytes:
            return self.load()  # no system maps what has no bytes
        found: NDArray[Any] = np.load(self.local(), mmap_mode="r", allow_pickle=False, max_header_size=_LONGEST_HEADER)
        return found


class ArrayKind(AssetKind["NDArray[Any]", ArrayFields]):
    """Arrays of numpy, restored with their type, shape, order and byte order. Nothing is pickled.

    An object array, a masked array, `numpy.matrix` and other subclasses are refused, with code that saves them.

    Example:
        >>> import numpy as np
        >>> from molexp_science import ArrayKind
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx[ArrayKind].save("energies", np.array([1.0, 3.0]))
        >>> asset.load(), asset.describe()
        (array([1., 3.]), 'array of float64, 2, from 1 to 3')
    """

    name = "array"
    suffix = ".npy"
    types = ("numpy.ndarray",)
    record = ArrayAsset

    def accepts(self, obj: object, /) -> bool:
        """Tell whether it is an array of numpy."""
        return isinstance(obj, imported("numpy", "ndarray"))

    def validate(self, obj: NDArray[Any], /) -> None:
        """Raise `ValueError` for an array that a file would not give back as it is."""
        np = library("numpy", "an array")
        if type(obj) not in (np.ndarray, np.memmap):
            raise ValueError(
                f"An array of the class {class_name(obj)} would be loaded as numpy.ndarray: {_remedy(obj)}."
            )
        if obj.dtype.hasobject:
            raise ValueError(
                f"An array of {obj.dtype} holds Python objects, which would have to be pickled: convert it, as by "
                "array.astype(float) or array.astype(str), or save array.tolist() with ctx.artifact.save(...)."
            )
        if not _is_given_back(obj.dtype):
            raise ValueError(
                f"An array of {obj.dtype} would be loaded as another type: convert it by array.astype(...), view it as a "
                "plain one, or save it with ctx.tensors.save(name, {...}) if it is a type of machine learning."
            )

    def save(self, obj: NDArray[Any], sink: Sink) -> ArrayFields:
        """Write the array in pieces, and find its fields in what is written."""
        np = library("numpy", sink.name)
        statistics = _Statistics(obj.dtype)
        with sink.open() as stream, warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # of versions of numpy that cannot read long headers, or other letters
            np.lib.format.write_array(_Pieces(stream, statistics), obj, allow_pickle=False)
        return ArrayFields(
            shape=tuple(obj.shape), dtype=_spelt(obj.dtype), nbytes=int(obj.nbytes), **statistics.of_all()
        )

    def load(self, source: Source[ArrayFields]) -> NDArray[Any]:
        """Read the array."""
        np = library("numpy", source.name)
        with source.open() as stream:
            found: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False, max_header_size=_LONGEST_HEADER)
        return found

    def restores(self, obj: Any, /) -> bool:
        """Tell whether it is in memory: elements of a file that it maps may be written later."""
        return is_in_memory(obj)

    def describe(self, asset: Asset[Any, ArrayFields], /) -> str:
        """Return its shape, type and range."""
        fields = asset.fields
        shape = " x ".join(map(str, fields.shape)) or "no dimensions"
        span = "" if fields.min is None else f", from {fields.min:g} to {fields.max:g}"
        return f"array of {fields.dtype}, {shape}{span}"

    def preview(self, source: Source[ArrayFields], /) -> Preview:
        """Return its first elements."""
        np = library("numpy", source.name)
        if source.fields.nbytes <= _SHOWN * 8:
            return Preview(text=np.array2string(self.load(source), threshold=100))
        with source.open() as stream:
            version = np.lib.format.read_magic(stream)
            shape, fortran, dtype = _header(np, stream, version)
            first = np.frombuffer(stream.read(10 * dtype.itemsize), dtype)
        order = "by columns" if fortran else "by rows"
        text = np.array2string(first, threshold=100)
        return Preview(text=f"{shape} of {source.fields.dtype}, {order}; the first of them:\n{text}")


def _header(np: Any, stream: Any, version: tuple[int, int]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type of the array in a file."""
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    found: tuple[tuple[int, ...], bool, np.dtype[Any]] = read(stream, max_header_size=_LONGEST_HEADER)
    return found


def _spelt(dtype: np.dtype[Any]) -> str:
    return str(dtype.descr) if dtype.names else str(dtype)


def _is_given_back(dtype: np.dtype[Any]) -> bool:
    """Tell whether a file gives back this type, and not another one that is as wide, as of bfloat16."""
    np = library("numpy", "an array")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of what a file leaves out
            again = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype))
    except (UserWarning, TypeError, ValueError):
        return False
    return again == dtype and again.type is dtype.type and len(str(dtype.descr)) < _LONGEST_HEADER // 2


def _remedy(obj: Any) -> str:
    """Return code that saves an array of a subclass."""
    if hasattr(obj, "filled"):
        return "save array.filled(...), or its array.data and array.mask under two names"
    if hasattr(obj, "unit") or hasattr(obj, "units"):
        return "save its values, as by numpy.asarray(array), and its unit in the name, a tag or a result"
    return "save numpy.asarray(array)"


class _Pieces:
    """A stream that looks at the elements which are written through it: what the record says is true of the bytes."""

    def __init__(self, stream: Any, statistics: _Statistics) -> None:
        self._stream = stream
        self._statistics = statistics
        self._begun = False

    def write(self, data: bytes) -> int:
        """Write the next piece; the first is the header of the file."""
        if self._begun:
            self._statistics.add(data)
        self._begun = True
        written: int = self._stream.write(data)
        return written


class _Statistics:
    """Least, greatest and mean of the finite elements, piece by piece."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._counted = dtype.kind in "biufc"
        self._real = dtype.kind in "biuf"
        self._finite = 0
        self._sum = 0.0
        self._least: int | float | None = None
        self._greatest: int | float | None = None

    def add(self, data: bytes) -> None:
        """Count the elements of a piece."""
        if not self._counted:
            return
        import numpy as np

        piece = np.frombuffer(data, self._dtype)
        if self._dtype.kind in "fc":
            piece = piece[np.isfinite(piece)]
        self._finite += piece.size
        if self._real and piece.size:
            least, greatest = piece.min().item(), piece.max().item()
            if self._dtype.kind == "b":
                least, greatest = int(least), int(greatest)
            elif self._dtype.kind == "f":
                least, greatest = float(least), float(greatest)  # of a longdouble
            self._least = least if self._least is None else min(self._least, least)
            self._greatest = greatest if self._greatest is None else max(self._greatest, greatest)
            with np.errstate(over="ignore", invalid="ignore"):
                self._sum += float(piece.sum(dtype=np.float64))

    def of_all(self) -> dict[str, Any]:
        """Return what was counted, as fields."""
        if not self._counted:
            return {}
        from math import isfinite

        mean = self._sum / self._finite if self._least is not None else None
        return {
            "min": _finite(self._least),
            "max": _finite(self._greatest),
            "mean": mean if mean is not None and isfinite(mean) else None,
            "finite": self._finite,
        }


def _finite(value: float | None) -> float | None:
    """Return a number that a float holds; a longdouble may be greater."""
    return None if value in (float("inf"), float("-inf")) else value
