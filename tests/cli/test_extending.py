"""Plugins add commands and columns; those that do not work are named, and everything else works."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.cli.helpers import program

PLUGIN = """
from molexp import hookimpl
from molexp.contracts import Declared
@hookimpl
def molexp_register_commands():
    return [Declared(name, f"tools_code:{name.replace('-', '_')}") for name in ("count-runs", "odd", "runs", "fails")]
@hookimpl
def molexp_register_renderers():
    return [Declared("artifact", "tools_code:shown"), Declared("log", "tools_code:bad")]
@hookimpl
def molexp_register_columns():
    return [Declared(f"{table}.{name}", f"tools_code:{name}") for table in ("runs", "assets") for name in ("initial", "bad", "exits", "prints")]
"""
CODE = """
import molexp as me
def count_runs(status: str = "succeeded", workspace: str = "lab") -> None:
    'Count runs.'
    print(len(me.Workspace.load(workspace).catalog.runs(status=status)))
def odd(x: object) -> None: ...
def runs() -> None: print("mine")
def fails() -> None: raise ValueError("it has no workspace")
def initial(row): return row.id[0].upper()
def shown(asset): return f"values: {asset.load()}"
def bad(row): return row.no_such_attribute
def exits(row): raise SystemExit(0)
def prints(row):
    print("a debug message")
    return 1
"""


@pytest.fixture
def tools(tmp_path):
    """Return the environment of processes that have the plugin."""
    site = tmp_path / "site"
    info = site / "molexp_tools-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: molexp-tools\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[molexp.plugins]\ntools = tools\n")
    (site / "tools.py").write_text(dedent(PLUGIN))
    (site / "tools_code.py").write_text(dedent(CODE))
    return {"PYTHONPATH": str(site)}


def test_a_command_of_a_plugin_is_called(here, finished, tools):
    done = program(here, "count-runs", "--status", "failed", env=tools)
    assert (done.code, done.out, done.err) == (0, "1\n", "")
    helped = program(here, "count-runs", "--help", env=tools)
    assert "Count runs." in helped.out
    assert "--status" in helped.out


def test_a_wrong_use_and_an_error_of_it_are_told_as_those_of_others(here, tools):
    assert program(here, "count-runs", "--no-such-option", env=tools).code == 2
    failed = program(here, "fails", env=tools)
    assert (failed.code, failed.err) == (2, "molexp: it has no workspace\n")


def test_a_command_of_molexp_is_molexps(here, finished, tools):
    assert "copper" in program(here, "runs", "list", env=tools).out


def test_check_names_a_command_that_is_never_called(here, tools):
    done = program(here, "plugins", "check", "molexp-tools", env=tools)
    assert "its command 'runs' is never called: MolExp has one of that name" in done.err
    assert "'odd' is never" not in done.err


def test_a_command_that_cannot_be_used_is_named(here, tools):
    done = program(here, "odd", env=tools)
    assert done.code == 2
    assert "the command 'odd' of a plugin cannot be used" in done.err


def test_an_unknown_command_gets_the_nearest_though_a_plugin_is_broken(here, tools, tmp_path):
    (tmp_path / "site" / "tools.py").write_text("raise OSError('no licence')")
    done = program(here, "rusn", env=tools)
    assert done.code == 2
    assert "Did you mean 'run' or 'runs'" in done.err
    assert "tools (molexp-tools 1.0): importing 'tools' failed: OSError: no licence" in done.err


@pytest.mark.parametrize(("table", "initial"), [("runs", "C"), ("assets", "M")])
def test_a_column_of_a_plugin_is_shown_when_asked_for(here, finished, tools, table, initial):
    done = program(here, table, "list", "--column", "initial", env=tools)
    assert (done.code, done.err) == (0, "")
    assert done.lines()[0].split()[-1] == "INITIAL"
    assert initial in [line.split()[-1] for line in done.lines()[1:]]
    assert "INITIAL" not in program(here, table, "list", env=tools).out


def test_a_column_that_fails_is_told_once_and_is_empty(here, finished, tools):
    done = program(here, "runs", "list", "--column", "bad", env=tools)
    assert done.code == 0
    assert "copper" in done.out
    assert done.err.count("the column 'runs.bad' failed: AttributeError") == 1


def test_a_column_that_exits_ends_nothing(here, finished, tools):
    done = program(here, "runs", "list", "--column", "exits", env=tools)
    assert done.code == 0
    assert "copper" in done.out
    assert done.err.count("the column 'runs.exits' failed: SystemExit") == 1


def test_a_column_prints_nothing_into_the_table(here, finished, tools):
    done = program(here, "runs", "list", "--column", "prints", env=tools)
    assert "a debug message" in done.err
    assert done.lines()[0].split()[0] == "RUN"


def test_a_column_is_none_of_json(here, finished, tools):
    for table in ("runs", "assets"):
        done = program(here, table, "list", "--column", "initial", "--json", env=tools)
        assert (done.code, done.out) == (2, "")
        assert "A column is for the table" in done.err


def test_a_column_that_nobody_has_is_an_error_with_the_nearest(here, finished, tools):
    done = program(here, "runs", "list", "--column", "initail", env=tools)
    assert done.code == 4
    assert "Did you mean 'runs.initial'" in done.err


def test_an_asset_is_shown_by_the_renderer_of_its_kind(here, finished, tools):
    done = program(here, "assets", "show", "@latest:volumes.json", env=tools)
    assert (done.code, done.err) == (0, "")
    assert "values: [1, 2]" in done.lines()
    assert ["kind", "artifact"] in [line.split() for line in done.lines()]
    assert ["format", "json"] in [line.split() for line in done.lines()]
    assert "values" not in program(here, "assets", "show", "@latest:volumes.json").out
    assert program(here, "assets", "show", "@latest:volumes.json", "--json", env=tools).json()["name"] == "volumes.json"


def test_a_renderer_that_fails_is_told_and_the_asset_is_shown(here, finished, tools):
    done = program(here, "assets", "show", "@latest:relax", env=tools)
    assert done.code == 0
    assert "relax" in done.out
    assert "the renderer of 'log' failed: AttributeError" in done.err


def test_a_renderer_that_exits_is_told(here, finished, tools, tmp_path):
    (tmp_path / "site" / "tools_code.py").write_text("bad = exit")
    done = program(here, "assets", "show", "@latest:relax", env=tools)
    assert done.code == 0
    assert "the renderer of 'log' failed: SystemExit" in done.err


def test_help_imports_no_plugin(here, tools, tmp_path):
    (tmp_path / "site" / "tools.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    assert program(here, "--help", env=tools).code == 0
    assert not (tmp_path / "imported").exists()
