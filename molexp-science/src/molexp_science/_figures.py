"""Figures: of matplotlib as PNG, SVG or PDF, of plotly as JSON or HTML, as their names say."""

from __future__ import annotations

import io
import json
import re
import struct
from collections.abc import Iterable
from pathlib import PurePath
from threading import Lock
from typing import Any

from msgspec import Struct

from molexp import Asset
from molexp.contracts import AssetKind, Preview, Sink, Source
from molexp_science._libraries import imported, library

_FORMATS = {"matplotlib": ("png", "svg", "pdf"), "plotly": ("json", "html")}
_KNOWN = {"bmp", "eps", "gif", "html", "jpeg", "jpg", "json", "pdf", "pgf", "png", "ps", "svg", "tif", "tiff", "webp"}
_WITHOUT_TIME = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
_MOST_PIXELS = 250_000_000  # of four bytes each
_SALTING = Lock()  # a setting of matplotlib belongs to the process


class FigureFields(Struct, frozen=True):
    """The fields of a figure.

    Attributes:
        package: ``matplotlib`` or ``plotly``.
        format: ``png``, ``svg``, ``pdf``, ``json`` or ``html``.
        width: in pixels, of SVG and PDF in points (1/72 inch); None if a figure of plotly leaves it to the page.
        height: the same.
        title: of the figure, or the first title of its axes.
        x_labels: the labels of the x axes, each once.
        y_labels: the labels of the y axes.
    """

    package: str
    format: str
    width: float | None = None
    height: float | None = None
    title: str = ""
    x_labels: tuple[str, ...] = ()
    y_labels: tuple[str, ...] = ()


class Picture(Struct, frozen=True):
    """A figure that was drawn. Notebooks show it.

    Attributes:
        format: ``png``, ``svg``, ``pdf`` or ``html``.
        data: the bytes of the file.

    Example:
        >>> from matplotlib.figure import Figure
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx.figure.save("energy.png", Figure(figsize=(4, 3)))
        >>> asset.load()
        <Picture: png, 400 x 300>
    """

    format: str
    data: bytes

    def __repr__(self) -> str:
        width, height = size_of(self.format, self.data)
        size = f", {width:.6g} x {height:.6g}" if width is not None and height is not None else ""
        return f"<Picture: {self.format}{size}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        match self.format:
            case "png":
                return {"image/png": self.data}
            case "pdf":
                return {"application/pdf": self.data, "text/plain": repr(self)}
            case form:
                return {"image/svg+xml" if form == "svg" else "text/html": self.data.decode()}


def size_of(form: str, data: bytes) -> tuple[float | None, float | None]:
    """Return the width and the height of a picture, as its bytes say."""
    if form == "png":
        width, height = struct.unpack(">II", data[16:24])
        return float(width), float(height)
    pattern = {
        "svg": rb'<svg[^>]*? width="([\d.]+)pt" height="([\d.]+)pt"',
        "pdf": rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]",
    }.get(form)
    found = re.search(pattern, data) if pattern else None
    return (float(found[1]), float(found[2])) if found else (None, None)


class FigureKind(AssetKind[Any, FigureFields]):
    """Figures of matplotlib and plotly, in the format that their names say: ``energy.svg``.

    Without a suffix, a figure of matplotlib is PNG, and one of plotly JSON. The bytes tell nothing of the time. A figure of
    matplotlib is loaded as a `Picture`, because no file gives it back. One of plotly is loaded as it was if it is JSON; as HTML,
    it is a page that needs no network, and no less than 4 MB.
    """

    name = "figure"
    types = ("matplotlib.Figure", "matplotlib.Axes", "plotly.BaseFigure")

    def accepts(self, obj: object, /) -> bool:
        """Tell whether it is a figure of matplotlib, its axes, or a figure of plotly."""
        return _library_of(obj) != ""

    def restores(self, obj: object, /) -> bool:
        """Tell whether it is a figure of plotly: of matplotlib, a picture is loaded."""
        return _library_of(obj) == "plotly"

    def save(self, obj: Any, sink: Sink) -> FigureFields:
        """Draw the figure, or write its JSON."""
        name = _library_of(obj)
        form = _format_of(sink.name, name)
        data, fields = (_plotly if name == "plotly" else _matplotlib)(obj, form)
        sink.write(data)
        return fields

    def load(self, source: Source[FigureFields]) -> Any:
        """Return a `Picture`, or a figure of plotly that was saved as JSON."""
        with source.open() as stream:
            data = stream.read()
        form = next((form for form, begin in _BEGINS if data.startswith(begin)), "html")
        return _figure_of(data, source.name) if form == "json" else Picture(form, data)

    def describe(self, asset: Asset[Any, FigureFields], /) -> str:
        """Return one line: title, format, size, labels of the axes."""
        return _line(asset.fields)

    def preview(self, source: Source[FigureFields], /) -> Preview:
        """Show the picture; a figure of plotly as a page that needs no network."""
        found = self.load(source)
        text = _line(source.fields)
        if not isinstance(found, Picture):
            return Preview(text=text, html=_page(found))
        if found.format == "png":
            return Preview(text=text, png=found.data)
        return Preview(text=text, html="" if found.format == "pdf" else found.data.decode())


