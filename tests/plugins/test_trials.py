"""A new plugin is tried once in a process of its own, and what that found is remembered until something changes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from molexp.errors import PluginLoadError
from molexp.plugins import PluginManager, PluginWarning
from tests.internals import trials_stand_still, try_plugins_in_forks

COUNTS = """
import os
from pathlib import Path
from molexp import hookimpl
from molexp.contracts import Declared
with open({file!r}, "a") as file:
    file.write(f"{{os.getpid()}}\\n")
{does}
@hookimpl
def molexp_register_asset_kinds():
    return [Declared("counted", "counted_kinds:Counted", types=("numpy.ndarray",))]
"""
KINDS = """
from molexp.contracts import AssetKind
class Counted(AssetKind):
    name = "counted"
    def save(self, obj, sink): return {}
    def load(self, source): return None
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def counted(site, cache, tmp_path, monkeypatch):
    """Install a plugin that counts its imports, and return a function that asks for its kind as a new process does."""
    try_plugins_in_forks(monkeypatch)
    imports = tmp_path / "imports"

    def ask(does: str = "") -> list[str]:
        if does or not (site.folder / "counted.py").exists():
            (site.folder / "counted.py").write_text(COUNTS.format(file=str(imports), does=does))
        for name in ("counted", "counted_kinds"):
            sys.modules.pop(name, None)
        imports.write_text("")
        PluginManager(environ={}).asset_kind("counted")
        return ["here" if int(line) == os.getpid() else "elsewhere" for line in imports.read_text().split()]

    site.install("counted")
    (site.folder / "counted.py").unlink()
    (site.folder / "counted_kinds.py").write_text(KINDS)
    return ask


def test_it_is_tried_once(counted):
    assert counted() == ["elsewhere", "here"]
    assert counted() == ["here"]


def test_what_was_found_says_what_it_provides(counted):
    counted()
    manager = PluginManager(environ={})
    (plugin,) = manager.find("counted")

    found = manager.tried(plugin)

    assert found is not None
    assert found.provides == {"molexp_register_asset_kinds": {"counted": ("numpy.ndarray",)}}
    assert (found.refused, found.faults, found.printed) == ("", (), "")
    assert "counted" in sys.modules
    assert found.modules >= 2


class Finder:
    """A finder of distributions as the backport `importlib_metadata` adds one, which many libraries import."""

    def find_spec(self, *_):
        return None

    def find_distributions(self, *_):
        return iter(())


@pytest.mark.parametrize("finders", [[], [Finder()]], ids=["", "beside another finder"])
def test_a_plugin_whose_code_or_metadata_changed_is_tried_again(counted, site, monkeypatch, finders):
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, *finders])
    counted()
    assert counted("x = 'another line'") == ["elsewhere", "here"]
    assert counted() == ["here"]
    (site.folder / "counted-1.0.dist-info" / "RECORD").write_text("counted.py,,\ncounted_kinds.py,,\n")
    assert counted() == ["elsewhere", "here"]


def test_an_answer_that_is_damaged_or_lies_is_asked_for_again(counted, cache):
    counted()
    (answer,) = (cache / "plugins").iterdir()
    whole = answer.read_bytes()
    for damaged in (b"", b"\xff\x00", whole[:-9], b"[]", b"[" * 100_000, whole.replace(b'"stamp": "', b'"stamp": "0')):
        answer.write_bytes(damaged)
        assert counted() == ["elsewhere", "here"]
        assert len(list((cache / "plugins").iterdir())) == 1
    answer.write_bytes(whole.replace(b'"provides": {', b'"provides": {"x": 7, '))
    assert counted() == ["elsewhere", "here"]


def test_an_answer_that_leaves_out_a_name_hides_nothing(counted, cache):
    """A mistake in it costs the time of asking everybody."""
    counted()
    (answer,) = (cache / "plugins").iterdir()
    answer.write_bytes(answer.read_bytes().replace(b'"counted": [', b'"other": ['))
    assert counted() == ["here"]


def test_where_no_cache_can_be_written_the_temporary_folder_serves(counted, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache.write_text("a file where the folder should be")
    assert counted() == ["elsewhere", "here"]
    assert counted() == ["here"]

    (folder,) = tmp_path.glob("molexp-plugins-*")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)  # others could write answers there
    assert counted() == ["elsewhere", "here"]


def test_where_nothing_can_be_remembered_it_is_tried_each_time(counted, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(cache / "below a file"))
    cache.write_text("a file where the folder should be")
    assert counted() == ["elsewhere", "here"]
    assert counted() == ["elsewhere", "here"]


def test_two_processes_may_try_it_at_the_same_time(counted, cache):
    counted()
    (answer,) = (cache / "plugins").iterdir()
    Path(f"{answer}.{os.getpid()}").write_bytes(b"half an answer of a process that was killed and had our number")
    answer.unlink()
    assert counted() == ["elsewhere", "here"]
    assert counted() == ["here"]


