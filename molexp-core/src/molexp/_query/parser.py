"""The parser of the query language, from text to an `Expression`; ``docs/reference/query-language.md`` is its manual.

It descends by one call for each parenthesis, at most `MAX_DEPTH` deep.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple, TypeAlias

from molexp._query.expressions import (
    ALIASES,
    ORDERS,
    VALUES,
    Condition,
    Expression,
    Field,
    Item,
    Joined,
    Op,
    Token,
    fields_of,
    negated,
    read_token,
    shortened,
)
from molexp._values.ids import nearest
from molexp._values.value_path import MAX_DEPTH
from molexp.errors import QueryError

MAX_LENGTH = 65_536
"""Characters in a query."""

_OPS: dict[str, Op] = {"=": "==", "<>": "!=", "==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_FLIPPED: dict[Op, Op] = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPERATORS = ("not", "in", "like", "between", "is", *_OPS)
_END = ""  # the value of the token after the last
_CLOSING = {"(": ")", "[": "]"}
_NAMED = 12  # roots in a message
_LIST = ("tags",)  # the one field of users that is always a list
_IN_LIST = '"good" in tags, or "good" not in tags'


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
    return _Parser(text, roots).only_field()


class _Literal(NamedTuple):
    """A value in the query, and its position."""

    value: Item
    start: int


_Operand: TypeAlias = Field | _Literal


class _Parser:
    """Parses one query; `_token` is the next token of it."""

    def __init__(self, text: str, roots: Collection[str] | None) -> None:
        if len(text) > MAX_LENGTH:
            reason = f"it has {len(text)} characters, at most {MAX_LENGTH} are read"
            raise QueryError(text, MAX_LENGTH, reason, hint="Ask for less at once, or filter the rows in Python.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            reason = f"a lone surrogate (U+{ord(text[error.start]):04X}) is not text"
            raise QueryError(text, error.start, reason, hint="No record holds one; leave it out.") from None
        self._text = text
        self._roots = roots
        self._token: Token = read_token(text, 0)

    def query(self) -> Expression:
        """Parse the whole text."""
        if self._sees(_END):
            raise self._wrong(self._token, "it is empty", "Say what to look for, as in params.lr < 0.01.")
        found = self._expression(0)
        if not self._sees(_END):
            raise self._not_the_end(0)
        level: list[Expression] = [found]  # `and` within `or` nests deeper than parentheses do
        for _ in range(MAX_DEPTH + 1):
            above, level = level, []
            for one in above:
                if isinstance(one, Joined):
                    level += one.parts
            if not level:
                return found
        raise self._too_deep(next(fields_of(level[0])))

    def only_field(self) -> Field:
        """Parse a text that is the name of a field."""
        if self._token.kind != "name":
            raise self._expected("the name of a field", "As in results.loss.")
        field = self._field()
        if not self._sees(_END):
            hint = 'A name that is more than letters, digits and _ is quoted: results."a b".'
            raise self._expected("the end of the name", hint)
        return field

    # ------------------------------------------------------------------------------------------------------- tokens

    def _advance(self) -> Token:
        """Return the next token, and go on to the one after it."""
        token = self._token
        self._token = read_token(self._text, token.end)
        return token

    def _sees(self, *words: str) -> bool:
        """Tell whether one of these keywords or signs comes next, or the end."""
        return self._token.kind in ("keyword", "sign", "end") and self._token.value in words

    def _takes(self, *words: str) -> bool:
        """Tell whether one of these keywords or signs came next; it is taken."""
        return self._sees(*words) and bool(self._advance())

    # ------------------------------------------------------------------------------------------- what joins conditions

    def _expression(self, depth: int) -> Expression:
        """Parse conditions that ``or`` and ``and`` join, each after any number of ``not``."""
        alternatives: list[Expression] = []
        conjunction: list[Expression] = []
        while True:
            negations = 0
            while self._sees("not"):
                negations += 1
                self._go_deeper(depth + negations)
            part = self._group(depth + negations + 1) if self._sees("(") else self._condition()
            for _ in range(negations):
                part = negated(part)
            conjunction.append(part)
            if self._takes("and"):
                continue
            alternatives.append(_joined("and", conjunction))
            conjunction = []
            if not self._takes("or"):
                return _joined("or", alternatives)

    def _group(self, depth: int) -> Expression:
        """Parse an expression in parentheses."""
        opening = self._go_deeper(depth)
        found = self._expression(depth)
        if self._sees(_END):
            raise self._wrong(opening, "this ( is not closed", "Put a ) where it ends.")
        if not self._takes(")"):
            raise self._not_the_end(depth)
        return found

    def _go_deeper(self, depth: int) -> Token:
        """Return the next token, which opens the level `depth`."""
        token = self._advance()
        if depth > MAX_DEPTH:
            raise self._too_deep(token)
        return token

    # -------------------------------------------------------------------------------------------------- one condition

    def _condition(self) -> Expression:
        left = self._operand()
        if self._sees(*_OPS):
            return self._comparisons(left)
        if self._takes("is"):
            return self._null(left)
        is_negated = self._takes("not")
        if self._takes("in"):
            found = self._membership(left)
        elif self._takes("between"):
            found = self._between(left)
        elif self._takes("like"):
            found = self._like(left)
        elif is_negated:
            raise self._expected("in, like or between after not", "The opposite of a condition is not (...).")
        else:
            raise self._no_condition(left)
        return negated(found) if is_negated else found

    def _comparisons(self, left: _Operand) -> Expression:
        """Parse one or more comparisons, chained as in ``0 < params.lr < 1``."""
        found: list[Expression] = []
        while self._sees(*_OPS):
            op = _OPS[self._advance().value]
            right = self._operand(value=True)
            found.append(self._compared(left, op, right))
            left = right
        return _joined("and", found)

    def _compared(self, left: _Operand, op: Op, right: _Operand) -> Expression:
        if isinstance(left, _Literal):
            left, op, right = right, _FLIPPED[op], left
        if isinstance(left, _Literal):
            raise self._wrong(right, "two values are compared", "One side is a field, as in params.lr < 0.01.")
        if isinstance(right, Field):
            return Condition(left, op, right)
        value = right.value
        if op in ORDERS and (value is None or isinstance(value, tuple)):
            what = "null has" if value is None else "lists have"
            raise self._wrong(right, f"{what} no order", "It can be compared by == and != only.")
        if value is None:
            return Condition(left, "null") if op == "==" else negated(Condition(left, "null"))
        if not isinstance(value, tuple):
            self._refuse_list(left, right.start)
        return Condition(left, op, value)

    def _between(self, left: _Operand) -> Expression:
        low = self._operand(value=True)
        if not self._takes("and"):
            raise self._expected("and after the lower bound", "As in params.lr between 0.001 and 0.1.")
        high = self._operand(value=True)
        return Joined("and", (self._compared(left, ">=", low), self._compared(left, "<=", high)))

    def _membership(self, left: _Operand) -> Expression:
        if self._sees("("):
            return self._one_of(left, self._list())
        right = self._operand()
        if isinstance(right, _Literal):
            if isinstance(right.value, tuple):
                return self._one_of(left, right.value)
            hint = 'As in params.lr in (1, 2), or "good" in tags.'
            raise self._wrong(right, "expected a list or a field after in", hint)
        if isinstance(left, Field):
            hint = 'Values can be: params.lr in (1, 2), "good" in tags.'
            raise self._wrong(left, "a field is looked for in another", hint)
        return Condition(right, "contains", left.value)

    def _one_of(self, left: _Operand, items: tuple[Item, ...]) -> Expression:
        if isinstance(left, _Literal):
            hint = 'One is a field: params.lr in (1, 2), "good" in tags.'
            raise self._wrong(left, "a value is looked for in values", hint)
        values = tuple(item for item in items if item is not None)
        if not all(isinstance(item, tuple) for item in values):
            self._refuse_list(left, left.start)
        if len(values) == len(items):
            return Condition(left, "in", values)
        is_null = Condition(left, "null")
        return Joined("or", (Condition(left, "in", values), is_null)) if values else is_null

    def _like(self, left: _Operand) -> Expression:
        if isinstance(left, _Literal):
            raise self._wrong(left, "expected a field before like", 'As in id like "cu-%".')
        if self._token.kind != "text":
            raise self._expected("a text in quotes after like", 'As in id like "cu-%".')
        self._refuse_list(left, left.start)
        token = self._advance()
        if (len(token.value) - len(token.value.rstrip("\\"))) % 2:
            hint = r'A backslash in a pattern is escaped, and each is written twice: like "C:\\\\%".'
            raise self._wrong(token, "the pattern ends in a backslash that escapes nothing", hint)
        return Condition(left, "like", token.value)

    def _refuse_list(self, field: Field, start: int) -> None:
        """Refuse to compare a field that is always a list with one value: that is never true, and looks as if it might be."""
        if field.parts == _LIST:
            raise self._wrong(start, f"{field.name} is a list, which no single value equals", f"As in {_IN_LIST}.")

    def _null(self, left: _Operand) -> Expression:
        is_negated = self._takes("not")
        if self._token[:2] != ("constant", None):
            raise self._expected("null after is", f"Equality is written {'!=' if is_negated else '=='}.")
        self._advance()
        if isinstance(left, _Literal):
            raise self._wrong(left, "expected a field before is", "As in results.loss is null.")
        is_null = Condition(left, "null")
        return negated(is_null) if is_negated else is_null

    # ------------------------------------------------------------------------------------------------------ operands

    def _operand(self, *, value: bool = False) -> _Operand:
        """Parse a field or a value.

        Args:
            value: True where people write a value, as after ``==``: a name may be a text that lacks its quotes.
        """
        start = self._token.start
        if self._token.kind in VALUES:
            return _Literal(self._advance().value, start)
        if self._sees("["):
            return _Literal(self._list(), start)
        if self._token.kind == "name":
            return self._field(value=value)
        hint = "A list to compare with is written in brackets: [1, 2]." if self._sees("(") else ""
        raise self._expected("a value or a field" if value else "a field or a value", hint)

    def _field(self, *, value: bool = False) -> Field:
        token = self._advance()
        root, *below = token.value
        known_as = ALIASES.get(root, root)
        if self._roots is not None and not {root, known_as} & set(self._roots):
            raise self._unknown(token, value)
        return Field((known_as, *below), token.start)

    def _list(self, depth: int = 1) -> tuple[Item, ...]:
        """Parse a list of values, whose parenthesis or bracket comes next."""
        opening = self._advance()
        closing = _CLOSING[opening.value]
        if depth > MAX_DEPTH:
            reason = f"lists are nested more than {MAX_DEPTH} levels deep"
            raise self._wrong(opening, reason, "Nothing is recorded that deep.")
        items: list[Item] = []
        while not self._takes(closing):
            if self._sees("["):
                items.append(self._list(depth + 1))
            elif self._token.kind in VALUES:
                items.append(self._advance().value)
            else:
                raise self._no_item(opening, f"a value or {closing}")
            if not self._sees(closing) and not self._takes(","):
                raise self._no_item(opening, f", or {closing}")
        return tuple(items)

    # -------------------------------------------------------------------------------------------------------- errors

    def _wrong(
        self, where: Token | _Operand | int, reason: str, hint: str = "", near: tuple[str, ...] = ()
    ) -> QueryError:
        position = where if isinstance(where, int) else where.start
        return QueryError(self._text, position, reason, nearest=near, hint=hint)

    def _expected(self, what: str, hint: str = "") -> QueryError:
        return self._wrong(self._token, f"expected {what}, found {self._shown(self._token)}", hint)

    def _shown(self, token: Token) -> str:
        return shortened(self._text[token.start : token.end]) or "the end"

    def _too_deep(self, where: Token | Field) -> QueryError:
        reason = f"it is nested more than {MAX_DEPTH} levels deep"
        return self._wrong(where, reason, "Take away what it can do without.")

    def _not_the_end(self, depth: int) -> QueryError:
        if not depth and self._sees(")"):
            reason = "nothing is open that this ) could close"
            return self._wrong(self._token, reason, "Put a ( before it, or take it away.")
        hint = "Conditions are joined by and, or."
        if self._sees(*_OPERATORS):
            hint = "The condition before is complete; the next one begins with a field."
        return self._expected("and, or, or the end", hint)

    def _no_condition(self, left: _Operand) -> QueryError:
        """Return the error about an operand that no condition follows."""
        if self._sees(_END, "and", "or", ")"):
            if isinstance(left, _Literal):
                return self._wrong(left, "a value alone is not a condition", "Compare a field with it: params.lr == 1.")
            name = shortened(left.name)
            hint = f"Say what it should be: {name} == true, or {name} is not null."
            return self._wrong(left, f"the field {name} alone is not a condition", hint)
        hint = "As in params.lr < 0.01."
        if isinstance(left, Field) and len(left.parts) > 1 and self._token.kind == "name":
            *above, last = left.parts
            whole = Field((*above, f"{last} {self._token.value[0]}"))
            hint = f"If the name has a blank, quote it: {shortened(whole.name)}."
        return self._expected("a comparison, in, like, between or is", hint)

    def _unknown(self, token: Token, value: bool) -> QueryError:
        name, roots = self._shown(token), sorted(self._roots or ())
        near = nearest(token.value[0], roots, 1)
        hint = ""
        if value:
            hint = f"If it is text, quote it: '{name}'."
        elif not near and {"params", "results"} <= set(roots) and len(token.value) == 1:
            hint = f"A parameter is params.{name}, a result results.{name}."
        elif not near:
            hint = f"Fields begin with {', '.join(roots[:_NAMED])}{', ...' if len(roots) > _NAMED else ''}."
        return self._wrong(token, f"there is no field {name!r}", hint, near)

    def _no_item(self, opening: Token, wanted: str) -> QueryError:
        if self._sees(_END):
            hint = f"Put a {_CLOSING[opening.value]} where it ends."
            return self._wrong(opening, f"this {opening.value} is not closed", hint)
        hint = (
            f"If it is text, quote it: '{self._shown(self._token)}'."
            if self._token.kind == "name"
            else 'As in ("a", "b").'
        )
        return self._expected(wanted, hint)


def _joined(word: Literal["and", "or"], parts: list[Expression]) -> Expression:
    return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))
