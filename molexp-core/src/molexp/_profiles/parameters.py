"""Parameters as people type them: ``a=3.6``, ``cell.b=x``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from molexp._profiles.overrides import override, parse_override


def parse_settings(settings: Iterable[str]) -> dict[str, list[Any]]:
    """Return the values that ``NAME=VALUE,...`` texts give each parameter, for `molexp.scripts.Drive`.

    Each value is read as `parse_override` does it. Commas within brackets, braces and quotes belong to a value.

    Args:
        settings: the texts. A name keeps its ``+``.

    Raises:
        TypeError: one is no text.
        ValueError: one is not of that form, or two set the same.

    Example:
        >>> from molexp.scripts import parse_settings
        >>> parse_settings(["a=3.5,3.6", "solver.tol=1e-9", "+cell=[1, 2]"])
        {'a': [3.5, 3.6], 'solver.tol': [1e-09], '+cell': [[1, 2]]}
    """
    found: dict[str, list[Any]] = {}
    for text in map(_text, settings):
        name, equals, values = text.partition("=")
        name = name.strip()
        if not equals or not all(part.strip() for part in name.removeprefix("+").split(".")):
            raise ValueError(f"{text!r} sets no parameter: write NAME=VALUE or NAME=VALUE,VALUE, such as a=3.5,3.6.")
        _refuse_twice(name.removeprefix("+"), [other.removeprefix("+") for other in found])
        parts = list(_split(values))
        if len(parts) > 1 and not all(parts):
            raise ValueError(f'{text!r} has an empty value between commas; write "" for an empty text.')
        found[name] = [parse_override(f"{name}={part}", "parameter")[1] for part in parts]
    return found


def _refuse_twice(name: str, others: Iterable[str]) -> None:
    if any(name == other or name.startswith(f"{other}.") or other.startswith(f"{name}.") for other in others):
        raise ValueError(f"{name!r} is set twice, or as a whole and in part.")


def _split(text: str) -> Iterator[str]:
    """Yield the parts between commas, but those within brackets, braces and quotes that begin a value or an element."""
    depth, quote, start, begins = 0, "", 0, True
    for place, character in enumerate(text):
        if quote:
            if character == quote and not (quote == '"' and text[place - 1] == "\\"):
                quote = ""
        elif character in "\"'" and begins:
            quote = character
        elif character in "[{" and (begins or depth):
            depth += 1
        elif character in "]}" and depth:
            depth -= 1
        elif character == "," and not depth:
            yield text[start:place].strip()
            start = place + 1
        begins = character in ",[{:" or (begins and character.isspace())
    yield text[start:].strip()


def _text(setting: Any) -> str:
    if not isinstance(setting, str):
        raise TypeError(f"A parameter is set by a text, such as 'a=3.6', not by {setting!r:.80}.")
    return setting


def parse_parameters(settings: Iterable[str], *, nested: bool = True) -> dict[str, Any]:
    """Return the parameters that ``NAME=VALUE`` texts set.

    A value is read like one in a YAML file: ``1e-3``, ``true`` and ``null`` are what they look like; a list, a mapping
    or text in quotes is YAML on one line (``[1, 2]``, ``{tol: 1e-9}``, ``"1"``); any other word is text, as it is.

    Args:
        settings: the texts.
        nested: ``b.c=1`` is ``{"b": {"c": 1}}``; else it is ``{"b.c": 1}``, as queries take it.

    Raises:
        TypeError: one is no text.
        ValueError: one is not of that form, or two set the same.

    Example:
        >>> me.parse_parameters(["a=3.6", "solver.tol=1e-9"])
        {'a': 3.6, 'solver': {'tol': 1e-09}}
    """
    found: dict[str, Any] = {}
    for text in map(_text, settings):
        name, equals, _ = text.partition("=")
        if not equals or not all(part.strip() for part in name.split(".")):
            raise ValueError(f"{text!r} sets no parameter: write NAME=VALUE, such as a=3.6.")
        name, value = parse_override(text, "parameter")
        name = name.removeprefix("+")  # as overrides may have it
        _refuse_twice(name, found)
        found[name] = value
    if not nested:
        return found
    parameters: dict[str, Any] = {}
    for name, value in found.items():
        override(parameters, name, value, file=None)
    return parameters
