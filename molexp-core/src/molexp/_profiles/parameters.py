"""Parameters as people type them: ``a=3.6``, ``cell.b=x``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from molexp._profiles.overrides import override, parse_override


def parse_parameters(settings: Iterable[str], *, nested: bool = True) -> dict[str, Any]:
    """Return the parameters that ``NAME=VALUE`` texts set.

    A value is read like one in a YAML file: ``1e-3``, ``true`` and ``null`` are what they look like; a list, a mapping
    or text in quotes is YAML on one line (``[1, 2]``, ``{tol: 1e-9}``, ``"1"``); any other word is text, as it is.

    Args:
        settings: the texts.
        nested: ``b.c=1`` is ``{"b": {"c": 1}}``; else it is ``{"b.c": 1}``, as queries take it.

    Raises:
        ValueError: one is not of that form, or two set the same.

    Example:
        >>> me.parse_parameters(["a=3.6", "solver.tol=1e-9"])
        {'a': 3.6, 'solver': {'tol': 1e-09}}
    """
    found: dict[str, Any] = {}
    for text in settings:
        name, equals, _ = text.partition("=")
        if not equals or not all(part.strip() for part in name.split(".")):
            raise ValueError(f"{text!r} sets no parameter: write NAME=VALUE, such as a=3.6.")
        name, value = parse_override(text, "parameter")
        name = name.removeprefix("+")  # as overrides may have it
        if any(name == other or name.startswith(f"{other}.") or other.startswith(f"{name}.") for other in found):
            raise ValueError(f"{name!r} is set twice, or as a whole and in part.")
        found[name] = value
    if not nested:
        return found
    parameters: dict[str, Any] = {}
    for name, value in found.items():
        override(parameters, name, value, file=None)
    return parameters
