"""The table of runs on a terminal: columns chosen by whether they vary, by type and by width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from molexp_cli import _words
from molexp_cli._output import Grid, one_line, width_of, width_of_terminal

if TYPE_CHECKING:
    import molexp

    Rows = Sequence[molexp.RunRow]

PLUGIN = 15
"""The rank of the columns that plugins provide."""

ORIGIN = "provenance."
"""The beginning of columns of where the code came from, which a row has without listing them."""

_GAP = 2  # blanks between columns
_NAMES = 12  # least number of characters for the names of columns that are not shown
_WIDEST = 24  # characters of a cell that share the terminal with others
_VALUES = ("params", "results", "metrics", "config")  # roots under which a run has values of its own
_RANKS = {
    "params": 20,
    "results": 21,
    "metrics": 22,
    "config": 90,
}  # the first to be shown; each further one comes two later
_REST = {"tags": 40, "cause": 41, "profile": 42, "replica": 43}
_SPECIAL = {"run": "run", "time": "seconds", "age": "created_at"}
STYLES = {"params": "cyan", "results": "bold", "metrics": "magenta"}


class Column(NamedTuple):
    """A column.

    Attributes:
        name: the name that queries have for it.
        title: its heading.
        read: returns what a row has in it.
        rank: columns of a low rank are shown first.
        digits: the digits of its numbers.
        right: it is aligned at the right.
        fraction: characters from the decimal point on, for which numbers leave room.
        style: the style of its heading.
        width: characters; 0 for as many as there are.
        formatted: texts that it reads are shown as they are.
    """

    name: str
    title: str
    read: Callable[[Any], Any]
    rank: int = 0
    digits: int = 0
    right: bool = False
    fraction: int = 0
    style: str = "bold"
    width: int = 0
    formatted: bool = False

    def has_texts(self, found: Any) -> bool:
        """Tell whether what was read is a text to be shown as it is, and no value."""
        return isinstance(found, str) and (self.formatted or self.rank < 20)

    def cell(self, row: Any) -> str:
        """Return the text of a cell, of one line."""
        found = self.read(row)
        text = found if self.has_texts(found) else _words.brief(found, self.digits or 6)
        if self.fraction and text:
            text += " " * (self.fraction - len(_fraction(text)))
        text = one_line(text)
        if not self.width or self.is_whole or width_of(text) <= self.width:
            return text
        while width_of(text) >= self.width:
            text = text[:-1]
        return f"{text}…"

    @property
    def is_whole(self) -> bool:
        """Tell whether its cells are never cut: names of runs, statuses and numbers."""
        return self.rank < 2 or self.right or self.name == "status"


def columns_of(rows: Rows, names: Mapping[str, str], more: Iterable[tuple[str, Callable[[Any], str]]]) -> list[Column]:
    """Return the columns that say something about these runs.

    Args:
        rows: the runs.
        names: their short names, by path.
        more: columns that plugins provide.
    """
    found = [
        Column("run", "RUN", lambda row: names.get(row.path, row.id)),
        Column("experiment", "EXPERIMENT", lambda row: f"{row.project}/{row.experiment}", 1),
        Column("status", "STATUS", lambda row: f"{row.status} elsewhere" if row.as_of else str(row.status)),
        Column("created_at", "CREATED", lambda row: _words.age(row.created_at), 10),
        Column("seconds", "TIME", _time, 11, right=True),
        *_values(rows),
        *(Column(name, name.upper(), read, PLUGIN) for name, read in more),
    ]
    several = len({(row.project, row.experiment) for row in rows}) > 1
    return [
        one
        for one in found
        if (several if one.name == "experiment" else one.name != "seconds" or any(map(_time, rows)))
    ]


def keys_of(wanted: str, rows: Rows, everything: Callable[[], Collection[str]]) -> list[tuple[str, str]]:
    """Return the names that a list of columns has, each with the key of the column that it means.

    Args:
        wanted: the list. ``run``, ``age`` and ``time`` are the columns of the table.
        rows: some of the runs.
        everything: returns the keys of all runs. It is called if a whole name is not found in some of them.

    Raises:
        ValueError: no run has such a column; with the nearest names. Or no column is named.
    """
    names = [*filter(None, map(str.strip, wanted.split(",")))]
    if not names:
        raise ValueError("--columns names no column.")
    some = {key for row in rows for key in row} | {name for name in names if any(name in row for row in rows)}
    found = {name: _SPECIAL.get(name) or _exact(name, some) for name in names}
    if not all(found.values()):
        known = everything()
        found = {name: key or (_resolved(name, known, rows) if known else name) for name, key in found.items()}
    return [(name, key) for name in names if (key := found[name])]


def named_columns(rows: Rows, names: Mapping[str, str], wanted: Iterable[tuple[str, str]]) -> list[Column]:
    """Return the columns of names and keys, as `keys_of` returns them."""
    special = {"run": lambda row: names.get(row.path, row.id), "time": _time}
    special["age"] = lambda row: _words.age(row.created_at)
    return [
        Column(key, name.upper(), special[name], right=name == "time")
        if name in special
        else _measured(Column(key, name, _reader(key), 20), rows)
        for name, key in wanted
    ]


def _exact(name: str, known: Collection[str]) -> str | None:
    plain = _plain(name)
    return next((key for key in (plain, f"{plain}.last") if key in known), None)


def _plain(name: str) -> str:
    return f"params.{name.removeprefix('parameters.')}" if name.startswith("parameters.") else name


def _resolved(name: str, known: Collection[str], rows: Rows) -> str:
    plain = _plain(name)
    if key := _exact(name, known):
        return key
    ends = sorted(key for key in known if key.removesuffix(".last").endswith(f".{plain}"))
    inside = [key for key in ends if not key.startswith(ORIGIN)] or ends
    if len(inside) == 1:
        return inside[0]
    from difflib import get_close_matches

    from molexp import NotFoundError

    close = inside or get_close_matches(name, sorted({*known, *(key.rpartition(".")[2] for key in known)}))
    try:
        if rows and not close:
            rows[0][plain]
    except NotFoundError as error:  # names columns too that are not listed
        close = [*error.nearest]
    hint = f" Did you mean {' or '.join(map(repr, close[:3]))}?" if close else ""
    raise ValueError(f"No run has the column {name!r}.{hint}")


def fitting(columns: Sequence[Column], rows: Sequence[Any], width: int) -> tuple[list[Column], list[Column]]:
    """Return the columns that fit beside each other, each with its width, and those that are left out."""
    sized = [one._replace(width=_needed(one, rows)) for one in columns]
    left, kept = width + _GAP, set[str]()
    for one in sorted(sized, key=lambda one: one.rank):
        if one.width + _GAP <= left or not kept:  # the first one is there, even if the terminal breaks its lines
            left -= one.width + _GAP
            kept.add(one.name)
    return [one for one in sized if one.name in kept], [one for one in sized if one.name not in kept]


def measured(columns: Sequence[Column], rows: Rows) -> list[Column]:
    """Return columns that are wide enough for all of these rows, and not narrower than before."""
    whole = [(one, one._replace(width=0)) for one in columns]
    return [
        one._replace(width=max([one.width, width_of(one.title), *map(width_of, map(all_of.cell, rows))]))
        for one, all_of in whole
    ]


def widened(columns: Sequence[Column], rows: Rows, width: int) -> list[Column]:
    """Return columns that are wider where these rows need it: those whose cells are never cut, then others in the room left."""
    needs = [max(one.width, _needed(one._replace(width=0), rows)) for one in columns]
    room = (
        width
        + _GAP
        - sum(_GAP + (need if one.is_whole else one.width) for one, need in zip(columns, needs, strict=True))
    )
    found = []
    for one, need in zip(columns, needs, strict=True):
        more = need - one.width if one.is_whole else max(0, min(need - one.width, room))
        room -= 0 if one.is_whole else more
        found.append(one._replace(width=one.width + more))
    return found


def grid_of(columns: Sequence[Column]) -> Grid:
    """Return what draws the columns."""
    return Grid(*zip(*((one.title, one.style, one.width, one.right) for one in columns), strict=True))


def _needed(one: Column, rows: Sequence[Any]) -> int:
    longest = max([width_of(one.title), *(width_of(one.cell(row)) for row in rows)])
    return longest if one.is_whole else min(longest, max(width_of(one.title), _WIDEST))


def left_out(columns: Sequence[Column], how: str = "--wide, --columns") -> str:
    """Return a line that names the columns that do not fit, as far as it is long enough."""
    start, end = f"+{_words.counted(len(columns), 'more column')}", f" ({how})"
    room = width_of_terminal() - len(start) - len(end) - 2
    names = _words.cut(", ".join(one.title for one in columns), room)
    return f"{start}: {names}{end}" if room >= _NAMES else f"{start} ({how.partition(',')[0]})"


def shared(rows: Rows) -> str:
    """Return the parameters that all of several runs have in common, on one line."""
    if len(rows) < 2:
        return ""
    first, *others = ({key: row[key] for key in row if key.startswith("params.")} for row in rows)
    same = {key: value for key, value in first.items() if all(key in one and one[key] == value for one in others)}
    return " ".join(f"{key.removeprefix('params.')}={_words.brief(value)}" for key, value in same.items())


def counted(statuses: Mapping[str, int]) -> str:
    """Return how many runs there are, and of which status: "15 runs: 14 succeeded, 1 failed"."""
    return f"{_words.counted(sum(statuses.values()), 'run')}: {of_each_status(statuses)}"


def of_each_status(statuses: Mapping[str, int]) -> str:
    """Return how many runs have each status: "14 succeeded, 1 failed"."""
    import molexp

    known = [str(status) for status in molexp.RunStatus]
    first = ["succeeded", "failed", "interrupted", "cancelled"]
    return ", ".join(f"{statuses[name]} {name}" for name in dict.fromkeys((*first, *known)) if statuses.get(name))


def statuses_of(rows: Iterable[molexp.RunRow]) -> Mapping[str, int]:
    """Return how many of some runs have each status."""
    return Counter(str(row.status) for row in rows)


def _values(rows: Rows) -> Iterator[Column]:
    """Yield a column for each value that some of the runs have, and in which they differ if it is none that they computed."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        for key in row:
            root, dot, _ = key.partition(".")
            if (dot and root in _VALUES and (root != "metrics" or key.endswith(".last"))) or key in _REST:
                found.setdefault(key, []).append(row[key])
    shown = {key: values for key, values in found.items() if _tells(key, values, len(rows))}
    titles = _titles(shown)
    places: Counter[str] = Counter()
    order = {key: (_weight(values), not _differ(values)) for key, values in shown.items()}
    for key in sorted(shown, key=lambda key: (_place(key), order[key])):
        root, (weight, same) = _root(key), order[key]
        rank = _REST.get(key) or _RANKS[root] + 2 * places[root] + 10 * weight + 20 * same
        places[root] += 1
        yield _measured(Column(key, titles[key], _reader(key), rank, style=STYLES.get(root, "bold")), rows)


