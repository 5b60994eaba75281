"""Write a chart to a file, by matplotlib: PNG, SVG, PDF, or a page of HTML with the picture and the points."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molexp_cli import _words
from molexp_cli._files import written
from molexp_cli._formats import csv_of, names_of
from molexp_cli._output import one_line
from molexp_cli._series import Chart, Series

if TYPE_CHECKING:
    from molexp_cli._drawing import Look

PICTURES = (".png", ".svg", ".pdf", ".html")

_SIZE = (7.2, 4.4)  # inches
_DPI = 160
_POINTS = 4000  # of a series
_COLORS = 10  # in the cycle of matplotlib; of more series, each has a colour of a scale
_LEGEND = 20
_INSIDE = 6  # series that a legend names inside the picture
_TURNED = 40  # characters of all categories, from which they are written at an angle
_EMBEDDED = 50_000  # points that a page of HTML has in full
_ROWS = 500  # points that it lists

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.25rem; font-weight: 600; }}
figure {{ margin: 1rem 0; }} svg {{ width: 100%; height: auto; }}
p, summary {{ color: #555; }} summary {{ cursor: pointer; }}
table {{ border-collapse: collapse; margin: .75rem 0; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #e4e4e4; }}
</style>
</head>
<body>
<h1>{title}</h1>
<figure>{picture}</figure>
{notes}
<p><a download="points.csv" href="data:text/csv;base64,{data}">Download the points as CSV</a></p>
<details><summary>{summary}</summary>
<table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table></details>
</body>
</html>
"""


