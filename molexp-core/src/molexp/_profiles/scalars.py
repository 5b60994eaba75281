"""The meaning of a word without quotation marks: JSON's values as YAML 1.2 spells them; everything else is text.

Numbers are decimal. What people read in two ways (``010``, ``0o17``, ``0x1f``, ``1_000``, ``12:30``, dates) stays text,
and so do ``yes``, ``no``, ``on`` and ``off``.
"""

from __future__ import annotations

import re
from typing import Any

from molexp._values.documents import integer

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def scalar(text: str) -> Any:
    """Return the value of the word; an integer is exact.

    Raises:
        ValueError: it is NaN, infinite, too large for a float, or an integer of more than 4300 digits, which no
            configuration can hold.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return integer(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number - number != 0.0:
            raise ValueError(f"{text:.40} is out of range")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} cannot be compared or hashed")
    return text