def _place(key: str) -> int:
    return _VALUES.index(_root(key)) if _root(key) in _VALUES else len(_VALUES)


def _differ(values: Sequence[Any]) -> bool:
    return len({repr(value) for value in values}) > 1


def _root(key: str) -> str:
    return key.partition(".")[0]


def _tells(key: str, values: Sequence[Any], rows: int) -> bool:
    if _root(key) in ("results", "metrics") or key in ("tags", "cause"):
        return any(value not in (None, "", (), []) for value in values)
    if rows == 1:
        return values[0] not in (None, 0) or _root(key) in _VALUES
    return (len(values) < rows and key not in _REST) or _differ(values)


def _weight(values: Sequence[Any]) -> int:
    """Return how late values of this type come: numbers, then words, then lists and all else."""
    kinds = {type(value) for value in values if value is not None}
    return 0 if kinds <= {int, float, bool} else 1 if kinds <= {int, float, bool, str} else 2


def _titles(keys: Iterable[str]) -> dict[str, str]:
    """Return the shortest headings that tell the columns apart: the ends of their names."""
    whole = {key: key.removesuffix(".last") if key.startswith("metrics.") else key for key in keys}
    ends = {key: [name.split(".", part)[-1] for part in range(name.count("."), -1, -1)] for key, name in whole.items()}
    used = Counter(end for found in ends.values() for end in found)
    return {key: next((end for end in found if used[end] == 1), whole[key]) for key, found in ends.items()}


def _measured(column: Column, rows: Rows) -> Column:
    """Return a column of numbers with as many digits as tell them apart, at the right."""
    values = [found for row in rows if (found := column.read(row)) is not None]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not values or len(numbers) < len(values):
        return column._replace(digits=_words.digits(numbers))
    found = column._replace(digits=_words.digits(numbers), right=True)
    return found._replace(fraction=max(len(_fraction(found.cell(row))) for row in rows))


def _fraction(text: str) -> str:
    """Return the end of a number, from the decimal point or the exponent on."""
    return text[min(text.find(mark) % (len(text) + 1) for mark in ".e") :]


def _reader(key: str) -> Callable[[Any], Any]:
    return lambda row: row[key] if key in row else None  # noqa: SIM401 - `get` would look for the nearest name first


def _time(row: molexp.RunRow) -> str:
    """Return how long its newest attempt took, or takes already."""
    history = row.execution_history
    return _words.took(history[-1].get("started_at"), history[-1].get("ended_at")) if history else ""