def save(chart: Chart, path: Path, look: Look, notes: Sequence[str] = ()) -> None:
    """Write a chart to a file, which is there complete or not at all.

    Raises:
        ModuleNotFoundError: matplotlib is not installed; the message says how to install it.
        OSError: the file cannot be written.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind == "html":
        data = _page(chart, look, notes).encode()
    else:
        data = _picture(chart, look, kind)
    with written(path) as file:
        file.write(data)


def _picture(chart: Chart, look: Look, kind: str) -> bytes:
    try:
        figure_of = import_module("matplotlib.figure").Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Pictures are drawn by matplotlib. Install it: pip install matplotlib", name="matplotlib"
        ) from error
    figure = figure_of(figsize=_SIZE, dpi=_DPI, layout="constrained")
    found = BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, of overflows at the edge
            _Painter(figure.add_subplot(), chart, look).paint()
            figure.savefig(found, format=kind)
    except (ValueError, ArithmeticError) as error:
        low, high = (end(value for one in chart.series for value in one.y) for end in (min, max))
        raise ValueError(
            f"matplotlib cannot draw values from {low:g} to {high:g}: {error}. Choose others by --where."
        ) from error
    return found.getvalue()


class _Painter:
    """Paints a chart on axes of matplotlib."""

    def __init__(self, axes: Any, chart: Chart, look: Look) -> None:
        self._axes, self._chart, self._look = axes, chart, look

    def paint(self) -> None:
        """Paint all of it. No text is taken for a formula."""
        axes, chart = self._axes, self._chart
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.grid(color="0.92", linewidth=0.8)
        axes.set_axisbelow(True)
        handles = [self._paint(one, self._color(number)) for number, one in enumerate(chart.series)]
        axes.set_xlabel(one_line(chart.x_title or chart.x), parse_math=False)
        axes.set_ylabel(one_line(chart.y), parse_math=False)
        if self._look.log_x:
            axes.set_xscale("log")
        if self._look.log_y:
            axes.set_yscale("log")
        if chart.categories:
            texts = [_words.cut(one_line(_words.brief(one, 6)) or "none", 24) for one in chart.categories]
            turned = {"rotation": 30, "ha": "right"} if sum(map(len, texts)) > _TURNED else {}
            every = -(-len(texts) // 40)
            axes.set_xticks([*range(len(texts))][::every], texts[::every], parse_math=False, **turned)
            axes.set_xlim(-0.5, len(texts) - 0.5)
        labels = [one_line(one.label) for one in chart.series]
        if any(labels):
            self._name(handles, labels)

    def _name(self, handles: Sequence[Any], labels: Sequence[str]) -> None:
        shown = [f" {label}" if label.startswith("_") else label for label in labels[:_LEGEND]]
        more = f"+{len(labels) - _LEGEND} more" if len(labels) > _LEGEND else None
        place = {} if len(labels) <= _INSIDE else {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
        legend = self._axes.legend(handles[:_LEGEND], shown, frameon=False, fontsize="small", title=more, **place)
        for text in legend.get_texts():
            text.set_parse_math(False)

    def _color(self, number: int) -> Any:
        count = len(self._chart.series)
        if count <= _COLORS:
            return f"C{number}"
        return import_module("matplotlib").colormaps["viridis"](0.95 * number / (count - 1))

    def _paint(self, one: Series, color: Any) -> Any:
        """Paint a series; return what stands for it in the legend."""
        axes, chart = self._axes, self._chart
        if chart.marked:
            style = "o-" if chart.joined else "o"
            bars = {"yerr": one.std, "capsize": 3} if one.std and any(one.std) else {}
            size = 5 if len(one.x) < 200 else 2.5
            return axes.errorbar(one.x, one.y, fmt=style, color=color, markersize=size, linewidth=1.2, **bars)
        if one.raw:
            axes.plot(*self._thinned(one.x, one.raw), color=color, alpha=0.25, linewidth=0.8)
        elif one.std and any(one.std):
            low, high = ([y + sign * std for y, std in zip(one.y, one.std, strict=True)] for sign in (-1, 1))
            if self._look.log_y:
                least = min(one.y)
                low = [max(value, least / 10) for value in low]
            across, lower = self._thinned(one.x, low)
            above, upper = self._thinned(one.x, high)
            axes.fill([*across, *reversed(above)], [*lower, *reversed(upper)], color=color, alpha=0.18, linewidth=0)
        marker = "o" if len(one.x) == 1 else None
        return axes.plot(*self._thinned(one.x, one.y), color=color, linewidth=1.4, marker=marker)[0]

    def _thinned(self, x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
        import molexp

        return molexp.downsample(x, y, _POINTS, log=self._look.log_x)


def _page(chart: Chart, look: Look, notes: Sequence[str]) -> str:
    """Return a page that needs no other file and no network: nothing in it is executed."""
    import base64

    picture = _picture(chart, look, "svg").decode()
    count = sum(len(one.x) for one in chart.series)
    notes = [*notes]
    if count > _EMBEDDED:
        chart = _thinned(chart, look)
        notes.append(f"Of {count:,} points the least and greatest are here, those that the picture is drawn of.")
    records = [*chart.records()]
    columns = names_of([records])
    shown = records[:_ROWS]
    title = f"{chart.y} against {chart.x_title or chart.x}"
    return _PAGE.format(
        title=escape(one_line(title)),
        picture=picture[picture.index("<svg") :],
        notes="\n".join(f"<p>{escape(one_line(note))}</p>" for note in notes),
        data=base64.b64encode(csv_of(records, columns).encode("utf-8", "backslashreplace")).decode(),
        summary=_words.counted(len(records), "point")
        + (f", the first {_ROWS} of them" if len(records) > _ROWS else ""),
        head="".join(f"<th>{escape(one_line(name))}</th>" for name in columns),
        rows="\n".join(f"<tr>{_cells(record, columns, _words.brief)}</tr>" for record in shown),
    )


def _cells(record: Mapping[str, Any], columns: Sequence[str], text: Callable[[Any], str]) -> str:
    return "".join(f"<td>{escape(one_line(text(record.get(name))))}</td>" for name in columns)


def _thinned(chart: Chart, look: Look) -> Chart:
    """Return a chart with as many points as a picture shows, without what belongs to each of them."""
    import molexp

    series = []
    for one in chart.series:
        x, y = molexp.downsample(one.x, one.y, _POINTS, log=look.log_x)
        series.append(Series(one.label, one.fields, x, y))
    return chart._replace(series=series)
