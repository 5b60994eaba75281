"""What a condition of a query compares: fields, values, lists of values."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

import attrs

from molexp._query.expressions import ALIASES, Field, Item
from molexp._query.lexer import Lexer, Token, shortened
from molexp._values.ids import nearest
from molexp._values.value_path import MAX_DEPTH
from molexp.errors import QueryError

__all__ = ["MAX_LENGTH", "Literal", "Operand", "Operands"]

MAX_LENGTH = 65_536
"""Characters in a query."""

_WORDS = {"true": True, "false": False, "null": None, "inf": float("inf"), "nan": float("nan")}
_CLOSING = {"(": ")", "[": "]"}
_NAMED = 12  # roots in a message


@attrs.frozen
class Literal:
    """A value in the query, and where it stands."""

    value: Item
    start: int


Operand: TypeAlias = Field | Literal


class Operands:
    """Reads a query operand by operand.

    Attributes:
        text: the query.
        token: the next word of it.
    """

    def __init__(self, text: str, roots: Collection[str] | None) -> None:
        _check_text(text)
        self.text = text
        self._roots = roots
        self._lexer = Lexer(text)
        self.token: Token = self._lexer.next()

    @property
    def at_end(self) -> bool:
        """Tell whether nothing comes next."""
        return self.token.kind == "end"

    def wrong(
        self, where: Token | Operand | int, reason: str, hint: str = "", near: tuple[str, ...] = ()
    ) -> QueryError:
        """The error that says what is wrong, and where."""
        position = where if isinstance(where, int) else where.start
        return QueryError(self.text, position, reason, nearest=near, hint=hint)

    def expected(self, what: str, hint: str = "") -> QueryError:
        """The error that says what should have come next."""
        return self.wrong(self.token, f"expected {what}, found {self._shown(self.token)}", hint)

    def advance(self) -> Token:
        """Return the next word, and go on to the one after it."""
        token = self.token
        self.token = self._lexer.next()
        return token

    def sees(self, *words: str) -> bool:
        """Tell whether one of these keywords or signs comes next."""
        token = self.token
        return token.keyword in words if token.keyword else token.kind == "sign" and token.value in words

    def takes(self, *words: str) -> bool:
        """Tell whether one of these keywords or signs came next; it is taken."""
        found = self.sees(*words)
        if found:
            self.advance()
        return found

    def read(self, *, value: bool = False) -> Operand:
        """Read a field or a value.

        Args:
            value: whether people write a value here, as after ``==``: one of them may have forgotten its quotes.

        Raises:
            QueryError: there is neither, or no such field.
        """
        token = self.token
        if self._begins_literal():
            return Literal(self._literal(), token.start)
        if self.sees("["):
            return Literal(self.list(), token.start)
        if token.kind == "field" and not token.keyword:
            return self.field(value=value)
        hint = "A list to compare with is written in brackets: [1, 2]." if self.sees("(") else ""
        raise self.expected("a value or a field" if value else "a field or a value", hint)

    def field(self, *, value: bool = False) -> Field:
        """Read a field, which comes next.

        Raises:
            QueryError: there is no such field.
        """
        token = self.advance()
        root = token.value[0]
        if self._roots is not None and not {root, ALIASES.get(root, root)} & set(self._roots):
            raise self._unknown(token, value)
        return Field(token.value, token.start, token.end)

    def list(self, depth: int = 1) -> tuple[Item, ...]:
        """Read a list of values, whose parenthesis or bracket comes next.

        Raises:
            QueryError: it is not closed, or holds something else.
        """
        opening = self.advance()
        closing = _CLOSING[opening.value]
        if depth > MAX_DEPTH:
            raise self.wrong(
                opening, f"lists are nested more than {MAX_DEPTH} levels deep", "Nothing is recorded that deep."
            )
        items: list[Item] = []
        while not self.takes(closing):
            if self.sees("["):
                items.append(self.list(depth + 1))
            elif self._begins_literal():
                items.append(self._literal())
            else:
                raise self._no_item(opening, closing)
            if not self.sees(closing) and not self.takes(","):
                raise self._no_item(opening, f", or {closing}")
        return tuple(items)

    def lonely(self, left: Operand) -> QueryError:
        """The error about an operand that nothing is said of."""
        token = self.token
        if self.at_end or self.sees("and", "or", ")"):
            if isinstance(left, Literal):
                return self.wrong(left, "a value alone is not a condition", "Compare a field with it: params.lr == 1.")
            name = shortened(left.name)
            hint = f"Say what it should be: {name} == true, or {name} is not null."
            return self.wrong(left, f"the field {name} alone is not a condition", hint)
        hint = "As in params.lr < 0.01."
        if isinstance(left, Field) and len(left.parts) > 1 and token.kind == "field" and not token.keyword:
            *above, last = left.parts
            whole = Field((*above, f"{last} {token.value[0]}"))
            hint = f"If the name has a blank, quote it: {shortened(whole.name)}."
        return self.expected("a comparison, in, like, between or is", hint)

    def _begins_literal(self) -> bool:
        return self.token.kind in ("text", "number") or self.token.keyword in _WORDS

    def _literal(self) -> Item:
        token = self.advance()
        if token.keyword:
            return _WORDS[token.keyword]
        value: Item = token.value
        return value

    def _shown(self, token: Token) -> str:
        text = self.text[token.start : token.end]
        return shortened(text) or "the end"

    def _unknown(self, token: Token, value: bool) -> QueryError:
        root, name = token.value[0], self._shown(token)
        roots = sorted(self._roots or ())
        near = nearest(root, roots, 1)
        hint = ""
        if value:
            hint = f"If it is text, quote it: '{name}'."
        elif not near and {"params", "results"} <= set(roots) and len(token.value) == 1:
            hint = f"A parameter is params.{name}, a result results.{name}."
        elif not near:
            hint = f"Fields begin with {', '.join(roots[:_NAMED])}{', ...' if len(roots) > _NAMED else ''}."
        return self.wrong(token, f"there is no field {name!r}", hint, near)

    def _no_item(self, opening: Token, wanted: str) -> QueryError:
        if self.at_end:
            return self.wrong(
                opening, f"this {opening.value} is not closed", f"Put a {_CLOSING[opening.value]} where it ends."
            )
        name = self._shown(self.token)
        is_name = self.token.kind == "field" and not self.token.keyword
        hint = f"If it is text, quote it: '{name}'." if is_name else 'As in ("a", "b").'
        return self.expected(wanted if wanted[0] == "," else f"a value or {wanted}", hint)


def _check_text(text: str) -> None:
    if len(text) > MAX_LENGTH:
        reason = f"it has {len(text)} characters, at most {MAX_LENGTH} are read"
        raise QueryError(text, MAX_LENGTH, reason, hint="Ask for less at once, or filter the rows in Python.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        reason = f"a lone surrogate (U+{ord(text[error.start]):04X}) is not text"
        raise QueryError(text, error.start, reason, hint="No record holds one; leave it out.") from None
