"""Normal forms: queries compare scalars and lists, whatever the recorded form of a value is.

Values are as JSON holds them; ``docs/explanation/values.md`` tells the tags, such as ``{"$float": "nan"}``.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from molexp._values.value_path import MAX_DEPTH

Leaf: TypeAlias = int | float | str | bool | list[Any]

_FLOATS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def leaf(value: Any) -> Leaf | dict[str, Any] | None:
    """Return the normal form of one recorded value.

    Args:
        value: a value in a document.

    Returns:
        A scalar; a list of normal forms; the dict that a mapping is, whose values are as recorded; ``None`` for null.
        A tagged float is that float, a reference is the text that it holds, ``$dict`` is the mapping that it stands for.
    """
    if type(value) is not dict or len(value) != 1:
        return _elements(value, 1) if type(value) is list else value
    ((tag, payload),) = value.items()
    if tag[:1] != "$":
        return value
    if tag == "$dict":
        return dict(payload) if type(payload) is list and all(map(_is_pair, payload)) else value
    if type(payload) is not str:
        return value  # a newer version may have written it
    return _FLOATS.get(payload, payload) if tag == "$float" else payload


def _is_pair(item: Any) -> bool:
    return type(item) is list and len(item) == 2 and type(item[0]) is str


def _elements(items: list[Any], depth: int) -> list[Any]:
    """Return the normal forms; what is nested deeper than any query can say becomes a mapping, which equals nothing."""
    found: list[Any] = []
    for item in items:
        if type(item) is list:
            found.append(_elements(item, depth + 1) if depth < MAX_DEPTH else {})
        else:
            found.append(leaf(item))
    return found
