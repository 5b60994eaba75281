"""Canonical JSON: one text for all values that mean the same. Run ids and comparisons of definitions rest on it.

The rules are written for people in ``docs/explanation/run-ids.md``. They are part of the id scheme ``molexp-1`` and
never change. They resemble RFC 8785 (JSON Canonicalization Scheme), which however knows no integer beyond 2**53.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molexp._values.value_path import MAX_DEPTH, Unfit, too_deep

__all__ = ["canonical_equal", "canonical_hash", "canonical_json", "integer_text"]

_ESCAPES = {code: f"\\u{code:04x}" for code in range(0x20)} | {
    ord('"'): '\\"',
    ord("\\"): "\\\\",
    0x08: "\\b",
    0x09: "\\t",
    0x0A: "\\n",
    0x0C: "\\f",
    0x0D: "\\r",
}

_SHORT_BITS = 2000
"""Integers of fewer bits are converted by `int.__repr__`, whatever ``sys.set_int_max_str_digits`` says (least: 640)."""


def canonical_json(value: Any, *, where: str = "value") -> str:
    """Return the canonical JSON text of a plain value.

    Key order does not matter, ``1 == 1.0``, ``True != 1``, and integers are exact at any size.

    Args:
        value: None, bool, int, float, str, lists, tuples and mappings of these.
        where: the name of the value in errors, as in ``params``.

    Raises:
        SerializationError: for NaN, infinity, a key that is not text, a lone surrogate, any other type, and a value
            that contains itself or is nested more than 200 levels deep; it names the path.

    Example:
        >>> from molexp.contracts import canonical_json
        >>> canonical_json({"b": 1.0, "a": [True, None]})
        '{"a":[true,null],"b":1}'
    """
    try:
        return _text(value, 0)
    except Unfit as problem:
        raise problem.error(where) from None
    except RecursionError:
        raise too_deep(value).error(where) from None


def canonical_hash(value: Any, *, where: str = "value") -> str:
    """Return the SHA-256 of the canonical JSON in UTF-8, as 64 hex digits.

    Raises:
        SerializationError: as `canonical_json`.
    """
    from hashlib import sha256

    return sha256(canonical_json(value, where=where).encode()).hexdigest()


def canonical_equal(a: Any, b: Any) -> bool:
    """Tell whether two plain values are the same under canonical JSON.

    Raises:
        SerializationError: as `canonical_json`.
    """
    return canonical_json(a) == canonical_json(b)


def integer_text(value: int) -> str:
    """Return the decimal digits of an integer of any size, untouched by the interpreter's limit on conversions."""
    if value.bit_length() < _SHORT_BITS:
        return int.__repr__(value)
    from decimal import Decimal

    return format(Decimal(int(value)), "f")


def _text(value: Any, depth: int) -> str:
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return integer_text(value)
    if isinstance(value, float):
        return _float(value)
    if depth >= MAX_DEPTH and isinstance(value, (list, tuple, Mapping)):
        raise too_deep(value)
    if isinstance(value, (list, tuple)):
        return _array(value, depth + 1)
    if isinstance(value, Mapping):
        return _object(value, depth + 1)
    raise Unfit(value, "only None, booleans, numbers, text, lists and mappings have a canonical form")


def _string(value: str) -> str:
    if not value.isascii():
        check_text(value)
    return f'"{value.translate(_ESCAPES)}"'


def check_text(value: str) -> None:
    """Refuse text that UTF-8 cannot carry.

    Raises:
        Unfit: it holds a lone surrogate.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Unfit(
            value, f"its character {error.start} is a lone surrogate (U+{ord(value[error.start]):04X}), not text"
        ) from None


def _float(value: float) -> str:
    if value - value != 0.0:
        raise Unfit(value, f"{float.__repr__(value)} has no canonical form; use None, or a finite number")
    return integer_text(int(value)) if value.is_integer() else float.__repr__(value)


def _array(value: list[Any] | tuple[Any, ...], depth: int) -> str:
    parts = []
    for index, item in enumerate(value):
        try:
            parts.append(_text(item, depth))
        except Unfit as problem:
            problem.steps.append(index)
            raise
    return f"[{','.join(parts)}]"


def _object(value: Mapping[Any, Any], depth: int) -> str:
    for key in value:
        if not isinstance(key, str):
            raise Unfit(value, f"its key {key!r} is not text but {type(key).__name__}; JSON keys are text")
    parts = []
    for key in sorted(value):
        try:
            parts.append(f"{_string(key)}:{_text(value[key], depth)}")
        except Unfit as problem:
            problem.steps.append(str(key))
            raise
    return f"{{{','.join(parts)}}}"