def test_nothing_is_tried_if_the_environment_says_so(counted, monkeypatch):
    monkeypatch.setenv("MOLEXP_PLUGIN_TIMEOUT", "0")
    assert counted() == ["here"]
    monkeypatch.setenv("MOLEXP_PLUGIN_TIMEOUT", "soon")
    with pytest.raises(ValueError, match="MOLEXP_PLUGIN_TIMEOUT='soon' is no number of seconds"):
        counted()


def test_a_plugin_that_was_kept_out_is_used_once_it_is_repaired(counted):
    with (
        pytest.warns(PluginWarning, match="counted 1.0.*it changes the current folder"),
        pytest.raises(PluginLoadError),
    ):
        counted("os.chdir('/')")
    assert counted("harmless = True") == ["elsewhere", "here"]


def test_it_is_tried_again_when_asked_for(counted, cache):
    counted()
    manager = PluginManager(environ={})
    (plugin,) = manager.find("counted")
    assert manager.try_out(plugin, seconds=600).complete


def test_more_time_is_a_reason_to_try_again(counted, monkeypatch, tmp_path):
    monkeypatch.setenv("MOLEXP_PLUGIN_TIMEOUT", "0.3")
    monkeypatch.setenv("SLOW", "600")
    sleeping = "import time; time.sleep(float(os.environ['SLOW']))"
    for does, most in ((sleeping, 1), ("", 0)):  # it is remembered
        with pytest.warns(PluginWarning, match=r"did not end within 0\.3 s"), pytest.raises(PluginLoadError):
            counted(does)
        assert len((tmp_path / "imports").read_text().split()) <= most
    monkeypatch.setenv("MOLEXP_PLUGIN_TIMEOUT", "600")
    monkeypatch.setenv("SLOW", "0")
    assert counted() == ["elsewhere", "here"]
    monkeypatch.setenv("MOLEXP_PLUGIN_TIMEOUT", "1200")
    assert counted() == ["here"]  # one that works is not tried again for that


def test_the_time_in_which_the_machine_stands_still_is_not_the_plugins(counted, monkeypatch):
    trials_stand_still(monkeypatch)
    monkeypatch.setenv("MOLEXP_PLUGIN_TIMEOUT", "600")
    assert counted() == ["elsewhere", "here"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_trial_that_somebody_ended_says_nothing_of_the_next_one(counted, tmp_path, number):
    ending = tmp_path / "a scheduler ends all processes"
    ending.touch()
    with pytest.warns(PluginWarning, match=f"ended the process by {number.name}"), pytest.raises(PluginLoadError):
        counted(f"Path({str(ending)!r}).exists() and os.kill(os.getpid(), {int(number)})")
    ending.unlink()
    assert counted() == ["elsewhere", "here"]


def test_a_change_while_it_is_tried_is_noticed(counted, site):
    counted(f"with open(__file__, 'a') as own: own.write('# changed' * (os.getpid() != {os.getpid()}))")
    assert counted() == ["elsewhere", "here"]


def test_nothing_of_the_current_folder_is_imported(site, cache, tmp_path):
    site.install_kind("sound", "sound")
    (site.folder / "recorder.py").write_text("events = []")
    (tmp_path / "cloned").mkdir()
    (tmp_path / "cloned" / "json.py").write_text("open('imported', 'w')")
    ask = "import molexp.plugins as p; p.PluginManager().asset_kind('sound')"
    path = os.pathsep.join([str(site.folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    subprocess.run(
        [sys.executable, "-P", "-c", ask],
        check=True,
        cwd=tmp_path / "cloned",
        env={**os.environ, "PYTHONPATH": path},
    )
    assert [one.name for one in (tmp_path / "cloned").iterdir()] == ["json.py"]
    assert len(list((cache / "plugins").iterdir())) == 1


def test_a_trial_ends_with_the_program_that_waits_for_it(site, cache, tmp_path):
    os.mkfifo(tmp_path / "imported")
    site.install("hangs", f"open({str(tmp_path / 'imported')!r}, 'w').write('x')\nimport time; time.sleep(600)")
    ask = "import molexp.plugins as p; p.PluginManager().asset_kind('x')"
    path = os.pathsep.join([str(site.folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    program = subprocess.Popen([sys.executable, "-c", ask], env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path)
    with open(tmp_path / "imported", "rb", buffering=0) as told:  # open in the trial until that ends
        program.kill()
        program.wait()
        assert told.read() in (b"x", b"")


def test_a_plugin_that_prints_can_be_loaded_where_there_is_no_standard_output(site, cache):
    site.install("prints", "print('hello')\n" + COUNTS.format(file=os.devnull, does=""))
    (site.folder / "counted_kinds.py").write_text(KINDS)
    site.python("import os, molexp.plugins as p; os.close(1); p.PluginManager().asset_kind('counted')")
