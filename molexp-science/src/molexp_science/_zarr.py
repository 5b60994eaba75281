"""Arrays and groups of zarr, and datasets of xarray, as folders of chunks in the Zarr format."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any, Final

from msgspec import Struct

from molexp import Asset
from molexp.contracts import AssetKind, Preview, Sink, Source
from molexp.errors import AssetError, SerializationError, UnsupportedOperationError
from molexp_science._exact_values import decode, encode
from molexp_science._libraries import class_name, imported, is_in_memory, library, shorten

_NOTE: Final = "molexp_xarray"  # an attribute of the folder, by which a dataset of xarray is told from a group
_VALUES: Final = "values"  # of a DataArray without a name
_KEPT: Final = "attributes"  # in the note: those that JSON has only in part, such as numpy's scalars
_REMEDY: Final = "Convert what is in them to numbers, text, lists, dicts, or numpy's scalars and arrays of numbers."
_LISTED: Final = 1000
_METADATA: Final = ("zarr.json", ".zarray", ".zmetadata")
_CODECS_OF_OBJECTS: Final = ("pickle", "msgpack2", "json2")


class ZarrFields(Struct, frozen=True):
    """The fields of what is in the Zarr format.

    Attributes:
        package: the library that it is of: ``zarr`` or ``xarray``.
        object: its class: ``Array``, ``Group``, ``Dataset`` or ``DataArray``.
        arrays: the types of the arrays in it, by their names, in a group by their paths; at most 1000.
        sizes: the lengths of dimensions by their names, where they have names.
        shape: the shape of a single array; None for groups and datasets.
        dtype: the type of its elements.
        nbytes: the bytes of all elements before compression.

    Example:
        >>> import numpy as np, xarray as xr
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx.save("scan", xr.Dataset({"energy": (("r", "seed"), np.zeros((3, 2)))}))
        >>> asset.fields.arrays, asset.fields.sizes
        ({'energy': 'float64'}, {'r': 3, 'seed': 2})
    """

    package: str
    object: str
    arrays: dict[str, str]
    sizes: dict[str, int]
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    nbytes: int = 0


class ZarrAsset(Asset[Any, ZarrFields], frozen=True):
    """Arrays in the Zarr format that were saved.

    Example:
        >>> import numpy as np, xarray as xr
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx.save("scan", xr.Dataset({"energy": ("r", np.arange(3.0))}))
        >>> float(asset.opened()["energy"][2])
        2.0
    """

    def opened(self) -> Any:
        """Return the object where it lies: chunks are fetched as you use them, also from S3, where `load` fetches all of them first.

        Raises:
            ModuleNotFoundError: zarr or xarray is not installed.
        """
        try:
            path = self.path
        except UnsupportedOperationError:
            return self.load()
        options = getattr(path, "storage_options", None)
        return _open(str(path), self.name, self.fields.package, dict(options) if options else None)


class ZarrKind(AssetKind[Any, ZarrFields]):
    """Arrays and groups of zarr, datasets and arrays of xarray. `load` returns one that reads its chunks from the folder, and cannot be changed.

    The chunks of zarr are copied as they are. Of xarray, the values are written, and what its objects remember of
    another file (``encoding``) is left out. What would be loaded as something else is refused.

    Example:
        >>> import zarr
        >>> from molexp_science import ZarrKind
        >>> array = zarr.create_array({}, shape=(4,), dtype="int32")
        >>> array[:] = [1, 2, 3, 4]
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx[ZarrKind].save("density", array)
        >>> asset.load()[2:].tolist(), asset.fields.shape
        ([3, 4], (4,))
    """

    name = "zarr"
    suffix = ".zarr"
    payload = "folder"
    types = ("zarr.Array", "zarr.Group", "xarray.Dataset", "xarray.DataArray")
    record = ZarrAsset

    def accepts(self, obj: object, /) -> bool:
        """Tell whether it is of zarr or xarray."""
        return bool(_package_of(obj))

    def validate(self, obj: Any, /) -> None:
        """Raise `ValueError` for an object of a subclass."""
        package = _package_of(obj)
        cls = next(one for one in type(obj).__mro__ if one.__module__.partition(".")[0] == package)
        if type(obj) is not cls:
            raise ValueError(f"An object of the class {class_name(obj)} would be loaded as {package}.{cls.__name__}.")

    def save(self, obj: Any, sink: Sink) -> ZarrFields:
        """Write the folder."""
        library("zarr", sink.name)
        with sink.folder() as path:
            if _package_of(obj) == "zarr":
                _copy(obj, path, sink.name)
                return _fields_of_zarr(obj)
            dataset = _as_dataset(obj)
            _write(_with_plain_attributes(dataset), path)
            _compare(dataset, _open_dataset(str(path), sink.name))
            return _fields_of_xarray(obj, dataset)

    def load(self, source: Source[ZarrFields]) -> Any:
        """Open the folder."""
        return _open(str(source.path()), source.name, source.fields.package)

    def restores(self, obj: Any, /) -> bool:
        """Tell whether it is of xarray and wholly in memory: what is written elsewhere later is not in what is saved now."""
        if _package_of(obj) != "xarray":
            return False
        whole = obj if type(obj).__name__ == "Dataset" else obj.to_dataset(name=_VALUES)
        return all(one._in_memory and is_in_memory(one.values) for one in whole.variables.values())

    def describe(self, asset: Asset[Any, ZarrFields], /) -> str:
        """Return the names and types of its arrays, and their dimensions."""
        fields = asset.fields
        what = f"{fields.package}.{fields.object}"
        if fields.shape is not None:
            return f"{what} of {fields.dtype}, {' x '.join(map(str, fields.shape)) or 'no dimensions'}"
        sizes = f" over {shorten([f'{name}: {size}' for name, size in fields.sizes.items()])}" if fields.sizes else ""
        return f"{what} with {shorten([' '.join(name.split()) for name in fields.arrays]) or 'no arrays'}{sizes}"

    def preview(self, source: Source[ZarrFields], /) -> Preview:
        """Return what the library says of it."""
        found = self.load(source)
        return Preview(text=repr(found) if source.fields.package == "xarray" else str(found.info))


def _package_of(obj: object) -> str:
    """Return the library of an object; "" if it is of neither."""
    if isinstance(obj, (*imported("zarr", "Array"), *imported("zarr", "Group"))):
        return "zarr"
    return "xarray" if isinstance(obj, (*imported("xarray", "Dataset"), *imported("xarray", "DataArray"))) else ""


# ---------------------------------------------------------------------------------------------------------------- zarr


def _copy(obj: Any, folder: Path, name: str) -> None:
    """Copy the metadata and the chunks of an array or a group, byte by byte."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync  # in the loop of zarr, to which the connections of remote stores belong

    store, above = obj.store_path.store, obj.store_path.path
    prefix = f"{above}/" if above else ""

    async def copied() -> None:
        keys = [key async for key in store.list_prefix(prefix)]
        files = {key: folder / _inside(key.removeprefix(prefix)) for key in keys}  # all, before one is written
        for key, target in files.items():
            data = await store.get(key, default_buffer_prototype())
            if data is not None:  # else it was deleted meanwhile
                if key.rpartition("/")[2] in _METADATA:
                    _refuse_objects(json.loads(data.to_bytes()), name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data.to_bytes())

    sync(copied())


