"""The parts of a view: a card with a heading, tables of facts and of rows, badges, numbers as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

COLORS = {
    "succeeded": "#2da44e",
    "reused": "#2da44e",
    "failed": "#e5534b",
    "interrupted": "#c69026",
    "cancelled": "#c69026",
    "running": "#388bfd",
}
GREY = "#8b949e"
LETTERS = 60  # of a value that are shown
_FACTS = 30  # that are shown of many

STYLE = (
    "<style>"
    ".molexp{font-family:system-ui,sans-serif;font-size:13px;line-height:1.5;max-width:100%}"
    ".molexp .head{font-size:15px;font-weight:600;overflow-wrap:anywhere}"
    ".molexp .more{color:#8b949e;margin-bottom:6px;overflow-wrap:anywhere}"
    ".molexp .side{display:flex;flex-wrap:wrap;gap:6px 28px;align-items:flex-start}"
    ".molexp .wide{overflow:auto;max-height:36em;margin:4px 0}"
    ".molexp table.cells{border-collapse:collapse;margin:2px 0 6px;font-size:12.5px;table-layout:auto}"
    ".molexp table.cells tbody tr,.molexp table.cells tbody tr:nth-child(odd){background:none}"
    ".molexp table.cells th,.molexp table.cells td{padding:3px 14px 3px 0;text-align:left;vertical-align:top;"
    "border:0;border-bottom:1px solid rgba(128,128,128,.25);white-space:nowrap;max-width:32em;overflow:hidden;"
    "text-overflow:ellipsis}"
    ".molexp table.cells th{font-weight:600;color:#8b949e}"
    ".molexp table.cells .number{text-align:right;font-variant-numeric:tabular-nums}"
    ".molexp table.pairs td,.molexp table.pairs .number{text-align:left;color:inherit}"
    ".molexp pre{background:rgba(128,128,128,.1);padding:8px 10px;border-radius:6px;margin:4px 0;overflow:auto;"
    "max-height:24em;font:12px/1.4 ui-monospace,monospace}"
    ".molexp details{margin:3px 0}.molexp summary{cursor:pointer;color:#8b949e}"
    ".molexp img{max-width:100%;max-height:40em;background:#fff;border-radius:6px}"
    "</style>"
)
"""Names of classes that count below ``.molexp`` alone."""


def card(head: str, more: Sequence[str] = (), *parts: str, status: str = "") -> str:
    """Return a view: a heading, a line below it, and its parts.

    Args:
        head: the heading, a text.
        more: texts of the line below.
        parts: pieces of HTML.
        status: a status for a badge beside the heading.
    """
    sign = f" {badge(status)}" if status else ""
    line = f'<div class="more">{escape(" · ".join(text for text in more if text))}</div>' if more else ""
    return f'<div class="molexp">{STYLE}<div class="head">{escape(head)}{sign}</div>{line}{"".join(parts)}</div>'


def badge(status: str) -> str:
    """Return a status in its colour."""
    return f'<span style="color:{COLORS.get(status, GREY)};font-weight:600">● {escape(status)}</span>'


def badges(statuses: Mapping[str, int]) -> str:
    """Return counts by status in their colours."""
    shown = (
        f'<span style="color:{COLORS.get(name, GREY)}">{number} {escape(name)}</span>'
        for name, number in statuses.items()
        if number
    )
    return ", ".join(shown)


def facts(title: str, values: Mapping[str, Any]) -> str:
    """Return a table of two columns, names and values; "" if there are none."""
    if not values:
        return ""
    items = [*_flat(values)]
    rows = [f"<tr><th>{escape(str(name))}</th>{_cell(value)}</tr>" for name, value in items[:_FACTS]]
    more = f'<tr><th colspan="2">and {len(items) - _FACTS} more</th></tr>' if len(items) > _FACTS else ""
    return f'<div><div class="more">{escape(title)}</div><table class="cells pairs"><tbody>{"".join(rows)}{more}</tbody></table></div>'


def table(names: Sequence[str], rows: Iterable[Sequence[Any]], left_out: int = 0) -> str:
    """Return a table; a cell that is `Html` is taken as it is."""
    cells = [[_cell(value) for value in row] for row in rows]
    numbers = [any(row[place].startswith(_NUMBER) for row in cells) for place in range(len(names))]
    head = "".join(f"<th{_RIGHT * number}>{escape(name)}</th>" for name, number in zip(names, numbers, strict=True))
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
    more = f'<div class="more">{left_out} more rows</div>' if left_out else ""
    return f'<div class="wide"><table class="cells"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</div>'


def folded(title: str, part: str) -> str:
    """Return a part that is shown when somebody clicks on its title."""
    return f"<details><summary>{escape(title)}</summary>{part}</details>" if part else ""


def block(text: str) -> str:
    """Return text as it is, in letters of one width."""
    return f"<pre>{escape(text)}</pre>" if text else ""


class Html(str):
    """A cell that is HTML already."""

    __slots__ = ()


_RIGHT = ' class="number"'
_NUMBER = f"<td{_RIGHT}>"


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from ((f"{name}.{inner}", found) for inner, found in _flat(value))
        else:
            yield str(name), value


def _cell(value: Any) -> str:
    if isinstance(value, Html):
        return f"<td>{value}</td>"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{_NUMBER}{escape(words(value))}</td>"
    return f"<td>{escape(words(value))}</td>"


def words(value: Any) -> str:
    """Return a value as people read it: numbers of six digits, texts that fit, nothing for None."""
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    amount, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{count} B" if unit == "B" else f"{amount:.3g} {unit}"


def moment(text: Any) -> str:
    """Return an ISO 8601 time to the minute."""
    found = str(text or "")
    return f"{found[:10]} {found[11:16]} UTC" if len(found) > 16 else found
