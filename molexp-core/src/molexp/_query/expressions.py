"""Expressions: conditions on fields, joined by ``and``, ``or`` and ``not``.

`molexp._query.parser` makes them from text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

from msgspec import Struct

Op: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">=", "in", "contains", "like", "null"]
Item: TypeAlias = "int | float | str | bool | tuple[Item, ...] | None"

ORDERS = frozenset(["<", "<=", ">", ">="])
ALIASES = {"parameters": "params"}
"""Other names of roots: a row has ``parameters``, as in ``run.json``, and a query says ``params``."""

_PART = re.compile(r"\w+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Field(Struct, frozen=True):
    """A field that a condition is about.

    Attributes:
        parts: the parts of its name; the first is a plain word, and no alias.
        start: the position of its name in the query, which does not count for equality.
    """

    parts: tuple[str, ...]
    start: int = 0

    def __eq__(self, other: object) -> bool:
        return self.parts == other.parts if isinstance(other, Field) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.parts)

    @property
    def name(self) -> str:
        """The name as a query has it, with the parts in quotes that need them."""
        root, *rest = self.parts
        return ".".join([root, *(part if _PART.fullmatch(part) else quoted(part) for part in rest)])


def _identity(value: Any) -> Any:
    """Return what makes a literal equal to another: its type as well, and NaN is NaN."""
    if isinstance(value, tuple):
        return tuple(map(_identity, value))
    return (type(value), repr(value) if value != value else value)  # noqa: PLR0124 - NaN


class Condition(Struct, frozen=True):
    """A condition on a field.

    Attributes:
        field: the field.
        op: the operator.
        value: a value or another field to compare with; the values that the field may have for ``in``, the element that its
            list has for ``contains``, and the pattern for ``like``. A pattern has ``%`` for any text, ``_`` for one
            character, and a backslash before what stands for itself.
    """

    field: Field
    op: Op
    value: Any = None

    def __eq__(self, other: object) -> bool:
        return self._compared() == other._compared() if isinstance(other, Condition) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._compared())

    def _compared(self) -> tuple[Any, ...]:
        return self.field, self.op, _identity(self.value)


class Joined(Struct, frozen=True):
    """Expressions of which all are true, or at least one, or the only one is not."""

    word: Literal["and", "or", "not"]
    parts: tuple[Expression, ...]


Expression: TypeAlias = Condition | Joined


def negated(expression: Expression) -> Expression:
    """Return the opposite."""
    return Joined("not", (expression,))


def fields_of(expression: Expression) -> Iterator[Field]:
    """Yield every field of an expression, from left to right, as often as it is named."""
    waiting: list[Expression] = [expression]
    while waiting:
        found = waiting.pop()
        if isinstance(found, Joined):
            waiting.extend(reversed(found.parts))
        else:
            yield found.field
            if isinstance(found.value, Field):
                yield found.value


def renamed(expression: Expression, new: Callable[[Field], Field]) -> Expression:
    """Return an expression with other names of its fields."""
    if isinstance(expression, Joined):
        return Joined(expression.word, tuple(renamed(part, new) for part in expression.parts))
    value = new(expression.value) if isinstance(expression.value, Field) else expression.value
    return Condition(new(expression.field), expression.op, value)


def quoted(text: str) -> str:
    """Return a text as a query has it, in double quotes."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