_BEGINS = (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("json", b"{"))


def _library_of(obj: object) -> str:
    if isinstance(obj, imported("plotly.basedatatypes", "BaseFigure")):
        return "plotly"
    ours = imported("matplotlib.figure", "Figure") + imported("matplotlib.axes", "Axes")
    return "matplotlib" if isinstance(obj, ours) else ""


def _format_of(name: str, which: str) -> str:
    """Return the format of a figure of this name.

    Raises:
        ValueError: it is called like a format that it cannot have.
    """
    suffix = PurePath(name).suffix.lower().removeprefix(".")
    if suffix in _FORMATS[which]:
        return suffix
    if suffix in _KNOWN:
        ways = ", ".join(f".{form}" for form in _FORMATS[which])
        raise ValueError(
            f"A figure of {which} is not saved as {suffix.upper()}, as {name!r} says, but as one of {ways}."
        )
    return _FORMATS[which][0]


def _line(fields: FigureFields) -> str:
    size = "" if fields.width is None or fields.height is None else f" {fields.width:.6g} x {fields.height:.6g}"
    labels = [*fields.x_labels, *fields.y_labels]
    parts = [fields.title, f"{fields.package} {fields.format}{size}", f"axes: {', '.join(labels)}" if labels else ""]
    return " ".join("; ".join(part for part in parts if part).split())


# ---------------------------------------------------------------------------------------------------------- matplotlib


def _matplotlib(obj: Any, form: str) -> tuple[bytes, FigureFields]:
    figure = obj if hasattr(obj, "savefig") else _root(obj)
    dpi = figure.dpi / figure.canvas.device_pixel_ratio  # a screen may have several pixels for one
    width, height = figure.get_size_inches() * dpi
    if form == "png" and width * height > _MOST_PIXELS:
        raise ValueError(f"A figure of {width:.0f} x {height:.0f} pixels takes too much memory: lower its dpi.")
    data = _drawn(figure, form, dpi)
    drawn = dict(zip(("width", "height"), size_of(form, data), strict=True))
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    return data, FigureFields(
        "matplotlib",
        form,
        **drawn,
        title=next(filter(None, titles), ""),
        x_labels=_each_once(axes.get_xlabel() for axes in figure.axes),
        y_labels=_each_once(axes.get_ylabel() for axes in figure.axes),
    )


def _root(axes: Any) -> Any:
    found = axes.figure
    while not hasattr(found, "savefig"):
        found = found.figure  # of a part of a figure
    return found


def _drawn(figure: Any, form: str, dpi: float) -> bytes:
    import matplotlib as mpl

    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()  # the first drawing moves the axes, and a second one would differ from it
    stream = io.BytesIO()
    with _SALTING, mpl.rc_context({"svg.hashsalt": mpl.rcParams["svg.hashsalt"] or "molexp"}):
        figure.savefig(stream, format=form, dpi=dpi, metadata=_WITHOUT_TIME[form])
    return stream.getvalue()


def _each_once(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


# -------------------------------------------------------------------------------------------------------------- plotly


def _plotly(figure: Any, form: str) -> tuple[bytes, FigureFields]:
    layout = figure.layout
    size = {name: None if layout[name] is None else float(layout[name]) for name in ("width", "height")}
    fields = FigureFields(
        "plotly",
        form,
        **size,
        title=layout.title.text or "",
        x_labels=_each_once(axis.title.text for axis in figure.select_xaxes()),
        y_labels=_each_once(axis.title.text for axis in figure.select_yaxes()),
    )
    if form == "html":
        return _page(figure).encode(), fields
    return json.dumps(json.loads(figure.to_json()), sort_keys=True).encode(), fields


def _page(figure: Any) -> str:
    """Return a page that needs no network."""
    found: str = figure.to_html(include_plotlyjs=True, div_id="figure")
    return found


def _figure_of(data: bytes, name: str) -> Any:
    return library("plotly.io", name).from_json(data.decode())
