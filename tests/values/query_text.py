"""The text of an expression, which parses to an equal expression again."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from molexp._query.expressions import Condition, Expression, Field, Joined, quoted
from molexp._values.canonical import integer_text

And = partial(Joined, "and")
Or = partial(Joined, "or")


def one_of(field: Field, values: tuple[Any, ...]) -> Condition:
    """Say that a field has one of some values."""
    return Condition(field, "in", values)


def contains(field: Field, value: Any) -> Condition:
    """Say that a list has an element."""
    return Condition(field, "contains", value)


def matching(field: Field, pattern: str) -> Condition:
    """Say that a text has a form."""
    return Condition(field, "like", pattern)


def is_null(field: Field) -> Condition:
    """Say that a field is not there."""
    return Condition(field, "null")


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int):
        return integer_text(value)
    if isinstance(value, float):
        return float.__repr__(value)
    return f"[{_listed(value)}]"


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(_literal, values))


def text_of(expression: Any) -> str:
    """Write without recursion: an expression may be nested deeper than the caller's stack has room for."""
    written: list[str] = []
    waiting: list[Any] = [expression]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            written.append(found)
        elif isinstance(found, Condition):
            written.append(_condition(found))
        elif found.word != "not":
            waiting.extend(reversed(_joined(found)))
        elif isinstance(found.parts[0], Condition):
            written.append(_condition(found.parts[0], negated=True))
        else:
            waiting.extend(reversed(["not ", *_enclosed(found.parts[0], within=found)]))
    return "".join(written)


def _joined(expression: Joined) -> list[Any]:
    pieces: list[Any] = []
    for part in expression.parts:
        if pieces:
            pieces.append(f" {expression.word} ")
        pieces += _enclosed(part, within=expression)
    return pieces


def _enclosed(part: Expression, *, within: Joined) -> list[Any]:
    """Put parentheses around what would read otherwise without, or would become one with what is around it."""
    word = part.word if isinstance(part, Joined) else ""
    loose = word == "or" or (word == "and" and within.word != "or")
    return ["(", part, ")"] if loose else [part]


def _condition(found: Condition, *, negated: bool = False) -> str:
    no = "not " if negated else ""
    name, value = found.field.name, found.value
    match found.op:
        case "in":
            return f"{name} {no}in ({_listed(value)})"
        case "contains":
            return f"{_literal(value)} {no}in {name}"
        case "like":
            return f"{name} {no}like {quoted(value)}"
        case "null":
            return f"{name} is {no}null"
        case op:
            return f"{no}{name} {op} {value.name if isinstance(value, Field) else _literal(value)}"
