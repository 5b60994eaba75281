"""Choose the asset kind of an object that is saved without one being named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from molexp._assets.builtin_kinds import WHAT_FILES_TAKE
from molexp._values.loaded import type_name
from molexp.errors import NoKindError, PluginError
from molexp.plugins._sorts import PLAIN

if TYPE_CHECKING:
    from molexp._assets.registry import Library


def kinds_for(library: Library, obj: Any) -> list[str]:
    """Return the kinds that an object can be saved as without being named: one, none, or several that contend for it.

    Those count that name the class of the object, or the nearest one that it inherits from. Where none does, and where
    artifacts alone name a class that it inherits from, those are asked that accept objects without having named a class.
    """
    plain = type(obj).__module__.partition(".")[0] in PLAIN  # Python 3.13 has pathlib._local
    for cls in type(obj).__mro__[:-1]:
        found = kinds_naming(library, cls, obj)
        if found == ["artifact"] and not plain:
            break
        if found:
            return sorted(found)
    found = [name for name in library.plugins.asset_kinds() if _accepts(library, name, obj)]
    return sorted([name for name in found if name != "artifact"] or found)


def kinds_naming(library: Library, cls: type[Any], obj: Any) -> list[str]:
    """Return the kinds that name a class of an object, and accept the object."""
    names = {f"{cls.__module__}.{cls.__qualname__}", f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"}
    return [name for name in library.plugins.kinds_of_types(names) if _accepts(library, name, obj, unasked=True)]


def _accepts(library: Library, name: str, obj: Any, *, unasked: bool = False) -> bool:
    """Tell whether a kind accepts an object; one that cannot tell is named once, and does not.

    Args:
        library: the kinds.
        name: the kind's name.
        obj: the object.
        unasked: the answer of a kind that has no `accepts`.
    """
    try:
        cls = library.plugins.asset_kind(name)
    except PluginError:
        return False  # two plugins contend for it, which a warning has told
    if not hasattr(cls, "accepts"):
        return unasked
    try:
        kind: Any = library.kind(name)
        return bool(kind.accepts(obj))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's code, and others can save the object
        library.tell(name, "accepts", error)
        return False


def no_kind(name: str, obj: Any, library: Library) -> NoKindError:
    """Return the error for an object that a kind does not accept: names its type and the kinds that do."""
    accepting = kinds_for(library, obj)
    hint = f"Use ctx.{accepting[0]}.save(...)." if accepting else WHAT_FILES_TAKE
    return NoKindError(name, type_name(obj), kinds=accepting or library.kind_names(savable=True), hint=hint)
