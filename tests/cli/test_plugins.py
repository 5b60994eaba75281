"""molexp plugins: what is installed, and whether it works."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests import warm
from tests.cli.helpers import program

GOOD = """
    from molexp import hookimpl
    from molexp.contracts import RunIdScheme
    class Plain(RunIdScheme):
        name = "plain"
        def derive(self, identity):
            return "x"
    @hookimpl
    def molexp_register_run_id_schemes():
        return [Plain]
"""


@pytest.fixture
def install(tmp_path, here):
    """Install a distribution with one plugin, for processes that get the returned environment."""

    def install(name, source):
        folder = tmp_path / "site"
        info = folder / f"{name.replace('-', '_')}-2.0.dist-info"
        info.mkdir(parents=True)
        module = name.replace("-", "_")
        (folder / f"{module}.py").write_text(f"open({str(here / f'{name} was imported')!r}, 'w')\n{dedent(source)}")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
        (info / "entry_points.txt").write_text(f"[molexp.plugins]\n{name.partition('-')[2]} = {module}\n")
        return {"PYTHONPATH": str(folder)}

    return install


def row(done, name):
    (found,) = (line.split(maxsplit=4) for line in done.lines()[1:] if line.split()[0] == name)
    return found


def test_list_names_what_is_installed_and_imports_nothing(here, install):
    env = install("molexp-good", GOOD)
    done = program(here, "plugins", "list", env=env)
    assert (done.code, done.err) == (0, f"molexp: these are the plugins of {sys.executable}, in {sys.prefix}\n")
    assert row(done, "good") == ["good", "molexp-good", "2.0", "available"]
    assert row(done, "fs")[1:] == ["molexp-fs", row(done, "core")[2], "available", "storage backend file"]
    assert not Path("molexp-good was imported").exists()


def test_list_says_what_is_disabled_and_why(here, install):
    env = {**install("molexp-good", GOOD), "MOLEXP_DISABLE_PLUGINS": "molexp-good,goood"}
    done = program(here, "plugins", "list", env=env)
    assert row(done, "good")[3:] == ["disabled", "disabled by MOLEXP_DISABLE_PLUGINS=molexp-good,goood"]
    assert "MOLEXP_DISABLE_PLUGINS=goood" in done.err
    assert "did you mean 'good'" in done.err


def test_list_says_what_cannot_be_used_as_far_as_metadata_tells(here, install, tmp_path):
    env = install("molexp-future", GOOD)
    metadata = tmp_path / "site" / "molexp_future-2.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text() + "Requires-Dist: molexp-core>=99\n")
    told = program(here, "plugins", "list", "--json", env=env).json()
    assert told["interpreter"] == sys.executable
    assert told["prefix"] == sys.prefix
    (found,) = (one for one in told["plugins"] if one["name"] == "future")
    assert found["status"] == "broken"
    assert "molexp-core>=99" in found["cause"]
    assert found["value"] == "molexp_future"


def test_show_says_where_it_is_from_and_what_it_provides(here, install):
    env = install("molexp-good", GOOD)
    for name in ("good", "molexp-good", "Molexp_Good"):
        done = program(here, "plugins", "show", name, env=env)
        assert done.code == 0
        assert [line.split() for line in done.lines() if "imports" not in line] == [
            ["good"],
            ["status", "loaded"],
            ["distribution", "molexp-good", "2.0"],
            ["code", "molexp_good"],
            ["run-id", "scheme", "plain"],
        ]
    (found,) = program(here, "plugins", "show", "good", "--json", env=env).json()
    assert found["provides"] == {"run-id scheme": ["plain"]}


def test_show_of_one_that_is_not_there_names_the_nearest(molexp):
    done = molexp("plugins", "show", "molexp-sf")
    assert (done.code, done.out) == (3, "")
    assert "Did you mean 'molexp-fs'" in done.err


HEAVY = "molexp-dask,molexp-mcp,molexp-s3-store,molexp-science,molexp-slurm,molexp-web"
"""Plugins whose import takes a while."""


def test_check_loads_all_and_is_content_if_they_all_work(here, install):
    done = program(here, "plugins", "check", env=install("molexp-good", GOOD))
    assert (done.code, done.err) == (0, "")
    assert {line.split()[3] for line in done.lines()[1:]} == {"loaded"}
    assert Path("molexp-good was imported").exists()


BAD = {
    "raising": ("raise RuntimeError('no licence')", "no licence"),
    "lacking": ("import no_such_module", "no_such_module"),
    "exiting": ("import sys; sys.exit(0)", "it tried to end the program"),
    "unparsed": ("x = (", "SyntaxError"),
    "hookless": ("x = 1", "has no hooks"),
}


def test_check_finds_those_that_are_not_loaded_and_says_which_and_why(here, install):
    for name, (source, _) in BAD.items():
        env = install(f"molexp-{name}", source)
    env["MOLEXP_DISABLE_PLUGINS"] = HEAVY
    done = program(here, "plugins", "check", env=env)
    found = program(here, "plugins", "check", "--json", env=env)
    assert done.code == found.code == 1
    broken = {one["name"]: one for one in found.json()["plugins"] if one["status"] not in ("loaded", "disabled")}
    assert broken.keys() == BAD.keys()
    for name, (_, cause) in BAD.items():
        *what, why = row(done, name)
        assert what == [name, f"molexp-{name}", "2.0", "broken"]
        assert cause in why
        assert (broken[name]["distribution"], broken[name]["version"]) == (f"molexp-{name}", "2.0")
        assert cause in broken[name]["cause"]
    assert done.err == f"molexp: 5 of {len(done.lines()) - 1} plugins do not work.\n"
    alone = program(here, "plugins", "check", "raising", env=env)
    assert (alone.code, alone.err.splitlines()[-1]) == (1, "molexp: 1 of 1 plugins does not work.")


def test_check_does_not_mind_those_that_are_disabled_on_purpose(here):
    done = program(here, "plugins", "check", env={"MOLEXP_DISABLE_PLUGINS": HEAVY})
    assert done.code == 0
    assert done.out.count(f"disabled by MOLEXP_DISABLE_PLUGINS={HEAVY}") == HEAVY.count(",") + 1


def test_check_looks_at_one_alone_and_says_what_it_costs_and_what_tests_it(here, install):
    env = install("molexp-good", GOOD)
    (found,) = program(here, "plugins", "check", "good", "--json", env=env).json()["plugins"]
    assert (found["name"], found["status"]) == ("good", "loaded")
    assert found["provides"] == {"run-id scheme": ["plain"]}
    assert found["tried"]["modules"] >= 1
    (fs,) = program(here, "plugins", "check", "molexp-fs", "--json", env=env).json()["plugins"]
    assert fs["kits"] == {"storage backend": "StoreTests"}
    listed = program(here, "plugins", "list", "--json", env=env).json()["plugins"]
    assert {one["name"]: one["provides"] for one in listed}["good"] == {"run-id scheme": ["plain"]}
    assert program(here, "plugins", "check", "molexp-sf", env=env).code == 3


KINDS = """
    from molexp import AssetKind, hookimpl
    from molexp.contracts import NoFields
    class Plain(AssetKind[str, NoFields]):
        name = "plain"
        def save(self, obj, sink): return NoFields()
        def load(self, source): ...
        def accepts(self, obj): return False
        def accepted(self, obj): ...
        def merge_all(self, parts): ...
        def load_old(self, source): ...
    class Misspelt(Plain):
        name = "misspelt"
        type = ("ase.Atoms",)
        def upgrades(self, fields, schema): return fields
    @hookimpl
    def molexp_register_asset_kinds():
        return [Plain, Misspelt]
