"""Named tensors of torch, jax or numpy, such as the weights of a model, as safetensors files."""

from __future__ import annotations

import io
import json
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from molexp.contracts import AssetKind, Preview, Sink, Source
from molexp.errors import AssetError
from molexp_science._libraries import class_name, imported, is_in_memory, library, shorten

_OURS: Final = "molexp"  # the one key of the file's metadata: several would have an order of their own in each file
_RESERVED: Final = "__metadata__"
_LONGEST_HEADER: Final = 100_000_000  # bytes, the limit of the format
_SHOWN: Final = 20
_TYPES: Final = frozenset(
    [
        *(
            "bool",
            "uint8",
            "int8",
            "uint16",
            "int16",
            "uint32",
            "int32",
            "uint64",
            "int64",
            "float16",
            "float32",
            "float64",
        ),
        *("bfloat16", "complex64", "float8_e4m3fn", "float8_e5m2"),
    ]
)


class TensorsFields(Struct, frozen=True):
    """The fields of named tensors.

    Attributes:
        package: the library that they are of: ``torch``, ``jax`` or ``numpy``.
        n_tensors: the number of names.
        n_parameters: the number of elements; those of tensors that share their memory count once.
        dtypes: the types of elements, in alphabetical order.
        nbytes: the bytes of the elements.

    Example:
        >>> import numpy as np
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx.tensors.save("model", {"weight": np.zeros((2, 3)), "bias": np.zeros(2)})
        >>> asset.fields.n_tensors, asset.fields.n_parameters, asset.fields.dtypes
        (2, 8, ('float64',))
    """

    package: str
    n_tensors: int
    n_parameters: int
    dtypes: tuple[str, ...]
    nbytes: int


