"""The sorts of things that plugins register, and what makes a class one of them."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from msgspec import Struct

from molexp import contracts
from molexp._values.patterns import late
from molexp._values.structuring import fields_of, is_record, missing_name, unreadable_field
from molexp.contracts import Declared
from molexp.plugins._loading import Unusable

_CONTEXTS = (("molexp._hierarchy.run_context", "RunContext"), ("molexp._workflow.context", "TaskContext"))
"""The classes that have kinds as attributes. They build on plugins, so they are imported only to check a kind of a plugin."""

PLAIN = ("builtins", "pathlib")
"""The modules of the types that are saved as artifacts."""

ANY = "*"
"""Among a store's schemes: whatever nobody else claims, if it takes that."""

_ABILITIES = ("accepts", "describe", "growing", "merge", "preview", "restores", "upgrade", "validate")
_ALIKE = 0.8  # of two names, from which one may be meant to be the other: `accept` and `accepts`, not `merge_all` and `merge`

_URL_SCHEME = late(r"[a-z][a-z0-9+.-]*")  # RFC 3986, section 3.1, in its canonical lower case
_PLAIN_NAME = late(r"[a-z0-9][a-z0-9._-]*")


class Sort(Struct, frozen=True):
    """A sort of contribution.

    Attributes:
        hook: the hook that registers it.
        what: its name in messages.
        base: the class of `molexp.contracts` that contributions derive from, "" for functions; executors are seldom asked
            for, and take time to import.
        names: the names that a class claims; raises `Unusable`.
        packages: names to the distribution that provides them, for what we make ourselves.
        kit: the class of `molexp.testing` that tests one; "" if there is none.
    """

    hook: str
    what: str
    base: str
    names: Callable[[Any], tuple[str, ...]]
    packages: Mapping[str, str]
    kit: str = ""

    def claims(self, contribution: object) -> tuple[str, ...]:
        """Check one thing that a hook returned and return the names that it claims.

        Raises:
            Unusable: with the cause.
        """
        if isinstance(contribution, Declared):
            return (self._declared(contribution),)
        if not self.base:
            raise Unusable(f"{self.hook} returned {_shown(contribution)}; it returns `Declared`, of functions")
        if not isinstance(contribution, type):
            raise Unusable(f"{self.hook} returned {_shown(contribution)}, which is neither a class nor a `Declared`")
        if not issubclass(contribution, getattr(contracts, self.base)):
            wanted = f"molexp.contracts.{self.base}"
            raise Unusable(f"{self.hook} returned {_shown(contribution)}, which is not a subclass of {wanted}")
        if missing := ", ".join(sorted(getattr(contribution, "__abstractmethods__", ()))):
            raise Unusable(f"{_shown(contribution)} lacks abstract methods of {self.base}: {missing}")
        return self.names(contribution)

    def _declared(self, found: Declared) -> str:
        texts = (found.name, found.where, *found.types) if isinstance(found.types, tuple) else (None,)
        if not all(isinstance(text, str) and text for text in texts):
            raise Unusable(
                f"{self.hook} returned {found!r}; each of these must be a text, and `types` a tuple of texts"
            )
        return found.name if self.base else self.names(found)[0]

    def provided(self, declared: Declared, found: object) -> tuple[str, ...]:
        """Check what was found where a declaration says it is, and return the names that it has.

        Raises:
            Unusable: with the cause.
        """
        if self.base or isinstance(found, Declared):
            return self.claims(found)
        if not callable(found):
            raise Unusable(f"{declared.where!r} is {_shown(found)}, which is no function")
        return (declared.name,)


def _shown(thing: object) -> str:
    if isinstance(thing, type):
        return f"{thing.__module__}.{thing.__qualname__}"
    return f"a {type(thing).__qualname__}"