"""


def test_check_names_what_resembles_an_ability_that_a_kind_lacks_and_refuses_nothing(here, install):
    env = install("molexp-kinds", KINDS)
    done = program(here, "plugins", "check", "kinds", env=env)
    assert (done.code, row(done, "kinds")[3]) == (0, "loaded")
    start = "molexp: kinds (molexp-kinds 2.0): the asset kind 'misspelt': it has "
    told = [line for line in done.err.splitlines() if "the asset kind" in line]
    assert told == [
        f"{start}'type', for which nobody asks: is it meant to be 'types'?",
        f"{start}'upgrades', for which nobody asks: is it meant to be 'upgrade'?",
    ]
    (found,) = program(here, "plugins", "check", "kinds", "--json", env=env).json()["plugins"]
    assert [f"molexp: kinds (molexp-kinds 2.0): {one}" for one in found["doubts"]] == done.err.splitlines()
    assert "it does not say up to which version of molexp-core it works" in done.err
    all_of_them = program(here, "plugins", "check", env={**env, "MOLEXP_DISABLE_PLUGINS": HEAVY}).err.splitlines()
    assert [line for line in all_of_them if "molexp-kinds" in line] == told


def test_check_tries_again_what_hung_and_nothing_else_hangs(here, install):
    env = install("molexp-slow", "import os, time; time.sleep(0 if os.environ.get('FAST') else 600)\n" + dedent(GOOD))
    done = program(here, "plugins", "check", "slow", "--timeout", "1", "--json", env=env)
    assert done.code == 1
    (slow,) = done.json()["plugins"]
    assert "did not end within 1 s" in slow["cause"]
    little = {**env, "MOLEXP_PLUGIN_TIMEOUT": "1"}  # with more time, it is tried again
    assert program(here, "plugins", "show", "slow", "--json", env=little).json()[0]["status"] == "broken"
    assert program(here, "plugins", "check", "slow", env={**env, "FAST": "1"}).code == 0
    assert program(here, "plugins", "show", "slow", "--json", env={**env, "FAST": "1"}).json()[0]["status"] == "loaded"


def test_check_finds_a_name_in_the_environment_that_nothing_has(here):
    env = {"MOLEXP_DISABLE_PLUGINS": f"{HEAVY},molexp-sf"}
    done = program(here, "plugins", "check", env=env)
    assert done.code == 1
    assert "MOLEXP_DISABLE_PLUGINS=molexp-sf" in done.err
    assert program(here, "plugins", "check", "--json", env=env).json()["unknown_names"].keys() == {
        "MOLEXP_DISABLE_PLUGINS=molexp-sf"
    }


def test_a_broken_one_is_a_warning_for_whoever_needs_it_and_nothing_to_others(here, install):
    env = install("molexp-bad", "raise RuntimeError('no licence')")
    assert "no licence" not in program(here, "-w", "lab", "exec", "p/e", "--", "true", env=env).err
    asked = program(here, "plugins", "show", "molexp-fs", env=env)
    assert asked.code == 0
    strict = program(here, "-w", "lab", "runs", "list", env={**env, "MOLEXP_STRICT_PLUGINS": "1"})
    assert strict.code == 4
    assert "no licence" in strict.err
    assert "Traceback" not in strict.err


# -------------------------------------------------------------------------------------------------------------- install


RECEIPT = """
[tool]
requirements = [
    { name = "molexp-cli", extras = ["x"], git = "https://example.org/molexp.git?subdirectory=molexp-cli&rev=main" },
    { name = "mine", marker = "python_full_version >= '3.12'", specifier = ">=2" },
    { name = "our", editable = "/our" },
    { name = "their", path = "/wheels/their-1.0-py3-none-any.whl" },
]
python = "3.12"