def _inside(key: str) -> str:
    """Return a key of a store, which a stranger may have chosen, if it is a path inside of a folder on every system."""
    if PureWindowsPath(key).drive or "\\" in key or {"", ".", ".."} & {*key.split("/")}:
        raise ValueError(f"The store has the key {key!r}, which would be a file outside of the asset's folder.")
    return key


def _refuse_objects(metadata: Any, name: str, *, of_codec: bool = False) -> None:
    """Raise `AssetError` if metadata name a codec that makes Python objects of bytes: to unpickle is to execute."""
    if isinstance(metadata, str):
        if of_codec and metadata.removeprefix("numcodecs.") in _CODECS_OF_OBJECTS:
            raise AssetError(f"{name!r} has the codec {metadata!r} of Python objects, which are not read.", name=name)
    elif isinstance(metadata, Mapping):
        for key, value in metadata.items():
            _refuse_objects(value, name, of_codec=of_codec or key in ("codecs", "compressor", "filters"))
    elif isinstance(metadata, list | tuple):
        for value in metadata:
            _refuse_objects(value, name, of_codec=of_codec)


def _fields_of_zarr(obj: Any) -> ZarrFields:
    what = type(obj).__name__
    if what == "Array":
        shape = tuple(obj.shape)
        return ZarrFields("zarr", what, {}, {}, shape=shape, dtype=str(obj.dtype), nbytes=int(obj.nbytes))
    arrays = sorted((path, one) for path, one in obj.members(max_depth=None) if type(one).__name__ == "Array")
    types = {path: str(one.dtype) for path, one in arrays[:_LISTED]}
    return ZarrFields("zarr", what, types, {}, nbytes=sum(int(one.nbytes) for _, one in arrays))


