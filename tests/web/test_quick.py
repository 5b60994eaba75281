"""Pages are the same though templates are compiled once, and answers remembered: both make them quick."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import pytest

from molexp_web._pages import rendering
from molexp_web._table.asking import Asked
from molexp_web._table.listing import listing_of
from molexp_web._table.views import save_view, saved_views


@pytest.fixture
def opened(client, tmp_path, monkeypatch):
    """Return a page, as a process gets it that has no templates in memory and keeps temporary files in a folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    asking = client()

    def opened():
        rendering.environment.cache_clear()
        return asking.get("/w/lab/assets/nowhere").text

    (tmp_path / "tmp").mkdir()
    yield opened
    rendering.environment.cache_clear()


def test_templates_are_compiled_once_and_kept_for_this_user_alone(opened, tmp_path, monkeypatch):
    page = opened()
    (folder,) = (tmp_path / "tmp").iterdir()
    assert os.name != "posix" or folder.stat().st_mode & 0o777 == 0o700
    assert "nowhere" in page

    def compile_again(*_, **__):
        raise AssertionError("it was compiled before")

    monkeypatch.setattr("jinja2.Environment.compile", compile_again)
    assert opened() == page


def test_templates_that_are_damaged_or_cannot_be_kept_are_compiled_again(opened, tmp_path):
    page = opened()
    (folder,) = (tmp_path / "tmp").iterdir()
    kept = [*folder.iterdir()]
    assert kept
    for place, file in enumerate(kept):
        data = file.read_bytes()
        file.write_bytes(data[: len(data) * place // len(kept)] if place % 2 else data[:20] + b"junk")
    assert opened() == page

    for file in kept:
        file.unlink()
    folder.rmdir()
    folder.write_text("somebody else's")
    assert opened() == page
    (tmp_path / "tmp").rename(tmp_path / "gone")
    assert opened() == page


@pytest.mark.skipif(os.name != "posix", reason="Folders for temporary files belong to one user there.")
@pytest.mark.parametrize("planted", ["a link", "open to others", "another user's"])
def test_templates_are_not_taken_from_a_folder_that_others_can_write_to(opened, tmp_path, monkeypatch, planted):
    page = opened()
    (folder,) = (tmp_path / "tmp").iterdir()  # its name ends with the number of the user
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    if planted == "a link":
        elsewhere.chmod(0o750)
        folder.symlink_to(elsewhere)
    elif planted == "open to others":
        elsewhere.chmod(0o777)
        elsewhere.rename(folder)
    else:
        user = os.getuid()
        monkeypatch.setattr("os.getuid", lambda: user + 1)
        elsewhere.rename(folder.with_name(folder.name.replace(str(user), str(user + 1))))
    there = next((tmp_path / "tmp").iterdir())
    mode = there.stat().st_mode
    monkeypatch.setattr("jinja2.bccache.Bucket.load_bytecode", lambda *_: pytest.fail("it was read"))
    assert opened() == page
    assert there.stat().st_mode == mode, "nothing of others is changed"


def test_answers_are_right_though_other_requests_push_out_what_is_remembered(lab):
    class Crowded(dict[Any, Any]):  # as if many others came between any two steps
        def __setitem__(self, key, value):
            pass

    save_view(lab, "mine", Asked())
    version = lab.catalog.version()
    found = listing_of(lab, Asked(), Crowded(), version, counted=True)
    assert found.total == len(found.lines) > 0
    assert saved_views(lab, Crowded(), version).keys() == saved_views(lab, {}, version).keys()
