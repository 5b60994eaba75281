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

    Example:
        >>> from molexp import hookimpl
        >>> @hookimpl
        ... def molexp_register_columns():
        ...     return []
    """
    options = dict(locals())
    del options["function"]

    def mark(marked: _F) -> _F:
        vars(marked)["molexp_impl"] = options
        return marked

    return mark if function is None else mark(function)
