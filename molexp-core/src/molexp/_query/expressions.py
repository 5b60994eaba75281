"""Expressions, and the tokens that they are written in.

Expressions are conditions on fields, joined by ``and``, ``or`` and ``not``; `molexp._query.parser` makes them from tokens.
`read_token` also tells what to write where another notation was meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

from msgspec import Struct

from molexp._values.documents import integer
from molexp._values.value_path import MAX_DEPTH
from molexp.errors import QueryError

Op: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">=", "in", "contains", "like", "null"]
Item: TypeAlias = "int | float | str | bool | tuple[Item, ...] | None"

ORDERS = frozenset(["<", "<=", ">", ">="])
ALIASES = {"parameters": "params"}
"""Other names of roots: a row has ``parameters``, as in ``run.json``, and a query says ``params``."""

_WORD = re.compile(r"\w+")
_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


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
        return ".".join([root, *(part if _WORD.fullmatch(part) else quoted(part) for part in rest)])


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
    if character in _ESCAPED:
        return _ESCAPED[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


# -------------------------------------------------------------------------------------------------------------- tokens

Kind: TypeAlias = Literal["name", "keyword", "constant", "text", "number", "sign", "end"]

VALUES = ("constant", "text", "number")
"""The kinds of tokens that are values."""

_KEYWORDS = frozenset(["and", "between", "in", "is", "like", "not", "or"])
_CONSTANTS = {"true": True, "false": False, "null": None, "inf": float("inf"), "nan": float("nan")}
_QUOTED = r""""(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+'"""
_TEXT = re.compile(_QUOTED, re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+](?i:inf)\b")
_AFTER_A_NUMBER = re.compile(r"[\w.:+-]+")
_ROOT = re.compile(r"[^\W\d]\w*")
_PART = re.compile(rf"\.(?:(?P<word>\w+)|(?P<text>{_QUOTED}))|\[\s*(?P<key>{_QUOTED})\s*\]", re.DOTALL)
_ONE_ELEMENT = re.compile(r"\[\s*[-+0-9:]+\s*\]")
_HYPHENATED = re.compile(r"(?:-\w+)+")
_SIGN = re.compile(r"==|!=|<>|<=|>=|[=<>(),\[\]]")
_NOT_BLANK = re.compile(r"\S|\Z")

_SHOWN = 40  # characters of a word in a message

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'", "%": "\\%", "_": "\\_"}

_INSTEAD = {
    "===": "Equality is written ==.",
    "=<": "Write <=.",
    "=>": "Write >=.",
    "&&": "Write and.",
    "&": "Write and.",
    "||": "Write or.",
    "|": "Write or.",
    "!": "Write not, or != for a comparison.",
    "~": "Write not, or like for a pattern.",
    "+": "There is no arithmetic in queries.",
    "-": "There is no arithmetic in queries; a name or a text with - in it is quoted.",
    "*": "There is no arithmetic in queries; in patterns of like, % stands for any text.",
    "/": "There is no arithmetic in queries; a name or a text with / in it is quoted.",
    ".": "The name of a field begins with a word, as in params.lr.",
    **dict.fromkeys("`“”‘’", "Quotes are straight, ' or \"."),
    ";": "Conditions are joined by and, or.",
}
_WRONG = re.compile("|".join(map(re.escape, _INSTEAD)))
_QUOTE_IT = "A name or a text that is more than letters, digits and _ is quoted."


class Token(NamedTuple):
    """A token of a query.

    Attributes:
        kind: its kind.
        value: the parts of a field's name, a keyword in lower case, a constant, a text, a number, or a sign.
        start: the position of its first character.
        end: the position behind its last character.
    """

    kind: Kind
    value: Any
    start: int
    end: int


def read_token(text: str, position: int) -> Token:
    """Return the first token of a query from `position` on; of kind ``end`` after the last.

    Raises:
        QueryError: no token begins like this, or it has no end.
    """
    start = _skip_blanks(text, position)
    if start == len(text):
        return Token("end", "", start, start)
    if text[start] in "'\"":
        if (found := _TEXT.match(text, start)) is None:
            raise _not_closed(text, start)
        return Token("text", _unescaped(text, start, found.end()), start, found.end())
    if (found := _NUMBER.match(text, start)) is not None:
        return _number(text, found)
    if (found := _ROOT.match(text, start)) is not None:
        return _name(text, found)
    wrong = _WRONG.match(text, start)
    instead = wrong[0] if wrong else ""
    if (found := _SIGN.match(text, start)) is not None and len(found[0]) >= len(instead):
        return Token("sign", found[0], start, found.end())
    hint = _INSTEAD.get(instead, _QUOTE_IT)
    raise QueryError(text, start, f"unexpected {instead or text[start]!r}", hint=hint)


