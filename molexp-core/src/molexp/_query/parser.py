"""The language in which the catalog is asked: from text to `Expression`; ``docs/reference/query-language.md`` tells it.

Conditions are read without recursion, so no text can exhaust the stack.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from molexp._query.expressions import (
    ORDERS,
    And,
    Comparison,
    Contains,
    Expression,
    Field,
    FieldComparison,
    IsNull,
    Item,
    Like,
    Not,
    OneOf,
    Op,
    Or,
    Value,
    ends_in_escape,
    fields_of,
    parts_of,
)
from molexp._query.lexer import Token
from molexp._query.operands import MAX_LENGTH, Literal, Operand, Operands
from molexp._values.value_path import MAX_DEPTH
from molexp.errors import QueryError

__all__ = [
    "MAX_LENGTH",
    "And",
    "Comparison",
    "Contains",
    "Expression",
    "Field",
    "FieldComparison",
    "IsNull",
    "Item",
    "Like",
    "Not",
    "OneOf",
    "Op",
    "Or",
    "Value",
    "fields_of",
    "parse",
    "parse_field",
    "parts_of",
]

_OPS: dict[str, Op] = {"=": "==", "<>": "!=", "==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_FLIPPED: dict[Op, Op] = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPERATORS = ("not", "in", "like", "between", "is", *_OPS)


def parse(text: str, roots: Collection[str] | None = None) -> Expression:
    """Return what a query says.

    Args:
        text: the query.
        roots: the names that fields may begin with; by default any.

    Raises:
        QueryError: it cannot be understood; it says where, and why.
    """
    return _Parser(text, roots).query()


def parse_field(text: str, roots: Collection[str] | None = None) -> Field:
    """Return the field that a text names, such as the one to sort rows by.

    Args:
        text: the name, spelled as in a query: ``results.loss``.
        roots: the names that fields may begin with; by default any.

    Raises:
        QueryError: it is not the name of a field.
    """
    words = Operands(text, roots)
    if words.token.kind != "field" or words.token.keyword:
        raise words.expected("the name of a field", "As in results.loss.")
    field = words.field()
    if not words.at_end:
        raise words.expected(
            "the end of the name", 'A name that is more than letters, digits and _ is quoted: results."a b".'
        )
    return field


@attrs.define
class _Group:
    """What has been read between parentheses, or of the whole query.

    Attributes:
        start: where it begins.
        alternatives: what ``or`` joins.
        conjunction: what ``and`` joins, since the last ``or``.
        negations: how many ``not`` wait for what comes next.
    """

    start: int
    alternatives: list[Expression] = attrs.field(factory=list)
    conjunction: list[Expression] = attrs.field(factory=list)
    negations: int = 0

    def add(self, expression: Expression) -> None:
        for _ in range(self.negations):
            expression = Not(expression)
        self.negations = 0
        self.conjunction.append(expression)

    def next_alternative(self) -> None:
        parts = self.conjunction
        self.alternatives.append(parts[0] if len(parts) == 1 else And(tuple(parts)))
        self.conjunction = []

    def closed(self) -> Expression:
        self.next_alternative()
        parts = self.alternatives
        return parts[0] if len(parts) == 1 else Or(tuple(parts))


class _Parser:
    """One query on its way from words to an expression."""

    def __init__(self, text: str, roots: Collection[str] | None) -> None:
        self._words = Operands(text, roots)

    def query(self) -> Expression:
        """All of it."""
        words = self._words
        if words.at_end:
            raise words.wrong(words.token, "it is empty", "Say what to look for, as in params.lr < 0.01.")
        groups = [_Group(0)]
        while True:
            self._open(groups)
            groups[-1].add(self._condition())
            while len(groups) > 1 and words.takes(")"):
                inner = groups.pop().closed()
                groups[-1].add(inner)
            if words.takes("and"):
                continue
            if not words.takes("or"):
                return self._whole(groups)
            groups[-1].next_alternative()

    # ------------------------------------------------------------------------------------------- what joins conditions

    def _open(self, groups: list[_Group]) -> None:
        """Take every ``not`` and every parenthesis before a condition."""
        while self._words.sees("not", "("):
            token = self._words.advance()
            if token.keyword:
                groups[-1].negations += 1
            else:
                groups.append(_Group(token.start))
            if len(groups) - 1 + sum(group.negations for group in groups) > MAX_DEPTH:
                raise self._too_deep(token)

    def _whole(self, groups: list[_Group]) -> Expression:
        """Return what the query says, if this is its end."""
        words = self._words
        if words.at_end and len(groups) == 1:
            return self._bounded(groups[0].closed())
        if words.at_end:
            raise words.wrong(groups[-1].start, "this ( is not closed", "Put a ) where it ends.")
        if words.sees(")"):
            raise words.wrong(
                words.token, "nothing is open that this ) could close", "Put a ( before it, or take it away."
            )
        if words.sees(*_OPERATORS):
            raise words.expected(
                "and, or, or the end", "The condition before is complete; the next one begins with a field."
            )
        raise words.expected("and, or, or the end", "Conditions are joined by and, or.")

    def _bounded(self, expression: Expression) -> Expression:
        """Refuse what ``and`` within ``or`` nests deeper than parentheses do, for those who walk it by recursion."""
        level: list[Expression] = [expression]
        for _ in range(MAX_DEPTH + 1):
            level = [part for above in level for part in parts_of(above)]
            if not level:
                return expression
        raise self._too_deep(next(fields_of(level[0])))

    def _too_deep(self, where: Token | Field) -> QueryError:
        return self._words.wrong(
            where, f"it is nested more than {MAX_DEPTH} levels deep", "Take away what it can do without."
        )

    # -------------------------------------------------------------------------------------------------- one condition

    def _condition(self) -> Expression:
        words = self._words
        left = words.read()
        if words.sees(*_OPS):
            return self._comparisons(left)
        if words.takes("is"):
            return self._null(left)
        negated = words.takes("not")
        if words.takes("in"):
            found = self._membership(left)
        elif words.takes("between"):
            found = self._between(left)
        elif words.takes("like"):
            found = self._like(left)
        elif negated:
            raise words.expected("in, like or between after not", "The opposite of a condition is not (...).")
        else:
            raise words.lonely(left)
        return Not(found) if negated else found

    def _comparisons(self, left: Operand) -> Expression:
        """One or more, chained as in ``0 < params.lr < 1``."""
        found: list[Expression] = []
        while self._words.sees(*_OPS):
            op = _OPS[self._words.advance().value]
            right = self._words.read(value=True)
            found.append(self._compared(left, op, right))
            left = right
        return found[0] if len(found) == 1 else And(tuple(found))

    def _compared(self, left: Operand, op: Op, right: Operand) -> Expression:
        if isinstance(left, Field):
            return FieldComparison(left, op, right) if isinstance(right, Field) else self._against(left, op, right)
        if isinstance(right, Field):
            return self._against(right, _FLIPPED[op], left)
        raise self._words.wrong(left, "two values are compared", "One side is a field, as in params.lr < 0.01.")

    def _against(self, field: Field, op: Op, literal: Literal) -> Expression:
        value = literal.value
        if op in ORDERS and (value is None or isinstance(value, tuple)):
            what = "null has" if value is None else "lists have"
            raise self._words.wrong(literal, f"{what} no order", "It can be compared by == and != only.")
        if value is None:
            return IsNull(field) if op == "==" else Not(IsNull(field))
        return Comparison(field, op, value)

    def _between(self, left: Operand) -> Expression:
        low = self._words.read(value=True)
        if not self._words.takes("and"):
            raise self._words.expected("and after the lower bound", "As in params.lr between 0.001 and 0.1.")
        high = self._words.read(value=True)
        return And((self._compared(left, ">=", low), self._compared(left, "<=", high)))

    def _membership(self, left: Operand) -> Expression:
        words = self._words
        if words.sees("("):
            return self._one_of(left, words.list())
        right = words.read()
        if isinstance(right, Literal):
            if isinstance(right.value, tuple):
                return self._one_of(left, right.value)
            raise words.wrong(
                right, "expected a list or a field after in", 'As in params.lr in (1, 2), or "good" in tags.'
            )
        if isinstance(left, Field):
            raise words.wrong(
                left, "a field is looked for in another", 'Values can be: params.lr in (1, 2), "good" in tags.'
            )
        return Contains(right, left.value)

    def _one_of(self, left: Operand, items: tuple[Item, ...]) -> Expression:
        if isinstance(left, Literal):
            raise self._words.wrong(
                left, "a value is looked for in values", 'One is a field: params.lr in (1, 2), "good" in tags.'
            )
        values = tuple(item for item in items if item is not None)
        if len(values) == len(items):
            return OneOf(left, values)
        return Or((OneOf(left, values), IsNull(left))) if values else IsNull(left)

    def _like(self, left: Operand) -> Expression:
        words = self._words
        if isinstance(left, Literal):
            raise words.wrong(left, "expected a field before like", 'As in id like "cu-%".')
        if words.token.kind != "text":
            raise words.expected("a text in quotes after like", 'As in id like "cu-%".')
        token = words.advance()
        if ends_in_escape(token.value):
            hint = r'A backslash in a pattern is escaped, and each is written twice: like "C:\\\\%".'
            raise words.wrong(token, "the pattern ends in a backslash that escapes nothing", hint)
        return Like(left, token.value)

    def _null(self, left: Operand) -> Expression:
        words = self._words
        negated = words.takes("not")
        if not words.takes("null"):
            raise words.expected("null after is", f"Equality is written {'!=' if negated else '=='}.")
        if isinstance(left, Literal):
            raise words.wrong(left, "expected a field before is", "As in results.loss is null.")
        return Not(IsNull(left)) if negated else IsNull(left)
