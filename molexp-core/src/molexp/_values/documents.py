"""Documents: JSON bytes from plain values and back, and the normal form of a value in one."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeGuard

import msgspec

from molexp._values.canonical import integer_text
from molexp._values.numbers import MAX_DIGITS
from molexp._values.value_path import MAX_DEPTH, nests_deeper
from molexp.errors import CorruptRecordError, SchemaError

__all__ = [
    "FLOATS",
    "check_schema",
    "count",
    "decode",
    "decode_lines",
    "decode_object",
    "encode",
    "encode_line",
    "encode_pretty",
    "encoded",
    "integer",
    "is_count",
    "is_pair",
    "json_type",
    "leaf",
    "refuse_newer",
]

MAX_NESTING = MAX_DEPTH + 56
"""Containers in a document: a value's, and those that the document has around it."""

Leaf: TypeAlias = int | float | str | bool | list[Any]

FLOATS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
"""Numbers that JSON has no form for, by the text that stands for each."""

_PADDING = b"\0 \t\r\n"
_COUNTS = 1 << 63
_SHORT = 600  # digits that `int` converts, whatever `sys.set_int_max_str_digits` says (least: 640)


def _text(given: Any) -> str:
    """Return a text of a class of its own, such as numpy's, which msgspec does not take."""
    if isinstance(given, str):
        return str.__str__(given)
    raise TypeError(f"Encoding objects of type {type(given).__qualname__} is unsupported")


_encoder = msgspec.json.Encoder(enc_hook=_text)
_decoder = msgspec.json.Decoder()


def encode(doc: Any) -> bytes:
    r"""Return a document as compact UTF-8 JSON.

    It takes what `plain` returns. Lone surrogates, which what MolExp itself records may hold (a command line, a file
    name in a traceback), are written as visible escapes (``\udc80``): a report of a failure must not fail.

    Raises:
        TypeError: for a value that is not plain.
    """
    try:
        return _encoder.encode(doc)
    except (ValueError, OverflowError):  # a lone surrogate, or more digits than the interpreter likes to convert
        return _encoder.encode(_encodable(doc))


def encode_line(doc: Any) -> bytes:
    """Return a document as one line, newline included.

    Raises:
        TypeError: for a value that is not plain.
    """
    try:
        return _encoder.encode(doc) + b"\n"
    except (ValueError, OverflowError):
        return encode(doc) + b"\n"


def encoded(doc: Any) -> Any:
    """Return a document as a part of others that is not encoded again with each of them.

    Raises:
        TypeError: for a value that is not plain.
    """
    return msgspec.Raw(encode(doc))


def encode_pretty(doc: Any) -> bytes:
    """Return a document for people: indented by two, with a newline at its end.

    Raises:
        TypeError: for a value that is not plain.
    """
    return msgspec.json.format(encode(doc), indent=2) + b"\n"


def decode(data: bytes, key: str) -> Any:
    """Return the document that ``data`` holds; integers are exact.

    Args:
        data: UTF-8 JSON. Zero bytes around it are padding, which some file systems leave.
        key: the document's key, for errors.

    Raises:
        CorruptRecordError: it is not JSON, is nested too deep, or has a number that is out of range.
    """
    try:
        doc = _decoder.decode(data)
    except msgspec.ValidationError:  # JSON, with a number out of the decoder's range
        doc = _decode_slowly(data, key)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if (inner := data.strip(_PADDING)) and len(inner) < len(data.strip()):
            return decode(inner, key)
        reason = (
            f"it is not valid JSON ({error})" if inner else "it has zero bytes only" if data.strip() else "it is empty"
        )
        raise CorruptRecordError(key, reason) from None
    except RecursionError:
        raise _too_deep(key) from None
    if _is_too_deep(doc, data):
        raise _too_deep(key)
    return doc


def decode_object(data: bytes, key: str) -> dict[str, Any]:
    """Return the JSON object that ``data`` holds.

    Raises:
        CorruptRecordError: it is not JSON, or not an object.
    """
    doc = decode(data, key)
    if type(doc) is not dict:
        raise CorruptRecordError(key, f"it holds a JSON {json_type(doc)} where an object belongs")
    return doc


def decode_lines(data: bytes, key: str) -> tuple[list[dict[str, Any]], int, int]:
    """Return the objects in the whole lines of ``data``; one bad line does not hide the others.

    A last line without a newline is torn, or still being written: it is left alone. Blank lines count for nothing, nor do
    zero bytes around a line, which some file systems leave where a file was appended to.

    Returns:
        The objects in order, how many bytes were whole lines, and how many whole lines were not JSON objects.
    """
    length = data.rfind(b"\n") + 1
    whole = data if length == len(data) else data[:length]
    try:
        docs = _decoder.decode_lines(whole)
    except (ValueError, RecursionError):
        return _decode_each(whole, key, length)
    objects = docs if {*map(type, docs)} <= {dict} else [doc for doc in docs if type(doc) is dict]
    if _is_too_deep(docs, whole, len(objects)):
        return _decode_each(whole, key, length)
    return objects, length, len(docs) - len(objects)


