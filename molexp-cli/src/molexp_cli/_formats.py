"""Lists for programs: JSON, JSON lines and CSV, a page of records at a time."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from molexp_cli._output import on_terminal, write, write_bytes

if TYPE_CHECKING:
    import molexp


class Format(StrEnum):
    """The form of a list."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


OutputOption = Annotated[
    Format | None,
    typer.Option(
        "--output",
        show_default=False,
        help="Answer in this form; jsonl has an object on each line. --json is short for --output json.",
    ),
]

Records: TypeAlias = "molexp.Rows[Any] | Sequence[Mapping[str, Any]]"

_AT_ONCE = 50  # records that are printed at once
_ROOTS = {"parameters": "params"}  # a column is called as a query calls it


def form_of(output: Format | None, as_json: bool) -> Format:
    """Return the form of a list that two options ask for.

    Raises:
        typer.BadParameter: they contradict each other.
    """
    if as_json and output not in (None, Format.JSON):
        raise typer.BadParameter(f"--json is short for --output json; remove it, or --output {output}.")
    return Format.JSON if as_json else output or Format.TABLE


def write_records(form: Format, records: Records) -> None:
    """Print all records of a list in a form for programs."""
    write_pages(form, [records], names_of([records]) if form is Format.CSV else ())


def write_pages(
    form: Format,
    pages: Iterable[Records],
    names: Sequence[str] = (),
    titles: Sequence[str] = (),
    *,
    to: IO[bytes] | None = None,
) -> None:
    """Print the records of a list in a form for programs, some at a time.

    Args:
        form: the form; not a table.
        pages: the records. None is kept.
        names: the columns of CSV. A field within another one has a dotted name, such as ``results.energy``.
        titles: the headings of these columns, if they are others than the names.
        to: the file to write to; by default standard output.
    """
    parts = (page[at : at + _AT_ONCE] for page in pages for at in range(0, len(page), _AT_ONCE))
    match form:
        case Format.CSV:
            _write_csv(parts, names, titles or names, to)
        case Format.JSONL:
            _write_jsonl(parts, to)
        case _:
            _write_json(parts, to)


def names_of(pages: Iterable[Records]) -> list[str]:
    """Return the columns of CSV that have all fields of all records, the fields within one together."""
    found: dict[str, None] = {}
    for page in pages:
        columns = getattr(page, "columns", None)
        found |= dict.fromkeys(columns if columns is not None else (name for one in page for name in flat(one)))
    roots = [*dict.fromkeys(name.partition(".")[0] for name in found)]
    return sorted(found, key=lambda name: roots.index(name.partition(".")[0]))


def _put(text: str, to: IO[bytes] | None) -> None:
    if to is None:
        write(text, end="")
    else:
        to.write(text.encode("utf-8", "backslashreplace"))


def _write_json(parts: Iterable[Records], to: IO[bytes] | None) -> None:
    import molexp

    before = "[\n"
    for part in parts:
        _put(before + molexp.to_json(part, pretty=True).removeprefix("[\n").removesuffix("\n]"), to)
        before = ",\n"
    _put("[]\n" if before == "[\n" else "\n]\n", to)


def _write_jsonl(parts: Iterable[Records], to: IO[bytes] | None) -> None:
    import molexp

    for part in parts:
        _put("".join(f"{molexp.to_json(one)}\n" for one in _dicts(part)), to)


def _write_csv(parts: Iterable[Records], names: Sequence[str], titles: Sequence[str], to: IO[bytes] | None) -> None:
    if titles:
        _write_lines([titles], to)
    for part in parts:
        _write_lines(([_cell(value) for value in _named(one, names)] for one in _mappings(part)), to)


def _named(record: Mapping[str, Any], names: Sequence[str]) -> Iterator[Any]:
    """Yield what a record has under names; a row of runs has more of them than it lists, such as ``provenance.git.commit``."""
    listed = flat(record)
    for name in names:
        found = listed if name in listed else record
        yield found[name] if name in found else None  # noqa: SIM401 - `get` would look for the nearest name first


class _LinesOfCsv(io.StringIO):
    def write(self, line: str, /) -> int:
        return super().write(line.removesuffix("\r\n") + "\n")


def _write_lines(lines: Iterable[Sequence[str]], to: IO[bytes] | None) -> None:
    text = _text_of(lines)
    if to is not None or on_terminal():
        _put(text, to)
    else:
        write_bytes(text.encode("utf-8", "backslashreplace"))  # it has the data as it is


def _text_of(lines: Iterable[Sequence[str]]) -> str:
    import csv

    text = _LinesOfCsv()
    csv.writer(text, lineterminator="\r\n").writerows(lines)  # Python 3.11 quotes only what is in the end of a line
    return text.getvalue()


def csv_of(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Return records as CSV, with a line of names."""
    return _text_of([names, *([_cell(one.get(name)) for name in names] for one in map(flat, records))])


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, float):
        return repr(value)  # NaN and infinity as every reader of CSV has them
    import json

    import molexp

    text = molexp.to_json(value)
    return str(json.loads(text)) if text.startswith('"') else text  # a time is text in JSON


def _dicts(records: Records) -> Sequence[Mapping[str, Any]]:
    return records.to_dicts() if hasattr(records, "to_dicts") else records


def _mappings(records: Records) -> Sequence[Mapping[str, Any]]:
    """Return records as mappings; a row of runs is one of the columns of its table."""
    return records if isinstance(records[0], Mapping) else _dicts(records)


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as one level, with dotted names; of two values under one name the one that a query finds."""
    leaves = [*_leaves(record, ())]
    found = {".".join(path): value for path, value in leaves}
    if len(found) < len(leaves):
        in_order = sorted(leaves, key=lambda leaf: leaf[0])
        found |= {".".join(path): value for path, value in in_order if value is not None}
    return found


def _leaves(found: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in found.items():
        path = (*above, str(key)) if above else (_ROOTS.get(key, key),)
        if isinstance(value, Mapping) and value and not any(str(inner).startswith("$") for inner in value):
            yield from _leaves(value, path)
        elif value != {}:
            yield path, value