class TensorsKind(AssetKind[Mapping[str, Any], TensorsFields]):
    """Dicts of tensors by their names, also dicts of such dicts. Nothing is pickled.

    `load` returns tensors of the library that they were of, in main memory, without gradients. Tensors that share all of their
    memory do so again; views of parts of it become tensors of their own.

    ``ctx.save`` chooses it for an `OrderedDict` of nothing but tensors, as ``state_dict()`` of torch returns it. A plain dict is
    an artifact: use ``ctx.tensors.save(name, weights)``.

    Example:
        >>> import numpy as np
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx.tensors.save("model", {"encoder": {"bias": np.zeros(2)}})
        >>> asset.load()
        {'encoder': {'bias': array([0., 0.])}}
    """

    name = "tensors"
    suffix = ".safetensors"
    types = ("collections.OrderedDict",)

    def accepts(self, obj: object, /) -> bool:
        """Tell whether it is a dict with tensors in it, and with nothing else."""
        if type(obj) not in (dict, OrderedDict) or not obj:
            return False
        return all(_library_of(leaf) for _, leaf in _leaves(obj))

    def validate(self, obj: Mapping[str, Any], /) -> None:
        """Raise `ValueError` for names or tensors that a file would not give back as they are."""
        leaves = [*_leaves(obj)]
        libraries = sorted({_library_of(leaf) for _, leaf in leaves})
        if len(libraries) != 1:
            raise ValueError(
                f"The tensors are of several libraries, {' and '.join(libraries)}: save them under two names."
            )
        names: set[str] = set()
        for path, leaf in leaves:
            name = _joined(path)
            if name in names:
                raise ValueError(f"Two tensors would have the name {name!r}: a dot parts the names of dicts in dicts.")
            names.add(name)
            if problem := _PROBLEMS[libraries[0]](leaf):
                raise ValueError(f"The tensor {name!r} {problem}.")

    def save(self, obj: Mapping[str, Any], sink: Sink) -> TensorsFields:
        """Write the tensors, without a copy of those that lie in one piece."""
        leaves = {_joined(path): leaf for path, leaf in _leaves(obj)}
        kind = _library_of(next(iter(leaves.values())))
        files = library(f"safetensors.{'torch' if kind == 'torch' else 'numpy'}", sink.name)
        tensors, shared = _DISTINCT[kind](leaves)
        note: dict[str, Any] = {
            "library": kind,
            "paths": [path for path, _ in _leaves(obj)],
            "ordered": isinstance(obj, OrderedDict),
            "shared": shared,
        }
        if isinstance(versions := getattr(obj, "_metadata", None), dict):
            note["versions"] = versions  # of torch's modules
        metadata = {_OURS: json.dumps(note, separators=(",", ":"))}
        if sys.byteorder == "big":  # the format has the other order
            sink.write(files.save(tensors, metadata=metadata))
        else:
            with sink.open() as stream:
                for part in _parts(tensors, files.save, metadata):
                    stream.write(part)
        dtypes = {str(one.dtype).removeprefix("torch.") for one in tensors.values()}
        return TensorsFields(
            package=kind,
            n_tensors=len(leaves),
            n_parameters=sum(_count(one) for one in tensors.values()),
            dtypes=tuple(sorted(dtypes)),
            nbytes=sum(int(one.nbytes) for one in tensors.values()),
        )

    def load(self, source: Source[TensorsFields]) -> Mapping[str, Any]:
        """Read the tensors."""
        with source.open() as stream:
            note = json.loads(_header(stream).get(_RESERVED, {}).get(_OURS, "{}"))
        if (kind := note.get("library", "numpy")) not in tuple(_DISTINCT):  # it would be imported
            raise AssetError(
                f"{source.name!r} has tensors of {kind!r}, and is read as those of {', '.join(_DISTINCT)} alone.",
                name=source.name,
            )
        if kind != "numpy":
            library(kind, source.name)
        files = library(f"safetensors.{'torch' if kind == 'torch' else 'numpy'}", source.name)
        tensors = files.load_file(source.path())
        if kind == "jax":
            tensors = _to_jax(tensors, source.name)
        tensors |= {name: tensors[kept] for name, kept in note.get("shared", {}).items()}
        return _nested(tensors, note)

    def restores(self, obj: Mapping[str, Any], /) -> bool:
        """Tell whether its tensors are plain ones in memory, in one piece, without gradients, and where `load` puts them."""
        return all(_IS_PLAIN[kind](leaf) if (kind := _library_of(leaf)) else False for _, leaf in _leaves(obj))

    def describe(self, asset: Any, /) -> str:
        """Return how many there are, and of what."""
        fields: TensorsFields = asset.fields
        of = f"{shorten([*fields.dtypes])}, of {fields.package}"
        return f"{fields.n_tensors} tensors with {fields.n_parameters} elements of {of}"

    def preview(self, source: Source[TensorsFields], /) -> Preview:
        """Return the names, shapes and types of the first tensors."""
        with source.open() as stream:
            header = _header(stream)
        header.pop(_RESERVED, None)
        lines = [f"{name}  {one['dtype']}  {tuple(one['shape'])}" for name, one in sorted(header.items())]
        more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        return Preview(text="\n".join([*lines[:_SHOWN], *more]))


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the values of dicts in dicts, each with the keys that lead to it; of an empty one, the dict itself."""
    for key, value in tree.items():
        if type(value) is dict and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _joined(path: tuple[str, ...]) -> str:
    if not all(isinstance(key, str) for key in path):
        raise ValueError(f"A name is text, and {path!r} has something else.")
    name = ".".join(path)
    if name == _RESERVED:
        raise ValueError(f"A tensor cannot have the name {name!r}, which has a meaning in safetensors files.")
    return name


def _library_of(value: object) -> str:
    """Return the library of a tensor; "" if it is none."""
    if isinstance(value, imported("torch", "Tensor")):
        return "torch"
    if isinstance(value, imported("numpy", "ndarray")):
        return "numpy"
    return "jax" if isinstance(value, imported("jax", "Array")) else ""


def _count(tensor: Any) -> int:
    return int(tensor.numel() if hasattr(tensor, "numel") else tensor.size)


def _problem_of_type(dtype: str, remedy: str) -> str:
    return "" if dtype in _TYPES else f"is of {dtype}, which safetensors files do not hold: {remedy}"


def _problem_of_numpy(array: Any) -> str:
    import numpy as np

    if type(array) not in (np.ndarray, np.memmap):
        return f"is a {class_name(array)}, which would be loaded as numpy.ndarray: save numpy.asarray(tensor)"
    if not array.dtype.isnative:
        return (
            'has bytes in another order than this machine: convert it by tensor.astype(tensor.dtype.newbyteorder("="))'
        )
    return _problem_of_type(array.dtype.name, "convert it by tensor.astype(...), or use ctx.array.save(...)")


def _problem_of_torch(tensor: Any) -> str:
    import torch

    if tensor.layout is not torch.strided or tensor.is_quantized:
        return "is sparse or quantized: save tensor.to_dense() or tensor.dequantize()"
    if tensor.is_meta:
        return "is on the device 'meta', where tensors have no elements"
    return _problem_of_type(str(tensor.dtype).removeprefix("torch."), "convert it by tensor.to(...)")


def _problem_of_jax(array: Any) -> str:
    if not array.is_fully_addressable:
        return "lies on several hosts: gather it first, as by jax.experimental.multihost_utils.process_allgather(...)"
    return _problem_of_type(str(array.dtype), "convert it by array.astype(...), or a key by jax.random.key_data(...)")


def _is_plain_numpy(array: Any) -> bool:
    import numpy as np

    plain = type(array) is np.ndarray and array.flags.c_contiguous and array.flags.writeable
    return plain and is_in_memory(array)


def _is_plain_torch(tensor: Any) -> bool:
    import torch

    plain = type(tensor) is torch.Tensor and tensor.layout is torch.strided and tensor.device.type == "cpu"
    return plain and tensor.is_contiguous() and not (tensor.requires_grad or tensor.is_shared())


def _is_plain_jax(array: Any) -> bool:
    return not array.weak_type and array.devices() == library("jax.numpy", "a tensor").zeros(()).devices()


_IS_PLAIN: Final = {"numpy": _is_plain_numpy, "torch": _is_plain_torch, "jax": _is_plain_jax}
_PROBLEMS: Final = {"numpy": _problem_of_numpy, "torch": _problem_of_torch, "jax": _problem_of_jax}


def _distinct_numpy(leaves: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the arrays in one piece, each once, and the names that share one with another."""
    import numpy as np

    seen: dict[int, str] = {}
    shared = {name: kept for name, one in leaves.items() if (kept := seen.setdefault(id(one), name)) != name}
    distinct = {name: one for name, one in leaves.items() if name not in shared}
    return {name: np.ascontiguousarray(one).reshape(one.shape) for name, one in distinct.items()}, shared