def shortened(text: str) -> str:
    """Return a word of a query as a message shows it."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _skip_blanks(text: str, position: int) -> int:
    found = _NOT_BLANK.search(text, position)
    assert found is not None
    return found.start()


def _number(text: str, found: re.Match[str]) -> Token:
    digits, start, end = found[0], found.start(), found.end()
    if (more := _AFTER_A_NUMBER.match(text, end)) is not None:
        whole = shortened(digits + more[0])
        raise QueryError(text, start, f"{whole!r} is not a number", hint=f"If it is text, quote it: '{whole}'.")
    try:
        number = integer(digits) if digits.lstrip("+-").isdecimal() else float(digits)
    except ValueError as error:
        raise QueryError(text, start, str(error), hint="No longer one is recorded.") from None
    return Token("number", number, start, end)


def _name(text: str, root: re.Match[str]) -> Token:
    """Return a keyword, or all parts of a field's name."""
    start, end, parts = root.start(), root.end(), [root[0]]
    if (word := root[0].lower()) in _CONSTANTS:
        return Token("constant", _CONSTANTS[word], start, end)
    if word in _KEYWORDS:
        return Token("keyword", word, start, end)
    while text[end : end + 1] in (".", "["):
        if (found := _PART.match(text, end)) is None:
            raise _no_part(text, end)
        parts.append(found["word"] or _unescaped(text, *found.span(found.lastgroup or 0)))
        end = found.end()
    if (rest := _HYPHENATED.match(text, end)) is not None:
        raise _hyphen(text, start, end, parts, rest[0])
    if ".".join(parts).count(".") >= MAX_DEPTH:
        reason = f"the name has more than {MAX_DEPTH} parts"
        raise QueryError(text, start, reason, hint="Nothing is recorded that deep.")
    return Token("name", tuple(parts), start, end)


def _no_part(text: str, start: int) -> QueryError:
    """Return the error about a dot or a bracket that no part of a name follows."""
    in_brackets = text[start] == "["
    if in_brackets and (index := _ONE_ELEMENT.match(text, start)) is not None:
        reason = f"single elements of a list cannot be asked for with {index[0]}"
        hint = "Compare the whole list, as in params.layers == [64, 64], or ask what is in it: 64 in params.layers."
        return QueryError(text, start, reason, hint=hint)
    position = _skip_blanks(text, start + 1) if in_brackets else start + 1
    if text[position : position + 1] not in ("'", '"'):
        reason = f"expected a name {'in quotes after [' if in_brackets else 'after the dot'}"
        return QueryError(text, position, reason, hint='As in params.lr or params."learning rate".')
    if (found := _TEXT.match(text, position)) is None:
        return _not_closed(text, position)
    position = _skip_blanks(text, found.end())
    return QueryError(text, position, "expected ] after the name", hint='As in params["learning rate"].')


def _hyphen(text: str, start: int, end: int, parts: list[str], rest: str) -> QueryError:
    last = shortened(parts[-1] + rest)
    if len(parts) == 1:
        return QueryError(text, start, f"{last!r} is not a name", hint=f"If it is text, quote it: '{last}'.")
    above = text[start:end].removesuffix(parts[-1])
    hint = f"If it is part of the name, quote it: {above}{quoted(last)}." if above[-1] == "." else _QUOTE_IT
    return QueryError(text, end, "unexpected '-'; there is no arithmetic in queries", hint=hint)


def _not_closed(text: str, start: int) -> QueryError:
    return QueryError(text, start, "this text has no end", hint=f"Put {text[start]} behind it.")


def _unescaped(text: str, start: int, end: int) -> str:
    """Return what a text in quotes says."""

    def character(found: re.Match[str]) -> str:
        where, letter, digits = start + 1 + found.start(), found[3], found[1] or found[2]
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter:
            hint = "A backslash is written twice: \\\\."
            raise QueryError(text, where, f"\\{letter} means nothing in a text", hint=hint)
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise QueryError(text, where, f"{found[0]} is not a character", hint="Write the character itself.")
        return chr(code)

    return _ESCAPE.sub(character, text[start + 1 : end - 1])
