"""Evaluation of an expression on a recorded document; ``docs/reference/query-language.md`` has the rules.

Two-valued: a condition on what is absent or null is false, and ``not`` is plain negation.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, TypeAlias

from molexp._query.expressions import Condition, Expression, Field, Joined
from molexp._values.documents import leaf

Lookup: TypeAlias = Callable[[Field], Any]

ABSENT: Final = object()
"""The answer of a lookup about a field that is not there."""

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(expression: Expression, lookup: Lookup) -> bool:
    """Tell whether an expression is true.

    Args:
        expression: the expression.
        lookup: asked for what is recorded under a field; `ABSENT` where there is nothing.
    """
    if not isinstance(expression, Joined):
        return _holds(expression, lookup)
    if expression.word == "not":
        return not matches(expression.parts[0], lookup)
    decisive = expression.word == "or"
    for part in expression.parts:
        if matches(part, lookup) is decisive:
            return decisive
    return not decisive


def reach(document: Any, parts: Iterable[str]) -> Any:
    """Return what a document holds under a name, as it is recorded; `ABSENT` if there is nothing.

    A key may itself hold dots: at each level the whole rest of the name is tried as one key first, then what is before
    the last dot, and so on. How the name is divided into parts does not matter. Null is what is found if all that is
    found is null.

    Args:
        document: a recorded value.
        parts: the parts of the name, as a field has them.
    """
    return _reach(document, ".".join(parts))


def like(text: str, pattern: str) -> bool:
    r"""Tell whether text has a form: ``%`` is any text, ``_`` any character, ``\`` escapes; A to Z are as a to z.

    These are SQLite's rules (https://www.sqlite.org/lang_expr.html#like) for ``LIKE ... ESCAPE '\'``.
    """
    return _compiled(pattern).fullmatch(text) is not None


def _holds(condition: Condition, lookup: Lookup) -> bool:
    found, wanted = _known(lookup(condition.field)), condition.value
    if condition.op == "null":
        return found is None
    if isinstance(wanted, Field) and (wanted := _known(lookup(wanted))) is None:
        return False
    if found is None:
        return False
    match condition.op:
        case "in":
            return any(_equal(found, value) for value in wanted)
        case "contains":
            return isinstance(found, list) and any(_equal(item, wanted) for item in found)
        case "like":
            return isinstance(found, str) and like(found, wanted)
        case _:
            return _compare(found, condition.op, wanted)


def _known(value: Any) -> Any:
    return None if value is ABSENT else leaf(value)


def _compare(found: Any, op: str, wanted: Any) -> bool:
    if op == "==":
        return _equal(found, wanted)
    if op == "!=":
        return not _equal(found, wanted)
    if (_is_number(found) and _is_number(wanted)) or (isinstance(found, str) and isinstance(wanted, str)):
        return _ORDERS[op](found, wanted)
    return False


def _equal(found: Any, wanted: Any) -> bool:
    """Tell whether two normal forms are equal, or one and a literal: never if they are mappings, or of different types."""
    if isinstance(found, list | tuple) and isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(_equal, found, wanted))
    if _is_number(found):
        return _is_number(wanted) and bool(found == wanted)
    if isinstance(found, str):
        return isinstance(wanted, str) and found == wanted
    return (found is None or isinstance(found, bool)) and found is wanted


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reach(value: Any, name: str) -> Any:
    mapping = leaf(value) if type(value) is dict else None
    if not isinstance(mapping, dict):
        return ABSENT
    found: Any = ABSENT
    end = len(name)
    while end >= 0:
        if (key := name[:end]) in mapping:
            inner = mapping[key]
            if end < len(name):
                inner = _reach(inner, name[end + 1 :])
            if inner is not None and inner is not ABSENT:
                return inner
            found = None if inner is None else found
        end = name.rfind(".", 0, end)
    return found


@lru_cache(maxsize=64)  # a query asks every row for the same
def _compiled(pattern: str) -> re.Pattern[str]:
    pieces = [""]
    characters = iter(pattern)
    for character in characters:
        if character == "%":
            pieces.append("")
        elif character == "_":
            pieces[-1] += "."
        else:
            pieces[-1] += re.escape(next(characters, "") if character == "\\" else character)
    first, *middle = pieces
    last = f".*{middle.pop()}" if middle else ""
    within = "".join(f"(?>.*?{piece})" for piece in middle if piece)  # the leftmost place is the best: no backtracking
    whole = first + within + last
    return re.compile(whole, re.IGNORECASE | re.ASCII | re.DOTALL)  # ASCII: only there does case not matter