def _distinct_jax(leaves: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    import numpy as np

    return _distinct_numpy({name: np.asarray(one) for name, one in leaves.items()})


def _distinct_torch(leaves: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the tensors in one piece, each once, and the names that share the memory of another."""
    seen: dict[Any, str] = {}
    shared: dict[str, str] = {}
    distinct: dict[str, Any] = {}
    memory: set[Any] = set()
    for name, tensor in leaves.items():
        bits = (tensor.is_conj(), tensor.is_neg())  # of a view of the same memory with other values
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, bits)
        if tensor.numel() and (kept := seen.setdefault(place, name)) != name:
            shared[name] = kept
            continue
        whole = tensor.detach().resolve_conj().resolve_neg().contiguous()
        storage = (tensor.device, whole.untyped_storage().data_ptr())
        distinct[name] = whole.clone() if storage in memory else whole  # a view of what another one has
        memory.add(storage)
    return distinct, shared


_DISTINCT: Final = {"numpy": _distinct_numpy, "torch": _distinct_torch, "jax": _distinct_jax}


def _parts(
    tensors: Mapping[str, Any], save: Callable[..., bytes], metadata: Mapping[str, str]
) -> Iterator[bytes | memoryview]:
    """Yield what `safetensors` writes, without a second copy of the tensors: the header, and the memory of each.

    The library itself writes the header, for tensors of the same types without elements. Their shapes and places are filled in.
    """
    header = _header(io.BytesIO(save({name: one.reshape(-1)[:0] for name, one in tensors.items()}, metadata=metadata)))
    names = [name for name in header if name != _RESERVED]
    end = 0
    for name in names:
        start, end = end, end + int(tensors[name].nbytes)
        header[name] |= {"shape": [*tensors[name].shape], "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        tensor = tensors[name].cpu() if _library_of(tensors[name]) == "torch" else tensors[name]
        yield _memory(tensor)


def _memory(tensor: Any) -> memoryview:
    """Return the bytes of a tensor that lies in one piece in main memory, for as long as the tensor is kept."""
    if _library_of(tensor) == "numpy":
        return memoryview(tensor.reshape(-1).view("u1"))
    import ctypes

    return memoryview((ctypes.c_ubyte * tensor.nbytes).from_address(tensor.data_ptr()))


def _header(stream: Any) -> dict[str, Any]:
    """Return the header of a safetensors file: its length in eight bytes, and JSON."""
    length = int.from_bytes(stream.read(8), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"The header says that it has {length} bytes: this is no safetensors file.")
    found: dict[str, Any] = json.loads(stream.read(length))
    return found


def _to_jax(tensors: Mapping[str, Any], asset: str) -> dict[str, Any]:
    jnp = library("jax.numpy", asset)
    found = {name: jnp.asarray(one) for name, one in tensors.items()}
    for name, one in found.items():
        if one.dtype != tensors[name].dtype:
            raise ValueError(
                f"{asset!r} has {tensors[name].dtype} in {name!r}, which jax turns into {one.dtype} here: "
                'call jax.config.update("jax_enable_x64", True) first.'
            )
    return found


def _nested(tensors: Mapping[str, Any], note: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tensors in the dicts in which they were, and in their order."""
    found: dict[str, Any] = OrderedDict() if note.get("ordered") else {}
    for *above, last in note.get("paths", [[name] for name in tensors]):
        place = found
        for key in above:
            place = place.setdefault(key, {})
        place[last] = tensors[".".join([*above, last])]
    if "versions" in note:
        found._metadata = OrderedDict(note["versions"])  # type: ignore[attr-defined]  # where torch looks for it
    return found