[tool.options]
index = [{ url = "https://example.org/simple", explicit = false, default = true, format = "simple" }]
find-links = ["file:///wheels"]
no-build = true
exclude-newer-package = { mine = "2026-01-01T00:00:00Z" }
"""
"""As uv 0.13 writes them."""

AGAIN = (
    "uv tool install 'molexp-cli[x] @ git+https://example.org/molexp.git@main#subdirectory=molexp-cli' "
    "--with \"mine>=2 ; python_full_version >= '3.12'\" --with-editable /our "
    "--with 'their @ /wheels/their-1.0-py3-none-any.whl' --with molexp-lab --python 3.12 "
    "--default-index https://example.org/simple --find-links file:///wheels --no-build"
)


@pytest.mark.parametrize(
    ("file", "text", "command"),
    [
        (
            "uv-receipt.toml",
            RECEIPT,
            AGAIN,
        ),
        (
            "uv-receipt.toml",
            '[tool]\nrequirements = [{ name = "molexp-cli", editable = "/cli" }, { name = "molexp-lab" }]',
            "uv tool install --editable /cli --with molexp-lab",
        ),
        (
            "pipx_metadata.json",
            '{"main_package": {"package": "molexp-cli", "suffix": "@dev"}}',
            "pipx inject prefix molexp-lab",
        ),
        ("pipx_metadata.json", "{", "pipx inject prefix molexp-lab"),
    ],
)
def test_the_command_that_installs_one_fits_the_environment(tmp_path, monkeypatch, molexp, file, text, command):
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    (prefix / file).write_text(text)
    monkeypatch.setattr(sys, "prefix", str(prefix))

    assert shlex.split(molexp("plugins", "install", "molexp-lab", "--dry-run").out) == shlex.split(command)
    assert molexp("plugins", "install", "molexp-lab", "--dry-run", "--json").json()["command"] == shlex.split(command)


def test_in_an_environment_it_is_pip_of_this_interpreter_or_uv(molexp):
    command = molexp("plugins", "install", "molexp-lab", "--dry-run", "--json").json()["command"]
    with_pip = [sys.executable, "-m", "pip", "install", "molexp-lab"]
    with_uv = ["uv", "pip", "install", "molexp-lab", "--python", sys.executable]
    assert command in (with_pip, with_uv)


def test_it_is_run_and_its_failure_is_an_exit_code(tmp_path, monkeypatch, here):
    (tmp_path / "prefix").mkdir()
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "pipx"
    tool.write_text('#!/bin/sh\necho "$@"\nexit ${CODE:-0}\n')
    tool.chmod(0o755)
    code = (
        f"import sys; sys.prefix = {str(tmp_path / 'prefix')!r}\nfrom molexp_cli._main import run\n"
        "sys.exit(run(['plugins', 'install', 'molexp-lab', '--json']))"
    )
    (tmp_path / "prefix" / "pipx_metadata.json").write_text("{}")
    env = {**os.environ, "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}"}
    done = warm.run([sys.executable, "-c", code], env=env, cwd=here, capture_output=True)
    assert (done.returncode, json.loads(done.stdout)["exit_code"]) == (0, 0)
    assert b"inject prefix molexp-lab" in done.stderr
    failed = warm.run([sys.executable, "-c", code], env={**env, "CODE": "7"}, cwd=here, capture_output=True)
    assert (failed.returncode, json.loads(failed.stdout)["exit_code"]) == (1, 7)


@pytest.mark.parametrize("name", ["--index-url=http://example.org", " "])
def test_an_option_is_no_name_of_a_distribution(molexp, name):
    done = molexp("plugins", "install", "--", name)
    assert done.code == 2
    assert "is no name of a distribution" in done.err


def test_a_python_of_the_operating_system_is_left_alone(tmp_path, monkeypatch, molexp):
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    done = molexp("plugins", "install", "molexp-lab>=1")
    assert done.code == 4
    assert "uv tool install molexp-cli --with 'molexp-lab>=1'" in done.err
