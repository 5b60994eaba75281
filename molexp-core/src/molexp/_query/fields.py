"""How a recorded value becomes what queries compare: scalars and lists, each under its name.

Values are as JSON holds them; ``docs/explanation/values.md`` tells the tags, such as ``{"$float": "nan"}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from molexp._values.value_path import MAX_DEPTH

__all__ = ["Leaf", "leaf", "leaves"]

Leaf: TypeAlias = int | float | str | bool | list[Any]

_FLOATS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def leaf(value: Any) -> Leaf | dict[str, Any] | None:
    """Return the normal form of one recorded value.

    Args:
        value: what a document holds.

    Returns:
        A scalar; a list of normal forms; the dict that a mapping is, whose values are as recorded; ``None`` for null.
        A tagged float is that float, a reference is the text that it holds, ``$dict`` is the mapping that it stands for.
    """
    if type(value) is dict:
        return _untagged(value)
    return _elements(value, 1) if type(value) is list else value


def leaves(
    prefix_parts: Iterable[str], value: Any, *, mappings: bool = False
) -> Iterator[tuple[tuple[str, ...], Leaf | dict[str, Any]]]:
    """Flatten nested mappings.

    Keys may hold dots, so two leaves may have the same name once their parts are joined by dots. The first of them is
    the one that `molexp._query.evaluation.reach` finds under that name.

    Args:
        prefix_parts: what the names begin with.
        value: what a document holds under that.
        mappings: whether there is an empty dict for each mapping too, before what is in it: a mapping equals nothing,
            but neither is it null.

    Yields:
        The parts of a name, and the scalar or list that it stands for; nothing for null.
    """
    waiting = [(tuple(prefix_parts), value)]
    while waiting:
        parts, found = waiting.pop()
        normal = leaf(found)
        if isinstance(normal, dict):
            if mappings:
                yield parts, {}
            waiting.extend(((*parts, key), normal[key]) for key in reversed(_by_length(normal)))
        elif normal is not None:
            yield parts, normal


def _by_length(mapping: dict[str, Any]) -> list[str]:
    """The keys; of two that begin the same dotted name, the longer first."""
    keys = list(mapping)
    return sorted(keys, key=len, reverse=True) if any("." in key for key in keys) else keys


def _untagged(value: dict[str, Any]) -> Leaf | dict[str, Any]:
    if len(value) != 1:
        return value
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
            found.append(_untagged(item) if type(item) is dict else item)
    return found