def _schemes(cls: type[Any]) -> tuple[str, ...]:
    schemes = cls.schemes
    if not isinstance(schemes, tuple | list) or not schemes:
        raise Unusable(f"{_shown(cls)}.schemes is {schemes!r}; it must be a tuple of URL schemes, as in ('file',)")
    for scheme in schemes:
        if scheme != ANY and (not isinstance(scheme, str) or not _URL_SCHEME.fullmatch(scheme)):
            raise Unusable(f"{_shown(cls)}.schemes has {scheme!r}; a scheme is lower case, as in 'file'")
    return tuple(dict.fromkeys(schemes))


def _name(cls: Any) -> str:
    name = getattr(cls, "name", None)
    if not isinstance(name, str) or not name:
        raise Unusable(f"{_shown(cls)} has no name: give it a class attribute 'name'")
    return name


def _kind_name(cls: type[Any]) -> tuple[str, ...]:
    name = _name(cls)
    if not name.isidentifier() or name != name.lower() or name.startswith("_") or keyword.iskeyword(name):
        raise Unusable(f"{_shown(cls)}.name is {name!r}; it must be a lower-case identifier, as in 'trajectory'")
    if name not in _CORE_KINDS and name in _names_of_contexts():
        raise Unusable(f"{_shown(cls)}.name is {name!r}, which contexts use for something else; choose another")
    if not is_record(cls.fields):
        raise Unusable(
            f"the fields of {_shown(cls)} are {cls.fields!r}, which is no attrs class or dataclass; name one in its base, "
            "AssetKind[T, F], or NoFields"
        )
    if unknown := missing_name(cls.fields):
        raise Unusable(
            f"{_shown(cls)}.fields has the name {unknown!r} in an annotation, which is not there when records are read; "
            "import or define it at the top of the module, and not for type checkers only"
        )
    if name not in _CORE_KINDS:
        _check_kind_of_plugin(cls)
    return (name,)


def _check_kind_of_plugin(cls: type[Any]) -> None:
    for field in fields_of(cls.fields):
        if field.name in _names_of_assets() or field.name.startswith("_"):
            raise Unusable(f"the field {field.name!r} of {_shown(cls)} means something else of every asset; rename it")
    if not isinstance(cls.types, tuple) or not all(isinstance(one, str) and "." in one for one in cls.types):
        raise Unusable(
            f"{_shown(cls)}.types is {cls.types!r}; it must be a tuple of full names, as in ('ase.atoms.Atoms',)"
        )
    if core := [one for one in cls.types if one.partition(".")[0] in PLAIN]:
        raise Unusable(
            f"{_shown(cls)}.types has {core[0]!r}, whose objects are saved as artifacts; name a class of your own"
        )
    if unreadable := unreadable_field(cls.fields):
        raise Unusable(f"{_shown(cls)}.fields has {unreadable}, which JSON does not give back")


def misspelt(cls: type[Any], *, methods: bool = False) -> Iterator[str]:
    """Yield, for people, the names of an asset kind that resemble one of the contract which it lacks: nobody asks for them.

    With `methods`, only those of methods which resemble an optional method.
    """
    from difflib import get_close_matches

    bases = [base for base in cls.__mro__ if base not in contracts.AssetKind.__mro__]
    own = {name for base in bases for name in vars(base) if not name.startswith("_")}
    optional = _ABILITIES if methods else (*_ABILITIES, *vars(contracts.AssetKind)["__annotations__"])
    lacking = [name for name in optional if name not in own]
    for name in sorted(own.difference(_ABILITIES, dir(contracts.AssetKind))):
        for alike in get_close_matches(name, lacking, 1, _ALIKE):
            if not methods or callable(getattr(cls, name, None)):
                yield f"it has {name!r}, for which nobody asks: is it meant to be {alike!r}?"


@cache
def _names_of_contexts() -> frozenset[str]:
    """Return the attributes of contexts: a kind of such a name could not be reached as ``ctx.<kind>``."""
    contexts = [getattr(import_module(module), name) for module, name in _CONTEXTS]
    annotated = (vars(cls).get("__annotations__", {}) for context in contexts for cls in context.__mro__)
    return frozenset().union(*map(dir, contexts), *annotated)


