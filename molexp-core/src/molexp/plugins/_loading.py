"""Import one plugin, find its hooks, call one of them: whatever goes wrong becomes one `Unusable`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import reduce
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

from molexp import hookspecs
from molexp._values import hook_marks
from molexp._values.ids import nearest
from molexp._values.patterns import late

Hook = Callable[[], Any]

_HOOKS = "molexp_"  # the beginning of the names of all hooks
_KNOWN = [name for name in vars(hookspecs) if name.startswith(_HOOKS)]
_REFERENCE = late(r"(?P<module>[\w.]+)\s*(?::\s*(?P<attribute>[\w.]+)\s*)?(?:\[.*\]\s*)?")  # extras are ignored


class Unusable(Exception):  # noqa: N818 - never leaves this package
    """Something of a plugin cannot be used; the text is the cause that people are told."""


@contextmanager
def isolated(doing: str) -> Iterator[None]:
    """Turn whatever third-party code raises into `Unusable`, except Ctrl-C.

    ``SystemExit`` is no reason to end the program, and extension modules raise panics beside ``Exception``.
    """
    try:
        yield
    except (KeyboardInterrupt, Unusable):
        raise
    except BaseException as error:
        import logging

        logging.getLogger("molexp.plugins").debug("%s failed", doing, exc_info=True)
        raise Unusable(f"{doing} failed: {_sentence(error)}") from None


def _sentence(error: BaseException) -> str:
    """Return the error in one line, with the place it comes from."""
    import traceback

    text = traceback.format_exception_only(error)[-1].strip().replace("\n", " ")
    if isinstance(error, SyntaxError):
        return f"{text} ({error.filename}, line {error.lineno})"
    if isinstance(error, SystemExit):
        text = f"it tried to end the program ({text})"
    frames = traceback.extract_tb(error.__traceback__)
    ours = (__file__, hook_marks.__file__)
    outer = [frame for frame in frames if "importlib" not in frame.filename and frame.filename not in ours]
    return f"{text} ({outer[-1].filename}, line {outer[-1].lineno})" if outer else text


def load(reference: str) -> Any:
    """Return what an entry point, or a declaration, refers to; it may print, though not into anybody's answer.

    Raises:
        Unusable: with the cause.
    """
    matched = _REFERENCE.fullmatch(reference)
    if matched is None:
        raise Unusable(f"its entry point {reference!r} is not of the form 'module' or 'module:attribute'")
    with isolated(f"importing {reference!r}"):
        attributes = matched["attribute"].split(".") if matched["attribute"] else []
        return reduce(getattr, attributes, import_module(matched["module"]))


def hooks_of(plugin: object, name: str, value: str) -> dict[str, list[Hook]]:
    """Return the hook implementations of a module or an object, by hook.

    Raises:
        Unusable: with the cause.
    """
    with isolated(f"looking for hooks in {value!r}"):
        if plugin is None:
            raise Unusable(f"{value!r} is None, not a plugin")
        found = _plainly_found(plugin) or _found_by_pluggy(plugin, name)
        _refuse_unmarked(plugin, found, value)
        return found


def _plainly_found(plugin: object) -> dict[str, list[Hook]]:
    """Return the hooks of a module of plain functions, marked without options; none if pluggy has to look: it takes time to import."""
    found: dict[str, list[Hook]] = {hook: [] for hook in _KNOWN}
    for name, member in vars(plugin).items() if isinstance(plugin, ModuleType) else ():
        options = vars(member).get("molexp_impl") if isinstance(member, FunctionType) else None
        if options is not None or name.startswith(_HOOKS):
            if options is None or any(options.values()) or name not in found or not _takes_nothing(member):
                return {}
            found[name].append(member)
    return found if any(found.values()) else {}


def _takes_nothing(function: FunctionType) -> bool:
    return not function.__code__.co_argcount and not hasattr(function, "__wrapped__")


def _found_by_pluggy(plugin: object, name: str) -> dict[str, list[Hook]]:
    """Let pluggy find and check the hooks, in a manager that nobody else's mistakes can reach."""
    import pluggy

    manager = pluggy.PluginManager("molexp")
    for hook in _KNOWN:
        pluggy.HookspecMarker("molexp")(vars(hookspecs)[hook])
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin, name)
    except pluggy.PluginValidationError as error:
        raise Unusable(_validation_sentence(str(error))) from None
    found: dict[str, list[Hook]] = {}
    for hook, caller in vars(manager.hook).items():
        implementations = [] if hook.startswith("_") else caller.get_hookimpls()
        if any(impl.wrapper or impl.hookwrapper for impl in implementations):
            raise Unusable(f"{hook} is a hook wrapper; registrations cannot be wrapped")
        if hook in _KNOWN:
            found[hook] = [impl.function for impl in implementations]
        elif not all(impl.optionalhook for impl in implementations):
            meant = "".join(f"; did you mean {name!r}?" for name in nearest(hook, _KNOWN, 1))
            raise Unusable(f"there is no hook {hook!r}{meant}")
    return found


def _validation_sentence(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"a hook has the wrong signature (hooks take no arguments): {' '.join(lines[1:]) or text}"


def _refuse_unmarked(plugin: object, found: dict[str, list[Hook]], value: str) -> None:
    """Refuse a plugin whose hook lacks its marker, which would otherwise do nothing, in silence."""
    for hook, implementations in found.items():
        if not implementations and callable(getattr(plugin, hook, None)):
            raise Unusable(f"{hook} is not marked: write @hookimpl above it (from molexp import hookimpl)")
    if not any(found.values()):
        raise Unusable(f"{value!r} has no hooks; those that exist are {', '.join(sorted(found))}")


def call_hook(hook: str, implementation: Hook) -> list[Any]:
    """Return what the implementation returned, as a list.

    Raises:
        Unusable: with the cause.
    """
    with isolated(hook):
        returned = implementation()
        if isinstance(returned, type):
            name = returned.__qualname__
            raise Unusable(f"{hook} returned the class {name}; return a list, [{name}]")
        if isinstance(returned, str | bytes) or not isinstance(returned, Iterable):
            if hasattr(returned, "close"):
                returned.close()  # a coroutine that nobody awaits would warn about itself
            shown = "None (is its return missing?)" if returned is None else f"a {type(returned).__qualname__}"
            raise Unusable(f"{hook} returned {shown}; return an iterable of classes")
        return list(returned)
