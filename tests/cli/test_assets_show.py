"""``molexp assets show`` shows what the kind of an asset shows of it."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

import pytest

import molexp as me
from tests.cli.helpers import Terminal, program
from tests.record.helpers import install
from tests.record.previews import KINDS


@pytest.fixture
def show(here, tmp_path, monkeypatch):
    """Show an asset of a run that has one of each kind; no plugin is tried before."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    plugins = install(tmp_path / "site", "molexp-notes", KINDS)
    with me.Workspace("./lab", plugins=plugins).Project("p").Experiment("e").Run(id="r").start() as ctx:
        for kind in ("plain", "note", "bad", "plot"):
            getattr(ctx, kind).save(kind, "hello, world")
    sys.modules.pop("molexp_notes")

    def show(name, *options):
        return program(here, "-w", "lab", "assets", "show", f"p/e/r:{name}", *options, env=site(tmp_path))

    return show


def site(tmp_path):
    return {"PYTHONPATH": str(tmp_path / "site"), "MOLEXP_PLUGIN_TIMEOUT": "0"}


def drawn(text):
    """The images that a text draws, in kitty and in iTerm2."""
    kitty = "".join(re.findall(r"\x1b_G(?:a=T,f=100,)?m=[01];([^\x1b]*)\x1b", text))
    return [
        base64.b64decode(one)
        for one in (kitty, *re.findall(r"\x1b\]1337;File=inline=1;size=\d+:([^\a]*)\a", text))
        if one
    ]


@pytest.mark.parametrize(
    ("terminal", "images"),
    [
        ({"KITTY_WINDOW_ID": "1"}, 1),
        ({"TERM": "xterm-ghostty"}, 1),
        ({"TERM_PROGRAM": "iTerm.app"}, 1),
        ({"TERM_PROGRAM": "WezTerm"}, 1),
        ({"TERM_PROGRAM": "WezTerm", "TMUX": "/tmp/tmux"}, 0),
        ({"TERM_PROGRAM": "vscode"}, 0),
    ],
    ids=str,
)
def test_an_image_is_drawn_in_terminals_that_can_and_others_have_a_link(show, here, tmp_path, terminal, images):
    bare = dict.fromkeys(("KITTY_WINDOW_ID", "KONSOLE_VERSION", "TERM_PROGRAM", "TMUX"), "") | site(tmp_path) | terminal
    shown = Terminal(here, "-w", "lab", "assets", "show", "p/e/r:plot", env=bare)

    assert shown.end() == 0
    assert drawn(shown.text) == [b"\x89PNG\r\n\x1a\n" + b", pixels" * 1000] * images
    (link,) = re.findall(r"file://(\S+)", shown.text)
    assert Path(link).read_text() == "hello, world"
    assert "\x1b_G" not in show("plot").out, "a file gets no image"


def test_text_is_shown_and_other_forms_are_named(show):
    done = show("note")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("it begins: hello\n")
    assert "HTML; --preview FILE writes it" in done.out
    assert re.search(r"created +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ\n", done.out), "as every command shows times"


def test_a_preview_is_written_to_a_new_file_in_the_form_that_its_name_says(show, here):
    done = show("note", "--preview", "a.HTML")
    assert (done.code, done.err) == (0, "")
    assert " a.HTML\n" in done.out
    assert (here / "a.HTML").read_bytes() == b"<b>hello, world</b>"

    again = show("note", "--preview", "a.HTML")
    assert (again.code, again.out) == (4, "")
    assert "File exists" in again.err


@pytest.mark.parametrize(("name", "file", "form"), [("plain", "a.txt", "text"), ("note", "a.png", "PNG")])
def test_a_form_that_the_kind_does_not_make_is_an_error_and_no_file(show, here, name, file, form):
    done = show(name, "--preview", file)
    assert (done.code, done.out) == (4, "")
    assert f"The kind {name!r} makes no preview of {name!r} as {form}." in done.err
    assert not (here / file).exists()


def test_a_preview_that_raises_is_named_and_passed_over(show):
    done = show("bad")
    assert done.code == 0
    assert "p/e/r#1:bad:bad@1" in done.out
    assert "The asset kind 'bad' of molexp-notes 1.0 is passed over: preview() raised ZeroDivisionError" in done.err
