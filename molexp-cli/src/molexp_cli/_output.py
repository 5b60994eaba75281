"""Output: data goes to standard output, everything else to standard error.

All output passes through this module. It escapes control characters before they reach a terminal, in names as in values.

It imports rich only to draw on a terminal. Elsewhere the same output is plain text, and is never cut off.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

if TYPE_CHECKING:
    import molexp

BROKEN_PIPE = 141  # 128 + SIGPIPE, as for any program whose reader went away

_WHOLE = ("ATTEMPT", "CREATED", "ENDED", "EXIT", "PID", "SIZE", "STARTED", "STATUS")  # columns that are not folded
_COPIED = "ASSET"  # a column that is never broken, for its cells are copied
_ROOM = 20  # a value has at least this many characters beside its name, however narrow the terminal is
_COLOR = r"\x1b\[[0-9;:]*m"
_COMMAND = r"`[^`]+`|(?<=: )molexp \S.*"
_PLANE = 0xFFFF
_ASCII = str.maketrans("●├─│…", "*|-|~")
COLORS = {
    "succeeded": "green",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
    "loaded": "green",
    "failed": "red",
    "broken": "red",
    "interrupted": "yellow",
    "cancelled": "yellow",
    "disabled": "yellow",
    "running": "cyan",
    "queued": "cyan",
}


def make_safe() -> None:
    """Let any text be printed in any locale: files and pipes get UTF-8, a terminal gets what it can show."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # Text that a script prints does not wait while bytes that we write pass it by.
            if stream.isatty():
                reconfigure(errors="backslashreplace", write_through=True)
            else:
                reconfigure(encoding="utf-8", errors="backslashreplace", write_through=True)


def tell_warnings() -> None:
    """Show warnings as sentences, without the line of code that they come from."""

    def show(message: Warning | str, *_place: Any, **_rest: Any) -> None:
        say(f"warning: {message}")

    warnings.showwarning = show


def say(text: str, *, prefix: str = "molexp: ", end: str = "\n") -> None:
    """Print a message to standard error. On a terminal, its lines are broken at blanks."""
    message = f"{prefix}{printable(text)}"
    try:
        sys.stderr.write(f"{_broken(message) if sys.stderr.isatty() else message}{end}")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody reads it; the exit code tells the same


def _broken(message: str) -> str:
    """Break lines that are longer than the terminal at blanks. Indented lines, such as a query and its caret, stay."""
    width = shutil.get_terminal_size().columns
    lines = message.split("\n")
    if all(len(line) <= width for line in lines):
        return message
    return "\n".join(line if line.startswith(" ") else "\n".join(wrapped(line, width)) for line in lines)


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Return lines of a text, broken at blanks, but not within a command in backquotes or after a colon at its end.

    Args:
        text: the text.
        width: characters of a line.
        indent: blanks before each line but the first.
    """
    import textwrap

    whole = re.sub(_COMMAND, lambda command: command[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(whole, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]


def tell_unreadable(found: Collection[str]) -> None:
    """Warn on standard error that an answer may be incomplete."""
    if found:
        what = "1 file or folder" if len(found) == 1 else f"{len(found)} files or folders"
        say(f"{what} could not be read, so this answer is incomplete. `molexp catalog unreadable` lists the reasons.")


def write(text: str, *, end: str = "\n", now: bool = False) -> None:
    """Print an answer and a newline. Escaped characters do not change the meaning of JSON."""
    write_bytes(f"{printable(text)}{end}".encode(sys.stdout.encoding or "utf-8", "backslashreplace"), now=now)


def write_log(data: bytes, *, now: bool = False) -> None:
    """Print the contents of a file: unchanged, or for a terminal without colours and with control characters escaped."""
    if sys.stdout.isatty():
        text = re.sub(_COLOR, "", data.decode("utf-8", "backslashreplace")).replace("\r\n", "\n").replace("\r", "\n")
        data = printable(text).encode(sys.stdout.encoding or "utf-8", "backslashreplace")
    write_bytes(data, now=now)


def write_bytes(data: bytes, *, now: bool = False) -> None:
    """Print bytes unchanged; `now` flushes them at once."""

    def put() -> None:
        rest = memoryview(data)
        while rest:  # an unbuffered stream (PYTHONUNBUFFERED) may take a part of it
            rest = rest[sys.stdout.buffer.write(rest) :]
        if now:
            sys.stdout.buffer.flush()

    _guarded(put)


@contextmanager
def prints_aside(wanted: bool) -> Iterator[None]:
    """Send what this process and its children print meanwhile to standard error, to keep it out of the answer."""
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
    """Print the report of an operation on a workspace, and exit with 1 if it is not `ok` (by default, `report.ok`)."""
    import molexp
    from molexp_cli._failing import FAILED

    write(molexp.to_json(report, pretty=True) if as_json else printable(str(report)))
    if not (report.ok if ok is None else ok):
        raise typer.Exit(FAILED)


def flush() -> None:
    """Flush standard output."""
    _guarded(sys.stdout.flush)


def _guarded(put: Callable[[], object]) -> None:
    """Write, and exit silently if the reader has gone, as in `molexp runs list | head`."""
    try:
        put()
    except OSError as error:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # the interpreter flushes its buffer there when it ends
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(BROKEN_PIPE) from None
        error.filename = "standard output"
        raise


def on_terminal() -> bool:
    """Tell whether standard output is a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """Return text with control characters, and those that change the order of letters, escaped as in JSON."""
    if text.isprintable():
        return text
    return "\n".join([line if line.isprintable() else "".join(map(_shown, line)) for line in text.split("\n")])


