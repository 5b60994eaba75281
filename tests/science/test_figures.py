"""Figures are drawn in the format that their names say, and the bytes tell nothing of the time."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from textwrap import dedent

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

import molexp as me
from molexp.testing import AssetKindTests
from molexp_science import FigureFields, FigureKind, Picture

LABELS = {"title": "A dimer", "xlabel": "distance (Å)", "ylabel": "energy (eV)"}


@pytest.fixture
def run(tmp_path):
    return me.Workspace(tmp_path / "lab").Project("p").Experiment("e").Run(id="r")


def drawn(**settings):
    figure = Figure(figsize=(4, 3), dpi=100, **settings)
    axes = figure.subplots()
    axes.plot([0.9, 1.0, 1.1, 1.5], [3.0, -1.0, 0.5, 0.1], marker="o", label="LJ")
    axes.set(**LABELS)
    axes.legend()
    return figure


def of_several():
    figure = Figure(figsize=(3, 4), dpi=50, layout="constrained")
    above, below = figure.subplots(2)
    above.plot([1, 2])
    above.set(ylabel="density")
    below.set(xlabel="q", ylabel="S(q)", title="below")
    figure.suptitle("Structure\nfactor")
    return figure


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


class TestFiguresOfMatplotlib(AssetKindTests):
    def kind(self):
        return FigureKind

    def objects(self):
        return [of_several(), Figure(figsize=(1, 1))]

    def fields(self, obj):
        if not obj.axes:
            return FigureFields("matplotlib", "png", 100.0, 100.0)
        return FigureFields("matplotlib", "png", 150.0, 200.0, "Structure\nfactor", ("q",), ("density", "S(q)"))

    def is_same(self, one, other):
        if isinstance(one, FigureFields):
            return one == other
        return self._picture(one) == self._picture(other)

    def _picture(self, one):
        if isinstance(one, Picture):
            return pixels(one.data).tolist()
        stream = io.BytesIO()
        one.draw_without_rendering()
        one.savefig(stream)
        return pixels(stream.getvalue()).tolist()


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_the_name_says_the_format(run, form):
    with run.start() as ctx:
        asset = ctx.save(f"energy.{form}", drawn())
        ctx.save(f"again.{form}", drawn())
    assert asset.fields.format == form
    assert (asset.fields.width, asset.fields.height) == ((400, 300) if form == "png" else (288, 216))
    assert asset.content_hash == run.asset(f"again.{form}").content_hash
    assert repr(asset.load()) == f"<Picture: {form}, {'400 x 300' if form == 'png' else '288 x 216'}>"
    assert asset.describe() == (
        f"A dimer; matplotlib {form} {asset.fields.width:g} x {asset.fields.height:g}; axes: distance (Å), energy (eV)"
    )


def test_a_picture_is_shown_by_notebooks_and_in_previews(run):
    with run.start() as ctx:
        png, svg, pdf = (ctx.save(f"a.{form}", drawn()) for form in ("png", "svg", "pdf"))
    assert png.load()._repr_mimebundle_() == {"image/png": png.read_bytes()}
    assert png.preview().png == png.read_bytes()
    assert svg.load()._repr_mimebundle_() == {"image/svg+xml": svg.preview().html}
    assert "<svg" in svg.preview().html
    assert [*pdf.load()._repr_mimebundle_()] == ["application/pdf", "text/plain"]
    assert pdf.preview().text == "A dimer; matplotlib pdf 288 x 216; axes: distance (Å), energy (eV)"


def test_axes_stand_for_their_figure(run):
    figure = drawn()
    part = of_several().subfigures()
    with run.start() as ctx:
        assert ctx.save("a", figure.axes[0]).fields.title == "A dimer"
        assert ctx.save("b", part.subplots()).fields.title == "Structure\nfactor"


@pytest.mark.parametrize("name", ["a.jpg", "a.html", "a.EPS"])
def test_a_figure_is_not_called_what_it_is_not(run, name):
    with run.start() as ctx, pytest.raises(ValueError, match=r"but as one of .png, .svg, .pdf"):
        ctx.figure.save(name, drawn())


def test_a_figure_of_too_many_pixels_is_refused_before_it_takes_memory(run):
    figure = drawn()
    figure.dpi = 10_000
    with run.start() as ctx:
        with pytest.raises(ValueError, match="40000 x 30000 pixels takes too much memory: lower its dpi"):
            ctx.save("a", figure)
        figure.dpi = 10
        assert ctx.save("a", figure).fields.width == 40


def test_a_closed_figure_is_saved(run):
    figure, _ = pyplot.subplots(figsize=(1, 1))
    pyplot.close(figure)
    with run.start() as ctx:
        assert ctx.save("a", figure).fields.format == "png"


def test_an_open_figure_stays_open_and_no_other_is_made(run):
    figure, _ = pyplot.subplots(figsize=(1, 1), layout="constrained")
    try:
        with run.start() as ctx:
            ctx.save("a", figure)
        assert pyplot.get_fignums() == [figure.number]
        assert type(figure.canvas).__name__ == "FigureCanvasAgg"
    finally:
        pyplot.close(figure)


def test_a_font_that_is_missing_is_no_error(run, caplog):
    figure = drawn()
    figure.axes[0].set_title("A dimer", family="no such font")
    with caplog.at_level(logging.WARNING), run.start() as ctx:
        assert ctx.save("a", figure).fields.title == "A dimer"
    assert "no such font" in caplog.text


def test_no_display_is_needed_whatever_the_backend(tmp_path):
    code = """
        import sys
        import molexp as me
        import matplotlib
        matplotlib.use("template")  # any that is not Agg
        from matplotlib import pyplot
        figure, axes = pyplot.subplots()
        with me.Workspace(sys.argv[1]).Project("p").Experiment("e").Run().start() as ctx:
            for name in ("a.png", "a.svg", "a.pdf"):
                print(ctx.save(name, figure).fields.format)
        print(matplotlib.get_backend())
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(code), str(tmp_path / "lab")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.stdout.split(), done.stderr) == (["png", "svg", "pdf", "template"], "")


