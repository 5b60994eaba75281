"""Reasons why no run matches: the conditions of a question, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from molexp._catalog.index.index import Index
from molexp._catalog.query.answers import Question
from molexp._query.expressions import Condition, Expression, Field, Joined, quoted
from molexp._values.ids import nearest
from molexp._values.status import Cause, RunStatus

_NUMBERS = 3  # that are named
_FIXED: Mapping[tuple[str, ...], Iterable[str]] = {("status",): RunStatus, ("cause",): Cause}


class NearMiss(Struct, frozen=True):
    """One of several conditions on runs, taken alone.

    Attributes:
        condition: the condition, as a query has it.
        runs: the number of runs that meet it.
        nearest: values that runs have in its field and that look similar, best first, if no run meets it.

    Example:
        >>> [(one.condition, one.runs) for one in ws.catalog.near_misses("params.a == 3.5 and results.energy > 0")]
        [('params.a == 3.5', 1), ('results.energy > 0', 0)]
    """

    condition: str
    runs: int
    nearest: tuple[str, ...] = ()


def near_misses(
    question: Question, count: Callable[[Question], int], values: Callable[[Field], Iterable[str | float]]
) -> list[NearMiss]:
    """Return how many runs meet each condition of a question.

    Args:
        question: the question.
        count: counts the runs that a question asks for.
        values: returns the texts that runs have in a field; numbers may be among them.
    """
    hidden = [Condition(Field(("archived",)), "==", False)] if question.hides else []
    found = []
    for one in (part for whole in question.where for part in parts_of(whole)):
        if one in hidden or (text := _text(one)) is None:
            continue
        number = count(replace(question, where=[one, *hidden], checks=[], sort=None))
        near = _like(one, values) if not number else ()
        found.append(NearMiss(text, number, near))
    return found


def texts_of(index: Index, field: Field) -> list[str]:
    """Return texts that some runs have in a field of their parameters, results or configuration, or may have as status or cause."""
    if fixed := _FIXED.get(field.parts):
        return [str(one) for one in fixed]
    sql = (
        "SELECT DISTINCT f.value FROM names n JOIN fields f ON f.name = n.id WHERE n.name = ? AND typeof(f.value) = 'text' "
        "LIMIT 1000"
    )
    return [value for (value,) in index.select(sql, (".".join(field.parts),))]


def parts_of(expression: Expression) -> Iterable[Expression]:
    """Return the conditions that are joined by ``and``, or the only one."""
    return expression.parts if isinstance(expression, Joined) and expression.word == "and" else (expression,)


def _like(one: Expression, values: Callable[[Field], Iterable[str | float]]) -> tuple[str, ...]:
    if not isinstance(one, Condition) or one.op != "==":
        return ()
    if isinstance(one.value, str):
        texts = [text for text in values(one.field) if isinstance(text, str)]
        return nearest(one.value, texts) if one.value not in texts else ()  # it is spelt well
    if isinstance(wanted := one.value, int | float) and not isinstance(wanted, bool):
        numbers = {other for other in values(one.field) if isinstance(other, int | float)}
        return tuple(map(str, sorted(numbers, key=lambda other: abs(other - wanted))[:_NUMBERS]))
    return ()


def _text(one: Expression) -> str | None:
    """Return a condition as a query has it; None for one that is several, or is not of the user's."""
    if isinstance(one, Joined):
        return None
    name = one.field.name
    match one.op:
        case "null":
            return f"{name} is null"
        case "contains":
            return f"{_literal(one.value)} in {name}"
        case "in":
            values = [*map(_literal, one.value)]
            return f"{name} == {values[0]}" if len(values) == 1 else f"{name} in [{', '.join(values)}]"
        case operator:
            return f"{name} {operator} {_literal(one.value)}"


def _literal(value: object) -> str:
    if isinstance(value, Field):
        return value.name
    if isinstance(value, str):
        return quoted(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