# -------------------------------------------------------------------------------------------------------------- xarray


def _as_dataset(obj: Any) -> Any:
    """Return a dataset that notes what it was, without what it remembers of the file that it was read from."""
    what = type(obj).__name__
    note = {"class": what}
    if what == "DataArray":
        name = obj.name if isinstance(obj.name, str) and obj.name not in obj.coords else _VALUES
        if name in obj.coords or not (obj.name is None or isinstance(obj.name, str)):
            raise ValueError(
                f"A DataArray of the name {obj.name!r} cannot be saved: rename it, or its coordinate {name!r}."
            )
        note |= {"variable": name} | ({} if obj.name is None else {"name": obj.name})
        obj = obj.to_dataset(name=name)
    return obj.drop_encoding().assign_attrs({_NOTE: note})


def _with_plain_attributes(dataset: Any) -> Any:
    """Return a dataset whose attributes anybody can read as JSON, and that notes what they were, as those of netCDF files."""
    plain = dataset.copy()
    kept: dict[str, Any] = {"variables": {}}
    plain.attrs, kept["dataset"] = _parted(dataset.attrs)
    for name, variable in plain.variables.items():
        variable.attrs, exact = _parted(variable.attrs)
        if exact:
            kept["variables"][name] = exact
    if kept["dataset"] or kept["variables"]:
        plain.attrs[_NOTE] = plain.attrs[_NOTE] | {_KEPT: kept}
    return plain