def check_schema(doc: dict[str, Any], key: str, known: int) -> None:
    """Refuse a document that a newer MolExp wrote.

    Args:
        doc: the document.
        key: its key.
        known: the newest schema that this version knows.

    Raises:
        SchemaError: its schema is newer.
        CorruptRecordError: it has no schema number.
    """
    found = doc.get("schema")
    if type(found) is not int or found < 1:
        raise CorruptRecordError(key, f"its schema is {found!r} where a number from 1 belongs")
    refuse_newer(doc, key, known)


def refuse_newer(doc: dict[str, Any], key: str, known: int) -> None:
    """Refuse a document that a newer MolExp wrote, and no other one, however damaged.

    Raises:
        SchemaError: its schema is newer.
    """
    found = doc.get("schema")
    if type(found) is int and found > known:
        raise SchemaError(key, found=found, known=known)


def _decode_each(data: bytes, key: str, length: int) -> tuple[list[dict[str, Any]], int, int]:
    objects: list[dict[str, Any]] = []
    bad = 0
    for line in data.split(b"\n"):
        for doc in _decode_line(line, key):
            if type(doc) is dict:
                objects.append(doc)
            else:
                bad += 1
    return objects, length, bad


def _decode_line(line: bytes, key: str) -> list[Any]:
    try:
        return [decode(line, key)] if line.strip(_PADDING) else []
    except CorruptRecordError:
        return [None]


def _decode_slowly(data: bytes, key: str) -> Any:
    import json

    try:
        return json.loads(data, parse_int=integer, parse_float=_finite, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise CorruptRecordError(key, f"it is not valid JSON ({error})") from None


def _is_too_deep(doc: Any, data: bytes, beside: int = 0) -> bool:
    """Tell whether what was decoded of `data` is nested too deep; few documents have as many containers.

    Args:
        doc: the document, or several.
        data: its text.
        beside: the number of containers that lie beside each other.
    """
    few = len(data) <= 2 * MAX_NESTING or data.count(b"{") + data.count(b"[") - beside < MAX_NESTING
    return not few and nests_deeper(doc, MAX_NESTING)


def _too_deep(key: str) -> CorruptRecordError:
    return CorruptRecordError(key, f"it is nested too deep: more than {MAX_NESTING} levels")


def integer(digits: str) -> int:
    """Return the integer that decimal digits spell, whatever ``sys.set_int_max_str_digits`` says.

    Raises:
        ValueError: it has more than `MAX_DIGITS` digits.
    """
    if len(digits) > MAX_DIGITS and len(digits.lstrip("+-")) > MAX_DIGITS:
        raise ValueError(f"an integer has {len(digits.lstrip('+-'))} digits, more than {MAX_DIGITS}")
    if len(digits) < _SHORT:
        return int(digits)
    from decimal import Decimal

    return int(Decimal(digits))


def _finite(digits: str) -> float:
    number = float(digits)
    if number - number != 0.0:
        raise ValueError(f"the number {digits:.40} is out of range")
    return number


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _encodable(doc: Any) -> Any:
    """Return a copy with huge integers as raw JSON and lone surrogates as visible escapes."""
    if isinstance(doc, str):
        return doc if doc.isascii() else doc.encode(errors="backslashreplace").decode()
    if isinstance(doc, int) and not isinstance(doc, bool):
        return msgspec.Raw(integer_text(doc).encode())
    if isinstance(doc, dict):
        return {_encodable(key) if isinstance(key, str) else key: _encodable(value) for key, value in doc.items()}
    if isinstance(doc, (list, tuple)):
        return [_encodable(item) for item in doc]
    return doc


def json_type(doc: Any) -> str:
    """Return what JSON calls it."""
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(doc), "number")


def leaf(value: Any) -> Leaf | dict[str, Any] | None:
    """Return the normal form of one recorded value.

    Args:
        value: a value in a document.

    Returns:
        A scalar; a list of normal forms; the dict that a mapping is, whose values are as recorded; ``None`` for null.
        A tagged float is that float, a reference is the text that it holds, ``$dict`` is the mapping that it stands for.
    """
    if type(value) is not dict or len(value) != 1:
        return _elements(value, 1) if type(value) is list else value
    ((tag, payload),) = value.items()
    if tag[:1] != "$":
        return value
    if tag == "$dict":
        return dict(payload) if type(payload) is list and all(map(is_pair, payload)) else value
    if type(payload) is not str:
        return value  # a newer version may have written it
    return FLOATS.get(payload, payload) if tag == "$float" else payload


def is_pair(item: Any) -> bool:
    """Tell whether it is a key and a value, as ``$dict`` has them."""
    return type(item) is list and len(item) == 2 and type(item[0]) is str


def _elements(items: list[Any], depth: int) -> list[Any]:
    """Return the normal forms; what is nested deeper than any query can say becomes a mapping, which equals nothing."""
    found: list[Any] = []
    for item in items:
        if type(item) is list:
            found.append(_elements(item, depth + 1) if depth < MAX_DEPTH else {})
        else:
            found.append(leaf(item))
    return found


def is_count(value: Any) -> TypeGuard[int]:
    """Return whether a value can be a size, a version, the number of an attempt: 0 <= value < 2**63."""
    return type(value) is int and 0 <= value < _COUNTS


def count(value: Any, default: int = 0) -> int:
    """Return a count that a document holds; what cannot be one is as if it were missing."""
    return value if is_count(value) else default
