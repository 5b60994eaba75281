"""The declaration that a hook may return in place of a class, so that nothing is imported before it is needed."""

from __future__ import annotations

from msgspec import Struct


class Declared(Struct, frozen=True):
    """Something that a plugin provides, and where to import it from.

    A hook returns these in place of classes, or among them. A class is imported when its name is asked for.

    Attributes:
        name: the name of the asset kind, executor or run-id scheme, or the URL scheme of the storage backend.
        where: the place of the class, as in ``package.module:Class``.
        types: of an asset kind, the types that it saves, by module and name, as in ``ase.atoms.Atoms``.

    Example:
        >>> from molexp.contracts import Declared
        >>> Declared("geometry", "molexp_lab.kinds:GeometryKind", types=("molexp_lab.kinds.Geometry",)).name
        'geometry'
    """

    name: str
    where: str
    types: tuple[str, ...] = ()
