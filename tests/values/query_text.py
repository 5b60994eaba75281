"""The text of an expression, which parses to an equal expression again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from molexp._query.expressions import (
    And,
    Comparison,
    Condition,
    Contains,
    Expression,
    FieldComparison,
    IsNull,
    Like,
    Not,
    OneOf,
    Or,
    quoted,
)
from molexp._values.canonical import integer_text


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
        elif isinstance(found, And | Or):
            waiting.extend(reversed(_joined(found)))
        elif isinstance(found, Not):
            part = found.part
            if isinstance(part, And | Or | Not):
                waiting.extend(reversed(["not ", *_enclosed(part, within=found)]))
            else:
                written.append(_condition(part, negated=True))
        else:
            written.append(_condition(found))
    return "".join(written)


def _joined(expression: And | Or) -> list[Any]:
    pieces: list[Any] = []
    for part in expression.parts:
        if pieces:
            pieces.append(" and " if isinstance(expression, And) else " or ")
        pieces += _enclosed(part, within=expression)
    return pieces


def _enclosed(part: Expression, *, within: Expression) -> list[Any]:
    """Put parentheses around what would read otherwise without, or would become one with what is around it."""
    loose = isinstance(part, Or) or (isinstance(part, And) and not isinstance(within, Or))
    return ["(", part, ")"] if loose else [part]


def _condition(found: Condition, *, negated: bool = False) -> str:
    no = "not " if negated else ""
    match found:
        case Comparison(field, op, value):
            return f"{no}{field} {op} {_literal(value)}"
        case FieldComparison(left, op, right):
            return f"{no}{left} {op} {right}"
        case OneOf(field, values):
            return f"{field} {no}in ({_listed(values)})"
        case Contains(field, value):
            return f"{_literal(value)} {no}in {field}"
        case Like(field, pattern):
            return f"{field} {no}like {quoted(pattern)}"
        case IsNull(field):
            return f"{field} is {no}null"
