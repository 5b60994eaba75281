"""``molexp plugins install`` in environments as venv, uv and pipx make them, with packages from a folder of wheels."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import pytest

from tests.cli.helpers import program
from tests.repository import DISTRIBUTIONS
from tests.third_party.environments import UV, build, needs_uv

pytestmark = [pytest.mark.long, needs_uv]  # they download what MolExp needs


@attrs.frozen
class Installed:
    """A program ``molexp`` that some tool has installed, without any plugin.

    Attributes:
        molexp: the program.
        environment: the variables that the tool needs.
        installs: a pattern of the command that installs a package there.
    """

    molexp: Path
    environment: Mapping[str, str]
    installs: str

    def run(self, *words: str, home: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.molexp, *words], cwd=home, env=self.environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MolExp and a stranger's plugin."""
    folder = tmp_path_factory.mktemp("install")
    assert program(folder, "plugins", "new", "kind", "molexp-spectrum").code == 0
    made = folder / "wheels"
    build(
        made, *(DISTRIBUTIONS[name] for name in ("molexp-core", "molexp-fs", "molexp-cli")), folder / "molexp-spectrum"
    )
    return made


def call(*command: str | Path, env: Mapping[str, str]) -> None:
    done = subprocess.run([*map(str, command)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def in_a_venv(folder: Path, wheels: Path) -> Installed:
    env = {**_variables(), "PIP_FIND_LINKS": str(wheels)}
    call(sys.executable, "-m", "venv", folder / "env", env=env)
    python = folder / "env" / "bin" / "python"
    call(python, "-m", "pip", "install", "--quiet", "molexp-cli", env=env)
    return Installed(python.parent / "molexp", env, rf"{re.escape(str(python))} -m pip install")


def in_an_environment_of_uv(folder: Path, wheels: Path) -> Installed:
    env = {**_variables(), "UV_FIND_LINKS": str(wheels)}
    call(str(UV), "venv", "--python", sys.executable, folder / "env", env=env)
    python = folder / "env" / "bin" / "python"
    call(str(UV), "pip", "install", "--python", python, "molexp-cli", env=env)
    return Installed(python.parent / "molexp", env, rf"uv pip install .* --python {re.escape(str(python))}")


def as_a_tool_of_uv(folder: Path, wheels: Path, *of: str | Path) -> Installed:
    """Install it so that the folder of wheels is known to uv's receipt alone."""
    env = {**_variables(), "UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    words = [*(of or ["molexp-cli"]), "--find-links", wheels, "--python", sys.executable]
    call(str(UV), "tool", "install", *words, env=env)
    kept = ".* ".join(re.escape(str(word)) for word in of if str(word).startswith("-"))
    return Installed(folder / "bin" / "molexp", env, rf"uv tool install {kept}.* --with .* --python .* --find-links")


def as_a_tool_of_uv_from_a_clone(folder: Path, wheels: Path) -> Installed:
    core, cli = (DISTRIBUTIONS[name] for name in ("molexp-core", "molexp-cli"))
    return as_a_tool_of_uv(folder, wheels, "--editable", cli, "--with-editable", core)


def by_pipx(folder: Path, wheels: Path, backend: str = "pip") -> Installed:
    env = {**_variables(), "PIPX_HOME": str(folder / "pipx"), "PIPX_BIN_DIR": str(folder / "bin")}
    env |= {"PIP_FIND_LINKS": str(wheels), "UV_FIND_LINKS": str(wheels), "PIPX_DEFAULT_BACKEND": backend}
    call(str(UV), "venv", "--python", sys.executable, folder / "own", env=env)
    call(str(UV), "pip", "install", "--python", folder / "own" / "bin" / "python", "pipx", env=env)
    env["PATH"] = f"{folder / 'own' / 'bin'}{os.pathsep}{env['PATH']}"
    call(folder / "own" / "bin" / "pipx", "install", "molexp-cli", env=env)
    return Installed(folder / "bin" / "molexp", env, "pipx inject molexp-cli")


def by_pipx_with_uv(folder: Path, wheels: Path) -> Installed:
    return by_pipx(folder, wheels, "uv")


def _variables() -> dict[str, str]:
    path = f"{Path(str(UV)).parent}{os.pathsep}{os.environ['PATH']}"
    left_out = ("VIRTUAL_ENV", "PYTHONPATH", "PIP_FIND_LINKS", "UV_FIND_LINKS")
    return {**{name: value for name, value in os.environ.items() if name not in left_out}, "PATH": path}


@pytest.mark.parametrize(
    "make",
    [in_a_venv, in_an_environment_of_uv, as_a_tool_of_uv, as_a_tool_of_uv_from_a_clone, by_pipx, by_pipx_with_uv],
    ids=lambda make: make.__name__,
)
def test_a_plugin_is_installed_where_this_program_finds_it(make: Callable[[Path, Path], Installed], wheels, tmp_path):
    made = make(tmp_path, wheels)

    missing = made.run("-w", "lab", "exec", "p/e", "--", "true", home=tmp_path)
    (command,) = re.findall("Install it: (.*)", missing.stderr)
    assert re.match(made.installs, command)
    call(*shlex.split(command), env=made.environment)
    assert made.run("-w", "lab", "exec", "p/e", "--", "true", home=tmp_path).returncode == 0

    installed = made.run("plugins", "install", "molexp-spectrum", home=tmp_path)
    assert installed.returncode == 0, installed.stderr
    assert re.search(made.installs, installed.stderr)
    checked = made.run("plugins", "check", home=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert [line.split()[1] for line in checked.stdout.splitlines()[1:]] == [
        "molexp-core",
        "molexp-fs",
        "molexp-spectrum",
    ]

    wheel = next(wheels.glob("molexp_fs-*.whl"))
    again = made.run("plugins", "install", str(wheel), home=tmp_path)
    assert again.returncode == 0, again.stderr
