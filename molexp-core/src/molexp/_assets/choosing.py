"""Choose the asset kind of an object that is saved without one being named."""

from __future__ import annotations

from pathlib import PurePath
from shlex import join
from typing import TYPE_CHECKING, Any

from molexp._assets.builtin_kinds import WHAT_FILES_TAKE
from molexp._values.ids import check_payload_name
from molexp._values.loaded import type_name
from molexp._values.plain import plain
from molexp.errors import InvalidNameError, NoKindError, PluginError, SerializationError
from molexp.plugins import install_command
from molexp.plugins._sorts import PLAIN, TYPES_OF_SCIENCE

if TYPE_CHECKING:
    from molexp._assets.registry import Library


def kinds_for(library: Library, obj: Any) -> list[str]:
    """Return the kinds that an object can be saved as without being named: one, none, or several that contend for it.

    Those count that name the class of the object, or the nearest one that it inherits from. Where none does, and where
    artifacts alone name a class that it inherits from, those are asked that accept objects without having named a class.
    """
    if named := kinds_of_class(library, obj):
        return named
    found = [name for name in library.plugins.asset_kinds() if _accepts(library, name, obj)]
    return sorted([name for name in found if name != "artifact"] or found)


def kinds_of_class(library: Library, obj: Any) -> list[str]:
    """Return the kinds that name the class of an object, or the nearest one that it inherits from."""
    is_plain = type(obj).__module__.partition(".")[0] in PLAIN  # Python 3.13 has pathlib._local
    for cls in type(obj).__mro__[:-1]:
        found = kinds_naming(library, cls, obj)
        if found == ["artifact"] and not is_plain:
            break
        if found:
            return sorted(found)
    return []


def kinds_naming(library: Library, cls: type[Any], obj: Any) -> list[str]:
    """Return the kinds that name a class of an object, and accept the object."""
    return [
        name for name in library.plugins.kinds_of_types(_names_of(cls)) if _accepts(library, name, obj, unasked=True)
    ]


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
    if (accepting := kinds_for(library, obj)) and (accepting != ["artifact"] or _is_artifact(obj)):
        return NoKindError(name, type_name(obj), kinds=accepting, hint=f"Use ctx.{accepting[0]}.save(...).")
    hint = to_install(library, obj, name)
    hint = f"{hint[0].upper()}{hint[1:]}." if hint else WHAT_FILES_TAKE
    return NoKindError(name, type_name(obj), kinds=library.kind_names(savable=True), hint=hint)


def _is_artifact(obj: Any) -> bool:
    """Tell whether an artifact can hold all that is in an object, such as the numbers of a dict, and no tensors."""
    try:
        plain(obj, where="value", nan=True)
    except SerializationError:
        return isinstance(obj, bytes | bytearray | memoryview | PurePath)
    return True


def offer(library: Library, obj: Any, name: str) -> str:
    """Return the call that saves an object whose class an installed kind names, half a sentence; "" if there is no such kind."""
    found = kinds_of_class(library, obj)
    return f"save it as an asset: {_call(found[0], name, obj)}" if len(found) == 1 else ""


def to_install(library: Library, obj: Any, name: str) -> str:
    """Return the command that installs what saves an object, and the call that does then; "" if none is known."""
    known = (TYPES_OF_SCIENCE.get(one) for cls in type(obj).__mro__ for one in sorted(_names_of(cls)))
    kind = next(filter(None, known), None)
    if kind is None or kind in library.kind_names():
        return ""
    return f"install what saves it, {join(install_command('molexp[science]'))}, and use {_call(kind, name, obj)}"


def _call(kind: str, name: str, obj: Any) -> str:
    try:
        name = check_payload_name(name)
    except InvalidNameError:
        name = "NAME"
    if isinstance(obj, dict | list | tuple) and not name.endswith(".json"):
        name += ".json"
    return f"ctx.{kind}.save({name!r}, value)"


def _names_of(cls: type[Any]) -> set[str]:
    """Return the names by which kinds name a class: with its module, or with the top package of that."""
    return {f"{cls.__module__}.{cls.__qualname__}", f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"}