def _parted(attributes: Mapping[Any, Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Return attributes as JSON has them, and those of which it has less than there is."""
    plain, exact = dict(attributes), {}
    for name, value in attributes.items():
        try:
            encoded = encode(value, name)
        except SerializationError:
            continue  # it is compared once it is written
        if _types_in(simple := _simple(value)) != _types_in(value):
            plain[name], exact[name] = simple, encoded
    return plain, exact


def _simple(value: Any) -> Any:
    """Return a value without the types of numpy, with lists for tuples, and text for the keys of dicts."""
    if isinstance(value, dict):
        return {str(key): _simple(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_simple(one) for one in value]
    numpy: Any = library("numpy", "a dataset")
    return value.tolist() if isinstance(value, numpy.generic | numpy.ndarray) else value


def _with_exact_attributes(dataset: Any) -> Any:
    """Return a dataset that was read, with the attributes that its note has."""
    note = dataset.attrs.get(_NOTE)
    if isinstance(note, dict) and (kept := note.pop(_KEPT, None)):
        for name, value in kept["dataset"].items():
            dataset.attrs[name] = decode(value)
        for variable, attributes in kept["variables"].items():
            for name, value in attributes.items():
                dataset.variables[variable].attrs[name] = decode(value)
    return dataset


def _write(dataset: Any, folder: Path) -> None:
    try:
        with _quiet():
            dataset.to_zarr(folder, mode="w", zarr_format=3, consolidated=False)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"The dataset cannot be written in the Zarr format: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the warnings that another library might not read a type, as fixed-length text."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s).*Zarr (V3|format 3)")
        yield


def _compare(one: Any, other: Any) -> None:
    """Raise `ValueError` if what was written is another dataset: dimensions, types, attributes, and values that were converted."""
    if {*one.variables} != {*other.variables} or {*one.coords} != {*other.coords}:
        raise ValueError(
            f"The dataset would be loaded with the variables {shorten(sorted(map(str, other.variables)))}."
        )
    if {*one.indexes} != {*other.indexes}:
        raise ValueError(
            f"The dataset would be loaded with the indexes {shorten(sorted(map(str, other.indexes)))}: those of "
            "dimensions alone. Drop others by drop_indexes(...); rename a coordinate that has none."
        )
    if not _same_attributes(one, other):
        raise ValueError(f"The dataset would be loaded with the attributes {other.attrs!r}. {_REMEDY}")
    for name, variable in one.variables.items():
        again = other.variables[name]
        if (variable.dims, variable.shape, variable.dtype) != (again.dims, again.shape, again.dtype):
            raise ValueError(
                f"The variable {name!r} is of {variable.dtype} over {variable.dims}, and would be loaded as {again.dtype} "
                f"over {again.dims}: convert it by astype(...)."
            )
        if not _same_attributes(variable, again):
            raise ValueError(f"The attributes of {name!r} would be {again.attrs!r}, not {variable.attrs!r}. {_REMEDY}")
        if variable.dtype.kind not in "biufc" and not variable.equals(again):
            raise ValueError(f"The variable {name!r} would have other values: convert it, as by astype(str).")


def _same_attributes(one: Any, other: Any) -> bool:
    variable: Any = library("xarray", "a dataset").Variable
    is_equal = bool(variable((), 0, one.attrs).identical(variable((), 0, other.attrs)))
    return is_equal and _types_in(one.attrs) == _types_in(other.attrs)


def _types_in(value: Any) -> Any:
    """Return the types of values, in dicts and lists too: 1, 1.0 and an array of it are equal."""
    if isinstance(value, dict):
        return {(type(key), key): _types_in(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [type(value), *(_types_in(one) for one in value)]
    return type(value), str(getattr(value, "dtype", "")), getattr(value, "shape", ())


def _fields_of_xarray(obj: Any, dataset: Any) -> ZarrFields:
    types = {str(name): str(one.dtype) for name, one in dataset.variables.items()}
    single = type(obj).__name__ == "DataArray"
    return ZarrFields(
        package="xarray",
        object=type(obj).__name__,
        arrays=dict(sorted(types.items())[:_LISTED]),
        sizes={str(name): int(size) for name, size in dataset.sizes.items()},
        shape=tuple(obj.shape) if single else None,
        dtype=str(obj.dtype) if single else None,
        nbytes=int(dataset.nbytes),
    )


# ------------------------------------------------------------------------------------------------------------- reading


def _open(place: str, name: str, package: str, options: dict[str, Any] | None = None) -> Any:
    """Return what lies in a folder, or below a URL."""
    zarr = library("zarr", name)
    if package == "xarray":
        library("xarray", name)
    how = {"zarr_format": 3, "use_consolidated": False} if package == "xarray" else {}
    with _quiet():
        found = zarr.open(place, mode="r", storage_options=options, **how)
        for one in [found, *(one for _, one in (found.members(max_depth=None) if hasattr(found, "members") else ()))]:
            _refuse_objects(one.metadata.to_dict(), name)
    if package != "xarray":
        return found
    dataset = _open_dataset(place, name, options)
    note = dataset.attrs.pop(_NOTE, {"class": "Dataset"})
    if note["class"] == "Dataset":
        return dataset
    return dataset[note["variable"]].rename(note.get("name"))


def _open_dataset(place: str, name: str, options: dict[str, Any] | None = None) -> Any:
    xarray = library("xarray", name)
    how: dict[str, Any] = {"consolidated": False, "chunks": None, "storage_options": options}
    with _quiet():
        return _with_exact_attributes(xarray.open_zarr(place, zarr_format=3, **how).drop_encoding())