def _shown(character: str) -> str:
    return character if character.isprintable() or character == "\t" else _escaped(character)


def _escaped(character: str) -> str:
    number = ord(character)
    if number > _PLANE:  # as a pair of surrogates
        high, low = divmod(number - _PLANE - 1, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
    return f"\\u{number:04x}"


def drawable(lines: str) -> str:
    """Return the lines and dots of a drawing, in ASCII if the terminal has no others."""
    try:
        lines.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return lines.translate(_ASCII)
    return lines


# -------------------------------------------------------------------------------------------------------------- tables


def headline(text: str) -> None:
    """Print a heading."""
    if on_terminal():
        from rich.text import Text

        terminal().print(Text(printable(text), style="bold"), soft_wrap=True)
    else:
        write(text)


def _on_one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


class Lines:
    """A table outside of a terminal, printed some rows at a time: each is one line, however long.

    A column is as wide as the cells so far. The titles are repeated only where a later row has a value in a column that was
    empty until then.

    Args:
        columns: their titles.
        seldom: those that are left out until a row has a value in them.
    """

    def __init__(self, columns: Sequence[str], seldom: Collection[str] = ()) -> None:
        self._columns = columns
        self._widths = [0 if column in seldom else len(column) for column in columns]
        self._titled: list[int] = []

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Print rows."""
        cells = [[cell if cell.isprintable() else _on_one_line(cell) for cell in row] for row in rows]
        for number, column in enumerate(zip(*cells, strict=True)):
            if widest := max(map(len, column)):
                self._widths[number] = max(self._widths[number], widest, len(self._columns[number]))
        shown = [number for number, width in enumerate(self._widths) if width]
        titles = [list(self._columns)] if shown != self._titled else []
        self._titled = shown
        places = [(number, self._widths[number]) for number in shown]
        lines = [
            "  ".join([f"{line[number]:<{width}}" for number, width in places]).rstrip() for line in (*titles, *cells)
        ]
        if lines:
            write("\n".join(lines))

    def end(self) -> None:
        """Print the titles if there were no rows."""
        if not self._titled:
            self.add([])


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, least: int = 0) -> None:
    """Print a table. Outside of a terminal each row is one line, however long.

    Args:
        columns: their titles.
        rows: their cells.
        least: on a terminal that is too narrow, show this many columns; with 0, show each row as names and values.
    """
    columns = [printable(column) for column in columns]
    if on_terminal():
        _draw(columns, [[printable(cell) for cell in row] for row in rows], least)
    else:
        Lines(columns).add([*rows])


class Grid(NamedTuple):
    """The columns of a table that is drawn on a terminal, some rows at a time.

    Attributes:
        titles: their headings.
        styles: the styles of those.
        widths: their widths.
        right: those that are aligned at the right.
    """

    titles: Sequence[str]
    styles: Sequence[str]
    widths: Sequence[int]
    right: Sequence[bool]

    def draw(self, rows: Iterable[Sequence[str]], *, titled: bool = True) -> str:
        """Return lines of cells, with the headings above them, in the colours of the terminal."""
        from rich.table import Table
        from rich.text import Text

        console = terminal(width=sum(self.widths) + 2 * len(self.widths))
        drawn = Table(box=None, pad_edge=False, show_header=titled)
        for title, style, width, right in zip(self.titles, self.styles, self.widths, self.right, strict=True):
            head = drawable(printable(title))
            drawn.add_column(Text(head.rjust(width) if right else head, style=style), width=width, no_wrap=True)
        for row in rows:
            cells = [drawable(one_line(cell)) for cell in row]
            places = zip(cells, self.widths, self.right, strict=True)  # blanks at the end count for decimal points
            drawn.add_row(
                *(Text(one.rjust(width) if right else one, style=_style(one)) for one, width, right in places)
            )
        with console.capture() as captured:
            console.print(drawn)
        return "".join(f"{line.rstrip()}\n" for line in str(captured.get()).splitlines())


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: a letter of Chinese takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return int(cell_len(text))


def one_line(text: str) -> str:
    """Return a text as a cell of a drawn table has it: on one line, and escaped."""
    return printable(text).replace("\n", " ").replace("\t", " ")


def width_of_terminal() -> int:
    """Return the number of columns of the terminal."""
    return int(terminal().width)


def height_of_terminal() -> int:
    """Return the number of lines of the terminal."""
    return int(terminal().height)


def faint(text: str) -> str:
    """Return a line that explains what is above it, in the colours of the terminal, broken at blanks."""
    from rich.text import Text

    return styled(Text(drawable(printable(text)), style="dim"))


def styled(text: Any) -> str:
    """Return a text of rich in the colours of the terminal."""
    console = terminal()
    with console.capture() as captured:
        console.print(text)
    return str(captured.get())


def write_drawn(text: str) -> None:
    """Print what was drawn."""
    write_bytes(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def pairs(rows: Iterable[tuple[str, str]], *, indent: int = 0) -> None:
    """Print names and values, one pair on each line."""
    found = [(_on_one_line(name), printable(value)) for name, value in rows]
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
    """Draw each value beside its name, broken at blanks."""
    from rich.text import Text

    console = terminal()
    room = max(_ROOM, console.width - indent - width - 2)
    for name, value in found:
        lines = [part for line in value.split("\n") for part in wrapped(line, room) or [""]]
        for number, line in enumerate(lines):
            head = Text(" " * indent + f"{'' if number else name:<{width}}  ", style="dim")
            console.print(head.append(line, style=f"not dim {_style(value)}".rstrip()), soft_wrap=True)


def _draw(columns: Sequence[str], cells: list[list[str]], keep: int) -> None:
    """Draw a table if the longest words of all columns fit beside each other, else each row as names and values."""
    from rich.table import Table
    from rich.text import Text

    console = terminal()
    wanted = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    room = console.width - 2 * (len(columns) - 1)
    for whole, longest in (({*_WHOLE, _COPIED, *columns[:keep]}, 24), ((_COPIED, *columns[:keep]), 20)):
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
    """Return the widths of the columns. Where the room is too small, the widest columns shrink."""
    widths = [max(lower, min(width, room)) for width, lower in zip(wanted, least, strict=True)]
    while sum(widths) > room:
        widest = max((n for n, width in enumerate(widths) if width > least[n]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _least(column: str, cells: Iterable[str], whole: Collection[str], longest: int) -> int:
    """Return the width that a column needs for its cells, or for their words, of which the longest may be broken."""
    if column in whole:
        return max(map(len, (column, *cells)))
    words = (min(len(word), longest) for cell in cells for word in cell.split())
    return max(len(column), *words, 1)


def _style(cell: str) -> str:
    return COLORS.get(cell.partition(" ")[0], "")


def terminal(*, width: int | None = None) -> Any:
    """Return the console of rich for standard output: without colours if nobody wants them."""
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))
    return Console(color_system=None if plain else "auto", highlight=False, emoji=False, width=width)