def test_settings_of_matplotlib_are_as_before(run):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with run.start() as ctx:
        ctx.save("a.svg", drawn())
    assert dict(mpl.rcParams) == before


# -------------------------------------------------------------------------------------------------------------- plotly


def interactive():
    express = pytest.importorskip("plotly.graph_objects", reason="plotly is not installed")
    figure = express.Figure(express.Scatter(x=np.arange(3), y=[1.0, np.pi, 2.0], name="LJ"))
    figure.update_layout(title="A dimer", xaxis_title="r", yaxis_title="E", width=500)
    return figure


class TestFiguresOfPlotly(AssetKindTests):
    def kind(self):
        return FigureKind

    def objects(self):
        return [interactive(), type(interactive())()]

    def fields(self, obj):
        if not obj.data:
            return FigureFields("plotly", "json")
        return FigureFields("plotly", "json", 500.0, None, "A dimer", ("r",), ("E",))


def test_a_figure_of_plotly_is_json_or_a_page_that_needs_no_network(run):
    figure = interactive()
    with run.start() as ctx:
        asset = ctx.save("a.json", figure)
        page = ctx.save("a.html", figure)
        with pytest.raises(ValueError, match=r"not saved as PNG, as 'a.png' says, but as one of .json, .html"):
            ctx.save("a.png", figure)
    assert asset.load() == figure
    assert json.loads(asset.read_bytes())["layout"]["title"]["text"] == "A dimer"
    assert asset.describe() == "A dimer; plotly json; axes: r, E"
    html = page.load().data.decode()
    assert "src=" not in html.replace(" ", "").split("</script>")[-2]
    assert page.content_hash == run.asset("a.html").content_hash
    assert page.load()._repr_mimebundle_()["text/html"] == page.preview().html == html
    assert "A dimer" in asset.preview().html


def test_whoever_lacks_plotly_is_told_how_to_install_it(run, monkeypatch):
    with run.start() as ctx:
        asset = ctx.save("a.json", interactive())
    monkeypatch.setitem(sys.modules, "plotly.io", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"'a.json' needs plotly, which is not installed here: pip install plotly"
    ):
        asset.load()
