"""Where answers and messages go: data to standard output, everything else to standard error.

All of it passes through here, and nothing of a record comes to a terminal as it is, names included: whatever a terminal
would obey is escaped.

rich is imported only where something is drawn on a terminal; elsewhere the same is plain text, and never cut off.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import molexp

BROKEN_PIPE = 141  # 128 + SIGPIPE, as for any program whose reader went away

_WHOLE = ("ATTEMPT", "CREATED", "ENDED", "EXIT", "PID", "SIZE", "STARTED", "STATUS")  # columns that are not folded
_ROOM = 20  # letters that a value has beside its name, however narrow the terminal is
_COLOR_CODE = re.compile(r"\x1b\[[0-9;:]*m")
_PLANE = 0xFFFF
_ASCII = str.maketrans("●├─│", "*|-|")
_COLORS = {
    "succeeded": "green",
    "loaded": "green",
    "failed": "red",
    "broken": "red",
    "interrupted": "yellow",
    "cancelled": "yellow",
    "disabled": "yellow",
    "running": "cyan",
}


def make_safe() -> None:
    """Whatever the locale says, no text is an error: files and pipes get UTF-8, a terminal what it can show."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            if stream.isatty():
                reconfigure(errors="backslashreplace")
            else:
                reconfigure(encoding="utf-8", errors="backslashreplace")


def tell_warnings() -> None:
    """Show warnings as sentences, without the line of code that they come from."""

    def show(message: Warning | str, *_place: Any, **_rest: Any) -> None:
        say(f"warning: {message}")

    warnings.showwarning = show


