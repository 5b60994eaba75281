"""The words of a query: names, values, signs; with what people mean who write something else."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import attrs

from molexp._query.expressions import KEYWORDS, quoted
from molexp._values.numbers import integer
from molexp._values.value_path import MAX_DEPTH
from molexp.errors import QueryError

__all__ = ["Lexer", "Token", "shortened"]

Kind: TypeAlias = Literal["field", "text", "number", "sign", "end"]

_BLANKS = re.compile(r"\s*")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]inf\b", re.IGNORECASE)
_AFTER_A_NUMBER = re.compile(r"[\w.:+-]+")
_ROOT = re.compile(r"[^\W\d]\w*")
_PART = re.compile(r"\w+")
_HYPHENATED = re.compile(r"(?:-\w+)+")
_SIGN = re.compile(r"==|!=|<>|<=|>=|[=<>(),\[\]]")
_UNESCAPED = {quote: re.compile(rf"[^{quote}\\]*") for quote in "'\""}
_ONE_ELEMENT = re.compile(r"\[\s*[-+0-9:]+\s*\]")

_SHOWN = 40  # characters of a word in a message

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'", "%": "\\%", "_": "\\_"}
_CODES = {"u": 4, "U": 8}

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
    "`": "Quotes are straight, ' or \".",
    "“": "Quotes are straight, ' or \".",
    "”": "Quotes are straight, ' or \".",
    "‘": "Quotes are straight, ' or \".",
    "’": "Quotes are straight, ' or \".",
    ";": "Conditions are joined by and, or.",
}
_QUOTE_IT = "A name or a text that is more than letters, digits and _ is quoted."


@attrs.frozen
class Token:
    """A word of a query.

    Attributes:
        kind: what sort of word.
        value: a field's parts, a text, a number, or a sign.
        start: where it begins.
        end: where it ends.
        keyword: the keyword that it is, in lower case; "" if it is none.
    """

    kind: Kind
    value: Any
    start: int
    end: int
    keyword: str = ""


class Lexer:
    """Reads a query word by word, so that what is wrong is told in the order in which it stands there."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._position = 0

    def next(self) -> Token:
        """The next word; of kind ``end`` after the last.

        Raises:
            QueryError: no word begins like this, or it has no end.
        """
        start = self._take(_BLANKS).end()
        text = self.text
        if start == len(text):
            return Token("end", "", start, start)
        if text[start] in "'\"":
            return Token("text", self._quoted(), start, self._position)
        if (found := _NUMBER.match(text, start)) is not None:
            return self._number(found)
        if (found := _INFINITY.match(text, start)) is not None:
            self._position = found.end()
            return Token("number", float(found[0]), start, found.end())
        if _ROOT.match(text, start):
            return self._name()
        instead = next((sign for sign in _INSTEAD if text.startswith(sign, start)), "")
        if (found := _SIGN.match(text, start)) is not None and len(found[0]) >= len(instead):
            self._position = found.end()
            return Token("sign", found[0], start, found.end())
        raise self._wrong(start, f"unexpected {instead or text[start]!r}", _INSTEAD.get(instead, _QUOTE_IT))

    def _wrong(self, position: int, reason: str, hint: str = "") -> QueryError:
        return QueryError(self.text, position, reason, hint=hint)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Read on over what is known to be there."""
        found = pattern.match(self.text, self._position)
        assert found is not None
        self._position = found.end()
        return found

    def _number(self, found: re.Match[str]) -> Token:
        digits = found[0]
        self._position = found.end()
        if (more := _AFTER_A_NUMBER.match(self.text, found.end())) is not None:
            whole = shortened(digits + more[0])
            raise self._wrong(found.start(), f"{whole!r} is not a number", f"If it is text, quote it: '{whole}'.")
        try:
            number = integer(digits) if digits.lstrip("+-").isdecimal() else float(digits)
        except ValueError as error:
            raise self._wrong(found.start(), str(error), "No longer one is recorded.") from None
        return Token("number", number, found.start(), found.end())

    def _name(self) -> Token:
        """Read a keyword, or all parts of a field's name."""
        start = self._position
        parts = [self._take(_ROOT)[0]]
        if parts[0].lower() in KEYWORDS:
            return Token("field", tuple(parts), start, self._position, parts[0].lower())
        while (following := self.text[self._position : self._position + 1]) in (".", "["):
            parts.append(self._part(following))
        if (found := _HYPHENATED.match(self.text, self._position)) is not None:
            raise self._hyphen(start, parts, found[0])
        if sum(part.count(".") + 1 for part in parts) > MAX_DEPTH:
            raise self._wrong(start, f"the name has more than {MAX_DEPTH} parts", "Nothing is recorded that deep.")
        return Token("field", tuple(parts), start, self._position)

    def _part(self, opening: str) -> str:
        """Read a part of a name, from the dot or the bracket on."""
        start = self._position
        if opening == "[" and (index := _ONE_ELEMENT.match(self.text, start)) is not None:
            raise self._wrong(
                start,
                f"single elements of a list cannot be asked for with {index[0]}",
                "Compare the whole list, as in params.layers == [64, 64], or ask what is in it: 64 in params.layers.",
            )
        self._position += 1
        if opening == "[":
            self._take(_BLANKS)
        if self.text[self._position : self._position + 1] in ("'", '"'):
            part = self._quoted()
        elif opening == "." and _PART.match(self.text, self._position):
            part = self._take(_PART)[0]
        else:
            expected = "after the dot" if opening == "." else "in quotes after ["
            raise self._wrong(
                self._position, f"expected a name {expected}", 'As in params.lr or params."learning rate".'
            )
        if opening == "[":
            self._take(_BLANKS)
            if self.text[self._position : self._position + 1] != "]":
                raise self._wrong(self._position, "expected ] after the name", 'As in params["learning rate"].')
            self._position += 1
        return part

    def _hyphen(self, start: int, parts: list[str], rest: str) -> QueryError:
        last = shortened(parts[-1] + rest)
        if len(parts) == 1:
            return self._wrong(start, f"{last!r} is not a name", f"If it is text, quote it: '{last}'.")
        above = self.text[start : self._position].removesuffix(parts[-1])
        hint = f"If it is part of the name, quote it: {above}{quoted(last)}." if above[-1] == "." else _QUOTE_IT
        return self._wrong(self._position, "unexpected '-'; there is no arithmetic in queries", hint)

    def _quoted(self) -> str:
        """Read a text in quotes; the position is at the first of them."""
        text, start = self.text, self._position
        quote = text[start]
        pieces: list[str] = []
        self._position += 1
        while True:
            pieces.append(self._take(_UNESCAPED[quote])[0])
            here = self._position
            if here == len(text):
                raise self._wrong(start, "this text has no end", f"Put {quote} behind it.")
            self._position += 1
            if text[here] == quote:
                return "".join(pieces)
            pieces.append(self._escape(here, start, quote))

    def _escape(self, here: int, start: int, quote: str) -> str:
        letter = self.text[self._position : self._position + 1]
        if not letter:
            raise self._wrong(start, "this text has no end", f"Put {quote} behind it.")
        self._position += 1
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        length = _CODES.get(letter, 0)
        digits = self.text[self._position : self._position + length]
        if length and re.fullmatch(f"[0-9a-fA-F]{{{length}}}", digits):
            self._position += length
            code = int(digits, 16)
            if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF:
                return chr(code)
            raise self._wrong(here, f"\\{letter}{digits} is not a character", "Write the character itself.")
        raise self._wrong(here, f"\\{letter} means nothing in a text", "A backslash is written twice: \\\\.")


def shortened(text: str) -> str:
    """A word of a query as a message shows it."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
