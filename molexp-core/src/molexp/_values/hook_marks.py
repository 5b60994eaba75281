"""The mark of pluggy for implementations of hooks, without pluggy: it is imported where a plugin is more than plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


def hookimpl(
    function: _F | None = None,
    hookwrapper: bool = False,
    optionalhook: bool = False,
    tryfirst: bool = False,
    trylast: bool = False,
    specname: str | None = None,
    wrapper: bool = False,
) -> _F | Callable[[_F], _F]:
    """Mark a function of a plugin as the implementation of the hook that it is named after: ``@hookimpl``.

    Raises:
        TypeError: it was put above a class, or something else that is no function of yours.

    Example:
        >>> from molexp import hookimpl
        >>> @hookimpl
        ... def molexp_register_columns():
        ...     return []
    """
    options = dict(locals())
    del options["function"]

    def mark(marked: _F) -> _F:
        try:
            vars(marked)["molexp_impl"] = options
        except TypeError:  # a class, a builtin, an object without attributes of its own
            raise TypeError(_unmarkable(marked)) from None
        return marked

    return mark if function is None else mark(function)


def _unmarkable(given: object) -> str:
    name = getattr(given, "__qualname__", None)
    what = f"the class {name}" if isinstance(given, type) else f"the builtin {name}" if name else f"{given!r:.80}"
    module = getattr(given, "__module__", None)
    where = f" of the module {module}" if name and module else ""
    example = f", such as: def molexp_register_asset_kinds(): return [{name}]" if isinstance(given, type) else ""
    return f"@hookimpl marks functions, and was given {what}{where}. Put it above a function that is named after a hook{example}"
