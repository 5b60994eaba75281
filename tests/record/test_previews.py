"""A kind shows people what an asset holds; what it cannot show is passed over."""

from __future__ import annotations

import warnings

import pytest

from molexp.contracts import Preview
from molexp.plugins import PluginWarning
from tests.record.helpers import install
from tests.record.previews import KINDS


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return install(tmp_path / "site", "molexp-pictures", KINDS)


@pytest.fixture
def shown(lab, plugins):
    """Return the preview of an asset of a kind, as another process gets it."""

    def shown(kind, plugins=plugins):
        return lab.load(plugins=plugins).run("p/e/r").asset(kind).preview()

    with lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r").start() as ctx:
        for kind in ("plain", "note", "plot", "bad", "other", "odd"):
            getattr(ctx, kind).save(kind, "hello, world")
    return shown


def test_a_kind_shows_text_an_image_or_html(shown):
    assert shown("note") == Preview(text="it begins: hello", html="<b>hello, world</b>")
    assert shown("plot") == Preview(png=b"\x89PNG\r\n\x1a\n" + b", pixels" * 1000)


def test_a_kind_without_previews_or_that_is_not_installed_shows_nothing(shown):
    assert shown("plain") is None
    assert shown("note", plugins=None) is None


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("bad", "ZeroDivisionError: division by zero"),
        ("other", "TypeError: it returned str, which is no Preview"),
        ("odd", "ValueError: the image of a preview is no PNG file"),
    ],
)
def test_a_preview_that_fails_is_named_once_and_passed_over(lab, plugins, shown, kind, why):
    asset = lab.load(plugins=plugins).run("p/e/r").asset(kind)
    said = rf"The asset kind '{kind}' of molexp-pictures 1.0 is passed over: preview\(\) raised {why}"
    with pytest.warns(PluginWarning, match=said):
        assert asset.preview() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert asset.preview() is None


def test_a_preview_is_text_and_html_as_str_and_a_png_as_bytes():
    for wrong in ({"text": b"a"}, {"png": "a"}, {"html": b"a"}):
        with pytest.raises(TypeError, match="as str, and its image as bytes"):
            Preview(**wrong)
