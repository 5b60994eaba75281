"""The lexer of the query language, which also tells what to write where another notation was meant."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple, TypeAlias

from molexp._query.expressions import quoted
from molexp._values.documents import integer
from molexp._values.value_path import MAX_DEPTH
from molexp.errors import QueryError

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