@cache
def _names_of_assets() -> frozenset[str]:
    """Return the names that every asset has, in Python and in queries: a field of such a name could not be asked for."""
    from molexp.contracts._assets import Asset

    return frozenset({*(name.lstrip("_") for name in dir(Asset)), *vars(Asset)["__annotations__"], "attempt", "task"})


def _plain_name(cls: Any) -> tuple[str, ...]:
    name = _name(cls)
    if not _PLAIN_NAME.fullmatch(name):
        raise Unusable(f"{_shown(cls)}.name is {name!r}; it must be lower-case letters, digits, '.', '_' and '-'")
    return (name,)


_CORE_KINDS = ("artifact", "checkpoint", "data", "error_trace", "execution_state", "log", "metrics")
_SCIENCE_KINDS = ("array", "figure", "image", "structure", "table", "tensors", "trajectory", "zarr")

TYPES_OF_SCIENCE: Mapping[str, str] = {
    "numpy.ndarray": "array",
    **dict.fromkeys(("matplotlib.Figure", "matplotlib.Axes", "plotly.BaseFigure"), "figure"),
    "PIL.Image": "image",
    **dict.fromkeys(("ase.Atoms", "pymatgen.IStructure", "pymatgen.IMolecule", "rdkit.Mol"), "structure"),
    **dict.fromkeys(("pandas.DataFrame", "polars.DataFrame", "pyarrow.Table", "pyarrow.RecordBatch"), "table"),
    **dict.fromkeys(("ase.TrajectoryReader", "ase.SlicedTrajectory"), "trajectory"),
    **dict.fromkeys(("zarr.Array", "zarr.Group", "xarray.Dataset", "xarray.DataArray"), "zarr"),
}
"""The kinds of molexp-science that save objects of these classes, for the advice to install it."""

STORAGE_BACKENDS = Sort(
    hook="molexp_register_storage_backends",
    what="storage backend",
    base="Store",
    names=_schemes,
    packages={"file": "molexp-fs", "s3": "molexp-s3-store", "memory": "molexp-core"},
    kit="StoreTests",
)
ASSET_KINDS = Sort(
    hook="molexp_register_asset_kinds",
    what="asset kind",
    base="AssetKind",
    names=_kind_name,
    packages=dict.fromkeys(_CORE_KINDS, "molexp-core") | dict.fromkeys(_SCIENCE_KINDS, "molexp-science"),
    kit="AssetKindTests",
)
RUN_ID_SCHEMES = Sort(
    hook="molexp_register_run_id_schemes",
    what="run-id scheme",
    base="RunIdScheme",
    names=_plain_name,
    packages={"molexp-1": "molexp-core"},
    kit="RunIdSchemeTests",
)
EXECUTORS = Sort(
    hook="molexp_register_executors",
    what="executor",
    base="Executor",
    names=_plain_name,
    packages={"inline": "molexp-core", "process": "molexp-core", "dask": "molexp-dask", "slurm": "molexp-slurm"},
    kit="ExecutorTests",
)
QUEUES = Sort(
    hook="molexp_register_queues",
    what="queue",
    base="Queue",
    names=_plain_name,
    packages={"local": "molexp-core", "slurm": "molexp-slurm"},
    kit="QueueTests",
)
COMMANDS = Sort(
    hook="molexp_register_commands",
    what="command",
    base="",
    names=_plain_name,
    packages={"mcp": "molexp-mcp", "ui": "molexp-web"},
)
COLUMNS = Sort(hook="molexp_register_columns", what="column", base="", names=_plain_name, packages={})
RENDERERS = Sort(hook="molexp_register_renderers", what="renderer", base="", names=_plain_name, packages={})
SORTS = (STORAGE_BACKENDS, ASSET_KINDS, RUN_ID_SCHEMES, EXECUTORS, QUEUES, COMMANDS, COLUMNS, RENDERERS)
OURS = frozenset(package for sort in SORTS for package in sort.packages.values())
"""The distributions that are released with the core: what they register is theirs, and they are not tried before."""
