"""Expressions: conditions on fields, joined by ``and``, ``or`` and ``not``.

`molexp._query.parser` makes them from text; ``str()`` of one is a text that makes an equal one again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias

import attrs

Op: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]
Item: TypeAlias = "int | float | str | bool | tuple[Item, ...] | None"
Value: TypeAlias = int | float | str | bool | tuple[Item, ...]

KEYWORDS = frozenset(["and", "between", "false", "in", "inf", "is", "like", "nan", "not", "null", "or", "true"])
ORDERS = frozenset(["<", "<=", ">", ">="])
ALIASES = {"parameters": "params"}
"""Other names of roots: a row has ``parameters``, as in ``run.json``, and a query says ``params``."""

_OPS = frozenset(["==", "!=", *ORDERS])
_ROOT = re.compile(r"[^\W\d]\w*")
_PART = re.compile(r"\w+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _canonical_parts(parts: Iterable[str]) -> tuple[str, ...]:
    root, *rest = parts
    return (ALIASES.get(root, root), *rest)


@attrs.frozen
class Field:
    """A field that a condition is about.

    Attributes:
        parts: the parts of its name; the first is a plain word, and ``params`` where it was ``parameters``.
        start: the position of its name in the query; it does not count for equality, nor does `end`.
        end: the position behind its name.
    """

    parts: tuple[str, ...] = attrs.field(converter=_canonical_parts)
    start: int = attrs.field(default=0, eq=False)
    end: int = attrs.field(default=0, eq=False)

    @parts.validator
    def _check(self, _: Any, parts: tuple[str, ...]) -> None:
        if not _ROOT.fullmatch(parts[0]) or parts[0].lower() in KEYWORDS:
            raise ValueError(f"The name of a field begins with a plain word, not with {parts[0]!r}.")

    def __str__(self) -> str:
        return self.name

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


@attrs.frozen
class Comparison:
    """A field against a value."""

    field: Field
    op: Op = attrs.field(validator=attrs.validators.in_(_OPS))
    value: Value = attrs.field(eq=_identity)

    @value.validator
    def _check(self, _: Any, value: Any) -> None:
        if value is None or (isinstance(value, tuple) and self.op in ORDERS):
            raise ValueError(f"{self.field} {self.op} {value!r} has no meaning: null and lists have no order.")


@attrs.frozen
class FieldComparison:
    """A field against another one."""

    left: Field
    op: Op = attrs.field(validator=attrs.validators.in_(_OPS))
    right: Field


@attrs.frozen
class OneOf:
    """True where a field equals one of some values."""

    field: Field
    values: tuple[Value, ...] = attrs.field(eq=_identity)

    @values.validator
    def _check(self, _: Any, values: tuple[Any, ...]) -> None:
        if None in values:
            raise ValueError("null is not one of some values: say IsNull beside it.")


@attrs.frozen
class Contains:
    """True where a field is a list with this value among its elements."""

    field: Field
    value: Item = attrs.field(eq=_identity)


def ends_in_escape(pattern: str) -> bool:
    """Tell whether a pattern ends in a backslash that has nothing to escape."""
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


@attrs.frozen
class Like:
    r"""True where a field is text of some form: ``%`` stands for any text, ``_`` for one character, ``\`` escapes them."""

    field: Field
    pattern: str = attrs.field()

    @pattern.validator
    def _check(self, _: Any, pattern: str) -> None:
        if ends_in_escape(pattern):
            raise ValueError(f"The pattern {pattern!r} ends in a backslash that escapes nothing.")


@attrs.frozen
class IsNull:
    """True where a field is null, or not there."""

    field: Field


@attrs.frozen
class And:
    """All of two or more."""

    parts: tuple[Expression, ...] = attrs.field(validator=attrs.validators.min_len(2))


@attrs.frozen
class Or:
    """At least one of two or more."""

    parts: tuple[Expression, ...] = attrs.field(validator=attrs.validators.min_len(2))


@attrs.frozen
class Not:
    """The opposite."""

    part: Expression


Condition: TypeAlias = Comparison | FieldComparison | OneOf | Contains | Like | IsNull
Expression: TypeAlias = Condition | And | Or | Not


def parts_of(expression: Expression) -> tuple[Expression, ...]:
    """Return the expressions that another one joins or negates; none for a condition."""
    if isinstance(expression, And | Or):
        return expression.parts
    return (expression.part,) if isinstance(expression, Not) else ()


def fields_of(expression: Expression) -> Iterator[Field]:
    """Yield every field of an expression, from left to right, as often as it is named."""
    waiting: list[Expression] = [expression]
    while waiting:
        found = waiting.pop()
        if isinstance(found, FieldComparison):
            yield found.left
            yield found.right
        elif isinstance(found, And | Or | Not):
            waiting.extend(reversed(parts_of(found)))
        else:
            yield found.field


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
