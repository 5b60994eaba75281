"""Nobody else is affected by any plugin of the zoo, and each is named with what it did."""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from molexp.plugins import PluginInfo, PluginManager, PluginWarning
from tests.cli.helpers import Done, program
from tests.internals import state_of_process, try_plugins_in_forks, tune
from tests.third_party.zoo import SOUND, ZOO, build


@attrs.frozen
class Met:
    """The knowledge of a process that met all of them."""

    folder: Path
    infos: Mapping[str, PluginInfo]
    warnings: tuple[str, ...]
    imported: frozenset[str]
    kinds: frozenset[str]
    executors: frozenset[str]
    out: bytes
    harms: tuple[str, ...]


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Met]:
    """All of them installed beside their neighbour, and asked for everything that they provide."""
    folder = tmp_path_factory.mktemp("zoo")
    build(folder)
    with pytest.MonkeyPatch.context() as patch, _standard_output() as out:
        patch.syspath_prepend(str(folder))
        patch.setenv("MOLEXP_PLUGIN_TIMEOUT", "3")
        patch.setattr(sys, "dont_write_bytecode", True)
        tune(patch, "bytes of memory that a new plugin may take", 256 << 20)
        try_plugins_in_forks(patch)
        importlib.invalidate_caches()
        before, manager = state_of_process(), PluginManager(environ={})
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            kinds = frozenset(manager.asset_kinds())
            executors = frozenset(manager.executors())
            infos = {info.distribution: info for info in manager.check()}
            manager.run_id_schemes()
        imported = frozenset(sys.modules)
        yield Met(
            folder,
            infos,
            tuple(str(one.message) for one in told if one.category is PluginWarning),
            imported,
            kinds,
            executors,
            out.read(),
            tuple(harm for harm in before.harms() if "child processes" not in harm),  # ours are forked in tests
        )
        for name in [name for name in sys.modules if (folder / f"{name}.py").exists()]:
            del sys.modules[name]


@contextmanager
def _standard_output() -> Iterator[tempfile._TemporaryFileWrapper[bytes]]:
    """Yield a file that gets what this process, and the libraries in it, print meanwhile."""
    with tempfile.NamedTemporaryFile() as file:
        sys.stdout.flush()
        kept = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield file
        finally:
            os.dup2(kept, 1)
            os.close(kept)


@pytest.mark.parametrize("name", ZOO)
def test_it_is_named_with_what_it_did(met, name):
    info, animal = met.infos[name], ZOO[name]

    assert info.status == "broken"
    assert re.search(animal.cause, info.cause, re.DOTALL), info.cause


@pytest.mark.parametrize("name", ZOO)
def test_the_first_that_meets_it_is_told_and_how_to_leave_it_out(met, name):
    pattern = rf"{re.escape(ZOO[name].entry or name)} \({name} 1\.0\): .*{ZOO[name].cause}.*MOLEXP_DISABLE_PLUGINS="

    assert any(re.match(pattern, told, re.DOTALL) for told in met.warnings)


@pytest.mark.parametrize(
    "name", [name for name, animal in ZOO.items() if animal.effect in ("kept out", "not imported")]
)
def test_what_would_harm_others_is_imported_in_no_process_of_theirs(met, name):
    module = name.replace("-", "_")

    assert module not in met.imported
    assert module not in met.kinds


@pytest.mark.parametrize("name", [name for name, animal in ZOO.items() if animal.effect == "told"])
def test_what_is_only_rude_is_used(met, name):
    assert name.replace("-", "_") in met.kinds


def test_nobody_else_is_affected(met):
    assert met.infos[SOUND].status == "loaded"
    assert SOUND in met.kinds
    assert {"artifact", "metrics", "log"} <= met.kinds
    assert "inline" in met.executors
    assert all(met.infos[name].status == "loaded" for name in ("molexp-core", "molexp-fs"))
    assert met.harms == ()
    assert met.out == b""


def test_every_command_works_among_them_and_answers_in_clean_json(met, tmp_path):
    def molexp(*arguments: str) -> Done:
        env = {"PYTHONPATH": str(met.folder), "MOLEXP_PLUGIN_TIMEOUT": "3", "MOLEXP_WORKSPACE": str(tmp_path / "lab")}
        done = program(tmp_path, *arguments, env=env)
        assert done.code == 0, done.err
        return done

    molexp("exec", "zoo/visit", "--output", "*.txt", "--", "sh", "-c", "echo hello > a.txt")
    assert [run["status"] for run in molexp("runs", "list", "--json").json()] == ["succeeded"]
    assert "a.txt" in [asset["name"] for asset in molexp("assets", "list", "--json").json()]
    assert len(molexp("plugins", "list", "--json").json()["plugins"]) >= len(ZOO)
    assert molexp("show", "@latest", "--json").json()["status"] == "succeeded"


@pytest.mark.long
def test_plugins_check_names_each_of_them(met, tmp_path):
    """In processes of their own, as users have them; the one that takes all memory is left in peace."""
    env = {"PYTHONPATH": str(met.folder), "MOLEXP_DISABLE_PLUGINS": "takes-memory", "MOLEXP_CACHE_DIR": str(tmp_path)}
    done = program(tmp_path, "plugins", "check", "--timeout", "3", "--json", env=env)
    causes = {one["distribution"]: one["cause"] for one in done.json()["plugins"] if one["status"] == "broken"}
    assert done.code == 1
    assert causes.keys() == ZOO.keys() - {"takes-memory"}
    assert all(re.search(ZOO[name].cause, cause, re.DOTALL) for name, cause in causes.items())


def test_the_zoo_is_large_enough():
    assert len(ZOO) >= 40