def say(text: str, *, prefix: str = "molexp: ") -> None:
    """A message for whoever sits there."""
    try:
        sys.stderr.write(f"{prefix}{printable(text)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody hears it; the exit code says it, too


def tell_unreadable(found: Collection[str]) -> None:
    """Say that something may be missing in an answer; on standard error, whatever the answer is written as."""
    if found:
        what = "1 file or folder" if len(found) == 1 else f"{len(found)} files or folders"
        say(f"{what} could not be read, and what is in there is missing here. molexp catalog unreadable says why.")


def write(text: str, *, now: bool = False) -> None:
    """An answer, and a line's end: text, or JSON, which means the same with its odd characters escaped."""
    write_bytes(f"{printable(text)}\n".encode(sys.stdout.encoding or "utf-8", "backslashreplace"), now=now)


def write_log(data: bytes, *, now: bool = False) -> None:
    """Contents: as they are, or on a terminal without colours and with whatever else a terminal obeys made visible."""
    if sys.stdout.isatty():
        text = _COLOR_CODE.sub("", data.decode("utf-8", "backslashreplace")).replace("\r\n", "\n").replace("\r", "\n")
        data = printable(text).encode(sys.stdout.encoding or "utf-8", "backslashreplace")
    write_bytes(data, now=now)


def write_bytes(data: bytes, *, now: bool = False) -> None:
    """The bytes that were asked for, as they are; `now` if somebody waits for them."""

    def put() -> None:
        rest = memoryview(data)
        while rest:  # an unbuffered stream (PYTHONUNBUFFERED) may take a part of it
            rest = rest[sys.stdout.buffer.write(rest) :]
        if now:
            sys.stdout.buffer.flush()

    _guarded(put)


@contextmanager
def prints_aside(wanted: bool) -> Iterator[None]:
    """Whatever is printed meanwhile, by child processes too, goes to standard error: the answer comes afterwards."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    ours = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(ours, sys.stdout.fileno())
        os.close(ours)


def tell_report(report: molexp.Report, *, as_json: bool, ok: bool | None = None) -> None:
    """What an operation over a whole workspace found; `ok` says whether that is well, else the report does."""
    import molexp
    from molexp_cli._failing import FAILED

    write(molexp.to_json(report, pretty=True) if as_json else printable(str(report)))
    if not (report.ok if ok is None else ok):
        raise typer.Exit(FAILED)


def flush() -> None:
    """The last data goes out."""
    _guarded(sys.stdout.flush)


def _guarded(put: Callable[[], object]) -> None:
    """Write, and leave without a word if the reader went away, as `molexp runs list | head` does."""
    try:
        put()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # what is still buffered goes there when the interpreter ends
        os.close(nowhere)
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(BROKEN_PIPE) from None
        raise


def on_terminal() -> bool:
    """Tell whether the answer is drawn for somebody who looks at it."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """Text without anything that a terminal would obey, or that changes the order of letters: escaped as JSON does it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    number = ord(character)
    if number > _PLANE:  # as a pair of surrogates
        high, low = divmod(number - _PLANE - 1, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
    return f"\\u{number:04x}"


def drawable(lines: str) -> str:
    """A drawing's lines and dots, in ASCII where the terminal has no others."""
    try:
        lines.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return lines.translate(_ASCII)
    return lines


# --------------------------------------------------------------------------------------------------------------- pages


def headline(text: str) -> None:
    """The title of what follows."""
    if on_terminal():
        from rich.text import Text

        _console().print(Text(printable(text), style="bold"), soft_wrap=True)
    else:
        write(text)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, least: int = 0) -> None:
    """Rows below each other. Where nobody looks, each is one line, however long.

    Args:
        columns: their titles.
        rows: their cells.
        least: how many columns are shown on a terminal that is too narrow for all; 0: then each row is names and values.
    """
    columns = [printable(column) for column in columns]
    cells = [[printable(cell) for cell in row] for row in rows]
    if on_terminal():
        _draw(columns, cells, least)
    else:
        lines = [[cell.replace("\n", "\\n").replace("\t", "\\t") for cell in row] for row in cells]
        _align([list(columns), *lines])


def pairs(rows: Iterable[tuple[str, str]], *, indent: int = 0) -> None:
    """Names and values below each other."""
    found = [(printable(name), printable(value)) for name, value in rows]
    width = max((len(name) for name, _ in found), default=0)
    if on_terminal():
        _draw_pairs(found, indent, width)
        return
    for name, value in found:
        first, *more = value.split("\n")
        write(f"{' ' * indent}{name:<{width}}  {first}".rstrip())
        for line in more:
            write(f"{' ' * (indent + width + 2)}{line}".rstrip())


def _draw_pairs(found: Iterable[tuple[str, str]], indent: int, width: int) -> None:
    """Each value beside its name, broken at blanks. A longer word is the terminal's to break, which copies it whole."""
    import textwrap

    from rich.text import Text

    console = _console()
    room = max(_ROOM, console.width - indent - width - 2)
    for name, value in found:
        wrapped = [
            textwrap.wrap(line, room, break_long_words=False, break_on_hyphens=False) for line in value.split("\n")
        ]
        for number, line in enumerate([part for parts in wrapped for part in parts or [""]]):
            head = Text(" " * indent + f"{'' if number else name:<{width}}  ", style="dim")
            console.print(head.append(line, style=_style(value) or "not dim"), soft_wrap=True)


def _draw(columns: Sequence[str], cells: list[list[str]], keep: int) -> None:
    """A table, if the longest words of all columns fit beside each other; else each row as names and values."""
    from rich.table import Table
    from rich.text import Text

    console = _console()
    wanted = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    room = console.width - 2 * (len(columns) - 1)
    for whole, longest in (({*_WHOLE, *columns[:keep]}, 24), (columns[:keep], 20)):
        least = [_least(column, (row[n] for row in cells), whole, longest) for n, column in enumerate(columns)]
        if sum(least) <= room:
            break
    else:
        if 0 < keep < len(columns):
            _draw(columns[:keep], [row[:keep] for row in cells], keep)
            return
        for number, row in enumerate(cells):
            if number:
                write("")
            pairs([(column, cell) for column, cell in zip(columns, row, strict=True) if cell])
        return
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column, width in zip(columns, _widths(wanted, least, room), strict=True):
        drawn.add_column(Text(column), overflow="fold", width=width)
    for row in cells:
        drawn.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    console.print(drawn)


def _widths(wanted: Iterable[int], least: Sequence[int], room: int) -> list[int]:
    """Return what columns get of the room: as much as they want, but for the widest ones, which give way."""
    widths = [max(lower, min(width, room)) for width, lower in zip(wanted, least, strict=True)]
    while sum(widths) > room:
        widest = max((n for n, width in enumerate(widths) if width > least[n]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _least(column: str, cells: Iterable[str], whole: Collection[str], longest: int) -> int:
    """The width that a column needs: of its cells, or of their words, of which the longest may be broken."""
    if column in whole:
        return max(map(len, (column, *cells)))
    words = (min(len(word), longest) for cell in cells for word in cell.split())
    return max(len(column), *words, 1)


def _align(lines: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        write("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def _style(cell: str) -> str:
    return _COLORS.get(cell.partition(" ")[0], "")


def _console() -> Any:
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))
    return Console(color_system=None if plain else "auto", highlight=False, emoji=False)
