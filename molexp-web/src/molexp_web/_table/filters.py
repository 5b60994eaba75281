"""Filters and the text of a query, in both directions.

A query that is conditions joined by ``and`` is read as filters. Whatever is not as simple as that stays one filter, as it is
written: nothing is lost, and the query box always has all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "contains", "in", "is null", "is not null")
"""The form offers these. ``contains`` looks for a part of a text; of tags, for one of them."""

_TOKEN = re.compile(r'\s+|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[()\[\]]|[^\s()\[\]"\']+')
_OPENING, _CLOSING = ("(", "["), (")", "]")
_PART = re.compile(r"\w+")
_FIELD = r"""[^\W\d]\w*(?:\.\w+|\."(?:\\.|[^"\\])*")*"""
_VALUE = r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s()\[\]"',]+)"""
_COMPARED = re.compile(rf"({_FIELD})\s*(==|!=|<=|>=|<|>|=)\s*({_VALUE})")
_NULL = re.compile(rf"({_FIELD})\s+is\s+(not\s+)?null", re.IGNORECASE)
_LIKE = re.compile(rf"({_FIELD})\s+like\s+\"%((?:\\\\|\\\"|[^\"\\%_])*)%\"", re.IGNORECASE)
_TAG = re.compile(rf"({_VALUE})\s+in\s+(tags)", re.IGNORECASE)
_IN = re.compile(rf"({_FIELD})\s+in\s+\(({_VALUE}(?:\s*,\s*{_VALUE})*)\)", re.IGNORECASE)
_LITERAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf|nan|true|false|null")


class Filter(NamedTuple):
    """One condition of a query.

    Attributes:
        text: the condition as the query has it.
        field: its field, as a query spells it; "" if it is not simple.
        operator: one of `OPERATORS`.
        value: the value as the form has it.
    """

    text: str
    field: str = ""
    operator: str = ""
    value: str = ""


def filters_of(query: str) -> list[Filter]:
    """Return the conditions of a query; all of it as one if they are not joined by ``and`` alone."""
    if not query.strip():
        return []
    return [_read(part) for part in _parts(query)]


def query_of(filters: Iterable[Filter | str]) -> str:
    """Return the query that asks for all of some conditions."""
    texts = [one if isinstance(one, str) else one.text for one in filters]
    texts = [text for text in texts if text.strip()]
    return " and ".join(f"({text})" if len(texts) > 1 and _has_or(text) else text for text in texts)


def without(query: str, place: int) -> str:
    """Return a query without one of its conditions."""
    found = filters_of(query)
    return query_of([*found[:place], *found[place + 1 :]])


def condition(field: str, operator: str, value: str) -> str:
    """Return a condition as a query has it.

    Args:
        field: the name of a column, or of a field as a query spells it.
        operator: one of `OPERATORS`.
        value: the value in the form. Numbers, ``true``, ``false`` and quoted text are as they are; other words are text.

    Raises:
        ValueError: a field or a value is missing, or the operator does not exist.
    """
    field, value = spelled(field.strip()), value.strip()
    if not field:
        raise ValueError("A filter needs the name of a field, such as params.lr.")
    if operator not in OPERATORS:
        raise ValueError(f"There is no operator {operator!r}. There are: {', '.join(OPERATORS)}.")
    if operator.startswith("is "):
        return f"{field} {operator}"
    if not value:
        raise ValueError(f"A filter on {field} needs a value.")
    if operator == "in":
        return f"{field} in ({', '.join(literal(one) for one in value.split(',') if one.strip())})"
    if operator == "contains":
        if field == "tags":
            return f"{literal(value)} in tags"
        return f"{field} like {quoted('%' + _escaped(unquoted(value)) + '%')}"
    return f"{field} {operator} {literal(value)}"


def spelled(name: str) -> str:
    """Return the name of a column as a query spells it: parts that are more than letters and digits are quoted."""
    if not name or '"' in name or "'" in name:
        return name
    root, *rest = name.split(".")
    return ".".join([root, *(part if _PART.fullmatch(part) else quoted(part) for part in rest)])


def literal(value: str) -> str:
    """Return what somebody typed as a value of a query."""
    value = value.strip()
    if _LITERAL.fullmatch(value) or (len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"):
        return value
    return quoted(value)


def quoted(text: str) -> str:
    """Return a text as a query has it."""
    return json.dumps(text, ensure_ascii=False).replace("\\b", "\\u0008").replace("\\f", "\\u000c")


def unquoted(text: str) -> str:
    """Return the text that a quoted value stands for, or the value as it is."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _read(text: str) -> Filter:
    if found := _COMPARED.fullmatch(text):
        return Filter(text, found[1], "==" if found[2] == "=" else found[2], found[3])
    if found := _NULL.fullmatch(text):
        return Filter(text, found[1], "is not null" if found[2] else "is null")
    if found := _LIKE.fullmatch(text):
        return Filter(text, found[1], "contains", unquoted(f'"{found[2]}"'))
    if found := _TAG.fullmatch(text):
        return Filter(text, "tags", "contains", found[1])
    if found := _IN.fullmatch(text):
        return Filter(text, found[1], "in", found[2])
    return Filter(text)


def _parts(query: str) -> list[str]:
    """Return the texts between each ``and`` that joins all of a query."""
    parts, current, depth, between = list[str](), list[str](), 0, False
    for piece in _pieces(query):
        word = piece.lower()
        depth += (piece in _OPENING) - (piece in _CLOSING)
        if depth == 0 and word == "or":
            return [query.strip()]
        if depth == 0 and word == "and" and not between:
            parts.append("".join(current).strip())
            current = []
            continue
        between = (between or word == "between") and not (depth == 0 and word == "and")
        current.append(piece)
    return [part for part in (*parts, "".join(current).strip()) if part]


def _has_or(text: str) -> bool:
    depth = 0
    for piece in _pieces(text):
        depth += (piece in _OPENING) - (piece in _CLOSING)
        if depth == 0 and piece.lower() == "or":
            return True
    return False


def _pieces(query: str) -> Sequence[str]:
    found, at = list[str](), 0
    while at < len(query):
        match = _TOKEN.match(query, at)
        end = match.end() if match else at + 1  # a quote that is not closed
        found.append(query[at:end])
        at = end
    return found
