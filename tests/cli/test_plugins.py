"""molexp plugins: what is installed, and whether it works."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

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
    assert (done.code, done.err) == (0, "")
    assert row(done, "good") == ["good", "molexp-good", "2.0", "available"]
    assert row(done, "core")[1] == "molexp-core"
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
    (found,) = (one for one in program(here, "plugins", "list", "--json", env=env).json() if one["name"] == "future")
    assert found["status"] == "broken"
    assert "molexp-core>=99" in found["cause"]
    assert found["value"] == "molexp_future"


def test_show_says_where_it_is_from_and_what_it_provides(here, install):
    env = install("molexp-good", GOOD)
    for name in ("good", "molexp-good", "Molexp_Good"):
        done = program(here, "plugins", "show", name, env=env)
        assert done.code == 0
        assert [line.split() for line in done.lines()] == [
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


def test_check_loads_all_and_is_content_if_they_all_work(here, install):
    done = program(here, "plugins", "check", env=install("molexp-good", GOOD))
    assert (done.code, done.err) == (0, "")
    assert {line.split()[3] for line in done.lines()[1:]} == {"loaded"}
    assert Path("molexp-good was imported").exists()


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise RuntimeError('no licence')", "no licence"),
        ("import no_such_module", "no_such_module"),
        ("import sys; sys.exit(0)", "it tried to end the program"),
        ("x = (", "SyntaxError"),
        ("x = 1", "has no hooks"),
    ],
)
def test_check_finds_one_that_is_not_loaded_and_says_which_and_why(here, install, source, cause):
    env = install("molexp-bad", source)
    done = program(here, "plugins", "check", env=env)
    assert done.code == 1
    name, distribution, version, status, why = row(done, "bad")
    assert (name, distribution, version, status) == ("bad", "molexp-bad", "2.0", "broken")
    assert cause in why
    assert done.err == f"molexp: 1 of {len(done.lines()) - 1} plugins is not loaded.\n"
    found = program(here, "plugins", "check", "--json", env=env)
    assert found.code == 1
    (bad,) = (one for one in found.json()["plugins"] if one["status"] != "loaded")
    assert (bad["name"], bad["distribution"], bad["version"]) == ("bad", "molexp-bad", "2.0")


def test_check_counts_one_that_is_disabled_as_not_loaded(here):
    done = program(here, "plugins", "check", env={"MOLEXP_DISABLE_PLUGINS": "molexp-fs"})
    assert done.code == 1
    assert row(done, "fs")[3:] == ["disabled", "disabled by MOLEXP_DISABLE_PLUGINS=molexp-fs"]


def test_check_finds_a_name_in_the_environment_that_nothing_has(here):
    done = program(here, "plugins", "check", env={"MOLEXP_DISABLE_PLUGINS": "molexp-sf"})
    assert done.code == 1
    assert "MOLEXP_DISABLE_PLUGINS=molexp-sf" in done.err
    assert program(here, "plugins", "check", "--json", env={"MOLEXP_DISABLE_PLUGINS": "x"}).json()["unknown_names"]


def test_a_broken_one_is_a_warning_for_whoever_needs_it_and_nothing_to_others(here, install):
    env = install("molexp-bad", "raise RuntimeError('no licence')")
    assert "no licence" not in program(here, "-w", "lab", "exec", "p/e", "--", "true", env=env).err
    asked = program(here, "plugins", "show", "molexp-fs", env=env)
    assert asked.code == 0
    strict = program(here, "-w", "lab", "runs", "list", env={**env, "MOLEXP_STRICT_PLUGINS": "1"})
    assert strict.code == 4
    assert "no licence" in strict.err
    assert "Traceback" not in strict.err
