"""Fresh environments of Python, into which distributions of strangers are built and installed as wheels.

MolExp and its libraries come from the environment of the tests, behind what such an environment has of its own. Nothing is
downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from tests.cli.helpers import Done
from tests.repository import DISTRIBUTIONS

UV = os.environ.get("UV") or shutil.which("uv")
needs_uv = pytest.mark.skipif(UV is None, reason="uv makes the environments, and is not installed")

_BUILD = """
import os, sys
from hatchling.build import build_wheel
wheels, *folders = sys.argv[1:]
for folder in folders:
    os.chdir(folder)
    print(build_wheel(wheels))
"""


def build(wheels: Path, *folders: Path) -> list[Path]:
    """Build distributions into a folder of wheels, as installers do, in one process for all of them."""
    wheels.mkdir(exist_ok=True)
    done = _output([sys.executable, "-c", _BUILD, str(wheels), *map(str, folders)], cwd=wheels)
    return [wheels / name for name in done.splitlines()]


@attrs.frozen
class Environment:
    """An environment of Python, and the folder that its programs run in."""

    prefix: Path
    home: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.prefix / "bin" / "python"

    def install(self, *wheels: Path) -> None:
        """Install wheels in place of what is there under their names."""
        self._uv("install", "--no-index", "--no-deps", "--force-reinstall", *wheels)

    def uninstall(self, *names: str) -> None:
        """Uninstall distributions."""
        self._uv("uninstall", *names)

    def _uv(self, command: str, *arguments: str | Path) -> None:
        _output([str(UV), "pip", command, "--quiet", "--offline", "--python", str(self.python), *map(str, arguments)])

    def run(self, *command: str, env: Mapping[str, str] | None = None) -> Done:
        """Run a program to its end; `molexp` and `python` are those of this environment."""
        done = subprocess.run(
            command, cwd=self.home, env=self.variables(env), capture_output=True, text=True, check=False, timeout=900
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def variables(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables of its programs, as in a shell where it is activated."""
        path = f"{self.prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "VIRTUAL_ENV": str(self.prefix), "COLUMNS": "200", **(env or {})}


def make(folder: Path) -> Environment:
    """Make an environment that has the program ``molexp``, and a folder ``home``."""
    made = Environment(folder / "env", folder / "home")
    made.home.mkdir()
    _output([str(UV), "venv", "--quiet", "--offline", "--python", sys.executable, str(made.prefix)])
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    behind = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (made.prefix / "lib" / version / "site-packages" / "tests.pth").write_text(behind)
    made.install(*build(folder / "wheels", DISTRIBUTIONS["molexp-cli"]))
    return made


def _output(command: list[str], cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
